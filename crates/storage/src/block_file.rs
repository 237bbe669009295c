//! Files of blocks, `docs/export-format.md`: written and read a block at a time, whatever the blocks hold.
//!
//! Every length and count is bounded before memory is taken for it. Deliberately not here: what a block is, and whether
//! it is good; who imports one checks it.

use std::io::{self, Read, Write};

use mass_primitives::{ChainId, Decode, Encode, Height, Reader};

/// Bytes of a block at the most.
pub const BLOCK_BYTES_MAX: usize = 5 << 20;
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
pub enum FileError {
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
    pub fn new(mut out: W, preamble: &Preamble) -> Result<Self, FileError> {
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
    pub fn put(&mut self, block: &[u8]) -> Result<(), FileError> {
        let length = u32::try_from(block.len()).ok().filter(|_| block.len() <= BLOCK_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a block is too long"))?;
        self.left = self.left.checked_sub(1).ok_or(FileError::Trailing)?;
        self.out.write_all(&length.to_le_bytes())?;
        Ok(self.out.write_all(block)?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Blocks are missing, or it cannot be written.
    pub fn finish(mut self) -> Result<W, FileError> {
        if self.left > 0 {
            return Err(FileError::Io(io::Error::other(format!("{} blocks are missing", self.left))));
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
    pub fn new(mut input: R) -> Result<Self, FileError> {
        let mut bytes = [0; PREAMBLE_BYTES];
        let is_whole = read_whole(&mut input, &mut bytes)?;
        let (magic, rest) = bytes.split_at(MAGIC.len());
        if magic != MAGIC || !is_whole {
            return Err(FileError::Magic);
        }
        let mut reader = Reader::new(rest);
        let malformed = |_| FileError::Magic;
        let version = u32::decode(&mut reader).map_err(malformed)?;
        if version != VERSION {
            return Err(FileError::Version { got: version });
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
    fn read(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let height = u64::from(self.preamble.first.get()) + u64::from(self.read);
        let missing = self.preamble.count - self.read;
        if missing == 0 {
            return if read_whole(&mut self.input, &mut [0])? { Err(FileError::Trailing) } else { Ok(None) };
        }
        let mut length = [0; 4];
        if !read_whole(&mut self.input, &mut length)? {
            return Err(FileError::Truncated { height, missing });
        }
        let got = u32::from_le_bytes(length);
        let Some(length) = usize::try_from(got).ok().filter(|length| *length <= BLOCK_BYTES_MAX) else {
            return Err(FileError::Length { height, got: got.into(), bound: BLOCK_BYTES_MAX });
        };
        let mut block = vec![0; length];
        if !read_whole(&mut self.input, &mut block)? {
            return Err(FileError::Truncated { height, missing });
        }
        self.read += 1;
        Ok(Some(block))
    }
}

impl<R: Read> Iterator for BlockReader<R> {
    type Item = Result<Vec<u8>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let block = self.read().transpose();
        self.over = !matches!(block, Some(Ok(_)));
        block
    }
}

fn check_heights(preamble: &Preamble) -> Result<(), FileError> {
    let Preamble { first, count, .. } = *preamble;
    let is_good = first > Height::ZERO && first.get().checked_add(count).is_some();
    if is_good { Ok(()) } else { Err(FileError::Heights { first, count }) }
}

/// Fills the buffer; false if the input ends before.
fn read_whole(input: &mut impl Read, bytes: &mut [u8]) -> Result<bool, FileError> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
