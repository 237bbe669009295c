//! The obvious plot: all tables in memory, every rule in its plainest form.
//!
//! It is here to be compared with: faster plotters must find the same chains. It takes seconds and some hundred
//! megabytes at k = 18 and is of no use to a farmer. It shares with the verifier the hash of the
//! plot, the cipher and the running hash, and has the rules of the tables in its own words.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use mass_primitives::Challenge;

use crate::{
    chain,
    fragment::FragmentCipher,
    hash::{PlotHash, ROUND_PAIRS, low_bits},
    params::PlotParams,
    proof::{PROOF_X_VALUES, Proof, QUALITY_LINKS, QualityChain},
    verify::plot_id,
};

/// An entry of some table.
struct Entry {
    info: u64,
    meta: u64,
    /// The x-values below it: one in table 0, twice as many in each next one.
    x_values: Vec<u32>,
}

/// A plot in memory.
pub struct Plot {
    params: PlotParams,
    hash: PlotHash,
    /// The fragments and the x-values behind each, which may be several times eight.
    fragments: BTreeMap<u64, Vec<Vec<u32>>>,
}

impl Plot {
    /// Makes the plot.
    #[must_use]
    pub fn new(params: PlotParams) -> Self {
        let plot_id = plot_id(&params.group_id, params.index);
        let hash = PlotHash::new(&plot_id);
        let k = u32::from(params.size.get());
        let leaf = |x: u32| Entry {
            info: low_bits(hash.one(u128::from(x), ROUND_PAIRS) as u64, k),
            meta: u64::from(x),
            x_values: vec![x],
        };
        let mut table: Vec<Entry> = (0..1u32.unbounded_shl(k)).map(leaf).collect();
        for number in 1..=3 {
            table = next_table(&params, &hash, number, &table);
        }
        let cipher = FragmentCipher::new(&plot_id, params.size);
        let mut fragments: BTreeMap<u64, Vec<Vec<u32>>> = BTreeMap::new();
        for entry in table {
            if let Some(xs) = entry.x_values.first_chunk() {
                fragments.entry(cipher.fragment(xs)).or_default().push(entry.x_values);
            }
        }
        Self { params, hash, fragments }
    }

    /// All fragments, ascending.
    pub fn fragments(&self) -> impl Iterator<Item = u64> {
        self.fragments.keys().copied()
    }

    /// The chains that answer a challenge, in ascending order, and a proof of each.
    #[must_use]
    pub fn answers(&self, challenge: &Challenge) -> Vec<(QualityChain, Proof)> {
        let plot_id = plot_id(&self.params.group_id, self.params.index);
        let sets = chain::challenge_sets(&self.params, challenge);
        let keys = chain::round_keys(&plot_id, challenge);
        let mut chains = Vec::new();
        for start in 0..sets.len() {
            let mut partial = vec![(0u64, Vec::new())];
            let turns = sets.iter().cycle().skip(start);
            for ((position, key), set) in keys.iter().enumerate().zip(turns) {
                let longer = partial.iter().flat_map(|(running, links)| {
                    self.fragments_in(*set).filter_map(move |link| {
                        let next = self.hash.one(u128::from(running ^ link ^ key), ROUND_PAIRS) as u64;
                        let links: Vec<u64> = links.iter().copied().chain([link]).collect();
                        chain::passes_filter(position, next).then_some((next, links))
                    })
                });
                partial = longer.collect();
            }
            chains.extend(partial.into_iter().map(|(_, links)| links));
        }
        chains.sort();
        chains.iter().filter_map(|links| self.with_proof(links)).collect()
    }

    /// The fragments of a set.
    fn fragments_in(&self, set: u64) -> impl Iterator<Item = u64> {
        let shift = u32::from(self.params.size.get()).saturating_add(chain::SET_BITS);
        let (from, to) = (set.unbounded_shl(shift), set.saturating_add(1).unbounded_shl(shift));
        self.fragments.range(from..to).map(|(fragment, _)| *fragment)
    }

    fn with_proof(&self, links: &[u64]) -> Option<(QualityChain, Proof)> {
        let behind = links.iter().filter_map(|link| self.fragments.get(link)?.first());
        let x_values: Vec<u32> = behind.flatten().copied().collect();
        let links = <[u64; QUALITY_LINKS]>::try_from(links).ok()?;
        let x_values = <[u32; PROOF_X_VALUES]>::try_from(x_values).ok()?;
        Some((QualityChain::new(links), Proof::new(self.params.size, x_values).ok()?))
    }
}

/// POS-7 and POS-8: all pairs that make an entry of table `number`.
fn next_table(params: &PlotParams, hash: &PlotHash, number: u32, table: &[Entry]) -> Vec<Entry> {
    let (k, strength) = (u32::from(params.size.get()), u32::from(params.strength.get()));
    let (key_bits, round_pairs) = if number == 1 {
        (2, ROUND_PAIRS.unbounded_shl(strength.saturating_sub(2)))
    } else {
        (strength, ROUND_PAIRS)
    };
    let target_bits = k.saturating_sub(key_bits).saturating_sub(2);
    let mut by_info: BTreeMap<u64, Vec<&Entry>> = BTreeMap::new();
    for entry in table {
        by_info.entry(entry.info).or_default().push(entry);
    }
    let mut next = Vec::new();
    for left in table {
        let section = left.info.unbounded_shr(k.saturating_sub(2));
        let across = [2u64, 3, 1, 0].into_iter().nth(section as usize).unwrap_or_default();
        for key in 0..1u64.unbounded_shl(key_bits) {
            let input = u128::from(number) | u128::from(key) << 32 | u128::from(left.meta) << 64;
            let target = low_bits(hash.one(input, round_pairs) as u64, target_bits);
            let info = (across.unbounded_shl(key_bits) | key).unbounded_shl(target_bits) | target;
            for right in by_info.get(&info).into_iter().flatten() {
                let h = hash.one(u128::from(left.meta) | u128::from(right.meta) << 64, round_pairs);
                if low_bits((h >> 96) as u64, key_bits) == 0 {
                    let joined = left.meta.unbounded_shl(k) | right.meta;
                    let hashed = low_bits((h >> 32) as u64, k.saturating_mul(2));
                    next.push(Entry {
                        info: low_bits(h as u64, k),
                        meta: if number == 1 { joined } else { hashed },
                        x_values: left.x_values.iter().chain(&right.x_values).copied().collect(),
                    });
                }
            }
        }
    }
    next
}
