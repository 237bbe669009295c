//! The index of a file: where each block is.
//!
//! On disk it has for each block the bytes that it has in excess of the shortest, in 16 bits. A farmer has thousands of
//! files open, so what it keeps of the index in memory is coarser: [`Runs`] of neighbouring blocks, 9 KB to a plot.

use super::{HEADER_LEN, Header, Layout};
use crate::error::PlotError;

/// Blocks from one full offset to the next.
const STRIDE: usize = 64;

/// Parts of sets in a run, one for each plot and set, if it has more than one block: a read of 140 KB at k = 28 on
/// average, which a disk reads in the time of a small part of a seek.
const RUN_SET_PARTS: u32 = 1024;

/// Where the blocks are.
pub(crate) struct Index {
    block_bytes_min: u64,
    excess: Box<[u16]>,
    offsets: Box<[u64]>,
}

impl Index {
    /// Checks that the blocks fill the file up to the index; `bytes` is the index as it is on disk.
    pub fn read(header: &Header, bytes: &[u8]) -> Result<Self, PlotError> {
        if crc32c::crc32c(bytes) != header.index_checksum {
            return Err(PlotError::Index("its checksum is wrong"));
        }
        // Bounds the memory that a look-up takes for a block.
        if u64::from(header.block_bytes_min) > header.layout.shortest_block_bytes_max() {
            return Err(PlotError::Index("its blocks are too long"));
        }
        let excess: Box<[u16]> = bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        let mut offset = HEADER_LEN as u64;
        let mut offsets = Vec::with_capacity(excess.len().div_ceil(STRIDE));
        for some in excess.chunks(STRIDE) {
            offsets.push(offset);
            // At most 2^22 blocks of less than 2^33 bytes: no overflow.
            offset +=
                some.iter().map(|excess| u64::from(header.block_bytes_min) + u64::from(*excess)).sum::<u64>();
        }
        if offset != header.index_offset {
            return Err(PlotError::Index("the blocks do not fill the file"));
        }
        Ok(Self { block_bytes_min: header.block_bytes_min.into(), excess, offsets: offsets.into() })
    }

    /// The index as it is on disk.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.excess.iter().flat_map(|excess| excess.to_le_bytes()).collect()
    }

    /// Offset and length of a block that the file has.
    pub fn place(&self, block: u64) -> (u64, u64) {
        let block = block as usize;
        let stride = block / STRIDE;
        let before = &self.excess[stride * STRIDE..block];
        let excess: u64 = before.iter().copied().map(u64::from).sum();
        let offset = self.offsets[stride] + self.block_bytes_min * before.len() as u64 + excess;
        (offset, self.block_bytes_min + u64::from(self.excess[block]))
    }
}

/// Where runs of blocks are. A run is read at once, and the block that is wanted is found in it: blocks say by
/// themselves how long they are.
pub(crate) struct Runs {
    blocks_log2: u32,
    run_bytes_min: u64,
    block_bytes_max: u64,
    excess: Box<[u16]>,
    offsets: Box<[u64]>,
}

impl Runs {
    /// The runs of a file with this layout.
    pub fn new(layout: &Layout, index: &Index) -> Result<Self, PlotError> {
        let blocks_log2 = run_blocks_log2(layout);
        let lengths = || {
            let runs = index.excess.chunks(1 << blocks_log2);
            runs.map(|run| run.iter().map(|excess| index.block_bytes_min + u64::from(*excess)).sum::<u64>())
        };
        let run_bytes_min = lengths().min().unwrap_or_default();
        let excess = lengths().map(|length| u16::try_from(length - run_bytes_min));
        let excess: Result<Box<[u16]>, _> = excess.collect();
        let excess = excess.map_err(|_| PlotError::Index("its blocks differ too much in length"))?;
        let offsets = index.offsets.iter().copied().step_by(1 << blocks_log2).collect();
        let longest = u64::from(index.excess.iter().copied().max().unwrap_or_default());
        Ok(Self {
            blocks_log2,
            run_bytes_min,
            block_bytes_max: index.block_bytes_min + longest,
            excess,
            offsets,
        })
    }

    /// Offset and length of what is read for a block, and how many blocks come before it there.
    pub fn place(&self, block: u64) -> (u64, u64, u64) {
        let (run, skipped) = ((block >> self.blocks_log2) as usize, block & ((1 << self.blocks_log2) - 1));
        let stride = run / STRIDE;
        let before = &self.excess[stride * STRIDE..run];
        let excess: u64 = before.iter().copied().map(u64::from).sum();
        let offset = self.offsets[stride] + self.run_bytes_min * before.len() as u64 + excess;
        let length = self.run_bytes_min + u64::from(self.excess[run]);
        (offset, length.min((skipped + 1) * self.block_bytes_max), skipped)
    }
}

/// Binary logarithm of the blocks of a run.
fn run_blocks_log2(layout: &Layout) -> u32 {
    let block = u32::from(layout.plots) << layout.sets_per_block_log2;
    let blocks = (RUN_SET_PARTS / block).max(1).ilog2();
    blocks.min(layout.blocks().ilog2())
}

/// Bytes of memory for the runs of a file with this layout.
pub(crate) fn memory_bytes(layout: &Layout) -> u64 {
    let runs = layout.blocks() >> run_blocks_log2(layout);
    2 * runs + 8 * runs.div_ceil(STRIDE as u64)
}

/// The lengths of blocks as they come, to become an index.
#[derive(Clone, Default)]
pub(crate) struct Lengths(Vec<u32>);

impl Lengths {
    /// The next block has this length.
    pub fn push(&mut self, length: usize) -> Result<(), PlotError> {
        self.0.push(u32::try_from(length).map_err(|_| PlotError::Table("a block is too long"))?);
        Ok(())
    }

    /// Blocks so far.
    pub const fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Length of the shortest, and the bytes of the index.
    pub fn finish(&self) -> Result<(u32, Vec<u8>), PlotError> {
        let least = self.0.iter().copied().min().unwrap_or_default();
        let mut bytes = Vec::with_capacity(2 * self.0.len());
        for length in &self.0 {
            let excess = u16::try_from(length - least)
                .map_err(|_| PlotError::Table("blocks differ too much in length"))?;
            bytes.extend_from_slice(&excess.to_le_bytes());
        }
        Ok((least, bytes))
    }
}
