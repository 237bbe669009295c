//! What waits in the pool, and how two of them compare by fee rate. No division decides an order:
//! rates are compared by cross multiplication.

use core::cmp::Ordering;

use mass_primitives::Amount;

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

/// A fee rate in maxwell per 1000 weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeeRate(u64);

impl FeeRate {
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
}

/// Fee over weight of one transaction or of a package, as an exact fraction. Weight 0 counts as 1.
/// Sums saturate: real fees are bounded by the money there is, weights by the pool's limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    fee: u64,
    weight: u64,
}

impl Rate {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self { fee: entry.fee.get(), weight: entry.weight }
    }

    pub(crate) fn of_package<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        entries.into_iter().fold(Self { fee: 0, weight: 0 }, |sum, entry| Self {
            fee: sum.fee.saturating_add(entry.fee.get()),
            weight: sum.weight.saturating_add(entry.weight),
        })
    }

    /// The summed fee.
    pub(crate) const fn fee(self) -> u64 {
        self.fee
    }

    /// The summed weight.
    pub(crate) const fn weight(self) -> u64 {
        self.weight
    }

    /// The least fee with which `weight` has a higher rate than this; saturates.
    pub(crate) fn fee_above(self, weight: u64) -> u64 {
        let product = u128::from(self.fee).saturating_mul(u128::from(weight.max(1)));
        let equal = product.checked_div(u128::from(self.weight.max(1))).unwrap_or(u128::MAX);
        u64::try_from(equal.saturating_add(1)).unwrap_or(u64::MAX)
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
