//! Headers first, then contents: what a node asks its peers, and what it answers them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use mass_consensus::tree::HeaderTree;
use mass_network::{
    PeerId,
    wire::{BLOCKS_MAX, HEADERS_MAX, LOCATOR_MAX, RESPONSE_BYTES_MAX, Request, Response},
};
use mass_primitives::{BlockId, Height, HeightDelta};

use crate::{chain::Chain, compact::pieces, error::ChainError, ledger::NodeLedger, snapshot::nothing};

/// After this time a batch of blocks is asked of somebody else.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same for a block that a peer told of, and so must have.
const PATIENCE_ONE: Duration = Duration::from_secs(3);

/// How long a peer is left alone that had nothing of what it was asked for.
const REST: Duration = Duration::from_secs(3);

/// Batches of blocks that one peer is asked for at one time.
const BATCHES_MAX: usize = 2;

/// Room in a response for counts and lengths.
const FRAME_BYTES: usize = 1024;

/// Whom a node knows, and what it waits for.
#[derive(Debug, Default)]
pub struct Sync {
    peers: BTreeMap<PeerId, Peer>,
    batches: BTreeMap<u64, Batch>,
    asked: BTreeSet<BlockId>,
    turn: usize,
    next_id: u64,
    /// Height of the lowest block that is wanted and that no connected peer has.
    lacking: Option<Height>,
}

#[derive(Debug, Default)]
struct Peer {
    /// Height of the last header that it answered with, since it was asked for its tip.
    reached: Height,
    /// Height of its tip, once it says.
    told: Option<Height>,
    rests_until: Option<Instant>,
    /// Height of the lowest block that it has, as it says.
    serves_from: Height,
}

/// Blocks that a peer was asked for.
#[derive(Debug)]
struct Batch {
    peer: PeerId,
    ids: Vec<BlockId>,
    since: Instant,
    patience: Duration,
}

impl Sync {
    /// A peer came.
    pub fn joined(&mut self, peer: PeerId) {
        self.peers.insert(peer, Peer::default());
    }

    /// A peer left; what it was asked for may be asked of others.
    pub fn left(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.forget(|batch| batch.peer == *peer);
    }

    /// Who is connected.
    pub fn peers(&self) -> impl ExactSizeIterator<Item = &PeerId> {
        self.peers.keys()
    }

    /// A number for the next request.
    pub fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A request was answered with so many blocks, or not at all: what is missing may be asked for again, but
    /// not at once of a peer that had nothing.
    /// The blocks that were asked for, unless the request was given up meanwhile.
    pub fn answered(&mut self, number: u64, blocks: usize, now: Instant) -> Option<Vec<BlockId>> {
        let batch = self.batches.remove(&number)?;
        for id in &batch.ids {
            self.asked.remove(id);
        }
        if let Some(peer) = self.peers.get_mut(&batch.peer).filter(|_| blocks == 0) {
            peer.rests_until = Some(now + REST);
        }
        Some(batch.ids)
    }

    /// A peer is to be asked for the headers up to its tip.
    pub fn begins(&mut self, peer: &PeerId) {
        self.reaches(peer, Height::ZERO);
    }

    /// A peer says how high its tip is.
    pub fn tells(&mut self, peer: &PeerId, height: Height) {
        self.peers.entry(*peer).and_modify(|peer| peer.told = Some(height));
    }

    /// The height that at least half of the peers say they have.
    pub fn told_height(&self) -> Height {
        let mut told: Vec<Height> = self.peers.values().map(|peer| peer.told.unwrap_or_default()).collect();
        told.sort_unstable();
        told.len().checked_sub(1).and_then(|last| told.get(last / 2)).copied().unwrap_or_default()
    }

    /// The greatest height that any peer says it has.
    pub fn highest_told(&self) -> Option<Height> {
        self.peers.values().filter_map(|peer| peer.told).max()
    }

    /// A peer answered with headers up to this height; whether that is further than before.
    pub fn reaches(&mut self, peer: &PeerId, height: Height) -> bool {
        let Some(peer) = self.peers.get_mut(peer) else { return false };
        std::mem::replace(&mut peer.reached, height) < height
    }

    /// A peer says from which height on it has blocks.
    pub fn serves(&mut self, peer: &PeerId, from: Height) {
        self.peers.entry(*peer).and_modify(|peer| peer.serves_from = from);
    }

    /// Whether a peer says that it has the block of a height.
    pub fn has(&self, peer: &PeerId, height: Height) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.serves_from <= height)
    }

    /// Height of the lowest block that is wanted and that no connected peer has.
    pub const fn lacking(&self) -> Option<Height> {
        self.lacking
    }

    /// Whether there are peers, and none of them has the block of a height.
    pub fn nobody_has(&self, height: Height) -> bool {
        !self.peers.is_empty() && !self.peers.keys().any(|peer| self.has(peer, height))
    }

    /// Requests for blocks that nobody was asked for of late, spread over the peers who have them, with their numbers.
    pub fn fetch(
        &mut self,
        ids: &[BlockId],
        height: impl Fn(&BlockId) -> Height,
        now: Instant,
    ) -> Vec<(PeerId, u64, Request)> {
        let lacking = ids.first().map(&height).filter(|height| self.nobody_has(*height));
        if let Some(height) = lacking.filter(|_| self.lacking.is_none()) {
            tracing::warn!(%height, "no connected peer has this block any more: an archive node is needed");
        }
        self.lacking = lacking;
        let late = |batch: &Batch| now.duration_since(batch.since) >= batch.patience;
        for slow in self.batches.values().filter(|batch| late(batch)) {
            self.peers.entry(slow.peer).and_modify(|peer| peer.rests_until = Some(now + REST));
        }
        self.forget(late);
        let due: Vec<BlockId> = ids.iter().filter(|id| !self.asked.contains(id)).copied().collect();
        let mut requests = Vec::new();
        for ids in due.chunks(BLOCKS_MAX).map(<[BlockId]>::to_vec) {
            let Some(lowest) = ids.iter().map(&height).min() else { break };
            let Some(peer) = self.free_peer(lowest, now) else { continue };
            let number = self.number();
            self.asked.extend(&ids);
            self.batches.insert(number, Batch { peer, ids: ids.clone(), since: now, patience: PATIENCE });
            requests.push((peer, number, Request::Blocks { ids }));
        }
        requests
    }

    /// A number for a request to this peer about one block, which nobody else is asked for meanwhile.
    pub fn asks(&mut self, peer: PeerId, id: BlockId, now: Instant) -> u64 {
        let number = self.number();
        self.asked.insert(id);
        self.batches.insert(number, Batch { peer, ids: vec![id], since: now, patience: PATIENCE_ONE });
        number
    }

    /// Whether a peer is being asked for a block.
    pub fn is_asking(&self, peer: &PeerId, id: &BlockId) -> bool {
        self.batches.values().any(|batch| batch.peer == *peer && batch.ids.contains(id))
    }

    fn free_peer(&mut self, height: Height, now: Instant) -> Option<PeerId> {
        let busy =
            |id: &PeerId| self.batches.values().filter(|batch| batch.peer == *id).count() >= BATCHES_MAX;
        let awake = self.peers.iter().filter(|(_, peer)| peer.rests_until.is_none_or(|until| until <= now));
        let having = awake.filter(|(_, peer)| peer.serves_from <= height);
        let free: Vec<PeerId> = having.map(|(id, _)| *id).filter(|id| !busy(id)).collect();
        self.turn += 1;
        free.get(self.turn.checked_rem(free.len())?).copied()
    }

    fn forget(&mut self, is_over: impl Fn(&Batch) -> bool) {
        for (_, batch) in self.batches.extract_if(.., |_, batch| is_over(batch)) {
            for id in &batch.ids {
                self.asked.remove(id);
            }
        }
    }
}

/// Asks for the headers after `from` and what it stands on: the last ten blocks, then ever greater steps.
pub fn headers_request(tree: &HeaderTree, from: &BlockId) -> Request {
    let mut locator = Vec::new();
    let (mut at, mut step) = (tree.get(from).map(|node| (*from, node.height)), 1u32);
    while let Some((id, height)) = at.filter(|_| locator.len() < LOCATOR_MAX - 1) {
        locator.push(id);
        step = if locator.len() < 10 { 1 } else { step * 2 };
        let below = height.checked_sub(HeightDelta::new(step));
        at = below.and_then(|height| Some((tree.ancestor_at(&id, height)?, height)));
    }
    locator.push(*tree.genesis());
    Request::Headers { locator, max: HEADERS_MAX as u16 }
}

/// Answers a peer; `time` is what the clock shows.
///
/// # Errors
/// Fatal ones only.
pub fn answer<L: NodeLedger>(chain: &Chain<L>, request: &Request, time: u64) -> Result<Response, ChainError> {
    match request {
        Request::Status => {
            let tip = *chain.engine().tip();
            let node = chain.engine().tree().get(&tip);
            let (height, weight) = node.map_or_else(Default::default, |node| (node.height, node.weight));
            let blocks_from = chain.store().undo_from()?;
            Ok(Response::Status { tip, height, weight, time, blocks_from })
        }
        Request::Headers { locator, max } => headers(chain, locator, usize::from(*max)),
        Request::Blocks { ids } => blocks(chain, ids),
        Request::Pieces { id, positions } => pieces(chain, id, positions),
        Request::State(request) => Ok(Response::State(nothing(request))),
    }
}

fn headers<L: NodeLedger>(chain: &Chain<L>, locator: &[BlockId], max: usize) -> Result<Response, ChainError> {
    let mut height = Height::ZERO;
    for id in locator {
        let Some(node) = chain.engine().tree().get(id) else { continue };
        if chain.store().active_id(node.height)? == Some(*id) {
            height = node.height;
            break;
        }
    }
    let mut found = Vec::new();
    while found.len() < max.min(HEADERS_MAX) {
        let Some(next) = height.next() else { break };
        let Some(id) = chain.store().active_id(next)? else { break };
        let Some(header) = chain.store().header(&id)? else { break };
        found.push(header.bytes);
        height = next;
    }
    Ok(Response::Headers(found))
}

fn blocks<L: NodeLedger>(chain: &Chain<L>, ids: &[BlockId]) -> Result<Response, ChainError> {
    let (mut room, mut found) = (RESPONSE_BYTES_MAX - FRAME_BYTES, Vec::new());
    let mut is_full = false;
    for id in ids {
        // Once full, nothing more is read from the disk.
        let bytes = if is_full { None } else { chain.told_bytes(id)? };
        is_full |= bytes.as_ref().is_some_and(|bytes| bytes.len() > room);
        let bytes = bytes.filter(|_| !is_full);
        room -= bytes.as_ref().map_or(0, Vec::len);
        found.push(bytes);
    }
    Ok(Response::Blocks(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u8) -> Vec<BlockId> {
        (0..count).map(|number| BlockId::new([number; 32])).collect()
    }

    fn low(_: &BlockId) -> Height {
        Height::new(1)
    }

    fn sync(peers: u8) -> Sync {
        let mut sync = Sync::default();
        (0..peers).for_each(|number| sync.joined(mass_network::peer_id([number; 32])));
        sync
    }

    #[test]
    fn a_peer_has_few_batches_at_a_time_and_what_it_leaves_goes_to_others() {
        let (mut sync, now) = (sync(2), Instant::now());
        let wanted = ids(255);
        let first = sync.fetch(&wanted, low, now);
        assert_eq!(first.len(), 4);
        assert!(sync.fetch(&wanted, low, now).is_empty(), "all is asked for");
        let (gone, number, _) = first[0].clone();
        assert!(sync.fetch(&ids(0), low, now + PATIENCE / 2).is_empty());
        sync.answered(number, 0, now);
        let again = sync.fetch(&wanted, low, now);
        assert!(again.is_empty(), "one peer has nothing, the other is busy: {again:?}");
        let (other, number, _) = first.iter().find(|(peer, ..)| *peer != gone).unwrap().clone();
        sync.answered(number, 1, now);
        let again = sync.fetch(&wanted, low, now);
        assert_eq!(again.iter().map(|(peer, ..)| *peer).collect::<Vec<_>>(), [other]);
    }

    #[test]
    fn who_is_slow_or_leaves_holds_up_nothing() {
        let (mut sync, now) = (sync(1), Instant::now());
        assert_eq!(sync.fetch(&ids(3), low, now).len(), 1);
        assert!(sync.fetch(&ids(3), low, now + PATIENCE / 2).is_empty());
        assert!(sync.fetch(&ids(3), low, now + PATIENCE).is_empty(), "the peer rests");
        assert_eq!(sync.fetch(&ids(3), low, now + PATIENCE + REST).len(), 1);
        let peer = *sync.peers().next().unwrap();
        sync.left(&peer);
        sync.joined(peer);
        assert_eq!(sync.fetch(&ids(3), low, now + PATIENCE + REST).len(), 1);
    }

    #[test]
    fn who_has_pruned_a_block_is_not_asked_for_it() {
        let (mut sync, now) = (sync(2), Instant::now());
        let [archive, pruned] = [0, 1].map(|number| mass_network::peer_id([number; 32]));
        sync.serves(&pruned, Height::new(100));
        let height = |id: &BlockId| Height::new(u32::from(id.as_bytes()[0]));
        let asked: Vec<PeerId> = sync.fetch(&ids(250), height, now).iter().map(|(peer, ..)| *peer).collect();
        assert_eq!(
            asked.iter().filter(|peer| **peer == archive).count(),
            2,
            "the first two batches: {asked:?}"
        );
        assert_eq!((asked[..2].contains(&pruned), asked.len()), (false, 4));
        sync.left(&archive);
        let again = sync.fetch(&ids(64), height, now);
        assert!(again.is_empty() && sync.lacking() == Some(Height::ZERO), "{again:?}");
        sync.serves(&pruned, Height::ZERO);
        sync.fetch(&ids(64), height, now);
        assert_eq!(sync.lacking(), None);
    }

    #[test]
    fn how_high_the_chain_is_is_no_single_peers_word() {
        let mut sync = sync(3);
        assert_eq!(sync.told_height(), Height::ZERO);
        for (number, height) in [(0, 100), (1, u32::MAX), (2, 101)] {
            sync.tells(&mass_network::peer_id([number; 32]), Height::new(height));
        }
        assert_eq!(sync.told_height(), Height::new(101));
        sync.left(&mass_network::peer_id([2; 32]));
        assert_eq!(sync.told_height(), Height::new(100), "of two that differ, the lower");
    }

    #[test]
    fn headers_that_lead_no_further_are_not_continued() {
        let (mut sync, peer) = (sync(1), mass_network::peer_id([0; 32]));
        assert!(sync.reaches(&peer, Height::new(512)));
        assert!(!sync.reaches(&peer, Height::new(512)));
        sync.begins(&peer);
        assert!(sync.reaches(&peer, Height::new(512)));
    }
}
