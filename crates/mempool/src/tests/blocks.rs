//! Templates: their order, what they leave out, and how near they come to the best block there is.

use std::collections::{BTreeMap, BTreeSet};

use mass_primitives::Amount;
use proptest::{collection::vec, prelude::*};

use super::{at, entry, id, limits, pool};
use crate::{Entry, Limits, Pool, Rate};

fn order(pool: &Pool, weight_max: u64) -> Vec<u8> {
    pool.template(weight_max).iter().map(|entry| entry.id[0]).collect()
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
    let without = pool.template_without(1000, &[id(2)]);
    assert_eq!(without.iter().map(|entry| entry.id[0]).collect::<Vec<_>>(), [3, 1]);
}

/// Entries whose parents are among those before them.
fn any_family(count: usize) -> impl Strategy<Value = Vec<Entry>> {
    let one = (vec(any::<prop::sample::Index>(), 0..3), 1u64..2000, 40u64..400, any::<bool>());
    vec(one, 1..=count).prop_map(|list| {
        let mut entries: Vec<Entry> = Vec::new();
        for (number, (parents, fee, weight, alone)) in list.into_iter().enumerate() {
            let parents: BTreeSet<usize> = match (number, alone) {
                (0, _) | (_, true) => BTreeSet::new(),
                _ => parents.iter().map(|index| index.index(number)).collect(),
            };
            let mut made = entry(number as u8, &[], &[], fee);
            made.weight = weight;
            made.spends = parents.iter().map(|parent| vec![*parent as u8, number as u8]).collect();
            for parent in parents {
                entries[parent].creates.push(vec![parent as u8, number as u8]);
            }
            entries.push(made);
        }
        entries
    })
}

fn wide() -> Limits {
    let weight = u64::MAX;
    Limits {
        ancestors_max: 25,
        descendants_max: 25,
        ancestors_weight_max: weight,
        descendants_weight_max: weight,
        min_fee_rate: crate::FeeRate::ZERO,
        memory_bytes_max: usize::MAX,
        ..limits()
    }
}

fn filled(entries: &[Entry]) -> Pool {
    let mut pool = Pool::new(wide());
    for entry in entries {
        let _ = pool.admit(entry.clone(), at(0));
    }
    pool
}

/// The fees of the best block of all: every set of entries that holds its parents is tried.
fn best_fees(entries: &[Entry], weight_max: u64) -> u64 {
    let parents: Vec<u32> = entries
        .iter()
        .map(|entry| {
            let creates = |other: &Entry| other.creates.iter().any(|key| entry.spends.contains(key));
            (0..).zip(entries).filter(|(_, other)| creates(other)).map(|(bit, _)| 1u32 << bit).sum()
        })
        .collect();
    let (mut best, all) = (0, 0..1u32 << entries.len());
    for set in all {
        let chosen = || (0..entries.len()).filter(move |bit| set >> bit & 1 == 1);
        if chosen().all(|bit| parents[bit] & !set == 0)
            && chosen().map(|bit| entries[bit].weight).sum::<u64>() <= weight_max
        {
            best = best.max(chosen().map(|bit| entries[bit].fee.get()).sum());
        }
    }
    best
}

fn fees(template: &[&Entry]) -> u64 {
    template.iter().map(|entry| entry.fee.get()).sum()
}

/// More than any block can earn, if each entry has one parent at the most: the optimum of the linear relaxation, in
/// which entries may be taken in part. The entry with the highest rate goes right behind its parent, and with it into
/// one chunk, over and over (Horn 1972); the chunks then fill the block by rate, the last one in part.
fn relaxed_bound(pool: &Pool, weight_max: u64) -> f64 {
    let residents: Vec<_> = pool.residents().collect();
    let place: BTreeMap<_, _> = residents.iter().zip(0usize..).map(|(r, at)| (r.entry().id, at)).collect();
    let parent = |at: usize| pool.relatives(residents[at])[0].first().map(|id| place[id]);
    let mut sums: Vec<(u64, u64)> =
        residents.iter().map(|r| (r.entry().fee.get(), r.entry().weight)).collect();
    let mut heads: Vec<usize> = (0..sums.len()).collect();
    let mut queue: BTreeSet<(Rate, usize)> =
        (0..).zip(&sums).map(|(at, s)| (Rate::new(s.0, s.1), at)).collect();
    let (mut room, mut fees) = (weight_max as f64, 0.0);
    while let Some((_, head)) = queue.pop_last().filter(|_| room > 0.0) {
        let (fee, weight) = sums[head];
        let mut above = parent(head);
        while let Some(at) = above.filter(|at| heads[*at] != *at) {
            above = Some(heads[at]);
        }
        match above.filter(|at| sums[*at].1 > 0) {
            Some(at) => {
                heads[head] = at;
                queue.remove(&(Rate::new(sums[at].0, sums[at].1), at));
                sums[at] = (sums[at].0 + fee, sums[at].1 + weight);
                queue.insert((Rate::new(sums[at].0, sums[at].1), at));
            }
            None => {
                let share = (room / weight as f64).min(1.0);
                fees += fee as f64 * share;
                room -= weight as f64 * share;
                sums[head] = (0, 0);
            }
        }
    }
    fees
}

proptest! {
    #[test]
    fn a_template_holds_parents_first_and_no_more_than_fits(
        entries in any_family(24),
        weight_max in 0u64..6000,
    ) {
        let pool = filled(&entries);
        let template = pool.template(weight_max);
        prop_assert!(template.iter().map(|entry| entry.weight).sum::<u64>() <= weight_max);
        let mut seen = BTreeSet::new();
        for entry in &template {
            let parents = entry.spends.iter().filter_map(|key| pool.created(key));
            prop_assert!(parents.map(|parent| parent.id).all(|id| seen.contains(&id)));
            prop_assert!(seen.insert(entry.id));
        }
        prop_assert_eq!(pool.template(u64::MAX).len(), pool.len());
        // What is left out does not fit any more.
        let room = weight_max - template.iter().map(|entry| entry.weight).sum::<u64>();
        for resident in pool.residents().filter(|resident| !seen.contains(&resident.entry().id)) {
            let needs = pool.ancestors(&resident.entry().id).into_iter().filter(|id| !seen.contains(id));
            let needs: u64 = needs.map(|id| pool.get(&id).unwrap().weight).sum();
            prop_assert!(needs + resident.entry().weight > room);
        }
    }
}

/// On small pools, against all blocks there are: where an entry is a large part of a block, greed wastes room at the
/// end, and the whole is what is judged.
#[test]
fn small_templates_come_near_the_best_block() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let (mut runner, mut got, mut best, mut exact) = (TestRunner::deterministic(), 0, 0, 0);
    let (rounds, strategy) = (300, any_family(11));
    for round in 0..rounds {
        let entries = strategy.new_tree(&mut runner).unwrap().current();
        let pool = filled(&entries);
        let entries: Vec<Entry> = pool.in_order().iter().map(|resident| resident.entry().clone()).collect();
        let weight_max = 300 + round % 10 * 150;
        let (ours, most) = (fees(&pool.template(weight_max)), best_fees(&entries, weight_max));
        assert!(ours <= most);
        (got, best, exact) = (got + ours, best + most, exact + u64::from(ours == most));
    }
    let share = got as f64 / best as f64;
    assert!(share > 0.96 && exact * 10 > rounds * 7, "{share} of the best fees, {exact} of {rounds} exact");
}

/// On large ones, against a bound that no block can reach.
#[test]
fn large_templates_come_near_a_bound_that_none_reaches() {
    let mut pool = Pool::new(wide());
    let mut seed = 1u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let key = |number: u64| number.to_le_bytes().to_vec();
    let mut open: BTreeMap<u64, u64> = BTreeMap::new();
    for number in 0..20_000u64 {
        let mut made = entry(0, &[], &[], 0);
        made.id[..8].copy_from_slice(&number.to_le_bytes());
        made.weight = 440 + random(2000);
        // Rates over three orders of magnitude, most of them low.
        made.fee = Amount::new(made.weight * (1 + random(10) * random(10) * random(10)));
        let parent = number.checked_sub(1 + random(50)).filter(|_| random(3) == 0);
        made.spends = vec![match parent.and_then(|parent| open.remove(&parent)) {
            Some(coin) => key(coin),
            None => key(1_000_000 + number),
        }];
        made.creates = vec![key(number)];
        open.insert(number, number);
        let _ = pool.admit(made, at(0));
    }
    assert!(pool.len() > 19_000);
    let share = fees(&pool.template(4_000_000)) as f64 / relaxed_bound(&pool, 4_000_000);
    assert!(share > 0.99, "{share} of the bound");
}
