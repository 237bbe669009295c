//! Transactions that wait for a block: admission, replacement, eviction, order, expiry, fee estimates.
//!
//! The pool knows no ledger. A transaction is opaque bytes with an id, a fee, a weight, and the keys
//! of the coins it spends and creates; whether it is valid is settled before it comes here. Links
//! between transactions follow from the keys alone, so a parent that arrives after its child (a block
//! was disconnected) is linked like any other.
//!
//! **Invariants.** No two residents spend, or create, one coin. Residents form no circle. A resident
//! leaves together with its descendants, unless a block confirms it. The limits always hold, in count, in weight, and in
//! bytes of memory. Whoever pays less than the minimum is there for a descendant that pays for it, or was in a block. A
//! refused admission changes nothing but the rolling minimum. Nobody takes a resident's word for its family: the sums
//! that it keeps are those that a walk would find.
//!
//! Not here: validity, relay, a clock (time is an argument, in seconds), files.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

pub mod admission;
pub mod entry;
pub mod estimator;
pub mod family;
pub mod floor;
pub mod limits;
pub mod orphans;
pub mod package;
pub mod pool;
pub mod record;
pub mod refusal;
pub mod template;
pub mod trial;

#[cfg(test)]
mod tests;

pub use entry::{Arrival, CoinKey, Entry, EntryId, Family, FeeRate, Rate};
pub use estimator::{Estimate, Estimator};
pub use limits::Limits;
pub use orphans::{OrphanLimits, Orphans};
pub use package::{PACKAGE_MAX, Waiting};
pub use pool::{Pool, Resident};
pub use record::{PoolRecord, RecordError, Saved};
pub use refusal::AdmitError;
