//! The parent's headers, for a node whose chain inherits its beacon.
//!
//! The headers come from the parent's own network, are checked by its rules with all their proofs, and are
//! kept in a file of their own. Contents are not followed: a seed needs none.

use std::{path::Path, time::Duration};

use mass_consensus::{
    beacon::Beacon,
    engine::{BESIDE_MAX, SETTLE_EVERY},
    header::SealedHeader,
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::{HeaderTree, LinkError},
};
use mass_network::{
    Command, Config, Event, Multiaddr, PeerId, Verdict, swarm,
    wire::{HEADERS_MAX, Request, Response},
};
use mass_primitives::{BlockId, Decode, Encode, Height};
use mass_storage::{NewHeader, Store};
use tokio::sync::mpsc;

use crate::{
    chain::{genesis_id, is_left_out},
    compact::gossiped_header,
    error::{ChainError, NodeError},
    ledger::NodeLedger,
    node::{Moment, block_id},
    prove::{prove_headers, read_stored},
    queries::Queries,
    snapshot::nothing,
    sync::{Sync, headers_request},
};

/// How often the parent's peers are asked for their tips.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Connections to peers of the parent at the most.
const CONNECTIONS_MAX: u32 = 16;

/// The chain whose beacon is inherited, and who has its headers.
#[derive(Clone, Debug)]
pub struct BeaconConfig {
    /// Its spec.
    pub spec: ChainSpec,
    /// Peers of its network.
    pub peers: Vec<Multiaddr>,
}

/// The parent's headers and the seeds that follow from them.
pub struct Follower {
    tree: HeaderTree,
    store: Store,
    beacon: Beacon,
}

impl Follower {
    /// Opens the headers kept at `path`.
    ///
    /// # Errors
    /// [`ChainError`] if the file is of another chain or damaged.
    pub fn open(path: &Path, spec: &ChainSpec) -> Result<Self, ChainError> {
        let mut tree = HeaderTree::new(spec.clone(), genesis_id(spec)?);
        let store = Store::open(path, spec.id())?;
        read_stored(store.headers(Height::new(1))?, None, |header, _| match tree.restore(header) {
            Err(error) if !is_left_out(spec, &error) => Err(error.into()),
            _ => {
                settle(&mut tree);
                Ok(())
            }
        })?;
        let beacon = Beacon::new(&tree);
        let mut follower = Self { tree, store, beacon };
        follower.follow();
        Ok(follower)
    }

    /// The seeds by the best chain known.
    pub const fn beacon(&self) -> &Beacon {
        &self.beacon
    }

    /// The best header.
    fn tip(&self) -> BlockId {
        *self.tree.best()
    }

    fn follow(&mut self) {
        let tip = self.tip();
        self.beacon.follow(&self.tree, &tip);
    }

    /// Takes headers in order: those that are new, in their place, and not of the future.
    fn take_all(&mut self, headers: &[Vec<u8>]) -> Result<(), ChainError> {
        let now = self.tree.spec().slot_at(Moment::now().unix).unwrap_or_default();
        let mut new = Vec::new();
        for bytes in headers {
            let sealed = SealedHeader::from_bytes(bytes)?;
            if !self.tree.contains(&sealed.id())
                && sealed.seal.claim.slot.get() <= now.get().saturating_add(1)
            {
                new.push(sealed);
            }
        }
        let proven = prove_headers(self.tree.spec(), &new);
        let taken = proven
            .into_iter()
            .try_for_each(|proven| self.link(&proven.map_err(mass_consensus::block::BlockError::from)?));
        self.follow();
        settle(&mut self.tree);
        if self.tree.beside() > BESIDE_MAX {
            let tip = self.tip();
            self.tree.prune(&tip, BESIDE_MAX);
        }
        taken
    }

    fn link(&mut self, proven: &ProvenHeader) -> Result<(), ChainError> {
        match self.tree.link(proven) {
            Ok(_) => {}
            Err(LinkError::Parent(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let claim = &proven.sealed().seal.claim;
        Ok(self.store.put_headers(&[NewHeader {
            id: *proven.id(),
            height: claim.height,
            farmer: *claim.farmer(),
            slot: claim.slot,
            ticket: *proven.ticket(),
            bytes: proven.encoded(),
        }])?)
    }
}

/// Keeps memory small, as the engine does.
fn settle(tree: &mut HeaderTree) {
    tree.settle(tree.spec().rules().evidence_window_blocks, SETTLE_EVERY);
}

/// The follower's connection to the parent's network.
struct Link {
    follower: Follower,
    commands: mpsc::Sender<Command>,
    sync: Sync,
}

/// Follows the parent until the node stops, which then no longer takes queries.
///
/// # Errors
/// [`NodeError::Network`].
pub fn spawn<L: NodeLedger>(
    follower: Follower,
    config: BeaconConfig,
    seed: [u8; 32],
    queries: Queries<L>,
) -> Result<(), NodeError> {
    let (commands, events) = swarm::spawn(Config {
        chain_id: *config.spec.id(),
        listen: Vec::new(),
        seed,
        peers: config.peers,
        max_connections: CONNECTIONS_MAX,
        memory: None,
        proxy: None,
        discovery: None,
    })?;
    let link = Link { follower, commands, sync: Sync::default() };
    tokio::spawn(link.run(events, queries));
    Ok(())
}

impl Link {
    async fn run<L: NodeLedger>(mut self, mut events: mpsc::Receiver<Event>, queries: Queries<L>) {
        let mut clock = tokio::time::interval(STATUS_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = self.follower.beacon().clone();
        loop {
            tokio::select! {
                () = queries.closed() => break,
                _ = clock.tick() => for peer in self.sync.peers().copied().collect::<Vec<_>>() {
                    self.request(peer, Request::Status).await;
                },
                event = events.recv() => match event {
                    Some(event) => if let Err(error) = self.event(event).await {
                        tracing::error!(%error, "the parent's headers cannot be kept");
                        break;
                    },
                    None => break,
                },
            }
            if told != *self.follower.beacon() {
                told = self.follower.beacon().clone();
                let beacon = told.clone();
                queries.run(move |running| running.take_beacon(beacon)).await;
            }
        }
        let _ = self.commands.send(Command::Stop).await;
    }

    async fn request(&mut self, peer: PeerId, request: Request) {
        let id = self.sync.number();
        let _ = self.commands.send(Command::Request { peer, request, id }).await;
    }

    async fn ask_headers(&mut self, peer: PeerId) {
        let request = headers_request(&self.follower.tree, &self.follower.tip());
        self.request(peer, request).await;
    }

    async fn event(&mut self, event: Event) -> Result<(), ChainError> {
        match event {
            Event::PeerConnected(peer) => {
                self.sync.joined(peer);
                self.request(peer, Request::Status).await;
            }
            Event::PeerDisconnected(peer) => self.sync.left(&peer),
            Event::Gossip { topic, from, token, bytes } => {
                // The header is the block's beginning; whether the rest is good is not for us to say.
                if let Some(sealed) = gossiped_header(topic, &bytes) {
                    self.headers(from, &[sealed.to_bytes()]).await?;
                }
                let _ = self.commands.send(Command::Report { token, verdict: Verdict::Ignore }).await;
            }
            Event::Request { request, token, .. } => {
                let response = self.answer(&request);
                let _ = self.commands.send(Command::Respond { token, response }).await;
            }
            Event::Response { peer, response: Response::Status { tip, .. }, .. }
                if self.follower.tree.get(&tip).is_none() =>
            {
                self.sync.begins(&peer);
                self.ask_headers(peer).await;
            }
            Event::Response { peer, response: Response::Headers(headers), .. } => {
                self.headers(peer, &headers).await?;
                self.go_on(peer, &headers).await;
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks a peer for what follows a full answer, if that led further than the one before.
    async fn go_on(&mut self, peer: PeerId, headers: &[Vec<u8>]) {
        let last = headers.last().filter(|_| headers.len() == HEADERS_MAX);
        let Some(last) = last.and_then(|bytes| block_id(bytes)) else { return };
        let height = self.follower.tree.get(&last).map(|node| node.height);
        if height.is_some_and(|height| self.sync.reaches(&peer, height)) {
            let request = headers_request(&self.follower.tree, &last);
            self.request(peer, request).await;
        }
    }

    /// Takes headers; a peer whose headers break a rule is dropped.
    async fn headers(&mut self, peer: PeerId, headers: &[Vec<u8>]) -> Result<(), ChainError> {
        match self.follower.take_all(headers) {
            Ok(()) => Ok(()),
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => {
                tracing::warn!(%peer, %error, "bad header of the parent's chain");
                let _ = self.commands.send(Command::Disconnect(peer)).await;
                Ok(())
            }
        }
    }

    /// What a peer of the parent's network is told: a tip, and nothing that we keep for ourselves.
    fn answer(&self, request: &Request) -> Response {
        let tip = self.follower.tip();
        let node = self.follower.tree.get(&tip);
        let (height, weight) = node.map_or_else(Default::default, |node| (node.height, node.weight));
        match request {
            Request::Status => {
                // It has no blocks.
                let (time, blocks_from) = (Moment::now().unix, Height::new(u32::MAX));
                Response::Status { tip, height, weight, time, blocks_from }
            }
            Request::Headers { .. } => Response::Headers(Vec::new()),
            Request::Blocks { ids } => Response::Blocks(vec![None; ids.len()]),
            Request::Pieces { .. } => Response::Pieces(Vec::new()),
            Request::State(request) => Response::State(nothing(request)),
        }
    }
}
