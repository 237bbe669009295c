//! The messages by which a node gets a snapshot of the state, `docs/snapshots.md`. Parts, and the list of their
//! sums, are opaque bytes here.

use mass_primitives::{
    BlockId, Decode, DecodeError, Encode, Height, Reader,
    encoding::{encode_byte_string, encode_list},
};

use super::within;

/// Snapshots that a peer offers at the most.
pub const OFFERS_MAX: usize = 4;
/// Bytes of sums in one answer at the most.
pub const SUMS_BYTES_MAX: usize = 1 << 20;
/// Bytes of a part at the most.
pub const STATE_PART_BYTES_MAX: usize = 8 << 20;

const OFFERS: u8 = 0;
const SUMS: u8 = 1;
const PART: u8 = 2;

/// What a peer is asked of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateRequest {
    /// Which snapshots the peer has.
    Offers,
    /// The sums of a snapshot's parts.
    Sums {
        /// The block that the state is after.
        base: BlockId,
        /// The first part whose sum is wanted.
        from: u32,
    },
    /// A part.
    Part {
        /// The block that the state is after.
        base: BlockId,
        /// Which part.
        index: u32,
    },
}

/// A snapshot that a peer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateOffer {
    /// Height of the block that the state is after.
    pub height: Height,
    /// The block.
    pub base: BlockId,
    /// Number of parts.
    pub parts: u32,
    /// Hash of the list of the parts' sums.
    pub list: [u8; 32],
}

/// What a peer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateResponse {
    /// Its snapshots; [`OFFERS_MAX`] at the most.
    Offers(Vec<StateOffer>),
    /// Sums of parts, from the one asked for on; [`SUMS_BYTES_MAX`] at the most, none if the peer does not have the snapshot.
    Sums(Vec<u8>),
    /// The part of [`STATE_PART_BYTES_MAX`] bytes at the most, if the peer has it.
    Part(Option<Vec<u8>>),
}

impl StateRequest {
    pub(super) const fn encoded_len(&self) -> usize {
        match self {
            Self::Offers => 1,
            Self::Sums { .. } | Self::Part { .. } => 1 + BlockId::LEN + 4,
        }
    }
}

impl Encode for StateRequest {
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, base, number) = match self {
            Self::Offers => return OFFERS.encode(out),
            Self::Sums { base, from } => (SUMS, base, from),
            Self::Part { base, index } => (PART, base, index),
        };
        kind.encode(out);
        base.encode(out);
        number.encode(out);
    }
}

impl Decode for StateRequest {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            OFFERS => Ok(Self::Offers),
            SUMS => Ok(Self::Sums { base: BlockId::decode(reader)?, from: u32::decode(reader)? }),
            PART => Ok(Self::Part { base: BlockId::decode(reader)?, index: u32::decode(reader)? }),
            _ => Err(DecodeError::Invalid("unknown kind of request for a state")),
        }
    }
}

impl Encode for StateOffer {
    fn encode(&self, out: &mut Vec<u8>) {
        self.height.encode(out);
        self.base.encode(out);
        self.parts.encode(out);
        out.extend_from_slice(&self.list);
    }
}

impl Decode for StateOffer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (height, base) = (Height::decode(reader)?, BlockId::decode(reader)?);
        Ok(Self { height, base, parts: u32::decode(reader)?, list: reader.array()? })
    }
}

impl StateResponse {
    pub(super) fn encoded_len(&self) -> usize {
        match self {
            Self::Offers(offers) => 5 + offers.len() * (4 + BlockId::LEN + 4 + 32),
            Self::Sums(sums) => 5 + sums.len(),
            Self::Part(part) => 2 + part.as_ref().map_or(0, |part| 4 + part.len()),
        }
    }

    pub(super) fn check(&self) -> Result<(), DecodeError> {
        match self {
            Self::Offers(offers) => within(offers.len(), OFFERS_MAX),
            Self::Sums(sums) => within(sums.len(), SUMS_BYTES_MAX),
            Self::Part(part) => within(part.as_ref().map_or(0, Vec::len), STATE_PART_BYTES_MAX),
        }
    }
}

impl Encode for StateResponse {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Offers(offers) => {
                OFFERS.encode(out);
                encode_list(offers, out);
            }
            Self::Sums(sums) => {
                SUMS.encode(out);
                encode_byte_string(sums, out);
            }
            Self::Part(part) => {
                PART.encode(out);
                u8::from(part.is_some()).encode(out);
                if let Some(bytes) = part {
                    encode_byte_string(bytes, out);
                }
            }
        }
    }
}

impl Decode for StateResponse {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            OFFERS => reader.list(OFFERS_MAX).map(Self::Offers),
            SUMS => Ok(Self::Sums(reader.byte_string(SUMS_BYTES_MAX)?.to_vec())),
            PART => match u8::decode(reader)? {
                0 => Ok(Self::Part(None)),
                1 => Ok(Self::Part(Some(reader.byte_string(STATE_PART_BYTES_MAX)?.to_vec()))),
                _ => Err(DecodeError::Invalid("an option is 0 or 1")),
            },
            _ => Err(DecodeError::Invalid("unknown kind of answer about a state")),
        }
    }
}
