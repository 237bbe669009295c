//! The tree of headers: what a header must show in its place (rules LNK-1..7), and which chain is the
//! heaviest from the newest checkpoint (rules FRK-1..2). Bodies, bans and execution come after.

mod ready;
mod settle;
mod trunk;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::cmp::Reverse;

use mass_primitives::{
    BlockId, ChainWeight, Difficulty, FarmerPublicKey, Height, HeightDelta, Seed, Slot, SlotDelta, Ticket,
    VrfOutput,
};

use self::trunk::Trunk;
use crate::{
    beacon::Beacon,
    difficulty::next_difficulty,
    header::SealedHeader,
    lottery::next_seed,
    proven::ProvenHeader,
    spec::{ChainSpec, Checkpoint},
};

mod trail;

pub use trail::TrailHeader;

/// The rule that a proven header breaks in its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// LNK-1: the parent is not known. Nobody's fault.
    #[error("LNK-1: parent {0} is not known")]
    Parent(BlockId),
    /// LNK-2.
    #[error("LNK-2: height is {got}, the parent's place gives {expected}")]
    Height {
        /// Height after the parent.
        expected: Height,
        /// Height of the seal.
        got: Height,
    },
    /// LNK-3.
    #[error("LNK-3: slot {got} is not after the parent's slot {parent}")]
    Slot {
        /// Slot of the parent.
        parent: Slot,
        /// Slot of the seal.
        got: Slot,
    },
    /// LNK-4.
    #[error("LNK-4: the seed is not that of the period")]
    Seed,
    /// LNK-4 on a chain that inherits its beacon: the parent's chain gives another seed, as far as it is known
    /// here. Nobody's fault.
    #[error("LNK-4: the seed is not that of the parent's chain, as far as it is known")]
    Beacon,
    /// LNK-5.
    #[error("LNK-5: difficulty is {got}, the parent gives {expected}")]
    Difficulty {
        /// Difficulty after the parent.
        expected: Difficulty,
        /// Difficulty of the seal.
        got: Difficulty,
    },
    /// LNK-6.
    #[error("LNK-6: a checkpoint wants block {expected} at height {height}")]
    Checkpoint {
        /// Height of the checkpoint.
        height: Height,
        /// Id that must be there.
        expected: BlockId,
    },
    /// LNK-7.
    #[error("LNK-7: height {got} is not above the checkpoint that was reached, block {checkpoint}")]
    BesideCheckpoint {
        /// The newest checkpoint that is linked.
        checkpoint: Checkpoint,
        /// Height of the seal.
        got: Height,
    },
    /// The chain has reached the end of its numbers.
    #[error("a number of the chain is exhausted")]
    Exhausted,
}

impl LinkError {
    /// Whether only a checkpoint keeps the header out.
    #[must_use]
    pub const fn is_checkpoint(&self) -> bool {
        matches!(self, Self::Checkpoint { .. } | Self::BesideCheckpoint { .. })
    }
}

/// A header that was proven before it was stored. Who makes one answers for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Id of the block.
    pub id: BlockId,
    /// Its winning ticket.
    pub ticket: Ticket,
    /// The header and seal.
    pub sealed: SealedHeader,
}

impl From<&ProvenHeader> for Restored {
    fn from(proven: &ProvenHeader) -> Self {
        Self { id: *proven.id(), ticket: *proven.ticket(), sealed: *proven.sealed() }
    }
}

/// What the next block after some block must carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Its height.
    pub height: Height,
    /// The slot that it must come after.
    pub after: Slot,
    /// Its seed.
    pub seed: Seed,
    /// Its difficulty.
    pub difficulty: Difficulty,
}

/// A header in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Id of the parent; the genesis block names itself.
    pub parent: BlockId,
    /// Height.
    pub height: Height,
    /// Slot.
    pub slot: Slot,
    /// Start of the slot in unix seconds.
    pub time: u32,
    /// Seed of its period.
    pub seed: Seed,
    /// Difficulty.
    pub difficulty: Difficulty,
    /// Winning ticket.
    pub ticket: Ticket,
    /// Key that sealed; none sealed the genesis block.
    pub farmer: Option<FarmerPublicKey>,
    /// Sum of the difficulties up to here.
    pub weight: ChainWeight,
}

/// All linked headers.
#[derive(Clone, Debug)]
pub struct HeaderTree {
    spec: ChainSpec,
    genesis: BlockId,
    /// Seeds from elsewhere, if the chain inherits its beacon.
    beacon: Option<Beacon>,
    /// The deep part of the best chain.
    trunk: Trunk,
    /// All other headers.
    nodes: BTreeMap<BlockId, Entry>,
    /// Which of these are of the best chain.
    path: BTreeMap<Height, BlockId>,
    /// Which of these stand on a block.
    children: BTreeMap<BlockId, Vec<BlockId>>,
    /// The VRF outputs from which seeds follow (SEED-1).
    outputs: BTreeMap<BlockId, VrfOutput>,
    /// All headers that are not condemned by rank, the best last (FRK-1).
    ranking: BTreeSet<Rank>,
    /// Those of which all contents up to them are here, but for executed ones in the trunk.
    ready: BTreeSet<Rank>,
    /// Number of blocks of the trunk, from the genesis block on, that were executed.
    executed: u32,
    /// The newest checkpoint that is linked.
    reached: Option<Checkpoint>,
}

/// A header, and whether its block was executed once.
#[derive(Clone, Copy, Debug)]
struct Entry {
    node: Node,
    executed: bool,
}

/// Headers that left the tree. They may come again unless a rule forbids it.
pub type Removed = BTreeMap<BlockId, Node>;

/// FRK-1: heavier is better; among equally heavy ones the lower ticket, then the lower id.
pub(crate) type Rank = (ChainWeight, Reverse<Ticket>, Reverse<BlockId>);

/// The newest checkpoint that is linked.
fn newest_of(spec: &ChainSpec, is_linked: impl Fn(&BlockId) -> bool) -> Option<Checkpoint> {
    let linked = spec.hints().checkpoints.iter().filter(|checkpoint| is_linked(&checkpoint.id));
    linked.max_by_key(|checkpoint| checkpoint.height).copied()
}

fn rank(id: BlockId, node: &Node) -> Rank {
    (node.weight, Reverse(node.ticket), Reverse(id))
}

impl HeaderTree {
    /// A tree of the genesis block alone.
    #[must_use]
    pub fn new(spec: ChainSpec, genesis: BlockId) -> Self {
        let node = Node {
            parent: genesis,
            height: Height::ZERO,
            slot: Slot::ZERO,
            time: spec.rules().genesis_time,
            seed: spec.rules().seed_initial,
            difficulty: spec.difficulty_initial(),
            ticket: Ticket::ZERO,
            farmer: None,
            weight: ChainWeight::ZERO,
        };
        Self {
            reached: newest_of(&spec, |id| *id == genesis),
            spec,
            genesis,
            beacon: None,
            trunk: Trunk::default(),
            ranking: BTreeSet::from([rank(genesis, &node)]),
            ready: BTreeSet::from([rank(genesis, &node)]),
            nodes: BTreeMap::from([(genesis, Entry { node, executed: true })]),
            path: BTreeMap::from([(Height::ZERO, genesis)]),
            children: BTreeMap::new(),
            outputs: BTreeMap::new(),
            executed: 0,
        }
    }

    /// The chain spec.
    #[must_use]
    pub const fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// Whether a header is the first of its period.
    #[must_use]
    pub fn begins_period(&self, node: &Node) -> bool {
        node.height
            .checked_sub(HeightDelta::new(1))
            .is_none_or(|below| self.spec.period(below) != self.spec.period(node.height))
    }

    /// The seeds of a chain that inherits its beacon, once they were set.
    #[must_use]
    pub const fn beacon(&self) -> Option<&Beacon> {
        self.beacon.as_ref()
    }

    /// The newest checkpoint that is linked.
    #[must_use]
    pub const fn reached(&self) -> Option<&Checkpoint> {
        self.reached.as_ref()
    }

    /// Id of the genesis block.
    #[must_use]
    pub const fn genesis(&self) -> &BlockId {
        &self.genesis
    }

    /// The header `id` in its place.
    #[must_use]
    pub fn get(&self, id: &BlockId) -> Option<Node> {
        match self.nodes.get(id) {
            Some(entry) => Some(entry.node),
            None => self.trunk.node(&self.spec, self.trunk.height(id)?),
        }
    }

    /// Whether a header is known.
    #[must_use]
    pub fn contains(&self, id: &BlockId) -> bool {
        self.nodes.contains_key(id) || self.trunk.height(id).is_some()
    }

    /// Number of headers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len().saturating_add(usize::try_from(self.trunk.len()).unwrap_or(usize::MAX))
    }

    /// Never: the genesis block is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From `id` down to the genesis block.
    pub fn ancestry(&self, id: &BlockId) -> impl Iterator<Item = (BlockId, Node)> {
        let with_id = |id: BlockId| Some((id, self.get(&id)?));
        core::iter::successors(
            with_id(*id),
            move |(id, node)| {
                if *id == self.genesis { None } else { with_id(node.parent) }
            },
        )
    }

    /// The block at a height of the chain that ends with `id`: steps are counted down to the best chain only.
    #[must_use]
    pub fn ancestor_at(&self, id: &BlockId, height: Height) -> Option<BlockId> {
        let mut at = *id;
        while let Some(Entry { node, .. }) = self.nodes.get(&at) {
            if node.height <= height || at == self.genesis {
                return (node.height == height).then_some(at);
            }
            if self.path.get(&node.height) == Some(&at) {
                return self.path.get(&height).copied().or_else(|| self.trunk.id_at(height));
            }
            at = node.parent;
        }
        let top = self.trunk.height(&at)?;
        self.trunk.id_at(height).filter(|_| height <= top)
    }

    /// What a child of `parent` in a slot must carry (SEED-1, SEED-2, DIF-1). The slot counts only where the
    /// beacon is inherited.
    ///
    /// # Errors
    /// [`LinkError::Parent`], [`LinkError::Beacon`], [`LinkError::Exhausted`].
    pub fn expectation(&self, parent: &BlockId, slot: Slot) -> Result<Expectation, LinkError> {
        let node = self.get(parent).ok_or(LinkError::Parent(*parent))?;
        let height = node.height.next().ok_or(LinkError::Exhausted)?;
        Ok(Expectation {
            height,
            after: node.slot,
            seed: self.seed_after(parent, &node, height, slot)?,
            difficulty: self.difficulty_after(&node),
        })
    }

    fn seed_after(
        &self,
        parent: &BlockId,
        node: &Node,
        height: Height,
        slot: Slot,
    ) -> Result<Seed, LinkError> {
        if self.spec.inherits_beacon() {
            let seed = self.beacon.as_ref().and_then(|beacon| beacon.seed(self.spec.round(slot)));
            return seed.copied().ok_or(LinkError::Beacon);
        }
        let period = self.spec.period(node.height);
        if self.spec.period(height) == period {
            return Ok(node.seed);
        }
        let source = self.spec.seed_height(period).ok_or(LinkError::Exhausted)?;
        let output = self.ancestor_at(parent, source).and_then(|id| self.outputs.get(&id));
        output.map(|output| next_seed(&node.seed, output)).ok_or(LinkError::Exhausted)
    }

    /// Blocks 1 and 2 have the initial difficulty: the slots before block 1 measure no capacity.
    fn difficulty_after(&self, node: &Node) -> Difficulty {
        let grandparent = self.get(&node.parent).filter(|_| node.height > Height::new(1));
        let Some(gap) = grandparent.and_then(|grandparent| node.slot.since(grandparent.slot)) else {
            return self.spec.difficulty_initial();
        };
        let tau = SlotDelta::new(self.spec.rules().difficulty_tau_slots);
        next_difficulty(node.difficulty, gap, self.spec.interval(), tau, self.spec.difficulty_min())
    }

    /// Puts a proven header in its place. A header that is there already stays. Returns what leaves the tree
    /// because the header is a checkpoint (FRK-2).
    ///
    /// # Errors
    /// The rule broken; the tree is then unchanged.
    pub fn link(&mut self, proven: &ProvenHeader) -> Result<Removed, LinkError> {
        self.place(*proven.id(), *proven.ticket(), proven.sealed())
    }

    /// [`Self::link`] for a header that storage has.
    ///
    /// # Errors
    /// As [`Self::link`].
    pub fn restore(&mut self, header: &Restored) -> Result<Removed, LinkError> {
        self.place(header.id, header.ticket, &header.sealed)
    }

    fn place(&mut self, id: BlockId, ticket: Ticket, sealed: &SealedHeader) -> Result<Removed, LinkError> {
        if self.contains(&id) {
            return Ok(Removed::new());
        }
        let (parent, claim) = (sealed.header.parent, &sealed.seal.claim);
        let expected = self.expectation(&parent, claim.slot)?;
        if claim.height != expected.height {
            return Err(LinkError::Height { expected: expected.height, got: claim.height });
        }
        if claim.slot <= expected.after {
            return Err(LinkError::Slot { parent: expected.after, got: claim.slot });
        }
        if claim.seed != expected.seed {
            return Err(if self.spec.inherits_beacon() { LinkError::Beacon } else { LinkError::Seed });
        }
        if claim.difficulty != expected.difficulty {
            return Err(LinkError::Difficulty { expected: expected.difficulty, got: claim.difficulty });
        }
        self.check_checkpoints(claim.height, &id)?;
        let weight = self.get(&parent).and_then(|node| node.weight.checked_add(claim.difficulty));
        let node = Node {
            parent,
            height: claim.height,
            slot: claim.slot,
            time: sealed.header.time,
            seed: claim.seed,
            difficulty: claim.difficulty,
            ticket,
            farmer: Some(*claim.farmer()),
            weight: weight.ok_or(LinkError::Exhausted)?,
        };
        if self.spec.seed_height(self.spec.period(node.height)) == Some(node.height) {
            self.outputs.insert(id, claim.vrf_output);
        }
        Ok(self.insert(id, node))
    }

    fn insert(&mut self, id: BlockId, node: Node) -> Removed {
        let before = *self.best();
        if !self.is_condemned(&node.parent) {
            self.ranking.insert(rank(id, &node));
        }
        self.nodes.insert(id, Entry { node, executed: false });
        self.adopt_child(node.parent, id);
        if *self.best() == id {
            if node.parent == before {
                self.path.insert(node.height, id);
            } else {
                self.unsettle();
            }
        }
        self.spec.checkpoint(node.height).copied().map(|it| self.reach(it)).unwrap_or_default()
    }

    fn adopt_child(&mut self, parent: BlockId, id: BlockId) {
        // Most have one child: room for one, not for the usual four.
        self.children.entry(parent).or_insert_with(|| Vec::with_capacity(1)).push(id);
    }

    /// LNK-6 and LNK-7.
    fn check_checkpoints(&self, height: Height, id: &BlockId) -> Result<(), LinkError> {
        match (self.spec.checkpoint(height), self.reached) {
            (Some(checkpoint), _) if checkpoint.id != *id => {
                Err(LinkError::Checkpoint { height, expected: checkpoint.id })
            }
            (_, Some(checkpoint)) if height <= checkpoint.height => {
                Err(LinkError::BesideCheckpoint { checkpoint, got: height })
            }
            _ => Ok(()),
        }
    }

    /// Takes a header and all that stand on it out of the choice for good; their ids.
    pub fn condemn(&mut self, id: &BlockId) -> Vec<BlockId> {
        self.unsettle_below(id);
        let above = self.with_descendants(id);
        let ranks: Vec<Rank> = above.iter().filter_map(|id| self.rank(id)).collect();
        for rank in &ranks {
            self.ranking.remove(rank);
            self.ready.remove(rank);
        }
        self.unsettle();
        above
    }

    /// Whether a header, or one that it stands on, was condemned.
    #[must_use]
    pub fn is_condemned(&self, id: &BlockId) -> bool {
        self.nodes.get(id).is_some_and(|entry| !self.ranking.contains(&rank(*id, &entry.node)))
    }

    /// The headers that stand on this one directly.
    #[must_use]
    pub fn children(&self, id: &BlockId) -> Vec<BlockId> {
        let settled = self.trunk.height(id).and_then(|height| self.trunk.id_at(height.next()?));
        self.children.get(id).into_iter().flatten().copied().chain(settled).collect()
    }

    /// A header and all that stand on it.
    #[must_use]
    pub fn with_descendants(&self, id: &BlockId) -> Vec<BlockId> {
        let (mut found, mut next) = (Vec::new(), Vec::from([*id]));
        while let Some(id) = next.pop() {
            next.extend(self.children(&id));
            found.push(id);
        }
        found
    }

    pub(crate) fn rank(&self, id: &BlockId) -> Option<Rank> {
        self.get(id).map(|node| rank(*id, &node))
    }

    /// FRK-1: the best header that is not condemned.
    #[must_use]
    pub fn best(&self) -> &BlockId {
        self.ranking.last().map_or(&self.genesis, |(.., id)| &id.0)
    }

    /// Height of the best header.
    #[must_use]
    pub fn best_height(&self) -> Height {
        self.get(self.best()).map_or(Height::ZERO, |best| best.height)
    }

    /// FRK-1: the headers that rank above `id` and are not condemned, the best first.
    pub fn better_than(&self, id: &BlockId) -> impl Iterator<Item = BlockId> {
        let bar = self.rank(id);
        self.ranking.iter().rev().take_while(move |other| Some(**other) > bar).map(|(.., id)| id.0)
    }

    /// The way from one block to another: ids to leave, tip first, then ids to enter, lowest first.
    #[must_use]
    pub fn path(&self, from: &BlockId, to: &BlockId) -> Option<(Vec<BlockId>, Vec<BlockId>)> {
        let (mut leave, mut enter) = (Vec::new(), Vec::new());
        let (mut from, mut to) = (*from, *to);
        while from != to {
            let (a, b) = (self.get(&from)?, self.get(&to)?);
            if a.height >= b.height {
                leave.push(from);
                from = a.parent;
            } else {
                enter.push(to);
                to = b.parent;
            }
        }
        enter.reverse();
        Some((leave, enter))
    }

    /// Median time of the eleven blocks that end with `id` (BIP-113).
    #[must_use]
    pub fn median_time_past(&self, id: &BlockId) -> Option<u32> {
        let mut times: Vec<u32> = self.ancestry(id).take(11).map(|(_, node)| node.time).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::synthetic;
