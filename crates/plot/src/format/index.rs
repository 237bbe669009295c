//! The index of a file: where each block is.
//!
//! On disk and in memory it has for each block the bytes that it has in excess of the shortest, in 16 bits.
//! In memory there is besides the full offset of every 64th block, so that a plot group of 100 GiB takes
//! some 2 MB.

use super::{HEADER_LEN, Header};
use crate::error::PlotError;

/// Blocks from one full offset to the next.
const STRIDE: usize = 64;

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

/// Bytes of memory for the index of so many blocks.
pub(crate) const fn memory_bytes(blocks: u64) -> u64 {
    2 * blocks + 8 * blocks.div_ceil(STRIDE as u64)
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
