//! Transactions whose parents have not come yet. They are few, short-lived, and no peer can crowd out another.
//!
//! Nothing of them is checked: they are bytes that wait for a coin by its key. Who gets the coin offers them again.

use std::collections::{BTreeMap, BTreeSet};

use mass_primitives::tag::double_sha256;

use crate::entry::CoinKey;

/// What waits for parents at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrphanLimits {
    /// Transactions of all peers together.
    pub count_max: usize,
    /// Transactions of one peer.
    pub peer_count_max: usize,
    /// Bytes of all together.
    pub bytes_max: usize,
    /// Bytes of one transaction.
    pub transaction_bytes_max: usize,
    /// Age in seconds at which one is forgotten.
    pub expiry_seconds: u64,
}

impl OrphanLimits {
    /// As Bitcoin Core had them for years: 100 transactions of 100 kB, twenty minutes.
    pub const DEFAULT: Self = Self {
        count_max: 100,
        peer_count_max: 25,
        bytes_max: 5_000_000,
        transaction_bytes_max: 400_000,
        expiry_seconds: 20 * 60,
    };
}

#[derive(Clone, Debug)]
struct Orphan<P> {
    bytes: Vec<u8>,
    missing: CoinKey,
    from: P,
    arrived: u64,
}

/// Transactions that wait for parents, from peers of type `P`.
#[derive(Clone, Debug)]
pub struct Orphans<P> {
    limits: OrphanLimits,
    /// By number of arrival.
    waiting: BTreeMap<u64, Orphan<P>>,
    hashes: BTreeMap<[u8; 32], u64>,
    coins: BTreeMap<CoinKey, BTreeSet<u64>>,
    bytes: usize,
    number: u64,
}

impl<P: Clone + Ord> Orphans<P> {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(limits: OrphanLimits) -> Self {
        let (waiting, hashes, coins) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { limits, waiting, hashes, coins, bytes: 0, number: 0 }
    }

    /// Number of transactions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Their bytes together.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a transaction until the coin `missing` comes; whether it is kept. If there are too many, the oldest goes of
    /// the peer that has most, so that who sends many drives out his own.
    pub fn keep(&mut self, bytes: Vec<u8>, missing: CoinKey, from: P, now: u64) -> bool {
        let hash = double_sha256(&bytes);
        if bytes.len() > self.limits.transaction_bytes_max.min(self.limits.bytes_max)
            || self.hashes.contains_key(&hash)
        {
            return false;
        }
        self.number = self.number.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes.len());
        self.hashes.insert(hash, self.number);
        self.coins.entry(missing.clone()).or_default().insert(self.number);
        let kept = self.number;
        if self.count_of(&from) >= self.limits.peer_count_max {
            self.drop_oldest_of(&from);
        }
        self.waiting.insert(kept, Orphan { bytes, missing, from, arrived: now });
        while self.len() > self.limits.count_max || self.bytes > self.limits.bytes_max {
            let Some(crowd) = self.largest() else { break };
            self.drop_oldest_of(&crowd);
        }
        self.waiting.contains_key(&kept)
    }

    fn count_of(&self, from: &P) -> usize {
        self.waiting.values().filter(|orphan| orphan.from == *from).count()
    }

    fn largest(&self) -> Option<P> {
        let mut counts: BTreeMap<&P, usize> = BTreeMap::new();
        for orphan in self.waiting.values() {
            let count = counts.entry(&orphan.from).or_default();
            *count = count.saturating_add(1);
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(from, _)| from.clone())
    }

    fn drop_oldest_of(&mut self, from: &P) {
        let oldest = self.waiting.iter().find(|(_, orphan)| orphan.from == *from).map(|(number, _)| *number);
        oldest.map(|number| self.take(number));
    }

    /// The coins that are waited for.
    pub fn missing(&self) -> impl Iterator<Item = &CoinKey> {
        self.coins.keys()
    }

    /// Takes out those that waited for one of these coins, oldest first, with who sent them.
    pub fn ready<'a>(&mut self, coins: impl IntoIterator<Item = &'a CoinKey>) -> Vec<(Vec<u8>, P)> {
        let numbers: BTreeSet<u64> =
            coins.into_iter().filter_map(|key| self.coins.get(key)).flatten().copied().collect();
        numbers.into_iter().filter_map(|number| self.take(number)).collect()
    }

    /// Forgets what a peer sent that left.
    pub fn forget(&mut self, from: &P) {
        self.drop_where(|orphan| orphan.from == *from);
    }

    /// Forgets what has waited too long.
    pub fn expire(&mut self, now: u64) {
        let age_max = self.limits.expiry_seconds;
        self.drop_where(|orphan| now.saturating_sub(orphan.arrived) >= age_max);
    }

    fn drop_where(&mut self, is_over: impl Fn(&Orphan<P>) -> bool) {
        let over = self.waiting.iter().filter(|(_, orphan)| is_over(orphan)).map(|(number, _)| *number);
        for number in over.collect::<Vec<_>>() {
            self.take(number);
        }
    }

    fn take(&mut self, number: u64) -> Option<(Vec<u8>, P)> {
        let orphan = self.waiting.remove(&number)?;
        self.hashes.remove(&double_sha256(&orphan.bytes));
        self.bytes = self.bytes.saturating_sub(orphan.bytes.len());
        if let Some(numbers) = self.coins.get_mut(&orphan.missing) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.coins.remove(&orphan.missing);
            }
        }
        Some((orphan.bytes, orphan.from))
    }
}
