//! Who has a group in work, as it stands on the bus, and how a claim changes hands.

use mass_plot::GroupStep;
use mass_primitives::GroupId;
use serde::{Deserialize, Serialize};

use super::Job;

/// The key of the claim of a group.
pub(crate) fn key(group: &GroupId) -> String {
    format!("{KEYS}{group}")
}

/// The start of the keys of claims.
pub(crate) const KEYS: &str = "plot.";

/// What stands at `plot.GROUP`: who plots a group, or has plotted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// What is plotted.
    pub job: Job,
    /// The name of the plotter.
    pub by: String,
    /// The run of the plotter: two of one name are not mistaken for each other.
    pub run: u64,
    pub state: ClaimState,
    /// Plots that are staged.
    pub staged: u16,
    pub step: Step,
    /// Where the queue hears of the delivery, so that a plotter that starts again can speak for it.
    pub delivery: String,
    /// The number of the finished file in its file system: of two plotters that share a directory, none takes the
    /// other's file for a second one.
    pub inode: u64,
}

/// What a claim says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimState {
    /// The group is in work.
    Claimed,
    /// The plotter has given the job back; what it has staged stays with it.
    Left,
    /// The group is complete.
    Done,
    /// The job was cancelled.
    Cancelled,
}

/// What is being done for a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Its plots are made.
    #[default]
    Plotting,
    /// They are merged into a file.
    Merging,
    /// The file is read back.
    Checking,
}

impl Claim {
    /// Of a job that nobody has.
    pub fn unclaimed(job: Job) -> Self {
        let (by, delivery) = (String::new(), String::new());
        Self { job, by, run: 0, state: ClaimState::Left, staged: 0, step: Step::Plotting, delivery, inode: 0 }
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.job.identity().group_id()
    }

    /// How far the group is, of so many plots.
    pub fn set_step(&mut self, step: GroupStep) {
        (self.staged, self.step) = match step {
            GroupStep::Plot(done) => (done, Step::Plotting),
            GroupStep::Merge => (self.job.plots(), Step::Merging),
            GroupStep::Check => (self.job.plots(), Step::Checking),
        };
    }
}

/// What to do with a job that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// To claim it.
    Take,
    /// To see first whether the other plotter lives.
    Watch,
    /// Nothing is left to do.
    Settled,
}

/// What a plotter of this name may do with a job, given its claim.
pub(crate) fn right(claim: Option<&Claim>, name: &str) -> Right {
    match claim {
        None => Right::Take,
        Some(claim) => match claim.state {
            ClaimState::Done | ClaimState::Cancelled => Right::Settled,
            ClaimState::Left => Right::Take,
            ClaimState::Claimed if claim.by == name => Right::Take,
            ClaimState::Claimed => Right::Watch,
        },
    }
}
