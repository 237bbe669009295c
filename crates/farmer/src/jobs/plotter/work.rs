//! One job in work: plotted on a thread of its own, its claim set anew all the while, and said to be done in the end.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mass_plot::{Gate, GroupProgress, GroupStep, PlotError};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    super::{
        BEAT, ClaimState, JobError, PlotterEvent,
        claim::{self, Claim},
        place,
        queue::{Delivery, Queue},
    },
    Ended, FAILED, Plotter,
};
use crate::bus::{BusError, Held};

/// How often it is looked whether the work is to rest.
const LOOK_FOR_PAUSE: Duration = Duration::from_millis(200);

/// A claim that is ours, as far as we know.
pub(super) struct Hold {
    pub claim: Claim,
    pub revision: u64,
    pub delivery: Option<Delivery>,
    /// The plotter that had it before.
    pub taken_over_from: Option<String>,
}

/// What came of plotting.
enum Outcome {
    Ended(Result<PathBuf, PlotError>),
    /// Another plotter has the claim.
    Lost(Claim),
}

impl Hold {
    /// A claim as it stands on the bus.
    pub fn of(queue: &Queue, held: Held<Claim>) -> Self {
        let Held { value: claim, revision } = held;
        Self { delivery: queue.delivery_of(&claim), claim, revision, taken_over_from: None }
    }

    /// Replaces the claim; whoever has it instead, if that fails.
    async fn set(&mut self, queue: &Queue, state: ClaimState) -> Result<Option<Claim>, BusError> {
        let key = claim::key(&self.claim.group());
        let claim = Claim { state, ..self.claim.clone() };
        let mut revision = Some(self.revision);
        loop {
            if let Some(revision) = queue.store.set(&key, &claim, revision).await? {
                (self.claim, self.revision) = (claim, revision);
                return Ok(None);
            }
            let held: Option<Held<Claim>> = queue.store.get(&key).await?;
            revision = match held {
                // An answer was lost, not the claim.
                Some(held) if held.value.run == claim.run => Some(held.revision),
                Some(held) => return Ok(Some(held.value)),
                // The bus has lost it.
                None => None,
            };
        }
    }
}

impl Plotter<'_> {
    /// Does a job that is ours, from the plots to the last word.
    pub(super) async fn serve(
        &self,
        queue: &Queue,
        mut hold: Hold,
        mut dir: PathBuf,
    ) -> Result<Option<Ended>, JobError> {
        let (job, group) = (hold.claim.job, hold.claim.group());
        let mut full = Vec::new();
        loop {
            self.tell(&PlotterEvent::Claimed {
                group,
                k: job.identity().size.get(),
                plots: job.plots(),
                staged: place::staged(&job, &dir),
                dir: dir.clone(),
                taken_over_from: hold.taken_over_from.take(),
            });
            match self.plot(queue, &mut hold, &dir).await {
                Outcome::Ended(Ok(path)) => return self.conclude(queue, hold, &path).await,
                Outcome::Lost(other) => {
                    mass_plot::discard_group(&dir, job.identity())?;
                    self.tell(&PlotterEvent::GivenUp { group, by: other.by });
                    return Ok(None);
                }
                Outcome::Ended(Err(PlotError::Cancelled)) => {
                    self.leave(queue, hold, "the plotter stops", None).await;
                    return Ok(Some(Ended::Stopped));
                }
                Outcome::Ended(Err(PlotError::NoSpace { .. })) => {
                    full.push(dir);
                    let others = self.good_directories().filter(|dir| !full.contains(*dir));
                    match place::choose(&job, others, &self.config.build) {
                        Ok(other) => dir = other,
                        Err(shortage) => {
                            self.leave(queue, hold, "no directory has space for it", None).await;
                            return Ok(self.wait_for_space(&job, shortage).await);
                        }
                    }
                }
                Outcome::Ended(Err(error)) => return self.fail(queue, hold, dir, &error).await,
            }
        }
    }

    /// Plots, and sets the claim anew while the bus is there. A bus that is away stops nothing.
    async fn plot(&self, queue: &Queue, hold: &mut Hold, dir: &Path) -> Outcome {
        let (gate, mut rests, mut is_given_up) = (Arc::new(Gate::new(self.config.max_io)), false, false);
        let (report, step) = watch::channel(GroupStep::Plot(hold.claim.staged));
        let mut making = tokio::task::spawn_blocking({
            let (gate, progress) = (Arc::clone(&gate), Arc::clone(&self.progress));
            let (job, dir, build) = (hold.claim.job, dir.to_owned(), self.config.build);
            move || {
                let progress = |work: GroupProgress| {
                    report.send_if_modified(|step| std::mem::replace(step, work.step) != work.step);
                    progress(work);
                };
                place::make(&job, &dir, build, &gate, &progress)
            }
        });
        let (mut changes, mut ticks, mut lost) = (self.bus.changes(), interval(BEAT), None);
        let mut looks = interval(LOOK_FOR_PAUSE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                made = &mut making => {
                    return match lost {
                        Some(other) if !matches!(made, Ok(Ok(_))) => Outcome::Lost(other),
                        _ => Outcome::Ended(made.unwrap_or_else(|error| Err(PlotError::Plotter(error.to_string())))),
                    };
                }
                () = self.stopping.cancelled(), if !is_given_up => {
                    is_given_up = true;
                    gate.cancel();
                    continue;
                }
                _ = looks.tick(), if !is_given_up => {
                    let now = mass_plot::is_paused(dir);
                    if now != rests {
                        rests = now;
                        gate.set_paused(now);
                        self.tell(&PlotterEvent::Rests { group: hold.claim.group(), dir: dir.to_owned(), rests });
                    }
                    continue;
                }
                _ = ticks.tick(), if !is_given_up => {}
                Ok(()) = changes.changed() => {}
            }
            if *changes.borrow_and_update() % 2 == 0 {
                self.lost("the connection broke; plotting goes on".to_owned());
            } else if !is_given_up {
                hold.claim.set_step(*step.borrow());
                lost = self.beat(queue, hold).await;
                if lost.is_some() {
                    is_given_up = true;
                    gate.cancel();
                }
            }
        }
    }

    /// Says that the job is in work; whoever has it instead.
    async fn beat(&self, queue: &Queue, hold: &mut Hold) -> Option<Claim> {
        if let Some(delivery) = &hold.delivery {
            delivery.progress().await;
        }
        let set = tokio::select! {
            set = tokio::time::timeout(BEAT, hold.set(queue, ClaimState::Claimed)) => set.ok()?,
            () = self.stopping.cancelled() => return None,
        };
        // What could not be said now is said with the next beat.
        let other = set.ok()?;
        self.joined();
        if other.is_none() {
            let Claim { job, step, staged, .. } = hold.claim;
            let (group, plots) = (hold.claim.group(), job.plots());
            self.tell(&PlotterEvent::Progress { group, step, staged, plots });
        }
        other
    }

    /// Says that a group is complete. If another plotter has completed it too and was faster, this file goes.
    pub(super) async fn conclude(
        &self,
        queue: &Queue,
        hold: Hold,
        path: &Path,
    ) -> Result<Option<Ended>, JobError> {
        let group = hold.claim.group();
        let key = claim::key(&group);
        let file = fs::metadata(path).map_err(|source| PlotError::Io { path: path.to_owned(), source })?;
        let mut done = Claim {
            by: self.config.name.clone(),
            run: self.run,
            state: ClaimState::Done,
            inode: file.ino(),
            ..hold.claim
        };
        done.set_step(GroupStep::Check);
        let settled = self.insist(async || {
            loop {
                let held: Option<Held<Claim>> = queue.store.get(&key).await?;
                if let Some(Held { value: claim, .. }) = &held
                    && claim.state == ClaimState::Done
                {
                    return Ok((claim.inode != done.inode).then(|| claim.by.clone()));
                }
                if queue.store.set(&key, &done, held.map(|held| held.revision)).await?.is_some() {
                    return Ok(None);
                }
            }
        });
        match settled.await {
            // The next run finds the file and says so.
            None => return Ok(Some(Ended::Stopped)),
            Some(None) => {
                if let Some(delivery) = &hold.delivery {
                    // If this is not heard, the job is delivered again, and passed over.
                    let _ = delivery.ack().await;
                }
                let (path, plots, bytes) = (path.to_owned(), done.job.plots(), file.len());
                self.tell(&PlotterEvent::Done { group, path, plots, bytes });
            }
            Some(Some(by)) => {
                fs::remove_file(path).map_err(|source| PlotError::Io { path: path.to_owned(), source })?;
                self.tell(&PlotterEvent::GivenUp { group, by });
            }
        }
        Ok(None)
    }

    /// Gives a job back to the queue.
    async fn leave(&self, queue: &Queue, mut hold: Hold, reason: &str, after: Option<Duration>) {
        let group = hold.claim.group();
        let left = tokio::time::timeout(BEAT, hold.set(queue, ClaimState::Left)).await;
        // If nobody hears of it, the others find that the claim stands still.
        if matches!(left, Ok(Ok(None)))
            && let Some(delivery) = &hold.delivery
        {
            delivery.give_back(after).await;
        }
        self.tell(&PlotterEvent::Left { group, reason: reason.to_owned() });
    }

    /// Gives back a job that failed here. One that cannot be made with this memory, or that somebody else makes in the
    /// same directory, is no fault of the directory.
    async fn fail(
        &self,
        queue: &Queue,
        hold: Hold,
        dir: PathBuf,
        error: &PlotError,
    ) -> Result<Option<Ended>, JobError> {
        let (group, reason) = (hold.claim.group(), error.to_string());
        self.leave(queue, hold, &reason, Some(FAILED)).await;
        let is_of_directory = !matches!(error, PlotError::Memory { .. } | PlotError::Busy(_));
        self.tell(&PlotterEvent::Failed { group, dir: dir.clone(), reason });
        if is_of_directory {
            self.avoid(&dir)?;
        }
        Ok(None)
    }
}
