//! How far a batch of plots is: a bar where a person watches, lines where none does.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use mass_plot::{GroupProgress, GroupStep, Progress as Work};
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

/// The progress of a batch.
pub struct Progress {
    bar: ProgressBar,
    plots: u32,
    nominal_bytes: u64,
    start: Instant,
    /// Steps that were done before.
    skipped: u64,
    last_line: Mutex<(Instant, String)>,
}

impl Progress {
    pub fn new(shares: &[Share], size: PlotSize) -> Self {
        let bar = ProgressBar::new(shares.iter().map(|share| share.steps()).sum());
        if let Ok(style) = ProgressStyle::with_template("[{elapsed_precise}] {wide_bar} {percent}% {msg}") {
            bar.set_style(style);
        }
        bar.set_message(format!("plots of k={size}"));
        bar.enable_steady_tick(Duration::from_millis(500));
        let start = Instant::now();
        Self {
            bar,
            plots: shares.iter().map(|share| u32::from(share.plots)).sum(),
            nominal_bytes: size.nominal_bytes(),
            start,
            skipped: shares.iter().map(|share| u64::from(share.staged) * PLOT_STEPS).sum(),
            last_line: Mutex::new((start, String::new())),
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

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self, steps: u64, what: &str) {
        if steps <= self.bar.position() {
            return;
        }
        self.bar.set_position(steps);
        let Some(Pace { percent, bytes_per_second, rest }) = self.pace() else { return };
        let text = format!("{what}: {}/s, {} to go", human_bytes(bytes_per_second), human_time(rest));
        if self.bar.is_hidden()
            && let Ok(mut last) = self.last_line.lock()
            && (last.1 != what || last.0.elapsed() >= LINE_INTERVAL)
        {
            // Nothing is known of the rate when the first begins.
            if !last.1.is_empty() {
                note(&format!("{text} ({percent} %)"));
            }
            *last = (Instant::now(), what.to_owned());
        }
        self.bar.set_message(text);
    }

    /// Rate and rest by all work so far, a plot differs little from the next; nothing before the first.
    pub fn pace(&self) -> Option<Pace> {
        let steps = self.bar.position();
        let (elapsed, all) = (self.start.elapsed(), self.bar.length().unwrap_or(steps).max(1));
        let here = steps.checked_sub(self.skipped).filter(|here| *here > 0)?;
        let bytes = self.nominal_bytes as f64 * f64::from(self.plots) * here as f64 / all as f64;
        Some(Pace {
            percent: 100 * steps / all,
            bytes_per_second: (bytes / elapsed.as_secs_f64().max(f64::EPSILON)) as u64,
            rest: elapsed.mul_f64(all.saturating_sub(steps) as f64 / here as f64),
        })
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
