//! A block told by what its receiver lacks (BIP-152 in spirit): short ids of the transactions that wait in everybody's
//! pool, and all other bytes as they are. A block is a row of pieces one after the other; who knows the pieces behind the
//! short ids has the block.
//!
//! ```text
//! nonce   u64
//! short   count u32, then 6 bytes each, in the order of the block
//! inline  count u32, then position u16 in the row, ascending, and a byte string each
//! ```
//!
//! What is between two inline pieces is short. A short id is the low 48 bits of SipHash-2-4 over the SHA-256 of the piece,
//! keyed by the block and the nonce, so that nobody can make transactions that collide before the block is there. Not here: which parts of a block are transactions,
//! which its ledger alone knows, and where the pieces come from.

use mass_primitives::{
    BlockId, Decode, DecodeError, Encode, Reader,
    encoding::{encode_byte_string, encode_list},
};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

use super::{BLOCK_BYTES_MAX, encode_count};

/// Pieces of one block at the most.
pub const PIECES_MAX: usize = 1 << 16;

/// Pieces in one request at the most: who lacks more asks for the whole block.
pub const POSITIONS_MAX: usize = 4096;

/// Names a transaction within one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId([u8; 6]);

impl Encode for ShortId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for ShortId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

/// Makes the short ids of one block.
#[derive(Clone, Copy, Debug)]
pub struct ShortIds(SipHasher24);

impl ShortIds {
    /// Those of a block under a nonce.
    #[must_use]
    pub fn new(block: &BlockId, nonce: u64) -> Self {
        let digest: [u8; 32] =
            Sha256::new().chain_update(block.to_bytes()).chain_update(nonce.to_le_bytes()).finalize().into();
        let (mut key, (first, _)) = ([0; 16], digest.split_at(16));
        key.copy_from_slice(first);
        Self(SipHasher24::new_with_key(&key))
    }

    /// The short id of the piece with this SHA-256.
    #[must_use]
    pub fn of(&self, hash: &[u8; 32]) -> ShortId {
        let [a, b, c, d, e, f, ..] = self.0.hash(hash).to_le_bytes();
        ShortId([a, b, c, d, e, f])
    }
}

/// A piece of a block as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// To be found by its short id.
    Short(ShortId),
    /// As it is.
    Inline(&'a [u8]),
}

/// A block told by what its receiver lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactBlock {
    nonce: u64,
    short: Vec<ShortId>,
    inline: Vec<(u16, Vec<u8>)>,
}

impl CompactBlock {
    /// A block of these pieces; `None` if there are too many.
    #[must_use]
    pub fn new<'a>(nonce: u64, pieces: impl IntoIterator<Item = Piece<'a>>) -> Option<Self> {
        let (mut short, mut inline) = (Vec::new(), Vec::new());
        for (position, piece) in pieces.into_iter().enumerate() {
            let position = u16::try_from(position).ok()?;
            match piece {
                Piece::Short(id) => short.push(id),
                Piece::Inline(bytes) => inline.push((position, bytes.to_vec())),
            }
        }
        Some(Self { nonce, short, inline })
    }

    /// What the short ids are keyed with beside the block.
    #[must_use]
    pub const fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The pieces in their order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let (mut short, mut inline) = (self.short.iter(), self.inline.iter().peekable());
        (0..self.short.len() + self.inline.len()).filter_map(move |position| {
            match inline.next_if(|(at, _)| usize::from(*at) == position) {
                Some((_, bytes)) => Some(Piece::Inline(bytes)),
                None => short.next().map(|id| Piece::Short(*id)),
            }
        })
    }

    /// The bytes that the block begins with, which hold its header.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        self.inline.first().filter(|(at, _)| *at == 0).map_or(&[], |(_, bytes)| bytes)
    }

    /// Length of the encoding in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let inline = self.inline.iter().map(|(_, bytes)| 2 + 4 + bytes.len()).sum::<usize>();
        8 + 4 + self.short.len() * 6 + 4 + inline
    }
}

impl Encode for CompactBlock {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        self.nonce.encode(out);
        encode_list(&self.short, out);
        encode_count(self.inline.len(), out);
        for (position, bytes) in &self.inline {
            position.encode(out);
            encode_byte_string(bytes, out);
        }
    }
}

impl Decode for CompactBlock {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        super::within(reader.left(), BLOCK_BYTES_MAX)?;
        let nonce = u64::decode(reader)?;
        let short: Vec<ShortId> = reader.list(PIECES_MAX)?;
        let count = reader.length(PIECES_MAX.saturating_sub(short.len()))?;
        let (mut inline, mut least) = (Vec::<(u16, Vec<u8>)>::new(), 0usize);
        for _ in 0..count {
            let position = u16::decode(reader)?;
            if usize::from(position) < least || usize::from(position) >= short.len().saturating_add(count) {
                return Err(DecodeError::Invalid("positions ascend within the block"));
            }
            least = usize::from(position) + 1;
            inline.push((position, reader.byte_string(BLOCK_BYTES_MAX)?.to_vec()));
        }
        Ok(Self { nonce, short, inline })
    }
}

/// Positions of pieces that somebody lacks: they ascend.
pub(super) fn decode_positions(reader: &mut Reader<'_>) -> Result<Vec<u16>, DecodeError> {
    let positions: Vec<u16> = reader.list(POSITIONS_MAX)?;
    if positions.is_sorted_by(|one, next| one < next) {
        Ok(positions)
    } else {
        Err(DecodeError::Invalid("positions ascend"))
    }
}
