//! Plots that are made by the farmer's own process, because somebody asked for them over RPC.
//!
//! One order to a directory at a time, on half of the processors, so that rounds are still answered. Pausing goes by the file in
//! the directory that all plotters heed, so that it reaches those of other programs too.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use mass_consensus::spec::ChainSpec;
use mass_plot::{
    BuildOptions, CreateOptions, Gate, GroupOptions, GroupProgress, GroupStep, PlotError, Progress,
    is_paused, is_plotting, unfinished_groups,
};
use mass_primitives::{FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};
use mass_rpc::{
    RpcResult, errors,
    farm_view::{PlotOrder, PlottingJob, PlottingStatus},
};
use rand_core::{OsRng, RngCore as _};

/// How often a plotter looks whether it is to rest.
const LOOK: Duration = Duration::from_millis(200);
/// Plots of an order at the most.
const PLOTS_MAX: u32 = 100_000;
/// What merging and reading back a group costs, in parts of making its plots.
const MERGE_PART: f64 = 0.1;
const CHECK_PART: f64 = 0.05;

/// The plots that a farm's process makes.
pub(crate) struct Plotting {
    farmer: FarmerPublicKey,
    kind: Kind,
    directories: Vec<PathBuf>,
    jobs: Mutex<BTreeMap<PathBuf, Arc<Job>>>,
}

/// What plots the farm's first chain takes.
#[derive(Clone, Copy)]
struct Kind {
    size: PlotSize,
    strength: Strength,
    group_max: u16,
}

/// An order, being carried out.
struct Job {
    plots: u32,
    gate: Gate,
    state: Mutex<State>,
    is_over: AtomicBool,
}

struct State {
    /// Plots that are there.
    made: u32,
    /// What is done of all, in plots, and what of it was done before.
    done: f64,
    skipped: f64,
    started: Instant,
    rested: Duration,
    resting: Option<Instant>,
    failure: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Plotting {
    /// The farm ends: so do its plotters. A group that is half made stays.
    fn drop(&mut self) {
        lock(&self.jobs).values().for_each(|job| job.gate.cancel());
    }
}

impl Plotting {
    /// Nothing is made yet. Plots will be such as the first of the chains takes.
    pub fn new<'a>(
        farmer: FarmerPublicKey,
        chains: impl Iterator<Item = &'a ChainSpec>,
        directories: Vec<PathBuf>,
    ) -> Option<Self> {
        let spec = { chains }.next()?;
        let strength = Strength::new(spec.rules().strength_min).ok()?;
        let kind = Kind { size: spec.plot_size(), strength, group_max: spec.rules().group_plots_max };
        Some(Self { farmer, kind, directories, jobs: Mutex::default() })
    }

    /// The directory of this name.
    fn directory(&self, disk: &str) -> RpcResult<&Path> {
        let found = self.directories.iter().find(|path| path.display().to_string() == disk);
        let names =
            || self.directories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let missing = || errors::not_found(format!("plots can be made in {}, not in {disk}", names()));
        found.map(PathBuf::as_path).ok_or_else(missing)
    }

    /// Begins with an order.
    pub fn begin(&self, order: &PlotOrder) -> RpcResult<()> {
        let dir = self.directory(&order.disk)?.to_owned();
        if !(1..=PLOTS_MAX).contains(&order.plots) {
            return Err(errors::invalid_parameter(format!(
                "plots are 1 to {PLOTS_MAX}, not {}",
                order.plots
            )));
        }
        if !(1..=self.kind.group_max).contains(&order.group) {
            let max = self.kind.group_max;
            return Err(errors::invalid_parameter(format!(
                "a group has 1 to {max} plots, not {}",
                order.group
            )));
        }
        let mut jobs = lock(&self.jobs);
        if jobs.get(&dir).is_some_and(|job| !job.is_over.load(Relaxed)) {
            return Err(errors::misc(format!("plots are being made in {} already", order.disk)));
        }
        let job = Arc::new(Job::new(order.plots));
        jobs.insert(dir.clone(), Arc::clone(&job));
        let work = Work { farmer: self.farmer, kind: self.kind, dir, group: order.group };
        thread::spawn(move || work.run(&job));
        Ok(())
    }

    /// Ends an order.
    pub fn end(&self, disk: &str) -> RpcResult<bool> {
        let dir = self.directory(disk)?;
        let jobs = lock(&self.jobs);
        let job = jobs.get(dir).filter(|job| !job.is_over.load(Relaxed));
        job.iter().for_each(|job| job.gate.cancel());
        Ok(job.is_some())
    }

    /// Holds all plotters of a directory, or lets them go on; whether that is a change. Reads the disk.
    pub fn set_paused(&self, disk: &str, paused: bool) -> RpcResult<bool> {
        let dir = self.directory(disk)?;
        let change = if paused { mass_plot::pause } else { mass_plot::resume };
        change(dir).map_err(|error| errors::misc(error.to_string()))
    }

    /// How the directories fare. Reads the disks.
    pub fn status(&self) -> Vec<PlottingStatus> {
        let status = |dir: &PathBuf| PlottingStatus {
            disk: dir.display().to_string(),
            in_work: is_plotting(dir).ok(),
            paused: is_paused(dir),
            job: lock(&self.jobs).get(dir).map(|job| job.status(self.kind.size, Instant::now())),
        };
        self.directories.iter().map(status).collect()
    }
}

impl Job {
    fn new(plots: u32) -> Self {
        let state = State {
            made: 0,
            done: 0.0,
            skipped: 0.0,
            started: Instant::now(),
            rested: Duration::ZERO,
            resting: None,
            failure: None,
        };
        Self { plots, gate: Gate::default(), state: Mutex::new(state), is_over: AtomicBool::new(false) }
    }

    fn status(&self, size: PlotSize, now: Instant) -> PlottingJob {
        let (state, is_over) = (lock(&self.state), self.is_over.load(Relaxed));
        let total = f64::from(self.plots);
        let rested = state.rested + state.resting.map_or(Duration::ZERO, |since| now.duration_since(since));
        let worked = now.duration_since(state.started).saturating_sub(rested).as_secs_f64();
        let rate = Some((state.done - state.skipped) / worked).filter(|rate| rate.is_finite() && *rate > 0.0);
        PlottingJob {
            plots: self.plots,
            made: state.made,
            percent: (state.done / total * 100.0).min(100.0),
            bytes_per_second: rate.map_or(0, |rate| (rate * size.nominal_bytes() as f64) as u64),
            seconds_left: rate.filter(|_| !is_over).map(|rate| ((total - state.done).max(0.0) / rate) as u64),
            is_over,
            failure: state.failure.clone(),
        }
    }

    fn rest(&self, paused: bool, now: Instant) {
        self.gate.set_paused(paused);
        let mut state = lock(&self.state);
        match (paused, state.resting) {
            (true, None) => state.resting = Some(now),
            (false, Some(since)) => {
                state.rested += now.duration_since(since);
                state.resting = None;
            }
            _ => {}
        }
    }

    /// `parts` of the plots are done, after those that are there.
    fn progress(&self, parts: f64) {
        let mut state = lock(&self.state);
        state.done = state.done.max(f64::from(state.made) + parts);
    }
}

/// Ends an order when it is dropped, in a panic too.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Where plots are made, and which.
struct Work {
    farmer: FarmerPublicKey,
    kind: Kind,
    dir: PathBuf,
    group: u16,
}

impl Work {
    /// Carries an order out.
    fn run(&self, job: &Job) {
        thread::scope(|scope| {
            let _over = Over(&job.is_over);
            scope.spawn(|| {
                while !job.is_over.load(Relaxed) {
                    job.rest(is_paused(&self.dir), Instant::now());
                    thread::sleep(LOOK);
                }
            });
            let ended = self.make(job);
            let mut state = lock(&job.state);
            state.failure = ended.err().map(|error| match error {
                PlotError::Cancelled => "it was ended".to_owned(),
                error => error.to_string(),
            });
            state.resting = None;
        });
    }

    fn make(&self, job: &Job) -> Result<(), PlotError> {
        // One that was made held does nothing before it is let go.
        job.rest(is_paused(&self.dir), Instant::now());
        mass_plot::clean_orphans(&self.dir)?;
        let is_ours = |identity: &GroupIdentity| {
            (identity.farmer, identity.size, identity.strength)
                == (self.farmer, self.kind.size, self.kind.strength)
        };
        for begun in unfinished_groups(&self.dir)? {
            if is_ours(&begun.identity) && !begun.in_work && lock(&job.state).made < job.plots {
                let mut state = lock(&job.state);
                state.skipped += f64::from(begun.staged);
                drop(state);
                self.make_group(job, &begun.identity, begun.plots, true)?;
            }
        }
        loop {
            let left = job.plots.saturating_sub(lock(&job.state).made);
            let plots = u16::try_from(left).unwrap_or(u16::MAX).min(self.group);
            if plots == 0 {
                return Ok(());
            }
            let mut nonce = [0; GroupNonce::LEN];
            OsRng.fill_bytes(&mut nonce);
            let Kind { size, strength, .. } = self.kind;
            let nonce = GroupNonce::new(nonce);
            self.make_group(
                job,
                &GroupIdentity { size, strength, farmer: self.farmer, nonce },
                plots,
                plots > 1,
            )?;
        }
    }

    fn make_group(
        &self,
        job: &Job,
        identity: &GroupIdentity,
        plots: u16,
        is_group: bool,
    ) -> Result<(), PlotError> {
        let threads = BuildOptions::default().threads.get() / 2;
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let (build, gate) = (BuildOptions { threads, ..BuildOptions::default() }, Some(&job.gate));
        let part = |work: Progress| work.done as f64 / (work.total.max(1)) as f64;
        if is_group {
            let watch = |work: GroupProgress| {
                job.progress(f64::from(plots) * share(plots, work.step, part(work.work)));
            };
            let options = GroupOptions { build, progress: Some(&watch), gate };
            mass_plot::create_group(&self.dir, identity, plots, &options)?;
        } else {
            let watch = |work: Progress| job.progress(part(work));
            mass_plot::create_with(
                &self.dir,
                identity,
                &CreateOptions { build, progress: Some(&watch), gate },
            )?;
        }
        let mut state = lock(&job.state);
        state.made += u32::from(plots);
        state.done = f64::from(state.made);
        Ok(())
    }
}

/// The part of a group's work that is done when this part of a step is.
fn share(plots: u16, step: GroupStep, part: f64) -> f64 {
    let done = match step {
        GroupStep::Plot(before) => (f64::from(before) + part) / f64::from(plots.max(1)),
        GroupStep::Merge => 1.0 + MERGE_PART * part,
        GroupStep::Check => 1.0 + MERGE_PART + CHECK_PART * part,
    };
    (done / (1.0 + MERGE_PART + CHECK_PART)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(plotting: &Plotting, is_it: impl Fn(&PlottingStatus) -> bool) -> PlottingStatus {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let status = plotting.status().remove(0);
            if is_it(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{status:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn an_order_is_held_let_go_and_carried_out_and_another_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (spec, dirs) = (ChainSpec::built_in("dev").unwrap(), vec![dir.path().to_owned()]);
        let plotting = Plotting::new(FarmerPublicKey::new([7; 32]), [&spec].into_iter(), dirs).unwrap();
        let (plotting, disk) = (Arc::new(plotting), dir.path().display().to_string());
        let order = |plots, group| PlotOrder { disk: disk.clone(), plots, group };
        for bad in [order(0, 1), order(PLOTS_MAX + 1, 1), order(1, 0), order(1, 129)] {
            assert!(plotting.begin(&bad).is_err(), "{bad:?}");
        }
        assert!(plotting.begin(&PlotOrder { disk: "/elsewhere".to_owned(), plots: 1, group: 1 }).is_err());
        assert!(plotting.set_paused("/elsewhere", true).is_err());
        assert!(!plotting.end(&disk).unwrap(), "there is nothing to end");

        assert!(plotting.set_paused(&disk, true).unwrap());
        plotting.begin(&order(5, 2)).unwrap();
        assert!(plotting.begin(&order(1, 1)).is_err(), "one is in work");
        thread::sleep(2 * LOOK);
        let held = plotting.status().remove(0);
        let job = held.job.unwrap();
        assert!(held.paused && !job.is_over && job.made == 0, "{job:?}");
        assert!(plotting.set_paused(&disk, false).unwrap());
        let job =
            wait_for(&plotting, |status| status.job.as_ref().is_some_and(|job| job.is_over)).job.unwrap();
        assert_eq!((job.plots, job.made, job.failure.as_deref(), job.percent), (5, 5, None, 100.0));
        assert!(job.bytes_per_second > 0 && job.seconds_left.is_none());
        assert_eq!(mass_plot::list(dir.path()).unwrap().plots.len(), 3, "two groups of two, and one plot");

        plotting.begin(&order(1_000, 4)).unwrap();
        let going = wait_for(&plotting, |status| {
            status.job.as_ref().is_some_and(|job| job.percent > 0.0 && job.seconds_left.is_some())
        });
        assert_eq!(going.in_work, Some(true));
        assert!(plotting.end(&disk).unwrap());
        let job =
            wait_for(&plotting, |status| status.job.as_ref().is_some_and(|job| job.is_over)).job.unwrap();
        assert_eq!(job.failure.as_deref(), Some("it was ended"));
    }

    #[test]
    fn the_share_of_a_group_rises() {
        let steps = [
            (GroupStep::Plot(0), 0.5),
            (GroupStep::Plot(1), 1.0),
            (GroupStep::Merge, 0.5),
            (GroupStep::Check, 1.0),
        ];
        let shares = steps.map(|(step, part)| share(2, step, part));
        assert!(shares.is_sorted() && shares[3] == 1.0, "{shares:?}");
    }
}
