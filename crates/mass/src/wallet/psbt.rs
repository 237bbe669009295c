//! Payments of several signers.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use mass_ledger_utxo::{LedgerParams, format_mass};
use mass_wallet::{PSBT_BYTES_MAX, Psbt, PsbtView, combine, finalize, parse_psbt, transaction_hex, view};
use serde_json::{Value, json};

use super::{
    online::Online,
    pay::{SendArgs, sent_result},
    place::Place,
};
use crate::{chain, output::Output, runtime};

/// What to do with a payment.
#[derive(Subcommand)]
pub enum Command {
    /// Build a payment without signing it. Takes what `mass wallet send` takes.
    Create {
        #[command(flatten)]
        send: SendArgs,
        /// Write it to this file, in bytes, instead of printing its base64.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print what a payment says: what it spends, whom it pays, its fee, its signatures.
    Show {
        /// The payment.
        #[arg(value_name = "PSBT")]
        psbt: String,
        /// The chain, for the form of addresses.
        #[arg(long, value_name = "CHAIN", default_value = "dev")]
        chain: String,
    },
    /// Add the wallet's signatures.
    Sign {
        #[command(flatten)]
        place: Place,
        /// The payment.
        #[arg(value_name = "PSBT")]
        psbt: String,
        /// Write it to this file, in bytes, instead of printing its base64.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Put the signatures of several signers together.
    Combine {
        /// The same payment from each signer.
        #[arg(value_name = "PSBT", required = true)]
        psbts: Vec<String>,
        /// Write it to this file, in bytes, instead of printing its base64.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make the witnesses from the signatures, and check them; fails if any is missing.
    Finalize {
        /// The payment.
        #[arg(value_name = "PSBT")]
        psbt: String,
        /// Print the hex of the transaction instead, for `mass rpc sendrawtransaction`.
        #[arg(long)]
        extract: bool,
        /// Write it to this file, in bytes, instead of printing its base64.
        #[arg(long, value_name = "FILE", conflicts_with = "extract")]
        out: Option<PathBuf>,
    },
    /// Finalize a payment and give it to the node.
    Send {
        #[command(flatten)]
        online: Online,
        /// The payment.
        #[arg(value_name = "PSBT")]
        psbt: String,
    },
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<()> {
    match command {
        Command::Create { send, out } => {
            let psbt = runtime::block_on(async {
                let (mut wallet, client) = send.online().synced().await?;
                let payment = send.payment(&wallet, &client).await?;
                Ok(wallet.draft(&payment)?)
            })?;
            give(&psbt, out.as_deref(), json!({}), output)
        }
        Command::Show { psbt, chain } => {
            let spec = chain::load(chain)?;
            let params = LedgerParams::from_json(spec.rules().ledger.params.clone())?;
            let view = view(&read(psbt)?, &params.address_prefix, |_| false);
            output.result(&describe(&view), &text(&view))
        }
        Command::Sign { place, psbt, out } => {
            let mut psbt = read(psbt)?;
            let (_, wallet) = place.open()?;
            let signed = wallet.sign_psbt(&mut psbt)?;
            ensure!(signed > 0, "the wallet has no key for this payment, or it is signed already");
            let complete = wallet.view_psbt(&psbt).complete;
            give(&psbt, out.as_deref(), json!({ "signed": signed, "complete": complete }), output)
        }
        Command::Combine { psbts, out } => {
            let psbts = psbts.iter().map(|psbt| read(psbt)).collect::<Result<_, _>>()?;
            give(&combine(psbts)?, out.as_deref(), json!({}), output)
        }
        Command::Finalize { psbt, extract, out } => {
            let mut psbt = read(psbt)?;
            if *extract {
                let (txid, hex) = transaction_hex(psbt)?;
                return output.result(&json!({ "hex": hex, "txid": txid.to_string() }), &hex);
            }
            finalize(&mut psbt)?;
            give(&psbt, out.as_deref(), json!({ "complete": true }), output)
        }
        Command::Send { online, psbt } => {
            let psbt = read(psbt)?;
            let sent = runtime::block_on(async {
                let (mut wallet, client) = online.synced().await?;
                Ok(wallet.send_psbt(&client, psbt).await?)
            })?;
            sent_result(&sent, output)
        }
    }
}

/// Reads a payment: from the standard input, from a file, or from the text itself.
fn read(text: &str) -> anyhow::Result<Psbt> {
    let most = 2 * PSBT_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    if text == "-" {
        io::stdin().take(most).read_to_end(&mut bytes).context("the standard input")?;
    } else if Path::new(text).is_file() {
        fs::File::open(text)
            .and_then(|file| file.take(most).read_to_end(&mut bytes))
            .context(text.to_owned())?;
    } else {
        bytes = text.as_bytes().to_vec();
    }
    Ok(parse_psbt(&bytes)?)
}

/// Gives a payment out: as base64, or into a file.
fn give(psbt: &Psbt, out: Option<&Path>, mut value: Value, output: Output) -> anyhow::Result<()> {
    let base64 = psbt.to_string();
    let Some(path) = out else {
        value["psbt"] = base64.clone().into();
        return output.result(&value, &base64);
    };
    ensure!(!path.exists(), "{} exists already and is not overwritten", path.display());
    fs::write(path, psbt.serialize()).with_context(|| path.display().to_string())?;
    value["file"] = json!(path);
    output.result(&value, &path.display().to_string())
}

fn describe(view: &PsbtView) -> Value {
    let inputs = view.inputs.iter().map(|input| {
        json!({ "coin": input.coin.to_string(), "amount_maxwell": input.amount, "address": input.address,
            "signatures": input.signatures, "final": input.complete })
    });
    let outputs =
        view.outputs.iter().map(|out| json!({ "amount_maxwell": out.amount, "address": out.address }));
    json!({ "txid": view.txid.to_string(), "inputs": inputs.collect::<Value>(), "outputs": outputs.collect::<Value>(),
        "fee_maxwell": view.fee, "complete": view.complete })
}

fn text(view: &PsbtView) -> String {
    let amount = |amount: Option<mass_primitives::Amount>| amount.map_or("?".to_owned(), format_mass);
    let mut text = format!("transaction  {}\n", view.txid);
    for input in &view.inputs {
        let address = input.address.as_deref().unwrap_or("?");
        text.push_str(&format!(
            "spends       {} MASS of {address}, {} signatures\n",
            amount(input.amount),
            input.signatures
        ));
    }
    for out in &view.outputs {
        let address = out.address.as_deref().unwrap_or("no address");
        text.push_str(&format!("pays         {} MASS to {address}\n", format_mass(out.amount)));
    }
    let state = if view.complete { "complete: it can be sent" } else { "signatures are missing" };
    text.push_str(&format!("fee          {} MASS\nstate        {state}", amount(view.fee)));
    text
}
