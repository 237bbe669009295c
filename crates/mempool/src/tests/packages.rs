//! A child that comes with the parents that it pays for.

use mass_primitives::Amount;

use super::{at, entry, id, limits, pool, room_for};
use crate::{AdmitError, Pool, Waiting};

fn parent() -> crate::Entry {
    entry(1, &[1], &[11], 10)
}

#[test]
fn a_child_pays_for_its_parents_and_for_as_long_as_it_stays() {
    let mut pool = pool(&[]);
    assert!(pool.admit(parent(), at(0)).is_err());
    let low = pool.admit_package(vec![parent(), entry(2, &[11], &[12], 189)], at(0));
    assert!(matches!(low, Err(AdmitError::BelowMinimum { .. })), "{low:?}");
    assert_eq!(pool.admit_package(vec![parent(), entry(2, &[11], &[12], 190)], at(0)), Ok(vec![]));
    assert_eq!(pool.len(), 2);
    // Another child that pays enough for both takes the place of the first.
    assert_eq!(pool.admit(entry(3, &[11], &[13], 400), at(0)), Ok(vec![id(2)]));
    // Who nobody pays for any more leaves.
    assert_eq!(pool.refuse([id(3)]), [id(3), id(1)]);
    assert!(pool.is_empty());
}

#[test]
fn who_comes_back_may_wait_for_the_child_that_pays() {
    let mut pool = pool(&[]);
    pool.restore(parent(), at(0)).unwrap();
    pool.restore(entry(5, &[5], &[15], 10), at(0)).unwrap();
    pool.restore(entry(2, &[11], &[12], 190), at(0)).unwrap();
    assert_eq!(pool.end_restoring(), [id(5)]);
    assert_eq!(pool.refuse([id(2)]), [id(2), id(1)]);
}

#[test]
fn a_package_has_one_child_behind_its_parents() {
    let mut pool = pool(&[]);
    let wrong = AdmitError::PackageShape { got: 2, max: 25 };
    assert_eq!(pool.admit_package(vec![entry(2, &[11], &[], 900), parent()], at(0)), Err(wrong));
    assert_eq!(pool.admit_package(vec![parent(), entry(2, &[9], &[], 900)], at(0)), Err(wrong));
    let chain = vec![parent(), entry(2, &[11], &[12], 900), entry(3, &[11, 12], &[], 900)];
    assert_eq!(pool.admit_package(chain, at(0)), Err(AdmitError::PackageShape { got: 3, max: 25 }));
    let twice = vec![parent(), entry(2, &[1], &[12], 900), entry(3, &[11, 12], &[], 900)];
    assert_eq!(pool.admit_package(twice, at(0)), Err(AdmitError::Malformed));
}

#[test]
fn a_package_of_two_replaces_what_it_pays_for() {
    let rival = [entry(8, &[1], &[18], 100), entry(9, &[18], &[19], 300)];
    let try_with = |package: Vec<crate::Entry>| pool(&rival).admit_package(package, at(0));
    let child = |fee| entry(2, &[11], &[12], fee);
    // 400 that leave, 200 for the relay of both.
    assert_eq!(try_with(vec![parent(), child(590)]), Ok(vec![id(8), id(9)]));
    let error = AdmitError::ReplacementFeeTooLow { got: Amount::new(599), expected: Amount::new(600) };
    assert_eq!(try_with(vec![parent(), child(589)]), Err(error));
    let error = AdmitError::PackageRateTooLow { got: Amount::new(1000), expected: Amount::new(1001) };
    assert_eq!(try_with(vec![entry(1, &[1], &[11], 500), child(500)]), Err(error));
    // No more than two, and nothing that waits behind them.
    let error = Err(AdmitError::PackageConflict { with: id(8) });
    assert_eq!(try_with(vec![parent(), entry(3, &[3], &[13], 10), entry(2, &[11, 13], &[], 9000)]), error);
    let mut pool = pool(&rival);
    pool.admit(entry(7, &[7], &[17], 100), at(0)).unwrap();
    assert_eq!(pool.admit_package(vec![entry(1, &[1, 17], &[11], 10), child(9000)], at(0)), error);
    assert_eq!(pool.len(), 3, "a refusal changes nothing");
}

#[test]
fn limits_hold_among_those_that_are_tried_together() {
    let chain: Vec<crate::Entry> = (1..=5).map(|n| entry(n, &[n], &[n + 1], 100)).collect();
    let none = pool(&[]);
    for length in 0..4 {
        assert_eq!(none.consider_after(&chain[..length], &chain[length], 0), Ok(vec![]));
    }
    let error = AdmitError::TooManyAncestors { got: 5, max: 4 };
    assert_eq!(none.consider_after(&chain[..4], &chain[4], 0), Err(error));
    // The same with half of them here.
    let half = pool(&chain[..2]);
    assert_eq!(half.consider_after(&chain[2..3], &chain[3], 0), Ok(vec![]));
    assert_eq!(half.consider_after(&chain[2..4], &chain[4], 0), Err(error));
    assert_eq!(half.len(), 2);
    let wide: Vec<crate::Entry> = (0..4).map(|n| entry(20 + n, &[30 + n], &[40 + n], 100)).collect();
    let pool = pool(&[entry(1, &[1], &[30, 31, 32, 33], 100)]);
    assert_eq!(pool.consider_after(&wide[..2], &wide[2], 0), Ok(vec![]));
    let error = AdmitError::TooManyDescendants { got: 5, max: 4 };
    assert_eq!(pool.consider_after(&wide[..3], &wide[3], 0), Err(error));
    // One that leaves for another makes room for a third.
    let rival = entry(5, &[30], &[50], 400);
    assert_eq!(pool.consider_after(&wide[1..3], &rival, 0), Ok(vec![]));
    let full = super::pool(&[entry(1, &[1], &[30, 31, 32, 33], 100), wide[0].clone()]);
    assert_eq!(full.consider_after(&wide[1..3], &rival, 0), Ok(vec![id(20)]));
}

#[test]
fn a_package_finds_room_by_its_rate_and_counts_against_the_limits() {
    let mut pool = Pool::new(room_for(2));
    pool.admit(entry(8, &[8], &[18], 100), at(0)).unwrap();
    pool.admit(entry(9, &[9], &[19], 2000), at(0)).unwrap();
    assert_eq!(pool.admit_package(vec![parent(), entry(2, &[11], &[12], 900)], at(0)), Err(AdmitError::Full));
    pool.refuse([id(9)]);
    assert_eq!(pool.admit_package(vec![parent(), entry(2, &[11], &[12], 900)], at(0)), Ok(vec![id(8)]));

    let mut pool = Pool::new(limits());
    (1..=3).for_each(|n| drop(pool.admit(entry(n, &[n], &[n + 1], 100), at(0)).unwrap()));
    let package = vec![entry(4, &[4], &[5], 10), entry(5, &[5], &[6], 900)];
    let error = AdmitError::TooManyAncestors { got: 5, max: 4 };
    assert_eq!(pool.admit_package(package, at(0)), Err(error));
}

#[test]
fn the_ledger_sees_what_came_before_in_the_package() {
    let (pool, package) = (pool(&[entry(9, &[1], &[19], 100)]), [parent()]);
    let waiting = Waiting::new(&pool, &package);
    assert_eq!(waiting.created(&[11]).unwrap().id, id(1));
    assert_eq!(waiting.created(&[19]).unwrap().id, id(9));
    assert!(waiting.created(&[1]).is_none());
}
