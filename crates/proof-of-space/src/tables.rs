//! The three tables: which x-values belong together (rules POS-6 to POS-9).
//!
//! Table 0 has an entry for each x. An entry of table t is a pair of entries of table t - 1 that match and
//! pass a filter, so one of table 3 stands on eight x-values. A verifier has the x-values and only
//! checks the seven pairs above them. It does so for eight links at once, one in each lane.

use crate::{
    hash::{LANES, Lanes, PlotHash, ROUND_PAIRS, low_bits},
    params::PlotParams,
};

/// The bits that name the section of an entry, the highest of its match info.
pub const SECTION_BITS: u32 = 2;

/// Match-key bits of table 1; those of the others are the strength.
const FIRST_KEY_BITS: u32 = 2;

/// What is left of an entry once it is made.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// Where it may match: section, match key and match target, k bits together.
    info: u64,
    /// What it stands for: k bits in table 0, 2k bits above.
    meta: u64,
}

/// The rules of the tables of one plot.
pub(crate) struct Tables<'a> {
    hash: &'a PlotHash,
    k: u32,
    strength: u32,
}

impl<'a> Tables<'a> {
    pub(crate) fn new(params: &PlotParams, hash: &'a PlotHash) -> Self {
        Self { hash, k: params.size.get().into(), strength: params.strength.get().into() }
    }

    /// Whether all of these x-values, the j-th of eight links in `columns[j]`, make entries of table 3.
    pub(crate) fn hold(&self, columns: &[Lanes<u32>; 8]) -> bool {
        self.entry(columns).is_some()
    }

    /// The entry of table `log2(columns.len())` in each lane, if there is one in every lane.
    fn entry(&self, columns: &[Lanes<u32>]) -> Option<Lanes<Entry>> {
        match columns {
            [] => None,
            [xs] => Some(self.leaf(xs)),
            _ => {
                let (left, right) = columns.split_at_checked(columns.len() / 2)?;
                self.pair(columns.len().ilog2(), &self.entry(left)?, &self.entry(right)?)
            }
        }
    }

    /// POS-6: an entry of table 0.
    fn leaf(&self, xs: &Lanes<u32>) -> Lanes<Entry> {
        let hashes = self.hash.lanes(xs.map(u128::from), ROUND_PAIRS);
        zip(xs, &hashes, |&x, &hash| Entry { info: low_bits(hash as u64, self.k), meta: u64::from(x) })
    }

    /// POS-8: the entries that these make together, if they match and pass the filter in every lane.
    fn pair(&self, table: u32, left: &Lanes<Entry>, right: &Lanes<Entry>) -> Option<Lanes<Entry>> {
        if !self.matches(table, left, right) {
            return None;
        }
        let inputs = zip(left, right, |l, r| u128::from(l.meta) | u128::from(r.meta) << 64);
        let hashes = self.hash.lanes(inputs, self.round_pairs(table));
        if hashes.iter().any(|hash| low_bits((hash >> 96) as u64, self.key_bits(table)) != 0) {
            return None;
        }
        let metas = zip(left, right, |l, r| l.meta.unbounded_shl(self.k) | r.meta);
        Some(zip(&metas, &hashes, |&joined, hash| Entry {
            info: low_bits(*hash as u64, self.k),
            meta: if table == 1 { joined } else { low_bits((hash >> 32) as u64, self.k.saturating_mul(2)) },
        }))
    }

    /// POS-7: whether the left entry matches the right one in every lane.
    fn matches(&self, table: u32, left: &Lanes<Entry>, right: &Lanes<Entry>) -> bool {
        let section_at = self.k.saturating_sub(SECTION_BITS);
        let target_bits = section_at.saturating_sub(self.key_bits(table));
        let section = |entry: &Entry| entry.info.unbounded_shr(section_at);
        let key = |entry: &Entry| low_bits(entry.info, section_at).unbounded_shr(target_bits);
        if left.iter().zip(right).any(|(l, r)| section(r) != section_after(section(l))) {
            return false;
        }
        let inputs =
            zip(left, right, |l, r| u128::from(table) | u128::from(key(r)) << 32 | u128::from(l.meta) << 64);
        let targets = self.hash.lanes(inputs, self.round_pairs(table));
        targets.iter().zip(right).all(|(t, r)| low_bits(*t as u64 ^ r.info, target_bits) == 0)
    }

    fn key_bits(&self, table: u32) -> u32 {
        key_bits(table, self.strength)
    }

    fn round_pairs(&self, table: u32) -> u32 {
        round_pairs(table, self.strength)
    }
}

/// Bits of the match key for pairing into `table`.
#[must_use]
pub const fn key_bits(table: u32, strength: u32) -> u32 {
    if table == 1 { FIRST_KEY_BITS } else { strength }
}

/// Pairs of AES rounds for pairing into `table`: the strength makes those of table 1 dearer, each step twice.
#[must_use]
pub const fn round_pairs(table: u32, strength: u32) -> u32 {
    let doublings = if table == 1 { strength.saturating_sub(2) } else { 0 };
    ROUND_PAIRS.unbounded_shl(doublings)
}

/// The only section that an entry of `section` matches to its right: 0, 2, 1, 3 and 0 again.
#[must_use]
pub const fn section_after(section: u64) -> u64 {
    match section {
        0 => 2,
        1 => 3,
        2 => 1,
        _ => 0,
    }
}

/// `f` of both values in each lane.
fn zip<A, B, C: Copy + Default>(left: &Lanes<A>, right: &Lanes<B>, f: impl Fn(&A, &B) -> C) -> Lanes<C> {
    let mut out = [C::default(); LANES];
    out.iter_mut().zip(left.iter().zip(right)).for_each(|(to, (l, r))| *to = f(l, r));
    out
}
