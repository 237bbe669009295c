//! The seeds of another chain, for a chain that inherits its beacon (rule SEED-2).
//!
//! Chains that share a beacon pose the same challenges, so one read of a disk serves them all. Where the headers
//! of the other chain come from is the node's business.

use alloc::vec::Vec;

use mass_primitives::{BlockId, Round, Seed};

use crate::{spec::ChainSpec, tree::HeaderTree};

/// Which seed each round has, by the best chain of the parent as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// One for each period of the parent, ascending.
    seeds: Vec<Entry>,
}

/// A seed and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// The parent's first block of the period.
    first: BlockId,
    /// The first round that uses the seed.
    from: Round,
    seed: Seed,
}

impl Beacon {
    /// The beacon of a parent of which only the genesis block is known.
    #[must_use]
    pub fn new(parent: &HeaderTree) -> Self {
        let seed = parent.spec().rules().seed_initial;
        Self { seeds: Vec::from([Entry { first: *parent.genesis(), from: Round::ZERO, seed }]) }
    }

    /// SEED-2: the seed of a round is that of the parent's last block before the round.
    #[must_use]
    pub fn seed(&self, round: Round) -> Option<&Seed> {
        let begun = self.seeds.partition_point(|entry| entry.from <= round);
        self.seeds.get(begun.checked_sub(1)?).map(|entry| &entry.seed)
    }

    /// Follows the parent to its `tip`: as many steps as there are blocks since the last period known.
    pub fn follow(&mut self, parent: &HeaderTree, tip: &BlockId) {
        let mut fresh = Vec::new();
        for (id, node) in parent.ancestry(tip) {
            if !parent.begins_period(&node) {
                continue;
            }
            if let Some(known) = self.seeds.iter().rposition(|entry| entry.first == id) {
                self.seeds.truncate(known.saturating_add(1));
                break;
            }
            let from = Round::new(parent.spec().round(node.slot).get().saturating_add(1));
            fresh.push(Entry { first: id, from, seed: node.seed });
        }
        self.seeds.extend(fresh.into_iter().rev());
    }
}

/// What a chain and the one whose beacon it inherits must have in common, by name; the first that differs.
pub(crate) fn first_difference(child: &ChainSpec, parent: &ChainSpec) -> Option<&'static str> {
    let (a, b) = (child.rules(), parent.rules());
    let round_seconds =
        |spec: &ChainSpec| u64::from(spec.rules().slot_seconds).saturating_mul(spec.rules().round_slots);
    let same = [
        ("beacon", child.beacon_id() == parent.id() && parent.beacon_id() == parent.id()),
        ("genesis_time", a.genesis_time == b.genesis_time),
        ("slot_seconds * round_slots", round_seconds(child) == round_seconds(parent)),
        ("filter", a.filter == b.filter),
        ("plot_size", a.plot_size == b.plot_size),
        ("strength_min", a.strength_min == b.strength_min),
        ("strength_max", a.strength_max == b.strength_max),
        ("group_plots_max", a.group_plots_max == b.group_plots_max),
    ];
    same.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
}
