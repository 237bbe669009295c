//! Making a wallet, bringing one back, and its passphrase and public keys.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use mass_wallet::{Account, Origin, Passphrase, Seed, Wallet, Words};
use serde_json::json;
use zeroize::Zeroizing;

use super::place::{Place, first_line};
use crate::output::{Output, note};

/// What every new wallet is asked.
#[derive(Args)]
struct Fresh {
    #[command(flatten)]
    place: Place,
    /// Which addresses: bip84 (P2WPKH) or bip86 (taproot).
    #[arg(long, value_name = "ACCOUNT", default_value = "bip84")]
    account: Account,
    /// A file whose first line is the passphrase of the phrase (the "25th word"): without it the phrase alone opens
    /// nothing. It is not the passphrase that encrypts the files.
    #[arg(long, value_name = "FILE")]
    phrase_passphrase_file: Option<PathBuf>,
    /// Leave the files unencrypted without a question.
    #[arg(long, conflicts_with = "passphrase_file")]
    no_passphrase: bool,
}

impl Fresh {
    fn extra(&self) -> anyhow::Result<Zeroizing<String>> {
        self.phrase_passphrase_file.as_ref().map_or_else(|| Ok(Zeroizing::default()), first_line)
    }

    fn passphrase(&self, dir: &Path) -> anyhow::Result<Option<Passphrase>> {
        if Wallet::is_in(dir) {
            return Ok(None);
        }
        self.place.secret().new_one(self.no_passphrase)
    }
}

/// What a new wallet is made from.
#[derive(Args)]
pub struct CreateArgs {
    #[command(flatten)]
    fresh: Fresh,
    /// How many words the phrase has: 12, 15, 18, 21 or 24.
    #[arg(long, value_name = "N", default_value = "12", value_parser = ["12", "15", "18", "21", "24"])]
    words: String,
    /// A descriptor (any miniscript in wsh or tr), with <0;1> for addresses and change. `-` reads it from the
    /// standard input, as one with secret keys should be.
    #[arg(long, value_name = "DESCRIPTOR", conflicts_with_all = ["words", "account"])]
    descriptor: Option<String>,
    /// The descriptor of change, if the other has no <0;1>.
    #[arg(long, value_name = "DESCRIPTOR", requires = "descriptor")]
    change_descriptor: Option<String>,
    /// Sign with a phrase, read from the standard input, whose keys are among the descriptor's.
    #[arg(long, requires = "descriptor")]
    with_phrase: bool,
    /// The public key of an account, [fingerprint/84'/297'/0']tpub..., to watch it.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["descriptor", "words", "account"])]
    xpub: Option<String>,
}

/// What a wallet is restored from.
#[derive(Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    fresh: Fresh,
}

/// Which passphrase takes the place of the old one.
#[derive(Args)]
pub struct PassphraseArgs {
    #[command(flatten)]
    place: Place,
    /// A file whose first line is the new passphrase.
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Take the passphrase away.
    #[arg(long, conflicts_with = "new_passphrase_file")]
    remove: bool,
}

/// Makes a wallet.
pub fn create(args: &CreateArgs, output: Output) -> anyhow::Result<()> {
    let (spec, dir) = args.fresh.place.resolve()?;
    let extra = args.fresh.extra()?;
    let passphrase = args.fresh.passphrase(&dir)?;
    let mut shown = None;
    let origin = match (&args.descriptor, &args.xpub) {
        (Some(text), _) => {
            let text = if text == "-" { line("the descriptor")? } else { Zeroizing::new(text.clone()) };
            let seed =
                args.with_phrase.then(|| Ok::<_, anyhow::Error>(Seed::parse(&typed_phrase()?, &extra)?));
            let change = args.change_descriptor.clone().map(Zeroizing::new);
            Origin::Descriptors { text, change, seed: seed.transpose()? }
        }
        (None, Some(key)) => Origin::AccountKey(key.clone()),
        (None, None) => {
            let words = Words::ALL.into_iter().find(|words| words.count().to_string() == args.words);
            let seed = Seed::generate(words.unwrap_or_default(), &extra)?;
            shown = Some(seed.phrase());
            Origin::Account(seed, args.fresh.account)
        }
    };
    let mut wallet = Wallet::make(&dir, &spec, origin, passphrase.as_ref())?;
    let address = wallet.unused_address()?;
    let mut value = json!({ "wallet": dir, "address": address, "encrypted": wallet.is_encrypted(),
        "watch_only": wallet.is_watch_only() });
    let place = format!("wallet   {}\naddress  {address}", dir.display());
    let Some(phrase) = shown else { return output.result(&value, &place) };
    note(&format!(
        "Write these {} words down and show them to nobody. They are printed this once. Whoever has them\n\
         has the coins; without them, the coins are lost with the directory of the wallet.",
        args.words
    ));
    value["phrase"] = phrase.reveal().into();
    let text = Zeroizing::new(format!("{}\n\n{place}", phrase.reveal()));
    output.result(&value, &text)
}

fn line(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let read = io::stdin().read_line(&mut text);
    read.with_context(|| format!("{what} cannot be read from the standard input"))?;
    Ok(text)
}

fn typed_phrase() -> anyhow::Result<Zeroizing<String>> {
    if io::stdin().is_terminal() {
        note("Type the words of the seed phrase in one line:");
    }
    line("the phrase")
}

/// Makes a wallet from its phrase.
pub fn restore(args: &RestoreArgs, output: Output) -> anyhow::Result<()> {
    let (spec, dir) = args.fresh.place.resolve()?;
    let phrase = typed_phrase()?;
    let seed = Seed::parse(&phrase, &args.fresh.extra()?)?;
    let passphrase = args.fresh.passphrase(&dir)?;
    let origin = Origin::Account(seed, args.fresh.account);
    let wallet = Wallet::make(&dir, &spec, origin, passphrase.as_ref())?;
    let address = wallet.address(0);
    let text = format!("wallet   {}\naddress  {address}", dir.display());
    let value = json!({ "wallet": dir, "address": address, "encrypted": wallet.is_encrypted() });
    output.result(&value, &text)
}

/// Gives a wallet another passphrase.
pub fn change_passphrase(args: &PassphraseArgs, output: Output) -> anyhow::Result<()> {
    let (_, mut wallet) = args.place.open()?;
    let new = match &args.new_passphrase_file {
        _ if args.remove => None,
        Some(path) => Some(Passphrase::new(first_line(path)?.as_str())?),
        None if io::stdin().is_terminal() => {
            let Some(new) = super::place::typed_twice()? else {
                bail!("nothing was typed: --remove takes the passphrase away")
            };
            Some(new)
        }
        None => bail!("no terminal to type on: --new-passphrase-file names a file with the new passphrase"),
    };
    wallet.change_passphrase(new.as_ref())?;
    let text = if wallet.is_encrypted() { "the wallet is encrypted" } else { "the wallet is not encrypted" };
    output.result(&json!({ "encrypted": wallet.is_encrypted() }), text)
}

/// Prints the public descriptors.
pub fn descriptors(place: &Place, output: Output) -> anyhow::Result<()> {
    let (_, wallet) = place.open()?;
    let (external, internal) = wallet.descriptors();
    let text = [Some(external.clone()), internal.clone()].into_iter().flatten().collect::<Vec<_>>();
    output.result(&json!({ "descriptor": external, "change_descriptor": internal }), &text.join("\n"))
}

/// Prints a public key of the seed.
pub fn xpub(place: &Place, path: &str, output: Output) -> anyhow::Result<()> {
    let (_, wallet) = place.open()?;
    let key = wallet.public_key(path)?;
    output.result(&json!({ "key": key, "path": path }), &key)
}
