//! A node as a program in the foreground: its command line, its log, and its end on Ctrl-C or SIGTERM.
//!
//! `mass node run` is one such program; a new chain's own program is another, whose `main` is [`main`].

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser};
use mass_consensus::spec::{ChainSpec, Checkpoint};
use mass_network::{DiscoveryConfig, Multiaddr};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    AccessArgs, BeaconConfig, NodeConfig, NodeLedger, PruneSetting, Queries, index,
    run::{NodeHandle, start_asked},
    space,
};

pub use crate::space::{EXIT_FAILED, EXIT_FULL, exit_code};

/// Where a node keeps its things, and how others reach it.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// Where the node keeps its database and its peer key [default: node/<chain> in the user's data directory].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// An address to listen on for peers, as in /ip4/0.0.0.0/tcp/29330; may be given several times [default: the
    /// chain's port on this machine alone].
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<Multiaddr>,
    /// A peer to hold a connection to, as in /ip4/192.0.2.1/tcp/29330; may be given several times.
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<Multiaddr>,
    /// Dial none but the peers given by --peer. Without, the node asks the peers of the chain spec and those that it
    /// remembers for others.
    #[arg(long)]
    pub no_discovery: bool,
    /// A SOCKS5 proxy for all connections that the node begins, as Tor's 127.0.0.1:9050. Names are resolved by it.
    #[arg(long, value_name = "ADDRESS")]
    pub proxy: Option<SocketAddr>,
    /// Where a chain inherits its beacon: a peer of its parent's network; may be given several times [default:
    /// those of the parent's spec].
    #[arg(long, value_name = "MULTIADDR")]
    pub beacon_peer: Vec<Multiaddr>,
    /// The parent's spec file, if it is no built-in chain.
    #[arg(long, value_name = "CHAIN")]
    pub beacon_chain: Option<String>,
    /// A block that must be in the chain, as in 12000:00c1..., from whom you trust; may be given several times. A
    /// branch without it is never followed, however heavy, and a chain kept here that lacks it is left.
    #[arg(long, value_name = "HEIGHT:ID")]
    pub checkpoint: Vec<Checkpoint>,
    /// Begin with the state of a block that peers have and the chain commits to, if there are no blocks here yet: the node farms
    /// once it has all headers and that state, and fetches and validates all blocks before behind that. Without peers who have one, it syncs from
    /// genesis.
    #[arg(long)]
    pub snapshot: bool,
    /// How many blocks below the tip a snapshot lies at the least, one that is taken and those that are kept for others.
    #[arg(long, value_name = "BLOCKS", default_value_t = crate::SNAPSHOT_DEPTH_BLOCKS)]
    pub snapshot_depth: u32,
    /// How much of the past to keep, as in Bitcoin Core: a number of MiB, or a size as in 5GB, of blocks and of what undoes them.
    /// Older ones are removed as new ones come, but never the last 3,840 (two days of Mass Net). "manual" (or 1): only
    /// when pruneblockchain is called. "off" (or 0): never.
    ///
    /// What is removed does not come back: the node then starts only with this option, or syncs from genesis. Headers, state and
    /// indexes stay whole. An index cannot be built of blocks that are gone. Free space in the file is used again;
    /// `mass node db compact` gives it back.
    #[arg(long, value_name = "SIZE", default_value = "off")]
    pub prune: PruneSetting,
    /// Prove all stored headers again at the start. They were proven before they were stored: this is for who doubts
    /// the disk.
    #[arg(long)]
    pub reverify: bool,
    /// Give free space in the database back to the system at the start, which takes about as long as to write the file
    /// once.
    #[arg(long)]
    pub compact: bool,
    /// The address to listen on for RPC; port 0 takes any [default: the chain's port on this machine alone].
    ///
    /// Who can read the file .cookie in the data directory may call, others by --rpc-auth. Nothing is encrypted: other machines
    /// come through a tunnel, or a proxy that has TLS.
    #[arg(long, value_name = "ADDRESS")]
    pub rpc: Option<SocketAddr>,
    /// An address for metrics of Prometheus (/metrics), health (/health) and readiness (/ready), for everybody who
    /// reaches it [default: at the address of the RPC].
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// Let anybody read by RPC and send transactions, without a password; all else still asks for one.
    #[arg(long)]
    pub rpc_public: bool,
    /// An index to keep beside the chain, or several with commas between; "all" and "none" are said alone. One that is
    /// new is built in the background, one that is not named any more is deleted [default: those that are small and
    /// often asked for; of Mass Net "tx": "tx" finds transactions by id, "address" the history of an address, "spend"
    /// what spent an output].
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub index: Vec<String>,
    /// Who may call the RPC.
    #[command(flatten)]
    pub access: AccessArgs,
}

impl NodeArgs {
    /// What the command line says of a node of this chain.
    ///
    /// # Errors
    /// An address that is none, checkpoints that contradict each other, or a beacon whose chain is not known or does not fit.
    pub fn config<L: NodeLedger>(&self, spec: ChainSpec) -> anyhow::Result<NodeConfig> {
        let spec = spec.with_checkpoints(&self.checkpoint).context("--checkpoint")?;
        let data_dir = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => data_dir()?.join("node").join(&spec.rules().name),
        };
        let hints = spec.hints();
        let listen = match self.listen.as_slice() {
            [] => vec![multiaddr(&format!("/ip4/127.0.0.1/tcp/{}", hints.peer_port))?],
            some => some.to_vec(),
        };
        let peers = self.peer.clone();
        let discovery = self.discovery(&spec)?;
        let beacon = self.beacon(&spec)?;
        let rpc = self.rpc.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], hints.rpc_port)));
        Ok(NodeConfig {
            listen,
            peers,
            proxy: self.proxy,
            discovery,
            rpc,
            access: self.access.access(&data_dir)?,
            metrics: self.metrics,
            is_public: self.rpc_public,
            beacon,
            snapshot: self.snapshot,
            snapshot_depth: self.snapshot_depth,
            prune: self.prune.pruning(),
            reverify: self.reverify,
            compact: self.compact,
            indexes: self.indexes::<L>()?,
            ..NodeConfig::new(spec, data_dir)
        })
    }

    fn discovery(&self, spec: &ChainSpec) -> anyhow::Result<Option<DiscoveryConfig>> {
        if self.no_discovery {
            return Ok(None);
        }
        let bootstrap = spec.hints().bootstrap.iter().map(multiaddr).collect::<Result<_, _>>()?;
        Ok(Some(DiscoveryConfig { outbound: DiscoveryConfig::OUTBOUND, bootstrap }))
    }

    /// The indexes that are asked for.
    fn indexes<L: NodeLedger>(&self) -> anyhow::Result<Option<Vec<String>>> {
        let names = match self.index.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => return Ok(None),
            ["none"] => Vec::new(),
            ["all"] => L::INDEXES.iter().map(|index| index.kind.name.to_owned()).collect(),
            _ => self.index.clone(),
        };
        index::chosen::<L>(Some(&names))?;
        Ok(Some(names))
    }

    /// Where a chain that inherits its beacon gets it from.
    fn beacon(&self, spec: &ChainSpec) -> anyhow::Result<Option<BeaconConfig>> {
        if !spec.inherits_beacon() {
            ensure!(
                self.beacon_peer.is_empty() && self.beacon_chain.is_none(),
                "chain {} has its own beacon and takes no --beacon-peer or --beacon-chain",
                spec.rules().name
            );
            return Ok(None);
        }
        let parent = match &self.beacon_chain {
            Some(name) => load_spec(name)?,
            None => spec_by_id(spec.beacon_id(), &[])
                .context("the chain inherits the beacon of a chain that is not built in: name its spec with --beacon-chain")?,
        };
        spec.check_beacon(&parent)?;
        let peers = peers_or_default(&self.beacon_peer, &parent)?;
        Ok(Some(BeaconConfig { spec: parent, peers }))
    }
}

fn multiaddr(text: &String) -> anyhow::Result<Multiaddr> {
    text.parse().with_context(|| format!("{text} is no multiaddress"))
}

fn peers_or_default(given: &[Multiaddr], spec: &ChainSpec) -> anyhow::Result<Vec<Multiaddr>> {
    match given {
        [] => spec.hints().bootstrap.iter().map(multiaddr).collect(),
        some => Ok(some.to_vec()),
    }
}

/// The user's data directory for MASS.
///
/// # Errors
/// The user has no home.
pub fn data_dir() -> anyhow::Result<PathBuf> {
    mass_rpc::user_dir().ok_or_else(|| {
        anyhow!("this user has no home directory: name files and directories on the command line")
    })
}

/// The spec of a built-in chain, or else of the file of that name.
///
/// # Errors
/// There is neither, or the file holds no good spec.
pub fn load_spec(name: &str) -> anyhow::Result<ChainSpec> {
    if let Some(spec) = ChainSpec::built_in(name) {
        return Ok(spec);
    }
    if !std::path::Path::new(name).exists() {
        let known = ChainSpec::BUILT_IN.join(", ");
        bail!("unknown chain \"{name}\": it is neither built in ({known}) nor a spec file");
    }
    let text = std::fs::read_to_string(name).with_context(|| name.to_owned())?;
    ChainSpec::from_json(&text).with_context(|| name.to_owned())
}

/// The spec of a chain that has this id: one of `known`, or a built-in one.
pub fn spec_by_id(id: &mass_primitives::ChainId, known: &[ChainSpec]) -> Option<ChainSpec> {
    let built_in = ChainSpec::BUILT_IN.into_iter().filter_map(ChainSpec::built_in);
    known.iter().cloned().chain(built_in).find(|spec| spec.id() == id)
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object to a line: `timestamp`, `level`, `target` (the module) and `fields`, among them `message`.
    Json,
}

/// Sends the log to the standard error.
///
/// # Errors
/// The filter is none.
pub fn log_to_stderr(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    // The client of the farm's webhooks would log their URLs, which are secrets: nobody can ask for that.
    let asked: Vec<&str> = filter.split(',').filter(|asked| !asked.trim().starts_with("ureq")).collect();
    let filter = EnvFilter::try_new(asked.join(",")).with_context(|| format!("--log {filter}"))?;
    let quiet = ["ureq=off", "ureq_proto=off"].map(|directive| directive.parse().expect("it is a directive"));
    let filter = quiet.into_iter().fold(filter, EnvFilter::add_directive);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.with_ansi(false).json().with_current_span(false).with_span_list(false).init(),
    }
    Ok(())
}

/// Ready at the first Ctrl-C or SIGTERM.
///
/// # Errors
/// The system does not let signals be caught.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Runs a node until a signal or the RPC ends it. `tell` gets what happens, as JSON and as text.
///
/// # Errors
/// The node cannot start, or what stopped it.
pub async fn follow<L: NodeLedger>(
    config: NodeConfig,
    tell: impl Fn(&Value, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    follow_with::<L, ()>(config, async |_, _| Ok(((), Vec::new())), tell).await
}

/// [`follow`], with more servers beside the RPC: `beside` starts them on the node, and returns what holds them and their
/// names and addresses. A node that finds the disk full ends, and is started again when there is room.
///
/// # Errors
/// As [`follow`], or why they do not start.
pub async fn follow_with<L: NodeLedger, T>(
    config: NodeConfig,
    beside: impl AsyncFn(Queries<L>, &NodeHandle) -> anyhow::Result<(T, Vec<(&'static str, String)>)>,
    tell: impl Fn(&Value, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut stop = std::pin::pin!(stop_signal()?);
    let (mut has_run, data_dir) = (false, config.data_dir.clone());
    loop {
        let ended = follow_once::<L, T>(config.clone(), &beside, &tell, stop.as_mut(), &mut has_run).await;
        let Err(error) = ended else { return tell(&json!({ "event": "stopped" }), "stopped") };
        if !has_run || !space::is_full(&error) {
            return Err(error);
        }
        tracing::error!("{error:#}: the node waits for room where {} is", data_dir.display());
        let text =
            format!("the disk is full: make room where {} is, and the node goes on", data_dir.display());
        tell(&json!({ "event": "full", "data_dir": data_dir, "error": format!("{error:#}") }), &text)?;
        tokio::select! {
            () = stop.as_mut() => return Err(error),
            () = space::wait(&data_dir) => {}
        }
    }
}

/// Runs a node once. `has_run` is set when it has started.
async fn follow_once<L: NodeLedger, T>(
    config: NodeConfig,
    beside: &impl AsyncFn(Queries<L>, &NodeHandle) -> anyhow::Result<(T, Vec<(&'static str, String)>)>,
    tell: &impl Fn(&Value, &str) -> anyhow::Result<()>,
    stop: std::pin::Pin<&mut impl Future<Output = ()>>,
    has_run: &mut bool,
) -> anyhow::Result<()> {
    let (chain, data_dir) = (config.spec.rules().name.clone(), config.data_dir.clone());
    let (node, queries) = start_asked::<L>(config).await?;
    let (servers, more) = match beside(queries, &node).await {
        Ok(started) => started,
        Err(error) => {
            node.stop().await?;
            return Err(error);
        }
    };
    let listen: Vec<String> = node.listen.iter().map(ToString::to_string).collect();
    let more_text: String = more.iter().map(|(name, addr)| format!("{name:<6} {addr}\n")).collect();
    let text = format!(
        "node of chain {chain} in {}\nRPC    http://{}\n{more_text}peers  {}\nCtrl-C ends it",
        data_dir.display(),
        node.rpc,
        listen.join(" ")
    );
    let mut value = json!({ "event": "started", "chain": chain, "data_dir": data_dir,
        "rpc": format!("http://{}", node.rpc), "listen": listen });
    if let Some(addr) = node.metrics {
        value["metrics"] = json!(format!("http://{addr}/metrics"));
    }
    more.iter().for_each(|(name, addr)| value[*name] = json!(addr));
    tell(&value, &text)?;
    *has_run = true;
    tokio::select! {
        () = stop => tracing::info!("stopping"),
        () = node.stopped() => {}
    }
    drop(servers);
    node.stop().await?;
    Ok(())
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
    /// Print what happens as JSON, one value to a line.
    #[arg(long)]
    json: bool,
    /// What to log to the standard error: a level, or levels by module as in "info,mass_node=debug".
    #[arg(long, env = "MASS_LOG", default_value = "warn", value_name = "LEVELS")]
    log: String,
    /// What a line of the log looks like.
    #[arg(long, env = "MASS_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
}

/// The `main` of a program that is a node of one chain, whose spec is `spec` in JSON.
#[must_use]
pub fn main<L: NodeLedger>(spec: &str) -> ExitCode {
    match run::<L>(spec) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_code(&error).into()
        }
    }
}

fn run<L: NodeLedger>(spec: &str) -> anyhow::Result<()> {
    let spec = ChainSpec::from_json(spec).context("the chain spec of this program")?;
    let about = format!("A node of the chain {}, id {}.", spec.rules().name, spec.id());
    let command = Cli::command().bin_name(spec.rules().name.clone()).about(about);
    let cli = Cli::from_arg_matches(&command.get_matches())?;
    log_to_stderr(&cli.log, cli.log_format)?;
    let config = cli.node.config::<L>(spec)?;
    let tell = |value: &Value, text: &str| {
        let line = if cli.json { value.to_string() } else { text.to_owned() };
        match writeln!(io::stdout(), "{line}") {
            // A reader that is gone does not stop the node.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    };
    let runtime = tokio::runtime::Runtime::new().context("the system gives no threads")?;
    runtime.block_on(follow::<L>(config, tell))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};
    use mass_consensus::spec::ChainSpec;
    use mass_ledger_utxo::UtxoLedger;

    /// What a command line makes of the checkpoints of a spec that has one at height 7.
    fn checkpoints(more: &[&str]) -> Result<Vec<String>, String> {
        let mut file = ChainSpec::built_in("dev").expect("it is built in").file().clone();
        file.hints.checkpoints = vec![format!("7:{}", "01".repeat(32)).parse().expect("a checkpoint")];
        let spec = ChainSpec::new(file).expect("a good spec");
        let args = more.iter().flat_map(|text| ["--checkpoint", text]);
        let cli = super::Cli::try_parse_from(["node", "--data-dir", "/nowhere"].into_iter().chain(args));
        let config = cli.map_err(|error| error.to_string())?.node.config::<UtxoLedger>(spec);
        let spec = config.map_err(|error| format!("{error:#}"))?.spec;
        Ok(spec.hints().checkpoints.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn checkpoints_of_the_operator_join_those_of_the_spec_and_must_not_contradict_them() {
        let [one, two] = ["7:".to_owned() + &"01".repeat(32), "9:".to_owned() + &"02".repeat(32)];
        assert_eq!(checkpoints(&[&two]), Ok(vec![one, two.clone()]));
        let clash = checkpoints(&[&two.replace('9', "7")]).unwrap_err();
        assert!(clash.contains("CKP-1: one checkpoint of height 7 is block 0101"), "{clash}");
        assert!(checkpoints(&["9"]).unwrap_err().contains("HEIGHT:ID"));
    }

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
