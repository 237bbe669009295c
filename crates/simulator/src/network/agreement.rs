//! How far honest nodes disagree, move by move: two of them have buried different blocks so deep as the shorter of their
//! branches is long. A node that is merely behind disagrees with nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mass_primitives::{BlockId, FarmerPublicKey, Height, Slot};

use super::machine::Machine;

/// A block in some honest node's chain.
struct Place {
    parent: BlockId,
    height: Height,
    seal: Option<(FarmerPublicKey, Slot)>,
    /// When it was there first, in milliseconds.
    since: u64,
}

/// The tips of the honest nodes that run, and where the blocks below them branch.
#[derive(Default)]
pub struct Agreement {
    tips: BTreeMap<usize, BlockId>,
    /// Nodes on each tip.
    counts: BTreeMap<BlockId, usize>,
    /// Each block that was ever in the chain of one of them.
    places: HashMap<BlockId, Place>,
    deepest: usize,
}

impl Agreement {
    /// Blocks of the shorter branch where two honest nodes disagreed most.
    pub const fn deepest(&self) -> usize {
        self.deepest
    }

    /// A node went down.
    pub fn gone(&mut self, number: usize) {
        if let Some(tip) = self.tips.remove(&number) {
            self.leave(&tip);
        }
    }

    /// A node's tip moved.
    pub fn moved(&mut self, number: usize, machine: &dyn Machine, at: u64) {
        let tip = machine.tip();
        self.gone(number);
        self.tips.insert(number, tip);
        let count = self.counts.entry(tip).or_default();
        *count += 1;
        if *count == 1 {
            self.place(machine, &tip, at);
            let others = self.counts.keys().filter(|other| **other != tip);
            let deepest = others.map(|other| self.between(&tip, other)).max().unwrap_or(0);
            self.deepest = self.deepest.max(deepest);
        }
    }

    fn leave(&mut self, tip: &BlockId) {
        if let Some(count) = self.counts.get_mut(tip) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(tip);
            }
        }
    }

    fn place(&mut self, machine: &dyn Machine, tip: &BlockId, since: u64) {
        for (id, node) in machine.chain().engine().tree().ancestry(tip) {
            if self.places.contains_key(&id) {
                break;
            }
            let seal = node.farmer.map(|farmer| (farmer, node.slot));
            self.places.insert(id, Place { parent: node.parent, height: node.height, seal, since });
        }
    }

    /// Who sealed two blocks in one slot that both were in the chain of an honest node before this time.
    pub fn double_sealers(&self, before: u64) -> BTreeSet<FarmerPublicKey> {
        let mut seals = BTreeSet::new();
        let placed = self.places.values().filter(|place| place.since < before);
        placed
            .filter_map(|place| place.seal)
            .filter(|seal| !seals.insert(*seal))
            .map(|(key, _)| key)
            .collect()
    }

    /// The length of the shorter branch above the last block that two tips share.
    fn between(&self, one: &BlockId, other: &BlockId) -> usize {
        let (mut ends, mut lengths) = ([*one, *other], [0, 0]);
        while ends[0] != ends[1] {
            let [Some(first), Some(second)] = [self.places.get(&ends[0]), self.places.get(&ends[1])] else {
                break;
            };
            let higher = usize::from(first.height < second.height);
            ends[higher] = [first, second][higher].parent;
            lengths[higher] += 1;
        }
        lengths[0].min(lengths[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tips_disagree_by_the_shorter_of_their_branches() {
        let id = |number: u8| BlockId::new([number; 32]);
        let mut agreement = Agreement::default();
        // 0 - 1 - 2 - 3 - 4, and 1 - 12 - 13
        for (child, parent, height) in
            [(0, 0, 0), (1, 0, 1), (2, 1, 2), (3, 2, 3), (4, 3, 4), (12, 1, 2), (13, 12, 3)]
        {
            let (parent, height) = (id(parent), Height::new(height));
            agreement.places.insert(id(child), Place { parent, height, seal: None, since: 0 });
        }
        assert_eq!(agreement.between(&id(4), &id(13)), 2);
        assert_eq!(agreement.between(&id(12), &id(4)), 1);
        assert_eq!(agreement.between(&id(1), &id(4)), 0, "a node that is behind");
    }
}
