//! The loop: one task owns the chain and takes peers' messages, RPC queries and the clock in turn.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use mass_consensus::{beacon::Beacon, spec::ChainSpec};
use mass_network::{Command, Config, DiscoveryConfig, Event, Multiaddr, swarm};
use mass_rpc::{Access, MassServer as _, Methods, PagesHandle, ServerHandle, serve, serve_metrics};
use mass_storage::Store;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    access,
    api::{Api, metrics},
    chain::Chain,
    error::{ChainError, NodeError},
    follower::{self, BeaconConfig, Follower},
    generate::Generator,
    health,
    ledger::NodeLedger,
    lock::DirLock,
    methods::{Method, overlaid, serve_table},
    news::News,
    node::{Moment, Node},
    pool_files::{self, PoolFiles},
    prune::{self, Pruning},
    queries::{Queries, Query},
    snapshot::{SNAPSHOT_DEPTH_BLOCKS, SnapshotConfig, Snapshots},
    standard,
};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(200);

/// How long clients may take to finish when the node ends.
const FAREWELL: Duration = Duration::from_secs(2);

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
    /// A SOCKS5 proxy for all connections that the node begins.
    pub proxy: Option<SocketAddr>,
    /// How other peers are found, if they are.
    pub discovery: Option<DiscoveryConfig>,
    /// Address to listen on for RPC.
    pub rpc: SocketAddr,
    /// Who may call the RPC.
    pub access: Access,
    /// Where metrics, health and readiness are told to everybody, beside the RPC's address.
    pub metrics: Option<SocketAddr>,
    /// Whether anybody may read by RPC.
    pub is_public: bool,
    /// The chain whose beacon is inherited, if one is.
    pub beacon: Option<BeaconConfig>,
    /// Whether a node without blocks begins with a snapshot of its peers.
    pub snapshot: bool,
    /// How deep a snapshot's block lies at the least, for one that is made as for one that is taken.
    pub snapshot_depth: u32,
    /// How old blocks are pruned, if they are.
    pub prune: Option<Pruning>,
    /// Whether all stored headers are proven again at the start.
    pub reverify: bool,
    /// Whether the database is compacted at the start.
    pub compact: bool,
    /// Names of the indexes to keep; `None` for those that the ledger keeps by default.
    pub indexes: Option<Vec<String>>,
    /// Who makes blocks on demand, if somebody does.
    pub generator: Option<Generator>,
    /// Methods of others, to be served with the node's own.
    pub guests: Methods,
}

impl NodeConfig {
    /// A node on this machine alone: it takes any port for RPC, listens for no peers, dials nobody. Its cookie is in the
    /// data directory.
    #[must_use]
    pub fn new(spec: ChainSpec, data_dir: PathBuf) -> Self {
        Self {
            spec,
            access: Access::in_dir(&data_dir, false),
            metrics: None,
            is_public: false,
            data_dir,
            listen: Vec::new(),
            peers: Vec::new(),
            proxy: None,
            discovery: None,
            rpc: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            beacon: None,
            snapshot: false,
            snapshot_depth: SNAPSHOT_DEPTH_BLOCKS,
            prune: None,
            reverify: false,
            compact: false,
            indexes: None,
            generator: None,
            guests: Methods::new(),
        }
    }
}

/// A running node.
pub struct NodeHandle {
    /// Where RPC listens.
    pub rpc: SocketAddr,
    /// Where metrics, health and readiness are told to everybody, if they are.
    pub metrics: Option<SocketAddr>,
    /// Where peers find the node.
    pub listen: Vec<Multiaddr>,
    /// All that RPC answers, to be called in this process.
    pub methods: Methods,
    stop: mpsc::Sender<()>,
    task: JoinHandle<Result<(), ChainError>>,
    server: ServerHandle,
    _pages: Option<PagesHandle>,
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
        // Not for longer: a client that never finishes its request would keep it.
        let _ = tokio::time::timeout(FAREWELL, self.server.stopped()).await;
        result.unwrap_or_else(|error| Err(ChainError::Database(format!("the node's loop ended: {error}"))))
    }
}

/// All that the loop owns.
pub struct Running<L> {
    /// The node.
    pub node: Node<L>,
    /// Set to end the loop.
    pub stopping: bool,
    news: News,
    /// Where the pool outlives the node.
    pub(crate) files: PoolFiles,
    commands: mpsc::Sender<Command>,
    snapshots: Snapshots,
    /// Until the end.
    _lock: DirLock,
}

/// Starts a node; returns once it listens.
///
/// # Errors
/// [`NodeError`] if data directory, chain, network or RPC cannot be opened.
pub async fn start<L: NodeLedger>(config: NodeConfig) -> Result<NodeHandle, NodeError> {
    Ok(start_asked::<L>(config).await?.0)
}

/// [`start`], with a place for questions to the node.
///
/// # Errors
/// As [`start`].
pub async fn start_asked<L: NodeLedger>(config: NodeConfig) -> Result<(NodeHandle, Queries<L>), NodeError> {
    if config.snapshot && config.spec.inherits_beacon() {
        return Err(NodeError::SnapshotOfChild);
    }
    fs::create_dir_all(&config.data_dir)
        .map_err(|error| NodeError::DataDir(config.data_dir.clone(), error))?;
    let lock = DirLock::take(&config.data_dir)?;
    let seed = peer_key(&config.data_dir.join("peer.key"))?;
    // First of all, for a port that is taken is found out before anything is opened. Calls wait for the loop.
    let (queries, inbox) = Queries::channel(256);
    let news = News::new();
    let served = serve_all(&config, &queries, &news).await?;
    let follower = open_follower(&config)?;
    let beacon = follower.as_ref().map(|(follower, _)| follower.beacon().clone());
    let database = crate::export::database(&config.data_dir);
    if config.compact {
        let store = Store::open(&database, config.spec.id()).and_then(|mut store| store.compact());
        store.map_err(|error| NodeError::Chain(database.clone(), error.into()))?;
    }
    let open = if config.reverify { Chain::<L>::reverify } else { Chain::<L>::open };
    let mut chain =
        open(&database, config.spec, beacon).map_err(|error| NodeError::Chain(database.clone(), error))?;
    let period = chain.spec().rules().period_blocks;
    let pruning = config.prune.map(|pruning| pruning.with_snapshots(period, config.snapshot_depth));
    prune::check_start(&chain, pruning.as_ref(), config.indexes.as_deref())
        .and_then(|()| chain.keep_indexes(config.indexes.as_deref()))
        .map_err(|error| NodeError::Chain(database.clone(), error))?;
    let snapshots = SnapshotConfig {
        data_dir: config.data_dir.clone(),
        depth: config.snapshot_depth,
        indexes: config.indexes.clone(),
        begins: config.snapshot,
        pruning,
    };
    let (commands, mut events) = swarm::spawn(Config {
        chain_id: *chain.spec().id(),
        listen: config.listen.clone(),
        seed,
        peers: config.peers,
        max_connections: CONNECTIONS_MAX,
        memory: Some(config.data_dir.join("peers")),
        proxy: config.proxy,
        discovery: config.discovery,
    })?;
    let (listen, early) = first_events(&mut events, config.listen.len()).await;
    if let Some((follower, beacon)) = follower {
        follower::spawn(follower, beacon, random_seed(&config.data_dir)?, queries.clone())?;
    }
    let (mut node, files) = (Node::new(chain, Moment::now()), PoolFiles::new(&config.data_dir));
    node.set_database(database);
    node.set_pruning(pruning);
    let snapshots = Snapshots::begin(&mut node, &snapshots)?;
    node.set_proxy(config.proxy);
    files.load(&mut node);
    let running = Running { node, stopping: false, news, files, commands, snapshots, _lock: lock };
    let (stop, stopped) = mpsc::channel(1);
    let task = tokio::spawn(running.run(early, events, inbox, stopped));
    let Served { rpc, server, methods, pages } = served;
    let (metrics, pages) = pages.unzip();
    Ok((NodeHandle { rpc, metrics, listen, methods, stop, task, server, _pages: pages }, queries))
}

/// What a node serves.
struct Served {
    rpc: SocketAddr,
    server: ServerHandle,
    methods: Methods,
    pages: Option<(SocketAddr, PagesHandle)>,
}

/// Serves RPC and pages of a node that is still to be opened.
async fn serve_all<L: NodeLedger>(
    config: &NodeConfig,
    queries: &Queries<L>,
    news: &News,
) -> Result<Served, NodeError> {
    let address = Arc::new(OnceLock::new());
    let generating = config.generator.clone().map(|generator| generator.method(Arc::clone(&address)));
    let more = generating.into_iter().chain([health::method(config.data_dir.clone())]);
    let methods = all_methods::<L>(queries, news, more, config.guests.clone())?;
    let mut rights = config.access.clone();
    if config.is_public {
        rights.public = access::public(&methods);
    }
    let render = metrics(queries.clone(), config.data_dir.clone());
    let (rpc, server) = serve(config.rpc, methods.clone(), Arc::clone(&render), rights).await?;
    let _ = address.set(rpc);
    let pages = match config.metrics {
        Some(addr) => Some(serve_metrics(addr, render).await?),
        None => None,
    };
    Ok(Served { rpc, server, methods, pages })
}

/// What happens in the network until the node listens at so many addresses, and these.
async fn first_events(events: &mut mpsc::Receiver<Event>, addresses: usize) -> (Vec<Multiaddr>, Vec<Event>) {
    let (mut listen, mut early) = (Vec::new(), Vec::new());
    while listen.len() < addresses {
        let Some(event) = events.recv().await else { break };
        if let Event::Listening(address) = &event {
            listen.push(address.clone());
        }
        early.push(event);
    }
    (listen, early)
}

/// All that the RPC answers.
fn all_methods<L: NodeLedger>(
    queries: &Queries<L>,
    news: &News,
    more: impl IntoIterator<Item = Method<L>>,
    guests: Methods,
) -> Result<Methods, NodeError> {
    let mut methods: Methods = Api(queries.clone()).into_rpc().into();
    methods.merge(L::methods(queries))?;
    methods.merge(news.methods::<L>()?)?;
    let mut table = overlaid(standard::table(), L::table());
    table.extend(more);
    let served = serve_table(queries, &table, &[("Mass", &methods), ("Wallet", &guests)])?;
    methods.merge(served)?;
    methods.merge(guests)?;
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
    pool_files::write(path, &seed).map_err(fault)?;
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

    /// Writes the pool down, beside the loop unless that is waited for.
    fn save_pool(&mut self) -> impl Future<Output = ()> + use<L> {
        let write = self.files.prepare(&self.node, Moment::now().instant);
        let written = tokio::task::spawn_blocking(move || {
            if let Err(error) = write.perform() {
                tracing::warn!(file = %write.path.display(), %error, "the pool is not written down");
            }
        });
        async move { drop(written.await) }
    }

    /// Builds a part of the indexes that are behind, or prunes a little; whether more is to be done.
    fn work_on(&mut self) -> Result<bool, ChainError> {
        Ok(self.build_indexes()? || self.node.prune(Moment::now())?)
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
        self.news.look_at_tip(self.node.chain());
        let mut is_busy = true;
        while !self.stopping && stop.is_empty() {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.node.event(event, Moment::now())?,
                    None => break,
                },
                Some(query) = queries.recv() => query(&mut self),
                _ = stop.recv() => self.stopping = true,
                _ = clock.tick() => {
                    self.node.tick(Moment::now())?;
                    self.news.look_at_pool(self.node.chain());
                    self.snapshots.tend(&mut self.node, Moment::now()).await?;
                    if self.files.is_due(Moment::now().instant) {
                        drop(self.save_pool());
                    }
                    is_busy = true;
                }
                () = std::future::ready(()), if self.node.has_work() => self.node.proceed(Moment::now())?,
                () = std::future::ready(()), if is_busy => is_busy = self.work_on()?,
            }
            // What a query found out about the disk ends the node too.
            self.node.chain().store().check_alive()?;
            self.news.look_at_tip(self.node.chain());
            for command in self.node.take_commands() {
                if self.commands.send(command).await.is_err() {
                    self.stopping = true;
                }
            }
        }
        let _ = self.commands.send(Command::Stop).await;
        self.snapshots.end(&mut self.node);
        self.node.chain_mut().end_estimates();
        self.save_pool().await;
        Ok(())
    }
}
