//! The infos that the partners of left x-values must have.
//!
//! There are `2^(k / 2 + 8)` of these targets. They lie in buckets by their upper bits, 32 bits each: what is left of
//! the info, and which left x it is. Before them stands a filter, small enough for the nearer caches, that lets
//! through few infos that nobody wants.

use mass_proof_of_space::ROUND_PAIRS;

use super::{LEFTS, SolveOptions, workers};
use crate::{
    aes::PlotHasher,
    error::PlotError,
    rules::Rules,
    sieve::{Buckets, Filter},
};

/// Left x-values that are hashed together.
const BATCH: usize = 512;
/// Targets in a bucket on average, as a binary logarithm.
const BUCKET_LOG2: u32 = 3;
/// Targets for each word of the filter, as a binary logarithm.
const FILTER_WORD_LOG2: u32 = 2;

/// All targets.
pub(super) struct Targets {
    pub filter: Filter,
    pub buckets: Buckets,
}

impl Targets {
    /// Finds the targets of the x-values whose upper half is one of `groups`, at most 64. The name of an x-value is
    /// the number of its group, then its lower half.
    pub fn new(
        rules: &Rules,
        hasher: &PlotHasher,
        groups: &[u32],
        options: &SolveOptions<'_>,
    ) -> Result<Self, PlotError> {
        let parts = workers::share(groups.len(), options, Vec::new, |targets, group| {
            add_group(rules, hasher, group, groups[group], targets);
        })?;
        let count: usize = parts.iter().map(Vec::len).sum();
        let count_log2 = count.max(2).ilog2();
        let mut filter = Filter::new(rules.k(), count_log2 - FILTER_WORD_LOG2);
        parts.iter().flatten().for_each(|target| filter.add((target >> 32) as u32));
        let buckets =
            Buckets::new(rules.k(), count_log2 - BUCKET_LOG2, rules.k() / 2 + LEFTS.ilog2(), &parts);
        Ok(Self { filter, buckets })
    }
}

fn add_group(rules: &Rules, hasher: &PlotHasher, number: usize, group: u32, targets: &mut Vec<u64>) {
    let (mut lefts, mut infos, mut hashes) = ([0u64; BATCH], [0u64; BATCH], [0u64; BATCH]);
    let first = u64::from(group) << (rules.k() / 2);
    let first_name = (number as u64) << (rules.k() / 2);
    targets.reserve(rules.half_range() * rules.keys(1) as usize);
    // Half a range is at least 2^9 x-values, and a multiple of a batch.
    for start in (0..rules.half_range() as u64).step_by(BATCH) {
        lefts.iter_mut().zip(first + start..).for_each(|(left, x)| *left = x);
        hasher.hash_low64(&lefts, &mut infos, ROUND_PAIRS);
        infos.iter_mut().for_each(|info| *info = rules.info(*info));
        for key in 0..rules.keys(1) {
            let input = rules.target_input(1, key);
            hasher.hash_low64_of_high(input, &lefts, &mut hashes, rules.round_pairs(1));
            let each = hashes.iter().zip(&infos).zip(first_name + start..);
            targets.extend(each.map(|((hash, info), name)| rules.wanted(1, *info, key, *hash) << 32 | name));
        }
    }
}
