//! `mass plots work`: plots that a cluster has queued, made on this machine.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use clap::Args;
use mass_farmer::jobs::{self, ClaimState, Ended, PlotterConfig, PlotterEvent};
use mass_plot::GroupProgress;
use mass_primitives::GroupId;
use mass_proof_of_space::PlotSize;
use serde_json::{Value, json};

use super::{
    create::{plots_text, prepare},
    means::Means,
    progress::{Progress, Share},
};
use crate::{
    bus::BusArgs,
    harvester::machine_name,
    output::{Output, Verdict, human_bytes},
    runtime,
};

/// Where to plot.
#[derive(Args)]
pub struct WorkArgs {
    #[command(flatten)]
    bus: BusArgs,
    /// The plotter's name, which no other one of the cluster has [default: the machine's own].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A directory to put plots in; may be given several times. A group goes where most space is.
    #[arg(long = "dir", value_name = "DIR", required = true, num_args = 1..)]
    dirs: Vec<PathBuf>,
    #[command(flatten)]
    means: Means,
    /// End when no job is left, or none that there is space for, instead of waiting.
    #[arg(long)]
    until_empty: bool,
}

/// The group in work.
struct Shown {
    progress: Progress,
    share: Share,
}

/// Plots jobs until a signal.
pub fn work(args: &WorkArgs, output: Output) -> anyhow::Result<Verdict> {
    let bus = args.bus.config().context("--bus URL says where the cluster's message bus is")?;
    let build = args.means.build_options()?;
    for dir in &args.dirs {
        prepare(dir)?;
    }
    let name = args.name.clone().unwrap_or_else(machine_name);
    let (directories, max_io, until_empty) = (args.dirs.clone(), args.means.max_io(), args.until_empty);
    let config = PlotterConfig { bus, name, directories, build, max_io, until_empty };
    let shown: Arc<Mutex<Option<Shown>>> = Arc::default();
    let ended = runtime::block_on(async {
        let stop = runtime::stop_signal()?;
        let of_progress = Arc::clone(&shown);
        let progress = move |work: GroupProgress| {
            if let Some(Shown { progress, share }) = &*lock(&of_progress) {
                progress.group(&[], *share, work);
            }
        };
        let watch = |event: &PlotterEvent| hear(event, &shown, output);
        Ok(jobs::run(config, watch, Arc::new(progress), stop).await?)
    })?;
    output.line(&json!({ "event": "stopped", "why": ended }), ended_text(ended))?;
    Ok(Verdict::good_if(ended != Ended::Full))
}

fn lock(shown: &Mutex<Option<Shown>>) -> MutexGuard<'_, Option<Shown>> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows an event, and the bar of a group from its beginning to its end.
fn hear(event: &PlotterEvent, shown: &Mutex<Option<Shown>>, output: Output) {
    let mut value = serde_json::to_value(event).unwrap_or(Value::Null);
    let mut shown = lock(shown);
    match event {
        PlotterEvent::Claimed { k, plots, staged, .. } => {
            if let Ok(size) = PlotSize::new(*k) {
                let share = Share { plots: *plots, staged: *staged, is_group: true };
                *shown = Some(Shown { progress: Progress::new(&[share], size), share });
            }
        }
        PlotterEvent::Progress { .. } => {
            if let Some(pace) = shown.as_ref().and_then(|shown| shown.progress.pace()) {
                value["percent"] = json!(pace.percent);
                value["bytes_per_second"] = json!(pace.bytes_per_second);
                value["seconds_left"] = json!(pace.rest.as_secs_f64());
            }
        }
        PlotterEvent::Rests { rests, dir, .. } => {
            if let Some(Shown { progress, .. }) = &*shown {
                progress.set_paused(*rests, std::slice::from_ref(dir));
            }
        }
        PlotterEvent::Done { .. }
        | PlotterEvent::Left { .. }
        | PlotterEvent::GivenUp { .. }
        | PlotterEvent::Failed { .. } => {
            if let Some(Shown { progress, .. }) = shown.take() {
                progress.finish();
            }
        }
        _ => {}
    }
    // The bar tells people. A reader that is gone does not stop the plotter.
    if output.json || !matches!(event, PlotterEvent::Progress { .. }) {
        let _ = output.line(&value, &describe(event));
    }
}

fn short(group: &GroupId) -> String {
    group.to_string().chars().take(16).collect()
}

fn describe(event: &PlotterEvent) -> String {
    match event {
        PlotterEvent::Joined { cluster, name } => {
            format!("the bus of cluster {cluster} is there; plotting as {name}")
        }
        PlotterEvent::Lost { reason } => format!("the bus is away: {reason}"),
        PlotterEvent::Idle => "no job waits".to_owned(),
        PlotterEvent::Claimed { group, k, plots, staged, dir, taken_over_from } => {
            let group = short(group);
            let begun = if *staged > 0 { format!(", {staged} of which are there") } else { String::new() };
            let from =
                taken_over_from.as_ref().map(|by| format!(", taken over from {by}")).unwrap_or_default();
            let plots = plots_text((*plots).into());
            format!("group {group}: {plots} of k={k}{begun}, in {}{from}", dir.display())
        }
        PlotterEvent::Progress { group, staged, plots, .. } => {
            format!("group {}: {staged} of {plots} plots", short(group))
        }
        PlotterEvent::Rests { group, rests: true, .. } => format!("group {}: paused", short(group)),
        PlotterEvent::Rests { group, .. } => format!("group {}: resumed", short(group)),
        PlotterEvent::Done { group, path, bytes, .. } => {
            format!("group {}: done, {} in {}", short(group), human_bytes(*bytes), path.display())
        }
        PlotterEvent::Passed { group, by, state } => {
            let what = match state {
                ClaimState::Done => format!("done by {by} already"),
                ClaimState::Cancelled => "cancelled".to_owned(),
                ClaimState::Claimed | ClaimState::Left => format!("{by} is at work on it"),
            };
            format!("group {}: passed over, {what}", short(group))
        }
        PlotterEvent::Left { group, reason } => format!("group {}: given back: {reason}", short(group)),
        PlotterEvent::GivenUp { group, by } => {
            format!("group {}: given up and removed, {by} has it", short(group))
        }
        PlotterEvent::Removed { group, dir } => {
            format!(
                "group {}: what was begun in {} is removed, it is not ours any more",
                short(group),
                dir.display()
            )
        }
        PlotterEvent::Full { group, needed, free } => format!(
            "no directory has space: group {} needs {}, the most that is free is {}",
            short(group),
            human_bytes(*needed),
            human_bytes(*free)
        ),
        PlotterEvent::Failed { group, dir, reason } => {
            format!("group {}: failed in {}: {reason}", short(group), dir.display())
        }
        PlotterEvent::Refused { reason } => format!("what the queue had is no job: {reason}"),
    }
}

const fn ended_text(ended: Ended) -> &'static str {
    match ended {
        Ended::Stopped => "stopped",
        Ended::Empty => "stopped: no job is left",
        Ended::Full => "stopped: no directory has space for the next job",
    }
}
