//! What can go wrong with a store, and whether its handle is still of use.

use std::io::ErrorKind;

use mass_primitives::{BlockId, ChainId, Height};

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another handle, perhaps in another process, has the file open.
    #[error("the store is in use by another process")]
    Locked,
    /// The file belongs to another chain.
    #[error("the store belongs to chain {got}, expected {expected}")]
    OtherChain {
        /// Chain that the file belongs to.
        got: ChainId,
        /// Chain asked for.
        expected: ChainId,
    },
    /// The file has the schema of a later version.
    #[error(
        "the store has schema {got}, this program knows {expected} and older ones: it was written by a newer version; use that one, or move the file away and the node gets the chain from its peers anew"
    )]
    NewerSchema {
        /// Schema of the file.
        got: u32,
        /// Schema of this version.
        expected: u32,
    },
    /// The file has a schema from before the first release.
    #[error(
        "the store has schema {got}, and the oldest that this program can bring up to date is {oldest}: move the file away, and the node gets the chain from its peers anew"
    )]
    OlderSchema {
        /// Schema of the file.
        got: u32,
        /// Oldest schema that is known.
        oldest: u32,
    },
    /// The file is not what this store wrote.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
    /// There is no room for what is to be written.
    #[error("the disk is full ({0}); nothing that was stored is lost")]
    Full(std::io::Error),
    /// The medium or the database failed.
    #[error("the store failed: {0}")]
    Medium(Box<redb::Error>),
    /// An earlier operation failed; this handle does nothing more.
    #[error("the store must be opened anew, for it failed before: {why}")]
    Failed {
        /// What happened then.
        why: String,
        /// Whether the disk was full.
        is_full: bool,
    },
    /// The parent of the block is not the tip.
    #[error("parent {parent:?} is not the tip {tip:?}")]
    NotOnTip {
        /// Parent of the block; `None` for a genesis block.
        parent: Option<BlockId>,
        /// The tip; `None` if the store is empty.
        tip: Option<BlockId>,
    },
    /// The height does not follow the tip's.
    #[error("height {got}, expected {expected}")]
    WrongHeight {
        /// Height of the block.
        got: Height,
        /// Height after the tip.
        expected: Height,
    },
    /// The header is stored with another height.
    #[error("header {id} is stored at height {stored}, not {got}")]
    HeaderHeight {
        /// The header.
        id: BlockId,
        /// Height stored.
        stored: Height,
        /// Height given.
        got: Height,
    },
    /// There is no tip to disconnect.
    #[error("the store has no tip")]
    NoTip,
    /// The undo of the tip has been pruned.
    #[error("the undo of height {0} has been pruned")]
    UndoPruned(Height),
    /// The store has no such index.
    #[error("the store has no index {0}")]
    NoIndex(String),
    /// Entries came for other indexes than those that have come up to the block.
    #[error("entries for the indexes {got:?}, expected {expected:?}")]
    OtherIndexes {
        /// Names of the indexes that entries came for.
        got: Vec<String>,
        /// Names of those that have come up to the block.
        expected: Vec<String>,
    },
    /// Two entries of an index have one key.
    #[error("the index {0} has an entry with this key already")]
    IndexKeyTaken(String),
    /// The block is not on the active chain.
    #[error("block {id} is not active at height {height}")]
    NotActive {
        /// The block.
        id: BlockId,
        /// The height given.
        height: Height,
    },
    /// Something exceeds its bound.
    #[error("{what}: {got} exceeds the bound {bound}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Size found.
        got: usize,
        /// Bound that holds.
        bound: usize,
    },
}

impl StoreError {
    /// Whether the machine or the file is at fault, so that the handle is of no more use.
    /// What is not fatal is a refusal: nothing was written and the handle is good.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Full(_) | Self::Medium(_) | Self::Failed { .. })
    }

    /// Whether there was no room on the disk, now or when the handle failed: all is well again with room.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Failed { is_full: true, .. })
    }
}

impl From<redb::DatabaseError> for StoreError {
    fn from(error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Self::Locked,
            other => redb::Error::from(other).into(),
        }
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(why) => Self::Corrupt(why),
            redb::Error::Io(error)
                if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                Self::Full(error)
            }
            other => Self::Medium(Box::new(other)),
        }
    }
}

macro_rules! through_redb_error {
    ($($error:ty),+) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )+};
}

through_redb_error!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);
