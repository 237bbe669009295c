//! Headers, blocks, state and undo in one crash-safe commit per block.
//!
//! A [`Store`] is one file that belongs to one chain. It knows no ledger and no rule of consensus: the
//! caller hands in a [`StateDelta`](mass_consensus::ledger::StateDelta), and the store derives the undo
//! from the values that the delta replaces. Each operation that writes is one transaction, durable when
//! it returns, so that after a crash the tip is the block before or the block after, and the state is
//! the state of the tip.
//!
//! Deliberately not here: the choice of a branch, the check of a header, a cache, a background thread.

pub mod block_file;
mod error;
mod index;
mod part;
mod read;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod undo;

pub use error::StoreError;
pub use index::{IndexEntries, IndexKind, IndexState, IndexView, IndexedBlock};
pub use part::{PART_BYTES_MAX, PartEntry, StatePart};
pub use read::{Before, Header, KeyValue, Snapshot, StoredHeader};
/// A disk, for [`Store::open_on`].
pub use redb::StorageBackend as Disk;
pub use store::{ConnectBlock, NewHeader, Store, Tip};
pub use tables::SCHEMA;
pub use undo::{CHANGES_MAX, KEY_BYTES_MAX, UNDO_BYTES_MAX, VALUE_BYTES_MAX};
