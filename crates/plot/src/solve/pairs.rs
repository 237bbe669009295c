//! The pairs of table 1 whose left x is known to its upper half.
//!
//! Every x is hashed. Those whose info somebody wants are few, and are sifted out without branches, since no
//! processor could foretell these.

use mass_proof_of_space::ROUND_PAIRS;

use super::{SolveOptions, targets::Targets, workers};
use crate::{
    aes::PlotHasher,
    error::PlotError,
    rules::Rules,
    sieve::{Found, for_each_zero},
};

/// X-values that are hashed together: they and their hashes fit the nearest cache.
const BATCH: usize = 1024;
/// Batches of a task.
const BATCHES: usize = 32;
/// Matching pairs that are hashed together.
const PAIR_BATCH: usize = 1024;

/// An entry of table 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub info: u32,
    pub left: u32,
    pub right: u32,
}

impl Pair {
    /// POS-8: the meta in table 1.
    pub const fn meta(&self, k: u32) -> u64 {
        (self.left as u64) << k | self.right as u64
    }
}

/// What a thread has found, by group, and its buffers.
struct Scan {
    pairs: Vec<Vec<Pair>>,
    xs: Vec<u64>,
    hashes: Vec<u64>,
    wanted: Vec<u64>,
    matching: Found,
    sieve: PairSieve,
}

/// The pairs of each group, that is, upper half of a left x.
pub(super) fn find(
    rules: &Rules,
    hasher: &PlotHasher,
    targets: &Targets,
    groups: &[u32],
    options: &SolveOptions<'_>,
) -> Result<Vec<Vec<Pair>>, PlotError> {
    let start = || Scan {
        pairs: vec![Vec::new(); groups.len()],
        xs: vec![0; BATCH],
        hashes: vec![0; BATCH],
        wanted: vec![0; BATCH + 8],
        matching: Found::default(),
        sieve: PairSieve::default(),
    };
    // 2^18 x-values at least, a multiple of a task.
    let tasks = (1 << rules.k()) / (BATCH * BATCHES);
    let scans = workers::share(tasks, options, start, |scan, task| {
        for batch in 0..BATCHES {
            scan.batch(hasher, targets, (task * BATCHES + batch) * BATCH);
        }
        scan.sieve.sift(rules, hasher, groups, &scan.matching, &mut scan.pairs);
        scan.matching.clear();
    })?;
    let mut scans = scans.into_iter().map(|scan| scan.pairs);
    let mut all = scans.next().unwrap_or_default();
    for scan in scans {
        all.iter_mut().zip(scan).for_each(|(all, pairs)| all.extend(pairs));
    }
    Ok(all)
}

impl Scan {
    /// Finds the partners among `BATCH` x-values from `first` on.
    fn batch(&mut self, hasher: &PlotHasher, targets: &Targets, first: usize) {
        self.xs.iter_mut().zip(first as u64..).for_each(|(to, x)| *to = x);
        hasher.hash_low64(&self.xs, &mut self.hashes, ROUND_PAIRS);
        let count = targets.filter.sift(first as u32, &self.hashes, &mut self.wanted);
        targets.buckets.find(&self.wanted[..count], &mut self.matching);
    }
}

/// Buffers for the filter of POS-8.
#[derive(Default)]
struct PairSieve {
    groups: Vec<u32>,
    lefts: Vec<u64>,
    rights: Vec<u64>,
    lows: Vec<u64>,
    highs: Vec<u64>,
}

impl PairSieve {
    /// Adds what passes of these matching pairs to those of their groups.
    fn sift(
        &mut self,
        rules: &Rules,
        hasher: &PlotHasher,
        groups: &[u32],
        matching: &Found,
        pairs: &mut [Vec<Pair>],
    ) {
        let half = rules.k() / 2;
        let lower = (1 << half) - 1;
        let mut all = matching.iter();
        loop {
            self.groups.clear();
            self.lefts.clear();
            self.rights.clear();
            for (name, right) in all.by_ref().take(PAIR_BATCH) {
                let group = name >> half;
                self.groups.push(group);
                self.lefts.push(u64::from(groups[group as usize] << half | name & lower));
                self.rights.push(right.into());
            }
            if self.lefts.is_empty() {
                return;
            }
            self.lows.resize(self.lefts.len(), 0);
            self.highs.resize(self.lefts.len(), 0);
            let out = [self.lows.as_mut_slice(), self.highs.as_mut_slice()];
            hasher.hash(&self.lefts, &self.rights, out, rules.round_pairs(1));
            for_each_zero(&self.highs, rules.zero_mask(1), |at| {
                let (left, right) = (self.lefts[at] as u32, self.rights[at] as u32);
                let pair = Pair { info: rules.info(self.lows[at]) as u32, left, right };
                pairs[self.groups[at] as usize].push(pair);
            });
        }
    }
}
