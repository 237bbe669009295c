//! What fee rate gets a transaction into a block in time: from how long others waited, by their rates.
//!
//! The idea is that of Bitcoin Core's `CBlockPolicyEstimator`. Rates fall into buckets. For each bucket and each number
//! of blocks, a decaying count says how many transactions were confirmed within so many, and how many left unconfirmed
//! after as long. From the highest bucket down, neighbours are put together until they hold enough transactions; the
//! last such group of which a large enough share was confirmed in time gives its median rate. Three horizons look
//! back at different lengths: the short one reacts fast, the long one knows long targets.
//!
//! All counts are integers, time is the height, and the same history gives the same estimate on every machine.
//! Heights that were seen before are ignored, so that a reorg counts nothing twice.

mod horizon;
mod record;

use std::collections::BTreeMap;

use mass_primitives::Height;

use crate::entry::{EntryId, FeeRate};
use horizon::{Horizon, Waiting};

/// Least upper bound of a bucket in maxwell per 1000 weight, and the bound of the last bucket but one.
const BOUND_MIN: u64 = 25;
const BOUND_MAX: u64 = 25_000_000;

/// Blocks for which an old record is still worth something.
const HISTORY_MAX: u32 = 6 * 1008;

/// The longest target, in blocks.
pub const TARGET_MAX: u32 = 1008;

/// Shares of transactions that have to be confirmed within half, all, and twice the target, in percent.
const SHARE_HALF: u64 = 60;
const SHARE_ALL: u64 = 85;
const SHARE_DOUBLE: u64 = 95;

/// An estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The rate; `None` for want of data.
    pub fee_rate: Option<FeeRate>,
    /// The number of blocks that it is for, which is lower than what was asked for if no more is known.
    pub blocks: u32,
}

/// The first and the last height of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    first: u32,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Tracked {
    height: u32,
    bucket: usize,
}

/// What was seen of transactions and blocks.
#[derive(Clone, Debug)]
pub struct Estimator {
    bounds: Vec<u64>,
    short: Horizon,
    medium: Horizon,
    long: Horizon,
    tracked: BTreeMap<EntryId, Tracked>,
    best: u32,
    /// Height of the first block that confirmed something since the start; 0 for none.
    first: u32,
    /// The record of a run before.
    past: Span,
}

impl Default for Estimator {
    fn default() -> Self {
        Self::new()
    }
}

impl Estimator {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bounds: bounds(),
            short: Horizon::new(horizon::SHORT),
            medium: Horizon::new(horizon::MEDIUM),
            long: Horizon::new(horizon::LONG),
            tracked: BTreeMap::new(),
            best: 0,
            first: 0,
            past: Span::default(),
        }
    }

    /// Number of transactions that are waited for.
    #[must_use]
    pub fn tracked(&self) -> usize {
        self.tracked.len()
    }

    fn horizons(&mut self) -> [&mut Horizon; 3] {
        [&mut self.short, &mut self.medium, &mut self.long]
    }

    /// A transaction came into the pool while `tip` was the best block, and waits for nobody but a farmer. It is
    /// counted if that is the newest block that was seen.
    pub fn enter(&mut self, id: EntryId, rate: FeeRate, tip: Height) {
        let height = tip.get();
        if height != self.best || self.tracked.contains_key(&id) {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < rate.get());
        self.tracked.insert(id, Tracked { height, bucket });
    }

    /// A transaction left the pool unconfirmed.
    pub fn leave(&mut self, id: &EntryId) {
        if let Some((bucket, waited)) = self.forget(id) {
            self.horizons().into_iter().for_each(|horizon| horizon.fail(bucket, waited));
        }
    }

    /// All leave: the node ends.
    pub fn leave_all(&mut self) {
        let all: Vec<EntryId> = self.tracked.keys().copied().collect();
        all.iter().for_each(|id| self.leave(id));
    }

    /// Its bucket, and for how many blocks it was waited for.
    fn forget(&mut self, id: &EntryId) -> Option<(usize, u32)> {
        let Tracked { height, bucket } = self.tracked.remove(id)?;
        Some((bucket, self.best.saturating_sub(height)))
    }

    /// A block of this height was connected with these transactions, at these rates.
    pub fn connect(&mut self, height: Height, confirmed: &[(EntryId, FeeRate)]) {
        let height = height.get();
        if height <= self.best {
            // A reorg: those who are in it are waited for no more, and say nothing.
            for (id, _) in confirmed {
                self.forget(id);
            }
            return;
        }
        self.best = height;
        self.horizons().into_iter().for_each(Horizon::begin_block);
        for (id, rate) in confirmed {
            let Some((bucket, waited)) = self.forget(id) else { continue };
            self.horizons().into_iter().for_each(|horizon| horizon.confirm(bucket, waited, *rate));
            if self.first == 0 {
                self.first = height;
            }
        }
    }

    /// The longest target for which enough blocks were seen.
    fn target_max(&self) -> u32 {
        let span = if self.first == 0 { 0 } else { self.best.saturating_sub(self.first) };
        let is_recent = self.past.first != 0 && self.best.saturating_sub(self.past.last) <= HISTORY_MAX;
        let past = if is_recent { self.past.last.saturating_sub(self.past.first) } else { 0 };
        (span.max(past) >> 1).min(TARGET_MAX)
    }

    /// A rate at which a transaction is likely to be in one of the next `target` blocks. The conservative one asks
    /// longer horizons, too, and falls more slowly.
    #[must_use]
    pub fn estimate(&self, target: u32, conservative: bool) -> Estimate {
        // Nobody can promise the very next block.
        let blocks = target.clamp(2, TARGET_MAX).min(self.target_max());
        if blocks <= 1 {
            return Estimate { fee_rate: None, blocks };
        }
        let (double, waiting) = (blocks.saturating_mul(2), self.waiting());
        let rates = [
            self.combined(blocks >> 1, SHARE_HALF, true, &waiting),
            self.combined(blocks, SHARE_ALL, true, &waiting),
            self.combined(double, SHARE_DOUBLE, !conservative, &waiting),
        ];
        let rate = rates.into_iter().flatten().max();
        let slow = if conservative || rate.is_none() { self.over_time(double, &waiting) } else { None };
        Estimate { fee_rate: rate.max(slow), blocks }
    }

    fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::new();
        for tracked in self.tracked.values() {
            waiting.entry(tracked.bucket).or_default().push(tracked.height);
        }
        waiting
    }

    /// The estimate of the horizon that is made for the target; a shorter one at its longest target may be lower.
    fn combined(&self, target: u32, share: u64, asks_shorter: bool, waiting: &Waiting) -> Option<FeeRate> {
        let [short, medium] = [self.short.target_max(), self.medium.target_max()];
        let of = |horizon: &Horizon, target| horizon.estimate(target, share, self.best, waiting);
        let own = match target {
            0 => None,
            _ if target <= short => of(&self.short, target),
            _ if target <= medium => of(&self.medium, target),
            _ if target <= self.long.target_max() => of(&self.long, target),
            _ => None,
        };
        let lower = |rate: Option<FeeRate>, other: Option<FeeRate>| [rate, other].into_iter().flatten().min();
        let mut rate = own;
        if asks_shorter && target > medium {
            rate = lower(rate, of(&self.medium, medium));
        }
        if asks_shorter && target > short {
            rate = lower(rate, of(&self.short, short));
        }
        rate
    }

    /// The higher estimate of the horizons that are longer than the target needs.
    fn over_time(&self, target: u32, waiting: &Waiting) -> Option<FeeRate> {
        let ask = |horizon: &Horizon| horizon.estimate(target, SHARE_DOUBLE, self.best, waiting);
        let medium = if target <= self.short.target_max() { ask(&self.medium) } else { None };
        let long = if target <= self.medium.target_max() { ask(&self.long) } else { None };
        medium.max(long)
    }
}

/// Upper bounds of the buckets, each 5 % above the one before.
fn bounds() -> Vec<u64> {
    let next = |bound: &u64| Some(bound.saturating_mul(105).div_ceil(100)).filter(|next| *next <= BOUND_MAX);
    core::iter::successors(Some(BOUND_MIN), next).collect()
}
