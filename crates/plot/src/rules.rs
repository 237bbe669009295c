//! The numbers of POS-6 to POS-8 for one plot.

use mass_proof_of_space::{
    PlotParams,
    tables::{SECTION_BITS, key_bits, round_pairs, section_after},
};

/// What the rules of the tables say for one plot.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    k: u32,
    strength: u32,
}

impl Rules {
    /// `None` if a plot of these parameters has no entries (POS-1).
    pub fn new(params: &PlotParams) -> Option<Self> {
        let (k, strength) = (params.size.get().into(), params.strength.get().into());
        (strength + SECTION_BITS < k).then_some(Self { k, strength })
    }

    pub const fn k(&self) -> u32 {
        self.k
    }

    /// X-values with one upper half.
    pub const fn half_range(&self) -> usize {
        1 << (self.k / 2)
    }

    pub const fn round_pairs(&self, table: u32) -> u32 {
        round_pairs(table, self.strength)
    }

    pub const fn keys(&self, table: u32) -> u64 {
        1 << key_bits(table, self.strength)
    }

    /// The match key of an entry that is to be right.
    pub const fn key(&self, table: u32, info: u64) -> u64 {
        info >> self.target_bits(table) & (self.keys(table) - 1)
    }

    const fn target_bits(&self, table: u32) -> u32 {
        self.k - SECTION_BITS - key_bits(table, self.strength)
    }

    pub const fn info(&self, hash_low: u64) -> u64 {
        hash_low & ((1 << self.k) - 1)
    }

    /// POS-7: the low word of what is hashed for the target; the high word is the left meta.
    pub const fn target_input(&self, table: u32, key: u64) -> u64 {
        table as u64 | key << 32
    }

    /// POS-7: the info of whatever matches a left entry with `left_info` by `key`.
    pub const fn wanted(&self, table: u32, left_info: u64, key: u64, hash_low: u64) -> u64 {
        let bits = self.target_bits(table);
        let section = section_after(left_info >> (self.k - SECTION_BITS));
        section << (self.k - SECTION_BITS) | key << bits | hash_low & ((1 << bits) - 1)
    }

    /// POS-8: the bits of a hash's high word that are zero if the pair makes an entry.
    pub const fn zero_mask(&self, table: u32) -> u64 {
        (self.keys(table) - 1) << 32
    }

    /// POS-8: whether a pair with this hash makes an entry.
    pub const fn passes(&self, table: u32, hash_high: u64) -> bool {
        hash_high & self.zero_mask(table) == 0
    }

    /// POS-8: the meta of an entry of table 2.
    pub const fn second_meta(&self, [low, high]: [u64; 2]) -> u64 {
        (low >> 32 | high << 32) & ((1 << (2 * self.k)) - 1)
    }
}
