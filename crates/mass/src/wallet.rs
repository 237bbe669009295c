//! `mass wallet`: coins of one owner on one chain. What needs a node is in [`online`].

mod online;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use mass_consensus::spec::ChainSpec;
use mass_wallet::{Wallet, WalletError, Words};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    chain,
    output::{Output, Verdict, note},
    paths,
};

/// What to do with a wallet.
#[derive(Subcommand)]
pub enum Command {
    /// Make a new wallet, and print its seed phrase this once.
    ///
    /// The phrase is the wallet: 12 or 24 words from which all its keys follow (BIP-39, BIP-84, coin type 297).
    /// Write it down on paper. Whoever reads it has the coins, and without it they are lost with the disk. A
    /// wallet that exists is never overwritten.
    Create {
        #[command(flatten)]
        place: Place,
        /// How many words the phrase has: 12 or 24.
        #[arg(long, value_name = "N", default_value = "12", value_parser = ["12", "24"])]
        words: String,
    },
    /// Make a wallet from a seed phrase that was written down.
    ///
    /// The phrase is read from the standard input, so that it does not stay in the shell's history. The first
    /// `mass wallet balance` then reads the whole chain and finds the coins.
    Restore {
        #[command(flatten)]
        place: Place,
    },
    /// Print an address to be paid at.
    ///
    /// The same one until it is paid; --new gives out another. A fresh address for each payer keeps them from
    /// seeing each other. Of addresses that nobody pays, give out no more than 100 in a row: a wallet that is
    /// restored from its phrase does not look further.
    Address {
        #[command(flatten)]
        place: Place,
        /// An address that was never given out.
        #[arg(long)]
        new: bool,
    },
    /// Print what the wallet has, as the node sees the chain now.
    ///
    /// Spendable is what a payment can use: coins in blocks, and the change of own payments that still wait.
    /// Incoming are payments of others that no block holds yet. Immature are block rewards: a chain pays them
    /// late (Mass Net 1,820 blocks after the block, dev 4), and they can be spent 100 blocks after that. What a
    /// farmer has earned and was not paid yet is in no wallet: `mass rpc mass_pending FARMER-KEY` shows it.
    Balance(online::Reading),
    /// Pay an amount to an address.
    ///
    /// The fee is the fee rate times the size of the payment, some 150 vbytes for a small one. A payment cannot
    /// be called back. One that you received is sure when a few blocks stand above its own.
    Send(online::SendArgs),
    /// List what came and went, oldest first.
    ///
    /// A payment without a height waits for a block.
    History(online::Reading),
}

/// Which wallet.
#[derive(Args)]
pub struct Place {
    /// The chain of the wallet: dev, testnet, massnet or a spec file.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    chain: String,
    /// The directory of the wallet [default: wallets/<chain>/default in the user's data directory].
    #[arg(long, value_name = "DIR")]
    wallet: Option<PathBuf>,
}

impl Place {
    fn resolve(&self) -> anyhow::Result<(ChainSpec, PathBuf)> {
        let spec = chain::load(&self.chain)?;
        let dir = match &self.wallet {
            Some(dir) => dir.clone(),
            None => paths::data_dir()?.join("wallets").join(&spec.rules().name).join("default"),
        };
        Ok((spec, dir))
    }

    fn open(&self) -> anyhow::Result<(ChainSpec, Wallet)> {
        let (spec, dir) = self.resolve()?;
        let wallet = Wallet::open(&dir, &spec).map_err(|error| match error {
            WalletError::Missing(_) => {
                anyhow::Error::new(error).context("`mass wallet create` makes a wallet")
            }
            other => other.into(),
        })?;
        if wallet.was_damaged() {
            note(
                "warning: what the wallet knew of the chain was damaged; nothing is lost, the node is asked again",
            );
        }
        Ok((spec, wallet))
    }
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Command::Create { place, words } => create(place, words, output)?,
        Command::Restore { place } => restore(place, output)?,
        Command::Address { place, new } => address(place, *new, output)?,
        Command::Balance(reading) => online::balance(reading, output)?,
        Command::Send(args) => online::send(args, output)?,
        Command::History(reading) => online::history(reading, output)?,
    }
    Ok(Verdict::Good)
}

fn create(place: &Place, words: &str, output: Output) -> anyhow::Result<()> {
    let (spec, dir) = place.resolve()?;
    let length = if words == "24" { Words::TwentyFour } else { Words::Twelve };
    let (mut wallet, phrase) = Wallet::create(&dir, &spec, length)?;
    let address = wallet.unused_address()?;
    note(&format!(
        "Write these {words} words down and show them to nobody. They are printed this once. Whoever has them\n\
         has the coins; without them, the coins are lost with the directory of the wallet."
    ));
    let text =
        Zeroizing::new(format!("{}\n\nwallet   {}\naddress  {address}", phrase.reveal(), dir.display()));
    let value = json!({ "phrase": phrase.reveal(), "wallet": dir, "address": address });
    output.result(&value, &text)
}

fn restore(place: &Place, output: Output) -> anyhow::Result<()> {
    let (spec, dir) = place.resolve()?;
    if io::stdin().is_terminal() {
        note("Type the words of the seed phrase in one line:");
    }
    let mut phrase = Zeroizing::new(String::new());
    io::stdin().read_line(&mut phrase).context("the phrase cannot be read from the standard input")?;
    let wallet = Wallet::restore(&dir, &spec, &phrase)?;
    let address = wallet.address(0);
    let text = format!("wallet   {}\naddress  {address}", dir.display());
    output.result(&json!({ "wallet": dir, "address": address }), &text)
}

fn address(place: &Place, new: bool, output: Output) -> anyhow::Result<()> {
    let (_, mut wallet) = place.open()?;
    let address = if new { wallet.new_address()? } else { wallet.unused_address()? };
    output.result(&json!({ "address": address }), &address)
}
