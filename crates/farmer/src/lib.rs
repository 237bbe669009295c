//! The farmer: asks plots, knows which slots it wins, and signs at most one block per chain and slot.
//!
//! [`run`] is the loop between plots and a node. All else has no network and no clock: seeds, rounds,
//! difficulties and randomness are arguments.

mod api;
pub mod bus;
mod chain;
pub mod cluster;
mod disk;
mod doctor;
mod events;
pub mod farm;
pub mod guard;
pub mod harvest;
pub mod jobs;
mod link;
mod luck;
mod plotting;
mod reads;
pub mod round;
mod run;
pub mod schedule;
pub mod shelf;
mod strip;
mod trial;
mod troubles;
mod view;
mod watch;

pub use chain::ChainConfig;
pub use disk::Turn;
pub use doctor::diagnose;
pub use events::{ChainTotals, FarmEvent, Totals};
pub use farm::{Farm, Fault};
pub use guard::{GuardError, Permit, SigningGuard};
pub use round::{ProofKey, RoundWork, proof_key};
pub use run::{FarmerConfig, FarmerError, run};
pub use schedule::{Draw, Found, likely, merge, schedule, winner};

#[cfg(test)]
mod tests;
