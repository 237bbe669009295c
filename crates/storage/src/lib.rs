//! Headers, blocks, state and undo in one crash-safe commit per block.
//!
//! A [`Store`] is one file that belongs to one chain. It knows no ledger and no rule of consensus: the
//! caller hands in a [`StateDelta`](mass_consensus::ledger::StateDelta), and the store derives the undo
//! from the values that the delta replaces. Each operation that writes is one transaction, durable when
//! it returns unless the caller gave [`Slack`], so that after a crash the tip is a block that was the tip, and the state
//! is the state of the tip.
//!
//! Deliberately not here: the choice of a branch, the check of a header, a cache, a background thread.

pub mod block_file;
pub mod check;
mod commit;
mod error;
#[cfg(any(test, feature = "fault"))]
pub mod fault;
mod index;
mod part;
mod prune;
mod read;
mod schema;
mod size;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod undo;
mod unfinished;

pub use commit::Slack;
pub use error::StoreError;
pub use index::{IndexEntries, IndexKind, IndexState, IndexView, IndexedBlock};
pub use part::{PART_BYTES_MAX, PartEntry, StatePart};
pub use prune::{Kept, PruneStep};
pub use read::{Before, Header, KeyValue, Snapshot, StoredHeader};
/// A disk, for [`Store::open_on`].
pub use redb::StorageBackend as Disk;
pub use schema::SCHEMA_OLDEST;
pub use size::{Size, TableSize};
pub use store::{ConnectBlock, NewHeader, Store, Tip};
pub use tables::SCHEMA;
pub use undo::{CHANGES_MAX, KEY_BYTES_MAX, UNDO_BYTES_MAX, VALUE_BYTES_MAX};
