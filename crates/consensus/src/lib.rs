//! The rules of the engine: time, seeds, challenges, the group filter, the lottery, difficulty, headers
//! and seals, double-seal evidence, and the port [`ledger::Ledger`].
//!
//! Pure: time, randomness, peers and disks are arguments. Rules are numbered in `docs/spec/consensus.md`.
#![no_std]
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

extern crate alloc;

pub mod beacon;
pub mod block;
pub mod difficulty;
pub mod engine;
pub mod evidence;
pub mod header;
pub mod keys;
pub mod ledger;
pub mod lottery;
pub mod proven;
pub mod rule;
pub mod spec;
pub mod state_sum;
pub mod tree;
