//! The infos that the partners of left x-values must have.
//!
//! There are `2^(k / 2 + 8)` of them, each with its left x. They lie in buckets by their upper bits; before
//! them stands a [`Filter`], small enough for the nearer caches, that lets through few infos that nobody wants.

use mass_proof_of_space::ROUND_PAIRS;

use super::{SolveOptions, workers};
use crate::{
    aes::PlotHasher,
    error::PlotError,
    rules::Rules,
    sieve::{Filter, prefetch},
};

/// Left x-values that are hashed together.
const BATCH: usize = 512;
/// Targets in a bucket on average, as a binary logarithm.
const BUCKET_LOG2: u32 = 2;
/// Targets for each word of the filter, as a binary logarithm.
const FILTER_WORD_LOG2: u32 = 3;

/// All targets.
pub(super) struct Targets {
    pub filter: Filter,
    /// A target in the upper 32 bits, its left x in the lower, by bucket.
    targets: Vec<u64>,
    /// Where each bucket starts, and after the last where it ends.
    starts: Vec<u32>,
    /// What shifts an info to the number of its bucket.
    shift: u32,
}

impl Targets {
    /// Finds the targets of the x-values whose upper half is one of `groups`.
    pub fn new(
        rules: &Rules,
        hasher: &PlotHasher,
        groups: &[u32],
        options: &SolveOptions<'_>,
    ) -> Result<Self, PlotError> {
        let parts = workers::share(groups.len(), options, Vec::new, |targets, group| {
            add_group(rules, hasher, groups[group], targets);
        })?;
        let count: usize = parts.iter().map(Vec::len).sum();
        let count_log2 = count.max(2).ilog2();
        let mut filter = Filter::new(rules.k(), count_log2 - FILTER_WORD_LOG2);
        parts.iter().flatten().for_each(|target| filter.add((target >> 32) as u32));
        let shift = rules.k() - (count_log2 - BUCKET_LOG2).min(rules.k());
        let (targets, starts) = into_buckets(&parts, rules.k(), shift);
        Ok(Self { filter, targets, starts, shift })
    }

    /// Asks for the start of the bucket of an info to come near.
    #[inline]
    pub fn approach_bucket(&self, info: u32) {
        prefetch(&self.starts[(info >> self.shift) as usize]);
    }

    /// Asks for the bucket itself to come near.
    #[inline]
    pub fn approach(&self, info: u32) {
        if let Some(first) = self.targets.get(self.starts[(info >> self.shift) as usize] as usize) {
            prefetch(first);
        }
    }

    /// The left x-values that want a partner with this info.
    #[inline]
    pub fn lefts(&self, info: u32) -> impl Iterator<Item = u32> {
        let bucket = (info >> self.shift) as usize;
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        self.targets[range]
            .iter()
            .filter(move |target| (**target >> 32) as u32 == info)
            .map(|target| *target as u32)
    }
}

fn add_group(rules: &Rules, hasher: &PlotHasher, group: u32, targets: &mut Vec<u64>) {
    let (mut lefts, mut infos, mut hashes) = ([0u64; BATCH], [0u64; BATCH], [0u64; BATCH]);
    let first = u64::from(group) << (rules.k() / 2);
    targets.reserve(rules.half_range() * rules.keys(1) as usize);
    // Half a range is at least 2^9 x-values, and a multiple of a batch.
    for batch in 0..rules.half_range() / BATCH {
        lefts.iter_mut().zip(first + (batch * BATCH) as u64..).for_each(|(left, x)| *left = x);
        hasher.hash_low64(&lefts, &mut infos, ROUND_PAIRS);
        infos.iter_mut().for_each(|info| *info = rules.info(*info));
        for key in 0..rules.keys(1) {
            let input = rules.target_input(1, key);
            hasher.hash_low64_of_high(input, &lefts, &mut hashes, rules.round_pairs(1));
            let each = hashes.iter().zip(&infos).zip(&lefts);
            targets.extend(each.map(|((hash, info), left)| rules.wanted(1, *info, key, *hash) << 32 | left));
        }
    }
}

/// A counting sort.
fn into_buckets(parts: &[Vec<u64>], k: u32, shift: u32) -> (Vec<u64>, Vec<u32>) {
    let bucket = |target: u64| (target >> (32 + shift)) as usize;
    let mut starts = vec![0u32; (1 << (k - shift)) + 1];
    for target in parts.iter().flatten() {
        starts[bucket(*target)] += 1;
    }
    let mut end = 0;
    for start in &mut starts {
        end += *start;
        *start = end;
    }
    let mut targets = vec![0; end as usize];
    for target in parts.iter().flatten() {
        let start = &mut starts[bucket(*target)];
        *start -= 1;
        targets[*start as usize] = *target;
    }
    (targets, starts)
}
