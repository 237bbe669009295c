//! Who may come in, and who must leave for it. The whole decision is made before anything changes.
//!
//! Replacement follows BIP-125 rules 3, 4 and 5, and asks for a higher rate than anything replaced.
//! Signalling (rule 1) is not asked for, and new unconfirmed inputs (rule 2) are allowed: the pool
//! sees neither sequence numbers nor confirmations.

use std::collections::BTreeSet;

use mass_primitives::Amount;

use crate::{
    entry::{CoinKey, Entry, EntryId, Rate},
    pool::Pool,
};

/// Most entries one replacement may push out (BIP-125 rule 5).
pub const REPLACED_MAX: usize = 100;

/// Why an entry was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// An entry with this id is here.
    #[error("already in the pool")]
    Duplicate,
    /// It spends or creates one coin twice, or would descend from itself.
    #[error("names a coin twice or descends from itself")]
    Malformed,
    /// It conflicts with what it descends from, so it cannot replace it.
    #[error("conflicts with its own ancestor {}", Hex(with))]
    Conflict {
        /// The ancestor.
        with: EntryId,
    },
    /// It would replace too many entries, descendants counted.
    #[error("replaces at least {got} entries, at most {max} are allowed")]
    TooManyReplaced {
        /// Entries counted before the count was given up.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// It pays less than the pool asks for its weight.
    #[error("fee {got} maxwell, expected at least {expected}")]
    FeeTooLow {
        /// What it pays.
        got: Amount,
        /// The least it has to pay.
        expected: Amount,
    },
    /// It conflicts with entries and does not pay enough to replace them.
    #[error("replacement fee {got} maxwell, expected at least {expected}")]
    ReplacementFeeTooLow {
        /// What it pays.
        got: Amount,
        /// The least it has to pay.
        expected: Amount,
    },
    /// It, or an entry that would descend from it, has too many unconfirmed ancestors.
    #[error("at least {got} unconfirmed ancestors, at most {max} are allowed")]
    TooManyAncestors {
        /// Ancestors counted before the count was given up.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// The pool is full and nothing in it pays a lower rate.
    #[error("the pool is full of entries that pay no less")]
    Full,
}

struct Hex<'a>(&'a EntryId);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Pool {
    /// Takes the entry in at time `now` (seconds) and returns the ids that left for it: those it
    /// replaces and those evicted to make room, with their descendants.
    ///
    /// # Errors
    /// [`AdmitError`] says why not; the pool is then unchanged.
    pub fn admit(&mut self, entry: Entry, now: u64) -> Result<Vec<EntryId>, AdmitError> {
        self.check_alone(&entry)?;
        let ancestors = self.check_ancestors(&entry)?;
        let mut leaving = self.check_replacement(&entry, &ancestors)?;
        self.check_descendants(&entry, &ancestors, &leaving)?;
        self.make_room(&entry, &ancestors, &mut leaving)?;
        self.remove(&leaving);
        self.insert(entry, now);
        Ok(leaving.into_iter().collect())
    }

    /// What can be said without looking at other entries.
    fn check_alone(&self, entry: &Entry) -> Result<(), AdmitError> {
        if self.contains(&entry.id) {
            return Err(AdmitError::Duplicate);
        }
        let mut keys: BTreeSet<&CoinKey> = BTreeSet::new();
        if !entry.spends.iter().chain(&entry.creates).all(|key| keys.insert(key)) {
            return Err(AdmitError::Malformed);
        }
        let expected = self.limits().min_fee_rate.fee(entry.weight);
        if entry.fee < expected {
            return Err(AdmitError::FeeTooLow { got: entry.fee, expected });
        }
        Ok(())
    }

    fn check_ancestors(&self, entry: &Entry) -> Result<BTreeSet<EntryId>, AdmitError> {
        let max = self.limits().ancestors_max;
        let ancestors = self.ancestors(entry, max);
        if ancestors.len() > max {
            return Err(AdmitError::TooManyAncestors { got: ancestors.len(), max });
        }
        Ok(ancestors)
    }

    /// What the entry replaces, with descendants, if it pays for that.
    fn check_replacement(
        &self,
        entry: &Entry,
        ancestors: &BTreeSet<EntryId>,
    ) -> Result<BTreeSet<EntryId>, AdmitError> {
        let spenders = entry.spends.iter().filter_map(|key| self.spent(key));
        let creators = entry.creates.iter().filter_map(|key| self.created(key));
        let mut replaced = BTreeSet::new();
        for conflict in spenders.chain(creators) {
            replaced.insert(conflict.id);
            replaced.extend(self.descendants(conflict, REPLACED_MAX));
            if let Some(with) = ancestors.intersection(&replaced).next() {
                return Err(AdmitError::Conflict { with: *with });
            }
            if replaced.len() > REPLACED_MAX {
                return Err(AdmitError::TooManyReplaced { got: replaced.len(), max: REPLACED_MAX });
            }
        }
        if replaced.is_empty() {
            return Ok(replaced);
        }
        let expected = self.replacement_fee(entry.weight, &replaced);
        if entry.fee < expected {
            return Err(AdmitError::ReplacementFeeTooLow { got: entry.fee, expected });
        }
        Ok(replaced)
    }

    /// The least fee that replaces these: all their fees, the relay of the new one and at least one
    /// maxwell more, and a rate above each of theirs.
    fn replacement_fee(&self, weight: u64, replaced: &BTreeSet<EntryId>) -> Amount {
        let total = Rate::of_package(replaced.iter().filter_map(|id| self.get(id))).fee();
        let relay = self.limits().min_fee_rate.fee(weight).get().max(1);
        let above = replaced.iter().filter_map(|id| self.get(id));
        let above = above.map(|entry| Rate::of(entry).fee_above(weight)).max().unwrap_or(0);
        Amount::new(total.saturating_add(relay).max(above))
    }

    /// An entry may arrive after its children: they must not get too many ancestors, nor be ancestors.
    fn check_descendants(
        &self,
        entry: &Entry,
        ancestors: &BTreeSet<EntryId>,
        leaving: &BTreeSet<EntryId>,
    ) -> Result<(), AdmitError> {
        let max = self.limits().ancestors_max;
        let descendants = self.descendants(entry, usize::MAX);
        if !descendants.is_disjoint(ancestors) {
            return Err(AdmitError::Malformed);
        }
        for descendant in descendants.difference(leaving).filter_map(|id| self.get(id)) {
            let mut all = self.ancestors(descendant, max);
            all.extend(ancestors);
            all.insert(entry.id);
            if all.len() > max {
                return Err(AdmitError::TooManyAncestors { got: all.len(), max });
            }
        }
        Ok(())
    }

    /// Adds to `leaving` the cheapest entries, with descendants, until the new one fits. Its ancestors
    /// stay, and so does whatever pays no less than it.
    fn make_room(
        &self,
        entry: &Entry,
        ancestors: &BTreeSet<EntryId>,
        leaving: &mut BTreeSet<EntryId>,
    ) -> Result<(), AdmitError> {
        let rate = Rate::of(entry);
        let mut cheapest = self.cheapest_first();
        let freed =
            |ids: &BTreeSet<EntryId>| Rate::of_package(ids.iter().filter_map(|id| self.get(id))).weight();
        let mut weight = self.weight().saturating_sub(freed(leaving));
        loop {
            let count = self.len().saturating_sub(leaving.len());
            let fits = weight.checked_add(entry.weight).is_some_and(|sum| sum <= self.limits().weight_max);
            if fits && count < self.limits().entries_max {
                return Ok(());
            }
            let (score, id) = cheapest.next().ok_or(AdmitError::Full)?;
            if leaving.contains(&id) || ancestors.contains(&id) {
                continue;
            }
            if score >= rate {
                return Err(AdmitError::Full);
            }
            let family: BTreeSet<EntryId> =
                self.with_descendants([id]).difference(leaving).copied().collect();
            weight = weight.saturating_sub(freed(&family));
            leaving.extend(family);
        }
    }
}
