//! Blocks with contents that are not executed yet, and how much room they take.

use alloc::collections::{BTreeMap, btree_map::Keys};

use mass_primitives::BlockId;

use crate::block::{Block, Proven};

/// Blocks by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    blocks: BTreeMap<BlockId, Block<Proven>>,
    bytes: usize,
}

impl Waiting {
    /// Bytes of the bodies.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn get(&self, id: &BlockId) -> Option<&Block<Proven>> {
        self.blocks.get(id)
    }

    pub fn contains(&self, id: &BlockId) -> bool {
        self.blocks.contains_key(id)
    }

    pub fn ids(&self) -> Keys<'_, BlockId, Block<Proven>> {
        self.blocks.keys()
    }

    pub fn insert(&mut self, id: BlockId, block: Block<Proven>) {
        self.remove(&id);
        self.bytes = self.bytes.saturating_add(block.body().len());
        self.blocks.insert(id, block);
    }

    pub fn remove(&mut self, id: &BlockId) {
        if let Some(block) = self.blocks.remove(id) {
            self.bytes = self.bytes.saturating_sub(block.body().len());
        }
    }
}
