//! What waits in the pool, and how two of them compare by fee rate. No division decides an order:
//! rates are compared by cross multiplication.

use core::cmp::Ordering;

use mass_primitives::{Amount, Height};

/// Id of a transaction.
pub type EntryId = [u8; 32];

/// Name of a coin; the ledger knows what it means.
pub type CoinKey = Vec<u8>;

/// A transaction as the pool sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// Its encoding, untouched by the pool.
    pub bytes: Vec<u8>,
    /// The coins it spends.
    pub spends: Vec<CoinKey>,
    /// The coins it creates.
    pub creates: Vec<CoinKey>,
    /// What it pays to the block that includes it.
    pub fee: Amount,
    /// What it takes of the room in a block.
    pub weight: u64,
}

/// What the pool keeps beside an entry's own bytes and keys: its place in each index, with the room that trees and
/// allocators leave free. Measured by `cargo xtask bench pool`, which fails if the true figure is above the bound.
const OVERHEAD_BYTES: usize = 720;

/// The same for each coin key, which stands in the entry and in an index.
const KEY_OVERHEAD_BYTES: usize = 104;

impl Entry {
    /// Memory that a pool needs to hold this, in bytes: an upper estimate that depends on nothing but the entry, so
    /// that every machine evicts the same.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let key = |key: &CoinKey| key.len().saturating_mul(2).saturating_add(KEY_OVERHEAD_BYTES);
        let keys = self.spends.iter().chain(&self.creates).map(key);
        keys.fold(self.bytes.len().saturating_add(OVERHEAD_BYTES), usize::saturating_add)
    }
}

/// When a transaction comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Unix time in seconds.
    pub seconds: u64,
    /// Height of the tip.
    pub height: Height,
}

/// A fee rate in maxwell per 1000 weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeeRate(u64);

impl FeeRate {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Wraps the number of maxwell per 1000 weight.
    #[must_use]
    pub const fn new(maxwell_per_1000_weight: u64) -> Self {
        Self(maxwell_per_1000_weight)
    }

    /// Maxwell per 1000 weight.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The fee at this rate, rounded up; the greatest amount if it does not fit.
    #[must_use]
    pub fn fee(self, weight: u64) -> Amount {
        let thousandths = u128::from(self.0).saturating_mul(u128::from(weight));
        Amount::new(u64::try_from(thousandths.div_ceil(1000)).unwrap_or(u64::MAX))
    }

    /// The sum of two rates; saturates.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Fee over weight of one transaction or of a package, as an exact fraction. Weight 0 counts as 1.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    fee: u64,
    weight: u64,
}

impl Rate {
    /// The rate of `fee` for `weight`.
    #[must_use]
    pub const fn new(fee: u64, weight: u64) -> Self {
        Self { fee, weight }
    }

    /// The fee.
    #[must_use]
    pub const fn fee(self) -> u64 {
        self.fee
    }

    /// The weight.
    #[must_use]
    pub const fn weight(self) -> u64 {
        self.weight
    }

    /// The least fee with which `weight` has a higher rate than this; saturates.
    pub(crate) fn fee_above(self, weight: u64) -> u64 {
        let product = u128::from(self.fee).saturating_mul(u128::from(weight.max(1)));
        let equal = product.checked_div(u128::from(self.weight.max(1))).unwrap_or(u128::MAX);
        u64::try_from(equal.saturating_add(1)).unwrap_or(u64::MAX)
    }

    /// In maxwell per 1000 weight, rounded down; saturates.
    #[must_use]
    pub fn per_1000(self) -> FeeRate {
        let product = u128::from(self.fee).saturating_mul(1000);
        let rate = product.checked_div(u128::from(self.weight.max(1))).unwrap_or(u128::MAX);
        FeeRate(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// Whether this is at least `rate`.
    pub(crate) fn meets(self, rate: FeeRate) -> bool {
        self.fee >= rate.fee(self.weight).get()
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = u128::from(self.fee).saturating_mul(u128::from(other.weight.max(1)));
        let right = u128::from(other.fee).saturating_mul(u128::from(self.weight.max(1)));
        left.cmp(&right)
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rate {}

/// Sums over a transaction and those that it stands on, or that stand on it. Never saturates: it is added to and
/// taken from for as long as the pool lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// How many.
    pub count: usize,
    /// Their weight.
    pub weight: u128,
    /// Their fees, with what the operator added to them.
    pub fee: u128,
}

impl Family {
    /// These and one more.
    pub(crate) fn with(self, weight: u64, fee: u64) -> Self {
        Self {
            count: self.count.saturating_add(1),
            weight: self.weight.saturating_add(weight.into()),
            fee: self.fee.saturating_add(fee.into()),
        }
    }

    /// Without one of them.
    pub(crate) fn without(self, weight: u64, fee: u64) -> Self {
        Self {
            count: self.count.saturating_sub(1),
            weight: self.weight.saturating_sub(weight.into()),
            fee: self.fee.saturating_sub(fee.into()),
        }
    }

    /// Their common rate.
    #[must_use]
    pub fn rate(self) -> Rate {
        let short = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        Rate { fee: short(self.fee), weight: short(self.weight) }
    }
}
