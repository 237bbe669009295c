//! One case per refusal, per way out of the pool, and per rule of the order.

use mass_primitives::Amount;

use super::{at, entry, id, limits, pool, pool_with, room_for};
use crate::{AdmitError, Entry, EntryId, FeeRate, Limits, Pool, Rate};

/// The refusal is the one expected, and changes nothing.
fn refuses(mut pool: Pool, entry: Entry, error: AdmitError) {
    let before: Vec<EntryId> = pool.ids().collect();
    let (weight, memory) = (pool.weight(), pool.memory_bytes());
    assert_eq!(pool.consider(&entry, 0), Err(error));
    assert_eq!(pool.admit(entry, at(0)), Err(error));
    assert_eq!(pool.ids().collect::<Vec<_>>(), before);
    assert_eq!((pool.weight(), pool.memory_bytes()), (weight, memory));
}

fn low(got: u64, expected: u64) -> AdmitError {
    AdmitError::BelowMinimum { got: Amount::new(got), expected: Amount::new(expected) }
}

fn replaces_not(got: u64, expected: u64) -> AdmitError {
    AdmitError::ReplacementFeeTooLow { got: Amount::new(got), expected: Amount::new(expected) }
}

#[test]
fn admits_and_answers() {
    let pool = pool(&[entry(1, &[1], &[2, 3], 100), entry(2, &[2], &[4], 150)]);
    assert_eq!((pool.len(), pool.weight(), pool.fees(), pool.is_empty()), (2, 200, 250, false));
    assert!(pool.contains(&id(1)) && !pool.contains(&id(3)));
    assert_eq!(pool.get(&id(2)).unwrap().bytes, [2]);
    assert_eq!(pool.created(&[3]).unwrap().id, id(1));
    assert_eq!(pool.spent(&[2]).unwrap().id, id(2));
    assert!(pool.created(&[1]).is_none());
    let child = pool.resident(&id(2)).unwrap();
    assert_eq!(pool.relatives(child), [vec![id(1)], vec![]]);
    assert_eq!((child.ancestors().count, child.ancestors().fee, child.descendants().count), (2, 250, 1));
    assert_eq!((pool.ancestors(&id(2)), pool.descendants(&id(1))), (vec![id(1)], vec![id(2)]));
    assert_eq!(pool.changes(), 2);
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
fn refuses_fee_too_low_unless_it_was_in_a_block() {
    refuses(pool(&[]), entry(1, &[1], &[], 99), low(99, 100));
    let mut pool = pool(&[]);
    assert_eq!(pool.readmit(entry(1, &[1], &[], 0), at(0)), Ok(vec![]));
    assert_eq!(FeeRate::new(1).fee(1001), Amount::new(2));
    assert_eq!(FeeRate::new(u64::MAX).fee(u64::MAX), Amount::new(u64::MAX));
    assert_eq!(Rate::new(299, 100).per_1000(), FeeRate::new(2990));
}

#[test]
fn refuses_conflict_with_own_ancestor() {
    let error = AdmitError::Conflict { with: id(1) };
    refuses(pool(&[entry(1, &[1], &[2], 100)]), entry(2, &[1, 2], &[], 9000), error);
}

#[test]
fn replaces_with_descendants_for_fee_and_relay() {
    let mut pool = pool(&[entry(1, &[1], &[2], 100), entry(2, &[2], &[], 150)]);
    refuses(pool.clone(), entry(3, &[1], &[], 349), replaces_not(349, 350));
    assert_eq!(pool.consider(&entry(3, &[1], &[], 350), 0), Ok(vec![id(1), id(2)]));
    assert_eq!(pool.len(), 2, "to consider changes nothing");
    assert_eq!(pool.admit(entry(3, &[1], &[], 350), at(0)), Ok(vec![id(1), id(2)]));
    assert_eq!((pool.len(), pool.weight()), (1, 100));
    assert!(pool.created(&[2]).is_none() && pool.spent(&[2]).is_none());
}

#[test]
fn refuses_replacement_with_a_lower_rate() {
    let mut heavy = entry(3, &[1], &[], 1200);
    heavy.weight = 1000;
    refuses(pool(&[entry(1, &[1], &[], 200)]), heavy, replaces_not(1200, 2001));
    // With the cheap parent that it brings it would be worth less than what it replaces.
    let entries = [entry(1, &[1], &[], 300), entry(2, &[2], &[12], 100)];
    refuses(pool(&entries), entry(3, &[1, 12], &[], 500), replaces_not(500, 501));
}

#[test]
fn refuses_too_many_replaced() {
    let children: Vec<u8> = (100..=200).collect();
    let wide = Limits { descendants_max: 200, descendants_weight_max: 100_000, ..limits() };
    let mut pool = Pool::new(wide);
    pool.admit(entry(1, &[1], &children, 100), at(0)).unwrap();
    for child in children {
        pool.admit(entry(child, &[child], &[], 100), at(0)).unwrap();
    }
    let error = AdmitError::TooManyReplaced { got: 102, max: 100 };
    refuses(pool, entry(2, &[1], &[], 1_000_000), error);
}

#[test]
fn refuses_too_many_or_too_heavy_ancestors() {
    let chain: Vec<Entry> = (1..=4).map(|n| entry(n, &[n], &[n + 1], 100)).collect();
    let error = AdmitError::TooManyAncestors { got: 5, max: 4 };
    let long = Limits { descendants_max: 9, ..limits() };
    refuses(pool_with(long, &chain), entry(5, &[5], &[], 100), error);
    // The same, when the parent comes last.
    refuses(pool_with(long, &chain), entry(9, &[99], &[1], 100), error);
    let light = Limits { ancestors_weight_max: 250, ..long };
    let error = AdmitError::AncestorsTooHeavy { got: 300, max: 250 };
    refuses(pool_with(light, &chain[..2]), entry(3, &[3], &[], 100), error);
}

#[test]
fn refuses_too_many_or_too_heavy_descendants() {
    let mut fan = vec![entry(1, &[1], &[11, 12, 13, 14], 100)];
    fan.extend((11..=13).map(|n| entry(n, &[n], &[n + 10], 200)));
    let error = AdmitError::TooManyDescendants { got: 5, max: 4 };
    refuses(pool(&fan), entry(14, &[14], &[], 100), error);
    // Who replaces a descendant takes its place.
    assert_eq!(pool(&fan).admit(entry(15, &[13], &[], 900), at(0)), Ok(vec![id(13)]));
    let light = Limits { descendants_weight_max: 250, ..limits() };
    let error = AdmitError::DescendantsTooHeavy { got: 300, max: 250 };
    refuses(pool_with(light, &fan[..2]), entry(14, &[14], &[], 100), error);
}

#[test]
fn refuses_when_full_of_better() {
    let entries = [entry(1, &[1], &[11], 200), entry(2, &[2], &[12], 300)];
    refuses(pool_with(room_for(2), &entries), entry(3, &[3], &[13], 200), AdmitError::Full);
    refuses(pool_with(room_for(0), &[]), entry(1, &[1], &[], 500), AdmitError::Full);
}

#[test]
fn evicts_the_lowest_rate_but_not_a_paid_parent() {
    let entries = [entry(1, &[1], &[11], 100), entry(2, &[11], &[12], 900), entry(3, &[3], &[13], 200)];
    let mut pool = pool_with(room_for(3), &entries);
    assert_eq!(pool.admit(entry(4, &[4], &[14], 310), at(0)), Ok(vec![id(3)]));
    // 1 with 2 pays 1000 for 200: it leaves, with its child, only for more.
    assert_eq!(pool.admit(entry(5, &[5], &[15], 600), at(0)), Ok(vec![id(4)]));
    assert_eq!(pool.admit(entry(6, &[6], &[16], 610), at(0)), Ok(vec![id(1), id(2)]));
    assert_eq!((pool.len(), pool.weight()), (2, 200));
}

#[test]
fn a_full_pool_asks_for_more_and_for_less_with_time() {
    let mut pool = pool_with(room_for(2), &[entry(1, &[1], &[11], 2000), entry(2, &[2], &[12], 3000)]);
    assert_eq!(pool.min_fee_rate(0), FeeRate::new(1000));
    pool.admit(entry(3, &[3], &[13], 4000), at(0)).unwrap();
    assert_eq!(pool.min_fee_rate(0), FeeRate::new(21_000), "what was evicted and one increment");
    let got = Amount::new(2050);
    let error = AdmitError::BelowRollingMinimum { got, expected: Amount::new(2100) };
    assert_eq!(pool.admit(entry(4, &[4], &[14], 2050), at(0)), Err(error));
    assert_eq!(pool.admit(entry(4, &[4], &[14], 2500), at(0)), Err(AdmitError::Full));
    assert_eq!(pool.min_fee_rate(0), FeeRate::new(26_000), "who found no room raises it, too");

    let day = 24 * 3600;
    assert_eq!(pool.min_fee_rate(day), FeeRate::new(26_000), "nothing falls before a block");
    pool.confirm(&[], &[], day);
    assert_eq!(pool.min_fee_rate(day + day / 2), FeeRate::new(13_000));
    // An empty pool forgets four times as fast.
    let all: Vec<EntryId> = pool.ids().collect();
    pool.refuse(all);
    assert_eq!(pool.min_fee_rate(day + day / 8), FeeRate::new(13_000));
    assert_eq!(pool.min_fee_rate(3 * day), FeeRate::new(1000));
    pool.settle(3 * day);
    assert_eq!(pool.admit(entry(4, &[4], &[], 100), at(3 * day)), Ok(vec![]));
}

#[test]
fn confirm_keeps_children_and_removes_conflicts() {
    let mut pool = pool(&[
        entry(1, &[1], &[11], 100),
        entry(2, &[11], &[], 100),
        entry(3, &[3], &[13], 100),
        entry(4, &[13], &[], 100),
    ]);
    assert_eq!(pool.confirm(&[id(1), id(77)], &[vec![1], vec![3]], 0), [id(3), id(4)]);
    assert_eq!(pool.ids().collect::<Vec<_>>(), [id(2)]);
    assert_eq!((pool.weight(), pool.changes()), (100, 6));
    assert_eq!(pool.resident(&id(2)).unwrap().ancestors().count, 1);
}

#[test]
fn expires_with_descendants() {
    let mut pool = pool(&[entry(1, &[1], &[11], 100)]);
    pool.admit(entry(2, &[11], &[], 100), at(90)).unwrap();
    pool.admit(entry(3, &[3], &[], 100), at(500)).unwrap();
    assert!(pool.expire(99).is_empty());
    assert_eq!(pool.expire(100), [id(1), id(2)]);
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_parent_may_come_after_its_child() {
    let mut pool = pool(&[entry(2, &[11], &[], 900)]);
    pool.admit(entry(1, &[1], &[11], 100), at(0)).unwrap();
    assert_eq!(pool.resident(&id(1)).unwrap().descendants().count, 2);
    assert_eq!(pool.in_order().iter().map(|resident| resident.entry().id[0]).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn the_operator_moves_what_he_likes() {
    let mut pool = Pool::new(limits());
    pool.prioritise(id(1), 50).unwrap();
    assert_eq!(pool.admit(entry(1, &[1], &[11], 50), at(0)), Ok(vec![]));
    pool.admit(entry(2, &[11], &[], 100), at(0)).unwrap();
    assert_eq!((pool.resident(&id(1)).unwrap().modified_fee(), pool.fees()), (Amount::new(100), 150));
    pool.prioritise(id(1), -90).unwrap();
    assert_eq!(pool.resident(&id(1)).unwrap().modified_fee(), Amount::new(10));
    assert_eq!(pool.resident(&id(2)).unwrap().ancestors().fee, 110);
    pool.prioritise(id(1), i64::MIN).unwrap();
    assert_eq!(pool.resident(&id(1)).unwrap().modified_fee(), Amount::ZERO);
    pool.confirm(&[id(1)], &[], 0);
    assert_eq!(pool.deltas().count(), 0);
}
