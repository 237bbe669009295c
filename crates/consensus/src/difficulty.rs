//! Difficulty: ASERT on slots, one step per block from the parent (rule DIF-1).
//!
//! `D(child) = D(parent) * 2^((interval - gap) / tau)` where `gap` is the number of slots between the
//! parent and its own parent. The steps multiply to the closed form `D_ref * 2^((interval * dh - ds) / tau)`.
//! The least difficulty is applied at each step, so a chain that stood still owes no blocks afterwards.

use mass_primitives::{Difficulty, SlotDelta};
use ruint::aliases::U256;

/// Difficulties never exceed `2^96`, so that `2^32` of them sum in 128 bits.
pub const DIFFICULTY_MAX: Difficulty = Difficulty::new(1 << 96);

/// Fractional bits of the fixed-point numbers here.
const FRACTION_BITS: u32 = 62;

/// `floor(ln 2 * 2^62)`.
const LN_2: u128 = 0x2C5C_85FD_F473_DE6A;

/// The difficulty of a block whose parent has difficulty `parent` and stands `gap` slots behind its own parent.
#[must_use]
pub fn next_difficulty(
    parent: Difficulty,
    gap: SlotDelta,
    interval: SlotDelta,
    tau: SlotDelta,
    min: Difficulty,
) -> Difficulty {
    let exponent = i128::from(interval.get()).saturating_sub(i128::from(gap.get()));
    let tau = i128::from(tau.get().max(1));
    let doublings = exponent.div_euclid(tau);
    let fraction = u128::try_from(exponent.rem_euclid(tau)).unwrap_or(0);
    let factor = exp2_fraction(fraction, u128::try_from(tau).unwrap_or(1));
    scale(parent, factor, doublings).clamp(min, DIFFICULTY_MAX)
}

/// `2^(numerator / denominator)` for a proper fraction, in fixed point, by the series of `e^(x ln 2)`.
fn exp2_fraction(numerator: u128, denominator: u128) -> u128 {
    // numerator < denominator < 2^64 and LN_2 < 2^62: the product fits.
    let x = LN_2.saturating_mul(numerator).checked_div(denominator).unwrap_or(0);
    let mut sum = 0u128;
    let mut term = 1u128 << FRACTION_BITS;
    for divisor in 1u128.. {
        sum = sum.saturating_add(term);
        // term <= 2^62 and x < 2^62: the product fits.
        term = (term.saturating_mul(x) >> FRACTION_BITS).checked_div(divisor).unwrap_or(0);
        if term == 0 {
            break;
        }
    }
    sum
}

/// `difficulty * factor * 2^doublings`, rounded to the nearest integer, halves up. A difficulty is at least 1.
fn scale(difficulty: Difficulty, factor: u128, doublings: i128) -> Difficulty {
    // Below 2^96 * 2^63, and at least 2^62: room for a shift of 96 to the left, and one of more ends above 2^96.
    let product = U256::from(difficulty.get()).saturating_mul(U256::from(factor));
    let shift = i128::from(FRACTION_BITS).saturating_sub(doublings);
    let scaled = match shift {
        ..-96 => return DIFFICULTY_MAX,
        -96..=0 => product.wrapping_shl(usize::try_from(shift.unsigned_abs()).unwrap_or(0)),
        1..=255 => {
            let shift = usize::try_from(shift).unwrap_or(0);
            let half = U256::from(1).wrapping_shl(shift.saturating_sub(1));
            product.saturating_add(half).wrapping_shr(shift)
        }
        256.. => return Difficulty::ZERO,
    };
    Difficulty::new(u128::try_from(scaled).unwrap_or(u128::MAX))
}

/// The compact form of `floor(2^256 / D)`, rounded down (rule HDR-6), as Bitcoin writes targets in headers.
#[must_use]
pub fn compact_target(difficulty: Difficulty) -> u32 {
    let target = difficulty.target();
    let bytes = u32::try_from(target.bit_len().div_ceil(8)).unwrap_or(0);
    let mantissa = if bytes <= 3 {
        target.wrapping_shl(usize::try_from(3u32.saturating_sub(bytes).saturating_mul(8)).unwrap_or(0))
    } else {
        target.wrapping_shr(usize::try_from(bytes.saturating_sub(3).saturating_mul(8)).unwrap_or(0))
    };
    let mantissa = u32::try_from(mantissa).unwrap_or(0);
    // The top bit of the mantissa is a sign: a mantissa that has it moves down by a byte.
    let (mantissa, bytes) = if mantissa & 0x0080_0000 == 0 {
        (mantissa, bytes)
    } else {
        (mantissa >> 8, bytes.saturating_add(1))
    };
    (bytes << 24) | mantissa
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const MIN: Difficulty = Difficulty::new(1);

    fn step(parent: u128, gap: u64) -> u128 {
        next_difficulty(
            Difficulty::new(parent),
            SlotDelta::new(gap),
            SlotDelta::new(15),
            SlotDelta::new(28_800),
            MIN,
        )
        .get()
    }

    #[test]
    fn golden() {
        assert_eq!(step(1 << 60, 15), 1 << 60);
        assert_eq!(step(1 << 60, 15 + 28_800), 1 << 59);
        assert_eq!(step(1 << 60, 15 + 10 * 28_800), 1 << 50);
        // 2^(15/28800) = 1.000361080776...
        let up = step(1 << 60, 0) as f64 / (1u128 << 60) as f64;
        assert!((up - (15f64 / 28_800f64).exp2()).abs() < 1e-15, "{up}");
        assert_eq!(step(1 << 60, u64::MAX), 1);
        assert_eq!(step(1 << 96, 0), 1 << 96);
        let steep = |gap: u64| {
            let (interval, tau) = (SlotDelta::new(100), SlotDelta::new(1));
            next_difficulty(Difficulty::new(3), SlotDelta::new(gap), interval, tau, MIN).get()
        };
        assert_eq!((steep(37), steep(30), steep(6)), (3 << 63, 3 << 70, 3 << 94), "beyond 62 doublings");
        assert_eq!((steep(4), steep(0)), (1 << 96, 1 << 96));
        assert_eq!(steep(u64::MAX), 1, "so many halvings that their number needs 65 bits");
    }

    #[test]
    fn compact_targets_are_bitcoins() {
        // 2^256 / 2^32 = 2^224: bytes 29, mantissa 0x010000.
        assert_eq!(compact_target(Difficulty::new(1 << 32)), 0x1d01_0000);
        // 2^256 / 1 is capped at 2^256 - 1 and loses a byte to the sign.
        assert_eq!(compact_target(Difficulty::new(1)), 0x2100_ffff);
        assert_eq!(compact_target(Difficulty::new(2)), 0x2100_8000);
    }

    proptest! {
        #[test]
        fn steps_follow_the_closed_form(gaps in proptest::collection::vec(0u64..200, 1..300)) {
            let start = 1u128 << 70;
            let end = gaps.iter().fold(start, |d, gap| step(d, *gap));
            let exponent: f64 = gaps.iter().map(|gap| 15.0 - *gap as f64).sum::<f64>() / 28_800.0;
            let ratio = end as f64 / start as f64;
            prop_assert!((ratio / exponent.exp2() - 1.0).abs() < 1e-12);
        }

        /// No drift: blocks that keep the interval in the mean, in whatever order, leave the difficulty where it was.
        #[test]
        fn a_chain_that_keeps_the_interval_does_not_drift(
            gaps in proptest::collection::vec(0u64..31, 1..400), start in 1u128 << 50..1 << 90,
        ) {
            // To each gap the one that makes up for it, at the other end of the chain.
            let chain = gaps.iter().copied().chain(gaps.iter().rev().map(|gap| 30 - gap));
            let end = chain.fold(start, step);
            prop_assert!(end.abs_diff(start) <= start >> 40, "{start} became {end}");
            let sorted = {
                let mut all: Vec<u64> = gaps.iter().copied().chain(gaps.iter().map(|gap| 30 - gap)).collect();
                all.sort_unstable();
                all
            };
            let other = sorted.into_iter().fold(start, step);
            prop_assert!(other.abs_diff(end) <= start >> 40, "the order of gaps matters");
        }

        /// No oscillation: where blocks come as capacity would have them in the mean, the difficulty goes to where
        /// it settles from one side only, however far it was.
        #[test]
        fn a_step_of_capacity_is_followed_without_overshooting(capacity in 1u128 << 40..1 << 70, start in 1u128 << 40..1 << 74) {
            let goal = capacity * 15;
            // A block a slot is the most there is, and a slot is the least that can be measured.
            let slack = goal / 15 + goal / 1_000;
            let mut difficulty = start.max(capacity);
            let mut distance = difficulty.abs_diff(goal);
            for _ in 0..4_000 {
                let gap = u64::try_from((difficulty / capacity).max(1)).unwrap_or(u64::MAX);
                difficulty = step(difficulty, gap);
                let now = difficulty.abs_diff(goal);
                prop_assert!(now <= distance || now <= slack, "{distance} away, then {now}");
                prop_assert!((difficulty > goal) == (start.max(capacity) > goal) || now <= slack, "overshot");
                distance = now;
            }
        }

        /// No gain from the choice of a slot: whoever moves a block between its neighbours changes the difficulty of
        /// the one that follows, against himself if he hurries, and of none after.
        #[test]
        fn a_block_that_moves_between_its_neighbours_changes_one_difficulty(
            parent in 1u128 << 50..1 << 90, early in 1u64..500, late in 1u64..500, shift in 0u64..500,
        ) {
            let shift = shift % late;
            let (before, after) = (step(parent, early), step(parent, early + shift));
            prop_assert!(after <= before, "to wait makes the next block lighter");
            let bound = before as f64 * (1.0 - (-(shift as f64) / 28_800.0).exp2());
            prop_assert!((before - after) as f64 <= bound * 1.000_001 + 2.0, "by no more than 2^(-shift / tau)");
            let (one, other) = (step(before, late), step(after, late - shift));
            prop_assert!(one.abs_diff(other) <= 2 + (one >> 50), "and what comes then is the same");
        }

        #[test]
        fn faster_is_never_easier(parent in 1u128..1 << 90, gap in 0u64..100_000) {
            prop_assert!(step(parent, gap) >= step(parent, gap + 1));
        }

        #[test]
        fn compact_never_exceeds_the_target(d in 1u128..1 << 96) {
            let bits = compact_target(Difficulty::new(d));
            let value = U256::from(bits & 0x00ff_ffff) << (8 * ((bits >> 24) as usize - 3));
            let target = Difficulty::new(d).target();
            prop_assert!(value <= target);
            prop_assert!(target - value <= target >> 14);
            prop_assert_eq!(bits & 0x0080_0000, 0);
        }
    }
}
