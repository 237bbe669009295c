//! How wide everything is: buckets, records, passes.
//!
//! The buckets of a table are the highest bits of the match info, so a section, and within it a match key, are
//! ranges of buckets. A record is the rest of the info in its lowest bits, then the meta, then the halves of
//! x-values that the fragment needs. A record of table 1 at k = 28 has 15 + 56 bits in 9 bytes, one of
//! table 2 has 15 + 56 + 28 bits in 13.

use mass_proof_of_space::PlotParams;

use super::pool::CHUNK_BYTES_MAX;

/// Bits that name a section.
const SECTION_BITS: u32 = 2;

/// Each section and the one that its entries match to their right, in the order in which they are taken. Each
/// section but the first is given back two steps after it was first used.
pub(super) const STEPS: [(u64, u64); 4] = [(3, 0), (0, 2), (2, 1), (1, 3)];

/// Entries of a bucket, as a power of two, at most. They are to fit into the second-level cache with their index.
const BUCKET_ENTRY_BITS_MAX: u32 = 15;

/// Buckets of a table, as a power of two, at least: enough for all threads.
const BUCKET_BITS_MIN: u32 = 9;

#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub k: u32,
    pub strength: u32,
    /// Bits of the info that name the bucket.
    pub bucket_bits: u32,
}

/// Bits of the parts of a record, the lowest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub low_bits: u32,
    pub meta_bits: u32,
    pub extra_bits: u32,
}

impl Layout {
    pub(super) const fn record_bytes(self) -> usize {
        (self.low_bits + self.meta_bits + self.extra_bits).div_ceil(8) as usize
    }

    /// Whether a record is longer than a word.
    pub(super) const fn is_long(self) -> bool {
        self.record_bytes() > 8
    }
}

impl Shape {
    pub(super) fn new(params: &PlotParams) -> Self {
        let k = u32::from(params.size.get());
        let bucket_bits = k.saturating_sub(BUCKET_ENTRY_BITS_MAX).max(BUCKET_BITS_MIN);
        Self { k, strength: params.strength.get().into(), bucket_bits }
    }

    pub(super) const fn buckets(&self) -> usize {
        1 << self.bucket_bits
    }

    pub(super) const fn section_buckets(&self) -> usize {
        1 << (self.bucket_bits - SECTION_BITS)
    }

    /// Bits of the info that a record keeps.
    pub(super) const fn low_bits(&self) -> u32 {
        self.k - self.bucket_bits
    }

    /// Records of a table; also the candidates for the next one, which are its records with other infos.
    pub(super) const fn layout(&self, table: u32) -> Layout {
        let (meta_bits, extra_bits) = match table {
            0 => (self.k, 0),
            1 => (2 * self.k, 0),
            _ => (2 * self.k, self.k),
        };
        Layout { low_bits: self.low_bits(), meta_bits, extra_bits }
    }

    /// Bits of a fragment that are kept in its bucket.
    pub(super) const fn fragment_bits(&self) -> u32 {
        2 * self.k - self.bucket_bits
    }

    /// Records of table 3 are fragments without the bits that name their bucket.
    pub(super) const fn fragment_layout(&self) -> Layout {
        Layout { low_bits: 0, meta_bits: self.fragment_bits(), extra_bits: 0 }
    }

    /// Match keys whose candidates are made in one pass: more where there are few for each.
    pub(super) const fn keys_together(&self, table: u32) -> u64 {
        let wanted = 20u32.saturating_sub(self.k - SECTION_BITS);
        let key_bits = self.key_bits(table);
        1 << (if wanted < key_bits { wanted } else { key_bits })
    }

    pub(super) const fn key_bits(&self, table: u32) -> u32 {
        if table == 1 { 2 } else { self.strength }
    }

    pub(super) const fn target_bits(&self, table: u32) -> u32 {
        self.k - SECTION_BITS - self.key_bits(table)
    }

    pub(super) const fn round_pairs(&self, table: u32) -> u32 {
        if table == 1 { 16 << (self.strength - 2) } else { 16 }
    }

    /// The least info of a section and match key.
    pub(super) const fn first_info(&self, table: u32, section: u64, key: u64) -> u64 {
        (section << (self.k - SECTION_BITS)) + (key << self.target_bits(table))
    }

    /// Bytes of a chunk of memory: small beside what a thread puts into a bucket.
    pub(super) const fn chunk_bytes(&self, threads: usize) -> usize {
        let bucket_bytes = (1usize << self.low_bits()) * 9 / threads;
        let wanted = (bucket_bytes / 16).next_power_of_two();
        if wanted < 1024 {
            1024
        } else if wanted > CHUNK_BYTES_MAX {
            CHUNK_BYTES_MAX
        } else {
            wanted
        }
    }
}
