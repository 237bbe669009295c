//! `mass node`: a full node in the foreground, and questions to one that runs.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use mass_consensus::spec::ChainSpec;
use mass_network::Multiaddr;
use mass_node::{BeaconConfig, NodeConfig};
use mass_rpc::{HttpClient, MassClient};
use serde_json::json;

use crate::{
    chain,
    output::{Output, Verdict, human_bytes, note},
    paths, runtime,
};

/// What to do with a node.
#[derive(Subcommand)]
pub enum Command {
    /// Follow a chain until Ctrl-C: take blocks from peers and from farmers, check and keep them.
    ///
    /// Everything is kept in one directory; killed at any moment, the node goes on from there.
    Run(RunArgs),
    /// How a node fares.
    Status(NodeUrl),
    /// The peers of a node.
    Peers(NodeUrl),
}

/// How to run a node.
#[derive(Args)]
pub struct RunArgs {
    /// The chain to follow: a built-in one, as `mass chain list` has them, or a spec file.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    chain: String,
    /// Where the node keeps its database and its peer key [default: node/<chain> in the user's data directory].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// An address to listen on for peers, as in /ip4/0.0.0.0/tcp/29330; may be given several times [default: the
    /// chain's port on this machine alone].
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<Multiaddr>,
    /// A peer to hold a connection to, as in /ip4/192.0.2.1/tcp/29330; may be given several times [default: those
    /// of the chain spec].
    #[arg(long, value_name = "MULTIADDR")]
    peer: Vec<Multiaddr>,
    /// Where a chain inherits its beacon: a peer of its parent's network; may be given several times [default:
    /// those of the parent's spec].
    #[arg(long, value_name = "MULTIADDR")]
    beacon_peer: Vec<Multiaddr>,
    /// The parent's spec file, if it is no built-in chain.
    #[arg(long, value_name = "CHAIN")]
    beacon_chain: Option<String>,
    /// The address to listen on for RPC, on this machine alone; port 0 takes any [default: the chain's port].
    #[arg(long, value_name = "ADDRESS")]
    rpc: Option<SocketAddr>,
}

/// Which node to ask.
#[derive(Args)]
pub struct NodeUrl {
    /// The chain of the node, for its default port.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    pub chain: String,
    /// The node's RPC [default: the chain's port on this machine].
    #[arg(long, value_name = "URL")]
    pub node: Option<String>,
}

/// Where a node of a chain answers RPC unless it was told another place.
pub fn usual_url(spec: &ChainSpec) -> String {
    format!("http://127.0.0.1:{}", spec.hints().rpc_port)
}

impl NodeUrl {
    /// The chain's spec and the URL of the node.
    pub fn resolve(&self) -> anyhow::Result<(ChainSpec, String)> {
        let spec = chain::load(&self.chain)?;
        let url = self.node.clone().unwrap_or_else(|| usual_url(&spec));
        Ok((spec, url))
    }

    /// The URL of the node, and a client of it.
    pub fn client(&self) -> anyhow::Result<(String, HttpClient)> {
        let (_, url) = self.resolve()?;
        let client = mass_rpc::client(&url).with_context(|| url.clone())?;
        Ok((url, client))
    }
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Command::Run(args) => runtime::block_on(follow(config(args)?, output))?,
        Command::Status(node) => runtime::block_on(status(node, output))?,
        Command::Peers(node) => runtime::block_on(peers(node, output))?,
    }
    Ok(Verdict::Good)
}

fn config(args: &RunArgs) -> anyhow::Result<NodeConfig> {
    let spec = chain::load(&args.chain)?;
    let data_dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => paths::data_dir()?.join("node").join(&spec.rules().name),
    };
    let hints = spec.hints();
    let listen = match args.listen.as_slice() {
        [] => vec![multiaddr(&format!("/ip4/127.0.0.1/tcp/{}", hints.peer_port))?],
        some => some.to_vec(),
    };
    let peers = peers_or_default(&args.peer, &spec)?;
    let beacon = beacon(args, &spec)?;
    let rpc = args.rpc.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], hints.rpc_port)));
    Ok(NodeConfig { spec, data_dir, listen, peers, rpc, beacon })
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

/// Where a chain that inherits its beacon gets it from.
fn beacon(args: &RunArgs, spec: &ChainSpec) -> anyhow::Result<Option<BeaconConfig>> {
    if !spec.inherits_beacon() {
        anyhow::ensure!(
            args.beacon_peer.is_empty() && args.beacon_chain.is_none(),
            "chain {} has its own beacon and takes no --beacon-peer or --beacon-chain",
            spec.rules().name
        );
        return Ok(None);
    }
    let parent = match &args.beacon_chain {
        Some(name) => chain::load(name)?,
        None => chain::by_id(spec.beacon_id(), &[])
            .context("the chain inherits the beacon of a chain that is not built in: name its spec with --beacon-chain")?,
    };
    spec.check_beacon(&parent)?;
    let peers = peers_or_default(&args.beacon_peer, &parent)?;
    Ok(Some(BeaconConfig { spec: parent, peers }))
}

async fn follow(config: NodeConfig, output: Output) -> anyhow::Result<()> {
    let stop = runtime::stop_signal()?;
    let (chain, data_dir) = (config.spec.rules().name.clone(), config.data_dir.clone());
    let node = mass_node::start(config).await?;
    let listen: Vec<String> = node.listen.iter().map(ToString::to_string).collect();
    let text = format!(
        "node of chain {chain} in {}\nRPC    http://{}\npeers  {}\nCtrl-C ends it",
        data_dir.display(),
        node.rpc,
        listen.join(" ")
    );
    let value = json!({ "event": "started", "chain": chain, "data_dir": data_dir,
        "rpc": format!("http://{}", node.rpc), "listen": listen });
    output.line(&value, &text)?;
    tokio::select! {
        () = stop => note("stopping"),
        () = node.stopped() => {}
    }
    node.stop().await?;
    output.line(&json!({ "event": "stopped" }), "stopped")
}

async fn status(node: &NodeUrl, output: Output) -> anyhow::Result<()> {
    let (url, client) = node.client()?;
    let status = client.status().await.with_context(|| format!("the node at {url}"))?;
    let netspace = status.netspace_bytes.parse().map_or(status.netspace_bytes.clone(), human_bytes);
    let text = format!(
        "chain     {} ({})\nheight    {}\ntip       {}\nsynced    {}\npeers     {}\nnetspace  {netspace}\n\
         mempool   {} transactions\nreorgs    {} since the start\nbanned    {} farmer keys",
        status.name,
        status.chain,
        status.height,
        status.tip,
        if status.synced { "yes" } else { "no" },
        status.peers,
        status.mempool,
        status.reorgs,
        status.banned
    );
    output.result(&serde_json::to_value(&status)?, &text)
}

async fn peers(node: &NodeUrl, output: Output) -> anyhow::Result<()> {
    let (url, client) = node.client()?;
    let peers = client.get_peer_info().await.with_context(|| format!("the node at {url}"))?;
    let ids = peers.as_array().into_iter().flatten().filter_map(|peer| peer["id"].as_str());
    let text = ids.map(|id| format!("{id}\n")).collect::<String>();
    output.result(&peers, if text.is_empty() { "no peers" } else { &text })
}
