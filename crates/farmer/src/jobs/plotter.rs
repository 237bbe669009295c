//! A plotter: pulls a job, claims it, plots it, and says so; one after the other, until it is to stop.

mod work;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    num::NonZeroU64,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use mass_plot::{BuildOptions, GroupProgress};
use rand_core::{OsRng, RngCore as _};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::work::Hold;
use super::{
    ACK_WAIT, ClaimState, Job, JobError, PlotterEvent, SILENCE,
    claim::{self, Claim, Right, right},
    directories::{self, Begun, Remains},
    place::{self, Shortage},
    queue::{Delivery, Queue},
};
use crate::bus::{Bus, BusConfig, BusError, Held, refused};

/// How long after a failure the bus is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long a plotter that is to stop still tries to say so.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often another's claim is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether there is space again.
const LOOK_FOR_SPACE: Duration = Duration::from_secs(10);
/// How long a job that failed here is left for others.
const FAILED: Duration = Duration::from_secs(60);
const NAME_CHARS_MAX: usize = 64;

/// What a plotter needs.
#[derive(Clone, Debug)]
pub struct PlotterConfig {
    /// Where the queue is.
    pub bus: BusConfig,
    /// The plotter's name, which no other one in the cluster has.
    pub name: String,
    /// Directories to plot in.
    pub directories: Vec<PathBuf>,
    /// Threads, memory and instructions.
    pub build: BuildOptions,
    /// Bytes a second that are written to a disk and read from it together.
    pub max_io: Option<NonZeroU64>,
    /// Whether to end when no job is left, or when there is no space.
    pub until_empty: bool,
}

/// How a plotter has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// No job is left.
    Empty,
    /// No directory has the space that the next job takes.
    Full,
}

/// Plots jobs until `stop` is ready. `watch` hears what happens, `progress` how far the job in work is, often and by
/// any thread.
///
/// # Errors
/// [`JobError`]: what no waiting mends. A bus that is away is waited for.
pub async fn run(
    config: PlotterConfig,
    watch: impl Fn(&PlotterEvent),
    progress: Arc<dyn Fn(GroupProgress) + Send + Sync>,
    stop: impl Future<Output = ()>,
) -> Result<Ended, JobError> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = &config.name;
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_good) {
        return Err(JobError::Name(name.chars().take(NAME_CHARS_MAX).collect()));
    }
    let plotter = Plotter {
        bus: Bus::connect(&config.bus).await?,
        run: OsRng.next_u64(),
        failed: RefCell::default(),
        watch: &watch,
        progress,
        stopping: CancellationToken::new(),
        is_joined: Cell::new(false),
        trouble: RefCell::default(),
        is_idle: Cell::new(false),
        config: &config,
    };
    let mut work = pin!(plotter.work());
    let ended = tokio::select! {
        ended = &mut work => ended,
        () = stop => {
            plotter.stopping.cancel();
            work.await
        }
    };
    // The last word may be on its way.
    let _ = tokio::time::timeout(FAREWELL, plotter.bus.client.flush()).await;
    ended
}

struct Plotter<'a> {
    config: &'a PlotterConfig,
    bus: Bus,
    /// Tells the claims of this run from those of earlier ones.
    run: u64,
    /// Directories where a job failed.
    failed: RefCell<BTreeSet<PathBuf>>,
    watch: &'a dyn Fn(&PlotterEvent),
    progress: Arc<dyn Fn(GroupProgress) + Send + Sync>,
    stopping: CancellationToken,
    is_joined: Cell<bool>,
    trouble: RefCell<String>,
    is_idle: Cell<bool>,
}

/// What came of trying to take a job.
enum Taken {
    /// It is ours, to be made there.
    Ours(Box<Hold>, PathBuf),
    /// It is not ours to make.
    Passed,
    /// There is no space for it.
    Full(Shortage),
}

impl Plotter<'_> {
    async fn work(&self) -> Result<Ended, JobError> {
        let opened = async || {
            let queue = Queue::open(&self.bus).await?;
            let claims = queue.claims().await?;
            Ok((queue, claims))
        };
        let Some((queue, claims)) = self.insist(opened).await else { return Ok(Ended::Stopped) };
        let Remains { mut begun, complete } =
            directories::look(&self.config.directories, &self.config.name, claims, self.watch)?;
        for (held, path) in complete {
            let hold = Hold::of(&queue, held);
            self.conclude(&queue, hold, &path).await?;
        }
        loop {
            if self.stopping.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            let turn = match begun.pop() {
                Some(begun) => self.go_on(&queue, &begun).await,
                None => self.next(&queue).await,
            };
            match turn {
                Ok(None) => {}
                Ok(Some(ended)) => return Ok(ended),
                Err(JobError::Bus(error)) => self.mend(&error).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on with a group that was begun here.
    async fn go_on(&self, queue: &Queue, begun: &Begun) -> Result<Option<Ended>, JobError> {
        let Begun { job, dir } = begun;
        let taken = self.insist(async || {
            let held: Option<Held<Claim>> = queue.store.get(&claim::key(&job.identity().group_id())).await?;
            let delivery = held.as_ref().and_then(|held| queue.delivery_of(&held.value));
            match held {
                Some(held) if right(Some(&held.value), &self.config.name) == Right::Take => {
                    self.claim(queue, *job, Some(held), delivery).await
                }
                _ => Ok(None),
            }
        });
        match taken.await {
            None => Ok(Some(Ended::Stopped)),
            Some(Some(hold)) => self.serve(queue, hold, dir.clone()).await,
            Some(None) => {
                if mass_plot::discard_group(dir, job.identity())? {
                    let group = job.identity().group_id();
                    self.tell(&PlotterEvent::Removed { group, dir: dir.clone() });
                }
                Ok(None)
            }
        }
    }

    /// Pulls a job and does it.
    async fn next(&self, queue: &Queue) -> Result<Option<Ended>, JobError> {
        let pulled = tokio::select! {
            pulled = queue.pull() => pulled?,
            () = self.stopping.cancelled() => return Ok(Some(Ended::Stopped)),
        };
        self.joined();
        let Some((job, delivery)) = pulled else {
            if self.config.until_empty && queue.is_empty().await? {
                return Ok(Some(Ended::Empty));
            }
            if !self.is_idle.replace(true) {
                self.tell(&PlotterEvent::Idle);
            }
            return Ok(None);
        };
        let job = match job {
            Ok(job) => job,
            Err(reason) => {
                delivery.refuse().await;
                self.tell(&PlotterEvent::Refused { reason });
                return Ok(None);
            }
        };
        match self.take(queue, job, &delivery).await? {
            Taken::Passed => Ok(None),
            Taken::Full(shortage) => {
                delivery.give_back(None).await;
                Ok(self.wait_for_space(&job, shortage).await)
            }
            Taken::Ours(hold, dir) => {
                self.is_idle.set(false);
                self.serve(queue, *hold, dir).await
            }
        }
    }

    /// Claims a job that was delivered, if it is to be had and there is space.
    async fn take(&self, queue: &Queue, job: Job, delivery: &Delivery) -> Result<Taken, BusError> {
        let group = job.identity().group_id();
        loop {
            let held: Option<Held<Claim>> = queue.store.get(&claim::key(&group)).await?;
            let mut dead = None;
            if let Some(Held { value: claim, revision }) = &held {
                let (by, state) = (claim.by.clone(), claim.state);
                match right(Some(claim), &self.config.name) {
                    Right::Take => {}
                    Right::Settled => {
                        delivery.ack().await?;
                        self.tell(&PlotterEvent::Passed { group, by, state });
                        return Ok(Taken::Passed);
                    }
                    Right::Watch if self.is_silent(queue, &group, *revision, delivery).await? => {
                        dead = Some(by);
                    }
                    Right::Watch => {
                        // The other one says that it is at work, which puts off the next delivery.
                        delivery.give_back(Some(ACK_WAIT)).await;
                        self.tell(&PlotterEvent::Passed { group, by, state });
                        return Ok(Taken::Passed);
                    }
                }
            }
            let dir = match place::choose(&job, self.good_directories(), &self.config.build) {
                Ok(dir) => dir,
                Err(shortage) => return Ok(Taken::Full(shortage)),
            };
            if let Some(hold) = self.claim(queue, job, held, Some(delivery.clone())).await? {
                return Ok(Taken::Ours(Box::new(Hold { taken_over_from: dead, ..hold }), dir));
            }
        }
    }

    /// Sets the claim to this plotter, unless somebody is faster.
    async fn claim(
        &self,
        queue: &Queue,
        job: Job,
        held: Option<Held<Claim>>,
        delivery: Option<Delivery>,
    ) -> Result<Option<Hold>, BusError> {
        let claim = Claim {
            by: self.config.name.clone(),
            run: self.run,
            state: ClaimState::Claimed,
            delivery: delivery.as_ref().map(|delivery| delivery.reply().to_owned()).unwrap_or_default(),
            ..Claim::unclaimed(job)
        };
        let set =
            queue.store.set(&claim::key(&claim.group()), &claim, held.map(|held| held.revision)).await?;
        Ok(set.map(|revision| Hold { claim, revision, delivery, taken_over_from: None }))
    }

    /// Whether a claim stands still for so long that its plotter must be dead, the bus being there all along.
    async fn is_silent(
        &self,
        queue: &Queue,
        group: &mass_primitives::GroupId,
        revision: u64,
        delivery: &Delivery,
    ) -> Result<bool, BusError> {
        let (key, changes, start) = (claim::key(group), self.bus.changes(), Instant::now());
        let connection = *changes.borrow();
        while start.elapsed() < SILENCE {
            delivery.progress().await;
            if !self.pause(LOOK).await {
                return Ok(false);
            }
            if *changes.borrow() != connection {
                return Err(refused("the connection broke"));
            }
            let held: Option<Held<Claim>> = queue.store.get(&key).await?;
            if held.is_none_or(|held| held.revision != revision) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until a directory has space for a job.
    async fn wait_for_space(&self, job: &Job, shortage: Shortage) -> Option<Ended> {
        let (group, Shortage { needed, free }) = (job.identity().group_id(), shortage);
        self.tell(&PlotterEvent::Full { group, needed, free });
        if self.config.until_empty {
            return Some(Ended::Full);
        }
        while self.pause(LOOK_FOR_SPACE).await {
            if place::choose(job, self.good_directories(), &self.config.build).is_ok() {
                return None;
            }
        }
        Some(Ended::Stopped)
    }

    fn good_directories(&self) -> impl Iterator<Item = &PathBuf> + Clone {
        self.config.directories.iter().filter(|dir| !self.failed.borrow().contains(*dir))
    }

    /// No more plots in a directory, until the plotter starts again.
    fn avoid(&self, dir: &Path) -> Result<(), JobError> {
        self.failed.borrow_mut().insert(dir.to_owned());
        if self.good_directories().next().is_none() {
            return Err(JobError::Directories(dir.to_owned()));
        }
        Ok(())
    }

    /// Does what needs the bus until it succeeds; nothing if it does not before the plotter must end.
    async fn insist<T>(&self, what: impl AsyncFn() -> Result<T, BusError>) -> Option<T> {
        loop {
            let overdue = async {
                self.stopping.cancelled().await;
                tokio::time::sleep(FAREWELL).await;
            };
            let result = tokio::select! {
                result = what() => result,
                () = overdue => return None,
            };
            match result {
                Ok(value) => {
                    self.joined();
                    return Some(value);
                }
                Err(_) if self.stopping.is_cancelled() => return None,
                Err(error) => self.mend(&error).await,
            }
        }
    }

    /// Waits a little, and makes sure that queue and claims have a place: a bus may come back empty.
    async fn mend(&self, error: &BusError) {
        self.lost(error.to_string());
        self.pause(RETRY).await;
        tokio::select! {
            _ = Queue::open(&self.bus) => {}
            () = self.stopping.cancelled() => {}
        }
    }

    /// Waits; `false` if the plotter is to stop.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.stopping.cancelled() => false,
        }
    }

    fn tell(&self, event: &PlotterEvent) {
        (self.watch)(event);
    }

    fn joined(&self) {
        if !self.is_joined.replace(true) {
            let (cluster, name) = (self.bus.cluster().to_owned(), self.config.name.clone());
            self.tell(&PlotterEvent::Joined { cluster, name });
        }
    }

    fn lost(&self, reason: String) {
        let is_news = self.is_joined.replace(false) || *self.trouble.borrow() != reason;
        if is_news {
            self.trouble.replace(reason.clone());
            self.tell(&PlotterEvent::Lost { reason });
        }
    }
}
