//! Where a wallet is, and how it opens.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use mass_consensus::spec::ChainSpec;
use mass_wallet::{Passphrase, Wallet};
use serde_json::json;
use zeroize::Zeroizing;

use super::advise;
use crate::{
    chain,
    output::{Output, note, table},
    paths,
};

/// Bytes of a passphrase file at the most.
const FILE_BYTES_MAX: u64 = 4_096;

/// Which wallet.
#[derive(Args)]
pub struct Place {
    /// The chain of the wallet: dev, testnet, massnet or a spec file.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    chain: String,
    /// The directory of the wallet [default: wallets/<chain>/<name> in the user's data directory].
    #[arg(long, value_name = "DIR")]
    wallet: Option<PathBuf>,
    /// The name of the wallet, of several in the user's data directory.
    #[arg(long, value_name = "NAME", default_value = "default", conflicts_with = "wallet")]
    name: String,
    #[command(flatten)]
    secret: Secret,
}

/// The passphrase, for who does not type it.
#[derive(Args)]
pub struct Secret {
    /// A file whose first line is the wallet's passphrase. MASS_WALLET_PASSPHRASE in the environment holds it as well;
    /// a command line does not, for other users see those.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

const VARIABLE: &str = "MASS_WALLET_PASSPHRASE";

impl Secret {
    /// The passphrase that was given beside the terminal.
    pub fn given(&self) -> anyhow::Result<Option<Passphrase>> {
        if let Some(path) = &self.passphrase_file {
            return Ok(Some(Passphrase::new(first_line(path)?.as_str())?));
        }
        match std::env::var(VARIABLE) {
            Ok(text) => Ok(Some(Passphrase::new(text)?)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(error) => Err(error).context(VARIABLE),
        }
    }

    /// A passphrase for a new wallet: the one given, or typed twice, or none.
    pub fn new_one(&self, none: bool) -> anyhow::Result<Option<Passphrase>> {
        if none {
            return Ok(None);
        }
        if let Some(given) = self.given()? {
            return Ok(Some(given));
        }
        let typed = if io::stdin().is_terminal() { typed_twice()? } else { None };
        if typed.is_none() {
            note(
                "warning: the wallet is not encrypted: whoever reads its files has the coins. `mass wallet \
                 passphrase` changes that",
            );
        }
        Ok(typed)
    }
}

/// The first line of a small file, such as one that holds a secret.
pub fn first_line(path: &PathBuf) -> anyhow::Result<Zeroizing<String>> {
    let size = fs::metadata(path).with_context(|| path.display().to_string())?.len();
    ensure!(size <= FILE_BYTES_MAX, "{}: no file of a passphrase has {size} bytes", path.display());
    let text = Zeroizing::new(fs::read_to_string(path).with_context(|| path.display().to_string())?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn prompt(text: &str) -> anyhow::Result<Zeroizing<String>> {
    rpassword::prompt_password(text).map(Zeroizing::new).context("the passphrase cannot be read")
}

/// A new passphrase, typed twice; `None` if nothing was typed.
pub fn typed_twice() -> anyhow::Result<Option<Passphrase>> {
    let one = prompt("New passphrase of the wallet (empty for none): ")?;
    if one.is_empty() {
        return Ok(None);
    }
    let two = prompt("The same again: ")?;
    if *one != *two {
        bail!("the two are not the same");
    }
    Ok(Some(Passphrase::new(one.as_str())?))
}

impl Place {
    /// The chain and the directory.
    pub fn resolve(&self) -> anyhow::Result<(ChainSpec, PathBuf)> {
        let spec = chain::load(&self.chain)?;
        check_name(&self.name)?;
        let dir = match &self.wallet {
            Some(dir) => dir.clone(),
            None => paths::data_dir()?.join("wallets").join(&spec.rules().name).join(&self.name),
        };
        Ok((spec, dir))
    }

    /// What was said of the passphrase.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The passphrase of the wallet in `dir`, if it needs one: given, or else typed.
    pub fn passphrase(&self, dir: &std::path::Path) -> anyhow::Result<Option<Passphrase>> {
        if !Wallet::needs_passphrase(dir).map_err(advise)? {
            return Ok(None);
        }
        if let Some(given) = self.secret.given()? {
            return Ok(Some(given));
        }
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        Ok(Some(Passphrase::new(prompt("Passphrase of the wallet: ")?.as_str())?))
    }

    /// Opens the wallet.
    pub fn open(&self) -> anyhow::Result<(ChainSpec, Wallet)> {
        let (spec, dir) = self.resolve()?;
        let passphrase = self.passphrase(&dir)?;
        let wallet = Wallet::open_with(&dir, &spec, passphrase.as_ref()).map_err(advise)?;
        if wallet.was_damaged() {
            note(
                "warning: what the wallet knew of the chain was damaged; nothing is lost, the node is asked again",
            );
        }
        Ok((spec, wallet))
    }
}

/// Refuses a name that could not be that of a directory beside others.
pub fn check_name(name: &str) -> anyhow::Result<()> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_good = name.bytes().all(is_name) && !name.starts_with('.') && !name.is_empty();
    ensure!(is_good, "the name of a wallet is letters, digits and -_. such as savings-2");
    Ok(())
}

/// Lists the wallets of a chain.
pub fn list(chain: &str, output: Output) -> anyhow::Result<()> {
    let spec = chain::load(chain)?;
    let dir = paths::data_dir()?.join("wallets").join(&spec.rules().name);
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir).into_iter().flatten() {
        let path = entry.with_context(|| dir.display().to_string())?.path();
        if Wallet::is_in(&path) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((name, Wallet::needs_passphrase(&path).ok(), path));
        }
    }
    found.sort();
    let mut rows = vec![["name", "encrypted", "directory"].map(str::to_owned).to_vec()];
    let word = |encrypted: Option<bool>| match encrypted {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unreadable",
    };
    rows.extend(found.iter().map(|(name, encrypted, path)| {
        vec![name.clone(), word(*encrypted).to_owned(), path.display().to_string()]
    }));
    let text = if found.is_empty() { format!("no wallets in {}", dir.display()) } else { table(&rows) };
    let value = found
        .iter()
        .map(|(name, encrypted, path)| json!({ "name": name, "encrypted": encrypted, "wallet": path }));
    output.result(&value.collect(), &text)
}
