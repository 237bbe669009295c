//! The loop: one task owns the chain and takes peers' messages, RPC queries and the clock in turn.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mass_consensus::{
    beacon::Beacon,
    header::{HEADER_BYTES, Header},
    ledger::StateRead as _,
    spec::ChainSpec,
};
use mass_network::{
    Command, Config, Event, GossipToken, Multiaddr, PeerId, Topic, Verdict, swarm,
    wire::{HEADERS_MAX, Request, Response},
};
use mass_primitives::{BlockId, Decode as _, Encode as _};
use mass_rpc::{MassServer as _, Methods, RpcResult, ServerHandle, serve};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    api::{Api, fault, metrics},
    chain::{Chain, Notice},
    error::{ChainError, NodeError},
    follower::{self, BeaconConfig, Follower},
    ledger::NodeLedger,
    queries::{Queries, Query},
    sync::{Sync, answer, headers_request},
};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(200);

/// How often peers are asked for their tips, in case news was lost.
const STATUS_EVERY: Duration = Duration::from_secs(3);

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
pub struct Node<L> {
    /// The chain.
    pub chain: Chain<L>,
    /// Peers and what they were asked.
    pub(crate) sync: Sync,
    /// Where peers find us.
    pub(crate) listen: Vec<Multiaddr>,
    /// Set to end the loop.
    pub(crate) stopping: bool,
    commands: mpsc::Sender<Command>,
    outbox: Vec<Command>,
    status_at: Instant,
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
    let mut methods: Methods = Api(queries.clone()).into_rpc().into();
    methods.merge(L::methods(&queries))?;
    let (rpc, server) = serve(config.rpc, methods, metrics(queries.clone())).await?;
    let follower = open_follower(&config)?;
    let beacon = follower.as_ref().map(|(follower, _)| follower.beacon().clone());
    let database = config.data_dir.join("chain.redb");
    let chain = Chain::<L>::open(&database, config.spec, beacon)
        .map_err(|error| NodeError::Chain(database, error))?;
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
            Some(Event::Listening(address)) => listen.push(address),
            Some(event) => early.push(event),
            None => break,
        }
    }
    if let Some((follower, beacon)) = follower {
        follower::spawn(follower, beacon, random_seed(&config.data_dir)?, queries)?;
    }
    let node = Node {
        chain,
        sync: Sync::default(),
        listen: listen.clone(),
        stopping: false,
        commands,
        outbox: Vec::new(),
        status_at: Instant::now(),
    };
    let (stop, stopped) = mpsc::channel(1);
    let task = tokio::spawn(node.run(early, events, inbox, stopped));
    Ok(NodeHandle { rpc, listen, stop, task, server })
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

/// Unix time in seconds.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl<L: NodeLedger> Node<L> {
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
        self.tick()?;
        for event in early {
            self.event(event)?;
        }
        while !self.stopping {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.event(event)?,
                    None => break,
                },
                Some(query) = queries.recv() => query(&mut self),
                _ = stop.recv() => self.stopping = true,
                _ = clock.tick() => self.tick()?,
            }
            for command in std::mem::take(&mut self.outbox) {
                if self.commands.send(command).await.is_err() {
                    self.stopping = true;
                }
            }
        }
        let _ = self.commands.send(Command::Stop).await;
        Ok(())
    }

    fn tick(&mut self) -> Result<(), ChainError> {
        let now = unix_now();
        if let Some(slot) = self.chain.spec().slot_at(now) {
            let notices = self.chain.tick(slot, now)?;
            self.notice(notices);
        }
        if self.status_at.elapsed() >= STATUS_EVERY {
            self.status_at = Instant::now();
            for peer in self.sync.peers().copied().collect::<Vec<_>>() {
                self.request(peer, Request::Status);
            }
            self.tell_evidence();
        }
        Ok(())
    }

    fn request(&mut self, peer: PeerId, request: Request) {
        let id = self.sync.number();
        self.outbox.push(Command::Request { peer, request, id });
    }

    /// The parent's chain gives these seeds.
    pub(crate) fn take_beacon(&mut self, beacon: Beacon) {
        match self.chain.take_beacon(beacon, unix_now()) {
            Ok(notices) => self.notice(notices),
            Err(error) => {
                tracing::error!(%error, "the node ends");
                self.stopping = true;
            }
        }
    }

    /// Sends something to the network after the present event.
    pub(crate) fn send(&mut self, command: Command) {
        self.outbox.push(command);
    }

    /// Takes a transaction of our own into the pool and tells peers; its id as people write it.
    ///
    /// # Errors
    /// Why the pool does not take it.
    pub fn offer(&mut self, bytes: Vec<u8>) -> RpcResult<String> {
        let id = self.chain.take_transaction(&bytes, unix_now()).map_err(fault)?;
        self.send(Command::Publish { topic: Topic::Transactions, bytes });
        Ok(L::write_id(&id))
    }

    /// The value at `key` in the ledger's state after the tip.
    ///
    /// # Errors
    /// The disk fails.
    pub fn read(&self, key: &[u8]) -> RpcResult<Option<Vec<u8>>> {
        let state = self.chain.store().snapshot().map_err(fault)?;
        state.get(key).map_err(fault)
    }

    /// Does what the chain wants done outside.
    pub(crate) fn notice(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::NewTip(id) => tracing::info!(%id, "new tip"),
                Notice::Fetch(ids) => self.fetch(&ids),
                Notice::Refused(id, Some(reason)) => tracing::warn!(%id, reason, "block refused"),
                Notice::Refused(..) => {}
                Notice::DoubleSeal(farmer) => tracing::warn!(%farmer, "sealed twice in one slot"),
            }
        }
    }

    fn fetch(&mut self, ids: &[BlockId]) {
        for (peer, id, request) in self.sync.fetch(ids, Instant::now()) {
            self.outbox.push(Command::Request { peer, request, id });
        }
    }

    fn event(&mut self, event: Event) -> Result<(), ChainError> {
        match event {
            Event::PeerConnected(peer) => {
                self.sync.joined(peer);
                self.request(peer, Request::Status);
            }
            Event::PeerDisconnected(peer) => self.sync.left(&peer),
            Event::PeerRefused(peer) => tracing::debug!(%peer, "peer of another chain"),
            Event::Listening(address) => self.listen.push(address),
            Event::Gossip { topic, from, token, bytes } => self.gossip(topic, from, token, &bytes)?,
            Event::Request { request, token, .. } => {
                let response = answer(&self.chain, &request)?;
                self.outbox.push(Command::Respond { token, response });
            }
            Event::Response { id, peer, response } => self.response(id, peer, response)?,
            Event::RequestFailed { id, peer, reason } => {
                tracing::debug!(%peer, %reason, "request failed");
                self.sync.answered(id, 0, Instant::now());
                if reason.is_peer_fault() {
                    self.outbox.push(Command::Disconnect(peer));
                }
            }
        }
        Ok(())
    }

    /// Until it is in the chain, evidence is told again and again: farmers who can include it may have come just
    /// now, and the two headers themselves go no further than to who asks for the branches they are on.
    fn tell_evidence(&mut self) {
        for evidence in self.chain.engine().evidence_for_next() {
            self.send(Command::Publish { topic: Topic::Evidence, bytes: evidence.to_bytes() });
        }
    }

    fn gossip(
        &mut self,
        topic: Topic,
        from: PeerId,
        token: GossipToken,
        bytes: &[u8],
    ) -> Result<(), ChainError> {
        let verdict = match topic {
            Topic::Blocks => self.gossiped_block(from, bytes)?,
            Topic::Transactions => match self.chain.take_transaction(bytes, unix_now()) {
                Ok(_) => Verdict::Accept,
                Err(error) if error.is_fatal() => return Err(error),
                Err(ChainError::Transaction(_)) => Verdict::Reject,
                Err(_) => Verdict::Ignore,
            },
            Topic::Evidence => match self.chain.take_evidence(bytes, unix_now()) {
                Ok(true) => Verdict::Accept,
                Ok(false) => Verdict::Ignore,
                Err(error) if error.is_fatal() => return Err(error),
                Err(_) => Verdict::Reject,
            },
        };
        self.outbox.push(Command::Report { token, verdict });
        Ok(())
    }

    /// A block is passed on if it has a place in a chain and is new. What is bad by itself is its sender's fault.
    /// One that fails in its place is not: whoever sent it may be on another branch.
    fn gossiped_block(&mut self, from: PeerId, bytes: &[u8]) -> Result<Verdict, ChainError> {
        let Some(id) = block_id(bytes) else { return Ok(Verdict::Reject) };
        if self.chain.engine().has_judged(&id) {
            return Ok(Verdict::Ignore);
        }
        let notices = match self.chain.take_block(bytes, unix_now()) {
            Ok(notices) => notices,
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => {
                tracing::warn!(peer = %from, %error, "bad block");
                return Ok(Verdict::Reject);
            }
        };
        if notices.contains(&Notice::Refused(id, None)) {
            let best = *self.chain.engine().tree().best();
            self.request(from, headers_request(self.chain.engine().tree(), &best));
        }
        self.notice(notices);
        let tree = self.chain.engine().tree();
        let has_place = tree.get(&id).is_some() && !tree.is_condemned(&id);
        Ok(if has_place { Verdict::Accept } else { Verdict::Ignore })
    }

    fn response(&mut self, id: u64, peer: PeerId, response: Response) -> Result<(), ChainError> {
        match response {
            Response::Status { tip, .. } => {
                let tree = self.chain.engine().tree();
                if tree.get(&tip).is_none() {
                    let best = *tree.best();
                    self.sync.begins(&peer);
                    self.request(peer, headers_request(self.chain.engine().tree(), &best));
                }
            }
            Response::Headers(headers) => self.headers(peer, &headers)?,
            Response::Blocks(blocks) => {
                self.sync.answered(id, blocks.iter().flatten().count(), Instant::now());
                for bytes in blocks.into_iter().flatten() {
                    let taken = self.chain.take_block(&bytes, unix_now());
                    let Some(notices) = self.judge(peer, taken)? else { break };
                    self.notice(notices);
                }
            }
        }
        Ok(())
    }

    fn headers(&mut self, peer: PeerId, headers: &[Vec<u8>]) -> Result<(), ChainError> {
        let taken = self.chain.take_headers(headers, unix_now());
        let Some(notices) = self.judge(peer, taken)? else { return Ok(()) };
        let tree = self.chain.engine().tree();
        let misfit =
            |notice: &Notice| matches!(notice, Notice::Refused(id, Some(_)) if tree.get(id).is_none());
        if notices.iter().any(misfit) {
            self.outbox.push(Command::Disconnect(peer));
        } else if let Some(last) = headers.last().filter(|_| headers.len() == HEADERS_MAX)
            && let Some(last) = block_id(last)
            && let Some(height) = tree.get(&last).map(|node| node.height)
            && self.sync.reaches(&peer, height)
        {
            // Not from the best header, which may be on our own side of a fork.
            self.request(peer, headers_request(tree, &last));
        }
        self.notice(notices);
        Ok(())
    }

    /// What came, unless it was bad, for which the peer is dropped.
    fn judge(
        &mut self,
        peer: PeerId,
        taken: Result<Vec<Notice>, ChainError>,
    ) -> Result<Option<Vec<Notice>>, ChainError> {
        match taken {
            Ok(notices) => Ok(Some(notices)),
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => {
                tracing::warn!(%peer, %error, "bad answer");
                self.outbox.push(Command::Disconnect(peer));
                Ok(None)
            }
        }
    }
}

/// The id of the block or header that bytes begin with.
pub(crate) fn block_id(bytes: &[u8]) -> Option<BlockId> {
    Header::from_bytes(bytes.get(..HEADER_BYTES)?).ok().map(|header| header.id())
}
