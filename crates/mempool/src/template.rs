//! What to put in the next block.
//!
//! Each entry competes with the rate of the package it needs: itself and its ancestors that are not
//! chosen yet. The best package that fits is taken whole, parents first, and its descendants, which
//! now need less, compete anew. A package that does not fit is dropped for good: whatever is chosen
//! later takes at least as much room as it takes off the package.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    entry::{Entry, EntryId, Rate},
    pool::Pool,
};

#[derive(Default)]
struct Contest {
    order: BTreeSet<(Reverse<Rate>, EntryId)>,
    rates: BTreeMap<EntryId, Rate>,
    chosen: BTreeSet<EntryId>,
}

impl Pool {
    /// Entries for a block with room for `weight_max`, by falling ancestor fee rate, each after all
    /// its ancestors in the pool. Equal rates go by id.
    #[must_use]
    pub fn template(&self, weight_max: u64) -> Vec<&Entry> {
        let mut contest = Contest::default();
        for entry in self.entries() {
            contest.enter(entry.id, self.package_rate(entry, &contest.chosen));
        }
        let mut room = weight_max;
        let mut block = Vec::new();
        while let Some((id, rate)) = contest.best() {
            if let Some(left) = room.checked_sub(rate.weight()) {
                room = left;
                self.take(id, &mut contest, &mut block);
            }
        }
        block
    }

    fn package_rate(&self, entry: &Entry, chosen: &BTreeSet<EntryId>) -> Rate {
        let ancestors = self.ancestors(entry, usize::MAX);
        let needed = ancestors.difference(chosen).filter_map(|id| self.get(id));
        Rate::of_package(needed.chain([entry]))
    }

    /// Chooses the entry and the ancestors it needs.
    fn take<'a>(&'a self, id: EntryId, contest: &mut Contest, block: &mut Vec<&'a Entry>) {
        let Some(entry) = self.get(&id) else { return };
        let ancestors = self.ancestors(entry, usize::MAX);
        let needed = ancestors.difference(&contest.chosen).filter_map(|id| self.get(id));
        let mut package: Vec<&Entry> = needed.chain([entry]).collect();
        // An ancestor has fewer ancestors than its descendant.
        package.sort_by_cached_key(|entry| (self.ancestors(entry, usize::MAX).len(), entry.id));
        for entry in &package {
            contest.leave(entry.id);
            contest.chosen.insert(entry.id);
        }
        let touched = self.with_descendants(package.iter().map(|entry| entry.id));
        for entry in touched.iter().filter_map(|id| self.get(id)) {
            if contest.leave(entry.id) {
                contest.enter(entry.id, self.package_rate(entry, &contest.chosen));
            }
        }
        block.extend(package);
    }
}

impl Contest {
    fn enter(&mut self, id: EntryId, rate: Rate) {
        self.rates.insert(id, rate);
        self.order.insert((Reverse(rate), id));
    }

    /// Whether it was there.
    fn leave(&mut self, id: EntryId) -> bool {
        self.rates.remove(&id).is_some_and(|rate| self.order.remove(&(Reverse(rate), id)))
    }

    fn best(&mut self) -> Option<(EntryId, Rate)> {
        let (Reverse(rate), id) = self.order.pop_first()?;
        self.rates.remove(&id);
        Some((id, rate))
    }
}
