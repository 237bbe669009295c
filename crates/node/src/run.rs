//! The loop: one task owns the chain and takes peers' messages, RPC queries and the clock in turn.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use mass_consensus::{beacon::Beacon, spec::ChainSpec};
use mass_network::{Command, Config, Event, Multiaddr, swarm};
use mass_rpc::{MassServer as _, Methods, ServerHandle, serve};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    api::{Api, metrics},
    chain::Chain,
    error::{ChainError, NodeError},
    follower::{self, BeaconConfig, Follower},
    ledger::NodeLedger,
    methods::{overlaid, serve_table},
    node::{Moment, Node},
    queries::{Queries, Query},
    standard,
};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Connections at the most.
const CONNECTIONS_MAX: u32 = 64;

/// What a node needs to start.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The chain.
    pub spec: ChainSpec,
    /// Where the node keeps its database and its peer key.
    pub data_dir: PathBuf,
    /// Addresses to listen on for peers.
    pub listen: Vec<Multiaddr>,
    /// Peers to hold a connection to.
    pub peers: Vec<Multiaddr>,
    /// Address to listen on for RPC.
    pub rpc: SocketAddr,
    /// The chain whose beacon is inherited, if one is.
    pub beacon: Option<BeaconConfig>,
    /// Names of the indexes to keep; `None` for those that the ledger keeps by default.
    pub indexes: Option<Vec<String>>,
}

/// A running node.
pub struct NodeHandle {
    /// Where RPC listens.
    pub rpc: SocketAddr,
    /// Where peers find the node.
    pub listen: Vec<Multiaddr>,
    stop: mpsc::Sender<()>,
    task: JoinHandle<Result<(), ChainError>>,
    server: ServerHandle,
}

impl NodeHandle {
    /// Waits until the node stops by itself, by RPC or by a fatal error, which [`Self::stop`] then tells.
    pub async fn stopped(&self) {
        self.stop.closed().await;
    }

    /// Stops the node and waits until all is written.
    ///
    /// # Errors
    /// What stopped the node before, if something did.
    pub async fn stop(self) -> Result<(), ChainError> {
        let _ = self.stop.send(()).await;
        let result = self.task.await;
        let _ = self.server.stop();
        self.server.stopped().await;
        result.unwrap_or_else(|error| Err(ChainError::Database(format!("the node's loop ended: {error}"))))
    }
}

/// All that the loop owns.
pub struct Running<L> {
    /// The node.
    pub node: Node<L>,
    /// Set to end the loop.
    pub stopping: bool,
    commands: mpsc::Sender<Command>,
}

/// Starts a node; returns once it listens.
///
/// # Errors
/// [`NodeError`] if data directory, chain, network or RPC cannot be opened.
pub async fn start<L: NodeLedger>(config: NodeConfig) -> Result<NodeHandle, NodeError> {
    fs::create_dir_all(&config.data_dir)
        .map_err(|error| NodeError::DataDir(config.data_dir.clone(), error))?;
    let seed = peer_key(&config.data_dir.join("peer.key"))?;
    // First of all, for a port that is taken is found out before anything is opened. Calls wait for the loop.
    let (queries, inbox) = Queries::channel(256);
    let methods = all_methods::<L>(&queries)?;
    let (rpc, server) = serve(config.rpc, methods, metrics(queries.clone())).await?;
    let follower = open_follower(&config)?;
    let beacon = follower.as_ref().map(|(follower, _)| follower.beacon().clone());
    let database = config.data_dir.join("chain.redb");
    let mut chain = Chain::<L>::open(&database, config.spec, beacon)
        .map_err(|error| NodeError::Chain(database.clone(), error))?;
    chain
        .keep_indexes(config.indexes.as_deref())
        .map_err(|error| NodeError::Chain(database.clone(), error))?;
    let (commands, mut events) = swarm::spawn(Config {
        chain_id: *chain.spec().id(),
        listen: config.listen.clone(),
        seed,
        peers: config.peers,
        max_connections: CONNECTIONS_MAX,
    })?;
    let (mut listen, mut early) = (Vec::new(), Vec::new());
    while listen.len() < config.listen.len() {
        match events.recv().await {
            Some(event) => {
                if let Event::Listening(address) = &event {
                    listen.push(address.clone());
                }
                early.push(event);
            }
            None => break,
        }
    }
    if let Some((follower, beacon)) = follower {
        follower::spawn(follower, beacon, random_seed(&config.data_dir)?, queries)?;
    }
    let mut node = Node::new(chain, Moment::now());
    node.set_database(database);
    let running = Running { node, stopping: false, commands };
    let (stop, stopped) = mpsc::channel(1);
    let task = tokio::spawn(running.run(early, events, inbox, stopped));
    Ok(NodeHandle { rpc, listen, stop, task, server })
}

/// All that the RPC answers.
fn all_methods<L: NodeLedger>(queries: &Queries<L>) -> Result<Methods, NodeError> {
    let mut methods: Methods = Api(queries.clone()).into_rpc().into();
    methods.merge(L::methods(queries))?;
    let table = overlaid(standard::table(), L::table());
    let served = serve_table(queries, &table, &methods)?;
    methods.merge(served)?;
    Ok(methods)
}

/// The parent's headers, if the chain inherits its beacon.
fn open_follower(config: &NodeConfig) -> Result<Option<(Follower, BeaconConfig)>, NodeError> {
    let Some(beacon) = &config.beacon else {
        return if config.spec.inherits_beacon() { Err(NodeError::NoBeacon) } else { Ok(None) };
    };
    config.spec.check_beacon(&beacon.spec)?;
    let path = config.data_dir.join("beacon.redb");
    let follower = Follower::open(&path, &beacon.spec).map_err(|error| NodeError::Chain(path, error))?;
    Ok(Some((follower, beacon.clone())))
}

fn random_seed(path: &Path) -> Result<[u8; 32], NodeError> {
    let mut seed = [0u8; 32];
    let fault = |error: getrandom::Error| std::io::Error::other(error.to_string());
    getrandom::fill(&mut seed).map_err(|error| NodeError::DataDir(path.to_path_buf(), fault(error)))?;
    Ok(seed)
}

/// The key by which peers know the node, made at the first start.
fn peer_key(path: &Path) -> Result<[u8; 32], NodeError> {
    let fault = |error| NodeError::DataDir(path.to_path_buf(), error);
    if path.exists() {
        let bytes = fs::read(path).map_err(fault)?;
        return bytes.try_into().map_err(|_| NodeError::PeerKey(path.to_path_buf()));
    }
    let seed = random_seed(path)?;
    let staged = path.with_extension("tmp");
    let _ = fs::remove_file(&staged);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged).map_err(fault)?;
    file.write_all(&seed).and_then(|()| file.sync_all()).map_err(fault)?;
    fs::rename(&staged, path).map_err(fault)?;
    Ok(seed)
}

impl<L: NodeLedger> Running<L> {
    /// The parent's chain gives these seeds.
    pub fn take_beacon(&mut self, beacon: Beacon) {
        if let Err(error) = self.node.take_beacon(beacon, Moment::now()) {
            tracing::error!(%error, "the node ends");
            self.stopping = true;
        }
    }

    /// Builds a part of the indexes that are behind; whether more is to be done.
    fn build_indexes(&mut self) -> Result<bool, ChainError> {
        let Some(built) = self.node.chain_mut().build_indexes()? else { return Ok(false) };
        let tip = self.node.chain().store().tip()?.map(|tip| tip.height);
        for index in built {
            tracing::info!(index = index.name, blocks = %index.next, ?tip, "index built");
        }
        Ok(true)
    }

    async fn run(
        mut self,
        early: Vec<Event>,
        mut events: mpsc::Receiver<Event>,
        mut queries: mpsc::Receiver<Query<L>>,
        mut stop: mpsc::Receiver<()>,
    ) -> Result<(), ChainError> {
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Before anything else: without the time, every block is one of the future.
        self.node.tick(Moment::now())?;
        for event in early {
            self.node.event(event, Moment::now())?;
        }
        let mut building = true;
        while !self.stopping {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.node.event(event, Moment::now())?,
                    None => break,
                },
                Some(query) = queries.recv() => query(&mut self),
                _ = stop.recv() => self.stopping = true,
                _ = clock.tick() => {
                    self.node.tick(Moment::now())?;
                    building = true;
                }
                () = std::future::ready(()), if building => building = self.build_indexes()?,
            }
            for command in self.node.take_commands() {
                if self.commands.send(command).await.is_err() {
                    self.stopping = true;
                }
            }
        }
        let _ = self.commands.send(Command::Stop).await;
        Ok(())
    }
}
