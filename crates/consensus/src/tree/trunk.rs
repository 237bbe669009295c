//! The deep part of the best chain, in about 120 bytes a block. Whatever is asked of a block in it is the same as when
//! it was whole, so that nothing is decided otherwise; where the best chain turns out to be another, its blocks
//! come out again.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use mass_primitives::{BlockId, ChainWeight, Difficulty, FarmerPublicKey, Height, Seed, Slot, Ticket};

use super::Node;
use crate::spec::ChainSpec;

/// Blocks that are allocated together, for a vector that grows by doubling wastes half of itself.
const CHUNK: usize = 1_024;

/// Stands for the genesis block's farmer.
const NOBODY: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Settled {
    id: BlockId,
    ticket: Ticket,
    slot: u64,
    /// Low and high half: a whole one would align the block to 16 bytes.
    weight: [u64; 2],
    farmer: u32,
}

impl Settled {
    fn weight(&self) -> u128 {
        let [low, high] = self.weight;
        u128::from(high) << 64 | u128::from(low)
    }
}

/// The best chain from the genesis block up to some height.
#[derive(Clone, Debug, Default)]
pub(super) struct Trunk {
    chunks: Vec<Vec<Settled>>,
    len: u32,
    /// Heights by the first bytes of the id. A farmer may make two ids that begin alike.
    heights: BTreeSet<(u64, u32)>,
    farmers: Vec<FarmerPublicKey>,
    numbers: BTreeMap<FarmerPublicKey, u32>,
    /// Seeds, each with the first height that has it.
    seeds: Vec<(u32, Seed)>,
}

fn prefix(id: &BlockId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id.get();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Trunk {
    /// Number of blocks, the height of the next one.
    pub const fn len(&self) -> u32 {
        self.len
    }

    fn settled(&self, height: u32) -> Option<&Settled> {
        let position = usize::try_from(height).ok()?;
        self.chunks.get(position.checked_div(CHUNK)?)?.get(position.checked_rem(CHUNK)?)
    }

    /// The block at a height.
    pub fn id_at(&self, height: Height) -> Option<BlockId> {
        self.settled(height.get()).map(|block| block.id)
    }

    /// The last block.
    pub fn top(&self) -> Option<BlockId> {
        self.id_at(Height::new(self.len.checked_sub(1)?))
    }

    /// The height of a block.
    pub fn height(&self, id: &BlockId) -> Option<Height> {
        let key = prefix(id);
        let found = self.heights.range((key, 0)..=(key, u32::MAX)).map(|(_, height)| *height);
        found.map(Height::new).find(|height| self.id_at(*height) == Some(*id))
    }

    /// A block as it was before it was settled.
    pub fn node(&self, spec: &ChainSpec, height: Height) -> Option<Node> {
        let block = self.settled(height.get())?;
        let parent = height.get().checked_sub(1).and_then(|below| self.settled(below));
        let weight = ChainWeight::new(block.weight());
        let difficulty = match parent {
            None => spec.difficulty_initial(),
            Some(parent) => Difficulty::new(weight.get().saturating_sub(parent.weight())),
        };
        let begun = self.seeds.partition_point(|(from, _)| *from <= height.get());
        let slot = Slot::new(block.slot);
        Some(Node {
            parent: parent.unwrap_or(block).id,
            height,
            slot,
            time: spec.slot_time(slot).unwrap_or(spec.rules().genesis_time),
            seed: self.seeds.get(begun.checked_sub(1)?)?.1,
            difficulty,
            ticket: block.ticket,
            farmer: usize::try_from(block.farmer).ok().and_then(|number| self.farmers.get(number)).copied(),
            weight,
        })
    }

    /// Settles the next block.
    pub fn push(&mut self, id: BlockId, node: &Node) {
        let height = self.len;
        if self.seeds.last().is_none_or(|(_, seed)| *seed != node.seed) {
            self.seeds.push((height, node.seed));
        }
        let farmer = node.farmer.map_or(NOBODY, |farmer| self.number(farmer));
        let weight = node.weight.get();
        let halves =
            [weight, weight >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        let block = Settled { id, ticket: node.ticket, slot: node.slot.get(), weight: halves, farmer };
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(block),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(block);
                self.chunks.push(chunk);
            }
        }
        self.heights.insert((prefix(&id), height));
        self.len = height.saturating_add(1);
    }

    fn number(&mut self, farmer: FarmerPublicKey) -> u32 {
        let next = u32::try_from(self.farmers.len()).unwrap_or(NOBODY);
        let number = *self.numbers.entry(farmer).or_insert(next);
        if number == next {
            self.farmers.push(farmer);
        }
        number
    }

    /// Takes the last block out.
    pub fn pop(&mut self, spec: &ChainSpec) -> Option<(BlockId, Node)> {
        let height = self.len.checked_sub(1)?;
        let node = self.node(spec, Height::new(height))?;
        let chunk = self.chunks.last_mut()?;
        let block = chunk.pop()?;
        if chunk.is_empty() {
            self.chunks.pop();
        }
        self.heights.remove(&(prefix(&block.id), height));
        if self.seeds.last().is_some_and(|(from, _)| *from == height) {
            self.seeds.pop();
        }
        self.len = height;
        Some((block.id, node))
    }

    /// All blocks, lowest first.
    pub fn nodes<'a>(&'a self, spec: &'a ChainSpec) -> impl Iterator<Item = Node> + 'a {
        (0..self.len).filter_map(|height| self.node(spec, Height::new(height)))
    }
}
