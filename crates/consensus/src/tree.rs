//! The tree of headers: what a header must show in its place (rules LNK-1..6), and which chain is the
//! heaviest (rule FRK-1). Bodies, bans and execution come after.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::cmp::Reverse;

use mass_primitives::{
    BlockId, ChainWeight, Difficulty, FarmerPublicKey, Height, HeightDelta, Seed, Slot, SlotDelta, Ticket,
    VrfOutput,
};

use crate::{
    beacon::Beacon, difficulty::next_difficulty, lottery::next_seed, proven::ProvenHeader, spec::ChainSpec,
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
    /// The chain has reached the end of its numbers.
    #[error("a number of the chain is exhausted")]
    Exhausted,
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
    /// VRF output.
    pub vrf_output: VrfOutput,
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
    nodes: BTreeMap<BlockId, Node>,
    children: BTreeMap<BlockId, Vec<BlockId>>,
    /// All headers that are not condemned by rank, the best last (FRK-1).
    ranking: BTreeSet<Rank>,
}

/// FRK-1: heavier is better; among equally heavy ones the lower ticket, then the lower id.
pub(crate) type Rank = (ChainWeight, Reverse<Ticket>, Reverse<BlockId>);

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
            vrf_output: VrfOutput::ZERO,
            farmer: None,
            weight: ChainWeight::ZERO,
        };
        Self {
            spec,
            genesis,
            beacon: None,
            ranking: BTreeSet::from([rank(genesis, &node)]),
            nodes: BTreeMap::from([(genesis, node)]),
            children: BTreeMap::new(),
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

    /// Sets the seeds of a chain that inherits them, and takes out the headers that they do not fit, with all
    /// that stand on these. A header that is taken out may come back when the parent's chain is another.
    pub fn set_beacon(&mut self, beacon: Beacon) -> BTreeSet<BlockId> {
        let beacon = self.beacon.insert(beacon);
        let fits = |node: &Node| beacon.seed(self.spec.round(node.slot)) == Some(&node.seed);
        let misfits = self.nodes.iter().filter(|(id, node)| **id != self.genesis && !fits(node));
        let mut open: Vec<BlockId> = misfits.map(|(id, _)| *id).collect();
        let mut out = BTreeSet::new();
        while let Some(id) = open.pop() {
            if out.insert(id) {
                open.extend(self.children.remove(&id).unwrap_or_default());
            }
        }
        self.nodes.retain(|id, _| !out.contains(id));
        self.ranking.retain(|(.., id)| !out.contains(&id.0));
        self.children.values_mut().for_each(|children| children.retain(|id| !out.contains(id)));
        out
    }

    /// Id of the genesis block.
    #[must_use]
    pub const fn genesis(&self) -> &BlockId {
        &self.genesis
    }

    /// The header `id` in its place.
    #[must_use]
    pub fn get(&self, id: &BlockId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Number of headers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: the genesis block is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// From `id` down to the genesis block.
    pub fn ancestry(&self, id: &BlockId) -> impl Iterator<Item = (BlockId, &Node)> {
        let start = self.nodes.get_key_value(id).map(|(id, node)| (*id, node));
        core::iter::successors(start, |(id, node)| {
            if *id == self.genesis {
                return None;
            }
            self.nodes.get_key_value(&node.parent).map(|(id, node)| (*id, node))
        })
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
            seed: self.seed_after(parent, node, height, slot)?,
            difficulty: self.difficulty_after(node),
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
        let output =
            self.ancestry(parent).find(|(_, node)| node.height == source).map(|(_, node)| node.vrf_output);
        output.map(|output| next_seed(&node.seed, &output)).ok_or(LinkError::Exhausted)
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

    /// Puts a proven header in its place. A header that is there already stays.
    ///
    /// # Errors
    /// The rule broken; the tree is then unchanged.
    pub fn link(&mut self, proven: &ProvenHeader) -> Result<(), LinkError> {
        if self.nodes.contains_key(proven.id()) {
            return Ok(());
        }
        let sealed = proven.sealed();
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
        self.check_checkpoint(claim.height, proven.id())?;
        let weight = self.get(&parent).and_then(|node| node.weight.checked_add(claim.difficulty));
        let node = Node {
            parent,
            height: claim.height,
            slot: claim.slot,
            time: sealed.header.time,
            seed: claim.seed,
            difficulty: claim.difficulty,
            ticket: *proven.ticket(),
            vrf_output: claim.vrf_output,
            farmer: Some(*claim.farmer()),
            weight: weight.ok_or(LinkError::Exhausted)?,
        };
        if !self.is_condemned(&parent) {
            self.ranking.insert(rank(*proven.id(), &node));
        }
        self.nodes.insert(*proven.id(), node);
        // Most have one child: room for one, not for the usual four.
        self.children.entry(parent).or_insert_with(|| Vec::with_capacity(1)).push(*proven.id());
        Ok(())
    }

    fn check_checkpoint(&self, height: Height, id: &BlockId) -> Result<(), LinkError> {
        match self.spec.hints().checkpoints.iter().find(|checkpoint| checkpoint.height == height) {
            Some(checkpoint) if checkpoint.id != *id => {
                Err(LinkError::Checkpoint { height, expected: checkpoint.id })
            }
            _ => Ok(()),
        }
    }

    /// Takes a header and all that stand on it out of the choice for good; their ids.
    pub fn condemn(&mut self, id: &BlockId) -> Vec<BlockId> {
        let above = self.with_descendants(id);
        let ranks: Vec<Rank> = above.iter().filter_map(|id| self.rank(id)).collect();
        for rank in &ranks {
            self.ranking.remove(rank);
        }
        above
    }

    /// Whether a header, or one that it stands on, was condemned.
    #[must_use]
    pub fn is_condemned(&self, id: &BlockId) -> bool {
        self.rank(id).is_some_and(|rank| !self.ranking.contains(&rank))
    }

    /// The headers that stand on this one directly.
    #[must_use]
    pub fn children(&self, id: &BlockId) -> &[BlockId] {
        self.children.get(id).map_or(&[], Vec::as_slice)
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
        self.get(id).map(|node| rank(*id, node))
    }

    /// FRK-1: the best header that is not condemned.
    #[must_use]
    pub fn best(&self) -> &BlockId {
        self.ranking.last().map_or(&self.genesis, |(.., id)| &id.0)
    }

    /// FRK-1: the headers that rank above `id` and are not condemned, the best first.
    pub fn better_than(&self, id: &BlockId) -> impl Iterator<Item = BlockId> {
        let bar = self.get(id).map(|node| rank(*id, node));
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
