//! A table in memory, and the loop that reads records out of its buckets.

use super::{
    pool::{Chain, ChainCell, Pool, Spare},
    scatter::RECORD_BYTES_MAX,
    shape::Layout,
};

/// Records that are taken at once: they and what is made of them stay in the first-level cache.
pub(super) const BATCH: usize = 512;

/// Buckets of records, each with a chain from every thread that wrote.
pub(super) struct Table {
    pub layout: Layout,
    buckets: usize,
    chains: Vec<ChainCell>,
}

impl Table {
    /// The table whose chains, bucket after bucket, each of the threads has written.
    pub(super) fn new(layout: Layout, buckets: usize, written: Vec<Vec<Chain>>) -> Self {
        Self { layout, buckets, chains: written.into_iter().flatten().map(ChainCell::new).collect() }
    }

    /// Threads that wrote.
    pub(super) fn parts(&self) -> usize {
        self.chains.len() / self.buckets
    }

    /// What one thread wrote into a bucket.
    pub(super) fn part(&self, bucket: usize, part: usize) -> &ChainCell {
        &self.chains[part * self.buckets + bucket]
    }

    /// The chains of a bucket.
    pub(super) fn bucket(&self, bucket: usize) -> impl Iterator<Item = &ChainCell> {
        (0..self.parts()).map(move |part| self.part(bucket, part))
    }

    /// Gives all memory back that was not given back by readers.
    pub(super) fn free(&self, pool: &Pool, spare: &mut Spare) {
        self.chains.iter().for_each(|chain| pool.free(chain.take(), spare));
    }
}

/// Reads records that may begin in one chunk and end in the next.
#[derive(Default)]
pub(super) struct RecordReader {
    buffer: Vec<u8>,
}

impl RecordReader {
    /// Hands the records of some chains to `with`, as bytes that hold a number of whole records and something to
    /// read beyond the last. With `spare` the chains are taken and their memory is given back.
    #[inline(always)]
    pub(super) fn read<'a>(
        &mut self,
        pool: &Pool,
        chains: impl Iterator<Item = &'a ChainCell>,
        record_bytes: usize,
        mut spare: Option<&mut Spare>,
        mut with: impl FnMut(&[u8], usize),
    ) {
        self.buffer.resize(pool.chunk_bytes() + 3 * RECORD_BYTES_MAX, 0);
        for chain in chains {
            let chain = if spare.is_some() { chain.take() } else { chain.get() };
            let mut carried = 0;
            pool.read(chain, spare.as_deref_mut(), |bytes| {
                self.buffer[carried..carried + bytes.len()].copy_from_slice(bytes);
                let len = carried + bytes.len();
                let whole = len / record_bytes;
                with(&self.buffer, whole);
                self.buffer.copy_within(whole * record_bytes..len, 0);
                carried = len - whole * record_bytes;
            });
            debug_assert_eq!(carried, 0, "a chain is a whole number of records");
        }
    }
}

/// The record that starts at a byte.
#[inline(always)]
pub(super) fn record_at(bytes: &[u8], at: usize) -> u128 {
    let bytes = bytes[at..at + RECORD_BYTES_MAX].first_chunk().expect("a slice of this length was taken");
    u128::from_le_bytes(*bytes)
}
