//! The farmer: asks plots, knows which slots it wins, and signs at most one block per chain and slot.
//!
//! [`run`] is the loop between plots and a node. All else has no network and no clock: seeds, rounds,
//! difficulties and randomness are arguments.

mod api;
mod chain;
mod disk;
mod doctor;
mod events;
pub mod farm;
pub mod guard;
mod link;
pub mod round;
mod run;
pub mod schedule;
mod trial;

pub use chain::ChainConfig;
pub use doctor::diagnose;
pub use events::{ChainTotals, FarmEvent, Totals};
pub use farm::{Answer, Farm, Fault, look_up, scan};
pub use guard::{GuardError, Permit, SigningGuard};
pub use round::{ProofKey, RoundWork, proof_key};
pub use run::{FarmerConfig, FarmerError, run};
pub use schedule::{Draw, Found, likely, schedule, winner};

#[cfg(test)]
mod tests;
