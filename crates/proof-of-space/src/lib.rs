//! The proof of space as mathematics: parameters, qualities, proofs, [`verify`].
//!
//! The construction is that of CHIP-48: a plot answers a challenge with zero or more **quality chains**
//! of 16 links, each of which commits to a full **proof** of 128 x-values. Finding the chains takes four
//! short reads of a plot; finding the proof behind one takes up to seconds of work; checking it takes
//! microseconds and no plot.
//!
//! The rules have numbers, POS-1 and on, and are written out in `docs/spec/proof-of-space.md`.
//!
//! No files here: those are in `mass-plot`.
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

#[cfg(test)]
extern crate std;

extern crate alloc;

pub mod chain;
mod fragment;
mod group;
mod hash;
pub mod oracle;
mod params;
mod proof;
pub mod tables;
mod verify;

pub use fragment::FragmentCipher;
pub use group::{GROUP_VERSION, GroupIdentity};
pub use hash::ROUND_PAIRS;
pub use params::{META_GROUP, ParamsError, PlotParams, PlotSize, Strength};
pub use proof::{PROOF_X_VALUES, Proof, QUALITY_LINKS, QualityChain};
pub use verify::{ProofError, plot_id, verify};
