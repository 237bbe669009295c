//! Measurements, against a rival where there is one, and the table that they write into `docs/performance.md`.
//!
//! A bench prints Markdown, which goes between two marks of the document. What the words around it say of the
//! figures is for whoever ran it to put right.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::cargo;

const DOCUMENT: &str = "docs/performance.md";

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
pub enum Bench {
    /// The proof of space against the crate `chia-pos2`: plots, verification, look-up, solving
    Pos,
    /// Farming: processor time, reads, memory, look-ups on a slow disk; Linux, and `strace` for the slow disk
    Farm,
    /// The engine: headers proven in batches and on all processors, headers linked, memory
    Engine,
    /// The pool: admission through the node's door, memory, templates
    Pool,
    /// Mass Net's ledger: blocks of usual spends against the bare verifier, a chain replayed
    Ledger,
    /// A node: chains from one peer, memory, requests; sizes in MASS_BENCH_NODE, as in empty=1000,paid=100. Linux
    Node,
}

impl Bench {
    /// Its name, and the package and the example that measure.
    const fn parts(self) -> [&'static str; 3] {
        match self {
            Self::Pos => ["pos", "mass-plot", "pos_bench"],
            Self::Farm => ["farm", "mass-farmer", "farm_bench"],
            Self::Engine => ["engine", "mass-node", "engine_bench"],
            Self::Pool => ["pool", "mass-node", "pool_bench"],
            Self::Ledger => ["ledger", "mass-node", "ledger_bench"],
            Self::Node => ["node", "mass-node", "node_bench"],
        }
    }
}

/// Runs a bench and writes its table, or prints JSON.
///
/// # Errors
/// The bench fails, or the document has no place for its table.
pub fn run(root: &Path, bench: Bench, with_k28: bool, json: bool) -> anyhow::Result<()> {
    let [name, package, example] = bench.parts();
    anyhow::ensure!(!json || matches!(bench, Bench::Farm), "the bench of {name} makes no JSON");
    let mut command = cargo::command(root);
    command.args(["run", "--release", "-p", package, "--example", example, "--"]);
    command.arg(root.join(format!("target/bench-{name}")));
    command.args(with_k28.then_some("--k28")).args(json.then_some("--json"));
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    anyhow::ensure!(output.status.success(), "the bench failed: {}", output.status);
    let table = String::from_utf8(output.stdout).context("the bench prints text")?;
    print_text(&table);
    if json {
        return Ok(());
    }
    let path = root.join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let text = replace(&text, name, &table)
        .with_context(|| format!("{DOCUMENT} has no marks for the table of `{name}`"))?;
    fs::write(&path, text).with_context(|| format!("cannot write {DOCUMENT}"))
}

#[allow(clippy::print_stdout)]
fn print_text(text: &str) {
    println!("{text}");
}

/// The document with `table` between the marks of a bench; `None` if it has no such marks.
fn replace(text: &str, bench: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- bench {bench}: begin -->\n"), format!("<!-- bench {bench}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_goes_between_its_marks() {
        let text = "a\n<!-- bench pos: begin -->\nold\n<!-- bench pos: end -->\nb\n";
        let new = replace(text, "pos", "| new |\n").unwrap();
        assert_eq!(new, "a\n<!-- bench pos: begin -->\n\n| new |\n\n<!-- bench pos: end -->\nb\n");
        assert_eq!(replace(&new, "pos", "| new |"), Some(new.clone()));
        assert_eq!(replace(text, "other", "| new |"), None);
    }
}
