//! The layout of a plot file: header, blocks, index, header again. Byte by byte in `docs/plot-format.md`.
//!
//! A **set** holds the fragments whose number divided by `2^(k + 6)` is the number of the set, 64 on average; a
//! challenge asks four of them. A **block** holds a run of neighbouring sets of all plots of the group, side by
//! side, and has a checksum. So a challenge costs four reads, one block each, however many plots there
//! are. The **index** has the length of each block.
//!
//! Here is the arithmetic and the header. The blocks are in [`block`], the index is in [`index`].

pub(crate) mod block;
pub(crate) mod index;

use mass_primitives::{Decode, Encode, PlotIndex, Reader};
use mass_proof_of_space::{GroupIdentity, PlotSize, chain::SET_BITS};

use crate::error::{FileEnd, PlotError};

const FORMAT_VERSION: u16 = 1;
/// Bytes that a file starts with.
const MAGIC_LEN: usize = 8;

/// Bytes of a header without its checksum.
const HEADER_BODY_LEN: usize = MAGIC_LEN + 2 + GroupIdentity::LEN + 2 + 1 + 8 + 8 + 4 + 4;
/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = HEADER_BODY_LEN + CHECKSUM_LEN;
/// Bytes of a checksum, CRC-32C.
pub(crate) const CHECKSUM_LEN: usize = 4;
/// Bytes that the index has for a block.
pub(crate) const INDEX_ENTRY_LEN: u64 = 2;

/// The most plots that a file has: more would hand one farmer a run of blocks when their round comes.
pub(crate) const GROUP_PLOTS_MAX: u16 = 128;

/// Plots that a block of this many sets holds without getting longer than a disk reads in a moment.
const SET_PARTS_PER_BLOCK: u16 = 512;
/// The most sets that a block has: more would make the look-up decode what it does not need.
const SETS_PER_BLOCK_MAX: u16 = 32;
/// The fewest sets that a block has: fewer would make the index of many plots large.
const SETS_PER_BLOCK_MIN: u16 = 4;

/// How fragments are spread over blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    k: u32,
    /// Plots in the file.
    pub plots: u16,
    /// Binary logarithm of the sets in a block.
    pub sets_per_block_log2: u8,
}

impl Layout {
    /// The layout that a new file of so many plots gets.
    pub fn new(size: PlotSize, plots: u16) -> Self {
        let sets = (SET_PARTS_PER_BLOCK / plots.max(1)).clamp(SETS_PER_BLOCK_MIN, SETS_PER_BLOCK_MAX);
        Self { k: size.get().into(), plots, sets_per_block_log2: sets.ilog2() as u8 }
    }

    pub const fn k(&self) -> u32 {
        self.k
    }

    /// Blocks of the file.
    pub const fn blocks(&self) -> u64 {
        1 << (self.k - SET_BITS - self.sets_per_block_log2 as u32)
    }

    /// The block that holds a set.
    pub const fn block_of_set(&self, set: u64) -> u64 {
        set >> self.sets_per_block_log2
    }

    /// The block that holds a fragment.
    pub const fn block_of(&self, fragment: u64) -> u64 {
        self.block_of_set(fragment >> (self.k + SET_BITS))
    }

    /// What the shortest block takes at the most: twice the mean, which no plot comes near.
    pub const fn shortest_block_bytes_max(&self) -> u64 {
        let set_bits = (self.k as u64 + 2) << SET_BITS;
        2 * (self.plots as u64 * (set_bits << self.sets_per_block_log2) / 8 + CHECKSUM_LEN as u64)
    }

    /// The first number that a fragment of a block may have.
    pub const fn block_start(&self, block: u64) -> u64 {
        (block << self.sets_per_block_log2) << (self.k + SET_BITS)
    }

    /// The longest block that the index can name.
    pub const fn block_bytes_max(&self) -> u64 {
        self.shortest_block_bytes_max() + u16::MAX as u64
    }

    /// The first number that a fragment of a set may have.
    pub const fn set_start(&self, set: u64) -> u64 {
        set << (self.k + SET_BITS)
    }
}

/// What a file with a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The plots of a group from index 0 on.
    Plots,
    /// One plot of a group that is being made.
    Staged(PlotIndex),
    /// The file to which the plots of a group are being merged; its header has no more than whose and how many.
    Begun,
}

impl Kind {
    pub const fn magic(self) -> [u8; MAGIC_LEN] {
        match self {
            Self::Plots => *b"MASSPLOT",
            Self::Staged(_) => *b"MASSPART",
            Self::Begun => *b"MASSWORK",
        }
    }
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub kind: Kind,
    pub identity: GroupIdentity,
    pub layout: Layout,
    /// Fragments of all plots together.
    pub fragments: u64,
    /// Where the index starts and the blocks end.
    pub index_offset: u64,
    /// Length of the shortest block; the index has what the others have in excess.
    pub block_bytes_min: u32,
    /// Checksum of the index.
    pub index_checksum: u32,
}

impl Header {
    /// Length of a file with this header.
    pub const fn file_bytes(&self) -> u64 {
        self.index_offset
            .saturating_add(self.layout.blocks() * INDEX_ENTRY_LEN)
            .saturating_add(HEADER_LEN as u64)
    }

    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut body = Vec::with_capacity(HEADER_LEN);
        body.extend_from_slice(&self.kind.magic());
        FORMAT_VERSION.encode(&mut body);
        self.identity.encode(&mut body);
        match self.kind {
            Kind::Staged(index) => index.encode(&mut body),
            Kind::Plots | Kind::Begun => self.layout.plots.encode(&mut body),
        }
        self.layout.sets_per_block_log2.encode(&mut body);
        self.fragments.encode(&mut body);
        self.index_offset.encode(&mut body);
        self.block_bytes_min.encode(&mut body);
        self.index_checksum.encode(&mut body);
        crc32c::crc32c(&body).encode(&mut body);
        body.try_into().expect("the fields have the lengths that HEADER_LEN adds up")
    }

    /// The header of a group that is begun.
    pub fn begun(identity: &GroupIdentity, plots: u16) -> Self {
        Self {
            kind: Kind::Begun,
            identity: *identity,
            layout: Layout::new(identity.size, plots),
            fragments: 0,
            index_offset: 0,
            block_bytes_min: 0,
            index_checksum: 0,
        }
    }

    /// Reads the header of a plot file found at `end` of it.
    pub fn read(bytes: &[u8; HEADER_LEN], end: FileEnd) -> Result<Self, PlotError> {
        let header = Self::read_any(bytes, end)?;
        match header.kind {
            Kind::Plots => Ok(header),
            kind => Err(PlotError::Magic { end, got: kind.magic() }),
        }
    }

    /// Reads a header of any kind found at `end` of a file.
    pub fn read_any(bytes: &[u8; HEADER_LEN], end: FileEnd) -> Result<Self, PlotError> {
        let mut reader = Reader::new(bytes);
        let damaged = |_| PlotError::Header(end);
        let magic = reader.array().map_err(damaged)?;
        let kinds = [Kind::Plots, Kind::Staged(PlotIndex::ZERO), Kind::Begun];
        let Some(kind) = kinds.into_iter().find(|kind| kind.magic() == magic) else {
            return Err(PlotError::Magic { end, got: magic });
        };
        let version = u16::decode(&mut reader).map_err(damaged)?;
        if version != FORMAT_VERSION {
            return Err(PlotError::FormatVersion { expected: FORMAT_VERSION, got: version });
        }
        let (body, checksum) = bytes.split_at(HEADER_BODY_LEN);
        if crc32c::crc32c(body).to_le_bytes() != checksum {
            return Err(PlotError::Header(end));
        }
        let identity = GroupIdentity::decode(&mut reader).map_err(PlotError::Identity)?;
        let number = u16::decode(&mut reader).map_err(damaged)?;
        let (kind, plots) = match kind {
            Kind::Staged(_) => (Kind::Staged(PlotIndex::new(number)), 1),
            kind => (kind, number),
        };
        let sets_per_block_log2 = u8::decode(&mut reader).map_err(damaged)?;
        if !(1..=GROUP_PLOTS_MAX).contains(&plots) {
            return Err(PlotError::GroupSize { got: plots });
        }
        if 1u16.checked_shl(sets_per_block_log2.into()).is_none_or(|sets| sets > SETS_PER_BLOCK_MAX) {
            return Err(PlotError::Layout { sets_per_block_log2 });
        }
        Ok(Self {
            kind,
            identity,
            layout: Layout { k: identity.size.get().into(), plots, sets_per_block_log2 },
            fragments: u64::decode(&mut reader).map_err(damaged)?,
            index_offset: u64::decode(&mut reader).map_err(damaged)?,
            block_bytes_min: u32::decode(&mut reader).map_err(damaged)?,
            index_checksum: u32::decode(&mut reader).map_err(damaged)?,
        })
    }
}
