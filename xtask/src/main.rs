//! The rules of the house as code: `cargo xtask ci`, `layers` and `tidy`; and what takes longer: `slow`, `bench`,
//! `fuzz`.
//!
//! Each rule is a pure function over text or over a list of edges, so that it can be shown to fail;
//! this file only reads the workspace and prints. Not here: anything that the product needs to run.

mod bench;
mod cargo;
mod ci;
mod fuzz;
mod layers;
mod packages;
mod slow;
mod tidy;
mod vectors;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The rules of the house as code")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must pass before a change is accepted: format, layers, tidy, clippy, tests
    Ci,
    /// Dependencies between our crates go down only
    Layers,
    /// The limits of style: openings, lengths, names, purity, paths in documents
    Tidy,
    /// Tests that are too slow for `ci`
    Slow {
        /// Whose
        part: slow::Part,
        /// How long the soak takes
        #[arg(long, default_value_t = 30)]
        minutes: u64,
    },
    /// Measure against a rival, and write the table into docs/performance.md
    Bench {
        /// What
        bench: bench::Bench,
        /// Plots of k = 28 too: some minutes and up to 13 GB of memory
        #[arg(long)]
        k28: bool,
        /// Print the figures as JSON instead
        #[arg(long)]
        json: bool,
    },
    /// Fuzz every decoder
    Fuzz {
        /// How long, all targets together
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// One target only
        #[arg(long)]
        target: Option<String>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    let root = workspace_root()?;
    match command {
        Command::Ci => ci::run(&root),
        Command::Layers => layers::run(&root),
        Command::Tidy => tidy::run(&root),
        Command::Slow { part, minutes } => slow::run(&root, *part, *minutes),
        Command::Bench { bench, k28, json } => bench::run(&root, *bench, *k28, *json),
        Command::Fuzz { minutes, target } => fuzz::run(&root, *minutes, target.as_deref()),
    }
}

/// The folder above this crate. Read when it runs, so that a moved checkout still works.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    let root = Path::new(&manifest).parent().context("xtask lives in the workspace")?;
    Ok(root.to_path_buf())
}

/// Prints every finding, and fails if there is one.
fn report(rule: &str, findings: &[String]) -> anyhow::Result<()> {
    for finding in findings {
        eprintln!("{rule}: {finding}");
    }
    anyhow::ensure!(findings.is_empty(), "{rule}: {} finding(s)", findings.len());
    eprintln!("{rule}: ok");
    Ok(())
}
