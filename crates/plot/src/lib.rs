//! Plot files: creation, opening, look-up, solving.
//!
//! A plot file says by itself whose plot it is: it carries the canonical
//! [`GroupIdentity`](mass_proof_of_space::GroupIdentity), and whatever is damaged in it is found and named. The layout is
//! in `docs/plot-format.md`: the plots of a group, up to 128 of them, side by side.
//!
//! Deliberately not here: which plots to ask when, and keys. Both are the farmer's.

mod aes;
mod build;
mod chains;
mod create;
mod directory;
mod error;
mod estimate;
mod expect;
mod format;
mod gate;
mod group;
mod pause;
mod plot;
mod remove;
mod repair;
mod rules;
mod sieve;
mod solve;
mod space;
mod write;

#[cfg(test)]
mod tests;

pub use aes::{Backend, PlotHasher};
pub use build::{BuildError, BuildOptions, BuildStatistics, Progress, build};
pub use create::{CreateOptions, create, create_with, file_name};
pub use directory::{Listing, clean_orphans, list, plot_files};
pub use error::{FileEnd, PlotError};
pub use estimate::Estimate;
pub use expect::Expectation;
pub use gate::Gate;
pub use group::{
    GroupOptions, GroupProgress, GroupStep, UnfinishedGroup, create_group, discard_group, unfinished_groups,
};
pub use pause::{is_paused, is_plotting, pause, resume};
pub use plot::{Plot, READS_PER_CHALLENGE, ReadCount};
pub use remove::{Removable, Removables, removables, remove};
pub use repair::{RepairOptions, RepairProgress, RepairStep, Repaired, repair};
pub use solve::{SolveOptions, solve};
pub use space::free_bytes;
