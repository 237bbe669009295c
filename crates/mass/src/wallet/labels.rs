//! Labels that a wallet's owner gives.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::place::Place;
use crate::output::Output;

/// What to do with labels.
#[derive(Subcommand)]
pub enum Command {
    /// Give a transaction, an address or a coin a label; an empty one takes it away.
    Set {
        #[command(flatten)]
        place: Place,
        /// What is labelled: tx, addr or output.
        #[arg(value_name = "TYPE", value_parser = ["tx", "addr", "output", "input", "pubkey", "xpub"])]
        kind: String,
        /// Which one: a transaction's id, an address, or TXID:N.
        #[arg(value_name = "REF")]
        reference: String,
        /// The label.
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Print all labels and frozen coins, a JSON object to a line (BIP-329).
    Export {
        #[command(flatten)]
        place: Place,
    },
    /// Take the labels of a file, as `export` of this or another wallet wrote them.
    Import {
        #[command(flatten)]
        place: Place,
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<()> {
    match command {
        Command::Set { place, kind, reference, text } => {
            let (_, mut wallet) = place.open()?;
            wallet.set_label(kind, reference, text)?;
            output.result(&json!({ "type": kind, "ref": reference, "label": text }), "done")
        }
        Command::Export { place } => {
            let (_, wallet) = place.open()?;
            let lines = wallet.export_labels();
            if output.json {
                let values =
                    lines.lines().map(serde_json::from_str::<Value>).collect::<Result<Value, _>>()?;
                return output.result(&values, "");
            }
            output.result(&json!(null), &lines)
        }
        Command::Import { place, file } => {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let (_, mut wallet) = place.open()?;
            let count = wallet.import_labels(&text).with_context(|| file.display().to_string())?;
            output.result(&json!({ "labels": count }), &format!("{count} labels"))
        }
    }
}
