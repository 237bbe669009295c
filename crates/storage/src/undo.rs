//! What a block replaced: for each key of its delta the value before. Applied, it restores the state
//! exactly. Encoded canonically: block id, then a list of (key, 0 or 1, value if 1) in the order of keys.

use mass_consensus::ledger::StateDelta;
use mass_primitives::{
    BlockId, Decode, DecodeError, Encode, Reader,
    encoding::{encode_byte_string, encode_list},
};

use crate::StoreError;

/// Longest key of the state in bytes.
pub const KEY_BYTES_MAX: usize = 1 << 10;
/// Longest value of the state in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 24;
/// Most changes in one block.
pub const CHANGES_MAX: usize = 1 << 20;
/// Longest undo of one block in bytes: it is held in memory while the block connects.
pub const UNDO_BYTES_MAX: usize = 1 << 28;

/// One key and its value before the block; `None` if it was absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) key: Vec<u8>,
    pub(crate) before: Option<Vec<u8>>,
}

/// The undo of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undo {
    pub(crate) block: BlockId,
    pub(crate) replaced: Vec<Replaced>,
}

impl Encode for Replaced {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_byte_string(&self.key, out);
        match &self.before {
            None => 0u8.encode(out),
            Some(value) => {
                1u8.encode(out);
                encode_byte_string(value, out);
            }
        }
    }
}

impl Decode for Replaced {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = reader.byte_string(KEY_BYTES_MAX)?.to_vec();
        let before = match u8::decode(reader)? {
            0 => None,
            1 => Some(reader.byte_string(VALUE_BYTES_MAX)?.to_vec()),
            _ => return Err(DecodeError::Invalid("undo: neither absent nor present")),
        };
        Ok(Self { key, before })
    }
}

impl Encode for Undo {
    fn encode(&self, out: &mut Vec<u8>) {
        self.block.encode(out);
        encode_list(&self.replaced, out);
    }
}

impl Decode for Undo {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let block = BlockId::decode(reader)?;
        let replaced: Vec<Replaced> = reader.list(CHANGES_MAX)?;
        if replaced.is_sorted_by(|a, b| a.key < b.key) {
            Ok(Self { block, replaced })
        } else {
            Err(DecodeError::Invalid("undo: keys out of order"))
        }
    }
}

/// Refuses a delta whose undo, or whose own undo's undo, could not be read back.
pub(crate) fn check_delta(delta: &StateDelta) -> Result<(), StoreError> {
    check("changes of a block", delta.len(), CHANGES_MAX)?;
    delta.iter().try_for_each(|(key, value)| {
        check("bytes of a key", key.len(), KEY_BYTES_MAX)?;
        check("bytes of a value", value.map_or(0, <[u8]>::len), VALUE_BYTES_MAX)
    })
}

/// Refuses what exceeds its bound.
pub(crate) const fn check(what: &'static str, got: usize, bound: usize) -> Result<(), StoreError> {
    if got > bound { Err(StoreError::TooLarge { what, got, bound }) } else { Ok(()) }
}
