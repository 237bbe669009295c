//! Transactions that wait for a block: admission, replacement, eviction, order, expiry.
//!
//! The pool knows no ledger. A transaction is opaque bytes with an id, a fee, a weight, and the keys
//! of the coins it spends and creates; whether it is valid is settled before it comes here. Links
//! between transactions follow from the keys alone, so a parent that arrives after its child (a block
//! was disconnected) is linked like any other.
//!
//! **Invariants.** No two residents spend, or create, one coin. Residents form no circle. A resident
//! leaves together with its descendants, unless a block confirms it. The limits always hold. A
//! refused admission changes nothing.
//!
//! Not here: validity, relay, a clock (time is an argument, in seconds), persistence.
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
pub mod family;
pub mod pool;
pub mod template;

#[cfg(test)]
mod tests;

pub use admission::{AdmitError, REPLACED_MAX};
pub use entry::{CoinKey, Entry, EntryId, FeeRate};
pub use pool::{Limits, Pool};
