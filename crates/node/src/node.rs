//! A node without its sockets and its clock: the chain, whom it knows, and what it does with each message. Events and
//! moments go in, commands come out. The loop that runs it over TCP is in the file beside; the simulator runs the same
//! under a clock of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mass_consensus::{
    beacon::Beacon,
    block::BlockError,
    header::{HEADER_BYTES, Header, SealedHeader},
    tree::HeaderTree,
};
use mass_network::{
    Command, Event, Fault, GossipToken, Multiaddr, PeerId, Topic, Verdict,
    wire::{HEADERS_MAX, Request, Response},
};
use mass_primitives::{BlockId, Decode as _, Encode as _, Height, Reader, SealSignature, VrfProof};

use crate::{
    chain::{Chain, Notice},
    clock::Clocks,
    compact::Compacts,
    error::ChainError,
    history::History,
    ledger::NodeLedger,
    progress::SyncProgress,
    prune::Pruner,
    relay::Relay,
    scan::Scan,
    snapshot::{Join, Shelf},
    sync::{Sync, answer, headers_request},
};

/// The least time after which peers are asked for their tips again, in case news was lost. On a chain with a longer
/// interval between blocks it is the interval.
const STATUS_EVERY: Duration = Duration::from_secs(3);

/// Blocks of a branch that was left that peers are told at the most, the lowest.
const LEFT_MAX: usize = 16;

/// What the clocks of a machine show.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Unix time in seconds. It may be set back.
    pub unix: u64,
    /// For what lasts. It only grows.
    pub instant: Instant,
}

impl Moment {
    /// What the clocks of this machine show now.
    #[must_use]
    pub fn now() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { unix, instant: Instant::now() }
    }
}

/// A node.
pub struct Node<L> {
    pub(crate) chain: Chain<L>,
    pub(crate) sync: Sync,
    pub(crate) relay: Relay,
    pub(crate) compacts: Compacts,
    pub(crate) clocks: Clocks,
    /// Blocks of the branch that is being left which peers will be told, the lowest last.
    left: VecDeque<BlockId>,
    outbox: Vec<Command>,
    status_at: Instant,
    listen: Vec<Multiaddr>,
    started: Instant,
    /// The peers by number, in the order in which they came.
    numbers: BTreeMap<PeerId, u64>,
    next_number: u64,
    added: Vec<Multiaddr>,
    proxy: Option<SocketAddr>,
    is_network_active: bool,
    database: Option<PathBuf>,
    scan: Arc<Scan>,
    /// How fast the stages of a sync go.
    pub(crate) progress: SyncProgress,
    /// The way to a snapshot, as long as the node is on it.
    pub(crate) join: Option<Join>,
    /// The snapshots for others.
    pub(crate) shelf: Option<Shelf>,
    /// The blocks before the snapshot on their way.
    pub(crate) history: Option<History<L>>,
    /// What is done about old blocks, if something is.
    pub(crate) pruner: Option<Pruner>,
}

impl<L: NodeLedger> Node<L> {
    /// A node that knows nobody yet.
    #[must_use]
    pub fn new(chain: Chain<L>, now: Moment) -> Self {
        let (sync, outbox, listen) = (Sync::default(), Vec::new(), Vec::new());
        let chain = chain.in_turns();
        Self {
            chain,
            left: VecDeque::new(),
            sync,
            relay: Relay::default(),
            compacts: Compacts::default(),
            clocks: Clocks::default(),
            outbox,
            status_at: now.instant,
            listen,
            started: now.instant,
            numbers: BTreeMap::new(),
            next_number: 0,
            added: Vec::new(),
            proxy: None,
            is_network_active: true,
            database: None,
            scan: Arc::default(),
            progress: SyncProgress::new(now.instant),
            join: None,
            shelf: None,
            history: None,
            pruner: None,
        }
    }

    /// When the node was started.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// The file of the database, to tell its size.
    pub(crate) fn set_database(&mut self, path: PathBuf) {
        self.database = Some(path);
    }

    /// The proxy through which connections go that the node begins.
    pub(crate) const fn proxy(&self) -> Option<SocketAddr> {
        self.proxy
    }

    /// Notes the proxy, to tell of it.
    pub(crate) const fn set_proxy(&mut self, proxy: Option<SocketAddr>) {
        self.proxy = proxy;
    }

    /// Bytes of the database on disk; zero if it is in no file.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let file = self.database.as_ref().and_then(|path| path.metadata().ok());
        file.map_or(0, |file| file.len())
    }

    /// The number of a connected peer. No other peer has had it since the start.
    pub(crate) fn peer_number(&self, peer: &PeerId) -> Option<u64> {
        self.numbers.get(peer).copied()
    }

    /// The place of the one scan of the state.
    pub(crate) fn scan(&self) -> Arc<Scan> {
        Arc::clone(&self.scan)
    }

    /// Addresses that were added since the start.
    pub(crate) fn added(&self) -> &[Multiaddr] {
        &self.added
    }

    /// Holds a connection to an address.
    pub(crate) fn keep_peer(&mut self, address: Multiaddr) {
        self.added.push(address.clone());
        self.send(Command::Keep(address));
    }

    /// Holds no connection to an address any more; whether it was added.
    pub(crate) fn forget_peer(&mut self, address: &Multiaddr) -> bool {
        let Some(position) = self.added.iter().position(|added| added == address) else { return false };
        let address = self.added.remove(position);
        self.send(Command::Forget(address));
        true
    }

    /// Whether the network is switched on.
    pub(crate) const fn is_network_active(&self) -> bool {
        self.is_network_active
    }

    /// Switches the network on or off.
    pub(crate) fn set_network_active(&mut self, state: bool) {
        self.is_network_active = state;
        self.send(Command::SetActive(state));
    }

    /// The chain, to read.
    #[must_use]
    pub const fn chain(&self) -> &Chain<L> {
        &self.chain
    }

    /// The chain, to make blocks.
    pub const fn chain_mut(&mut self) -> &mut Chain<L> {
        &mut self.chain
    }

    /// Who is connected.
    pub fn peers(&self) -> impl ExactSizeIterator<Item = &PeerId> {
        self.sync.peers()
    }

    /// Where peers find us.
    #[must_use]
    pub fn listen(&self) -> &[Multiaddr] {
        &self.listen
    }

    /// What the network has to do now. Ask after each input.
    #[must_use]
    pub fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.outbox)
    }

    /// Time has passed.
    ///
    /// # Errors
    /// Fatal ones only, here and below.
    pub fn tick(&mut self, now: Moment) -> Result<(), ChainError> {
        self.chain.begin_turn();
        if let Some(slot) = self.chain.spec().slot_at(now.unix) {
            let notices = self.chain.tick(slot, now.unix)?;
            self.notice(notices, now);
        }
        if now.instant.duration_since(self.status_at) >= self.status_every() {
            self.status_at = now.instant;
            for peer in self.sync.peers().copied().collect::<Vec<_>>() {
                self.request(peer, Request::Status);
            }
            self.tell_evidence();
        }
        self.drive_join(now)?;
        self.tend_progress(now.instant);
        self.tend_transactions(now)
    }

    fn status_every(&self) -> Duration {
        let rules = self.chain.spec().rules();
        let interval = rules.interval_slots.saturating_mul(rules.slot_seconds.into());
        STATUS_EVERY.max(Duration::from_secs(interval))
    }

    fn request(&mut self, peer: PeerId, request: Request) {
        let id = self.sync.number();
        self.outbox.push(Command::Request { peer, request, id });
    }

    /// The parent's chain gives these seeds.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn take_beacon(&mut self, beacon: Beacon, now: Moment) -> Result<(), ChainError> {
        self.chain.begin_turn();
        let notices = self.chain.take_beacon(beacon, now.unix)?;
        self.notice(notices, now);
        Ok(())
    }

    /// A farmer signed a header that [`Chain::prepare`] gave.
    ///
    /// # Errors
    /// [`ChainError::Refused`] if the block has no place in the chain, or what [`Chain::submit`] finds.
    pub fn submit(
        &mut self,
        id: &BlockId,
        vrf_proof: VrfProof,
        signature: SealSignature,
        now: Moment,
    ) -> Result<(), ChainError> {
        self.chain.begin_turn();
        let (bytes, notices) = self.chain.submit(id, vrf_proof, signature, now.unix)?;
        let refusal = notices.iter().find_map(|notice| match notice {
            Notice::Refused(refused, reason) if refused == id => Some(reason.clone()),
            _ => None,
        });
        self.notice(notices, now);
        if let Some(reason) = refusal {
            return Err(ChainError::Refused(reason.unwrap_or_else(|| "its parent is not known".to_owned())));
        }
        self.publish_block(bytes);
        Ok(())
    }

    /// Sends something to the network after the present event.
    pub fn send(&mut self, command: Command) {
        self.outbox.push(command);
    }

    /// Does what the chain wants done outside.
    pub(crate) fn notice(&mut self, notices: Vec<Notice>, now: Moment) {
        self.tell_left(&notices);
        for notice in notices {
            match notice {
                Notice::NewTip(id) => {
                    tracing::info!(%id, "new tip");
                    self.relay.reconsiders = true;
                }
                Notice::Fetch(ids) => self.fetch(&ids, now),
                Notice::Refused(id, Some(reason)) => tracing::warn!(%id, reason, "block refused"),
                Notice::Refused(..) | Notice::Left(_) => {}
                Notice::DoubleSeal(farmer) => tracing::warn!(%farmer, "sealed twice in one slot"),
            }
        }
    }

    /// Blocks that were left are told once more. Who seals twice and shows each block to another part of the network, of
    /// which neither is in the best chain when the parts meet, is found by him alone who hears of both. Peers who
    /// know a block do not pass it on.
    fn tell_left(&mut self, notices: &[Notice]) {
        self.left.extend(notices.iter().filter_map(|notice| match notice {
            Notice::Left(id) => Some(*id),
            _ => None,
        }));
        self.left.drain(..self.left.len().saturating_sub(LEFT_MAX));
        if self.chain.has_work() {
            return;
        }
        for id in std::mem::take(&mut self.left).into_iter().rev() {
            // A database that fails here fails at the next block.
            if let Ok(Some(bytes)) = self.chain.block_bytes(&id) {
                self.publish_block(bytes);
            }
        }
    }

    fn fetch(&mut self, ids: &[BlockId], now: Moment) {
        if self.join.is_some() {
            return;
        }
        let tree = self.chain.engine().tree();
        let height = |id: &BlockId| tree.get(id).map_or(Height::ZERO, |node| node.height);
        for (peer, id, request) in self.sync.fetch(ids, height, now.instant) {
            self.outbox.push(Command::Request { peer, request, id });
        }
    }

    /// Something happened in the network.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn event(&mut self, event: Event, now: Moment) -> Result<(), ChainError> {
        self.chain.begin_turn();
        match event {
            Event::PeerConnected(peer) => {
                self.sync.joined(peer);
                self.numbers.insert(peer, self.next_number);
                self.next_number += 1;
                self.request(peer, Request::Status);
            }
            Event::PeerDisconnected(peer) => {
                self.numbers.remove(&peer);
                self.join_left(&peer);
                self.sync.left(&peer);
                self.clocks.forget(&peer);
                self.relay.orphans.forget(&peer);
            }
            Event::PeerRefused(peer) => tracing::debug!(%peer, "peer of another chain"),
            Event::Listening(address) => self.listen.push(address),
            Event::Gossip { topic, from, token, bytes } => self.gossip((topic, from, token), &bytes, now)?,
            Event::Request { request, token, .. } => {
                let response = match (&request, &self.shelf) {
                    (Request::State(request), Some(shelf)) => Response::State(shelf.answer(request)),
                    _ => answer(&self.chain, &request, now.unix)?,
                };
                self.outbox.push(Command::Respond { token, response });
            }
            Event::Response { id, peer, response } => self.response(id, peer, response, now)?,
            Event::RequestFailed { id, peer, reason } => {
                tracing::debug!(%peer, %reason, "request failed");
                self.sync.answered(id, 0, now.instant);
                self.pieces_failed(id);
                self.join_failed(id);
                self.history_failed(id, now);
                if reason.is_peer_fault() {
                    self.outbox.push(Command::Fault { peer, fault: Fault::Malformed });
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
        (topic, from, token): (Topic, PeerId, GossipToken),
        bytes: &[u8],
        now: Moment,
    ) -> Result<(), ChainError> {
        if matches!(topic, Topic::Blocks | Topic::Compact) {
            // It is passed on before it is executed, which takes longer than all else and would add up hop by hop.
            self.chain.end_turn();
        }
        let verdict = match topic {
            Topic::Blocks => self.gossiped_block(from, bytes, now)?,
            Topic::Compact => match self.gossiped_compact((from, token), bytes, now)? {
                Some(verdict) => verdict,
                None => return Ok(()),
            },
            Topic::Transactions => self.gossiped_transaction(from, bytes, now)?,
            Topic::Evidence => {
                let taken = self.chain.take_evidence(bytes, now.unix);
                match self.unless_bad(from, Fault::FalseEvidence, taken)? {
                    Some(true) => Verdict::Accept,
                    Some(false) => Verdict::Ignore,
                    None => Verdict::Reject,
                }
            }
        };
        self.outbox.push(Command::Report { token, verdict });
        Ok(())
    }

    /// A block is passed on if it has a place in a chain and is new. What is bad by itself is its sender's fault: no
    /// honest node passes that on. It is not executed for that: what the ledger refuses cost a seal to make, is refused
    /// by all, and is nobody's fault who passes it on.
    fn gossiped_block(&mut self, from: PeerId, bytes: &[u8], now: Moment) -> Result<Verdict, ChainError> {
        let Some(id) = block_id(bytes) else {
            self.send(Command::Fault { peer: from, fault: Fault::Malformed });
            return Ok(Verdict::Reject);
        };
        if self.chain.engine().has_judged(&id) {
            return Ok(Verdict::Ignore);
        }
        let taken = self.chain.take_block(bytes, now.unix);
        let Some(notices) = self.judge(from, taken)? else { return Ok(Verdict::Reject) };
        self.place(from, &[bytes], &notices);
        self.ask_between(from, id, &notices);
        self.notice(notices, now);
        Ok(self.verdict_of_block(&id))
    }

    /// Whether a block that came is to be passed on.
    pub(crate) fn verdict_of_block(&self, id: &BlockId) -> Verdict {
        let tree = self.chain.engine().tree();
        let has_place = tree.get(id).is_some() && !tree.is_condemned(id);
        if has_place { Verdict::Accept } else { Verdict::Ignore }
    }

    /// What follows for a peer from the places of headers that it sent: who sends one that breaks a rule in its place is at
    /// fault, and who only disagrees on checkpoints is left. Whether all is well.
    pub(crate) fn place(&mut self, from: PeerId, list: &[impl AsRef<[u8]>], notices: &[Notice]) -> bool {
        let tree = self.chain.engine().tree();
        let is_refused = |id: &BlockId| {
            let refused =
                |notice: &Notice| matches!(notice, Notice::Refused(refused, Some(_)) if refused == id);
            tree.get(id).is_none() && notices.iter().any(refused)
        };
        let sealed =
            list.iter().filter_map(|bytes| SealedHeader::decode(&mut Reader::new(bytes.as_ref())).ok());
        let Some(misfit) = sealed.into_iter().find(|sealed| is_refused(&sealed.id())) else { return true };
        let command = match breaks_a_rule(tree, &misfit) {
            true => Command::Fault { peer: from, fault: Fault::BadHeader },
            false => Command::Disconnect(from),
        };
        self.send(command);
        false
    }

    /// If nothing is known of the parent of a block that a peer told, the peer is asked what is between.
    pub(crate) fn ask_between(&mut self, from: PeerId, id: BlockId, notices: &[Notice]) {
        if notices.contains(&Notice::Refused(id, None)) {
            let tree = self.chain.engine().tree();
            let request = headers_request(tree, tree.best());
            self.request(from, request);
        }
    }

    fn response(&mut self, id: u64, peer: PeerId, response: Response, now: Moment) -> Result<(), ChainError> {
        if self.join_answered(id, &response, now)? || self.history_answered(id, &response, now)? {
            return Ok(());
        }
        match response {
            Response::Status { tip, time, height, blocks_from, .. } => {
                self.sync.tells(&peer, height);
                self.sync.serves(&peer, blocks_from);
                self.compare_clocks(peer, time, now);
                let tree = self.chain.engine().tree();
                if tree.get(&tip).is_none() {
                    let best = *tree.best();
                    self.sync.begins(&peer);
                    self.request(peer, headers_request(self.chain.engine().tree(), &best));
                }
            }
            // Nobody asks for a state but the join.
            Response::State(_) => self.outbox.push(Command::Fault { peer, fault: Fault::Unasked }),
            Response::Headers(headers) => self.headers(peer, &headers, now)?,
            Response::Pieces(pieces) => self.pieces_came(id, pieces, now)?,
            Response::Blocks(blocks) => {
                let asked = self.sync.answered(id, blocks.iter().flatten().count(), now.instant);
                for bytes in blocks.into_iter().flatten() {
                    if !was_asked(asked.as_deref(), &bytes) {
                        self.send(Command::Fault { peer, fault: Fault::Unasked });
                        break;
                    }
                    let taken = self.chain.take_block(&bytes, now.unix);
                    let Some(notices) = self.judge(peer, taken)? else { break };
                    self.notice(notices, now);
                }
            }
        }
        Ok(())
    }

    fn compare_clocks(&mut self, peer: PeerId, theirs: u64, now: Moment) {
        let tolerance = self.chain.spec().rules().slot_seconds.into();
        if let Some(off) = self.clocks.note(peer, theirs, now.unix, tolerance) {
            tracing::warn!(
                seconds = off,
                "the clocks of most peers differ from this one by more than a slot: blocks may be refused, and seals lost"
            );
        }
    }

    fn headers(&mut self, peer: PeerId, headers: &[Vec<u8>], now: Moment) -> Result<(), ChainError> {
        let taken = self.chain.take_headers(headers, now.unix);
        let Some(notices) = self.judge(peer, taken)? else { return Ok(()) };
        if !self.place(peer, headers, &notices) {
            self.notice(notices, now);
            return Ok(());
        }
        let tree = self.chain.engine().tree();
        if let Some(last) = headers.last().filter(|_| headers.len() == HEADERS_MAX)
            && let Some(last) = block_id(last)
            && let Some(height) = tree.get(&last).map(|node| node.height)
            && self.sync.reaches(&peer, height)
        {
            // Not from the best header, which may be on our own side of a fork.
            self.request(peer, headers_request(tree, &last));
        }
        self.notice(notices, now);
        Ok(())
    }

    /// What came, unless it was bad by itself: no honest peer passes that on, so the peer is dropped and banned.
    pub(crate) fn judge<T>(
        &mut self,
        peer: PeerId,
        taken: Result<T, ChainError>,
    ) -> Result<Option<T>, ChainError> {
        let fault = taken.as_ref().err().map_or(Fault::Malformed, fault_of);
        self.unless_bad(peer, fault, taken)
    }

    fn unless_bad<T>(
        &mut self,
        peer: PeerId,
        fault: Fault,
        taken: Result<T, ChainError>,
    ) -> Result<Option<T>, ChainError> {
        match taken {
            Ok(taken) => Ok(Some(taken)),
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => {
                tracing::warn!(%peer, %error, fault = fault.name(), "bad by itself");
                self.send(Command::Fault { peer, fault });
                Ok(None)
            }
        }
    }
}

/// What a peer did that sent something bad by itself.
const fn fault_of(error: &ChainError) -> Fault {
    match error {
        ChainError::Decode(_) => Fault::Malformed,
        ChainError::Block(BlockError::Header(_)) => Fault::BadHeader,
        _ => Fault::Misfit,
    }
}

/// Whether a header whose parent is known has another place than the rules give it, whatever checkpoints anybody has.
fn breaks_a_rule(tree: &HeaderTree, sealed: &SealedHeader) -> bool {
    let claim = &sealed.seal.claim;
    tree.expectation(&sealed.header.parent, claim.slot).is_ok_and(|expected| {
        claim.height != expected.height
            || claim.slot <= expected.after
            || claim.seed != expected.seed
            || claim.difficulty != expected.difficulty
    })
}

/// Whether a block is one of those that were asked for. What a request was for that was given up is not known any more.
fn was_asked(asked: Option<&[BlockId]>, bytes: &[u8]) -> bool {
    asked.is_none_or(|asked| block_id(bytes).is_none_or(|id| asked.contains(&id)))
}

/// The id of the block or header that bytes begin with.
pub(crate) fn block_id(bytes: &[u8]) -> Option<BlockId> {
    Header::from_bytes(bytes.get(..HEADER_BYTES)?).ok().map(|header| header.id())
}
