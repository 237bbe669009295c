//! `mass wallet`: coins of one owner on one chain. Making and guarding a wallet is in [`keys`], where it is and how it
//! opens in [`place`], what needs a node in [`online`] and [`pay`], and payments of several signers in [`psbt`].

mod coins;
mod keys;
mod labels;
mod online;
mod pay;
mod place;
mod psbt;
mod serve;
mod within;

use clap::Subcommand;
use mass_wallet::WalletError;
use serde_json::json;

use self::place::Place;
pub use self::within::{Waiting, WalletArgs};
use crate::output::{Output, Verdict};

/// What to do with a wallet.
#[derive(Subcommand)]
pub enum Command {
    /// Make a new wallet, and print its seed phrase this once.
    ///
    /// The phrase is the wallet: 12 to 24 words from which all its keys follow (BIP-39, BIP-84, coin type 297).
    /// Write it down on paper. Whoever reads it has the coins, and without it they are lost with the disk. A
    /// wallet that exists is never overwritten.
    ///
    /// With a passphrase (asked for on a terminal, or by --passphrase-file or MASS_WALLET_PASSPHRASE) all files of
    /// the wallet are encrypted. It guards the disk; the phrase alone still brings the coins back.
    ///
    /// With --descriptor or --xpub the wallet is of the keys in them: without secret ones it watches only. Coins of
    /// several owners:
    ///
    ///   mass wallet xpub --path "48'/297'/0'/2'"       (each owner)
    ///   mass wallet create --name shared --descriptor "wsh(sortedmulti(2,KEY1/<0;1>/*,KEY2/<0;1>/*))"
    #[command(verbatim_doc_comment)]
    Create(keys::CreateArgs),
    /// Make a wallet from a seed phrase that was written down.
    ///
    /// The phrase is read from the standard input, so that it does not stay in the shell's history. The first
    /// `mass wallet balance` then reads the whole chain and finds the coins.
    Restore(keys::RestoreArgs),
    /// List the wallets of a chain in the user's data directory.
    List {
        /// The chain of the wallets: dev, testnet, massnet or a spec file.
        #[arg(long, value_name = "CHAIN", default_value = "dev")]
        chain: String,
    },
    /// Change the wallet's passphrase, give it one, or take it away.
    ///
    /// Whoever has a copy of the old seed file still opens that with the old passphrase.
    Passphrase(keys::PassphraseArgs),
    /// Print the wallet's public descriptors, for a wallet that watches it or for other programs.
    ///
    /// Who has them sees all coins and payments, and can spend nothing.
    Descriptors {
        #[command(flatten)]
        place: Place,
    },
    /// Print the public key of the wallet's seed at a path, with its origin, for coins of several owners.
    Xpub {
        #[command(flatten)]
        place: Place,
        /// The path, as in 48'/297'/0'/2' for wsh of several owners.
        #[arg(long, value_name = "PATH", default_value = "84'/297'/0'")]
        path: String,
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
        /// A label for the address, for its owner alone.
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
    },
    /// Print what the wallet has, as the node sees the chain now.
    ///
    /// Spendable is what a payment can use: coins in blocks, and the change of own payments that still wait.
    /// Incoming are payments of others that no block holds yet. Immature are block rewards: a chain pays them
    /// late (Mass Net 1,820 blocks after the block, dev 4), and they can be spent 100 blocks after that. Earned is
    /// what blocks have earned for an address of the wallet and was not paid yet; with --farmer-key, what that key
    /// has earned for whatever address.
    ///
    /// A node can hide or invent payments. With --light the wallet checks all itself: headers, seals, and the
    /// filters by which it finds its blocks, from one node or better from several (--node A --node B).
    Balance(online::BalanceArgs),
    /// Check the chain without trust in a node, and say which nodes lied.
    ///
    /// Every header is proven and linked: proof of space, VRF, seal, seed, difficulty. Of several nodes the heaviest
    /// chain counts, and filters on which they differ are settled by the blocks themselves. The exit code is 1 if a
    /// node lied, even if another one told the truth.
    Sync(online::Online),
    /// Pay amounts to addresses.
    ///
    ///   mass wallet send ADDRESS 12.5
    ///   mass wallet send ADDRESS1 1 ADDRESS2 0.5
    ///   mass wallet send --max ADDRESS
    ///
    /// The fee is the fee rate times the size of the payment, some 150 vbytes for a small one. A payment cannot
    /// be called back, but until a block holds it `bump` replaces it by one with a higher fee. One that you received is
    /// sure when a few blocks stand above its own.
    #[command(verbatim_doc_comment)]
    Send(pay::SendArgs),
    /// Replace a payment that waits by one with a higher fee (BIP-125).
    Bump(pay::BumpArgs),
    /// Draw a transaction that waits along, by spending what the wallet got from it at a higher fee.
    ///
    /// The fee rate is that of both together. This works for payments of others, which `bump` cannot replace.
    Cpfp(pay::BumpArgs),
    /// List what came and went, oldest first.
    ///
    /// A payment without a height waits for a block. With --csv as a table for spreadsheets and bookkeeping.
    History(online::HistoryArgs),
    /// List the coins of the wallet, one by one.
    Coins(online::Reading),
    /// Keep a coin from being spent.
    Freeze(coins::CoinArgs),
    /// Let a frozen coin be spent again.
    Unfreeze(coins::CoinArgs),
    /// Labels of transactions, addresses and coins, as other wallets have them (BIP-329).
    #[command(subcommand)]
    Label(labels::Command),
    /// Serve wallets over RPC with the names of Bitcoin Core's wallet calls, on this machine alone.
    ///
    /// getnewaddress, getbalance, listunspent, sendtoaddress, walletcreatefundedpsbt and the others behave as there.
    /// What is asked of the chain, as getblockcount, is passed on to the node. Of several wallets the path names one:
    /// http://127.0.0.1:PORT/wallet/NAME. Keys of an encrypted wallet are locked until walletpassphrase.
    Serve(serve::ServeArgs),
    /// Payments that go from one signer to the next (BIP-174, version 0).
    ///
    /// Where a payment is asked for it is a file, `-` for the standard input, or the base64 itself.
    #[command(subcommand)]
    Psbt(psbt::Command),
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Command::Create(args) => keys::create(args, output)?,
        Command::Restore(args) => keys::restore(args, output)?,
        Command::List { chain } => place::list(chain, output)?,
        Command::Passphrase(args) => keys::change_passphrase(args, output)?,
        Command::Descriptors { place } => keys::descriptors(place, output)?,
        Command::Xpub { place, path } => keys::xpub(place, path, output)?,
        Command::Address { place, new, label } => address(place, *new, label.as_deref(), output)?,
        Command::Balance(args) => online::balance(args, output)?,
        Command::Sync(args) => return online::sync(args, output),
        Command::Send(args) => pay::send(args, output)?,
        Command::Bump(args) => pay::bump(args, output)?,
        Command::Cpfp(args) => pay::cpfp(args, output)?,
        Command::History(args) => online::history(args, output)?,
        Command::Coins(reading) => coins::list(reading, output)?,
        Command::Freeze(args) => coins::freeze(args, true, output)?,
        Command::Unfreeze(args) => coins::freeze(args, false, output)?,
        Command::Label(command) => labels::run(command, output)?,
        Command::Serve(args) => serve::serve(args, output)?,
        Command::Psbt(command) => psbt::run(command, output)?,
    }
    Ok(Verdict::Good)
}

fn address(place: &Place, new: bool, label: Option<&str>, output: Output) -> anyhow::Result<()> {
    let (_, mut wallet) = place.open()?;
    let address = if new { wallet.new_address()? } else { wallet.unused_address()? };
    if let Some(label) = label {
        wallet.set_label("addr", &address, label)?;
    }
    output.result(&json!({ "address": address, "label": wallet.label("addr", &address) }), &address)
}

/// A word of advice to an error that has one.
fn advise(error: WalletError) -> anyhow::Error {
    let advice = match &error {
        WalletError::Missing(_) => "`mass wallet create` makes a wallet",
        WalletError::PassphraseMissing(_) => {
            "give it on a terminal, by --passphrase-file or by MASS_WALLET_PASSPHRASE"
        }
        _ => return error.into(),
    };
    anyhow::Error::new(error).context(advice)
}
