//! How far the making of plots is: a bar where a person watches, lines where none does. Time at rest does not count.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use mass_plot::{GroupProgress, GroupStep, Progress as Work, RepairProgress, RepairStep};
use mass_proof_of_space::PlotSize;

use crate::output::{human_bytes, human_time, note};

/// Steps of the bar for each plot that is made.
const PLOT_STEPS: u64 = 1000;
/// Steps for each plot that is merged into a group, and that is read back with it: the share of the time on a disk
/// that spins.
const MERGE_STEPS: u64 = 100;
const CHECK_STEPS: u64 = 50;
/// Time between two lines where no bar can be shown.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Plots that become one file.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// How many.
    pub plots: u16,
    /// How many are there already.
    pub staged: u16,
    /// Whether they are staged and merged.
    pub is_group: bool,
}

impl Share {
    fn steps(self) -> u64 {
        let each = if self.is_group { PLOT_STEPS + MERGE_STEPS + CHECK_STEPS } else { PLOT_STEPS };
        u64::from(self.plots) * each
    }
}

/// How fast a batch goes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Work done, before and now.
    pub percent: u64,
    /// Bytes of plots made in a second.
    pub bytes_per_second: u64,
    /// What is left to do takes about so long.
    pub rest: Duration,
}

/// Work and rest.
#[derive(Clone, Copy, Debug)]
struct Clock {
    start: Instant,
    rested: Duration,
    resting: Option<Instant>,
}

impl Clock {
    fn new(now: Instant) -> Self {
        Self { start: now, rested: Duration::ZERO, resting: None }
    }

    fn set_resting(&mut self, rests: bool, now: Instant) {
        self.rested = self.rested(now);
        self.resting = rests.then_some(now);
    }

    fn rested(&self, now: Instant) -> Duration {
        self.rested + self.resting.map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    fn worked(&self, now: Instant) -> Duration {
        now.duration_since(self.start).saturating_sub(self.rested(now))
    }
}

/// A bar, or lines.
struct Display {
    bar: ProgressBar,
    clock: Mutex<Clock>,
    last_line: Mutex<(Instant, String)>,
}

impl Display {
    fn new(steps: u64, what: String) -> Self {
        let bar = ProgressBar::new(steps);
        if let Ok(style) = ProgressStyle::with_template("[{elapsed_precise}] {wide_bar} {percent}% {msg}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self {
            bar,
            clock: Mutex::new(Clock::new(Instant::now())),
            last_line: Mutex::new((Instant::now(), String::new())),
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_paused(&self, paused: bool, dirs: &[PathBuf]) {
        self.clock().set_resting(paused, Instant::now());
        let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        let text = if paused {
            format!("paused: `mass plots resume --dir {}` lets it go on", dirs.join(" "))
        } else {
            "resumed".to_owned()
        };
        if self.bar.is_hidden() {
            note(&text);
        }
        self.bar.set_message(text);
    }

    /// So many of the steps are done; the text says what, and more of it.
    fn show(&self, steps: u64, what: &str, text: String) {
        if self.bar.is_hidden()
            && let Ok(mut last) = self.last_line.lock()
            && (last.1 != what || last.0.elapsed() >= LINE_INTERVAL)
        {
            // Nothing is known of the rate when the first begins.
            if !last.1.is_empty() {
                let all = self.bar.length().unwrap_or(steps).max(1);
                note(&format!("{text} ({} %)", 100 * steps / all));
            }
            *last = (Instant::now(), what.to_owned());
        }
        self.bar.set_position(steps);
        // A thread that does its last step when the rest begins does not hide that it does.
        let clock = self.clock();
        if clock.resting.is_none() {
            self.bar.set_message(text);
        }
    }
}

/// The progress of a batch.
pub struct Progress {
    display: Display,
    plots: u32,
    nominal_bytes: u64,
    /// Steps that were done before.
    skipped: u64,
}

impl Progress {
    pub fn new(shares: &[Share], size: PlotSize) -> Self {
        let steps = shares.iter().map(|share| share.steps()).sum();
        Self {
            display: Display::new(steps, format!("plots of k={size}")),
            plots: shares.iter().map(|share| u32::from(share.plots)).sum(),
            nominal_bytes: size.nominal_bytes(),
            skipped: shares.iter().map(|share| u64::from(share.staged) * PLOT_STEPS).sum(),
        }
    }

    /// The file behind these shares is a plot of its own, and so far.
    pub fn plot(&self, before: &[Share], work: Work) {
        let steps = before.iter().map(|share| share.steps()).sum::<u64>() + part(work, PLOT_STEPS);
        self.show(steps, &format!("plot {} of {}", plots(before) + 1, self.plots));
    }

    /// The file behind these shares is this group, and so far.
    pub fn group(&self, before: &[Share], group: Share, progress: GroupProgress) {
        let (all, work) = (u64::from(group.plots), progress.work);
        let (within, what) = match progress.step {
            GroupStep::Plot(done) => {
                let number = plots(before) + u32::from(done) + 1;
                let text = format!("plot {number} of {}", self.plots);
                (u64::from(done) * PLOT_STEPS + part(work, PLOT_STEPS), text)
            }
            GroupStep::Merge => {
                (all * PLOT_STEPS + part(work, all * MERGE_STEPS), format!("merging {all} plots"))
            }
            GroupStep::Check => {
                let done = all * (PLOT_STEPS + MERGE_STEPS);
                (done + part(work, all * CHECK_STEPS), format!("reading {all} plots back"))
            }
        };
        self.show(before.iter().map(|share| share.steps()).sum::<u64>() + within, &what);
    }

    /// The work rests in these directories, or goes on.
    pub fn set_paused(&self, paused: bool, dirs: &[PathBuf]) {
        self.display.set_paused(paused, dirs);
    }

    /// Ends it; the time at work and at rest.
    pub fn finish(&self) -> (Duration, Duration) {
        self.display.bar.finish_and_clear();
        let clock = self.display.clock();
        (clock.worked(Instant::now()), clock.rested(Instant::now()))
    }

    fn show(&self, steps: u64, what: &str) {
        let bar = &self.display.bar;
        if steps <= bar.position() {
            return;
        }
        let what_next = match self.pace_at(steps) {
            Some(Pace { bytes_per_second, rest, .. }) => {
                format!("{what}: {}/s, {} to go", human_bytes(bytes_per_second), human_time(rest))
            }
            None => what.to_owned(),
        };
        self.display.show(steps, what, what_next);
    }

    /// How fast it goes; nothing before the first step.
    pub fn pace(&self) -> Option<Pace> {
        self.pace_at(self.display.bar.position())
    }

    /// Rate and rest are those of all work so far: a plot differs little from the next.
    fn pace_at(&self, steps: u64) -> Option<Pace> {
        let all = self.display.bar.length().unwrap_or(steps).max(1);
        let elapsed = self.display.clock().worked(Instant::now());
        let here = steps.checked_sub(self.skipped).filter(|here| *here > 0)?;
        let bytes = self.nominal_bytes as f64 * f64::from(self.plots) * here as f64 / all as f64;
        Some(Pace {
            percent: 100 * steps / all,
            bytes_per_second: (bytes / elapsed.as_secs_f64().max(f64::EPSILON)) as u64,
            rest: elapsed.mul_f64(all.saturating_sub(steps) as f64 / here as f64),
        })
    }
}

/// The progress of repairs, file by file.
pub struct Repairs {
    display: Display,
    files: usize,
    step: Mutex<Option<Step>>,
}

/// What is being done, and since what time of work.
struct Step {
    file: usize,
    what: RepairStep,
    since: Duration,
}

impl Repairs {
    pub fn new(files: usize) -> Self {
        Self { display: Display::new(PLOT_STEPS, "plots".to_owned()), files, step: Mutex::new(None) }
    }

    /// The file of this number, from 0 on, is so far.
    pub fn show(&self, file: usize, progress: RepairProgress) {
        let RepairProgress { step, work } = progress;
        let now = self.display.clock().worked(Instant::now());
        let mut last = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        // The plots of a file are one step: together they take so long.
        let is_plot = |what| matches!(what, RepairStep::Plot(..));
        let is_same =
            |last: &Step| last.file == file && (last.what == step || (is_plot(last.what) && is_plot(step)));
        let since = last.as_ref().filter(|last| is_same(last)).map_or(now, |last| last.since);
        *last = Some(Step { file, what: step, since });
        drop(last);
        let (what, steps) = match step {
            RepairStep::Read => ("reading it".to_owned(), part(work, PLOT_STEPS)),
            RepairStep::Plot(done, all) => (
                format!("making plot {} of {all} again", done + 1),
                (u64::from(done) * PLOT_STEPS + part(work, PLOT_STEPS)) / u64::from(all),
            ),
            RepairStep::Check => ("reading it back".to_owned(), part(work, PLOT_STEPS)),
        };
        let rest = now.saturating_sub(since).mul_f64((PLOT_STEPS - steps) as f64 / steps.max(1) as f64);
        let what = format!("file {} of {}: {what}", file + 1, self.files);
        self.display.show(steps, &what, format!("{what}, {} to go", human_time(rest)));
    }

    /// The work rests in these directories, or goes on.
    pub fn set_paused(&self, paused: bool, dirs: &[PathBuf]) {
        self.display.set_paused(paused, dirs);
    }

    /// Ends it; the time at rest.
    pub fn finish(&self) -> Duration {
        self.display.bar.finish_and_clear();
        self.display.clock().rested(Instant::now())
    }
}

fn plots(shares: &[Share]) -> u32 {
    shares.iter().map(|share| u32::from(share.plots)).sum()
}

/// So many of `steps` as there is done of the work.
fn part(work: Work, steps: u64) -> u64 {
    let part = u128::from(work.done) * u128::from(steps) / u128::from(work.total.max(1));
    u64::try_from(part).unwrap_or(steps).min(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_no_work() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::new(start);
        clock.set_resting(true, after(2));
        assert_eq!((clock.worked(after(5)), clock.rested(after(5))), (after(2) - start, after(3) - start));
        clock.set_resting(false, after(7));
        assert_eq!((clock.worked(after(9)), clock.rested(after(9))), (after(4) - start, after(5) - start));
    }
}
