//! Table 3 against the obvious plot and the reference, and against itself made in other ways.

use std::{
    num::NonZeroUsize,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use mass_primitives::{GroupId, PlotIndex};
use mass_proof_of_space::{META_GROUP, PlotParams, PlotSize, Strength, oracle};

use super::{BuildError, BuildOptions, BuildStatistics, Progress, build};
use crate::{aes::Backend, gate::Gate};

fn params(seed: u8, k: u8, strength: u8) -> PlotParams {
    PlotParams {
        group_id: GroupId::new([seed; 32]),
        index: PlotIndex::new(0),
        size: PlotSize::new(k).unwrap(),
        strength: Strength::new(strength).unwrap(),
    }
}

fn options(threads: usize) -> BuildOptions {
    BuildOptions { threads: NonZeroUsize::new(threads).unwrap(), ..BuildOptions::default() }
}

fn try_fragments(
    params: &PlotParams,
    options: &BuildOptions,
) -> Result<(Vec<u64>, BuildStatistics), BuildError<()>> {
    let mut all = Vec::new();
    let statistics = build(params, options, &|_| (), &Gate::default(), &mut |batch| {
        all.extend_from_slice(batch);
        Ok(())
    })?;
    Ok((all, statistics))
}

fn fragments(params: &PlotParams, options: &BuildOptions) -> Vec<u64> {
    let (fragments, statistics) = try_fragments(params, options).unwrap();
    assert_eq!(statistics.fragments, fragments.len() as u64);
    assert!(fragments.is_sorted_by(|a, b| a < b), "fragments ascend");
    fragments
}

/// The obvious plot is slow, and the slower the greater the strength.
fn check_against_the_obvious_plot(strength: u8) {
    let params = params(strength, 18, strength);
    let expected: Vec<u64> = oracle::Plot::new(params).fragments().collect();
    let found = fragments(&params, &BuildOptions::default());
    assert!(found == expected, "{} fragments, expected {}", found.len(), expected.len());
}

#[test]
fn fragments_are_those_of_the_obvious_plot() {
    check_against_the_obvious_plot(2);
}

#[test]
fn fragments_of_a_stronger_plot_are_those_of_the_obvious_one() {
    check_against_the_obvious_plot(3);
}

/// The links in the answers of the reference are fragments of ours. Each is one of a few hundred thousand, so some
/// thousands of links find a fault that concerns one in a thousand.
#[test]
fn links_of_the_reference_are_fragments() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plot.bin");
    for (k, strength) in [(18, 5), (18, 8), (20, 2), (20, 4)] {
        let params = params(k + strength, k, strength);
        let group_id = params.group_id.as_bytes();
        chia_pos2::create_v2_single_plot_group(&path, k, strength, group_id, 0, META_GROUP, &[7; 112])
            .unwrap();
        let prover = chia_pos2::Prover::new(&path).unwrap();
        let found = fragments(&params, &BuildOptions::default());
        let mut links = 0;
        for challenge in 0..=255 {
            for answer in prover.get_qualities_for_challenge(&[challenge; 32]).unwrap() {
                let links_of = answer.chain.chain_links;
                assert!(links_of.iter().all(|link| found.binary_search(link).is_ok()), "k = {k}, {strength}");
                links += links_of.len();
            }
        }
        assert!(links > 1_000, "{links} links compared");
    }
}

#[test]
fn any_instructions_make_the_same() {
    let params = params(1, 18, 2);
    let all = Backend::available()
        .into_iter()
        .map(|backend| fragments(&params, &BuildOptions { backend, ..options(2) }));
    let all: Vec<Vec<u64>> = all.collect();
    assert!(all.iter().all(|found| *found == all[0]));
}

#[test]
fn any_number_of_threads_and_any_memory_make_the_same() {
    for (k, strength) in [(18, 7), (20, 2), (20, 3)] {
        let params = params(2, k, strength);
        let (expected, statistics) = try_fragments(&params, &options(1)).unwrap();
        for threads in [2, 3, 7] {
            assert!(fragments(&params, &options(threads)) == expected, "{threads} threads");
        }
        let too_small = BuildOptions { memory_bytes: Some(1), ..options(1) };
        let Err(BuildError::MemoryTooSmall { needed, got: 1 }) = try_fragments(&params, &too_small) else {
            panic!("a byte of memory is not enough");
        };
        assert!(needed <= statistics.memory_bytes);
        for memory_bytes in [needed, needed.midpoint(statistics.memory_bytes)] {
            let tight = BuildOptions { memory_bytes: Some(memory_bytes), ..options(1) };
            let (found, statistics) = try_fragments(&params, &tight).unwrap();
            assert!(found == expected, "{memory_bytes} bytes");
            assert!(statistics.table_bytes_peak < memory_bytes);
        }
        let too_small = BuildOptions { memory_bytes: Some(needed - 1), ..options(1) };
        assert!(matches!(try_fragments(&params, &too_small), Err(BuildError::MemoryTooSmall { .. })));
    }
}

#[test]
fn other_plots_have_other_fragments() {
    let found = fragments(&params(3, 18, 2), &options(2));
    let other = fragments(&PlotParams { index: PlotIndex::new(1), ..params(3, 18, 2) }, &options(2));
    let common = found.iter().filter(|fragment| other.binary_search(fragment).is_ok()).count();
    assert!(common < 100, "{common} fragments in common");
}

/// Asked to give up after any number of items, it does.
#[test]
fn it_gives_up_when_it_is_told_to() {
    let params = params(4, 18, 2);
    for items in [1, 100, 600, 1_500, 3_000] {
        let (gate, seen) = (Gate::default(), AtomicUsize::new(0));
        let progress = |_| {
            if seen.fetch_add(1, Relaxed) == items {
                gate.cancel();
            }
        };
        let outcome = build::<()>(&params, &options(2), &progress, &gate, &mut |_| Ok(()));
        assert!(matches!(outcome, Err(BuildError::Cancelled)), "after {items}: {outcome:?}");
        assert!(seen.into_inner() < items + 10);
    }
}

#[test]
fn it_stops_when_the_sink_fails() {
    let mut batches = 0;
    let outcome = build(&params(5, 18, 2), &options(2), &|_| (), &Gate::default(), &mut |_| {
        batches += 1;
        if batches == 3 { Err("full") } else { Ok(()) }
    });
    assert!(matches!(outcome, Err(BuildError::Sink("full"))));
    assert_eq!(batches, 3);
}

#[test]
fn progress_reaches_its_end() {
    let last = Mutex::new(Progress { done: 0, total: 0 });
    let progress = |now: Progress| {
        let mut last = last.lock().unwrap();
        if now.done > last.done {
            *last = now;
        }
    };
    build::<()>(&params(6, 18, 3), &options(2), &progress, &Gate::default(), &mut |_| Ok(())).unwrap();
    let last = last.into_inner().unwrap();
    assert_eq!(last.done, last.total);
}

#[test]
fn hopeless_strengths_are_refused() {
    for strength in [16, 17] {
        let outcome = try_fragments(&params(7, 18, strength), &options(1));
        assert!(matches!(outcome, Err(BuildError::Hopeless { k: 18, .. })));
    }
}
