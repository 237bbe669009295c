//! Bitcoin Core's own vectors, unmodified, through the door that blocks go through: `witness::verify_all`
//! for scripts, `transaction::check_shape` for transactions, `address::decode` for addresses. Digests and
//! filters that the ledger leaves to the crate `bitcoin` are checked there.
//!
//! `cargo xtask slow core-vectors` fetches the vectors and runs this; `MASS_CORE_VECTORS` is their folder.
//! Each case that is not run is printed with its reason.

mod addresses;
mod asm;
mod digests;
mod scripts;
mod transactions;

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;

/// What became of a case.
enum Outcome {
    /// The verdict was the expected one.
    Agrees,
    /// It was not.
    Differs(String),
    /// It was not asked, for this reason.
    Skipped(&'static str),
}

/// Bitcoin's legacy scripts, which this ledger has no coins for.
const LEGACY: &str = "legacy: the coin is no witness program";
/// A witness program inside of a legacy script.
const NESTED: &str = "legacy: the witness program is nested in P2SH";
/// A rule is turned off that is always on here.
const RULE_OFF: &str = "legacy: asks for a chain before segwit or taproot";
/// Core's relay refuses it, its blocks do not.
const RELAY: &str = "relay policy of Bitcoin Core, no rule of blocks";
/// No coin can have this script.
const NO_COIN: &str = "witness version without rules: no such coin can be created";
/// A rule of usual spends that is stricter here (decision 0013).
const STRICTER: &str = "P2WPKH is stricter here: refused on purpose";

/// The cases of one file.
#[derive(Default)]
struct Report {
    agrees: usize,
    differs: Vec<String>,
    skipped: BTreeMap<&'static str, Vec<String>>,
}

impl Report {
    fn add(&mut self, name: String, outcome: Outcome) {
        match outcome {
            Outcome::Agrees => self.agrees += 1,
            Outcome::Differs(how) => self.differs.push(format!("{name}: {how}")),
            Outcome::Skipped(reason) => self.skipped.entry(reason).or_default().push(name),
        }
    }

    fn skips(&self) -> usize {
        self.skipped.values().map(Vec::len).sum()
    }
}

/// A file and what runs its cases.
type File = (&'static str, fn() -> Report);

fn read(file: &str) -> Vec<Value> {
    match parse(file) {
        Value::Array(cases) => cases,
        other => panic!("{file} is no list: {other}"),
    }
}

fn parse(file: &str) -> Value {
    let folder = std::env::var_os("MASS_CORE_VECTORS").expect("run it as `cargo xtask slow core-vectors`");
    let path = PathBuf::from(folder).join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
#[ignore = "needs the vectors: cargo xtask slow core-vectors"]
#[allow(clippy::print_stdout)]
fn bitcoin_core_agrees() {
    let files: [File; 8] = [
        ("script_tests.json", scripts::run),
        ("tx_valid.json", transactions::run_valid),
        ("tx_invalid.json", transactions::run_invalid),
        ("sighash.json", digests::run_sighash),
        ("bip341_wallet_vectors.json", digests::run_taproot),
        ("key_io_valid.json", addresses::run_valid),
        ("key_io_invalid.json", addresses::run_invalid),
        ("blockfilters.json", digests::run_filters),
    ];
    let reports = files.map(|(file, run)| (file, run()));
    for (file, report) in &reports {
        for (reason, names) in &report.skipped {
            println!("\n{file}: {} not run, {reason}", names.len());
            names.iter().for_each(|name| println!("  {name}"));
        }
    }
    println!("\n| file | cases | run | as expected | not run |\n| --- | --- | --- | --- | --- |");
    for (file, report) in &reports {
        let (run, skips) = (report.agrees + report.differs.len(), report.skips());
        println!("| {file} | {} | {run} | {} | {skips} |", run + skips, report.agrees);
    }
    let differs: Vec<_> = reports.iter().flat_map(|(_, report)| &report.differs).collect();
    assert!(differs.is_empty(), "{differs:#?}");
    assert!(reports.iter().all(|(_, report)| report.agrees > 0), "a file of which nothing was run");
}
