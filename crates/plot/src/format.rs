//! The part of the file format that bounds all other reading, little-endian:
//!
//! | offset | bytes | what                                    |
//! |-------:|------:|-----------------------------------------|
//! |      0 |     4 | `PoS2`                                  |
//! |      4 |     1 | format version, 2                       |
//! |      5 |    32 | group id                                |
//! |     37 |     1 | k                                       |
//! |     38 |     1 | strength                                |
//! |     39 |     2 | number of plots, 1                      |
//! |     41 |     1 | meta group, 0                           |
//! |     42 |     8 | offset of the chunk index               |
//! |     50 |     1 | length of the memo, 67                  |
//! |     51 |    67 | memo: canonical encoding of the identity |
//! |    118 |       | `2^(k - 6)` chunks, then their index    |
//!
//! The index holds the sizes of the chunks as Golomb-Rice codes of their distance from 235 bytes, least bit
//! first: sign, four bits of remainder, quotient in unary. The sizes add up to what lies between memo and
//! index, so a file that lacks its end or has something in excess is found out without reading its chunks.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use mass_primitives::{Decode, DecodeError, GroupId, Reader};
use mass_proof_of_space::{GroupIdentity, META_GROUP, PlotSize, Strength};

use crate::error::PlotError;

const MAGIC: [u8; 4] = *b"PoS2";
const FORMAT_VERSION: u8 = 2;
const HEADER_LEN: u64 = 51;
const CHUNKS_OFFSET: u64 = HEADER_LEN + GroupIdentity::LEN as u64;
const HEAD_LEN: usize = CHUNKS_OFFSET as usize;

const CHUNK_BYTES_EXPECTED: i64 = 235;
const REMAINDER_BITS: u32 = 4;
const QUOTIENT_MAX: u32 = 63;
const CODE_BITS_MAX: u64 = (2 + REMAINDER_BITS + QUOTIENT_MAX) as u64;
const PADDING_BITS_MAX: u64 = 63;

/// What a checked file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The identity in the memo, whose hash is the group id in the header.
    pub identity: GroupIdentity,
    /// Length of the file.
    pub file_bytes: u64,
}

/// Checks all of a file but the content of its chunks.
pub(crate) fn check(path: &Path) -> Result<Checked, PlotError> {
    let mut file = File::open(path).map_err(PlotError::io(path))?;
    let file_bytes = file.metadata().map_err(PlotError::io(path))?.len();
    let mut head = Vec::with_capacity(HEAD_LEN);
    (&file).take(CHUNKS_OFFSET).read_to_end(&mut head).map_err(PlotError::io(path))?;
    let (identity, index_offset) = check_head(&head, file_bytes)?;

    let index_bytes = index_len(identity.size, index_offset, file_bytes)?;
    let mut index = vec![0; index_bytes];
    file.seek(SeekFrom::Start(index_offset))
        .and_then(|_| file.read_exact(&mut index))
        .map_err(PlotError::io(path))?;
    check_index(&index, chunk_count(identity.size), index_offset - CHUNKS_OFFSET)?;
    Ok(Checked { identity, file_bytes })
}

fn check_head(head: &[u8], file_bytes: u64) -> Result<(GroupIdentity, u64), PlotError> {
    if let Some(&got) = head.first_chunk::<4>()
        && got != MAGIC
    {
        return Err(PlotError::Magic { got });
    }
    let cut = |_: DecodeError| PlotError::Short { needed: CHUNKS_OFFSET, got: file_bytes };
    let mut reader = Reader::new(head);
    reader.take(MAGIC.len()).map_err(cut)?;
    let version = u8::decode(&mut reader).map_err(cut)?;
    if version != FORMAT_VERSION {
        return Err(PlotError::FormatVersion { expected: FORMAT_VERSION, got: version });
    }
    let group_id = GroupId::decode(&mut reader).map_err(cut)?;
    let size = PlotSize::new(u8::decode(&mut reader).map_err(cut)?)?;
    let strength = Strength::new(u8::decode(&mut reader).map_err(cut)?)?;
    let group_size = u16::decode(&mut reader).map_err(cut)?;
    if group_size != 1 {
        return Err(PlotError::GroupSize { got: group_size });
    }
    let meta_group = u8::decode(&mut reader).map_err(cut)?;
    if meta_group != META_GROUP {
        return Err(PlotError::MetaGroup { expected: META_GROUP, got: meta_group });
    }
    let index_offset = u64::decode(&mut reader).map_err(cut)?;
    let memo_len = usize::from(u8::decode(&mut reader).map_err(cut)?);
    if memo_len != GroupIdentity::LEN {
        return Err(PlotError::Memo(DecodeError::Invalid("it has another length")));
    }
    let memo = reader.take(memo_len).map_err(cut)?;
    let identity = GroupIdentity::from_bytes(memo).map_err(PlotError::Memo)?;
    if identity.group_id() != group_id || identity.size != size || identity.strength != strength {
        return Err(PlotError::Identity { header: group_id, memo: identity.group_id() });
    }
    Ok((identity, index_offset))
}

const fn chunk_count(size: PlotSize) -> u64 {
    1 << (size.get() - 6)
}

fn index_len(size: PlotSize, index_offset: u64, file_bytes: u64) -> Result<usize, PlotError> {
    if index_offset < CHUNKS_OFFSET + chunk_count(size) {
        return Err(PlotError::Index("it lies among the chunks"));
    }
    let len = match file_bytes.checked_sub(index_offset) {
        Some(len) if len > 0 => len,
        _ => return Err(PlotError::Short { needed: index_offset.saturating_add(1), got: file_bytes }),
    };
    let len_max = (chunk_count(size) * CODE_BITS_MAX + PADDING_BITS_MAX) / 8;
    if len > len_max {
        return Err(PlotError::Index("it is longer than an index can be"));
    }
    usize::try_from(len).map_err(|_| PlotError::Index("it is longer than memory"))
}

fn check_index(index: &[u8], chunks: u64, chunk_bytes: u64) -> Result<(), PlotError> {
    let mut bits = Bits { bytes: index, position: 0 };
    let mut total = 0u64;
    for _ in 0..chunks {
        let size = bits.chunk_size().ok_or(PlotError::Index("it is cut short"))?;
        // At most 2^22 chunks of at most 2^11 bytes: no overflow.
        total += u64::try_from(size).map_err(|_| PlotError::Index("a chunk has no length"))?;
    }
    if total != chunk_bytes {
        return Err(PlotError::Index("the chunks do not fill the file"));
    }
    if bits.left() > PADDING_BITS_MAX {
        return Err(PlotError::Index("it goes on after the last chunk"));
    }
    Ok(())
}

/// A cursor over bits, least bit first.
struct Bits<'a> {
    bytes: &'a [u8],
    position: u64,
}

impl Bits<'_> {
    const fn left(&self) -> u64 {
        self.bytes.len() as u64 * 8 - self.position
    }

    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(usize::try_from(self.position / 8).ok()?)?;
        let bit = byte >> (self.position % 8) & 1;
        self.position += 1;
        Some(bit == 1)
    }

    /// The size of the next chunk; `None` if the bits end early or code no size above 0.
    fn chunk_size(&mut self) -> Option<i64> {
        let negative = self.bit()?;
        let mut remainder = 0;
        for place in 0..REMAINDER_BITS {
            remainder |= i64::from(self.bit()?) << place;
        }
        let mut quotient = 0i64;
        while self.bit()? {
            quotient += 1;
            if quotient > i64::from(QUOTIENT_MAX) {
                return None;
            }
        }
        let distance = quotient << REMAINDER_BITS | remainder;
        let size = CHUNK_BYTES_EXPECTED + if negative { -distance } else { distance };
        (size > 0).then_some(size)
    }
}
