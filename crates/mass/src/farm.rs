//! `mass farm`: farming a chain through a node.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use mass_farmer::{FarmEvent, FarmerConfig, Totals};
use mass_ledger_utxo::{LedgerParams, address};
use serde_json::{Value, json};

use crate::{
    keys,
    node::NodeUrl,
    output::{Output, Verdict, human_bytes},
    paths, runtime,
};

/// What to do with a farm.
#[derive(Subcommand)]
pub enum Command {
    /// Farm until Ctrl-C: ask plots at each round, and seal the slots that they win.
    ///
    /// Plots are opened read-only. A directory or a node that fails is waited for. With --json there is one
    /// JSON value to a line for everything that happens.
    Run(RunArgs),
}

/// What to farm, with what, and for whom.
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    node: NodeUrl,
    /// A directory of plots; may be given several times.
    #[arg(long = "dir", value_name = "DIR", required = true, num_args = 1..)]
    dirs: Vec<PathBuf>,
    /// The address that rewards are paid to.
    #[arg(long, value_name = "ADDRESS")]
    payout: String,
    /// The key file of the farmer [default: that of `mass keys create`].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The record of slots that were signed. Never farm with one key and two records at a time: that seals
    /// twice, and the key is banned [default: signed.json in the user's data directory].
    #[arg(long, value_name = "FILE")]
    guard: Option<PathBuf>,
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    let Command::Run(args) = command;
    let (spec, node) = args.node.resolve()?;
    let params = LedgerParams::from_json(spec.rules().ledger.params.clone())?;
    address::decode(&params.address_prefix, &args.payout).context("--payout")?;
    let config = FarmerConfig {
        spec,
        directories: args.dirs.clone(),
        secret: keys::read_secret(&keys::file_or_default(args.key_file.as_deref())?)?,
        guard: args.guard.clone().map_or_else(|| Ok(paths::data_dir()?.join("signed.json")), anyhow::Ok)?,
        node,
        payout: args.payout.clone(),
    };
    let totals = runtime::block_on(farm(config, output))?;
    let mut value = serde_json::to_value(totals)?;
    value["event"] = json!("stopped");
    output.line(&value, &format!("stopped: {}", summary(&totals)))?;
    Ok(Verdict::Good)
}

async fn farm(config: FarmerConfig, output: Output) -> anyhow::Result<Totals> {
    let stop = runtime::stop_signal()?;
    // A reader that is gone does not stop the farm.
    let watch = |event: &FarmEvent, totals: &Totals| {
        let _ = output.line(&serde_json::to_value(event).unwrap_or(Value::Null), &describe(event, totals));
    };
    Ok(mass_farmer::run(config, watch, stop).await?)
}

fn summary(totals: &Totals) -> String {
    let Totals { rounds, reads, qualities, wins, lost, .. } = totals;
    format!("{rounds} rounds, {reads} reads, {qualities} qualities, {wins} blocks, {lost} wins lost")
}

/// An event in a line for people.
pub fn describe(event: &FarmEvent, totals: &Totals) -> String {
    match event {
        FarmEvent::Opened { plots, bytes } => format!("farming {plots} plots, {}", human_bytes(*bytes)),
        FarmEvent::Fault { reason } => format!("fault: {reason}"),
        FarmEvent::Round { round, asked, qualities, .. } => {
            format!("round {round}: {asked} plots asked, {qualities} qualities; {}", summary(totals))
        }
        FarmEvent::Sealed { height, slot, id } => format!("sealed block {height} in slot {slot}: {id}"),
        FarmEvent::Lost { slot, reason } => format!("slot {slot} was won and is lost: {reason}"),
        FarmEvent::NodeLost { reason } => format!("the node does not answer: {reason}; trying again"),
        FarmEvent::NodeBack => "the node answers again".to_owned(),
    }
}
