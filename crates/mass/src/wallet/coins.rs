//! The coins of a wallet, one by one.

use clap::Args;
use mass_ledger_utxo::format_mass;
use mass_wallet::{Coin, CoinState, OutPoint, parse_coin};
use serde_json::{Value, json};

use super::{online::Reading, place::Place};
use crate::output::{Output, table};

/// Which coin.
#[derive(Args)]
pub struct CoinArgs {
    #[command(flatten)]
    place: Place,
    /// The coin, as `mass wallet coins` names it.
    #[arg(value_name = "TXID:N", value_parser = parse_coin)]
    coin: OutPoint,
}

fn word(coin: &Coin) -> &'static str {
    match (coin.frozen, coin.state) {
        (true, _) => "frozen",
        (_, CoinState::Confirmed) => "spendable",
        (_, CoinState::Change) => "change",
        (_, CoinState::Incoming) => "incoming",
        (_, CoinState::Immature) => "immature",
    }
}

/// Lists the coins.
pub fn list(reading: &Reading, output: Output) -> anyhow::Result<()> {
    let wallet = reading.wallet()?;
    let coins = wallet.coins();
    let mut rows = vec![["height", "MASS", "state", "coin", "address"].map(str::to_owned).to_vec()];
    rows.extend(coins.iter().map(|coin| {
        let height = coin.height.map_or_else(|| "waits".to_owned(), |height| height.to_string());
        let (amount, coin_id) = (format_mass(coin.amount), coin.outpoint.to_string());
        vec![height, amount, word(coin).to_owned(), coin_id, coin.address.clone()]
    }));
    let text = if coins.is_empty() { "no coins".to_owned() } else { table(&rows) };
    let label = |coin: &Coin| wallet.label("output", &coin.outpoint.to_string()).map(str::to_owned);
    let value: Value = coins
        .iter()
        .map(|coin| {
            json!({ "coin": coin.outpoint.to_string(), "amount_maxwell": coin.amount, "height": coin.height,
                "address": coin.address, "state": word(coin), "frozen": coin.frozen, "label": label(coin) })
        })
        .collect();
    output.result(&value, &text)
}

/// Freezes a coin, or sets it free.
pub fn freeze(args: &CoinArgs, frozen: bool, output: Output) -> anyhow::Result<()> {
    let (_, mut wallet) = args.place.open()?;
    wallet.freeze(args.coin, frozen)?;
    let text = format!("{} {}", args.coin, if frozen { "is frozen" } else { "can be spent" });
    output.result(&json!({ "coin": args.coin.to_string(), "frozen": frozen }), &text)
}
