//! `mass chain`: the chain specs that are built in, checks of others, and new chains.

mod new;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Subcommand;
use mass_consensus::spec::ChainSpec;
pub use mass_node::program::{load_spec as load, spec_by_id as by_id};
use serde_json::{Value, json};

use crate::output::{Output, Verdict, human_bytes, table};

/// What to do with chain specs.
#[derive(Subcommand)]
pub enum Command {
    /// List the built-in chains with their ids.
    List,
    /// Print the spec of a chain and its id.
    ///
    /// The spec is a good start for one's own: save it, change it, and `mass chain check` it. Every change
    /// under "rules" gives another chain id, that is, another chain; changes under "hints" do not.
    Show {
        /// Name of a built-in chain, as `mass chain list` has them, or a spec file.
        name: String,
    },
    /// Make a chain of one's own: a spec with a new chain id, and a crate with its ledger and its program.
    ///
    /// The ledger is a small one of notes, to be changed; `cargo build` makes a node of it that `mass farm run` farms
    /// with the plots that farm other chains. docs/new-chain.md goes through it step by step. Nothing is overwritten.
    New(new::NewArgs),
    /// Check a spec file, and print its chain id or what is wrong.
    Check {
        /// The spec file.
        file: PathBuf,
    },
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Command::List => list(output)?,
        Command::Show { name } => show(name, output)?,
        Command::New(args) => new::run(args, output)?,
        Command::Check { file } => check(file, output)?,
    }
    Ok(Verdict::Good)
}

fn load_file(file: &Path) -> anyhow::Result<ChainSpec> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    ChainSpec::from_json(&text).with_context(|| file.display().to_string())
}

fn summary(spec: &ChainSpec) -> Value {
    let rules = spec.rules();
    json!({
        "name": rules.name,
        "id": spec.id(),
        "k": rules.plot_size,
        "strength_min": rules.strength_min,
        "strength_max": rules.strength_max,
        "plot_bytes": spec.plot_size().nominal_bytes(),
    })
}

fn list(output: Output) -> anyhow::Result<()> {
    let specs: Vec<ChainSpec> = ChainSpec::BUILT_IN.into_iter().filter_map(ChainSpec::built_in).collect();
    let mut rows = vec![["name", "k", "plot", "chain id"].map(str::to_owned).to_vec()];
    rows.extend(specs.iter().map(|spec| {
        let size = spec.plot_size();
        vec![
            spec.rules().name.clone(),
            size.to_string(),
            human_bytes(size.nominal_bytes()),
            spec.id().to_string(),
        ]
    }));
    output.result(&specs.iter().map(summary).collect(), &table(&rows))
}

fn show(name: &str, output: Output) -> anyhow::Result<()> {
    let spec = load(name)?;
    // The text is the spec alone, so that it can be saved to a file and loaded again.
    let text = serde_json::to_string_pretty(spec.file())?;
    crate::output::note(&format!("chain id {}", spec.id()));
    output.result(&json!({ "id": spec.id(), "spec": spec.file() }), &text)
}

fn check(file: &Path, output: Output) -> anyhow::Result<()> {
    let spec = load_file(file)?;
    let text =
        format!("{} is a good spec of chain {} with id {}", file.display(), spec.rules().name, spec.id());
    output.result(&summary(&spec), &text)
}
