//! All fragments of a plot, by the rules of the tables, one table after the other in memory.

use mass_proof_of_space::{FragmentCipher, PlotParams, ROUND_PAIRS, plot_id};

use crate::{aes::PlotHasher, error::PlotError, rules::Rules};

/// An entry of a table.
#[derive(Clone, Copy)]
struct Entry {
    info: u64,
    meta: u64,
    /// The upper halves of the left x-values.
    halves: u64,
}

/// Hands the fragments of a plot to `sink`, ascending.
pub(crate) fn build(
    params: &PlotParams,
    mut sink: impl FnMut(&[u64]) -> Result<(), PlotError>,
) -> Result<(), PlotError> {
    let rules = Rules::new(params).ok_or(PlotError::Table("no plot has this strength"))?;
    let plot_id = plot_id(&params.group_id, params.index);
    let hasher = PlotHasher::new(&plot_id);
    let half = rules.k() / 2;
    let xs: Vec<u64> = (0..1 << rules.k()).collect();
    let mut hashes = vec![0; xs.len()];
    hasher.hash_low64(&xs, &mut hashes, ROUND_PAIRS);
    let leaf = |(x, hash): (&u64, &u64)| Entry { info: rules.info(*hash), meta: *x, halves: x >> half };
    let mut table: Vec<Entry> = xs.iter().zip(&hashes).map(leaf).collect();
    for number in 1..=3 {
        table = next_table(&rules, &hasher, number, table);
    }
    let cipher = FragmentCipher::new(&plot_id, params.size);
    let mut fragments: Vec<u64> = table
        .iter()
        .map(|entry| {
            let x = |at: u32| (entry.halves >> (at * half) << half) as u32 & ((1 << rules.k()) - 1);
            cipher.fragment(&[x(3), 0, x(2), 0, x(1), 0, x(0), 0])
        })
        .collect();
    fragments.sort_unstable();
    fragments.chunks(1 << 16).try_for_each(|some| sink(some))
}

fn next_table(rules: &Rules, hasher: &PlotHasher, number: u32, mut table: Vec<Entry>) -> Vec<Entry> {
    table.sort_unstable_by_key(|entry| entry.info);
    let shift = rules.k() / 2 - 2;
    let mut starts = vec![0usize; (1 << (rules.k() - shift)) + 1];
    table.iter().for_each(|entry| starts[(entry.info >> shift) as usize + 1] += 1);
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let metas: Vec<u64> = table.iter().map(|entry| entry.meta).collect();
    let (mut hashes, mut twos) = (vec![0; metas.len()], Vec::new());
    for key in 0..rules.keys(number) {
        let input = rules.target_input(number, key);
        hasher.hash_low64_of_high(input, &metas, &mut hashes, rules.round_pairs(number));
        for (left, hash) in table.iter().zip(&hashes) {
            let wanted = rules.wanted(number, left.info, key, *hash);
            let at = (wanted >> shift) as usize;
            let rights = &table[starts[at]..starts[at + 1]];
            twos.extend(rights.iter().filter(|right| right.info == wanted).map(|right| (*left, *right)));
        }
    }
    let lows: Vec<u64> = twos.iter().map(|(left, _)| left.meta).collect();
    let highs: Vec<u64> = twos.iter().map(|(_, right)| right.meta).collect();
    let (mut low, mut high) = (vec![0; twos.len()], vec![0; twos.len()]);
    hasher.hash(&lows, &highs, [&mut low, &mut high], rules.round_pairs(number));
    let hashes = low.iter().zip(&high);
    let passing = twos.iter().zip(hashes).filter(|(_, (_, high))| rules.passes(number, **high));
    let joined = |((left, right), (low, high)): (&(Entry, Entry), (&u64, &u64))| Entry {
        info: rules.info(*low),
        meta: if number == 1 {
            left.meta << rules.k() | right.meta
        } else {
            rules.second_meta([*low, *high])
        },
        halves: if number == 1 {
            left.halves
        } else {
            left.halves << (rules.k() / 2 * (number - 1)) | right.halves
        },
    };
    passing.map(joined).collect()
}
