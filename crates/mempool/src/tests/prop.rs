//! Properties that hold after every step of a random history.
//!
//! Coin keys come from a small set, so conflicts, circles, late parents and replacements abound.

use std::collections::{BTreeMap, BTreeSet};

use mass_primitives::Amount;
use proptest::{collection::vec, prelude::*};

use super::{id, limits};
use crate::{CoinKey, Entry, Limits, Pool};

#[derive(Clone, Debug)]
enum Step {
    Admit(Entry),
    Confirm(u64),
    Spend(u8),
    Expire,
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let keys = || vec(0u8..24, 0..4).prop_map(|keys| keys.into_iter().map(|key| vec![key]).collect());
    (any::<u8>(), keys(), keys(), 0u64..3000, 0u64..1500).prop_map(
        |(number, spends, creates, fee, weight)| Entry {
            id: id(number),
            bytes: vec![],
            spends,
            creates,
            fee: Amount::new(fee),
            weight,
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => any_entry().prop_map(Step::Admit),
        1 => (0u64..4000).prop_map(Step::Confirm),
        1 => (0u8..24).prop_map(Step::Spend),
        1 => Just(Step::Expire),
    ]
}

fn parents(pool: &Pool, entry: &Entry) -> Vec<[u8; 32]> {
    entry.spends.iter().filter_map(|key| pool.created(key)).map(|parent| parent.id).collect()
}

fn check_template(pool: &Pool, weight_max: u64) {
    let template = pool.template(weight_max);
    assert!(template.iter().map(|entry| entry.weight).sum::<u64>() <= weight_max);
    let mut seen = BTreeSet::new();
    let mut spent: BTreeSet<&CoinKey> = BTreeSet::new();
    for entry in &template {
        assert!(parents(pool, entry).iter().all(|parent| seen.contains(parent)), "parent missing or late");
        assert!(entry.spends.iter().all(|key| spent.insert(key)), "conflict");
        assert!(seen.insert(entry.id), "twice");
    }
}

fn check_pool(pool: &Pool) {
    let limits = pool.limits();
    let entries: Vec<&Entry> = pool.ids().map(|id| pool.get(&id).unwrap()).collect();
    assert_eq!(entries.iter().map(|entry| entry.weight).sum::<u64>(), pool.weight());
    assert!(pool.weight() <= limits.weight_max && pool.len() <= limits.entries_max);
    for entry in &entries {
        assert!(entry.spends.iter().all(|key| pool.spent(key).unwrap().id == entry.id));
        assert!(entry.creates.iter().all(|key| pool.created(key).unwrap().id == entry.id));
        assert!(pool.ancestors(entry, usize::MAX).len() <= limits.ancestors_max);
    }
    assert_eq!(pool.cheapest_first().count(), pool.len());
    assert_eq!(pool.template(u64::MAX).len(), pool.len(), "room for all, so all are chosen");
}

/// Whoever had a parent here still has it, unless a block confirmed the parent or a new entry of the
/// same id came.
fn check_parents(before: &BTreeMap<[u8; 32], Vec<[u8; 32]>>, pool: &Pool, confirmed: &[[u8; 32]]) {
    for (child, parents) in before.iter().filter(|(child, _)| pool.contains(child)) {
        for parent in parents {
            assert!(pool.contains(parent) || confirmed.contains(parent), "{child:?} lost a parent");
        }
    }
}

proptest! {
    #[test]
    fn a_random_history_keeps_the_invariants(
        steps in vec(any_step(), 1..60),
        entries_max in 1usize..12,
        weight_max in 0u64..8000,
    ) {
        let mut pool = Pool::new(Limits { entries_max, ..limits() });
        for (now, step) in (0u64..).step_by(3).zip(steps) {
            let before = pool.ids().map(|id| (id, parents(&pool, pool.get(&id).unwrap()))).collect();
            let mut confirmed = vec![];
            match step {
                Step::Admit(entry) => {
                    let (len, new) = (pool.len(), entry.id);
                    match pool.admit(entry, now) {
                        Ok(left) => {
                            prop_assert_eq!(pool.len(), len + 1 - left.len());
                            prop_assert!(pool.contains(&new));
                            prop_assert!(left.iter().all(|id| !pool.contains(id)));
                        }
                        Err(_) => prop_assert_eq!(pool.len(), len),
                    }
                }
                Step::Confirm(room) => {
                    let block: Vec<Entry> = pool.template(room).into_iter().cloned().collect();
                    let spent: Vec<CoinKey> = block.iter().flat_map(|entry| entry.spends.clone()).collect();
                    confirmed = block.iter().map(|entry| entry.id).collect();
                    prop_assert!(pool.confirm(&confirmed, &spent).is_empty());
                }
                Step::Spend(key) => {
                    pool.confirm(&[], &[vec![key]]);
                    prop_assert!(pool.spent(&[key]).is_none());
                }
                Step::Expire => {
                    pool.expire(now);
                }
            }
            check_parents(&before, &pool, &confirmed);
            check_pool(&pool);
            check_template(&pool, weight_max);
        }
    }
}
