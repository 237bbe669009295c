//! Who may come in, and who must leave for it. The whole decision is made before anything changes.
//!
//! **Replacement.** Any entry may be replaced, whether it signals it or not (full RBF). The newcomer
//! - pays more than all that it replaces, descendants included (BIP-125 rule 3),
//! - and on top of that the incremental rate for its own weight (rule 4),
//! - replaces [`Limits::replaced_max`](crate::Limits) entries at the most (rule 5),
//! - and is worth more to a farmer than each entry that it conflicts with: its rate, and its rate together with
//!   the ancestors that it brings along, are above theirs. Rule 2 forbids new unconfirmed inputs instead, for want of
//!   this comparison.

use std::collections::{BTreeMap, BTreeSet};

use mass_primitives::Amount;

use crate::{
    entry::{Arrival, CoinKey, Entry, EntryId, Rate},
    pool::{Grace, Pool, Seat, modified},
    refusal::AdmitError,
};

/// Where an entry would stand, and what would leave for it.
pub(crate) struct Plan {
    pub(crate) ancestors: BTreeSet<Seat>,
    pub(crate) leaving: BTreeSet<Seat>,
    /// The highest rate that is evicted for want of room.
    pub(crate) evicted: Option<Rate>,
}

/// What an entry, or several that come together, need of the pool.
pub(crate) struct Need<'a> {
    pub(crate) memory_bytes: usize,
    pub(crate) rate: Rate,
    /// Those that have to stay.
    pub(crate) ancestors: &'a BTreeSet<Seat>,
}

impl Pool {
    /// Takes the entry in and returns the ids that left for it: those it replaces and those evicted to make room, with
    /// their descendants.
    ///
    /// # Errors
    /// [`AdmitError`] says why not; nothing then changes but the rolling minimum, if the pool is full.
    pub fn admit(&mut self, entry: Entry, arrival: Arrival) -> Result<Vec<EntryId>, AdmitError> {
        self.take_in(entry, arrival, Grace::None)
    }

    /// Takes an entry back that was in a block of a branch that was left, whatever it pays.
    ///
    /// # Errors
    /// As [`Pool::admit`].
    pub fn readmit(&mut self, entry: Entry, arrival: Arrival) -> Result<Vec<EntryId>, AdmitError> {
        self.take_in(entry, arrival, Grace::WasInBlock)
    }

    /// Takes an entry back that waited before the node ended, and may have been paid for by one that is still to come.
    /// See [`Pool::end_restoring`].
    ///
    /// # Errors
    /// As [`Pool::admit`].
    pub fn restore(&mut self, entry: Entry, arrival: Arrival) -> Result<Vec<EntryId>, AdmitError> {
        self.take_in(entry, arrival, Grace::Restored)
    }

    /// Whether [`Pool::admit`] would take the entry in, and what would leave for it.
    ///
    /// # Errors
    /// As [`Pool::admit`].
    pub fn consider(&self, entry: &Entry, now: u64) -> Result<Vec<EntryId>, AdmitError> {
        Ok(self.ids_at(&self.plan(entry, now, Grace::None)?.leaving))
    }

    fn take_in(&mut self, entry: Entry, arrival: Arrival, grace: Grace) -> Result<Vec<EntryId>, AdmitError> {
        let now = arrival.seconds;
        let plan = self.plan(&entry, now, grace);
        if plan.as_ref().is_err_and(|error| *error == AdmitError::Full) {
            self.raise(self.rate_of(&entry), now);
        }
        let plan = plan?;
        if let Some(rate) = plan.evicted {
            self.raise(rate, now);
        }
        let left = self.remove(&plan.leaving, &plan.ancestors);
        self.insert(entry, arrival, grace);
        Ok(left)
    }

    fn plan(&self, entry: &Entry, now: u64, grace: Grace) -> Result<Plan, AdmitError> {
        self.check_alone(entry)?;
        if grace == Grace::None {
            self.check_fee(self.rate_of(entry), now)?;
        }
        let ancestors = self.check_ancestors(entry)?;
        let mut leaving = self.check_replacement(entry, &ancestors)?;
        self.check_above(entry, &ancestors, &leaving)?;
        self.check_below(entry, &ancestors, &leaving)?;
        let (memory_bytes, rate) = (entry.memory_bytes(), self.rate_of(entry));
        let need = Need { memory_bytes, rate, ancestors: &ancestors };
        let evicted = self.make_room(&need, &mut leaving)?;
        Ok(Plan { ancestors, leaving, evicted })
    }

    pub(crate) fn rate_of(&self, entry: &Entry) -> Rate {
        Rate::new(modified(entry, self.delta(&entry.id)), entry.weight)
    }

    /// What can be said without looking at other entries.
    pub(crate) fn check_alone(&self, entry: &Entry) -> Result<(), AdmitError> {
        if self.contains(&entry.id) {
            return Err(AdmitError::Duplicate);
        }
        let mut keys: BTreeSet<&CoinKey> = BTreeSet::new();
        if !entry.spends.iter().chain(&entry.creates).all(|key| keys.insert(key)) {
            return Err(AdmitError::Malformed);
        }
        Ok(())
    }

    /// Whether a rate is above the pool's own minimum and the rolling one.
    pub(crate) fn check_fee(&self, rate: Rate, now: u64) -> Result<(), AdmitError> {
        let [got, own, rolling] = [
            Amount::new(rate.fee()),
            self.limits().min_fee_rate.fee(rate.weight()),
            self.min_fee_rate(now).fee(rate.weight()),
        ];
        if got < own {
            return Err(AdmitError::BelowMinimum { got, expected: own });
        }
        if got < rolling {
            return Err(AdmitError::BelowRollingMinimum { got, expected: rolling });
        }
        Ok(())
    }

    fn check_ancestors(&self, entry: &Entry) -> Result<BTreeSet<Seat>, AdmitError> {
        let max = self.limits().ancestors_max;
        let ancestors = self.with_ancestors(&self.parents_of(entry), max);
        self.check_chain(&ancestors, 1, entry.weight)?;
        Ok(ancestors)
    }

    /// Whether so many more may stand on these ancestors.
    pub(crate) fn check_chain(
        &self,
        ancestors: &BTreeSet<Seat>,
        count: usize,
        weight: u64,
    ) -> Result<(), AdmitError> {
        let limits = self.limits();
        let got = ancestors.len().saturating_add(count);
        if got > limits.ancestors_max {
            return Err(AdmitError::TooManyAncestors { got, max: limits.ancestors_max });
        }
        let (got, max) =
            (self.sums(ancestors).weight.saturating_add(weight.into()), limits.ancestors_weight_max);
        if got > max.into() {
            return Err(AdmitError::AncestorsTooHeavy { got, max });
        }
        Ok(())
    }

    /// What the entry replaces, with descendants, if it pays for that.
    fn check_replacement(
        &self,
        entry: &Entry,
        ancestors: &BTreeSet<Seat>,
    ) -> Result<BTreeSet<Seat>, AdmitError> {
        let direct = self.conflicts(entry);
        if direct.is_empty() {
            return Ok(direct);
        }
        let max = self.limits().replaced_max;
        let replaced = self.with_descendants(&direct, max);
        if let Some(with) = ancestors.intersection(&replaced).find_map(|seat| self.at(*seat)) {
            return Err(AdmitError::Conflict { with: with.entry.id });
        }
        if replaced.len() > max {
            return Err(AdmitError::TooManyReplaced { got: replaced.len(), max });
        }
        let expected = self.replacement_fee(entry.weight, self.sums(ancestors).rate(), &direct, &replaced);
        let got = Amount::new(self.rate_of(entry).fee());
        if got < expected {
            return Err(AdmitError::ReplacementFeeTooLow { got, expected });
        }
        Ok(replaced)
    }

    /// Residents that spend or create a coin of the entry.
    pub(crate) fn conflicts(&self, entry: &Entry) -> BTreeSet<Seat> {
        let spenders = entry.spends.iter().filter_map(|key| self.spender_seat(key));
        spenders.chain(entry.creates.iter().filter_map(|key| self.creator_seat(key))).collect()
    }

    /// The least fee with which so much weight replaces others: all their fees, its own relay and at least one maxwell
    /// more, and a rate above each of the direct conflicts', alone and with the ancestors that it has `brought`.
    pub(crate) fn replacement_fee(
        &self,
        weight: u64,
        brought: Rate,
        direct: &BTreeSet<Seat>,
        replaced: &BTreeSet<Seat>,
    ) -> Amount {
        let total = self.sums(replaced).rate().fee();
        let relay = self.limits().incremental_fee_rate.fee(weight).get().max(1);
        let with_ancestors = brought.weight().saturating_add(weight);
        let above = direct.iter().filter_map(|seat| self.at(*seat)).map(|conflict| {
            let rate = conflict.rate();
            let together = rate.fee_above(with_ancestors).saturating_sub(brought.fee());
            rate.fee_above(weight).max(together)
        });
        Amount::new(total.saturating_add(relay).max(above.max().unwrap_or(0)))
    }

    /// Whether the ancestors may have one more descendant, once those have left that leave for it.
    fn check_above(
        &self,
        entry: &Entry,
        ancestors: &BTreeSet<Seat>,
        leaving: &BTreeSet<Seat>,
    ) -> Result<(), AdmitError> {
        let mut relief: BTreeMap<Seat, BTreeSet<Seat>> = BTreeMap::new();
        for seat in leaving.iter().filter(|_| !ancestors.is_empty()) {
            for above in self.with_ancestors(&BTreeSet::from([*seat]), usize::MAX) {
                relief.entry(above).or_default().insert(*seat);
            }
        }
        for (seat, resident) in ancestors.iter().filter_map(|seat| self.at(*seat).map(|at| (seat, at))) {
            let gone = relief.get(seat).map(|gone| self.sums(gone)).unwrap_or_default();
            let count = resident.descendants.count.saturating_sub(gone.count).saturating_add(1);
            let weight = resident.descendants.weight.saturating_sub(gone.weight);
            self.check_descendants(count, weight.saturating_add(entry.weight.into()))?;
        }
        Ok(())
    }

    /// Whether a family may have so many descendants of such a weight.
    pub(crate) fn check_descendants(&self, count: usize, weight: u128) -> Result<(), AdmitError> {
        let (max, weight_max) = (self.limits().descendants_max, self.limits().descendants_weight_max);
        if count > max {
            return Err(AdmitError::TooManyDescendants { got: count, max });
        }
        if weight > weight_max.into() {
            return Err(AdmitError::DescendantsTooHeavy { got: weight, max: weight_max });
        }
        Ok(())
    }

    /// An entry may arrive after its children, when a block was disconnected: their families must not outgrow the
    /// limits through it, nor be their own ancestors.
    fn check_below(
        &self,
        entry: &Entry,
        ancestors: &BTreeSet<Seat>,
        leaving: &BTreeSet<Seat>,
    ) -> Result<(), AdmitError> {
        let children: BTreeSet<Seat> = self.children_of(entry).difference(leaving).copied().collect();
        if children.is_empty() {
            return Ok(());
        }
        let descendants = self.with_descendants(&children, usize::MAX);
        if !descendants.is_disjoint(ancestors) {
            return Err(AdmitError::Malformed);
        }
        let stay = |seats: BTreeSet<Seat>| -> BTreeSet<Seat> { seats.difference(leaving).copied().collect() };
        let below = stay(descendants);
        let sums = self.sums(&below);
        self.check_descendants(
            sums.count.saturating_add(1),
            sums.weight.saturating_add(entry.weight.into()),
        )?;
        for seat in &below {
            let mut above = self.with_ancestors(&BTreeSet::from([*seat]), usize::MAX);
            above.extend(ancestors);
            self.check_chain(&above, 1, entry.weight)?;
        }
        for seat in ancestors {
            let mut under = stay(self.with_descendants(&BTreeSet::from([*seat]), usize::MAX));
            under.extend(&below);
            let sums = self.sums(&under);
            let weight = sums.weight.saturating_add(entry.weight.into());
            self.check_descendants(sums.count.saturating_add(1), weight)?;
        }
        Ok(())
    }

    /// Adds to `leaving` the cheapest entries, with descendants, until what is needed fits; the highest rate that was
    /// added. Ancestors stay, and so does whatever pays no less.
    pub(crate) fn make_room(
        &self,
        need: &Need<'_>,
        leaving: &mut BTreeSet<Seat>,
    ) -> Result<Option<Rate>, AdmitError> {
        let freed = |seats: &BTreeSet<Seat>| {
            let entries = seats.iter().filter_map(|seat| self.at(*seat));
            entries.map(|resident| resident.entry.memory_bytes()).fold(0, usize::saturating_add)
        };
        let max = self.limits().memory_bytes_max;
        let mut used = self.memory_bytes().saturating_sub(freed(leaving));
        let (mut worst, mut evicted) = (self.worst_first(), None);
        while used.saturating_add(need.memory_bytes) > max {
            let (rate, _, seat) = worst.next().ok_or(AdmitError::Full)?;
            if leaving.contains(&seat) || need.ancestors.contains(&seat) {
                continue;
            }
            if rate >= need.rate {
                return Err(AdmitError::Full);
            }
            let family = self.with_descendants(&BTreeSet::from([seat]), usize::MAX);
            let family = family.difference(leaving).copied().collect();
            used = used.saturating_sub(freed(&family));
            leaving.extend(family);
            evicted = evicted.max(Some(rate));
        }
        Ok(evicted)
    }
}
