//! A table in memory, and how records are read out of its buckets.

#![allow(unsafe_code)]

use super::{
    pool::{CHUNK_BYTES_MAX, Chain, ChainCell, Pool, Spare},
    scatter::RECORD_BYTES_MAX,
    shape::Layout,
};

/// Most records of a block, which is what a chunk holds and the rest of the one before it. All that is made of a
/// block stays in the first- and second-level caches.
pub(super) const BLOCK: usize = CHUNK_BYTES_MAX / 4 + 8;

/// Buckets of records, each with a chain from every thread that wrote.
pub(super) struct Table {
    pub layout: Layout,
    buckets: usize,
    chains: Vec<ChainCell>,
}

impl Table {
    /// The table of the chains that each thread has written, one for every bucket.
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

/// Reads the records of a chain, a block at a time.
pub(super) struct RecordReader {
    buffer: Box<[u8; CHUNK_BYTES_MAX + 3 * RECORD_BYTES_MAX]>,
    record_bytes: usize,
    /// Bytes of a record that begins in one chunk and ends in the next: where they are, and how many.
    rest: (usize, usize),
    chain: Chain,
    chunk: u32,
    give_back: bool,
}

impl Default for RecordReader {
    fn default() -> Self {
        Self {
            buffer: Box::new([0; _]),
            record_bytes: 1,
            rest: (0, 0),
            chain: Chain::default(),
            chunk: 0,
            give_back: false,
        }
    }
}

/// Whole records, and enough bytes after them to read any part of the last one as a word.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    bytes: &'a [u8],
    layout: Layout,
    pub count: usize,
}

impl RecordReader {
    /// Starts with a chain. With `give_back` it is taken, and its memory goes to whoever reads.
    pub(super) fn start(&mut self, cell: &ChainCell, layout: Layout, give_back: bool) {
        self.chain = if give_back { cell.take() } else { cell.get() };
        self.chunk = self.chain.head();
        self.give_back = give_back;
        self.record_bytes = layout.record_bytes();
        self.rest = (0, 0);
    }

    /// The next records.
    #[inline]
    pub(super) fn next(&mut self, pool: &Pool, layout: Layout, spare: &mut Spare) -> Option<Block<'_>> {
        let (content, next) = pool.content(self.chain, self.chunk)?;
        let (at, carried) = self.rest;
        self.buffer.copy_within(at..at + carried, 0);
        let len = carried + content.len();
        self.buffer[carried..len].copy_from_slice(content);
        if self.give_back {
            pool.give_back(self.chunk, spare);
        }
        self.chunk = next;
        let count = len / self.record_bytes;
        let whole = count * self.record_bytes;
        self.rest = (whole, len - whole);
        debug_assert!(self.buffer.len() >= whole + RECORD_BYTES_MAX && count <= BLOCK);
        Some(Block { bytes: &self.buffer[..], layout, count })
    }
}

impl Block<'_> {
    /// Copies a part of all records: the `bits`, up to 57, that begin at bit `from`.
    #[inline(always)]
    pub(super) fn part(&self, from: u32, bits: u32, to: &mut [u64; BLOCK]) {
        let (bytes, shift, mask) = (from as usize / 8, from % 8, (1u64 << bits) - 1);
        let record_bytes = self.layout.record_bytes();
        for (i, to) in to[..self.count].iter_mut().enumerate() {
            // SAFETY: a block has 16 bytes from the start of any record on, and no part starts after the eighth.
            let word =
                unsafe { self.bytes.as_ptr().add(i * record_bytes + bytes).cast::<u64>().read_unaligned() };
            *to = u64::from_le(word) >> shift & mask;
        }
    }

    #[inline(always)]
    pub(super) fn metas(&self, to: &mut [u64; BLOCK]) {
        self.part(self.layout.low_bits, self.layout.meta_bits, to);
    }

    #[inline(always)]
    pub(super) fn extras(&self, to: &mut [u64; BLOCK]) {
        self.part(self.layout.low_bits + self.layout.meta_bits, self.layout.extra_bits, to);
    }

    #[inline(always)]
    pub(super) fn lows(&self, to: &mut [u64; BLOCK]) {
        self.part(0, self.layout.low_bits, to);
    }

    /// Copies the first or second eight bytes of all records, and what follows those that are shorter.
    #[inline(always)]
    pub(super) fn words(&self, at: usize, to: &mut [u64; BLOCK]) {
        let record_bytes = self.layout.record_bytes();
        for (i, to) in to[..self.count].iter_mut().enumerate() {
            // SAFETY: a block has 16 bytes from the start of any record on.
            let word =
                unsafe { self.bytes.as_ptr().add(i * record_bytes + 8 * at).cast::<u64>().read_unaligned() };
            *to = u64::from_le(word);
        }
    }
}
