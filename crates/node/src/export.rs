//! Files of blocks, `docs/export-format.md`: to carry a chain without a network, and for other verifiers to read.
//!
//! A file is not believed. Who imports one checks each block as if a peer had sent it, and keeps what was good before
//! a fault. Deliberately not here: the genesis block, which the chain spec gives, and branches beside the best chain.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use mass_consensus::{
    block::{Block, Decoded},
    spec::ChainSpec,
};
use mass_network::wire::BLOCK_BYTES_MAX;
use mass_primitives::{ChainId, Decode, DecodeError, Encode, Height, Reader, Slot};
use mass_storage::Store;

use crate::{Chain, ChainError, NodeLedger, Notice};

/// The bytes that a file begins with.
pub const MAGIC: [u8; 8] = *b"MASSBLKS";
/// The version of the format.
pub const VERSION: u32 = 1;
/// Bytes before the first block.
pub const PREAMBLE_BYTES: usize = 52;

/// What a file says of itself before its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// Chain of the blocks.
    pub chain: ChainId,
    /// Height of the first block, at least 1.
    pub first: Height,
    /// Number of blocks, of one height after the other.
    pub count: u32,
}

/// Why a file of blocks cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no file of blocks.
    #[error("this is no file of blocks: it does not begin with {}", MAGIC.escape_ascii())]
    Magic,
    /// It is of another version.
    #[error("the file is of version {got}, this program reads version {VERSION}")]
    Version {
        /// Version of the file.
        got: u32,
    },
    /// Its heights begin at 0 or end above the highest one there is.
    #[error("there are no {count} blocks from height {first} on")]
    Heights {
        /// First height.
        first: Height,
        /// Blocks.
        count: u32,
    },
    /// A block is longer than one can be.
    #[error("block {height} is said to have {got} bytes, {bound} is the most")]
    Length {
        /// Height of the block.
        height: u64,
        /// Bytes.
        got: u64,
        /// The most.
        bound: usize,
    },
    /// The file ends too early.
    #[error("the file ends in the middle of block {height}: {missing} of its blocks are missing")]
    Truncated {
        /// Height of the block that is not whole.
        height: u64,
        /// Blocks that are missing.
        missing: u32,
    },
    /// Something follows the last block.
    #[error("something follows the last block of the file")]
    Trailing,
    /// The blocks are of another chain.
    #[error("the blocks are of chain {got}, this is chain {expected}")]
    Chain {
        /// Chain of the file.
        got: ChainId,
        /// This chain.
        expected: ChainId,
    },
    /// Bytes are no block.
    #[error("block {height} is malformed: {error}")]
    Malformed {
        /// Height of the block.
        height: u64,
        /// What is wrong.
        error: DecodeError,
    },
    /// A block is of another height than its place says.
    #[error("block {expected} of the file is of height {got}")]
    Height {
        /// Height of its place.
        expected: u64,
        /// Height in its claim.
        got: Height,
    },
    /// The parent of a block is not known.
    #[error("the parent of block {height} is not known here: import the blocks before it first")]
    Parent {
        /// Height of the block.
        height: u64,
    },
    /// A block is of a slot that has not come.
    #[error("block {height} is of slot {slot}, which has not come: is the clock right?")]
    Early {
        /// Height of the block.
        height: u64,
        /// Its slot.
        slot: Slot,
    },
    /// A block breaks a rule.
    #[error("block {height} is refused: {why}")]
    Refused {
        /// Height of the block.
        height: u64,
        /// The rule.
        why: String,
    },
    /// Storage fails.
    #[error(transparent)]
    Store(#[from] ChainError),
}

/// Writes a file, block by block.
pub struct BlockWriter<W> {
    out: W,
    left: u32,
}

impl<W: Write> BlockWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// It cannot be written, or there are no such heights.
    pub fn new(mut out: W, preamble: &Preamble) -> Result<Self, ExportError> {
        check_heights(preamble)?;
        let mut bytes = MAGIC.to_vec();
        VERSION.encode(&mut bytes);
        preamble.chain.encode(&mut bytes);
        preamble.first.encode(&mut bytes);
        preamble.count.encode(&mut bytes);
        out.write_all(&bytes)?;
        Ok(Self { out, left: preamble.count })
    }

    /// The next block, as peers send it.
    ///
    /// # Errors
    /// It cannot be written, or is one too many.
    pub fn put(&mut self, block: &[u8]) -> Result<(), ExportError> {
        let length = u32::try_from(block.len()).ok().filter(|_| block.len() <= BLOCK_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a block is too long"))?;
        self.left = self.left.checked_sub(1).ok_or(ExportError::Trailing)?;
        self.out.write_all(&length.to_le_bytes())?;
        Ok(self.out.write_all(block)?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Blocks are missing, or it cannot be written.
    pub fn finish(mut self) -> Result<W, ExportError> {
        if self.left > 0 {
            return Err(ExportError::Io(io::Error::other(format!("{} blocks are missing", self.left))));
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads a file, block by block; after an error there is nothing more.
pub struct BlockReader<R> {
    input: R,
    preamble: Preamble,
    read: u32,
    over: bool,
}

impl<R: Read> BlockReader<R> {
    /// Reads what a file says of itself.
    ///
    /// # Errors
    /// It is no file of blocks that this program reads.
    pub fn new(mut input: R) -> Result<Self, ExportError> {
        let mut bytes = [0; PREAMBLE_BYTES];
        let is_whole = read_whole(&mut input, &mut bytes)?;
        let (magic, rest) = bytes.split_at(MAGIC.len());
        if magic != MAGIC || !is_whole {
            return Err(ExportError::Magic);
        }
        let mut reader = Reader::new(rest);
        let malformed = |_| ExportError::Magic;
        let version = u32::decode(&mut reader).map_err(malformed)?;
        if version != VERSION {
            return Err(ExportError::Version { got: version });
        }
        let chain = ChainId::decode(&mut reader).map_err(malformed)?;
        let first = Height::decode(&mut reader).map_err(malformed)?;
        let count = u32::decode(&mut reader).map_err(malformed)?;
        let preamble = Preamble { chain, first, count };
        check_heights(&preamble)?;
        Ok(Self { input, preamble, read: 0, over: false })
    }

    /// What the file says of itself.
    #[must_use]
    pub const fn preamble(&self) -> &Preamble {
        &self.preamble
    }

    /// The next block; `None` where the file ends as it should.
    fn read(&mut self) -> Result<Option<Vec<u8>>, ExportError> {
        let height = u64::from(self.preamble.first.get()) + u64::from(self.read);
        let missing = self.preamble.count - self.read;
        if missing == 0 {
            return if read_whole(&mut self.input, &mut [0])? {
                Err(ExportError::Trailing)
            } else {
                Ok(None)
            };
        }
        let mut length = [0; 4];
        if !read_whole(&mut self.input, &mut length)? {
            return Err(ExportError::Truncated { height, missing });
        }
        let got = u32::from_le_bytes(length);
        let Some(length) = usize::try_from(got).ok().filter(|length| *length <= BLOCK_BYTES_MAX) else {
            return Err(ExportError::Length { height, got: got.into(), bound: BLOCK_BYTES_MAX });
        };
        let mut block = vec![0; length];
        if !read_whole(&mut self.input, &mut block)? {
            return Err(ExportError::Truncated { height, missing });
        }
        self.read += 1;
        Ok(Some(block))
    }
}

impl<R: Read> Iterator for BlockReader<R> {
    type Item = Result<Vec<u8>, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let block = self.read().transpose();
        self.over = !matches!(block, Some(Ok(_)));
        block
    }
}

fn check_heights(preamble: &Preamble) -> Result<(), ExportError> {
    let Preamble { first, count, .. } = *preamble;
    let is_good = first > Height::ZERO && first.get().checked_add(count).is_some();
    if is_good { Ok(()) } else { Err(ExportError::Heights { first, count }) }
}

/// Fills the buffer; false if the input ends before.
fn read_whole(input: &mut impl Read, bytes: &mut [u8]) -> Result<bool, ExportError> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Where the database of a node lies in its data directory.
#[must_use]
pub fn database(data_dir: &Path) -> PathBuf {
    data_dir.join("chain.redb")
}

/// The stored best chain of a node that does not run.
pub struct Archive(Store);

impl Archive {
    /// Opens the database in a data directory, which must exist.
    ///
    /// # Errors
    /// There is none, a node has it open, or it is of another chain.
    pub fn open(data_dir: &Path, spec: &ChainSpec) -> Result<Self, ExportError> {
        let path = database(data_dir);
        path.metadata()?;
        Ok(Self(Store::open(&path, spec.id()).map_err(ChainError::from)?))
    }

    /// Height of the best chain.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn height(&self) -> Result<Height, ExportError> {
        let tip = self.0.tip().map_err(ChainError::from)?;
        Ok(tip.map(|tip| tip.height).unwrap_or_default())
    }

    /// A block of the best chain, as peers send it; `None` above its tip.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn block(&self, height: Height) -> Result<Option<Vec<u8>>, ExportError> {
        let Some(id) = self.0.active_id(height).map_err(ChainError::from)? else { return Ok(None) };
        let header = self.0.header(&id).map_err(ChainError::from)?;
        let body = self.0.body(&id).map_err(ChainError::from)?;
        Ok(header.zip(body).map(|(header, body)| [header.bytes, body].concat()))
    }
}

/// What became of the blocks of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Blocks that were new.
    pub taken: u32,
    /// Blocks that were here before.
    pub known: u32,
}

/// Takes the blocks of a file into a chain, each as if a peer had sent it at `unix`. What was taken before an error stays;
/// to begin again goes on from there.
///
/// # Errors
/// The first fault of the file, or why storage fails.
pub fn import<L: NodeLedger>(
    chain: &mut Chain<L>,
    blocks: &mut BlockReader<impl Read>,
    unix: u64,
    mut tell: impl FnMut(Imported),
) -> Result<Imported, ExportError> {
    let Preamble { chain: got, first, .. } = *blocks.preamble();
    let expected = *chain.spec().id();
    if got != expected {
        return Err(ExportError::Chain { got, expected });
    }
    chain.tick(chain.spec().slot_at(unix).unwrap_or_default(), unix)?;
    let mut done = Imported::default();
    for (height, bytes) in (u64::from(first.get())..).zip(blocks) {
        if take(chain, &bytes?, height, unix)? {
            done.taken += 1;
        } else {
            done.known += 1;
        }
        tell(done);
    }
    Ok(done)
}

/// Takes a block; false if it was here before.
fn take<L: NodeLedger>(
    chain: &mut Chain<L>,
    bytes: &[u8],
    height: u64,
    unix: u64,
) -> Result<bool, ExportError> {
    let block =
        Block::<Decoded>::from_bytes(bytes).map_err(|error| ExportError::Malformed { height, error })?;
    let (id, claim) = (block.sealed().id(), block.sealed().seal.claim);
    if u64::from(claim.height.get()) != height {
        return Err(ExportError::Height { expected: height, got: claim.height });
    }
    if chain.engine().has_judged(&id) && chain.block_bytes(&id)?.is_some() {
        return Ok(false);
    }
    if chain.engine().tree().get(&block.sealed().header.parent).is_none() {
        return Err(ExportError::Parent { height });
    }
    let refused = |why: String| ExportError::Refused { height, why };
    let notices = match chain.take_block(bytes, unix) {
        Err(error) if error.is_fatal() => return Err(error.into()),
        Err(error) => return Err(refused(error.to_string())),
        Ok(notices) => notices,
    };
    for notice in notices {
        if let Notice::Refused(of, why) = notice
            && of == id
        {
            return Err(refused(why.unwrap_or_else(|| "it has no place in the chain".to_owned())));
        }
    }
    if claim.slot > chain.engine().horizon() {
        return Err(ExportError::Early { height, slot: claim.slot });
    }
    if chain.engine().tree().get(&id).is_none_or(|_| chain.engine().tree().is_condemned(&id)) {
        return Err(refused("it was refused before".to_owned()));
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
