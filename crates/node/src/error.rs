//! What goes wrong in a chain, and whose fault it is.

use mass_consensus::{
    block::BlockError,
    ledger::{ApplyError, StateReadError},
    spec::SpecError,
    tree::LinkError,
};
use mass_mempool::AdmitError;
use mass_primitives::{BlockId, DecodeError, Height, Slot};
use mass_storage::StoreError;

use crate::ledger::LedgerFault;

/// A failed operation on a [`crate::Chain`].
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A block before the snapshot that the node began with breaks a rule.
    #[error(
        "block {height}, before or right after the snapshot that this node began with, is refused: {why}"
    )]
    History {
        /// Height of the block.
        height: Height,
        /// The rule.
        why: String,
    },
    /// The chain spec cannot be used.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The chain spec names a ledger that this program does not have.
    #[error(
        "the chain runs on the ledger {got:?}, and this program has {expected:?}: a chain of another ledger has a program of its own"
    )]
    LedgerKind {
        /// What the spec names.
        got: String,
        /// What the program has.
        expected: &'static str,
    },
    /// The genesis block of a parent's chain is not known.
    #[error(
        "the genesis block of chain {0} is not known: give its id as a checkpoint of height 0 in the spec's hints"
    )]
    NoGenesis(String),
    /// The ledger makes another genesis block than the spec's hints name.
    #[error("the ledger makes the genesis block {got}, and the spec has a checkpoint {expected} there")]
    Genesis {
        /// What the ledger makes.
        got: BlockId,
        /// The checkpoint of height 0.
        expected: BlockId,
    },
    /// The ledger's parameters cannot be used.
    #[error("{0}")]
    Params(LedgerFault),
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// State could not be read.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// Storage holds another chain or was changed from outside.
    #[error("the database does not fit the chain: {0}")]
    Database(String),
    /// The ledger has no index of this name.
    #[error("there is no index {got:?}; there are {known:?}")]
    UnknownIndex {
        /// The name.
        got: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// The node is to keep all blocks, and some are gone.
    #[error(
        "the blocks below height {0} were pruned, and do not come back by leaving --prune out: start with --prune (\"manual\" prunes nothing more by itself), or move chain.redb away and sync from genesis"
    )]
    WasPruned(Height),
    /// An index is to be built of blocks that are gone.
    #[error(
        "the index {name} cannot be built, for the blocks below height {below} were pruned: name the indexes that are to be kept with --index (\"none\" for none), or move chain.redb away and sync from genesis"
    )]
    PrunedIndex {
        /// The index.
        name: &'static str,
        /// Height below which blocks are gone.
        below: Height,
    },
    /// A block was pruned.
    #[error("Block not available (pruned data): height {0}")]
    Pruned(Height),
    /// A better branch leaves the chain where it cannot be left any more.
    #[error(
        "a better chain leaves this one at or below height {height}, and what leads back below height {from} was pruned or never here: move chain.redb away and get the chain from peers anew, or if that chain is not to be followed, start with --checkpoint and a block of this one"
    )]
    NoWayBack {
        /// Height of the block that is to be undone.
        height: Height,
        /// Height of the lowest one that can be.
        from: Height,
    },
    /// An index is not kept.
    #[error("the node does not keep the index {0}: start it with --index {0}")]
    NoIndex(&'static str),
    /// An index is still being built.
    #[error("the index {name} is still being built: it has {next} blocks, and the tip's height is {tip}")]
    IndexBehind {
        /// The index.
        name: &'static str,
        /// The first block that it does not have.
        next: Height,
        /// Height of the tip.
        tip: Height,
    },
    /// Bytes are no block, header or transaction.
    #[error("malformed: {0}")]
    Decode(#[from] DecodeError),
    /// Bytes are no transaction.
    #[error("malformed transaction: {0}")]
    Transaction(LedgerFault),
    /// The block breaks a rule.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A body or transaction breaks a rule of the ledger.
    #[error("{0}")]
    Ledger(LedgerFault),
    /// A transaction spends a coin that is not known: spent, or of a parent that has not come yet.
    #[error("{fault}")]
    MissingCoin {
        /// The coin.
        coin: mass_mempool::CoinKey,
        /// The same in the ledger's words.
        fault: LedgerFault,
    },
    /// The pool does not take a transaction.
    #[error(transparent)]
    Pool(#[from] AdmitError),
    /// The payout address is wrong.
    #[error("{0}")]
    Address(LedgerFault),
    /// A seal does not fit the tip.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A claim was made for another tip than the present one.
    #[error("the claim does not fit the tip: {0} differs")]
    Stale(&'static str),
    /// No block is made on a block that is about to be left or built upon.
    #[error("the tip, at height {0} now, is on its way to a better block: ask again")]
    Moving(Height),
    /// A claim was made for a slot that is still to come.
    #[error("slot {0} is still to come")]
    Early(Slot),
    /// A block made here has no place in the chain.
    #[error("{0}")]
    Refused(String),
    /// A signature came for a header that was not prepared here.
    #[error("header {0} was not prepared here or was forgotten")]
    Unprepared(BlockId),
}

impl<E: std::error::Error + Send + Sync + 'static> From<ApplyError<E>> for ChainError {
    fn from(error: ApplyError<E>) -> Self {
        match error {
            ApplyError::Invalid(error) => Self::Ledger(Box::new(error)),
            ApplyError::State(error) => Self::State(error),
        }
    }
}

impl ChainError {
    /// Whether the machine is at fault, or the chain that it began with, and the node has to stop.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Store(_)
                | Self::State(_)
                | Self::Database(_)
                | Self::History { .. }
                | Self::NoWayBack { .. }
        )
    }
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The chain cannot be opened.
    #[error("{0}: {1}")]
    Chain(std::path::PathBuf, #[source] ChainError),
    /// The data directory cannot be used.
    #[error("{0}: {1}")]
    DataDir(std::path::PathBuf, #[source] std::io::Error),
    /// The blocks before the snapshot that the node began with do not lead to its state.
    #[error(
        "the chain that this node followed is not valid: {0}. Move the data directory's chain.redb, history.redb and history.refused away and sync from genesis, without a snapshot; and tell others"
    )]
    Finding(String),
    /// Another node has the data directory.
    #[error("another node runs in {0}")]
    Locked(std::path::PathBuf),
    /// The peer key in the data directory is damaged.
    #[error("{0} does not hold a key of 32 bytes")]
    PeerKey(std::path::PathBuf),
    /// The chain inherits its beacon, and nobody says from where.
    #[error("the chain inherits its beacon: the spec and the peers of its parent are needed")]
    NoBeacon,
    /// The chain inherits its beacon, and is to begin with a snapshot.
    #[error(
        "the chain inherits its beacon, which says nothing of blocks that are not here: it is synced from genesis, without --snapshot"
    )]
    SnapshotOfChild,
    /// The parent is not the one whose beacon is inherited, or is unlike the chain.
    #[error(transparent)]
    Beacon(#[from] SpecError),
    /// The network cannot listen.
    #[error(transparent)]
    Network(#[from] mass_network::swarm::SpawnError),
    /// RPC cannot listen.
    #[error(transparent)]
    Rpc(#[from] mass_rpc::ServeError),
    /// The ledger names a method as the node does.
    #[error("the ledger's RPC: {0}")]
    Methods(#[from] mass_rpc::RegisterMethodError),
}
