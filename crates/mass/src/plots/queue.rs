//! `mass plots queue`: plotting jobs of a cluster, queued, cancelled and looked at.

use anyhow::{Context, bail, ensure};
use clap::Args;
use mass_farmer::jobs::{Job, JobReport, JobState, Queue, Step};
use mass_primitives::GroupId;
use mass_proof_of_space::GroupIdentity;
use serde_json::{Value, json};

use super::{
    create::{new_nonce, plots_text},
    wanted::Wanted,
};
use crate::{
    bus::BusArgs,
    output::{Output, Verdict, note, table},
    runtime,
};

/// The fewest digits that name a group.
const ID_DIGITS_MIN: usize = 8;

/// What to queue, or to cancel.
#[derive(Args)]
pub struct QueueArgs {
    #[command(flatten)]
    bus: BusArgs,
    /// How many plots to queue; without it, and without a job to cancel, the queue is shown.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    plots: Option<u32>,
    #[command(flatten)]
    wanted: Wanted,
    /// Cancel the jobs of these groups, 8 digits or more of their ids, unless a plotter has them in work.
    #[arg(long, value_name = "GROUP", num_args = 1.., value_parser = parse_id, conflicts_with = "plots")]
    cancel: Vec<String>,
    /// Cancel all jobs that no plotter has in work.
    #[arg(long, conflicts_with_all = ["plots", "cancel"])]
    cancel_all: bool,
    /// Show the jobs that are done or cancelled, too.
    #[arg(long, conflicts_with_all = ["plots", "cancel", "cancel_all"])]
    all: bool,
}

/// Queues, cancels or shows jobs.
pub fn queue(args: &QueueArgs, output: Output) -> anyhow::Result<Verdict> {
    let config = args.bus.config().context("--bus URL says where the cluster's message bus is")?;
    let jobs = args.plots.map(|plots| jobs(&args.wanted, plots)).transpose()?;
    runtime::block_on(async {
        let queue = Queue::connect(&config).await?;
        if let Some(jobs) = jobs {
            return add(&queue, &jobs, output).await;
        }
        if args.cancel_all || !args.cancel.is_empty() {
            return cancel(&queue, args, output).await;
        }
        show(&queue.report().await?, args.all, output)
    })
}

/// Groups of random nonces.
fn jobs(wanted: &Wanted, plots: u32) -> anyhow::Result<Vec<Job>> {
    let (size, strength, farmer) = wanted.kind()?;
    let (mut jobs, mut left) = (Vec::new(), plots);
    while left > 0 {
        let plots = u16::try_from(left).unwrap_or(u16::MAX).min(wanted.group);
        jobs.push(Job::new(GroupIdentity { size, strength, farmer, nonce: new_nonce()? }, plots)?);
        left -= u32::from(plots);
    }
    Ok(jobs)
}

async fn add(queue: &Queue, jobs: &[Job], output: Output) -> anyhow::Result<Verdict> {
    for (number, job) in jobs.iter().enumerate() {
        queue.add(job).await.with_context(|| format!("{number} of {} jobs are queued", jobs.len()))?;
    }
    let plots: u32 = jobs.iter().map(|job| u32::from(job.plots())).sum();
    let value = json!({
        "queued": jobs.len(),
        "plots": plots,
        "groups": jobs.iter().map(|job| job.identity().group_id()).collect::<Vec<_>>(),
    });
    output.result(&value, &format!("queued {}, {} in all", jobs_text(jobs.len()), plots_text(plots)))?;
    Ok(Verdict::Good)
}

async fn cancel(queue: &Queue, args: &QueueArgs, output: Output) -> anyhow::Result<Verdict> {
    let is_named = |id: &String, group: &GroupId| group.to_string().starts_with(id.as_str());
    if !args.cancel.is_empty() {
        let reports = queue.report().await?;
        for id in &args.cancel {
            let named: Vec<&JobReport> = reports.iter().filter(|job| is_named(id, &job.group)).collect();
            match named.as_slice() {
                [] => bail!("no job has a group that starts with {id}"),
                [job] => note_if_kept(job),
                _ => bail!("{id} is the start of {} groups: name more digits", named.len()),
            }
        }
    }
    let wanted = |group: &GroupId| args.cancel_all || args.cancel.iter().any(|id| is_named(id, group));
    let cancelled = queue.cancel(wanted).await?;
    let groups: Vec<GroupId> = cancelled.iter().map(|job| job.identity().group_id()).collect();
    let is_all = args.cancel_all || groups.len() == args.cancel.len();
    let text = format!("cancelled {}", jobs_text(groups.len()));
    output.result(&json!({ "cancelled": groups }), &text)?;
    Ok(Verdict::good_if(is_all))
}

fn jobs_text(count: usize) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}

fn note_if_kept(job: &JobReport) {
    let by = job.by.as_deref().unwrap_or("nobody");
    match job.state {
        JobState::InWork => note(&format!("{} is in work by {by} and stays", job.group)),
        JobState::Done => note(&format!("{} is done by {by}", job.group)),
        JobState::Cancelled => note(&format!("{} is cancelled already", job.group)),
        JobState::Waiting | JobState::Left => {}
    }
}

/// How many jobs and plots there are in a state.
fn count(reports: &[JobReport], states: &[JobState]) -> (usize, u32) {
    let found = reports.iter().filter(|report| states.contains(&report.state));
    (found.clone().count(), found.map(|report| u32::from(report.job.plots())).sum())
}

fn show(reports: &[JobReport], all: bool, output: Output) -> anyhow::Result<Verdict> {
    let counts = [
        ("waiting", count(reports, &[JobState::Waiting, JobState::Left])),
        ("in_work", count(reports, &[JobState::InWork])),
        ("done", count(reports, &[JobState::Done])),
        ("cancelled", count(reports, &[JobState::Cancelled])),
    ];
    let is_open = |report: &JobReport| !matches!(report.state, JobState::Done | JobState::Cancelled);
    let shown: Vec<&JobReport> = reports.iter().filter(|report| all || is_open(report)).collect();
    let mut value: Value = counts
        .iter()
        .map(|(name, (jobs, plots))| ((*name).to_owned(), json!({ "jobs": jobs, "plots": plots })))
        .collect::<serde_json::Map<_, _>>()
        .into();
    value["jobs"] = shown.iter().map(|report| describe(report)).collect();
    let mut text = String::new();
    if !shown.is_empty() {
        let mut rows = vec![["group", "k", "strength", "plots", "state"].map(str::to_owned).to_vec()];
        rows.extend(shown.iter().map(|report| row(report)));
        text = table(&rows);
    }
    let parts =
        counts.map(|(name, (jobs, plots))| format!("{jobs} {} ({plots} plots)", name.replace('_', " ")));
    text.push_str(&format!("jobs: {}\n", parts.join(", ")));
    output.result(&value, &text)?;
    Ok(Verdict::Good)
}

fn describe(report: &JobReport) -> Value {
    let JobReport { group, job, state, by, staged, step } = report;
    let identity = job.identity();
    json!({
        "group": group,
        "k": identity.size.get(),
        "strength": identity.strength.get(),
        "farmer": identity.farmer,
        "plots": job.plots(),
        "state": state,
        "by": by,
        "staged": staged,
        "step": step,
    })
}

fn row(report: &JobReport) -> Vec<String> {
    let identity = report.job.identity();
    vec![
        report.group.to_string().chars().take(16).collect(),
        identity.size.to_string(),
        identity.strength.to_string(),
        report.job.plots().to_string(),
        state_text(report),
    ]
}

fn state_text(report: &JobReport) -> String {
    let JobReport { job, state, by, staged, step, .. } = report;
    let (by, plots) = (by.as_deref().unwrap_or_default(), job.plots());
    match (state, step) {
        (JobState::Waiting, _) => "waiting".to_owned(),
        (JobState::Left, _) => format!("waiting, {staged} of {plots} plots staged by {by}"),
        (JobState::InWork, Step::Plotting) => format!("{by} plots {} of {plots}", (staged + 1).min(plots)),
        (JobState::InWork, Step::Merging) => format!("{by} merges {plots} plots"),
        (JobState::InWork, Step::Checking) => format!("{by} reads {plots} plots back"),
        (JobState::Done, _) => format!("done by {by}"),
        (JobState::Cancelled, _) => "cancelled".to_owned(),
    }
}

fn parse_id(text: &str) -> anyhow::Result<String> {
    let is_id = text.len() >= ID_DIGITS_MIN && text.chars().all(|digit| digit.is_ascii_hexdigit());
    ensure!(is_id, "{ID_DIGITS_MIN} hex digits or more of a group's id were expected");
    Ok(text.to_ascii_lowercase())
}
