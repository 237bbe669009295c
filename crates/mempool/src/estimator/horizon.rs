//! One horizon of the estimator: counts by bucket that decay from block to block. A bucket without a count has no place
//! in memory, for most rates are never paid.

use std::collections::BTreeMap;

use mass_primitives::{Decode, DecodeError, Encode, Reader};

use crate::entry::FeeRate;

/// How far a horizon looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Blocks that are counted as one.
    blocks: u32,
    /// Such counts.
    periods: usize,
    /// What is left after a block, in hundred thousandths.
    decay: u64,
    /// Transactions that a block has to have on average in buckets that are judged, in tenths.
    enough: u64,
}

/// Half of it is forgotten in 18 blocks, 144, or 1008.
pub const SHORT: Reach = Reach { blocks: 1, periods: 12, decay: 96_200, enough: 5 };
pub const MEDIUM: Reach = Reach { blocks: 2, periods: 24, decay: 99_520, enough: 1 };
pub const LONG: Reach = Reach { blocks: 24, periods: 42, decay: 99_931, enough: 1 };

impl Reach {
    /// Periods that have passed entirely after so many blocks.
    fn passed(self, blocks: u32) -> usize {
        usize::try_from(blocks.checked_div(self.blocks).unwrap_or(0)).unwrap_or(usize::MAX)
    }
}

/// The whole of [`Reach::decay`].
const WHOLE: u64 = 100_000;

/// One transaction, in the unit of the counts.
const ONE: u64 = 1 << 24;

/// Heights at which those came who wait, by bucket.
pub type Waiting = BTreeMap<usize, Vec<u32>>;

/// What is known of a bucket, in units of [`ONE`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    /// Confirmed, and the sum of their rates.
    count: u64,
    rates: u128,
    /// Confirmed within so many periods.
    confirmed: Vec<u64>,
    /// Left unconfirmed after so many periods.
    failed: Vec<u64>,
}

impl Counts {
    fn new(periods: usize) -> Self {
        Self { count: 0, rates: 0, confirmed: vec![0; periods], failed: vec![0; periods] }
    }

    fn numbers(&mut self) -> impl Iterator<Item = &mut u64> {
        core::iter::once(&mut self.count).chain(&mut self.confirmed).chain(&mut self.failed)
    }

    /// What is left after a block; `false` if that is nothing.
    fn decay(&mut self, part: u64) -> bool {
        let left = |count: u128| count.saturating_mul(part.into()).checked_div(WHOLE.into()).unwrap_or(0);
        let mut is_any = false;
        for count in self.numbers().filter(|count| **count != 0) {
            *count = u64::try_from(left(u128::from(*count))).unwrap_or(u64::MAX);
            is_any |= *count != 0;
        }
        self.rates = left(self.rates);
        is_any
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Horizon {
    reach: Reach,
    buckets: BTreeMap<usize, Counts>,
}

impl Horizon {
    pub const fn new(reach: Reach) -> Self {
        Self { reach, buckets: BTreeMap::new() }
    }

    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// The longest target that is known of.
    pub fn target_max(&self) -> u32 {
        u32::try_from(self.reach.periods).unwrap_or(u32::MAX).saturating_mul(self.reach.blocks)
    }

    fn bucket(&mut self, bucket: usize) -> &mut Counts {
        self.buckets.entry(bucket).or_insert_with(|| Counts::new(self.reach.periods))
    }

    /// A transaction left unconfirmed after so many blocks.
    pub fn fail(&mut self, bucket: usize, waited: u32) {
        let periods = self.reach.passed(waited);
        if periods > 0 {
            self.bucket(bucket).failed.iter_mut().take(periods).for_each(add_one);
        }
    }

    /// Before what a block confirms is counted.
    pub fn begin_block(&mut self) {
        let decay = self.reach.decay;
        self.buckets.retain(|_, counts| counts.decay(decay));
    }

    /// A transaction was confirmed after so many blocks.
    pub fn confirm(&mut self, bucket: usize, waited: u32, rate: FeeRate) {
        let Some(before) = waited.checked_sub(1) else { return };
        let period = self.reach.passed(before);
        let counts = self.bucket(bucket);
        counts.confirmed.iter_mut().skip(period).for_each(add_one);
        add_one(&mut counts.count);
        counts.rates = counts.rates.saturating_add(u128::from(rate.get()).saturating_mul(ONE.into()));
    }

    /// The median rate of the lowest group of buckets of which `share` percent were confirmed within `target` blocks. A
    /// group that fails goes on into the buckets below.
    pub fn estimate(&self, target: u32, share: u64, best: u32, waiting: &Waiting) -> Option<FeeRate> {
        let period = self.reach.passed(target.checked_sub(1)?);
        let least = ONE.saturating_mul(self.reach.enough).saturating_mul(WHOLE);
        let least = least.checked_div(WHOLE.saturating_sub(self.reach.decay).saturating_mul(10))?;
        let top = self.buckets.keys().chain(waiting.keys()).max()?.saturating_add(1);
        let (mut group, mut found, mut top) = (Group::default(), None, top);
        for bucket in (0..top).rev() {
            if let Some(counts) = self.buckets.get(&bucket) {
                group.add(counts, period)?;
            }
            let late = waiting.get(&bucket).into_iter().flatten();
            let late = late.filter(|height| best.saturating_sub(**height) >= target).count();
            group.failed = group.failed.saturating_add(saturating(late).saturating_mul(ONE));
            if group.in_group < least {
                continue;
            }
            group.in_group = 0;
            let of = u128::from(group.total).saturating_add(group.failed.into());
            let is_good = u128::from(group.confirmed).saturating_mul(100) >= of.saturating_mul(share.into());
            if is_good {
                found = Some(bucket..top);
                (group, top) = (Group::default(), bucket);
            }
        }
        self.median(found?)
    }

    fn median(&self, buckets: core::ops::Range<usize>) -> Option<FeeRate> {
        let buckets = || self.buckets.range(buckets.clone()).map(|(_, counts)| counts);
        let mut half = buckets().map(|counts| counts.count).fold(0, u64::saturating_add) >> 1;
        for counts in buckets() {
            if counts.count > 0 && counts.count >= half {
                let rate = counts.rates.checked_div(counts.count.into())?;
                return u64::try_from(rate).ok().map(FeeRate::new);
            }
            half = half.saturating_sub(counts.count);
        }
        None
    }

    /// The counts in the canonical encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        u32::try_from(self.buckets.len()).unwrap_or(u32::MAX).encode(out);
        for (bucket, counts) in &self.buckets {
            u32::try_from(*bucket).unwrap_or(u32::MAX).encode(out);
            counts.rates.encode(out);
            counts.clone().numbers().for_each(|count| count.encode(out));
        }
    }

    /// What [`Self::encode`] wrote, of buckets below `end`.
    pub fn decode(reach: Reach, end: usize, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut new = Self::new(reach);
        for _ in 0..u32::decode(reader)? {
            let bucket = usize::try_from(u32::decode(reader)?).unwrap_or(usize::MAX);
            if bucket >= end || new.buckets.last_key_value().is_some_and(|(last, _)| *last >= bucket) {
                return Err(DecodeError::Invalid("buckets of fee estimates out of order"));
            }
            let mut counts = Counts::new(reach.periods);
            counts.rates = u128::decode(reader)?;
            for count in counts.numbers() {
                *count = u64::decode(reader)?;
            }
            new.buckets.insert(bucket, counts);
        }
        Ok(new)
    }
}

/// Neighbouring buckets that are judged together.
#[derive(Default)]
struct Group {
    in_group: u64,
    total: u64,
    confirmed: u64,
    failed: u64,
}

impl Group {
    fn add(&mut self, counts: &Counts, period: usize) -> Option<()> {
        self.in_group = self.in_group.saturating_add(counts.count);
        self.total = self.total.saturating_add(counts.count);
        self.confirmed = self.confirmed.saturating_add(*counts.confirmed.get(period)?);
        self.failed = self.failed.saturating_add(*counts.failed.get(period)?);
        Some(())
    }
}

fn saturating(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn add_one(count: &mut u64) {
    *count = count.saturating_add(ONE);
}
