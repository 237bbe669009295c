//! The farmer: asks plots, knows which slots it wins, and signs at most one block per chain and slot.
//!
//! [`run`] is the loop between plots and a node. All else has no network and no clock: seeds, rounds,
//! difficulties and randomness are arguments.

pub mod farm;
pub mod guard;
pub mod round;
mod run;
pub mod schedule;

pub use farm::{Answer, Farm, FarmError, Fault};
pub use guard::{GuardError, Permit, SigningGuard};
pub use round::RoundWork;
pub use run::{FarmEvent, FarmerConfig, FarmerError, Totals, run};
pub use schedule::{Draw, Found, likely, schedule, winner};

#[cfg(test)]
mod tests;
