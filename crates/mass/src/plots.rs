//! `mass plots`: making plot files, listing them, and trying out whether they hold what they should.

mod check;
pub mod create;
mod estimate;
mod means;
mod progress;
mod queue;
mod wanted;
mod work;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mass_plot::{Listing, Plot, PlotError};
use serde_json::{Value, json};

use crate::output::{Output, Verdict, human_bytes, note, table};

/// What to do with plots.
#[derive(Subcommand)]
pub enum Command {
    /// Make plots until the number asked for is there.
    ///
    /// A file, of one plot or with --group of several, is complete when it gets its name. Ctrl-C or a crash loses at
    /// most the plot in work; the next run removes what is left of it, and goes on with its group. Ctrl-Z, or the
    /// signals STOP and CONT, let it rest and go on.
    Create(create::CreateArgs),
    /// List the plots of directories, and the files that are named like plots and are none.
    ///
    /// The exit code is 1 if a directory cannot be read.
    List(Dirs),
    /// Try out plots: ask them random challenges, find proofs and verify them.
    ///
    /// The exit code is 1 if a plot is bad or a directory cannot be read.
    Check(check::CheckArgs),
    /// Estimate what plots will cost: disk, time, memory, and reads while they are farmed.
    ///
    /// Time goes with the hashes that a plot takes, measured with a small one; a large one takes up to a half more
    /// for each, as its tables do not fit the caches. The exit code is 1 if the disk has too little space.
    Estimate(estimate::EstimateArgs),
    /// Repair plots that have lost one of their ends: a header, or the index.
    ///
    /// The exit code is 1 if a file stays bad or a directory cannot be read.
    Repair(Dirs),
    /// Queue plots for the plotters of a cluster, cancel jobs, or show how the queue fares.
    ///
    /// A job is a group of plots, and is plotted once, by whichever `mass plots work` is free. Here the farmer's
    /// public key is enough. With --cancel, the exit code is 1 if a job stays because it is in work or done.
    Queue(queue::QueueArgs),
    /// Make the plots that a cluster has queued, until Ctrl-C.
    ///
    /// A group goes into the directory with most space. Ctrl-C gives the job in work back; what is staged stays, and the
    /// next run goes on with it unless somebody else has begun it since. The job of a plotter that dies is taken over
    /// by another within a minute or so. The bus may go away and come back: plotting goes on. Who has no farmer
    /// key can plot. The exit code is 1 if --until-empty ends for lack of space.
    Work(work::WorkArgs),
}

/// The directories to look into.
#[derive(Args)]
pub struct Dirs {
    /// A directory of plots; may be given several times.
    #[arg(long = "dir", value_name = "DIR", required = true, num_args = 1..)]
    dirs: Vec<PathBuf>,
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Command::Create(args) => create::create(args, output),
        Command::List(dirs) => list(dirs, output),
        Command::Estimate(args) => estimate::estimate(args, output),
        Command::Check(args) => check::check(args, output),
        Command::Repair(dirs) => repair(dirs, output),
        Command::Queue(args) => queue::queue(args, output),
        Command::Work(args) => work::work(args, output),
    }
}

/// What several directories hold together.
#[derive(Default)]
struct Found {
    listing: Listing,
    unreadable: Vec<(PathBuf, PlotError)>,
}

fn find(dirs: &Dirs) -> Found {
    let mut found = Found::default();
    for dir in &dirs.dirs {
        match mass_plot::list(dir) {
            Ok(listing) => {
                found.listing.plots.extend(listing.plots);
                found.listing.faults.extend(listing.faults);
            }
            Err(error) => {
                note(&format!("error: {error}"));
                found.unreadable.push((dir.clone(), error));
            }
        }
    }
    found
}

fn reasons(faults: &[(PathBuf, PlotError)]) -> Value {
    faults.iter().map(|(path, reason)| json!({ "path": path, "reason": reason.to_string() })).collect()
}

fn describe(plot: &Plot) -> Value {
    let identity = plot.identity();
    json!({
        "path": plot.path(),
        "k": identity.size.get(),
        "strength": identity.strength.get(),
        "group_id": identity.group_id(),
        "farmer": identity.farmer,
        "plots": plot.count(),
        "bytes": plot.file_bytes(),
    })
}

fn row(plot: &Plot) -> Vec<String> {
    let identity = plot.identity();
    // People tell groups and farmers apart by the first digits; the JSON has all of them.
    let short = |id: String| id.chars().take(16).collect::<String>();
    vec![
        identity.size.to_string(),
        identity.strength.to_string(),
        short(identity.group_id().to_string()),
        short(identity.farmer.to_string()),
        plot.count().to_string(),
        human_bytes(plot.file_bytes()),
        plot.path().display().to_string(),
    ]
}

fn list(dirs: &Dirs, output: Output) -> anyhow::Result<Verdict> {
    let found = find(dirs);
    let Listing { plots, faults } = &found.listing;
    let bytes: u64 = plots.iter().map(Plot::file_bytes).sum();
    let count: u64 = plots.iter().map(|plot| u64::from(plot.count())).sum();
    let mut rows =
        vec![["k", "strength", "group", "farmer", "plots", "size", "file"].map(str::to_owned).to_vec()];
    rows.extend(plots.iter().map(row));
    let mut text = if plots.is_empty() { String::new() } else { table(&rows) };
    text.push_str(&format!("plots: {count} in {} files, {}\n", plots.len(), human_bytes(bytes)));
    for (path, reason) in faults {
        text.push_str(&format!("fault: {}: {reason}\n", path.display()));
    }
    let value = json!({
        "count": count,
        "files": plots.len(),
        "bytes": bytes,
        "plots": plots.iter().map(describe).collect::<Value>(),
        "faults": reasons(faults),
        "unreadable": reasons(&found.unreadable),
    });
    output.result(&value, &text)?;
    Ok(Verdict::good_if(found.unreadable.is_empty()))
}

fn repair(dirs: &Dirs, output: Output) -> anyhow::Result<Verdict> {
    let found = find(dirs);
    let (mut repaired, mut bad) = (Vec::new(), Vec::new());
    for (path, _) in &found.listing.faults {
        match mass_plot::repair(path) {
            Ok(_) => repaired.push(path.clone()),
            Err(fault) => bad.push((path.clone(), fault)),
        }
    }
    let mut text = String::new();
    for path in &repaired {
        text.push_str(&format!("repaired: {}\n", path.display()));
    }
    for (path, reason) in &bad {
        text.push_str(&format!("bad: {}: {reason}\n", path.display()));
    }
    text.push_str(&format!("plots: {} repaired, {} bad\n", repaired.len(), bad.len()));
    let value =
        json!({ "repaired": repaired, "bad": reasons(&bad), "unreadable": reasons(&found.unreadable) });
    output.result(&value, &text)?;
    Ok(Verdict::good_if(bad.is_empty() && found.unreadable.is_empty()))
}
