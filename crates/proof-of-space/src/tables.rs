//! The three tables: which x-values belong together (rules POS-6 to POS-9).
//!
//! Table 0 has an entry for each x. An entry of table t is a pair of entries of table t - 1 that match and
//! pass a filter, so one of table 3 stands on eight x-values. A verifier has the x-values and only
//! checks the seven pairs above them, table by table for all links of a proof together.

use crate::{
    hash::{LANES, Lanes, PlotHash, ROUND_PAIRS, low_bits},
    params::PlotParams,
    proof::PROOF_X_VALUES,
    verify::ProofError,
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

    /// POS-9: checks that the x-values, eight by eight, make entries of table 3.
    pub(crate) fn check(&self, x_values: &[u32; PROOF_X_VALUES]) -> Result<(), ProofError> {
        let leaves: [Lanes<Entry>; PROOF_X_VALUES / LANES] = self.leaves(x_values);
        let missing = |table| move || ProofError::Table { table };
        let firsts: [Lanes<Entry>; 8] = self.pairs(1, &leaves).ok_or_else(missing(1))?;
        let seconds: [Lanes<Entry>; 4] = self.pairs(2, &firsts).ok_or_else(missing(2))?;
        let _: [Lanes<Entry>; 2] = self.pairs(3, &seconds).ok_or_else(missing(3))?;
        Ok(())
    }

    /// POS-6: entries of table 0.
    fn leaves<const GROUPS: usize>(&self, x_values: &[u32; PROOF_X_VALUES]) -> [Lanes<Entry>; GROUPS] {
        let mut entries = [[Entry::default(); LANES]; GROUPS];
        for (entry, x) in entries.as_flattened_mut().iter_mut().zip(x_values) {
            entry.meta = u64::from(*x);
        }
        let inputs = entries.map(|group| group.map(|entry| u128::from(entry.meta)));
        let hashes = self.hash.many(&inputs, ROUND_PAIRS);
        for (entry, hash) in entries.as_flattened_mut().iter_mut().zip(hashes.as_flattened()) {
            entry.info = low_bits(*hash as u64, self.k);
        }
        entries
    }

    /// POS-7 and POS-8: the entries that each two neighbours of the table below make together, if all do.
    fn pairs<const BELOW: usize, const GROUPS: usize>(
        &self,
        table: u32,
        below: &[Lanes<Entry>; BELOW],
    ) -> Option<[Lanes<Entry>; GROUPS]> {
        let twos = below.as_flattened().as_chunks::<2>().0;
        let section_at = self.k.saturating_sub(SECTION_BITS);
        let target_bits = section_at.saturating_sub(self.key_bits(table));
        let section = |entry: &Entry| entry.info.unbounded_shr(section_at);
        if twos.iter().any(|[left, right]| section(right) != section_after(section(left))) {
            return None;
        }
        let key = |entry: &Entry| low_bits(entry.info, section_at).unbounded_shr(target_bits);
        let targets: [Lanes<u128>; GROUPS] = self.hashes(table, twos, |left, right| {
            u128::from(table) | u128::from(key(right)) << 32 | u128::from(left.meta) << 64
        });
        let mut with_targets = targets.as_flattened().iter().zip(twos);
        if with_targets.any(|(target, [_, right])| low_bits(*target as u64 ^ right.info, target_bits) != 0) {
            return None;
        }
        let hashes: [Lanes<u128>; GROUPS] =
            self.hashes(table, twos, |left, right| u128::from(left.meta) | u128::from(right.meta) << 64);
        let mut filtered = hashes.as_flattened().iter();
        if filtered.any(|hash| low_bits((hash >> 96) as u64, self.key_bits(table)) != 0) {
            return None;
        }
        let mut entries = [[Entry::default(); LANES]; GROUPS];
        let made = hashes.as_flattened().iter().zip(twos);
        for (entry, (hash, [left, right])) in entries.as_flattened_mut().iter_mut().zip(made) {
            let joined = left.meta.unbounded_shl(self.k) | right.meta;
            let hashed = low_bits((hash >> 32) as u64, self.k.saturating_mul(2));
            *entry = Entry {
                info: low_bits(*hash as u64, self.k),
                meta: if table == 1 { joined } else { hashed },
            };
        }
        Some(entries)
    }

    /// The hashes of what `input` makes of each two.
    fn hashes<const GROUPS: usize>(
        &self,
        table: u32,
        twos: &[[Entry; 2]],
        input: impl Fn(&Entry, &Entry) -> u128,
    ) -> [Lanes<u128>; GROUPS] {
        let mut inputs = [[0; LANES]; GROUPS];
        for (to, [left, right]) in inputs.as_flattened_mut().iter_mut().zip(twos) {
            *to = input(left, right);
        }
        self.hash.many(&inputs, self.round_pairs(table))
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
