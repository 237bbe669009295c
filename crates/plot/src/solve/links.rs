//! From the pairs of table 1 to the links: tables 2 and 3.
//!
//! Of each of the 64 groups there are `2^(k / 2)` pairs. Two that follow each other in the proof make one entry of
//! table 2 on average, the one that is looked for; of their pairs hardly any but the link is left.

use mass_proof_of_space::QUALITY_LINKS;

use super::{LEFTS, SolveOptions, pairs::Pair, workers};
use crate::{aes::PlotHasher, error::PlotError, rules::Rules};

/// Entries that are hashed together.
const BATCH: usize = 512;

/// An entry of table 2.
#[derive(Clone, Copy)]
struct Quad {
    info: u64,
    meta: u64,
    x_values: [u32; 4],
}

/// The x-values of each link, the least if there are several, none if there are none. `positions` has for each
/// left x of the proof the number of its group in `groups`.
pub(super) fn find(
    rules: &Rules,
    hasher: &PlotHasher,
    groups: &[Vec<Pair>],
    positions: &[usize; LEFTS],
    options: &SolveOptions<'_>,
) -> Result<[Option<[u32; 8]>; QUALITY_LINKS], PlotError> {
    let twos = positions.as_chunks::<2>().0;
    let found = workers::share(twos.len(), options, Vec::new, |found, number| {
        let [left, right] = twos[number];
        found.push((number, quads(rules, hasher, &groups[left], &groups[right])));
    })?;
    let mut quads_of = vec![Vec::new(); twos.len()];
    for (number, quads) in found.into_iter().flatten() {
        quads_of[number] = quads;
    }
    let mut links = [None; QUALITY_LINKS];
    for (link, halves) in links.iter_mut().zip(quads_of.as_chunks::<2>().0) {
        *link = octet(rules, hasher, &halves[0], &halves[1]);
    }
    Ok(links)
}

/// POS-7 and POS-8: the entries of table 2 from two groups of pairs.
fn quads(rules: &Rules, hasher: &PlotHasher, lefts: &[Pair], rights: &[Pair]) -> Vec<Quad> {
    let rights = ByInfo::new(rules, rights);
    let mut found = Vec::new();
    let mut hashes = [0; BATCH];
    let metas: Vec<u64> = lefts.iter().map(|left| left.meta(rules.k())).collect();
    for key in (0..rules.keys(2)).filter(|key| rights.keys[*key as usize]) {
        let input = rules.target_input(2, key);
        for (lefts, metas) in lefts.chunks(BATCH).zip(metas.chunks(BATCH)) {
            let hashes = &mut hashes[..metas.len()];
            hasher.hash_low64_of_high(input, metas, hashes, rules.round_pairs(2));
            for (left, hash) in lefts.iter().zip(hashes) {
                for right in rights.with(rules.wanted(2, left.info.into(), key, *hash)) {
                    found.extend(quad(rules, hasher, left, right));
                }
            }
        }
    }
    found.sort_unstable_by_key(|quad| quad.x_values);
    found
}

fn quad(rules: &Rules, hasher: &PlotHasher, left: &Pair, right: &Pair) -> Option<Quad> {
    let k = rules.k();
    let hash = hash_one(hasher, left.meta(k), right.meta(k), rules.round_pairs(2));
    rules.passes(2, hash[1]).then(|| Quad {
        info: rules.info(hash[0]),
        meta: rules.second_meta(hash),
        x_values: [left.left, left.right, right.left, right.right],
    })
}

/// POS-7 and POS-8: the first entry of table 3 from these.
fn octet(rules: &Rules, hasher: &PlotHasher, lefts: &[Quad], rights: &[Quad]) -> Option<[u32; 8]> {
    for left in lefts {
        for right in rights {
            let key = rules.key(3, right.info);
            let target = hash_one(hasher, rules.target_input(3, key), left.meta, rules.round_pairs(3));
            if rules.wanted(3, left.info, key, target[0]) != right.info {
                continue;
            }
            let hash = hash_one(hasher, left.meta, right.meta, rules.round_pairs(3));
            if rules.passes(3, hash[1]) {
                let mut x_values = [0; 8];
                x_values[..4].copy_from_slice(&left.x_values);
                x_values[4..].copy_from_slice(&right.x_values);
                return Some(x_values);
            }
        }
    }
    None
}

fn hash_one(hasher: &PlotHasher, low: u64, high: u64, round_pairs: u32) -> [u64; 2] {
    let (mut out_low, mut out_high) = ([0], [0]);
    hasher.hash(&[low], &[high], [&mut out_low, &mut out_high], round_pairs);
    [out_low[0], out_high[0]]
}

/// Pairs in intervals of infos.
struct ByInfo {
    pairs: Vec<Pair>,
    /// Where the pairs of each interval start, and after the last where they end.
    starts: Vec<u32>,
    shift: u32,
    /// Which match keys there are.
    keys: Vec<bool>,
}

impl ByInfo {
    fn new(rules: &Rules, pairs: &[Pair]) -> Self {
        let shift = rules.k() / 2;
        let mut starts = vec![0u32; (1 << (rules.k() - shift)) + 1];
        let mut keys = vec![false; rules.keys(2) as usize];
        for pair in pairs {
            starts[(pair.info >> shift) as usize] += 1;
            keys[rules.key(2, pair.info.into()) as usize] = true;
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        let mut sorted = vec![Pair::default(); pairs.len()];
        for pair in pairs {
            let start = &mut starts[(pair.info >> shift) as usize];
            *start -= 1;
            sorted[*start as usize] = *pair;
        }
        Self { pairs: sorted, starts, shift, keys }
    }

    fn with(&self, info: u64) -> impl Iterator<Item = &Pair> {
        let interval = (info >> self.shift) as usize;
        let pairs = &self.pairs[self.starts[interval] as usize..self.starts[interval + 1] as usize];
        pairs.iter().filter(move |pair| u64::from(pair.info) == info)
    }
}
