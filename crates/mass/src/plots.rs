//! `mass plots`: making plot files, listing them, trying out whether they hold what they should, mending them, and
//! getting their space back.

mod check;
pub mod create;
mod estimate;
pub mod means;
mod pause;
mod progress;
mod queue;
mod remove;
mod repair;
mod wanted;
mod work;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mass_plot::{Listing, Plot, PlotError, UnfinishedGroup, is_paused};
use serde_json::{Value, json};

use crate::output::{Output, Verdict, human_bytes, note, table};

/// What to do with plots.
#[derive(Subcommand)]
pub enum Command {
    /// Make plots until the number asked for is there.
    ///
    /// A file, of one plot or with --group of several, is complete when it gets its name. Ctrl-C or a crash loses at
    /// most the plot in work; the next run removes what is left of it, and goes on with its group. `mass plots pause`
    /// lets it rest, from any terminal, and `mass plots resume` go on.
    Create(create::CreateArgs),
    /// Let whoever makes or repairs plots in directories rest, with the plot in work kept in memory.
    ///
    /// The processors are free within a second. A file `plotting.paused` in the directory says so, which plotters watch:
    /// anybody who may write there can pause, from any terminal, and a plotter that is started there waits too. A
    /// plotter that is killed while it rests loses at most the plot in work.
    Pause(Dirs),
    /// Let those who rest since `mass plots pause` go on.
    Resume(Dirs),
    /// List the plots of directories, the groups that are begun, and the files that are named like plots and are none.
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
    /// Repair plots: read all of every file, and make again what is damaged, in place and with the same bytes.
    ///
    /// A header that is lost comes from the other one, the index from the blocks. For damaged blocks the plots of the
    /// file are made once more, each in its turn; only what is damaged is written, so that a farm goes on with
    /// the rest. Ctrl-C or a crash loses at most the plot in work, and `mass plots pause` lets it rest. A file that
    /// lost both headers says no more whose it was, and stays bad.
    ///
    /// The exit code is 1 if a file stays bad or a directory cannot be read.
    Repair(repair::RepairArgs),
    /// Remove plots, to have their space for something else.
    ///
    /// Says what it will remove and asks, unless told --yes. Plots of a group go together; groups that are begun, and
    /// plots that are damaged but say whose they are, count too. What is no plot, a link, or in work is left alone. A farm
    /// that has a file open lets go of it at its next look, and then its space is free.
    ///
    /// The exit code is 1 if something could not be removed, and if the answer is no.
    Remove(remove::RemoveArgs),
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
        Command::Repair(args) => repair::repair_all(args, output),
        Command::Remove(args) => remove::remove_plots(args, output),
        Command::Pause(dirs) => pause::set_paused(dirs, true, output),
        Command::Resume(dirs) => pause::set_paused(dirs, false, output),
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
    let unfinished: Vec<(PathBuf, UnfinishedGroup)> = unfinished(dirs);
    for (dir, group) in &unfinished {
        text.push_str(&format!("begun: {}\n", begun_text(dir, group)));
    }
    let paused: Vec<&PathBuf> = dirs.dirs.iter().filter(|dir| is_paused(dir)).collect();
    for dir in &paused {
        text.push_str(&format!("paused: {}\n", dir.display()));
    }
    for (path, reason) in faults {
        text.push_str(&format!("fault: {}: {reason}\n", path.display()));
    }
    let value = json!({
        "count": count,
        "files": plots.len(),
        "bytes": bytes,
        "plots": plots.iter().map(describe).collect::<Value>(),
        "unfinished": unfinished.iter().map(|(dir, group)| begun_value(dir, group)).collect::<Value>(),
        "paused": paused,
        "faults": reasons(faults),
        "unreadable": reasons(&found.unreadable),
    });
    output.result(&value, &text)?;
    Ok(Verdict::good_if(found.unreadable.is_empty()))
}

/// The groups that are begun, in directories that can be read.
fn unfinished(dirs: &Dirs) -> Vec<(PathBuf, UnfinishedGroup)> {
    let in_dir = |dir: &PathBuf| {
        let groups = mass_plot::unfinished_groups(dir).unwrap_or_default();
        groups.into_iter().map(|group| (dir.clone(), group)).collect::<Vec<_>>()
    };
    dirs.dirs.iter().flat_map(in_dir).collect()
}

fn begun_text(dir: &Path, group: &UnfinishedGroup) -> String {
    let UnfinishedGroup { identity, plots, staged, in_work, .. } = group;
    let id: String = identity.group_id().to_string().chars().take(16).collect();
    let state = if *in_work { "in work" } else { "waiting" };
    format!("group {id} in {}, {staged} of {plots} plots, {state}", dir.display())
}

fn begun_value(dir: &Path, group: &UnfinishedGroup) -> Value {
    let UnfinishedGroup { identity, plots, staged, in_work, .. } = group;
    json!({
        "dir": dir,
        "group_id": identity.group_id(),
        "k": identity.size.get(),
        "strength": identity.strength.get(),
        "farmer": identity.farmer,
        "plots": plots,
        "staged": staged,
        "in_work": in_work,
    })
}

/// A number of bytes as people write it: `1500000`, `12G`, `8GiB`, all in powers of 1024.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(format!("{unit:?} is no unit: k, M, G or T")),
    };
    let number: u64 = number.parse().map_err(|_| "a number of bytes was expected".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is too much".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("17", 17), ("2k", 2048), ("12G", 12 << 30), ("8GiB", 8 << 30), ("1 TB", 1 << 40)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "12X", "-1", "1.5G", "99999999999T"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
