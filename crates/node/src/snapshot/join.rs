//! How a node begins with a snapshot of peers instead of the blocks before it.
//!
//! First the headers, with all seals proven, as in any sync. Then peers say which snapshots they have; the newest is taken
//! that stands deep enough in the best chain. The next block's body has the hash of its state (BLK-7). Peers with one
//! snapshot have one list of sums, by whose hash they are told apart: if the sums do not add up to the hash in the chain,
//! all who offered that list lied; a part that does not have its sum convicts who sent it. What came is on disk, so
//! that a node that was stopped goes on where it was. If no peer has a snapshot, the node syncs from genesis.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mass_consensus::{
    block::{Block, Decoded, commits_to_state},
    state_sum::{STATE_SUM_BYTES, StateSum},
};
use mass_network::{
    Command, Fault, PeerId,
    wire::{HEADERS_MAX, Request, Response, StateOffer, StateRequest, StateResponse},
};
use mass_primitives::{BlockId, Decode as _, Height, StateHash, tag::double_sha256};
use mass_storage::{StatePart, StoreError, Tip};

use super::{shelf::SUMS, snapshot_height};
use crate::{
    chain::Chain,
    error::ChainError,
    ledger::NodeLedger,
    node::{Moment, Node},
};

/// How long offers are waited for.
const OFFERS_WAIT: Duration = Duration::from_secs(3);
/// How long a usable one is.
const OFFERS_PATIENCE: Duration = Duration::from_secs(15);
/// How long an answer is.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long headers may not come on, of a chain of which peers say that it is longer.
const HEADERS_PATIENCE: Duration = Duration::from_secs(15);
/// How often all are asked for offers anew, after who had the one that was chosen is gone.
const TRIES_MAX: u8 = 3;
/// Requests that one peer is asked at one time.
const REQUESTS_MAX: usize = 2;
/// Parts of a snapshot at the most: 64 GiB.
const PARTS_MAX: u32 = 1 << 16;

/// What a peer was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Offers,
    Anchor,
    Sums,
    Part(u32),
}

/// A node on its way to a snapshot.
#[derive(Debug)]
pub(crate) struct Join {
    dir: PathBuf,
    depth: u32,
    /// The height of the best header a batch ago, and since when.
    mark: Option<(Height, Instant)>,
    /// Since when the headers are as far as those of any peer.
    level: Option<Instant>,
    /// How often all may be asked anew.
    tries: u8,
    asked: BTreeSet<PeerId>,
    offers: BTreeMap<StateOffer, BTreeSet<PeerId>>,
    pending: BTreeMap<u64, (PeerId, Ask, Instant)>,
    target: Option<Target>,
}

/// The snapshot that was chosen.
#[derive(Debug)]
struct Target {
    offer: StateOffer,
    dir: PathBuf,
    /// The first block that stands on it, whose body has the hash.
    anchor: BlockId,
    hash: Option<StateHash>,
    sums: Vec<u8>,
    have: BTreeSet<u32>,
}

/// What to do next.
enum Next {
    Wait,
    Ask(Vec<(PeerId, Ask, Request)>),
    Install,
    GiveUp,
}

impl Join {
    /// Parts are kept in `dir` until they are used.
    pub fn new(dir: PathBuf, depth: u32) -> Self {
        Self {
            dir,
            depth,
            mark: None,
            level: None,
            tries: TRIES_MAX,
            asked: BTreeSet::new(),
            offers: BTreeMap::new(),
            pending: BTreeMap::new(),
            target: None,
        }
    }

    /// Whether headers are still to come: a peer tells of more than `best`, and they do come on. One that lies of its
    /// height holds nothing up for long.
    fn is_behind(&mut self, best: Height, told: Height, now: Instant) -> bool {
        let (height, since) = self.mark.get_or_insert((best, now));
        if best.get().saturating_sub(height.get()) as usize >= HEADERS_MAX {
            (*height, *since) = (best, now);
        }
        best < told && now.duration_since(*since) < HEADERS_PATIENCE
    }

    /// How far it is: parts that are here, and all.
    pub fn progress(&self) -> Option<(usize, u32)> {
        self.target.as_ref().map(|target| (target.have.len(), target.offer.parts))
    }

    fn left(&mut self, peer: &PeerId) {
        self.offers.retain(|_, peers| {
            peers.remove(peer);
            !peers.is_empty()
        });
        self.pending.retain(|_, (asked, ..)| asked != peer);
    }

    fn next<L: NodeLedger>(
        &mut self,
        chain: &Chain<L>,
        peers: &[PeerId],
        told: Option<Height>,
        now: Instant,
    ) -> Result<Next, ChainError> {
        let Some(told) = told else { return Ok(Next::Wait) };
        let is_behind = self.is_behind(chain.engine().tree().best_height(), told, now);
        if !is_behind {
            self.level.get_or_insert(now);
        }
        if self.level.is_none() {
            return Ok(Next::Wait);
        }
        let late = |(_, _, since): &(PeerId, Ask, Instant)| now.duration_since(*since) >= PATIENCE;
        let slow: Vec<PeerId> =
            self.pending.values().filter(|asked| late(asked)).map(|(peer, ..)| *peer).collect();
        slow.iter().for_each(|peer| self.left(peer));
        if self.target.as_ref().is_some_and(|target| !self.offers.contains_key(&target.offer)) {
            self.lose(now);
        }
        if self.target.is_some() {
            return Ok(self.go_on());
        }
        Ok(match self.choose(chain, peers, now)? {
            // What was offered may stand when all headers are here.
            Next::GiveUp if is_behind => Next::Wait,
            next => next,
        })
    }

    /// Who had what was chosen is gone or lied: the wait for offers begins anew, and what came stays on disk. Meanwhile there
    /// may be a newer snapshot, so all are asked again, but not for ever, for who offers and gives nothing.
    fn lose(&mut self, now: Instant) {
        (self.target, self.level) = (None, Some(now));
        if let Some(tries) = self.tries.checked_sub(1) {
            self.tries = tries;
            self.asked.clear();
        }
    }

    /// Asks who has what, and chooses.
    fn choose<L: NodeLedger>(
        &mut self,
        chain: &Chain<L>,
        peers: &[PeerId],
        now: Instant,
    ) -> Result<Next, ChainError> {
        let tree = chain.engine().tree();
        let (best, height) = (*tree.best(), tree.best_height());
        let period = chain.spec().rules().period_blocks;
        let waited = self.level.map_or(Duration::ZERO, |level| now.duration_since(level));
        if snapshot_height(period, self.depth, height).is_none_or(|height| height == Height::ZERO) {
            return Ok(if waited < OFFERS_WAIT { Next::Wait } else { Next::GiveUp });
        }
        let new: Vec<PeerId> = peers.iter().filter(|peer| self.asked.insert(**peer)).copied().collect();
        if !new.is_empty() {
            let ask = |peer| (peer, Ask::Offers, Request::State(StateRequest::Offers));
            return Ok(Next::Ask(new.into_iter().map(ask).collect()));
        }
        let is_open = self.pending.values().any(|(_, ask, _)| *ask == Ask::Offers);
        if is_open && waited < OFFERS_WAIT {
            return Ok(Next::Wait);
        }
        let anchor_of = |offer: &StateOffer| {
            let next = offer.height.next().filter(|next| commits_to_state(chain.spec(), *next))?;
            let is_deep =
                height.get().checked_sub(offer.height.get()).is_some_and(|depth| depth >= self.depth);
            let stands = tree.ancestor_at(&best, offer.height) == Some(offer.base);
            let fits = is_deep && stands && (1..=PARTS_MAX).contains(&offer.parts);
            tree.ancestor_at(&best, next).filter(|_| fits)
        };
        let found = self.offers.keys().rev().find_map(|offer| Some((*offer, anchor_of(offer)?)));
        let Some((offer, anchor)) = found else {
            let is_late = !is_open && waited >= OFFERS_WAIT || waited >= OFFERS_PATIENCE;
            let is_over = is_late && !peers.is_empty();
            return Ok(if is_over { Next::GiveUp } else { Next::Wait });
        };
        let target = Target::open(&self.dir, offer, anchor).map_err(|error| folder(&self.dir, &error))?;
        tracing::info!(height = %offer.height, block = %offer.base, parts = offer.parts, here = target.have.len(),
            peers = self.offers.get(&offer).map_or(0, BTreeSet::len), "snapshot chosen");
        self.target = Some(target);
        Ok(self.go_on())
    }

    /// What is missing, asked of peers who have it.
    fn go_on(&self) -> Next {
        let Some(target) = &self.target else { return Next::Wait };
        if target.hash.is_some() && target.is_listed() && target.have.len() == target.offer.parts as usize {
            return Next::Install;
        }
        let asked: Vec<Ask> = self.pending.values().map(|(_, ask, _)| *ask).collect();
        let base = target.offer.base;
        let mut wanted: Vec<(Ask, Request)> = Vec::new();
        if target.hash.is_none() {
            wanted.push((Ask::Anchor, Request::Blocks { ids: vec![target.anchor] }));
        } else if !target.is_listed() {
            let from = u32::try_from(target.sums.len() / STATE_SUM_BYTES).unwrap_or(u32::MAX);
            wanted.push((Ask::Sums, Request::State(StateRequest::Sums { base, from })));
        } else {
            let missing = (0..target.offer.parts).filter(|index| !target.have.contains(index));
            let part = |index| (Ask::Part(index), Request::State(StateRequest::Part { base, index }));
            wanted.extend(missing.map(part).take(64));
        }
        wanted.retain(|(ask, _)| !asked.contains(ask));
        let peers = self.offers.get(&target.offer).into_iter().flatten();
        let busy = |peer: &PeerId| self.pending.values().filter(|(asked, ..)| asked == peer).count();
        let mut places = Vec::new();
        for round in 0..REQUESTS_MAX {
            places.extend(peers.clone().filter(|peer| busy(peer) + round < REQUESTS_MAX).copied());
        }
        let asks = wanted.into_iter().zip(places).map(|((ask, request), peer)| (peer, ask, request));
        Next::Ask(asks.collect())
    }
}

impl Target {
    /// Goes on with what is on disk of this snapshot; of others nothing is kept.
    fn open(dir: &Path, offer: StateOffer, anchor: BlockId) -> io::Result<Self> {
        let name = hex::encode(offer.list);
        fs::create_dir_all(dir.join(&name))?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name() != *name {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let dir = dir.join(name);
        let sums = fs::read(dir.join(SUMS)).unwrap_or_default();
        let mut target = Self { offer, dir, anchor, hash: None, sums, have: BTreeSet::new() };
        if !target.is_listed() {
            target.sums.clear();
            return Ok(target);
        }
        let is_here = |index: &u32| target.read(*index).is_some_and(|part| target.fits(*index, &part));
        target.have = (0..offer.parts).filter(is_here).collect();
        Ok(target)
    }

    /// Whether all sums are here: they are what was offered.
    fn is_listed(&self) -> bool {
        self.sums.len() == self.offer.parts as usize * STATE_SUM_BYTES
            && double_sha256(&self.sums) == self.offer.list
    }

    fn sum(&self, index: u32) -> Option<StateSum> {
        let (sums, _) = self.sums.as_chunks::<STATE_SUM_BYTES>();
        StateSum::from_bytes(sums.get(index as usize)?).ok()
    }

    /// The hash of a state with these sums.
    fn listed_hash(&self) -> StateHash {
        let mut whole = StateSum::new();
        (0..self.offer.parts).filter_map(|index| self.sum(index)).for_each(|sum| whole.merge(&sum));
        whole.hash()
    }

    fn fits(&self, index: u32, part: &StatePart) -> bool {
        self.sum(index).is_some_and(|sum| sum == part.sum())
    }

    fn read(&self, index: u32) -> Option<StatePart> {
        StatePart::from_bytes(&fs::read(self.dir.join(index.to_string())).ok()?).ok()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ChainError> {
        crate::pool_files::write(&self.dir.join(name), bytes).map_err(|error| folder(&self.dir, &error))
    }
}

fn folder(dir: &Path, error: &io::Error) -> ChainError {
    ChainError::Database(format!("{}: {error}", dir.display()))
}

impl<L: NodeLedger> Node<L> {
    /// Takes the next steps toward a snapshot, if the node is on its way to one.
    pub(crate) fn drive_join(&mut self, now: Moment) -> Result<(), ChainError> {
        let peers: Vec<PeerId> = self.sync.peers().copied().collect();
        let Some(join) = &mut self.join else { return Ok(()) };
        match join.next(&self.chain, &peers, self.sync.highest_told(), now.instant)? {
            Next::Wait => {}
            Next::GiveUp => {
                tracing::info!("no snapshot is to be had: the chain is synced from genesis");
                self.end_join();
            }
            Next::Install => self.install(now)?,
            Next::Ask(asks) => {
                for (peer, ask, request) in asks {
                    let id = self.sync.number();
                    if let Some(join) = &mut self.join {
                        join.pending.insert(id, (peer, ask, now.instant));
                    }
                    self.send(Command::Request { peer, request, id });
                }
            }
        }
        Ok(())
    }

    fn end_join(&mut self) {
        if let Some(join) = self.join.take() {
            // What cannot be removed does no harm.
            let _ = fs::remove_dir_all(join.dir);
        }
    }

    fn install(&mut self, now: Moment) -> Result<(), ChainError> {
        let Some(target) = self.join.as_mut().and_then(|join| join.target.take()) else { return Ok(()) };
        let Some(hash) = target.hash.filter(|hash| *hash == target.listed_hash()) else {
            // Sums on disk, of a list that only liars offer.
            self.join.as_mut().and_then(|join| join.offers.remove(&target.offer));
            return Ok(());
        };
        let base = Tip { height: target.offer.height, id: target.offer.base };
        let lost = || StoreError::Corrupt("a part of the snapshot is gone from the disk".to_owned());
        let parts = (0..target.offer.parts).map(|index| target.read(index).ok_or_else(lost));
        self.chain.begin_with(base, &hash, parts, now.unix)?;
        tracing::info!(height = %base.height, block = %base.id, state = %hash, "the chain begins with a snapshot");
        self.end_join();
        Ok(())
    }

    /// An answer came to a question of the join; whether it was one.
    pub(crate) fn join_answered(
        &mut self,
        id: u64,
        response: &Response,
        now: Moment,
    ) -> Result<bool, ChainError> {
        let Some(join) = &mut self.join else { return Ok(false) };
        let Some((peer, ask, _)) = join.pending.remove(&id) else { return Ok(false) };
        let mut liars = Vec::new();
        match (ask, response) {
            (Ask::Offers, Response::State(StateResponse::Offers(offers))) => {
                for offer in offers {
                    join.offers.entry(*offer).or_default().insert(peer);
                }
            }
            (Ask::Anchor, Response::Blocks(blocks)) => match blocks.first() {
                Some(Some(bytes)) => {
                    let hash = self.committed(bytes);
                    let Some(target) = self.join.as_mut().and_then(|join| join.target.as_mut()) else {
                        return Ok(true);
                    };
                    match hash {
                        Some((id, hash)) if id == target.anchor => target.hash = Some(hash),
                        _ => liars.push(peer),
                    }
                }
                _ => join.left(&peer),
            },
            (Ask::Sums, Response::State(StateResponse::Sums(sums))) => liars = join.sums_came(peer, sums)?,
            (Ask::Part(index), Response::State(StateResponse::Part(part))) => {
                match (part, &mut join.target) {
                    (Some(bytes), Some(target)) => match StatePart::from_bytes(bytes) {
                        Ok(part) if target.fits(index, &part) => {
                            target.write(&index.to_string(), bytes)?;
                            target.have.insert(index);
                        }
                        _ => liars.push(peer),
                    },
                    (None, _) => join.left(&peer),
                    (Some(_), None) => {}
                }
            }
            _ => liars.push(peer),
        }
        for peer in liars {
            tracing::warn!(%peer, ?ask, "a peer's snapshot is not what the chain has");
            if let Some(join) = &mut self.join {
                join.left(&peer);
            }
            self.send(Command::Fault { peer, fault: Fault::Malformed });
        }
        self.drive_join(now)?;
        Ok(true)
    }

    /// A question was not answered.
    pub(crate) fn join_failed(&mut self, id: u64) {
        let Some(join) = &mut self.join else { return };
        if let Some((peer, ..)) = join.pending.remove(&id) {
            join.left(&peer);
        }
    }

    /// A peer left. If it comes back it is asked again.
    pub(crate) fn join_left(&mut self, peer: &PeerId) {
        if let Some(join) = &mut self.join {
            join.left(peer);
            join.asked.remove(peer);
        }
    }

    /// The id of a block and the state that its body commits to, if the body is the header's.
    fn committed(&self, bytes: &[u8]) -> Option<(BlockId, StateHash)> {
        let block = Block::<Decoded>::from_bytes(bytes).ok()?;
        let (id, root) = (block.sealed().id(), block.sealed().header.root);
        let found = self.chain.ledger().commitment(block.body()).ok().filter(|found| found.root == root)?;
        Some((id, found.carried.state?))
    }
}

impl Join {
    /// More of the list came; who lied, if it is complete and not what it should be.
    fn sums_came(&mut self, peer: PeerId, sums: &[u8]) -> Result<Vec<PeerId>, ChainError> {
        let Some(target) = &mut self.target else { return Ok(Vec::new()) };
        let room = (target.offer.parts as usize * STATE_SUM_BYTES).saturating_sub(target.sums.len());
        if sums.is_empty() || sums.len() > room || !sums.len().is_multiple_of(STATE_SUM_BYTES) {
            target.sums.clear();
            self.left(&peer);
            return Ok(Vec::new());
        }
        target.sums.extend_from_slice(sums);
        if sums.len() < room {
            return Ok(Vec::new());
        }
        if !target.is_listed() {
            target.sums.clear();
            return Ok(vec![peer]);
        }
        if target.hash != Some(target.listed_hash()) {
            return Ok(self.offers.get(&target.offer).into_iter().flatten().copied().collect());
        }
        target.write(SUMS, &target.sums)?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join() -> Join {
        Join::new(PathBuf::new(), 16)
    }

    #[test]
    fn headers_are_waited_for_as_long_as_they_come() {
        let (mut join, start) = (join(), Instant::now());
        let told = Height::new(50_000);
        let best = |batches: usize| Height::new((batches * HEADERS_MAX) as u32);
        for batches in 0..90 {
            let now = start + HEADERS_PATIENCE.mul_f32(0.9) * batches;
            assert!(join.is_behind(best(batches as usize), told, now), "batch {batches} of 97");
        }
        assert!(!join.is_behind(told, told, start + HEADERS_PATIENCE * 90), "all are here");
    }

    #[test]
    fn who_lies_of_its_height_holds_a_join_up_for_a_while_only() {
        let (mut join, start) = (join(), Instant::now());
        let told = Height::new(u32::MAX);
        assert!(join.is_behind(Height::new(700), told, start));
        // New blocks, one after the other, are no batches.
        assert!(join.is_behind(Height::new(701), told, start + HEADERS_PATIENCE / 2));
        assert!(!join.is_behind(Height::new(702), told, start + HEADERS_PATIENCE));
    }

    #[test]
    fn all_are_asked_anew_when_who_had_a_snapshot_is_gone_but_not_for_ever() {
        let (mut join, peer) = (join(), mass_network::peer_id([1; 32]));
        for _ in 0..TRIES_MAX {
            join.asked.insert(peer);
            join.lose(Instant::now());
            assert!(join.asked.is_empty());
        }
        join.asked.insert(peer);
        join.lose(Instant::now());
        assert!(join.asked.contains(&peer));
    }
}
