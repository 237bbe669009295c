//! Plotting over a cluster's bus: jobs in a durable queue, and plotters that pull from it.
//!
//! A job is one group of plots. Its nonce is drawn when it is queued, so that a job is a group id and whoever plots it
//! makes the same bytes. The queue is a JetStream stream, `mass-CLUSTER-plots`: a job is delivered to one plotter, and
//! to another one if the first neither finishes it nor says within [`ACK_WAIT`] that it is at work.
//!
//! A delivery alone is no right to plot: a server that was away delivers again what is in the best hands. So each
//! group has a [`Claim`] on the bus, at `plot.GROUP`, that is replaced only by who knows its revision. A plotter sets
//! its claim anew every [`BEAT`]; one whose claim stands still for [`SILENCE`], while the bus is there, is dead, and its
//! job is taken over. Whoever finds its claim replaced gives the job up.
//!
//! What remains: a plotter that is cut off from the bus, finishes its group, and is killed before it hears that another
//! one has finished it too, leaves the same plots a second time. A farm that has both names them as a fault; they do no
//! harm and win nothing. And a bus that loses what is on its disk loses jobs and claims: a server of NATS makes them
//! durable every two minutes, or, from 2.10 on, at once with `sync_interval: always`.

pub(crate) mod claim;
mod directories;
mod events;
mod place;
mod plotter;
mod queue;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use mass_plot::PlotError;
use mass_primitives::{FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, ParamsError, PlotSize, Strength};
use serde::{Deserialize, Serialize};

use crate::bus::BusError;

pub use claim::{ClaimState, Step};
pub use events::PlotterEvent;
pub use plotter::{Ended, PlotterConfig, run};
pub use queue::{JobReport, JobState, Queue};

/// How long a delivered job may be without a word before it is delivered again.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How often a plotter sets its claim anew, and says so to the queue.
const BEAT: Duration = Duration::from_secs(5);
/// How long another's claim must stand still before its plotter counts as dead: some beats, and the time to connect
/// again.
const SILENCE: Duration = Duration::from_secs(20);

const JOB_VERSION: u8 = 1;
/// Plots that a file can have.
const GROUP_PLOTS_MAX: u16 = 128;

/// A group to plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenJob", into = "WrittenJob")]
pub struct Job {
    identity: GroupIdentity,
    plots: u16,
}

/// A job as it stands on the bus.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct WrittenJob {
    version: u8,
    farmer: FarmerPublicKey,
    k: u8,
    strength: u8,
    nonce: GroupNonce,
    plots: u16,
}

impl Job {
    /// A group of so many plots.
    ///
    /// # Errors
    /// [`JobError::GroupSize`] unless they are 1 to 128, [`JobError::Hopeless`].
    pub const fn new(identity: GroupIdentity, plots: u16) -> Result<Self, JobError> {
        let (k, strength) = (identity.size.get(), identity.strength.get());
        if plots == 0 || plots > GROUP_PLOTS_MAX {
            return Err(JobError::GroupSize(plots));
        }
        if strength + 2 >= k {
            return Err(JobError::Hopeless { k, strength });
        }
        Ok(Self { identity, plots })
    }

    /// The group.
    #[must_use]
    pub const fn identity(&self) -> &GroupIdentity {
        &self.identity
    }

    /// Its plots.
    #[must_use]
    pub const fn plots(&self) -> u16 {
        self.plots
    }
}

impl TryFrom<WrittenJob> for Job {
    type Error = JobError;
    fn try_from(job: WrittenJob) -> Result<Self, JobError> {
        let WrittenJob { version, farmer, k, strength, nonce, plots } = job;
        if version != JOB_VERSION {
            return Err(JobError::Version(version));
        }
        let (size, strength) = (PlotSize::new(k)?, Strength::new(strength)?);
        Self::new(GroupIdentity { size, strength, farmer, nonce }, plots)
    }
}

impl From<Job> for WrittenJob {
    fn from(job: Job) -> Self {
        let GroupIdentity { size, strength, farmer, nonce } = job.identity;
        let (k, strength) = (size.get(), strength.get());
        Self { version: JOB_VERSION, farmer, k, strength, nonce, plots: job.plots }
    }
}

/// Why a job cannot be queued or plotted.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A job of another version.
    #[error("a job of version {JOB_VERSION} expected, got {0}")]
    Version(u8),
    /// No group has so many plots.
    #[error("a group has 1 to {GROUP_PLOTS_MAX} plots, got {0}")]
    GroupSize(u16),
    /// Size or strength is none.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// A plot of this strength cannot be made.
    #[error("strength {strength} is too much for k = {k}")]
    Hopeless {
        /// Size.
        k: u8,
        /// Strength.
        strength: u8,
    },
    /// No plotter is called that.
    #[error("{0:?} is no name for a plotter: 1 to 64 letters, digits, dots, dashes and underscores")]
    Name(String),
    /// A directory cannot be looked into.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// No directory can be written to any more.
    #[error("no directory is left to plot in: {} failed last", .0.display())]
    Directories(PathBuf),
}
