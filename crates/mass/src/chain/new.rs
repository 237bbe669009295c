//! `mass chain new`: a chain spec and a crate with a ledger and a program, for who has a ledger and wants consensus.
//!
//! The crate is the example `examples/notes` under another name, so that what is written here is what our tests
//! compile and run.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use mass_consensus::spec::{ChainSpec, ChainSpecFile, Hints, LedgerRules};
use mass_primitives::Seed;
use serde_json::json;

use crate::output::Output;

/// The example's ledger.
const LEDGER: &str = include_str!("../../../../examples/notes/src/ledger.rs");

/// The example's program.
const MAIN: &str = include_str!("../../../../examples/notes/src/main.rs");

/// How the example's ledger is named in chain specs.
const KIND: &str = "const KIND: &'static str = \"notes\";";

/// The checkout that this program was built from.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Packages that crawl without optimisation, as in the engine's own workspace.
const OPTIMISED: [(&str, u8); 9] = [
    ("mass-proof-of-space", 3),
    ("mass-primitives", 2),
    ("mass-consensus", 2),
    ("schnorrkel", 3),
    ("curve25519-dalek", 3),
    ("merlin", 3),
    ("keccak", 3),
    ("sha2", 3),
    ("ruint", 3),
];

/// What chain to make, and where.
#[derive(Args)]
pub struct NewArgs {
    /// Name of the chain: a-z, 0-9 and -, and a letter first.
    name: String,
    /// The directory to make [default: the name, in the working directory].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The chain whose beacon it inherits, a built-in one or a spec file: the same plots then farm both, and one read
    /// of a disk serves both. Without it the chain has its own beacon, and the parameters of dev.
    #[arg(long, value_name = "CHAIN")]
    beacon: Option<String>,
    /// The checkout of the engine that the crate is to be built with [default: the one that this program was built from].
    #[arg(long, value_name = "DIR")]
    engine: Option<PathBuf>,
}

/// Makes spec and crate.
pub fn run(args: &NewArgs, output: Output) -> anyhow::Result<()> {
    let parent = args.beacon.as_deref().map(super::load).transpose()?;
    let spec = fresh_spec(&args.name, parent.as_ref())?;
    let engine = engine(args.engine.as_deref())?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    fs::create_dir(&dir).with_context(|| format!("{}: a new directory is needed", dir.display()))?;
    let written = write_crate(&dir, &spec, parent.as_ref(), &engine);
    if written.is_err() {
        let _ = fs::remove_dir_all(&dir);
    }
    written?;
    let beacon = parent.as_ref().map_or("its own", |parent| &parent.rules().name);
    let shown = dir.display();
    let text = format!(
        "chain    {}\nid       {}\nbeacon   {beacon}\nspec     {shown}/chain.json\nledger   {shown}/src/ledger.rs\n\
         build    cargo build --manifest-path {shown}/Cargo.toml\nprogram  {shown}/target/debug/{}",
        args.name,
        spec.id(),
        program(&spec)
    );
    let value = json!({
        "name": args.name, "id": spec.id(), "dir": dir, "spec": dir.join("chain.json"),
        "beacon": spec.beacon_id(), "inherits": parent.is_some(), "program": program(&spec),
        "peer_port": spec.hints().peer_port, "rpc_port": spec.hints().rpc_port,
    });
    output.result(&value, &text)
}

fn program(spec: &ChainSpec) -> String {
    format!("{}-node", spec.rules().name)
}

/// A spec that no chain has: its seed is drawn here, so its id is new.
fn fresh_spec(name: &str, parent: Option<&ChainSpec>) -> anyhow::Result<ChainSpec> {
    ensure!(name.starts_with(|first: char| first.is_ascii_lowercase()), "the name must begin with a letter");
    ensure!(ChainSpec::built_in(name).is_none(), "{name} is the name of a built-in chain");
    let dev = ChainSpec::built_in("dev").context("the dev chain is built in")?;
    let mut rules = parent.unwrap_or(&dev).rules().clone();
    let (mut seed, mut port) = ([0u8; 32], [0u8; 2]);
    getrandom::fill(&mut seed)
        .and_then(|()| getrandom::fill(&mut port))
        .map_err(|error| anyhow!("{error}"))?;
    name.clone_into(&mut rules.name);
    rules.seed_initial = Seed::new(seed);
    rules.ledger = LedgerRules { kind: name.to_owned(), params: json!({}) };
    match parent {
        Some(parent) => rules.beacon = Some(*parent.id()),
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
            rules.genesis_time = u32::try_from(now.as_secs()).context("the clock is after 2106")?;
        }
    }
    // Below what systems give to outgoing connections, and seldom somebody else's.
    let peer_port = 20_000 + u16::from_le_bytes(port) % 4_000 * 2;
    let hints = Hints { peer_port, rpc_port: peer_port + 1, ..Hints::default() };
    let spec = ChainSpec::new(ChainSpecFile { rules, hints })?;
    parent.map_or(Ok(()), |parent| spec.check_beacon(parent))?;
    Ok(spec)
}

/// The checkout to build with.
fn engine(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let dir = given.unwrap_or(Path::new(CHECKOUT));
    let named = || format!("{} is no checkout of the engine: name one with --engine", dir.display());
    ensure!(dir.join("crates/node/Cargo.toml").is_file(), named());
    dir.canonicalize().with_context(named)
}

fn write_crate(
    dir: &Path,
    spec: &ChainSpec,
    parent: Option<&ChainSpec>,
    engine: &Path,
) -> anyhow::Result<()> {
    let json = |spec: &ChainSpec| Ok::<_, anyhow::Error>(serde_json::to_string_pretty(spec.file())? + "\n");
    let text = json(spec)?;
    // What is written is what a loader reads.
    ensure!(ChainSpec::from_json(&text)?.id() == spec.id(), "the spec does not read as it was written");
    let ledger = LEDGER.replace(KIND, &KIND.replace("notes", &spec.rules().name));
    let mut files = vec![
        ("chain.json", text),
        ("Cargo.toml", manifest(spec, engine)?),
        ("src/main.rs", MAIN.to_owned()),
        ("src/ledger.rs", ledger),
        (".gitignore", "/target\n".to_owned()),
    ];
    // A parent that is not built in has to be named to the program: --beacon-chain parent.json.
    let foreign = parent.filter(|parent| super::by_id(parent.id(), &[]).is_none());
    if let Some(parent) = foreign {
        files.push(("parent.json", json(parent)?));
    }
    // The versions that the engine is tested with.
    if let Ok(lock) = fs::read_to_string(engine.join("Cargo.lock")) {
        files.push(("Cargo.lock", lock));
    }
    fs::create_dir(dir.join("src")).with_context(|| dir.display().to_string())?;
    for (name, text) in files {
        let file = dir.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn manifest(spec: &ChainSpec, engine: &Path) -> anyhow::Result<String> {
    let path = engine.join("crates/node");
    let path = path.to_str().context("the checkout's path is no UTF-8")?;
    let optimised = OPTIMISED.map(|(name, level)| format!("{name} = {{ opt-level = {level} }}\n")).concat();
    Ok(format!(
        r#"[package]
name = "{}"
description = "A node of the chain {}"
version = "0.1.0"
edition = "2024"
publish = false

[dependencies]
# The engine, from a checkout. Elsewhere, one of these instead:
#   mass-node = {{ git = "URL of the engine's repository", rev = "COMMIT" }}
#   mass-node = "{}"                  (from a registry, where it is published)
mass-node = {{ path = {path:?} }}
serde_json = "1"
thiserror = "2"

# A workspace of its own, wherever it stands.
[workspace]

[profile.dev]
debug = "line-tables-only"

# Signatures and proofs crawl without optimisation.
[profile.dev.package]
{optimised}"#,
        program(spec),
        spec.rules().name,
        env!("CARGO_PKG_VERSION")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_new_chain_is_another_one() {
        let dev = ChainSpec::built_in("dev").unwrap();
        for parent in [None, Some(&dev)] {
            let (one, two) = (fresh_spec("new", parent).unwrap(), fresh_spec("new", parent).unwrap());
            assert_ne!(one.id(), two.id());
            assert_eq!(one.inherits_beacon(), parent.is_some());
        }
    }

    #[test]
    fn a_chain_inherits_from_one_that_has_its_own_beacon() {
        assert!(fresh_spec("new", ChainSpec::built_in("dev2").as_ref()).is_err());
        assert!(fresh_spec("new", ChainSpec::built_in("massnet").as_ref()).is_ok());
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for name in ["", "1st", "dev", "massnet", "Upper", "a b", "../x", "a/b"] {
            assert!(fresh_spec(name, None).is_err(), "{name}");
        }
    }

    #[test]
    fn the_example_names_its_ledger_where_it_is_replaced() {
        assert_eq!(LEDGER.matches(KIND).count(), 1);
    }
}
