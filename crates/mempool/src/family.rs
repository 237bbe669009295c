//! Who descends from whom. Links are read from the coin keys each time, never stored: there is no
//! second copy of the truth to keep in step.

use std::collections::BTreeSet;

use crate::{
    entry::{Entry, EntryId},
    pool::Pool,
};

impl Pool {
    /// Residents that create a coin `entry` spends, and all that stand behind them, without `entry`.
    /// The walk stops soon after it has found more than `max`.
    pub(crate) fn ancestors(&self, entry: &Entry, max: usize) -> BTreeSet<EntryId> {
        walk(entry, max, |next, found| {
            found.extend(next.spends.iter().filter_map(|key| self.created(key)));
        })
    }

    /// Residents that spend a coin `entry` creates, and all that follow from them, without `entry`.
    /// The walk stops soon after it has found more than `max`.
    pub(crate) fn descendants(&self, entry: &Entry, max: usize) -> BTreeSet<EntryId> {
        walk(entry, max, |next, found| {
            found.extend(next.creates.iter().filter_map(|key| self.spent(key)));
        })
    }

    /// The ids and all their descendants.
    pub(crate) fn with_descendants(&self, ids: impl IntoIterator<Item = EntryId>) -> BTreeSet<EntryId> {
        let mut all = BTreeSet::new();
        for id in ids {
            if let Some(entry) = self.get(&id)
                && all.insert(id)
            {
                all.extend(self.descendants(entry, usize::MAX));
            }
        }
        all
    }
}

fn walk<'a>(
    start: &'a Entry,
    max: usize,
    mut neighbours: impl FnMut(&'a Entry, &mut Vec<&'a Entry>),
) -> BTreeSet<EntryId> {
    let mut found = BTreeSet::new();
    let mut stack = Vec::new();
    neighbours(start, &mut stack);
    while let Some(next) = stack.pop() {
        if next.id != start.id && found.insert(next.id) {
            if found.len() > max {
                break;
            }
            neighbours(next, &mut stack);
        }
    }
    found
}
