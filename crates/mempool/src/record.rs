//! What outlives the node: the transactions of a pool, in an order in which they can be taken in again.
//!
//! Layout: `MASSPOOL`, version `u32`, chain id, then in the canonical encoding a list of transactions (bytes, time of
//! arrival), a list of ids with what the operator added to their fees (two's complement), and a list of ids that were
//! sent from here; at the end the double SHA-256 of all before. Nothing in it is believed: each transaction is checked
//! as if it came anew.

use mass_primitives::{
    ChainId, Decode, DecodeError, Encode, Reader,
    encoding::{encode_byte_string, encode_list},
    tag::double_sha256,
};

use crate::entry::EntryId;

const MAGIC: &[u8; 8] = b"MASSPOOL";
const VERSION: u32 = 1;

/// Bytes of one transaction at the most.
const TRANSACTION_BYTES_MAX: usize = 4_000_000;

/// Transactions at the most, and ids in each of the other lists.
const COUNT_MAX: usize = 2_000_000;

/// A transaction of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// When it came, in unix seconds.
    pub seconds: u64,
}

/// A pool as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRecord {
    /// Its transactions, parents first.
    pub transactions: Vec<Saved>,
    /// What the operator added to fees.
    pub deltas: Vec<(EntryId, i64)>,
    /// Those that were sent from here.
    pub own: Vec<EntryId>,
}

/// Why bytes are no record of a pool of this chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It does not begin as one does.
    #[error("no record of a pool")]
    Magic,
    /// It is of another version.
    #[error("version {got}, expected {VERSION}")]
    Version {
        /// Version found.
        got: u32,
    },
    /// It is of another chain.
    #[error("of chain {got}, expected {expected}")]
    Chain {
        /// Chain found.
        got: ChainId,
        /// Chain expected.
        expected: ChainId,
    },
    /// It was cut short or changed.
    #[error("the checksum does not fit")]
    Checksum,
    /// What it holds is malformed.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl Encode for Saved {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_byte_string(&self.bytes, out);
        self.seconds.encode(out);
    }
}

impl Decode for Saved {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = reader.byte_string(TRANSACTION_BYTES_MAX)?.to_vec();
        Ok(Self { bytes, seconds: u64::decode(reader)? })
    }
}

/// An id alone.
struct Id(EntryId);

impl Encode for Id {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for Id {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

/// An id with an amount.
struct Delta(EntryId, i64);

impl Encode for Delta {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
        out.extend_from_slice(&self.1.to_le_bytes());
    }
}

impl Decode for Delta {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?, i64::from_le_bytes(reader.array()?)))
    }
}

impl PoolRecord {
    /// The record in bytes, for a pool of this chain.
    #[must_use]
    pub fn write(&self, chain: &ChainId) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        VERSION.encode(&mut out);
        chain.encode(&mut out);
        encode_list(&self.transactions, &mut out);
        encode_list(&self.deltas.iter().map(|(id, delta)| Delta(*id, *delta)).collect::<Vec<_>>(), &mut out);
        encode_list(&self.own.iter().map(|id| Id(*id)).collect::<Vec<_>>(), &mut out);
        let checksum = double_sha256(&out);
        out.extend_from_slice(&checksum);
        out
    }

    /// Reads what [`PoolRecord::write`] wrote for the same chain.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(bytes: &[u8], chain: &ChainId) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        if reader.array().ok() != Some(*MAGIC) {
            return Err(RecordError::Magic);
        }
        let got = u32::decode(&mut reader)?;
        if got != VERSION {
            return Err(RecordError::Version { got });
        }
        let got = ChainId::decode(&mut reader)?;
        if got != *chain {
            return Err(RecordError::Chain { got, expected: *chain });
        }
        let (before, checksum) = bytes.split_last_chunk::<32>().ok_or(RecordError::Checksum)?;
        if double_sha256(before) != *checksum {
            return Err(RecordError::Checksum);
        }
        let transactions = reader.list(COUNT_MAX)?;
        let deltas = reader.list(COUNT_MAX)?.into_iter().map(|Delta(id, delta)| (id, delta)).collect();
        let own = reader.list(COUNT_MAX)?.into_iter().map(|Id(id)| id).collect();
        reader.array::<32>()?;
        reader.finish()?;
        Ok(Self { transactions, deltas, own })
    }
}
