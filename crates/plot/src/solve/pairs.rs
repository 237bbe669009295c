//! The pairs of table 1 whose left x is known to its upper half.
//!
//! Every x is hashed. What the filter lets through is gathered without branches, since no processor could
//! foretell them; the few that are left are looked up.

use mass_proof_of_space::ROUND_PAIRS;

use super::{SolveOptions, targets::Targets, workers};
use crate::{aes::PlotHasher, error::PlotError, rules::Rules};

/// X-values that are hashed together: they and their hashes fit the nearest cache.
const BATCH: usize = 1024;
/// Batches of a task.
const BATCHES: usize = 32;

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

/// What a thread has found, and its buffers.
struct Scan {
    pairs: Vec<Pair>,
    xs: Vec<u64>,
    hashes: Vec<u64>,
    wanted: Vec<u64>,
    candidates: Candidates,
}

/// The pairs of each group, that is, upper half of a left x, sorted.
pub(super) fn find(
    rules: &Rules,
    hasher: &PlotHasher,
    targets: &Targets,
    groups: &[u32],
    options: &SolveOptions<'_>,
) -> Result<Vec<Vec<Pair>>, PlotError> {
    let start = || Scan {
        pairs: Vec::new(),
        xs: vec![0; BATCH],
        hashes: vec![0; BATCH],
        wanted: vec![0; BATCH + 8],
        candidates: Candidates::default(),
    };
    // 2^18 x-values at least, a multiple of a task.
    let tasks = (1 << rules.k()) / (BATCH * BATCHES);
    let scans = workers::share(tasks, options, start, |scan, task| {
        for batch in 0..BATCHES {
            scan.batch(rules, hasher, targets, (task * BATCHES + batch) * BATCH);
        }
        scan.candidates.sift(rules, hasher, &mut scan.pairs);
    })?;
    let mut of_groups = vec![Vec::new(); groups.len()];
    for pair in scans.iter().flat_map(|scan| &scan.pairs) {
        let group = groups.binary_search(&(pair.left >> (rules.k() / 2)));
        of_groups[group.expect("only x-values of groups have targets")].push(*pair);
    }
    of_groups.iter_mut().for_each(|pairs: &mut Vec<Pair>| pairs.sort_unstable());
    Ok(of_groups)
}

impl Scan {
    fn batch(&mut self, rules: &Rules, hasher: &PlotHasher, targets: &Targets, first: usize) {
        self.xs.iter_mut().zip(first as u64..).for_each(|(to, x)| *to = x);
        hasher.hash_low64(&self.xs, &mut self.hashes, ROUND_PAIRS);
        let count = targets.filter.sift(first as u32, &self.hashes, &mut self.wanted);
        let info = |wanted: &u64| (wanted >> 32) as u32;
        self.wanted[..count].iter().for_each(|wanted| targets.approach_bucket(info(wanted)));
        self.wanted[..count].iter().for_each(|wanted| targets.approach(info(wanted)));
        for wanted in &self.wanted[..count] {
            let right = wanted & u64::from(u32::MAX);
            for left in targets.lefts(info(wanted)) {
                self.candidates.lefts.push(left.into());
                self.candidates.rights.push(right);
            }
        }
    }
}

/// Pairs that match and have not been through the filter of POS-8.
#[derive(Default)]
struct Candidates {
    lefts: Vec<u64>,
    rights: Vec<u64>,
    hashes: [Vec<u64>; 2],
}

impl Candidates {
    /// Moves those that pass to `pairs`.
    fn sift(&mut self, rules: &Rules, hasher: &PlotHasher, pairs: &mut Vec<Pair>) {
        let [low, high] = &mut self.hashes;
        low.resize(self.lefts.len(), 0);
        high.resize(self.lefts.len(), 0);
        hasher.hash(&self.lefts, &self.rights, [low, high], rules.round_pairs(1));
        for (((left, right), low), high) in self.lefts.iter().zip(&self.rights).zip(low).zip(high) {
            if rules.passes(1, *high) {
                pairs.push(Pair { info: rules.info(*low) as u32, left: *left as u32, right: *right as u32 });
            }
        }
        self.lefts.clear();
        self.rights.clear();
    }
}
