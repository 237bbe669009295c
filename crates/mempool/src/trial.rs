//! Trials: what the pool would say to an entry once others, which are not here, had come in before it.
//!
//! The families that these touch, a few hundred entries at the most, are copied into a pool of their own, and all is done
//! there: the verdict is that of admission itself, and the pool stays as it is.

use std::collections::BTreeSet;

use crate::{
    admission::Need,
    entry::{Arrival, Entry, EntryId},
    pool::{Pool, Resident, Seat},
    refusal::AdmitError,
};

impl Pool {
    /// Whether [`Pool::admit`] would take the entry in after those `before` it, each of which it would take, and what
    /// would leave for it.
    ///
    /// # Errors
    /// As [`Pool::admit`].
    pub fn consider_after(
        &self,
        before: &[Entry],
        entry: &Entry,
        now: u64,
    ) -> Result<Vec<EntryId>, AdmitError> {
        if before.is_empty() {
            return self.consider(entry, now);
        }
        // What the copy does not have: the rolling minimum, and the memory that others take.
        let rate = self.rate_of(entry);
        self.check_fee(rate, now)?;
        let ancestors = self.with_ancestors(&self.parents_of(entry), self.limits().ancestors_max);
        let need = Need { memory_bytes: entry.memory_bytes(), rate, ancestors: &ancestors };
        self.make_room(&need, &mut self.conflicts(entry))?;
        let mut part = self.families(before.iter().chain([entry]));
        let arrival = Arrival { seconds: now, ..Arrival::default() };
        for earlier in before {
            part.admit(earlier.clone(), arrival)?;
        }
        part.admit(entry.clone(), arrival)
    }

    /// A pool of the entries that these would stand on or replace, and of all that descend from those.
    fn families<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> Self {
        let touched: BTreeSet<Seat> =
            entries.flat_map(|entry| [self.parents_of(entry), self.conflicts(entry)]).flatten().collect();
        let above = self.with_ancestors(&touched, usize::MAX);
        let family = self.with_descendants(&above, usize::MAX);
        let mut residents: Vec<&Resident> = family.iter().filter_map(|seat| self.at(*seat)).collect();
        // An ancestor has fewer ancestors than its descendant.
        residents.sort_by_key(|resident| (resident.ancestors.count, resident.number));
        let mut part = Self::new(*self.limits());
        part.deltas.clone_from(&self.deltas);
        for resident in residents {
            part.insert(resident.entry.clone(), resident.arrival, resident.grace);
        }
        part
    }
}
