//! What to put in the next block.
//!
//! Each entry competes with the rate of the package it needs: itself and its ancestors that are not
//! chosen yet. The best package that fits is taken whole, parents first, and its descendants, which
//! now need less, compete anew. A package that does not fit is passed over for good: whatever is chosen later takes at
//! least as much room as it takes off the package.
//!
//! The pool keeps its entries in this order at all times, so that only those are looked at that go into the block, or
//! stand before the last one that does.

use core::cmp::Reverse;
use std::{
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
};

use crate::{
    entry::{Entry, EntryId, Family},
    pool::{Best, Pool, Seat},
};

/// An entry together with whose ancestors something is to be chosen.
struct Contest<'a, I: Iterator<Item = Best>> {
    pool: &'a Pool,
    /// Those whose packages are as the pool has them.
    whole: Peekable<I>,
    /// Those some of whose ancestors are chosen, with what they still need.
    needs: BTreeMap<Seat, Family>,
    /// The same in their order.
    part: BTreeSet<Best>,
    /// Chosen, passed over, or not wanted.
    settled: BTreeSet<Seat>,
    chosen: BTreeSet<Seat>,
}

impl Pool {
    /// Entries for a block with room for `weight_max`, by falling ancestor fee rate, each after all
    /// its ancestors in the pool. Of equal rates, who came first goes first.
    #[must_use]
    pub fn template(&self, weight_max: u64) -> Vec<&Entry> {
        self.template_without(weight_max, &[])
    }

    /// The same, without these and their descendants.
    #[must_use]
    pub fn template_without(&self, weight_max: u64, refused: &[EntryId]) -> Vec<&Entry> {
        let refused = refused.iter().filter_map(|id| self.seat(id)).collect();
        let mut contest = Contest {
            pool: self,
            whole: self.best_first().peekable(),
            needs: BTreeMap::new(),
            part: BTreeSet::new(),
            settled: self.with_descendants(&refused, usize::MAX),
            chosen: BTreeSet::new(),
        };
        let mut room = u128::from(weight_max);
        let mut block = Vec::new();
        while room > 0
            && let Some((seat, family)) = contest.next()
        {
            if let Some(left) = room.checked_sub(family.weight) {
                room = left;
                contest.choose(seat, &mut block);
            } else {
                contest.settled.insert(seat);
            }
        }
        block.into_iter().filter_map(|seat| self.at(seat)).map(|resident| &resident.entry).collect()
    }
}

impl<I: Iterator<Item = Best>> Contest<'_, I> {
    /// The best entry that is left, with what it needs.
    fn next(&mut self) -> Option<(Seat, Family)> {
        loop {
            let whole = self.whole.peek().copied();
            let part = self.part.first().copied();
            let is_whole = match (whole, part) {
                (None, None) => return None,
                (Some(whole), Some(part)) => whole < part,
                (whole, _) => whole.is_some(),
            };
            let (_, _, seat) = if is_whole { self.whole.next()? } else { self.part.pop_first()? };
            if self.settled.contains(&seat) || (is_whole && self.needs.contains_key(&seat)) {
                continue;
            }
            let family = match self.needs.get(&seat) {
                Some(family) => *family,
                None => self.pool.at(seat)?.ancestors,
            };
            return Some((seat, family));
        }
    }

    /// Chooses the entry and the ancestors it needs.
    fn choose(&mut self, seat: Seat, block: &mut Vec<Seat>) {
        let family = self.pool.with_ancestors(&BTreeSet::from([seat]), usize::MAX);
        let mut package: Vec<Seat> = family.difference(&self.chosen).copied().collect();
        let pool = self.pool;
        // An ancestor has fewer ancestors than its descendant.
        package
            .sort_by_key(|seat| pool.at(*seat).map(|resident| (resident.ancestors.count, resident.number)));
        for seat in &package {
            self.chosen.insert(*seat);
            self.settled.insert(*seat);
            if let Some(family) = self.needs.remove(seat) {
                self.leave(*seat, family);
            }
        }
        for seat in &package {
            self.relieve(*seat);
        }
        block.extend(package);
    }

    /// The descendants of a chosen entry need it no more.
    fn relieve(&mut self, chosen: Seat) {
        let Some(resident) = self.pool.at(chosen).filter(|resident| !resident.children.is_empty()) else {
            return;
        };
        let below = self.pool.with_descendants(&BTreeSet::from([chosen]), usize::MAX);
        for seat in below.difference(&self.chosen).copied().collect::<Vec<_>>() {
            let Some(descendant) = self.pool.at(seat) else { continue };
            let before = self.needs.get(&seat).copied();
            if let Some(family) = before {
                self.leave(seat, family);
            }
            let family = before.unwrap_or(descendant.ancestors).without(resident.entry.weight, resident.fee);
            self.needs.insert(seat, family);
            self.part.insert(rank(self.pool, seat, family));
        }
    }

    fn leave(&mut self, seat: Seat, family: Family) {
        self.part.remove(&rank(self.pool, seat, family));
    }
}

/// Where an entry stands that needs `family`.
fn rank(pool: &Pool, seat: Seat, family: Family) -> Best {
    let Some(resident) = pool.at(seat) else { return (Reverse(family.rate()), u64::MAX, seat) };
    (Reverse(resident.rate().min(family.rate())), resident.number, seat)
}
