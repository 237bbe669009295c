//! What happens to a plotter, for whoever watches it.

use std::path::PathBuf;

use mass_primitives::GroupId;
use serde::Serialize;

use super::{ClaimState, Step};

/// What happens to a plotter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PlotterEvent {
    /// The bus is there.
    Joined {
        /// The cluster.
        cluster: String,
        /// The plotter's name there.
        name: String,
    },
    /// The bus is not there, or does not do what it is asked. It is tried again.
    Lost {
        /// Why.
        reason: String,
    },
    /// No job waits.
    Idle,
    /// A job is begun, or gone on with.
    Claimed {
        /// Its group.
        group: GroupId,
        /// Size of its plots.
        k: u8,
        /// Plots that it is to have.
        plots: u16,
        /// Plots that are staged already.
        staged: u16,
        /// The directory.
        dir: PathBuf,
        /// The plotter that had it before and is dead.
        taken_over_from: Option<String>,
    },
    /// A job is so far.
    Progress {
        /// Its group.
        group: GroupId,
        /// What is being done.
        step: Step,
        /// Plots that are staged.
        staged: u16,
        /// Plots that it is to have.
        plots: u16,
    },
    /// The directory of a job is paused, or not any more.
    Rests {
        /// Its group.
        group: GroupId,
        /// The directory.
        dir: PathBuf,
        /// Whether it rests now.
        rests: bool,
    },
    /// A group is complete, and the queue knows.
    Done {
        /// The group.
        group: GroupId,
        /// Its file.
        path: PathBuf,
        /// Plots in it.
        plots: u16,
        /// Bytes of it.
        bytes: u64,
    },
    /// A job that was delivered is done or cancelled, or in the hands of another plotter.
    Passed {
        /// Its group.
        group: GroupId,
        /// The other plotter.
        by: String,
        /// What its claim says.
        state: ClaimState,
    },
    /// A job was given back to the queue; what is staged stays.
    Left {
        /// Its group.
        group: GroupId,
        /// Why.
        reason: String,
    },
    /// Another plotter has taken the job over; what was made here is removed.
    GivenUp {
        /// Its group.
        group: GroupId,
        /// The other plotter.
        by: String,
    },
    /// What an earlier run had begun here is another's or done, and was removed.
    Removed {
        /// The group.
        group: GroupId,
        /// The directory.
        dir: PathBuf,
    },
    /// No directory has the space that a job takes. It is waited for.
    Full {
        /// The group.
        group: GroupId,
        /// Bytes that it takes while it is made.
        needed: u64,
        /// Bytes free in the directory that has most.
        free: u64,
    },
    /// A job failed here, and was given back to the queue.
    Failed {
        /// Its group.
        group: GroupId,
        /// The directory.
        dir: PathBuf,
        /// Why.
        reason: String,
    },
    /// The queue had something that is no job, and has no more.
    Refused {
        /// Why.
        reason: String,
    },
}
