//! Plot files: creation, opening, look-up, solving.
//!
//! A plot file is what the reference construction calls a plot group file. Its memo carries the canonical
//! [`GroupIdentity`](mass_proof_of_space::GroupIdentity), so that a file says by itself whose plot it is, and
//! [`Plot::open`] believes it only if the group id in the header is the hash of it.
//!
//! Backed by the crate `chia-pos2` until our own replaces it. That crate opens files at plot index 0 alone, so
//! each group holds exactly one plot, at index 0. It parses in C++; whatever bounds its reading is checked
//! here before it gets to see a file.
//!
//! Deliberately not here: which plots to ask when, and keys. Both are the farmer's.

mod aes;
mod build;
mod create;
mod directory;
mod error;
mod format;
mod plot;

#[cfg(test)]
mod tests;

pub use aes::{Backend, PlotHasher};
pub use build::{BuildError, BuildOptions, BuildStatistics, Progress, build};
pub use create::{create, file_name};
pub use directory::{Listing, clean_orphans, list};
pub use error::PlotError;
pub use plot::Plot;
