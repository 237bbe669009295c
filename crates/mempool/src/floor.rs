//! The rolling minimum: what a full pool asks for above its own minimum, so that nobody sends for nothing what would
//! be evicted at once.
//!
//! An eviction raises it to what was evicted and one increment more. From the next block on it decays by half-lives,
//! faster in a pool that is far from full, and vanishes below half an increment. As in Bitcoin Core, in integers.

use crate::{
    entry::{FeeRate, Rate},
    limits::{HALF_LIFE_SECONDS, Limits},
    pool::Pool,
};

/// Bits behind the point of the rate that decays.
const FRACTION_BITS: u32 = 16;

/// Seconds between two steps of the decay.
const STEP_SECONDS: u64 = 10;

/// `2^(-1/2)`, `2^(-1/4)`, and so on, times `2^32`.
const ROOTS: [u64; 16] = [
    3_037_000_500,
    3_611_622_603,
    3_938_502_376,
    4_112_874_773,
    4_202_935_003,
    4_248_701_965,
    4_271_771_996,
    4_283_353_945,
    4_289_156_690,
    4_292_061_010,
    4_293_513_907,
    4_294_240_540,
    4_294_603_903,
    4_294_785_595,
    4_294_876_445,
    4_294_921_870,
];

/// The rolling minimum at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    /// Maxwell per 1000 weight, with [`FRACTION_BITS`].
    rate: u128,
    since: u64,
    /// Whether a block came since it was raised.
    decays: bool,
}

impl Floor {
    /// Nothing is asked for.
    pub(crate) const NONE: Self = Self { rate: 0, since: 0, decays: false };

    fn at(self, now: u64, half_life: u64, vanishes_below: FeeRate) -> Self {
        let elapsed = now.saturating_sub(self.since);
        if self.rate == 0 || !self.decays || elapsed < STEP_SECONDS {
            return self;
        }
        let rate = decayed(self.rate, elapsed, half_life);
        let least = u128::from(vanishes_below.get()) << FRACTION_BITS;
        if rate < least || rate >> FRACTION_BITS == 0 {
            return Self { since: now, ..Self::NONE };
        }
        Self { rate, since: now, decays: true }
    }

    fn fee_rate(self) -> FeeRate {
        let whole = self.rate.div_ceil(1 << FRACTION_BITS);
        FeeRate::new(u64::try_from(whole).unwrap_or(u64::MAX))
    }
}

/// What is left of a rate.
fn decayed(rate: u128, elapsed: u64, half_life: u64) -> u128 {
    let half_life = half_life.max(1);
    let halvings = elapsed.checked_div(half_life).unwrap_or(0);
    let Some(shift) = u32::try_from(halvings).ok().filter(|shift| *shift < u128::BITS) else { return 0 };
    let rest = u128::from(elapsed.checked_rem(half_life).unwrap_or(0)) << ROOTS.len();
    let part = rest.checked_div(half_life.into()).unwrap_or(0);
    let bits = (0..ROOTS.len()).rev().map(|bit| part >> bit & 1 == 1);
    let roots = ROOTS.iter().zip(bits).filter(|(_, is_set)| *is_set);
    roots.fold(rate >> shift, |rate, (root, _)| rate.saturating_mul(u128::from(*root)) >> 32)
}

impl Pool {
    /// The least fee rate that is admitted at `now`: the pool's own minimum, or what a full pool asks for.
    #[must_use]
    pub fn min_fee_rate(&self, now: u64) -> FeeRate {
        let floor = self.floor_at(now).fee_rate();
        let limits = self.limits();
        if floor == FeeRate::ZERO {
            limits.min_fee_rate
        } else {
            floor.max(limits.min_fee_rate).max(limits.incremental_fee_rate)
        }
    }

    fn floor_at(&self, now: u64) -> Floor {
        let Limits { memory_bytes_max: max, incremental_fee_rate: step, .. } = *self.limits();
        let half_life = match self.memory_bytes() {
            used if used < max >> 2 => HALF_LIFE_SECONDS >> 2,
            used if used < max >> 1 => HALF_LIFE_SECONDS >> 1,
            _ => HALF_LIFE_SECONDS,
        };
        self.floor.at(now, half_life, FeeRate::new(step.get() >> 1))
    }

    /// A block came: what was raised may fall again.
    pub(crate) fn begin_decay(&mut self, now: u64) {
        self.settle(now);
        if !self.floor.decays {
            self.floor = Floor { since: now, decays: true, ..self.floor };
        }
    }

    /// Writes down how far the rolling minimum has fallen, for it falls at the pace of the present filling.
    pub fn settle(&mut self, now: u64) {
        self.floor = self.floor_at(now);
    }

    /// What pays `evicted` finds no room.
    pub(crate) fn raise(&mut self, evicted: Rate, now: u64) {
        self.settle(now);
        let rate = evicted.per_1000().saturating_add(self.limits().incremental_fee_rate);
        let rate = u128::from(rate.get()) << FRACTION_BITS;
        if rate > self.floor.rate {
            self.floor = Floor { rate, since: now, decays: false };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_halves_in_a_half_life_and_falls_evenly_between() {
        let rate = 1_000_000 << FRACTION_BITS;
        assert_eq!(decayed(rate, 0, 100), rate);
        assert_eq!(decayed(rate, 100, 100), rate >> 1);
        assert_eq!(decayed(rate, 1000, 100), rate >> 10);
        assert_eq!(decayed(rate, u64::MAX, 1), 0);
        for elapsed in 1..400 {
            let exact = 1e6 * 0.5f64.powf(elapsed as f64 / 100.0);
            let got = decayed(rate, elapsed, 100) as f64 / f64::from(1 << FRACTION_BITS);
            assert!((got - exact).abs() < exact * 1e-4, "{elapsed}: {got} for {exact}");
        }
    }
}
