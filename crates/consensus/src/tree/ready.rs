//! Which blocks are here: those that were executed once, and those that can be entered because all contents up to
//! them are here.

use mass_primitives::{BlockId, Height};

use super::{HeaderTree, Rank};

impl HeaderTree {
    /// Whether the block was executed once, so that storage has its content.
    #[must_use]
    pub fn is_executed(&self, id: &BlockId) -> bool {
        match self.nodes.get(id) {
            Some(entry) => entry.executed,
            None => self.trunk.height(id).is_some_and(|height| height.get() < self.executed),
        }
    }

    /// The block was executed.
    pub(crate) fn mark_executed(&mut self, id: &BlockId) {
        let Some(rank) = self.rank(id) else { return };
        if let Some(entry) = self.nodes.get_mut(id) {
            entry.executed = true;
            self.ready.insert(rank);
        } else if self.trunk.height(id) == Some(Height::new(self.executed)) {
            self.executed = self.executed.saturating_add(1);
            self.ready.remove(&rank);
        }
    }

    /// Whether all contents up to a block are here.
    pub(crate) fn is_ready(&self, id: &BlockId) -> bool {
        let is_settled = |id| self.trunk.height(id).is_some_and(|height| height.get() < self.executed);
        self.rank(id).is_some_and(|rank| self.ready.contains(&rank)) || is_settled(id)
    }

    /// All contents up to a block are here.
    pub(crate) fn mark_ready(&mut self, id: &BlockId) {
        self.ready.extend(self.rank(id));
    }

    /// These can no longer be entered.
    pub(crate) fn unmark_ready(&mut self, ids: &[BlockId]) {
        for id in ids {
            if let Some(rank) = self.rank(id) {
                self.ready.remove(&rank);
            }
        }
    }

    /// The best block that can be entered and is not below all that the trunk has executed.
    pub(crate) fn best_ready(&self) -> Option<&Rank> {
        self.ready.last()
    }
}
