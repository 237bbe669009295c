//! What a wallet does with a node: looking at the chain, paying, and what came of it.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mass_ledger_utxo::{format_mass, parse_mass};
use mass_primitives::Amount;
use mass_rpc::HttpClient;
use mass_wallet::{Entry, FEE_RATE_DEFAULT, FeeRate, Progress, Wallet};
use serde_json::{Value, json};

use super::Place;
use crate::{
    node::usual_url,
    output::{Output, note, table},
    runtime,
};

/// Blocks from which reading them is worth a progress bar.
const LONG_SYNC_BLOCKS: u32 = 500;
/// Blocks between two lines of progress where no bar can be shown.
const LINE_BLOCKS: u32 = 10_000;

/// Which wallet, and which node to ask.
#[derive(Args)]
pub struct Online {
    #[command(flatten)]
    place: Place,
    /// The node's RPC [default: the chain's port on this machine].
    #[arg(long, value_name = "URL")]
    node: Option<String>,
}

/// Which wallet to look at.
#[derive(Args)]
pub struct Reading {
    #[command(flatten)]
    online: Online,
    /// As of the last time, without asking a node.
    #[arg(long, conflicts_with = "node")]
    offline: bool,
}

/// What to pay, and to whom.
#[derive(Args)]
pub struct SendArgs {
    #[command(flatten)]
    online: Online,
    /// The address to pay to.
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// The amount in MASS, such as 12 or 0.5.
    #[arg(value_name = "AMOUNT", value_parser = parse_mass)]
    amount: Amount,
    /// The fee rate in maxwell per vbyte, from 1; one maxwell is 0.0000001 MASS.
    #[arg(long, value_name = "N", default_value_t = FEE_RATE_DEFAULT.to_sat_per_vb_ceil())]
    fee_rate: u64,
}

impl Online {
    /// The wallet after a sync, and the node.
    async fn synced(&self) -> anyhow::Result<(Wallet, HttpClient)> {
        let (spec, mut wallet) = self.place.open()?;
        let url = self.node.clone().unwrap_or_else(|| usual_url(&spec));
        let client = mass_rpc::client(&url).with_context(|| url.clone())?;
        let mut bar = SyncBar::default();
        let synced = wallet.sync_with(&client, |progress| bar.show(progress)).await;
        bar.finish();
        synced.with_context(|| format!("the node at {url}"))?;
        Ok((wallet, client))
    }
}

impl Reading {
    fn wallet(&self) -> anyhow::Result<Wallet> {
        if self.offline {
            return Ok(self.online.place.open()?.1);
        }
        runtime::block_on(async { Ok(self.online.synced().await?.0) })
    }
}

/// Prints what the wallet has.
pub fn balance(reading: &Reading, output: Output) -> anyhow::Result<()> {
    let wallet = reading.wallet()?;
    let balance = wallet.balance();
    let sums = [
        ("spendable", balance.spendable()),
        ("incoming", balance.incoming),
        ("immature", balance.immature),
        ("total", balance.total()),
    ];
    let widest = sums.iter().map(|(_, amount)| format_mass(*amount).len()).max().unwrap_or(0);
    let mut text: String = sums
        .iter()
        .map(|(name, amount)| format!("{name:<9}  {:>widest$} MASS\n", format_mass(*amount)))
        .collect();
    text.push_str(&format!("as of block {}", wallet.height()));
    let value = json!({
        "spendable": format_mass(balance.spendable()),
        "spendable_maxwell": balance.spendable(),
        "confirmed_maxwell": balance.confirmed,
        "change_maxwell": balance.change,
        "incoming_maxwell": balance.incoming,
        "immature_maxwell": balance.immature,
        "total_maxwell": balance.total(),
        "height": wallet.height(),
    });
    output.result(&value, &text)
}

/// Pays.
pub fn send(args: &SendArgs, output: Output) -> anyhow::Result<()> {
    let rate = FeeRate::from_sat_per_vb(args.fee_rate).unwrap_or(FeeRate::MAX);
    let sent = runtime::block_on(async {
        let (mut wallet, client) = args.online.synced().await?;
        Ok(wallet.send(&client, &args.address, args.amount, rate).await?)
    })?;
    let text = format!(
        "sent {} MASS to {}, fee {} MASS\n{}",
        format_mass(args.amount),
        args.address,
        format_mass(sent.fee),
        sent.txid
    );
    let value = json!({
        "txid": sent.txid.to_string(),
        "address": args.address,
        "amount_maxwell": args.amount,
        "fee_maxwell": sent.fee,
    });
    output.result(&value, &text)
}

/// Lists what came and went.
pub fn history(reading: &Reading, output: Output) -> anyhow::Result<()> {
    let entries = reading.wallet()?.history();
    let mut rows = vec![["height", "MASS", "fee", "kind", "transaction"].map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(row));
    let text = if entries.is_empty() { "no transactions".to_owned() } else { table(&rows) };
    output.result(&entries.iter().map(describe).collect(), &text)
}

fn kind(entry: &Entry) -> &'static str {
    match (entry.coinbase, entry.net >= 0) {
        (true, _) => "reward",
        (false, true) => "received",
        (false, false) => "sent",
    }
}

fn row(entry: &Entry) -> Vec<String> {
    let sign = if entry.net < 0 { '-' } else { '+' };
    vec![
        entry.height.map_or_else(|| "waits".to_owned(), |height| height.to_string()),
        format!("{sign}{}", format_mass(Amount::new(entry.net.unsigned_abs()))),
        entry.fee.map(format_mass).unwrap_or_default(),
        kind(entry).to_owned(),
        entry.txid.to_string(),
    ]
}

fn describe(entry: &Entry) -> Value {
    json!({
        "txid": entry.txid.to_string(),
        "kind": kind(entry),
        "net_maxwell": entry.net,
        "fee_maxwell": entry.fee,
        "height": entry.height,
        "time": entry.time,
    })
}

/// A bar for a sync that takes long, where a person watches, and lines where none does.
#[derive(Default)]
struct SyncBar(Option<ProgressBar>);

impl SyncBar {
    fn show(&mut self, Progress { height, target }: Progress) {
        let (height, target) = (height.get(), target.get());
        if self.0.is_none() {
            if target - height < LONG_SYNC_BLOCKS {
                return;
            }
            let bar = ProgressBar::new(target.into()).with_position(height.into());
            let template = "[{elapsed_precise}] {wide_bar} block {pos} of {len}, {per_sec}, {eta} to go";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            bar.reset_eta();
            self.0 = Some(bar);
        }
        let Some(bar) = &self.0 else { return };
        if bar.is_hidden() && height.is_multiple_of(LINE_BLOCKS) {
            note(&format!("block {height} of {target}"));
        }
        bar.set_length(target.into());
        bar.set_position(height.into());
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
