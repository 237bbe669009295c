//! Who descends from whom: walks along the links that residents keep, and the sums over families.

use std::collections::BTreeSet;

use crate::{
    entry::{Entry, Family},
    pool::{Pool, Resident, Seat},
};

/// Neighbours of a resident in one direction.
type Links = fn(&Resident) -> &[Seat];

impl Pool {
    /// Residents that create a coin `entry` spends.
    pub(crate) fn parents_of(&self, entry: &Entry) -> BTreeSet<Seat> {
        entry.spends.iter().filter_map(|key| self.creator_seat(key)).collect()
    }

    /// Residents that spend a coin `entry` creates.
    pub(crate) fn children_of(&self, entry: &Entry) -> BTreeSet<Seat> {
        entry.creates.iter().filter_map(|key| self.spender_seat(key)).collect()
    }

    /// These and all that stand behind them. The walk stops soon after it has found more than `max`.
    pub(crate) fn with_ancestors(&self, seats: &BTreeSet<Seat>, max: usize) -> BTreeSet<Seat> {
        self.walk(seats, max, |resident| &resident.parents)
    }

    /// These and all that follow from them. The walk stops soon after it has found more than `max`.
    pub(crate) fn with_descendants(&self, seats: &BTreeSet<Seat>, max: usize) -> BTreeSet<Seat> {
        self.walk(seats, max, |resident| &resident.children)
    }

    fn walk(&self, from: &BTreeSet<Seat>, max: usize, links: Links) -> BTreeSet<Seat> {
        let mut found = from.clone();
        let mut stack: Vec<Seat> = from.iter().copied().collect();
        while let Some(seat) = stack.pop() {
            if found.len() > max {
                break;
            }
            let next = self.at(seat).map(links).unwrap_or_default();
            stack.extend(next.iter().filter(|seat| found.insert(**seat)));
        }
        found
    }

    /// The sums over these.
    pub(crate) fn sums<'a>(&self, seats: impl IntoIterator<Item = &'a Seat>) -> Family {
        let residents = seats.into_iter().filter_map(|seat| self.at(*seat));
        residents.fold(Family::default(), |sums, resident| sums.with(resident.entry.weight, resident.fee))
    }

    /// Counts the families of these anew, after links or fees have changed.
    pub(crate) fn recount(&mut self, seats: &BTreeSet<Seat>) {
        for seat in seats {
            let alone = BTreeSet::from([*seat]);
            let ancestors = self.sums(&self.with_ancestors(&alone, usize::MAX));
            let descendants = self.sums(&self.with_descendants(&alone, usize::MAX));
            self.change(*seat, |resident| {
                resident.ancestors = ancestors;
                resident.descendants = descendants;
            });
        }
    }
}
