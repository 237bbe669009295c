//! One case per refusal, per way out of the pool, and per rule of the order.

use mass_primitives::Amount;

use super::{entry, id, limits};
use crate::{AdmitError, Entry, EntryId, FeeRate, Limits, Pool, REPLACED_MAX};

fn pool(entries: &[Entry]) -> Pool {
    pool_with(limits(), entries)
}

fn pool_with(limits: Limits, entries: &[Entry]) -> Pool {
    let mut pool = Pool::new(limits);
    for entry in entries {
        assert_eq!(pool.admit(entry.clone(), 0), Ok(vec![]));
    }
    pool
}

/// The refusal is the one expected, and changes nothing.
fn refuses(mut pool: Pool, entry: Entry, error: AdmitError) {
    let before: Vec<EntryId> = pool.ids().collect();
    let weight = pool.weight();
    assert_eq!(pool.admit(entry, 0), Err(error));
    assert_eq!(pool.ids().collect::<Vec<_>>(), before);
    assert_eq!(pool.weight(), weight);
}

fn order(pool: &Pool, weight_max: u64) -> Vec<u8> {
    pool.template(weight_max).iter().map(|entry| entry.id[0]).collect()
}

#[test]
fn admits_and_answers() {
    let pool = pool(&[entry(1, &[1], &[2, 3], 100), entry(2, &[2], &[4], 100)]);
    assert_eq!((pool.len(), pool.weight(), pool.is_empty()), (2, 200, false));
    assert!(pool.contains(&id(1)) && !pool.contains(&id(3)));
    assert_eq!(pool.get(&id(2)).unwrap().bytes, [2]);
    assert_eq!(pool.created(&[3]).unwrap().id, id(1));
    assert_eq!(pool.spent(&[2]).unwrap().id, id(2));
    assert!(pool.created(&[1]).is_none());
}

#[test]
fn refuses_duplicate() {
    refuses(pool(&[entry(1, &[1], &[], 100)]), entry(1, &[9], &[], 900), AdmitError::Duplicate);
}

#[test]
fn refuses_malformed() {
    refuses(pool(&[]), entry(1, &[1, 1], &[], 100), AdmitError::Malformed);
    refuses(pool(&[]), entry(1, &[1], &[1], 100), AdmitError::Malformed);
    refuses(pool(&[entry(1, &[1], &[2], 100)]), entry(2, &[2], &[1], 100), AdmitError::Malformed);
}

#[test]
fn refuses_fee_too_low() {
    let error = AdmitError::FeeTooLow { got: Amount::new(99), expected: Amount::new(100) };
    refuses(pool(&[]), entry(1, &[1], &[], 99), error);
    assert_eq!(FeeRate::new(1).fee(1001), Amount::new(2));
    assert_eq!(FeeRate::new(u64::MAX).fee(u64::MAX), Amount::new(u64::MAX));
}

#[test]
fn refuses_conflict_with_own_ancestor() {
    let error = AdmitError::Conflict { with: id(1) };
    refuses(pool(&[entry(1, &[1], &[2], 100)]), entry(2, &[1, 2], &[], 9000), error);
}

#[test]
fn replaces_with_descendants_for_fee_and_relay() {
    let mut pool = pool(&[entry(1, &[1], &[2], 100), entry(2, &[2], &[], 150)]);
    let error = AdmitError::ReplacementFeeTooLow { got: Amount::new(349), expected: Amount::new(350) };
    refuses(pool.clone(), entry(3, &[1], &[], 349), error);
    assert_eq!(pool.admit(entry(3, &[1], &[], 350), 0), Ok(vec![id(1), id(2)]));
    assert_eq!((pool.len(), pool.weight()), (1, 100));
    assert!(pool.created(&[2]).is_none() && pool.spent(&[2]).is_none());
}

#[test]
fn refuses_replacement_with_a_lower_rate() {
    let mut heavy = entry(3, &[1], &[], 1200);
    heavy.weight = 1000;
    let error = AdmitError::ReplacementFeeTooLow { got: Amount::new(1200), expected: Amount::new(2001) };
    refuses(pool(&[entry(1, &[1], &[], 200)]), heavy, error);
}

#[test]
fn refuses_too_many_replaced() {
    let children: Vec<u8> = (100..=200).collect();
    let mut pool = Pool::new(Limits { entries_max: 1000, weight_max: 100_000, ..limits() });
    pool.admit(entry(1, &[1], &children, 100), 0).unwrap();
    for child in children {
        pool.admit(entry(child, &[child], &[], 100), 0).unwrap();
    }
    let error = AdmitError::TooManyReplaced { got: REPLACED_MAX + 2, max: REPLACED_MAX };
    refuses(pool, entry(2, &[1], &[], 1_000_000), error);
}

#[test]
fn refuses_too_many_ancestors() {
    let chain: Vec<Entry> = (1..=4).map(|n| entry(n, &[n], &[n + 1], 100)).collect();
    let error = AdmitError::TooManyAncestors { got: 4, max: 3 };
    refuses(pool(&chain), entry(5, &[5], &[], 100), error);
    // The same, when the parent comes last.
    refuses(pool(&chain), entry(9, &[99], &[1], 100), error);
}

#[test]
fn refuses_when_full_of_better() {
    let full = Limits { entries_max: 2, ..limits() };
    let entries = [entry(1, &[1], &[], 200), entry(2, &[2], &[], 300)];
    refuses(pool_with(full, &entries), entry(3, &[3], &[], 200), AdmitError::Full);
    let small = Limits { weight_max: 99, ..limits() };
    refuses(pool_with(small, &[]), entry(1, &[1], &[], 500), AdmitError::Full);
}

#[test]
fn evicts_the_lowest_rate_but_not_a_paid_parent() {
    let full = Limits { weight_max: 300, ..limits() };
    let entries = [entry(1, &[1], &[11], 100), entry(2, &[11], &[], 900), entry(3, &[3], &[], 200)];
    let mut pool = pool_with(full, &entries);
    assert_eq!(pool.admit(entry(4, &[4], &[], 300), 0), Ok(vec![id(3)]));
    // 1 with 2 pays 1000 for 200: it leaves, with its child, only for more.
    assert_eq!(pool.admit(entry(5, &[5], &[], 600), 0), Ok(vec![id(4)]));
    assert_eq!(pool.admit(entry(6, &[6], &[], 610), 0), Ok(vec![id(1), id(2)]));
    assert_eq!((pool.len(), pool.weight()), (2, 200));
}

#[test]
fn template_goes_by_ancestor_rate() {
    let pool = pool(&[
        entry(1, &[1], &[11], 100),
        entry(2, &[11], &[12], 900),
        entry(3, &[3], &[], 400),
        entry(4, &[12], &[], 450),
    ]);
    assert_eq!(order(&pool, 1000), [1, 2, 4, 3]);
    // The best package does not fit; the next does.
    assert_eq!(order(&pool, 199), [3]);
    assert_eq!(order(&pool, 99), [0u8; 0]);
}

#[test]
fn confirm_keeps_children_and_removes_conflicts() {
    let mut pool = pool(&[
        entry(1, &[1], &[11], 100),
        entry(2, &[11], &[], 100),
        entry(3, &[3], &[13], 100),
        entry(4, &[13], &[], 100),
    ]);
    assert_eq!(pool.confirm(&[id(1), id(77)], &[vec![1], vec![3]]), [id(3), id(4)]);
    assert_eq!(pool.ids().collect::<Vec<_>>(), [id(2)]);
    assert_eq!(pool.weight(), 100);
}

#[test]
fn expires_with_descendants() {
    let mut pool = pool(&[entry(1, &[1], &[11], 100)]);
    pool.admit(entry(2, &[11], &[], 100), 90).unwrap();
    pool.admit(entry(3, &[3], &[], 100), 500).unwrap();
    assert!(pool.expire(99).is_empty());
    assert_eq!(pool.expire(100), [id(1), id(2)]);
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_parent_may_come_after_its_child() {
    let mut pool = pool(&[entry(2, &[11], &[], 900)]);
    pool.admit(entry(1, &[1], &[11], 100), 0).unwrap();
    assert_eq!(order(&pool, 1000), [1, 2]);
}
