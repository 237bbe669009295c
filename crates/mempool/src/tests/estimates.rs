//! Estimates from histories that are made up.

use mass_primitives::{Decode, Encode, Height};
use proptest::prelude::*;

use crate::{Estimator, FeeRate, estimator::TARGET_MAX};

fn number(number: u64) -> [u8; 32] {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_le_bytes());
    id
}

fn rate(level: u64) -> FeeRate {
    FeeRate::new(250 * level)
}

/// After so many blocks in which ten transactions of each of ten rates come, those of level `n` are confirmed after
/// `11 - n` blocks.
fn history(blocks: u32) -> Estimator {
    let mut estimator = Estimator::new();
    let id = |height: u32, level: u64, one: u64| number(u64::from(height) * 1000 + level * 100 + one);
    estimator.connect(Height::new(1), &[]);
    for height in 1..=blocks {
        for (level, one) in (1..=10).flat_map(|level| (0..10).map(move |one| (level, one))) {
            estimator.enter(id(height, level, one), rate(level), Height::new(height));
        }
        let mut confirmed = vec![];
        for level in 1..=10u64 {
            let came = (height + 1).saturating_sub(11 - level as u32);
            confirmed.extend((0..10).filter(|_| came > 0).map(|one| (id(came, level, one), rate(level))));
        }
        estimator.connect(Height::new(height + 1), &confirmed);
    }
    estimator
}

#[test]
fn nothing_is_said_without_data() {
    assert_eq!(Estimator::new().estimate(6, false).fee_rate, None);
    let few = history(3).estimate(6, false);
    assert!(few.fee_rate.is_none(), "{few:?}");
}

#[test]
fn who_waits_longer_pays_less_and_in_time_what_others_paid() {
    let estimator = history(300);
    let mut before = FeeRate::new(u64::MAX);
    for target in 1..=40 {
        let estimate = estimator.estimate(target, false);
        assert_eq!(estimate.blocks, target.max(2));
        let got = estimate.fee_rate.unwrap();
        assert!(got <= before, "{target}: {got:?} after {before:?}");
        assert!(estimator.estimate(target, true).fee_rate.unwrap() >= got);
        before = got;
    }
    // Within two blocks come levels 10 and 9. Half of the target, with a smaller share, asks for the very next one.
    let two = estimator.estimate(2, false).fee_rate.unwrap();
    assert!(rate(9) <= two && two <= rate(10), "{two:?}");
    let five = estimator.estimate(5, false).fee_rate.unwrap();
    assert!(rate(6) <= five && five <= rate(10), "{five:?}");
    let many = estimator.estimate(25, false).fee_rate.unwrap();
    assert!(many <= rate(2), "{many:?}");
    assert_eq!(estimator.estimate(1000, false).blocks, 149, "half of what was seen");
}

#[test]
fn congestion_raises_and_its_end_lowers() {
    let mut estimator = history(300);
    let calm = estimator.estimate(3, false).fee_rate.unwrap();
    // Nothing but the highest level is confirmed for a while; the rest is left waiting.
    for height in 302..330u32 {
        for one in 0..40u64 {
            estimator.enter(
                number(1_000_000_000 + u64::from(height) * 100 + one),
                rate(10),
                Height::new(height - 1),
            );
            estimator.enter(
                number(2_000_000_000 + u64::from(height) * 100 + one),
                rate(40),
                Height::new(height - 1),
            );
        }
        let paid: Vec<_> =
            (0..40).map(|one| (number(2_000_000_000 + u64::from(height) * 100 + one), rate(40))).collect();
        estimator.connect(Height::new(height), &paid);
    }
    let busy = estimator.estimate(3, false).fee_rate.unwrap();
    assert!(calm <= rate(10) && busy > rate(30), "{calm:?} {busy:?}");
    for height in 330..1000u32 {
        for one in 0..40u64 {
            estimator.enter(
                number(3_000_000_000 + u64::from(height) * 100 + one),
                rate(4),
                Height::new(height - 1),
            );
        }
        let mut paid: Vec<_> =
            (0..40).map(|one| (number(3_000_000_000 + u64::from(height) * 100 + one), rate(4))).collect();
        // There is room again for those who waited.
        let waited =
            (302..330).flat_map(|height| (0..40).map(move |one| number(1_000_000_000 + height * 100 + one)));
        paid.extend(waited.filter(|_| height == 330).map(|id| (id, rate(10))));
        estimator.connect(Height::new(height), &paid);
    }
    let after = estimator.estimate(3, false).fee_rate.unwrap();
    assert!(after <= rate(5), "{after:?}");
}

/// Heights that come again, with the same transactions or others, change no estimate.
#[test]
fn a_reorg_counts_nothing_twice() {
    let mut estimator = history(300);
    let before: Vec<_> = (1..50).map(|target| estimator.estimate(target, true)).collect();
    for height in 280..=301u32 {
        let again: Vec<_> =
            (0..10).map(|one| (number(u64::from(height) * 1000 + 900 + one), rate(9))).collect();
        estimator.connect(Height::new(height), &again);
        estimator.enter(number(7), rate(9), Height::new(height - 1));
    }
    assert_eq!((1..50).map(|target| estimator.estimate(target, true)).collect::<Vec<_>>(), before);
}

#[test]
fn what_was_learned_outlives_the_node() {
    let mut estimator = history(300);
    estimator.leave_all();
    assert_eq!(estimator.tracked(), 0);
    let bytes = estimator.to_bytes();
    let mut again = Estimator::from_bytes(&bytes).unwrap();
    assert_eq!(again.to_bytes(), bytes);
    for target in [2, 6, 40, TARGET_MAX] {
        assert_eq!(again.estimate(target, true), estimator.estimate(target, true));
    }
    // After too long nobody believes it.
    again.connect(Height::new(10_000), &[]);
    assert_eq!(again.estimate(6, false).fee_rate, None);
    let mut other = bytes.clone();
    other[0] ^= 1;
    assert!(Estimator::from_bytes(&other).is_err());
    assert!(Estimator::from_bytes(&bytes[..bytes.len() - 1]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever comes and goes in whatever order: no panic, targets are kept, and what is tracked has come.
    #[test]
    fn any_history_is_taken(
        steps in prop::collection::vec((0u64..40, any::<u64>(), 0u32..60, 0u8..4), 0..40),
        target in any::<u32>(),
    ) {
        let mut estimator = Estimator::new();
        for (id, fee, height, action) in steps {
            let (id, fee, height) = (number(id), FeeRate::new(fee), Height::new(height));
            match action {
                0 | 1 => estimator.enter(id, fee, height),
                2 => estimator.leave(&id),
                _ => estimator.connect(height, &[(id, fee)]),
            }
            prop_assert!(estimator.tracked() <= 40);
        }
        let estimate = estimator.estimate(target, target % 2 == 0);
        prop_assert!(estimate.blocks <= TARGET_MAX);
        let again = Estimator::from_bytes(&estimator.to_bytes()).unwrap();
        prop_assert_eq!(again.to_bytes(), estimator.to_bytes());
    }
}
