//! Random histories: after every step the pool says and holds what the obvious one does, and the invariants hold.
//!
//! Coin keys come from a small set, so conflicts, circles, late parents and replacements abound.

use std::collections::BTreeSet;

use mass_primitives::Amount;
use proptest::{collection::vec, prelude::*};

use super::{at, id, limits, model::Model, room_for};
use crate::{CoinKey, Entry, EntryId, Limits, Pool};

#[derive(Clone, Debug)]
enum Step {
    Admit(Entry, bool),
    Package(Vec<Entry>),
    Confirm(u64),
    Spend(u8),
    Refuse(u8),
    Expire,
    Prioritise(u8, i64),
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let keys = || vec(0u8..24, 0..4).prop_map(|keys| keys.into_iter().map(|key| vec![key]).collect());
    (any::<u8>(), keys(), keys(), 0u64..3000, 1u64..1500).prop_map(
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

/// A parent and its child, most of the time.
fn any_package() -> impl Strategy<Value = Vec<Entry>> {
    (any_entry(), any_entry()).prop_map(|(parent, mut child)| {
        child.spends.extend(parent.creates.first().cloned());
        child.spends.dedup();
        vec![parent, child]
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (any_entry(), prop::bool::weighted(0.1)).prop_map(|(entry, back)| Step::Admit(entry, back)),
        4 => any_package().prop_map(Step::Package),
        1 => (0u64..4000).prop_map(Step::Confirm),
        1 => (0u8..24).prop_map(Step::Spend),
        1 => any::<u8>().prop_map(Step::Refuse),
        1 => Just(Step::Expire),
        1 => (any::<u8>(), -900i64..900).prop_map(|(number, delta)| Step::Prioritise(number, delta)),
    ]
}

type Ids = BTreeSet<EntryId>;

/// Takes one step on both sides, and compares what they say.
fn step(pool: &mut Pool, model: &mut Model, step: Step, now: u64) {
    let rolling = pool.min_fee_rate(now);
    let set = |ids: Vec<EntryId>| ids.into_iter().collect::<Ids>();
    match step {
        Step::Admit(entry, back) => {
            let considered = pool.consider(&entry, now).map(set);
            let number = entry.id;
            let got =
                if back { pool.readmit(entry.clone(), at(now)) } else { pool.admit(entry.clone(), at(now)) };
            let got = got.map(set);
            assert_eq!(got.is_ok(), pool.contains(&number) && got != Err(crate::AdmitError::Duplicate));
            if !back {
                assert_eq!(considered.is_ok(), got.is_ok());
            }
            assert_eq!(got.ok(), model.admit(entry, now, rolling, back));
        }
        Step::Package(entries) => {
            let got = pool.admit_package(entries.clone(), at(now)).map(set);
            assert_eq!(got.ok(), model.admit_package(entries, now, rolling));
        }
        Step::Confirm(room) => {
            let block: Vec<Entry> = pool.template(room).into_iter().cloned().collect();
            let spent: Vec<CoinKey> = block.iter().flat_map(|entry| entry.spends.clone()).collect();
            let ids: Vec<EntryId> = block.iter().map(|entry| entry.id).collect();
            assert!(pool.confirm(&ids, &spent, now).is_empty(), "its own template conflicts with nothing");
            model.deltas.retain(|(id, _)| !ids.contains(id));
            model.remove(&ids.into_iter().collect(), &Ids::new());
        }
        Step::Spend(key) => {
            let spends = |entry: &Entry| entry.spends.contains(&vec![key]);
            let direct = model.list.iter().filter(|one| spends(&one.entry)).map(|one| one.entry.id).collect();
            assert_eq!(set(pool.confirm(&[], &[vec![key]], now)), model.remove_families(&direct));
        }
        Step::Refuse(number) => {
            let ids = model.ids().into_iter().filter(|one| *one == id(number)).collect();
            assert_eq!(set(pool.refuse([id(number)])), model.remove_families(&ids));
        }
        Step::Expire => {
            let is_old = |seconds: u64| now - seconds >= model.limits.expiry_seconds;
            let old = model.list.iter().filter(|one| is_old(one.seconds)).map(|one| one.entry.id).collect();
            assert_eq!(set(pool.expire(now)), model.remove_families(&old));
        }
        Step::Prioritise(number, delta) => {
            let sum = model.delta(&id(number)) + delta;
            model.deltas.retain(|(of, _)| *of != id(number));
            model.deltas.push((id(number), sum));
            model.list.iter_mut().filter(|one| one.entry.id == id(number)).for_each(|one| one.delta = sum);
            pool.prioritise(id(number), delta).unwrap();
        }
    }
}

/// The pool holds what the model does, and its sums and indexes are those of a walk.
fn check(pool: &Pool, model: &Model) {
    assert_eq!(pool.ids().collect::<Ids>(), model.ids());
    let limits = pool.limits();
    let entries: Vec<&Entry> = pool.residents().map(|resident| resident.entry()).collect();
    assert_eq!(entries.iter().map(|entry| u128::from(entry.weight)).sum::<u128>(), pool.weight());
    assert_eq!(entries.iter().map(|entry| u128::from(entry.fee.get())).sum::<u128>(), pool.fees());
    assert_eq!(entries.iter().map(|entry| entry.memory_bytes()).sum::<usize>(), pool.memory_bytes());
    assert!(pool.memory_bytes() <= limits.memory_bytes_max);
    let (mut best, mut worst) = (BTreeSet::new(), BTreeSet::new());
    for resident in pool.residents() {
        let entry = resident.entry();
        assert!(entry.spends.iter().all(|key| pool.spent(key).unwrap().id == entry.id));
        assert!(entry.creates.iter().all(|key| pool.created(key).unwrap().id == entry.id));
        for (family, sums) in
            [(model.above(entry), resident.ancestors()), (model.below(entry), resident.descendants())]
        {
            let family = || family.iter().chain([&entry.id]).map(|id| pool.resident(id).unwrap());
            assert_eq!(sums.count, family().count());
            assert_eq!(sums.weight, family().map(|one| u128::from(one.entry().weight)).sum());
            assert_eq!(sums.fee, family().map(|one| u128::from(one.modified_fee().get())).sum());
        }
        assert!(resident.ancestors().count <= limits.ancestors_max);
        assert!(resident.ancestors().weight <= limits.ancestors_weight_max.into());
        assert!(resident.descendants().count <= limits.descendants_max);
        assert!(resident.descendants().weight <= limits.descendants_weight_max.into());
        best.insert((std::cmp::Reverse(resident.mining_rate()), resident.number));
        worst.insert((resident.keeping_rate(), std::cmp::Reverse(resident.number)));
    }
    assert!(pool.best_first().map(|(rate, number, _)| (rate, number)).eq(best));
    assert!(pool.worst_first().map(|(rate, number, _)| (rate, number)).eq(worst));
    assert_eq!(pool.template(u64::MAX).len(), pool.len(), "room for all, so all are chosen");
}

proptest! {
    #[test]
    fn a_random_history_is_that_of_the_obvious_pool(
        steps in vec(any_step(), 1..60),
        room in 1usize..12,
        ancestors_weight_max in 1000u64..6000,
        replaced_max in 1usize..6,
    ) {
        let limits = Limits {
            ancestors_weight_max, replaced_max, memory_bytes_max: room_for(room).memory_bytes_max, ..limits()
        };
        let (mut pool, mut model) = (Pool::new(limits), Model::new(limits));
        for (now, one) in (0u64..).step_by(3).zip(steps) {
            step(&mut pool, &mut model, one, now);
            check(&pool, &model);
        }
    }
}
