//! A chain in files of blocks, `docs/export-format.md`: to carry it without a network, and for other verifiers to read.
//!
//! A file is not believed. Who imports one checks each block as if a peer had sent it, and keeps what was good before
//! a fault. Deliberately not here: the genesis block, which the chain spec gives, and branches beside the best chain.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use mass_consensus::{
    block::{Block, Decoded},
    spec::ChainSpec,
};
use mass_primitives::{ChainId, Decode, DecodeError, Height, Slot};
use mass_storage::Store;
pub use mass_storage::block_file::{BlockReader, BlockWriter, FileError, Preamble};

use crate::{Chain, ChainError, NodeLedger, Notice};

/// Why blocks are not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no database where one is looked for.
    #[error("{0}: there is no database of a node")]
    NoDatabase(PathBuf),
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
    /// A block was pruned, or is of the time before the snapshot with which the node began.
    #[error("block {height} is not here: the database has those from {from} on")]
    NotHere {
        /// Height of the block.
        height: Height,
        /// Height of the lowest block that is there.
        from: Height,
    },
    /// Storage fails.
    #[error(transparent)]
    Store(#[from] ChainError),
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
        if !path.exists() {
            return Err(ExportError::NoDatabase(path));
        }
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

    /// Height of the first block after genesis that is here: those before a snapshot, and pruned ones, are not.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn first(&self) -> Result<Height, ExportError> {
        Ok(self.0.undo_from().map_err(ChainError::from)?)
    }

    /// A block of the best chain, as peers send it; `None` above its tip.
    ///
    /// # Errors
    /// [`ExportError::NotHere`], or a fatal one.
    pub fn block(&self, height: Height) -> Result<Option<Vec<u8>>, ExportError> {
        let Some(id) = self.0.active_id(height).map_err(ChainError::from)? else { return Ok(None) };
        let header = self.0.header(&id).map_err(ChainError::from)?;
        let body = self.0.body(&id).map_err(ChainError::from)?;
        let from = self.0.undo_from().map_err(ChainError::from)?;
        if body.is_none() && height < from {
            return Err(ExportError::NotHere { height, from });
        }
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
    chain.set_bulk(true)?;
    let mut done = Imported::default();
    for (height, bytes) in (u64::from(first.get())..).zip(blocks) {
        if take(chain, &bytes?, height, unix)? {
            done.taken += 1;
        } else {
            done.known += 1;
        }
        tell(done);
    }
    chain.set_bulk(false)?;
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
    let is_pruned =
        chain.store().pruned_below().map_err(ChainError::from)?.is_some_and(|below| claim.height < below);
    if chain.engine().has_judged(&id) && (is_pruned || chain.block_bytes(&id)?.is_some()) {
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
