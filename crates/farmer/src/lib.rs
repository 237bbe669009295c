//! The farmer: asks plots, knows which slots it wins, and signs at most one block per chain and slot.
//!
//! No network here and no clock: seeds, rounds, difficulties and randomness are arguments.

pub mod farm;
pub mod guard;
pub mod schedule;

pub use farm::{Answer, Farm, FarmError, Fault};
pub use guard::{GuardError, Permit, SigningGuard};
pub use schedule::{Draw, Found, likely, schedule, winner};

#[cfg(test)]
mod tests;
