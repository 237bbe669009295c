//! Packages: a child comes together with the parents that it pays for, as in `submitpackage`.
//!
//! Who can come in alone does. The rest, up to the child, is judged by its common rate. Those who pay too little by
//! themselves stay for as long as a descendant pays for them, see [`Pool::remove`].
//!
//! A package of one child and one parent that stands on nothing else may replace others, if it pays for that as a single
//! entry would, and the child more than its parent: else the parent alone would do.

use std::collections::BTreeSet;

use mass_primitives::Amount;

use crate::{
    admission::{Need, Plan},
    entry::{Arrival, CoinKey, Entry, EntryId, Family},
    pool::{Grace, Pool, Seat, modified},
    refusal::AdmitError,
};

/// Transactions of a package at the most.
pub const PACKAGE_MAX: usize = 25;

/// What a ledger may spend beside its state: what waits in the pool, and what came before in the same package.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    pool: &'a Pool,
    package: &'a [Entry],
}

impl<'a> Waiting<'a> {
    /// The pool, and the entries that came before in a package.
    #[must_use]
    pub const fn new(pool: &'a Pool, package: &'a [Entry]) -> Self {
        Self { pool, package }
    }

    /// The entry that creates this coin.
    #[must_use]
    pub fn created(&self, coin_key: &[u8]) -> Option<&'a Entry> {
        let creates = |entry: &&Entry| entry.creates.iter().any(|key| key == coin_key);
        self.pool.created(coin_key).or_else(|| self.package.iter().find(creates))
    }
}

impl Pool {
    /// Takes in several entries that pay for each other, parents first, and returns the ids that left for them.
    /// All of them come in or none.
    ///
    /// # Errors
    /// [`AdmitError`] says why not.
    pub fn admit_package(
        &mut self,
        entries: Vec<Entry>,
        arrival: Arrival,
    ) -> Result<Vec<EntryId>, AdmitError> {
        let plan = self.plan_package(&entries, arrival.seconds)?;
        if let Some(rate) = plan.evicted {
            self.raise(rate, arrival.seconds);
        }
        let left = self.remove(&plan.leaving, &plan.ancestors);
        for entry in entries {
            self.insert(entry, arrival, Grace::None);
        }
        Ok(left)
    }

    fn plan_package(&self, entries: &[Entry], now: u64) -> Result<Plan, AdmitError> {
        check_shape(entries)?;
        let (mut ids, mut spent, mut created) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for entry in entries {
            self.check_alone(entry)?;
            let is_new = ids.insert(&entry.id)
                && entry.spends.iter().all(|key| spent.insert(key))
                && entry.creates.iter().all(|key| created.insert(key));
            if !is_new || !self.children_of(entry).is_empty() {
                return Err(AdmitError::Malformed);
            }
        }
        let sums = entries.iter().fold(Family::default(), |sums, entry| {
            sums.with(entry.weight, modified(entry, self.delta(&entry.id)))
        });
        self.check_fee(sums.rate(), now)?;
        let parents = entries.iter().flat_map(|entry| self.parents_of(entry)).collect();
        let ancestors = self.with_ancestors(&parents, self.limits().ancestors_max);
        let weight = sums.rate().weight();
        // As if each stood on all others.
        self.check_chain(&ancestors, sums.count, weight)?;
        self.check_descendants(sums.count, sums.weight)?;
        for resident in ancestors.iter().filter_map(|seat| self.at(*seat)) {
            let Family { count, weight, .. } = resident.descendants;
            self.check_descendants(count.saturating_add(sums.count), weight.saturating_add(sums.weight))?;
        }
        let mut leaving = self.check_package_replacement(entries, sums, &ancestors)?;
        let memory_bytes = entries.iter().map(Entry::memory_bytes).fold(0, usize::saturating_add);
        let need = Need { memory_bytes, rate: sums.rate(), ancestors: &ancestors };
        let evicted = self.make_room(&need, &mut leaving)?;
        Ok(Plan { ancestors, leaving, evicted })
    }

    /// What a package replaces, with descendants, if it may and pays for that.
    fn check_package_replacement(
        &self,
        entries: &[Entry],
        sums: Family,
        ancestors: &BTreeSet<Seat>,
    ) -> Result<BTreeSet<Seat>, AdmitError> {
        let direct: BTreeSet<Seat> = entries.iter().flat_map(|entry| self.conflicts(entry)).collect();
        let Some(with) = direct.first().and_then(|seat| self.at(*seat)) else { return Ok(direct) };
        let [parent, _] = entries else {
            return Err(AdmitError::PackageConflict { with: with.entry.id });
        };
        if !ancestors.is_empty() {
            return Err(AdmitError::PackageConflict { with: with.entry.id });
        }
        let max = self.limits().replaced_max;
        let replaced = self.with_descendants(&direct, max);
        if replaced.len() > max {
            return Err(AdmitError::TooManyReplaced { got: replaced.len(), max });
        }
        let (got, weight) = (Amount::new(sums.rate().fee()), sums.rate().weight());
        let expected = Amount::new(self.rate_of(parent).fee_above(weight));
        if got < expected {
            return Err(AdmitError::PackageRateTooLow { got, expected });
        }
        let expected = self.replacement_fee(weight, Family::default().rate(), &direct, &replaced);
        if got < expected {
            return Err(AdmitError::ReplacementFeeTooLow { got, expected });
        }
        Ok(replaced)
    }
}

/// One child at the end, and before it nothing but its parents, which do not stand on each other.
fn check_shape(entries: &[Entry]) -> Result<(), AdmitError> {
    let wrong = AdmitError::PackageShape { got: entries.len(), max: PACKAGE_MAX };
    let Some((child, parents)) = entries.split_last().filter(|_| entries.len() <= PACKAGE_MAX) else {
        return Err(wrong);
    };
    let spends: BTreeSet<&CoinKey> = child.spends.iter().collect();
    let created: BTreeSet<&CoinKey> = parents.iter().flat_map(|parent| &parent.creates).collect();
    let is_parent = |entry: &Entry| entry.creates.iter().any(|key| spends.contains(key));
    let stands_on_another = |entry: &Entry| entry.spends.iter().any(|key| created.contains(key));
    if parents.iter().all(is_parent) && !parents.iter().any(stands_on_another) { Ok(()) } else { Err(wrong) }
}
