//! `mass farm`: farming chains through their nodes.

mod reads;
mod report;
mod settings;
mod webhook;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::{Args, Subcommand};
use mass_farmer::{ChainConfig, FarmEvent, FarmerConfig, Totals};
use mass_rpc::farm::Finding;
use serde_json::{Value, json};
use settings::Settings;
use tokio::sync::mpsc;
use webhook::{Url, Webhooks};

use crate::{
    keys,
    node::NodeUrl,
    output::{Output, Verdict, human_bytes},
    runtime,
};

/// What to do with a farm.
#[derive(Subcommand)]
pub enum Command {
    /// Farm until Ctrl-C: ask plots at each round, and seal the slots that they win.
    ///
    /// Plots are opened read-only. A directory or a node that fails is waited for. With --json there is one
    /// JSON value to a line for everything that happens.
    ///
    /// One chain is named on the command line. Several are farmed with the same plots from a file, which may be
    /// changed while the farm runs; chains that share a beacon cost the reads of one:
    ///
    ///   webhook = ["https://..."]            # told of troubles and wins: see --webhook
    ///   [[chain]]
    ///   chain = "dev"                        # a built-in chain or a spec file
    ///   payout = "dms1q..."
    ///   node = "http://127.0.0.1:29331"      # the default: the chain's port on this machine
    ///   priority = 0                         # the greater is served first
    ///   enabled = true
    #[command(verbatim_doc_comment)]
    Run(RunArgs),
    /// How the disks and chains of a running farm fare.
    Status(FarmUrl),
    /// Try a running farm out, and say what keeps it from earning and what to do.
    ///
    /// A made-up winning challenge goes through a plot of every disk, the solver, the key and the verifier; nothing
    /// is sent. The exit code is 0 only if the farm earns.
    Doctor(FarmUrl),
    /// When the disks of a running farm will be read, and until when each may sleep.
    ///
    /// A seed gives every group one turn, so the turns are known until the period ends; then each has another. When
    /// that is depends on blocks that are still to come, so it is an expectation. Chains that share a beacon share
    /// reads.
    Reads {
        #[command(flatten)]
        farm: FarmUrl,
        /// Turns to show for people, the first first; --json has them all.
        #[arg(long, value_name = "N", default_value_t = 20)]
        turns: usize,
    },
}

/// The port of a farm's RPC, unless it is told another.
const RPC_PORT: u16 = 29329;

/// Which farm to ask.
#[derive(Args)]
pub struct FarmUrl {
    /// The farm's RPC.
    #[arg(long, value_name = "URL", default_value_t = format!("http://127.0.0.1:{RPC_PORT}"))]
    farm: String,
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
    #[arg(long, value_name = "ADDRESS", required_unless_present = "config")]
    payout: Option<String>,
    /// The file of chains to farm, instead of --chain, --node and --payout.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["payout", "chain", "node"])]
    config: Option<PathBuf>,
    /// A URL that is told by a POST of JSON of each trouble that begins and each that is over, and of each win; may
    /// be given several times.
    ///
    /// Slack, Mattermost and Discord show the line in it. The URL is checked at the start, and is not shown again;
    /// other users of this machine can see it in the list of processes, but not if it is in the file of --config.
    #[arg(long = "webhook", value_name = "URL")]
    webhooks: Vec<String>,
    /// The address to listen on for `mass farm status` and `doctor`, on this machine alone; port 0 takes any.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([127, 0, 0, 1], RPC_PORT)))]
    rpc: SocketAddr,
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
    match command {
        Command::Run(args) => farm_chains(args, output),
        Command::Status(farm) => runtime::block_on(report::status(&farm.farm, output)),
        Command::Reads { farm, turns } => runtime::block_on(reads::show(&farm.farm, *turns, output)),
        Command::Doctor(farm) => runtime::block_on(report::doctor(&farm.farm, output)),
    }
}

fn farm_chains(args: &RunArgs, output: Output) -> anyhow::Result<Verdict> {
    let fixed = Url::parse_all(&args.webhooks).context("--webhook")?;
    let Settings { chains, webhooks } = match (&args.config, &args.payout) {
        (Some(file), _) => settings::read(file)?,
        (None, payout) => {
            let (spec, node) = args.node.resolve()?;
            let payout = payout.clone().context("--payout is missing")?;
            let chain = ChainConfig { spec, node, payout, priority: 0, enabled: true };
            settings::check(std::slice::from_ref(&chain)).context("--payout")?;
            Settings { chains: vec![chain], ..Settings::default() }
        }
    };
    let config = FarmerConfig {
        chains,
        directories: args.dirs.clone(),
        secret: keys::read_secret(&keys::file_or_default(args.key_file.as_deref())?)?,
        guard: keys::guard_or_default(args.guard.as_deref())?,
        rpc: Some(args.rpc),
    };
    let webhooks = Arc::new(Webhooks::start(fixed, &webhooks));
    let outcome = runtime::block_on(farm(config, args.config.clone(), Arc::clone(&webhooks), output));
    if let Err(error) = &outcome {
        webhooks.tell_end(&format!("{error:#}"));
    }
    webhooks.farewell();
    let totals = outcome?;
    let mut value = serde_json::to_value(&totals)?;
    value["event"] = json!("stopped");
    output.line(&value, &format!("stopped: {}", summary(&totals)))?;
    Ok(Verdict::Good)
}

async fn farm(
    config: FarmerConfig,
    file: Option<PathBuf>,
    webhooks: Arc<Webhooks>,
    output: Output,
) -> anyhow::Result<Totals> {
    let stop = runtime::stop_signal()?;
    let (tell, changes) = mpsc::channel(1);
    if let Some(file) = file {
        tokio::spawn(settings::watch(file, tell, Arc::clone(&webhooks)));
    }
    // A reader that is gone does not stop the farm.
    let watch = |event: &FarmEvent, totals: &Totals| {
        webhooks.tell(event, totals);
        let _ = output.line(&serde_json::to_value(event).unwrap_or(Value::Null), &describe(event, totals));
    };
    Ok(mass_farmer::run(config, watch, changes, stop).await?)
}

fn summary(totals: &Totals) -> String {
    let Totals { rounds, reads, qualities, wins, lost, .. } = totals;
    format!("{rounds} rounds, {reads} reads, {qualities} qualities, {wins} blocks, {lost} wins lost")
}

/// An event in a line for people.
pub fn describe(event: &FarmEvent, totals: &Totals) -> String {
    match event {
        FarmEvent::Opened { plots, bytes, rpc } => {
            let rpc = rpc.as_ref().map(|url| format!("; RPC {url}")).unwrap_or_default();
            format!("farming {plots} plots, {}{rpc}", human_bytes(*bytes))
        }
        FarmEvent::Plots { disk, plots } => format!("{disk} has {plots} plots now"),
        FarmEvent::DiskHangs { disk } => format!("{disk} does not answer and is left alone until it does"),
        FarmEvent::DiskBack { disk } => format!("{disk} answers again"),
        FarmEvent::Fault { reason } => format!("fault: {reason}"),
        FarmEvent::Round { round, asked, qualities, .. } => {
            format!("round {round}: {asked} plots asked, {qualities} qualities; {}", summary(totals))
        }
        FarmEvent::Sealed { chain, height, slot, id } => {
            format!("{chain}: sealed block {height} in slot {slot}: {id}")
        }
        FarmEvent::Lost { chain, slot, reason } => {
            format!("{chain}: slot {slot} was won and is lost: {reason}")
        }
        FarmEvent::NodeLost { chain, reason } => {
            format!("{chain}: the node does not answer: {reason}; trying again")
        }
        FarmEvent::NodeBack { chain } => format!("{chain}: the node answers again"),
        FarmEvent::Banned { chain, height } => {
            format!("{chain}: the key is banned since block {height}: it sealed twice in one slot")
        }
        FarmEvent::Trouble(Finding { subject, problem, action, .. }) => {
            format!("trouble: {subject}: {problem}; do: {action}")
        }
        FarmEvent::Over(Finding { subject, problem, .. }) => format!("over: {subject}: {problem}"),
        FarmEvent::Changed { chains } => format!("farming {}", chains.join(", ")),
    }
}
