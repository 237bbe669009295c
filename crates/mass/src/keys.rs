//! `mass keys`: the farmer's secret, in a file that only its owner reads.
//!
//! The file holds 32 random bytes in hex and a line feed. The secret is never printed, and every buffer that
//! held it is wiped.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use mass_consensus::keys::FarmerSecret;
use mass_farmer::SigningGuard;
use mass_primitives::FarmerPublicKey;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    output::{Output, Verdict, note},
    paths,
};

const SECRET_BYTES: usize = 32;
/// A record has a line of some hundred bytes for each chain and key.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// What to do with the farmer key.
#[derive(Subcommand)]
pub enum Command {
    /// Make a new farmer key and print its public half.
    ///
    /// Plots are bound to the key for good: whoever loses the file loses what the plots could win, so keep a
    /// copy. A file that exists is never overwritten.
    Create {
        /// Where to put the key [default: farmer.key in the user's data directory].
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Carry the record of signed slots to another machine, so that the key never seals a slot twice.
    #[command(subcommand)]
    Guard(Guard),
    /// Print the public half of the farmer key.
    Show {
        /// Where the key is [default: farmer.key in the user's data directory].
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// What to do with the record of signed slots. No farmer may use it meanwhile.
#[derive(Subcommand)]
pub enum Guard {
    /// Print the record. Stop the farmer for good first: a slot that it signs later is not in it.
    Export {
        /// The record [default: signed.json in the user's data directory].
        #[arg(long, value_name = "FILE")]
        guard: Option<PathBuf>,
    },
    /// Take over a record from the standard input: last slots rise, none falls.
    Import {
        /// The record to add to [default: signed.json in the user's data directory].
        #[arg(long, value_name = "FILE")]
        guard: Option<PathBuf>,
    },
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    let (file, public) = match command {
        Command::Guard(command) => return guard(command, output),
        Command::Create { file } => {
            let file = file_or_default(file.as_deref())?;
            let public = create(&file)?;
            (file, public)
        }
        Command::Show { file } => {
            let file = file_or_default(file.as_deref())?;
            let public = read_public(&file)?;
            (file, public)
        }
    };
    output.result(&json!({ "farmer": public, "file": file }), &public.to_string())?;
    Ok(Verdict::Good)
}

/// The record of signed slots given, or the user's own.
pub fn guard_or_default(file: Option<&Path>) -> anyhow::Result<PathBuf> {
    paths::file_or(file, "signed.json")
}

fn guard(command: &Guard, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Guard::Export { guard } => {
            let file = guard_or_default(guard.as_deref())?;
            anyhow::ensure!(file.exists(), "{} does not exist: nothing was signed", file.display());
            let text = SigningGuard::open(&file)?.export();
            output.result(&serde_json::from_str(&text)?, &text)?;
        }
        Guard::Import { guard } => {
            let file = guard_or_default(guard.as_deref())?;
            let mut text = String::new();
            io::stdin().take(RECORD_BYTES_MAX).read_to_string(&mut text).context("the standard input")?;
            let raised = SigningGuard::open(&file)?.import(&text)?;
            let value = json!({ "guard": file, "raised": raised });
            output.result(&value, &format!("{raised} last slots have risen in {}", file.display()))?;
        }
    }
    Ok(Verdict::Good)
}

/// The file given, or the user's own.
pub fn file_or_default(file: Option<&Path>) -> anyhow::Result<PathBuf> {
    paths::file_or(file, "farmer.key")
}

/// The public half of the key in a file.
pub fn read_public(file: &Path) -> anyhow::Result<FarmerPublicKey> {
    Ok(read_secret(file)?.public())
}

/// The key in a file.
pub fn read_secret(file: &Path) -> anyhow::Result<FarmerSecret> {
    let text = match fs::read(file) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{} does not exist: `mass keys create` makes a key", file.display())
        }
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    let mut seed = Zeroizing::new([0u8; SECRET_BYTES]);
    hex::decode_to_slice(text.trim_ascii(), &mut *seed)
        .map_err(|_| anyhow!("{} is no farmer key: 64 hex digits expected", file.display()))?;
    let mode = fs::metadata(file).with_context(|| file.display().to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        note(&format!("warning: others can read {}: chmod 600 it", file.display()));
    }
    Ok(FarmerSecret::from_seed(&seed))
}

/// Makes a key file; its public half.
pub fn create(file: &Path) -> anyhow::Result<FarmerPublicKey> {
    let mut seed = Zeroizing::new([0u8; SECRET_BYTES]);
    getrandom::fill(&mut *seed).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    let mut text = Zeroizing::new([b'\n'; 2 * SECRET_BYTES + 1]);
    let (digits, _) = text.split_at_mut(2 * SECRET_BYTES);
    hex::encode_to_slice(seed.as_slice(), digits).map_err(|error| anyhow!("the key has no hex: {error}"))?;
    write_new(file, &*text)?;
    Ok(FarmerSecret::from_seed(&seed).public())
}

/// Writes a file that is not there yet, for its owner alone, and makes it durable.
fn write_new(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let mut out = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(out) => out,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists already and is not overwritten", file.display())
        }
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    let written = out.write_all(bytes).and_then(|()| out.sync_all());
    if written.is_err() {
        // Half a key is none; the error that led here matters more than one of tidying up.
        let _ = fs::remove_file(file);
    }
    written.with_context(|| file.display().to_string())?;
    File::open(parent).and_then(|dir| dir.sync_all()).with_context(|| parent.display().to_string())
}
