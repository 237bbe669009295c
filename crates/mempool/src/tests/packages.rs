//! A child that comes with the parents that it pays for.

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
fn what_needs_its_package_replaces_nothing() {
    let mut pool = pool(&[entry(9, &[1], &[19], 100)]);
    let error = AdmitError::PackageConflict { with: id(9) };
    assert_eq!(pool.admit_package(vec![parent(), entry(2, &[11], &[12], 9000)], at(0)), Err(error));
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
