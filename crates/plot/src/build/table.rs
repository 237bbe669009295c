//! A table in memory, and how records are read out of its buckets.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx512;

use super::{
    pool::{CHUNK_BYTES_MAX, Chain, ChainCell, Pool, Spare},
    scatter::{RECORD_BYTES_MAX, RECORD_BYTES_MIN},
    shape::Layout,
};

/// Most bytes of a block, and a record more. All that is made of it stays in a core's own caches.
const BLOCK_BYTES: usize = CHUNK_BYTES_MAX;

/// Most records of a block.
pub(super) const BLOCK: usize = BLOCK_BYTES / RECORD_BYTES_MIN + 8 + BEYOND_WORDS;

/// Words by which a column is longer than a block, for those who write eight at once.
const BEYOND_WORDS: usize = 8;

/// Bytes that are read at once: all of eight of the longest records.
const READ_BYTES: usize = 8 * RECORD_BYTES_MAX;

/// Bytes by which the buffer of a block is longer, for those who read beyond it.
const BEYOND_BYTES: usize = READ_BYTES + RECORD_BYTES_MAX;

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

/// Reads the records of some chains, a block at a time.
pub(super) struct RecordReader {
    buffer: Box<[u8; BLOCK_BYTES + RECORD_BYTES_MAX + BEYOND_BYTES]>,
    /// The chains, the last first.
    chains: Vec<Chain>,
    /// The chain that is being read, and its next chunk.
    chain: Chain,
    chunk: u32,
    /// Bytes of a record that begins in one block and ends in the next: where they are, and how many.
    rest: (usize, usize),
    layout: Layout,
    give_back: bool,
    wide: bool,
}

impl RecordReader {
    /// A reader; `wide` if the processor has registers of 512 bits and all that goes with them.
    pub(super) fn new(wide: bool) -> Self {
        Self {
            buffer: Box::new([0; _]),
            chains: Vec::new(),
            chain: Chain::default(),
            chunk: 0,
            rest: (0, 0),
            layout: Layout { low_bits: 0, meta_bits: 0, extra_bits: 0 },
            give_back: false,
            wide,
        }
    }
}

/// Whole records, and enough bytes after them to read any part of the last one as a word.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    bytes: &'a [u8],
    layout: Layout,
    wide: bool,
    pub count: usize,
}

impl RecordReader {
    /// Starts with some chains. With `give_back` they are taken, and their memory goes to whoever reads.
    pub(super) fn start<'a>(
        &mut self,
        cells: impl Iterator<Item = &'a ChainCell>,
        layout: Layout,
        give_back: bool,
    ) {
        self.chains.clear();
        self.chains.extend(cells.map(|cell| if give_back { cell.take() } else { cell.get() }));
        self.chain = Chain::default();
        self.chunk = self.chain.head();
        self.rest = (0, 0);
        self.layout = layout;
        self.give_back = give_back;
    }

    /// The next records.
    #[inline]
    pub(super) fn next(&mut self, pool: &Pool, spare: &mut Spare) -> Option<Block<'_>> {
        let (at, mut len) = self.rest;
        self.buffer.copy_within(at..at + len, 0);
        while len + pool.chunk_bytes() <= BLOCK_BYTES + RECORD_BYTES_MAX {
            let Some((content, next)) = pool.content(self.chain, self.chunk) else {
                let Some(chain) = self.chains.pop() else { break };
                (self.chain, self.chunk) = (chain, chain.head());
                continue;
            };
            self.buffer[len..len + content.len()].copy_from_slice(content);
            len += content.len();
            if self.give_back {
                pool.give_back(self.chunk, spare);
            }
            self.chunk = next;
        }
        let record_bytes = self.layout.record_bytes();
        let count = len / record_bytes;
        self.rest = (count * record_bytes, len % record_bytes);
        debug_assert!(
            count <= BLOCK - BEYOND_WORDS && (count > 0 || len == 0),
            "chains are whole numbers of records"
        );
        (count > 0).then_some(Block { bytes: &self.buffer[..], layout: self.layout, wide: self.wide, count })
    }
}

impl Block<'_> {
    /// Copies a part of all records: the `bits`, up to 57, that begin at bit `from`.
    #[inline(always)]
    fn part(&self, from: u32, bits: u32, to: &mut [u64; BLOCK]) {
        self.each_word(from as usize / 8, (from % 8, (1u64 << bits) - 1), to);
    }

    /// Copies the eight bytes from byte `at` of every record on, shifted and masked.
    #[inline(always)]
    fn each_word(&self, at: usize, (shift, mask): (u32, u64), to: &mut [u64; BLOCK]) {
        let record_bytes = self.layout.record_bytes();
        assert!(self.count <= BLOCK - BEYOND_WORDS && at < RECORD_BYTES_MAX);
        let mut from = self.bytes[at..].as_ptr();
        #[cfg(target_arch = "x86_64")]
        if self.wide {
            // SAFETY: the processor has the instructions; a block has enough bytes from the start of any record on,
            // and a column has more words than a block has records.
            unsafe { avx512::take_words(from, record_bytes, self.count, shift, mask, to.as_mut_ptr()) };
            return;
        }
        for to in &mut to[..self.count] {
            // SAFETY: a block has enough bytes from the start of any record on.
            unsafe {
                *to = u64::from_le(from.cast::<u64>().read_unaligned()) >> shift & mask;
                from = from.add(record_bytes);
            }
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
        self.each_word(8 * at, (0, u64::MAX), to);
    }
}
