//! `mass farm`: farming chains through their nodes.

mod cluster;
mod reads;
mod report;
mod settings;
mod webhook;

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use futures::FutureExt as _;
use mass_farmer::{ChainConfig, FarmEvent, FarmerConfig, Totals, cluster::Cluster, harvest::HarbourConfig};
use mass_node::AccessArgs;
use mass_page::Backend;
use mass_rpc::{CookiePlace, farm::Finding};
use mass_wallet::serve::WalletServer;
use serde_json::{Value, json};
use settings::Settings;
use tokio::sync::{mpsc, oneshot};
use webhook::{Url, Webhooks};

use crate::{
    bus::BusArgs,
    keys,
    node::NodeUrl,
    output::{Output, Verdict, human_bytes},
    page::{self, PageArgs, PageSources},
    paths, runtime,
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
    Run(Box<RunArgs>),
    /// How the disks and chains of a running farm fare.
    Status(FarmUrl),
    /// Try a running farm out, and say what keeps it from earning and what to do.
    ///
    /// A made-up winning challenge goes through a plot of every disk, the solver, the key and the verifier; nothing
    /// is sent. The exit code is 0 only if the farm earns.
    Doctor(FarmUrl),
    /// Print a code by which one harvester can be paired with a running farm: see `mass harvester pair`.
    Pair(FarmUrl),
    /// Take a harvester out of a running farm.
    Unpair {
        /// Its name.
        name: String,
        #[command(flatten)]
        farm: FarmUrl,
    },
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

/// The port that harvesters come to, unless it is told another.
pub const HARVESTERS_PORT: u16 = 29328;

/// The port of a farm's RPC, unless it is told another.
const RPC_PORT: u16 = 29329;

/// Which farm to ask.
#[derive(Args)]
pub struct FarmUrl {
    /// The farm's RPC.
    #[arg(long, value_name = "URL", default_value_t = format!("http://127.0.0.1:{RPC_PORT}"))]
    farm: String,
}

impl FarmUrl {
    /// The farm's RPC.
    pub fn url(&self) -> &str {
        &self.farm
    }
}

/// What to farm, with what, and for whom.
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    node: NodeUrl,
    /// A directory of plots; may be given several times.
    #[arg(long = "dir", value_name = "DIR", required_unless_present_any = ["harvesters", "url"], num_args = 1..)]
    dirs: Vec<PathBuf>,
    /// An address to listen on for harvesters, which read plots on other machines, such as 0.0.0.0:29328. Only those that
    /// were paired are let in, and all is encrypted: see `mass farm pair`.
    #[arg(long, value_name = "ADDRESS")]
    harvesters: Option<SocketAddr>,
    /// The file of the keys of harvesters [default: harvesters.json in the user's data directory].
    #[arg(long, value_name = "FILE")]
    harvester_keys: Option<PathBuf>,
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
    /// The address to listen on for `mass farm status` and `doctor`; port 0 takes any. Who can read the cookie beside the
    /// signing record may call.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([127, 0, 0, 1], RPC_PORT)))]
    rpc: SocketAddr,
    /// The key file of the farmer [default: that of `mass keys create`].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The record of slots that were signed. Never farm with one key and two records at a time: that seals
    /// twice, and the key is banned [default: signed.json in the user's data directory].
    #[arg(long, value_name = "FILE")]
    guard: Option<PathBuf>,
    /// Rounds in which nothing is sealed at the start, while other farmers with this key are looked for; they are
    /// looked for later too. 0 says that nobody else farms with this key.
    #[arg(long, value_name = "N", default_value_t = 2)]
    watch_rounds: u32,
    /// With a bus, this is one farmer of a cluster: one is active, and the others stand by to take over within seconds.
    /// They may share a key, for a slot is used up on the bus before it is signed.
    #[command(flatten)]
    bus: BusArgs,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    page: PageArgs,
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Command::Run(args) => farm_chains(args, output),
        Command::Status(farm) => runtime::block_on(report::status(&farm.farm, output)),
        Command::Reads { farm, turns } => runtime::block_on(reads::show(&farm.farm, *turns, output)),
        Command::Doctor(farm) => runtime::block_on(report::doctor(&farm.farm, output)),
        Command::Pair(farm) => runtime::block_on(report::pair(&farm.farm, output)),
        Command::Unpair { name, farm } => runtime::block_on(report::unpair(&farm.farm, name, output)),
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
    runtime::allow_open_files();
    let webhooks = Arc::new(Webhooks::start(fixed, &webhooks));
    let outcome = runtime::block_on(async {
        let (stop, file, webhooks) =
            (runtime::stop_signal()?.shared(), args.config.clone(), Arc::clone(&webhooks));
        match args.bus.config() {
            None => {
                farm(configure(args, chains, None)?, args.page.address, file, webhooks, stop, output).await
            }
            Some(bus) => cluster::run(args, &chains, &bus, &webhooks, stop, output).await,
        }
    });
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

fn configure(
    args: &RunArgs,
    chains: Vec<ChainConfig>,
    cluster: Option<Cluster>,
) -> anyhow::Result<FarmerConfig> {
    let store = paths::file_or(args.harvester_keys.as_deref(), "harvesters.json");
    let harvesters =
        args.harvesters.map(|listen| Ok::<_, anyhow::Error>(HarbourConfig { listen, store: store? }));
    let guard = keys::guard_or_default(args.guard.as_deref())?;
    let mut access = args.access.access(Path::new(""))?;
    // Beside the record, for that is one farm's alone.
    access.cookie = Some(CookiePlace { file: guard.with_extension("cookie"), is_linked: true });
    Ok(FarmerConfig {
        chains,
        harvesters: harvesters.transpose()?,
        cluster,
        directories: args.dirs.clone(),
        secret: keys::read_secret(&keys::file_or_default(args.key_file.as_deref())?)?,
        guard,
        watch_rounds: args.watch_rounds,
        rpc: Some(args.rpc),
        access,
        methods: None,
    })
}

async fn farm(
    mut config: FarmerConfig,
    page: Option<SocketAddr>,
    file: Option<PathBuf>,
    webhooks: Arc<Webhooks>,
    stop: impl Future<Output = ()>,
    output: Output,
) -> anyhow::Result<Totals> {
    let (tell, changes) = mpsc::channel(1);
    if let Some(file) = file {
        tokio::spawn(settings::watch(file, tell, Arc::clone(&webhooks)));
    }
    // A reader that is gone does not stop the farm.
    let watch = |event: &FarmEvent, totals: &Totals| {
        webhooks.tell(event, totals);
        let _ = output.line(&serde_json::to_value(event).unwrap_or(Value::Null), &describe(event, totals));
    };
    let page = serve_page(&mut config, page, output)?;
    tokio::select! {
        totals = mass_farmer::run(config, watch, changes, stop) => Ok(totals?),
        Err(error) = page => Err(error),
    }
}

/// Serves the page of a farm, of its nodes and of the user's wallets, if it is asked for; ends only if that fails.
fn serve_page(
    config: &mut FarmerConfig,
    address: Option<SocketAddr>,
    output: Output,
) -> anyhow::Result<impl Future<Output = anyhow::Result<Infallible>> + use<>> {
    let mut sources = PageSources::default();
    let (wanted, methods) = oneshot::channel();
    if address.is_some() {
        for ChainConfig { spec, node, .. } in &config.chains {
            let client = mass_rpc::client(node).with_context(|| node.clone())?;
            let wallets = WalletServer::new(spec.clone(), page::wallets_dir(spec)?, client.clone());
            sources.add_chain(spec, Backend::There(client), wallets);
        }
        config.methods = Some(wanted);
    }
    Ok(async move {
        let _served = match (address, methods.await) {
            (Some(address), Ok(methods)) => {
                sources.set_farm(Backend::Here(methods));
                let served = sources.serve(address).await?;
                let url = served.url();
                output.line(&json!({ "event": "page", "page": url }), &format!("page   {url}"))?;
                Some(served)
            }
            _ => None,
        };
        std::future::pending().await
    })
}

fn summary(totals: &Totals) -> String {
    let Totals { rounds, reads, qualities, wins, lost, .. } = totals;
    format!("{rounds} rounds, {reads} reads, {qualities} qualities, {wins} blocks, {lost} wins lost")
}

/// An event in a line for people.
pub fn describe(event: &FarmEvent, totals: &Totals) -> String {
    match event {
        FarmEvent::Opened { plots, bytes, rpc, harvesters } => {
            let rpc = rpc.as_ref().map(|url| format!("; RPC {url}")).unwrap_or_default();
            let harvesters =
                harvesters.as_ref().map(|addr| format!("; harvesters {addr}")).unwrap_or_default();
            format!("farming {plots} plots, {}{rpc}{harvesters}", human_bytes(*bytes))
        }
        FarmEvent::HarvesterJoined { harvester, disks } => {
            format!("harvester {harvester} is there with {disks} disks")
        }
        FarmEvent::HarvesterLost { harvester, reason } => {
            format!("harvester {harvester} is gone: {reason}")
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
        FarmEvent::Watching { chain, slots } => {
            format!("{chain}: looking for other farmers with this key; nothing is sealed for {slots} slots")
        }
        FarmEvent::Watched { chain } => {
            format!("{chain}: nobody else was seen to seal with this key; slots are sealed from now on")
        }
        FarmEvent::OtherFarmer { chain, slot, height } => format!(
            "{chain}: another farmer seals with this key: block {height} in slot {slot} is not in the signing record; \
             nothing is sealed here: mass farm doctor says what to do"
        ),
        FarmEvent::Trouble(Finding { subject, problem, action, .. }) => {
            format!("trouble: {subject}: {problem}; do: {action}")
        }
        FarmEvent::Over(Finding { subject, problem, .. }) => format!("over: {subject}: {problem}"),
        FarmEvent::Changed { chains } => format!("farming {}", chains.join(", ")),
    }
}
