//! One horizon of the estimator: counts by bucket that decay from block to block.

use core::iter::zip;

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

/// The whole of [`Reach::decay`].
const WHOLE: u64 = 100_000;

/// One transaction, in the unit of the counts.
const ONE: u64 = 1 << 24;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Horizon {
    reach: Reach,
    /// Confirmed, in units of [`ONE`], and the sum of their rates.
    pub(super) count: Vec<u64>,
    pub(super) rates: Vec<u128>,
    /// Confirmed within so many periods, by period and bucket.
    pub(super) confirmed: Vec<Vec<u64>>,
    /// Left unconfirmed after so many periods.
    pub(super) failed: Vec<Vec<u64>>,
    /// Waiting, by the height at which they came, modulo the longest target.
    waiting: Vec<Vec<u64>>,
    /// Waiting for longer than that.
    waiting_long: Vec<u64>,
}

impl Horizon {
    pub fn new(reach: Reach, buckets: usize) -> Self {
        let table = |rows: usize| vec![vec![0; buckets]; rows];
        let mut new = Self {
            reach,
            count: vec![0; buckets],
            rates: vec![0; buckets],
            confirmed: table(reach.periods),
            failed: table(reach.periods),
            waiting: Vec::new(),
            waiting_long: vec![0; buckets],
        };
        new.waiting = table(usize::try_from(new.target_max()).unwrap_or(0));
        new
    }

    /// The longest target that is known of.
    pub fn target_max(&self) -> u32 {
        u32::try_from(self.reach.periods).unwrap_or(u32::MAX).saturating_mul(self.reach.blocks)
    }

    /// The counts that are kept when the node ends, in a fixed order.
    pub fn tables(&mut self) -> impl Iterator<Item = &mut Vec<u64>> {
        core::iter::once(&mut self.count).chain(&mut self.confirmed).chain(&mut self.failed)
    }

    fn row(&self, height: u32) -> usize {
        usize::try_from(height.checked_rem(self.target_max()).unwrap_or(0)).unwrap_or(0)
    }

    pub fn enter(&mut self, height: u32, bucket: usize) {
        let row = self.row(height);
        add(self.waiting.get_mut(row), bucket, 1);
    }

    pub fn leave(&mut self, height: u32, bucket: usize, waited: u32, is_confirmed: bool) {
        let row = self.row(height);
        let place = if waited >= self.target_max() {
            Some(&mut self.waiting_long)
        } else {
            self.waiting.get_mut(row)
        };
        if let Some(count) = place.and_then(|row| row.get_mut(bucket)) {
            *count = count.saturating_sub(1);
        }
        let periods =
            usize::try_from(waited.checked_div(self.reach.blocks).unwrap_or(0)).unwrap_or(usize::MAX);
        for failed in self.failed.iter_mut().take(periods).filter(|_| !is_confirmed) {
            add(Some(failed), bucket, ONE);
        }
    }

    /// Before what a block of this height confirms is counted.
    pub fn begin_block(&mut self, height: u32) {
        let row = self.row(height);
        if let Some(row) = self.waiting.get_mut(row) {
            for (old, count) in zip(&mut self.waiting_long, row) {
                *old = old.saturating_add(core::mem::take(count));
            }
        }
        let decay = self.reach.decay;
        let left = |count: u128| count.saturating_mul(decay.into()).checked_div(WHOLE.into()).unwrap_or(0);
        for count in self.tables().flatten() {
            *count = u64::try_from(left(u128::from(*count))).unwrap_or(u64::MAX);
        }
        for sum in &mut self.rates {
            *sum = left(*sum);
        }
    }

    /// A transaction was confirmed after so many blocks.
    pub fn confirm(&mut self, bucket: usize, waited: u32, rate: FeeRate) {
        let Some(period) = waited.checked_sub(1).and_then(|waited| waited.checked_div(self.reach.blocks))
        else {
            return;
        };
        let period = usize::try_from(period).unwrap_or(usize::MAX);
        for confirmed in self.confirmed.iter_mut().skip(period) {
            add(Some(confirmed), bucket, ONE);
        }
        add(Some(&mut self.count), bucket, ONE);
        if let Some(sum) = self.rates.get_mut(bucket) {
            *sum = sum.saturating_add(u128::from(rate.get()).saturating_mul(ONE.into()));
        }
    }

    /// The median rate of the lowest group of buckets of which `share` percent were confirmed within `target` blocks. A
    /// group that fails goes on into the buckets below.
    pub fn estimate(&self, target: u32, share: u64, best: u32) -> Option<FeeRate> {
        let period = usize::try_from(target.checked_sub(1)?.checked_div(self.reach.blocks)?).ok()?;
        let (confirmed, failed) = (self.confirmed.get(period)?, self.failed.get(period)?);
        let least = ONE.saturating_mul(self.reach.enough).saturating_mul(WHOLE);
        let least = least.checked_div(WHOLE.saturating_sub(self.reach.decay).saturating_mul(10))?;
        let (mut group, mut found, mut top) = (Group::default(), None, self.count.len());
        for bucket in (0..self.count.len()).rev() {
            group.in_group = group.in_group.saturating_add(at(&self.count, bucket));
            group.total = group.total.saturating_add(at(&self.count, bucket));
            group.confirmed = group.confirmed.saturating_add(at(confirmed, bucket));
            group.failed = group.failed.saturating_add(at(failed, bucket));
            let waits = self.waiting_since(bucket, target, best).saturating_mul(ONE);
            group.failed = group.failed.saturating_add(waits);
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

    /// Those of a bucket that have waited for `target` blocks or longer.
    fn waiting_since(&self, bucket: usize, target: u32, best: u32) -> u64 {
        let heights = (target..self.target_max()).filter_map(|waited| best.checked_sub(waited));
        let waiting =
            heights.filter_map(|height| self.waiting.get(self.row(height))).map(|row| at(row, bucket));
        waiting.fold(at(&self.waiting_long, bucket), u64::saturating_add)
    }

    fn median(&self, buckets: core::ops::Range<usize>) -> Option<FeeRate> {
        let total = buckets.clone().map(|bucket| at(&self.count, bucket)).fold(0, u64::saturating_add);
        let mut half = total >> 1;
        for bucket in buckets {
            let count = at(&self.count, bucket);
            if count > 0 && count >= half {
                let rate = self.rates.get(bucket)?.checked_div(count.into())?;
                return u64::try_from(rate).ok().map(FeeRate::new);
            }
            half = half.saturating_sub(count);
        }
        None
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

fn at(row: &[u64], bucket: usize) -> u64 {
    row.get(bucket).copied().unwrap_or(0)
}

fn add(row: Option<&mut Vec<u64>>, bucket: usize, amount: u64) {
    if let Some(count) = row.and_then(|row| row.get_mut(bucket)) {
        *count = count.saturating_add(amount);
    }
}
