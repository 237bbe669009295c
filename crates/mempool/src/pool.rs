//! The pool: its indexes, the questions it answers, and how residents leave.

use std::collections::{BTreeMap, BTreeSet};

use crate::entry::{CoinKey, Entry, EntryId, FeeRate, Rate};

/// What the pool may hold and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Greatest sum of weights.
    pub weight_max: u64,
    /// Greatest number of entries.
    pub entries_max: usize,
    /// Least fee rate admitted; also what a replacement pays for its own relay, on top.
    pub min_fee_rate: FeeRate,
    /// Age in seconds at which an entry expires.
    pub expiry_seconds: u64,
    /// Greatest number of unconfirmed ancestors, the entry itself not counted.
    pub ancestors_max: usize,
}

#[derive(Clone, Debug)]
struct Resident {
    entry: Entry,
    arrived: u64,
    /// The higher of its own rate and that of it with its descendants: what its eviction would cost.
    score: Rate,
}

/// Transactions that wait for a block.
#[derive(Clone, Debug)]
pub struct Pool {
    limits: Limits,
    residents: BTreeMap<EntryId, Resident>,
    spenders: BTreeMap<CoinKey, EntryId>,
    creators: BTreeMap<CoinKey, EntryId>,
    scores: BTreeSet<(Rate, EntryId)>,
    weight: u64,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            residents: BTreeMap::new(),
            spenders: BTreeMap::new(),
            creators: BTreeMap::new(),
            scores: BTreeSet::new(),
            weight: 0,
        }
    }

    /// The limits it was made with.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The entry with this id.
    #[must_use]
    pub fn get(&self, id: &EntryId) -> Option<&Entry> {
        self.residents.get(id).map(|resident| &resident.entry)
    }

    /// Whether an entry with this id is here.
    #[must_use]
    pub fn contains(&self, id: &EntryId) -> bool {
        self.residents.contains_key(id)
    }

    /// The entry that creates this coin.
    #[must_use]
    pub fn created(&self, coin_key: &[u8]) -> Option<&Entry> {
        self.creators.get(coin_key).and_then(|id| self.get(id))
    }

    /// The entry that spends this coin.
    #[must_use]
    pub fn spent(&self, coin_key: &[u8]) -> Option<&Entry> {
        self.spenders.get(coin_key).and_then(|id| self.get(id))
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.residents.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.residents.is_empty()
    }

    /// All ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.residents.keys().copied()
    }

    /// Sum of the weights.
    #[must_use]
    pub const fn weight(&self) -> u64 {
        self.weight
    }

    /// A block was connected: it holds the transactions `ids` and spends the coins `spent`. Removes
    /// the confirmed, whose descendants stay, then whatever spends one of the coins, with its
    /// descendants. Returns the latter.
    pub fn confirm(&mut self, ids: &[EntryId], spent: &[CoinKey]) -> Vec<EntryId> {
        self.remove(&ids.iter().copied().collect());
        let conflicting: BTreeSet<EntryId> =
            spent.iter().filter_map(|key| self.spenders.get(key).copied()).collect();
        self.remove_families(conflicting)
    }

    /// Removes entries that the ledger takes no more, as after a reorg, with their descendants, and returns them.
    pub fn refuse(&mut self, ids: impl IntoIterator<Item = EntryId>) -> Vec<EntryId> {
        self.remove_families(ids.into_iter().collect())
    }

    /// Removes the entries whose age has reached the limit, with their descendants, and returns them.
    /// An entry from after `now` has age 0.
    pub fn expire(&mut self, now: u64) -> Vec<EntryId> {
        let old: BTreeSet<EntryId> = self
            .residents
            .iter()
            .filter(|(_, resident)| now.saturating_sub(resident.arrived) >= self.limits.expiry_seconds)
            .map(|(id, _)| *id)
            .collect();
        self.remove_families(old)
    }

    /// Residents in the order in which they are evicted, with their scores.
    pub(crate) fn cheapest_first(&self) -> impl Iterator<Item = (Rate, EntryId)> + '_ {
        self.scores.iter().copied()
    }

    /// All entries, by id.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> + '_ {
        self.residents.values().map(|resident| &resident.entry)
    }

    /// Puts an entry in that has passed admission.
    pub(crate) fn insert(&mut self, entry: Entry, now: u64) {
        let id = entry.id;
        let score = Rate::of(&entry);
        let mut touched = self.ancestors(&entry, usize::MAX);
        touched.insert(id);
        self.spenders.extend(entry.spends.iter().map(|key| (key.clone(), id)));
        self.creators.extend(entry.creates.iter().map(|key| (key.clone(), id)));
        self.weight = self.weight.saturating_add(entry.weight);
        self.scores.insert((score, id));
        self.residents.insert(id, Resident { entry, arrived: now, score });
        self.rescore(&touched);
    }

    /// Takes these out and nothing else.
    pub(crate) fn remove(&mut self, ids: &BTreeSet<EntryId>) {
        let touched: BTreeSet<EntryId> = ids
            .iter()
            .filter_map(|id| self.get(id))
            .flat_map(|entry| self.ancestors(entry, usize::MAX))
            .filter(|id| !ids.contains(id))
            .collect();
        for id in ids {
            if let Some(resident) = self.residents.remove(id) {
                for key in &resident.entry.spends {
                    self.spenders.remove(key);
                }
                for key in &resident.entry.creates {
                    self.creators.remove(key);
                }
                self.weight = self.weight.saturating_sub(resident.entry.weight);
                self.scores.remove(&(resident.score, *id));
            }
        }
        self.rescore(&touched);
    }

    fn remove_families(&mut self, ids: BTreeSet<EntryId>) -> Vec<EntryId> {
        let leaving = self.with_descendants(ids);
        self.remove(&leaving);
        leaving.into_iter().collect()
    }

    fn rescore(&mut self, ids: &BTreeSet<EntryId>) {
        for id in ids {
            let family = self.with_descendants([*id]);
            let package = Rate::of_package(family.iter().filter_map(|id| self.get(id)));
            if let Some(resident) = self.residents.get_mut(id) {
                self.scores.remove(&(resident.score, *id));
                resident.score = Rate::of(&resident.entry).max(package);
                self.scores.insert((resident.score, *id));
            }
        }
    }
}
