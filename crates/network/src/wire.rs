//! The messages of headers-first sync in the canonical encoding: a tag byte, then the fields. Every
//! count and length is bounded before it is believed. Headers and blocks are opaque bytes here: what
//! they mean is the ledger's and the engine's matter.

mod state;

pub use state::{OFFERS_MAX, STATE_PART_BYTES_MAX, SUMS_BYTES_MAX, StateOffer, StateRequest, StateResponse};

use mass_primitives::{
    BlockId, ChainWeight, Decode, DecodeError, Encode, Height, Reader,
    encoding::{encode_byte_string, encode_list},
};

mod compact;

pub use compact::{CompactBlock, PIECES_MAX, POSITIONS_MAX, Piece, ShortId, ShortIds};

/// Block ids in one locator at the most.
pub const LOCATOR_MAX: usize = 64;
/// Blocks in one request at the most.
pub const BLOCKS_MAX: usize = 64;
/// Headers in one response at the most.
pub const HEADERS_MAX: usize = 512;
/// Length of one header with its seal at the most.
pub const HEADER_BYTES_MAX: usize = 4096;
/// Length of one block at the most, in sync and in gossip.
pub const BLOCK_BYTES_MAX: usize = 5 << 20;
/// Length of an encoded response at the most.
pub const RESPONSE_BYTES_MAX: usize = 16 << 20;
/// Length of an encoded request at the most: tag, id, count and positions of pieces.
pub const REQUEST_BYTES_MAX: usize = 1 + BlockId::LEN + 4 + POSITIONS_MAX * 2;

const STATUS: u8 = 0;
const HEADERS: u8 = 1;
const BLOCKS: u8 = 2;
const PIECES: u8 = 3;
const STATE: u8 = 4;

/// What a peer is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Where the peer's chain stands.
    Status,
    /// The headers that follow the first locator entry on the peer's chain.
    Headers {
        /// Block ids from our tip backwards, ever sparser; [`LOCATOR_MAX`] at the most.
        locator: Vec<BlockId>,
        /// Headers wanted at the most.
        max: u16,
    },
    /// Whole blocks.
    Blocks {
        /// The blocks wanted; [`BLOCKS_MAX`] at the most.
        ids: Vec<BlockId>,
    },
    /// Pieces of a block that was told as a [`CompactBlock`].
    Pieces {
        /// The block.
        id: BlockId,
        /// Positions of the pieces, ascending; [`POSITIONS_MAX`] at the most.
        positions: Vec<u16>,
    },
    /// A snapshot of the state, or a part of one.
    State(StateRequest),
}

/// What a peer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Where the peer's chain stands.
    Status {
        /// Best block.
        tip: BlockId,
        /// Height of the best block.
        height: Height,
        /// Weight of the chain up to it.
        weight: ChainWeight,
        /// What the peer's clock shows, in unix seconds.
        time: u64,
        /// Height of the lowest block that the peer has, beside the genesis block: a hint whom to ask for what.
        blocks_from: Height,
    },
    /// Headers in chain order; [`HEADERS_MAX`] of [`HEADER_BYTES_MAX`] bytes at the most.
    Headers(Vec<Vec<u8>>),
    /// The blocks asked for in that order, `None` where the peer has none; [`BLOCKS_MAX`] of
    /// [`BLOCK_BYTES_MAX`] bytes at the most.
    Blocks(Vec<Option<Vec<u8>>>),
    /// The pieces asked for in that order, none if the block is not there; [`POSITIONS_MAX`] at the most.
    Pieces(Vec<Vec<u8>>),
    /// A snapshot of the state, or a part of one.
    State(StateResponse),
}

fn within(got: usize, bound: usize) -> Result<(), DecodeError> {
    if got > bound { Err(DecodeError::TooLong { got, bound }) } else { Ok(()) }
}

impl Request {
    /// The kind of answer that fits.
    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Self::Status => STATUS,
            Self::Headers { .. } => HEADERS,
            Self::Blocks { .. } => BLOCKS,
            Self::Pieces { .. } => PIECES,
            Self::State(_) => STATE,
        }
    }

    /// Length of the encoding in bytes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Status => 1,
            Self::Headers { locator, .. } => 1 + 4 + locator.len() * BlockId::LEN + 2,
            Self::Blocks { ids } => 1 + 4 + ids.len() * BlockId::LEN,
            Self::Pieces { positions, .. } => 1 + BlockId::LEN + 4 + positions.len() * 2,
            Self::State(request) => 1 + request.encoded_len(),
        }
    }

    /// Checks the bounds that the receiver will check.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] if the request is too large to send.
    pub fn check(&self) -> Result<(), DecodeError> {
        match self {
            Self::Status | Self::State(_) => Ok(()),
            Self::Headers { locator, .. } => within(locator.len(), LOCATOR_MAX),
            Self::Blocks { ids } => within(ids.len(), BLOCKS_MAX),
            Self::Pieces { positions, .. } => within(positions.len(), POSITIONS_MAX),
        }
    }
}

impl Encode for Request {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Status => STATUS.encode(out),
            Self::Headers { locator, max } => {
                HEADERS.encode(out);
                encode_list(locator, out);
                max.encode(out);
            }
            Self::Blocks { ids } => {
                BLOCKS.encode(out);
                encode_list(ids, out);
            }
            Self::Pieces { id, positions } => {
                PIECES.encode(out);
                id.encode(out);
                encode_list(positions, out);
            }
            Self::State(request) => {
                STATE.encode(out);
                request.encode(out);
            }
        }
    }
}

impl Decode for Request {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            STATUS => Ok(Self::Status),
            HEADERS => {
                let locator = reader.list(LOCATOR_MAX)?;
                Ok(Self::Headers { locator, max: u16::decode(reader)? })
            }
            BLOCKS => Ok(Self::Blocks { ids: reader.list(BLOCKS_MAX)? }),
            PIECES => {
                let id = BlockId::decode(reader)?;
                Ok(Self::Pieces { id, positions: compact::decode_positions(reader)? })
            }
            STATE => StateRequest::decode(reader).map(Self::State),
            _ => Err(DecodeError::Invalid("unknown kind of request")),
        }
    }
}

impl Response {
    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Self::Status { .. } => STATUS,
            Self::Headers(_) => HEADERS,
            Self::Blocks(_) => BLOCKS,
            Self::Pieces(_) => PIECES,
            Self::State(_) => STATE,
        }
    }

    /// Length of the encoding in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Status { .. } => 1 + BlockId::LEN + 4 + 16 + 8 + 4,
            Self::Headers(headers) => 5 + headers.iter().map(|header| 4 + header.len()).sum::<usize>(),
            Self::Blocks(blocks) => {
                let len = |block: &Option<Vec<u8>>| 1 + block.as_ref().map_or(0, |bytes| 4 + bytes.len());
                5 + blocks.iter().map(len).sum::<usize>()
            }
            Self::Pieces(pieces) => 5 + pieces.iter().map(|piece| 4 + piece.len()).sum::<usize>(),
            Self::State(response) => 1 + response.encoded_len(),
        }
    }

    /// Checks the bounds that the receiver will check.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] if the response is too large to send.
    pub fn check(&self) -> Result<(), DecodeError> {
        match self {
            Self::Status { .. } => {}
            Self::Headers(headers) => {
                within(headers.len(), HEADERS_MAX)?;
                headers.iter().try_for_each(|header| within(header.len(), HEADER_BYTES_MAX))?;
            }
            Self::Blocks(blocks) => {
                within(blocks.len(), BLOCKS_MAX)?;
                blocks.iter().flatten().try_for_each(|block| within(block.len(), BLOCK_BYTES_MAX))?;
            }
            Self::Pieces(pieces) => {
                within(pieces.len(), POSITIONS_MAX)?;
                pieces.iter().try_for_each(|piece| within(piece.len(), BLOCK_BYTES_MAX))?;
            }
            Self::State(response) => response.check()?,
        }
        within(self.encoded_len(), RESPONSE_BYTES_MAX)
    }
}

impl Encode for Response {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        match self {
            Self::Status { tip, height, weight, time, blocks_from } => {
                STATUS.encode(out);
                tip.encode(out);
                height.encode(out);
                weight.encode(out);
                time.encode(out);
                blocks_from.encode(out);
            }
            Self::Headers(headers) => {
                HEADERS.encode(out);
                encode_count(headers.len(), out);
                headers.iter().for_each(|header| encode_byte_string(header, out));
            }
            Self::Blocks(blocks) => {
                BLOCKS.encode(out);
                encode_count(blocks.len(), out);
                blocks.iter().for_each(|block| encode_option(block.as_deref(), out));
            }
            Self::Pieces(pieces) => {
                PIECES.encode(out);
                encode_count(pieces.len(), out);
                pieces.iter().for_each(|piece| encode_byte_string(piece, out));
            }
            Self::State(response) => {
                STATE.encode(out);
                response.encode(out);
            }
        }
    }
}

fn encode_count(count: usize, out: &mut Vec<u8>) {
    u32::try_from(count).unwrap_or(u32::MAX).encode(out);
}

fn encode_option(block: Option<&[u8]>, out: &mut Vec<u8>) {
    u8::from(block.is_some()).encode(out);
    if let Some(bytes) = block {
        encode_byte_string(bytes, out);
    }
}

impl Decode for Response {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        within(reader.left(), RESPONSE_BYTES_MAX)?;
        match u8::decode(reader)? {
            STATUS => Ok(Self::Status {
                tip: BlockId::decode(reader)?,
                height: Height::decode(reader)?,
                weight: ChainWeight::decode(reader)?,
                time: u64::decode(reader)?,
                blocks_from: Height::decode(reader)?,
            }),
            HEADERS => decode_strings(reader, HEADERS_MAX, HEADER_BYTES_MAX).map(Self::Headers),
            PIECES => decode_strings(reader, POSITIONS_MAX, BLOCK_BYTES_MAX).map(Self::Pieces),
            BLOCKS => {
                let count = reader.length(BLOCKS_MAX)?;
                (0..count).map(|_| decode_option(reader)).collect::<Result<_, _>>().map(Self::Blocks)
            }
            STATE => StateResponse::decode(reader).map(Self::State),
            _ => Err(DecodeError::Invalid("unknown kind of response")),
        }
    }
}

fn decode_strings(reader: &mut Reader<'_>, count: usize, bytes: usize) -> Result<Vec<Vec<u8>>, DecodeError> {
    let count = reader.length(count)?;
    (0..count).map(|_| reader.byte_string(bytes).map(<[u8]>::to_vec)).collect()
}

fn decode_option(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    match u8::decode(reader)? {
        0 => Ok(None),
        1 => reader.byte_string(BLOCK_BYTES_MAX).map(|bytes| Some(bytes.to_vec())),
        _ => Err(DecodeError::Invalid("an option is 0 or 1")),
    }
}

#[cfg(test)]
mod tests;
