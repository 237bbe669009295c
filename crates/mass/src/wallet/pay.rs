//! Paying, and paying more for what waits.

use clap::{Args, CommandFactory as _, error::ErrorKind};
use mass_ledger_utxo::{format_mass, parse_mass};
use mass_rpc::HttpClient;
use mass_wallet::{
    FEE_RATE_DEFAULT, FeeRate, OutPoint, Payment, Sent, Txid, Value, Wallet, parse_coin, parse_fee_rate,
};
use serde_json::json;

use super::online::Online;
use crate::{
    output::{Output, note},
    runtime,
};

/// At which fee.
#[derive(Args)]
struct Fee {
    /// The fee rate in maxwell per vbyte, from 1, as in 2 or 1.5; one maxwell is 0.0000001 MASS [default: 2].
    #[arg(long, value_name = "RATE", value_parser = parse_fee_rate)]
    fee_rate: Option<FeeRate>,
    /// Let the node estimate a rate at which a block within so many holds the payment.
    #[arg(long, value_name = "BLOCKS", conflicts_with = "fee_rate", value_parser = clap::value_parser!(u16).range(1..=1008))]
    target: Option<u16>,
}

impl Fee {
    async fn rate(&self, wallet: &Wallet, node: &HttpClient) -> anyhow::Result<FeeRate> {
        let Some(blocks) = self.target else { return Ok(self.fee_rate.unwrap_or(FEE_RATE_DEFAULT)) };
        let estimate = wallet.estimate_fee_rate(node, blocks).await?;
        if estimate.is_none() {
            note("the node has too little to estimate a fee rate from: the usual one is taken");
        }
        Ok(estimate.unwrap_or(FEE_RATE_DEFAULT))
    }
}

/// What to pay, and to whom.
#[derive(Args)]
pub struct SendArgs {
    #[command(flatten)]
    online: Online,
    /// The address to pay to, and the amount in MASS, such as 12 or 0.5; and so on for further ones.
    #[arg(value_names = ["ADDRESS", "AMOUNT"], num_args = 1.., required_unless_present = "max")]
    pairs: Vec<String>,
    /// Send this address all that is left: of all coins, or of those named by --coin.
    #[arg(long, value_name = "ADDRESS")]
    max: Option<String>,
    #[command(flatten)]
    fee: Fee,
    /// Spend this coin and no others but further ones named so. `mass wallet coins` lists them.
    #[arg(long = "coin", value_name = "TXID:N", value_parser = parse_coin)]
    coins: Vec<OutPoint>,
    /// For scripts that can be spent in several ways: the coins are older than so many blocks (older).
    #[arg(long, value_name = "BLOCKS")]
    older: Option<u32>,
    /// For scripts that can be spent in several ways: not before this height or unix time (after).
    #[arg(long, value_name = "LOCKTIME")]
    after: Option<u32>,
}

impl SendArgs {
    /// Which wallet and node.
    pub const fn online(&self) -> &Online {
        &self.online
    }

    /// The recipients; a usage error if they are none.
    fn recipients(&self) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        for pair in self.pairs.chunks(2) {
            let [address, amount] = pair else {
                usage(&format!("no amount for {}: give ADDRESS AMOUNT pairs", pair.join(" ")))
            };
            let amount = parse_mass(amount).unwrap_or_else(|error| usage(&error.to_string()));
            found.push((address.clone(), Value::Exact(amount)));
        }
        found.extend(self.max.iter().map(|address| (address.clone(), Value::Max)));
        found
    }

    /// The payment.
    pub async fn payment(&self, wallet: &Wallet, node: &HttpClient) -> anyhow::Result<Payment> {
        let fee_rate = self.fee.rate(wallet, node).await?;
        let (recipients, coins) = (self.recipients(), self.coins.clone());
        Ok(Payment { recipients, fee_rate, coins, older: self.older, after: self.after })
    }
}

/// Ends the program as for any other mistake on the command line.
fn usage(message: &str) -> ! {
    crate::Cli::command().error(ErrorKind::ValueValidation, message).exit()
}

/// Which payment to pay more for.
#[derive(Args)]
pub struct BumpArgs {
    #[command(flatten)]
    online: Online,
    /// The transaction, as `mass wallet history` names it.
    #[arg(value_name = "TXID")]
    txid: Txid,
    #[command(flatten)]
    fee: Fee,
}

/// Pays.
pub fn send(args: &SendArgs, output: Output) -> anyhow::Result<()> {
    let recipients = args.recipients();
    let sent = runtime::block_on(async {
        let (mut wallet, node) = args.online.synced().await?;
        let payment = args.payment(&wallet, &node).await?;
        Ok(wallet.pay(&node, &payment).await?)
    })?;
    let to = recipients.iter().map(|(address, _)| address.as_str()).collect::<Vec<_>>();
    let text = format!(
        "sent {} MASS to {}, fee {} MASS\n{}",
        format_mass(sent.amount),
        to.join(", "),
        format_mass(sent.fee),
        sent.txid
    );
    let value = json!({
        "txid": sent.txid.to_string(),
        "address": to.first(),
        "addresses": to,
        "amount_maxwell": sent.amount,
        "fee_maxwell": sent.fee,
    });
    output.result(&value, &text)
}

/// Says what was sent.
pub fn sent_result(sent: &Sent, output: Output) -> anyhow::Result<()> {
    let text = format!("{}\nfee {} MASS", sent.txid, format_mass(sent.fee));
    let value =
        json!({ "txid": sent.txid.to_string(), "amount_maxwell": sent.amount, "fee_maxwell": sent.fee });
    output.result(&value, &text)
}

/// Replaces a payment.
pub fn bump(args: &BumpArgs, output: Output) -> anyhow::Result<()> {
    let sent = runtime::block_on(async {
        let (mut wallet, node) = args.online.synced().await?;
        let rate = args.fee.rate(&wallet, &node).await?;
        Ok(wallet.bump(&node, args.txid, rate).await?)
    })?;
    sent_result(&sent, output)
}

/// Draws a transaction along.
pub fn cpfp(args: &BumpArgs, output: Output) -> anyhow::Result<()> {
    let sent = runtime::block_on(async {
        let (mut wallet, node) = args.online.synced().await?;
        let rate = args.fee.rate(&wallet, &node).await?;
        Ok(wallet.cpfp(&node, args.txid, rate).await?)
    })?;
    sent_result(&sent, output)
}
