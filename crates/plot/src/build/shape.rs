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

/// Candidates of a pass, as a power of two, if there are not more for one match key.
const PASS_BITS: u32 = 20;

/// Entries of a bucket, as a power of two, where there is a choice: they and their index stay in a core's own caches.
const BUCKET_ENTRY_BITS: u32 = 14;

/// Buckets of a table, as a power of two: enough for all threads, and few enough that a line of each stays in cache.
const BUCKET_BITS: (u32, u32) = (10, 13);

/// AES rounds that take as long as the delivery of a fragment.
pub(super) const DELIVERY_ROUNDS: u64 = 64;

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
        let bucket_bits = k.saturating_sub(BUCKET_ENTRY_BITS).clamp(BUCKET_BITS.0, BUCKET_BITS.1);
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

    /// Match keys, as a power of two, whose candidates are made in one pass: more where there are few for each.
    pub(super) fn keys_together_bits(&self, table: u32) -> u32 {
        PASS_BITS.saturating_sub(self.k - SECTION_BITS).min(self.key_bits(table))
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

    /// AES rounds of a hash.
    pub(super) const fn hash_rounds(&self, table: u32) -> u64 {
        2 * self.round_pairs(table) as u64
    }

    /// AES rounds of a plot: an entry makes a candidate for each match key, and a candidate a pair, on average.
    pub(super) fn aes_rounds(&self) -> u64 {
        let pairings = (1..=3).map(|table| (2 * self.hash_rounds(table)) << self.key_bits(table));
        (self.hash_rounds(0) + pairings.sum::<u64>()) << self.k
    }

    /// All work, in AES rounds.
    pub(super) fn work(&self) -> u64 {
        self.aes_rounds() + (DELIVERY_ROUNDS << self.k)
    }

    /// The least info of a section and match key.
    pub(super) const fn first_info(&self, table: u32, section: u64, key: u64) -> u64 {
        (section << (self.k - SECTION_BITS)) + (key << self.target_bits(table))
    }

    /// Bytes of a chunk of memory: small beside what a thread puts into a bucket.
    pub(super) fn chunk_bytes(&self, threads: usize) -> usize {
        let bucket_bytes = (1usize << self.low_bits()) * self.layout(1).record_bytes() / threads;
        (bucket_bytes / 8).next_power_of_two().clamp(CHUNK_BYTES_MAX / 4, CHUNK_BYTES_MAX)
    }
}
