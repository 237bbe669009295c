//! `mass plots remove`: space for something else.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::Args;
use mass_plot::{PlotError, Removable, Removables, removables, remove};
use mass_primitives::{FarmerPublicKey, PlotIndex};
use mass_proof_of_space::plot_id;
use serde_json::{Value, json};

use super::{Dirs, reasons};
use crate::output::{Output, Verdict, human_bytes, note};

/// The fewest digits that name plots.
const ID_DIGITS_MIN: usize = 8;

/// Which plots to remove.
#[derive(Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    dirs: Dirs,
    /// The id of a group, or of the plot of a file that has one alone, in hex: 8 digits or more of its start.
    #[arg(long = "id", value_name = "ID", num_args = 1.., value_parser = parse_id)]
    ids: Vec<String>,
    /// All plots of the directories.
    #[arg(long, conflicts_with = "ids", required_unless_present = "ids")]
    all: bool,
    /// Those of this farmer alone.
    #[arg(long, value_name = "HEX")]
    farmer_key: Option<FarmerPublicKey>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Removes plots, once that is confirmed.
pub fn remove_plots(args: &RemoveArgs, output: Output) -> anyhow::Result<Verdict> {
    let (mut found, mut unreadable) = (Removables::default(), Vec::new());
    for dir in &args.dirs.dirs {
        match removables(dir) {
            Ok(Removables { plots, others }) => {
                found.plots.extend(plots);
                found.others.extend(others);
            }
            Err(error) => {
                note(&format!("error: {error}"));
                unreadable.push((dir.clone(), error));
            }
        }
    }
    let chosen = choose(found.plots, args)?;
    let left = if args.all { found.others } else { Vec::new() };
    for (path, reason) in &left {
        note(&format!("left alone: {}: {reason}", path.display()));
    }
    if !args.yes && !chosen.is_empty() && !confirmed(&chosen)? {
        bail!("nothing was removed");
    }
    let before = free(&args.dirs);
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    for plots in chosen {
        match remove(&plots) {
            Ok(()) => removed.push(plots),
            Err(error) => failed.push((plots.path, error)),
        }
    }
    report(args, output, &Outcome { removed, failed, left, unreadable, before })
}

/// What became of it.
struct Outcome {
    removed: Vec<Removable>,
    failed: Vec<(PathBuf, PlotError)>,
    left: Vec<(PathBuf, PlotError)>,
    unreadable: Vec<(PathBuf, PlotError)>,
    /// Free bytes of each directory, if it told.
    before: Vec<Option<u64>>,
}

fn report(args: &RemoveArgs, output: Output, outcome: &Outcome) -> anyhow::Result<Verdict> {
    let Outcome { removed, failed, left, unreadable, before } = outcome;
    let bytes: u64 = removed.iter().map(|plots| plots.bytes).sum();
    let mut text: String = removed.iter().map(|plots| format!("removed: {}\n", describe(plots))).collect();
    for (path, reason) in failed {
        text.push_str(&format!("failed: {}: {reason}\n", path.display()));
    }
    text.push_str(&format!("files: {} removed, {}\n", removed.len(), human_bytes(bytes)));
    let after = free(&args.dirs);
    let spaces = args.dirs.dirs.iter().zip(before.iter().zip(&after));
    for (dir, (before, after)) in spaces.clone() {
        if let (Some(before), Some(after)) = (before, after) {
            let (dir, before, after) = (dir.display(), human_bytes(*before), human_bytes(*after));
            text.push_str(&format!("free: {after} in {dir}, {before} before\n"));
        }
    }
    let value = json!({
        "removed": removed.iter().map(value).collect::<Value>(),
        "bytes": bytes,
        "failed": reasons(failed),
        "left": reasons(left),
        "unreadable": reasons(unreadable),
        "free": spaces
            .map(|(dir, (before, after))| json!({ "dir": dir, "bytes_before": before, "bytes": after }))
            .collect::<Value>(),
    });
    output.result(&value, &text)?;
    Ok(Verdict::good_if(failed.is_empty() && unreadable.is_empty()))
}

/// Those that are meant.
fn choose(plots: Vec<Removable>, args: &RemoveArgs) -> anyhow::Result<Vec<Removable>> {
    let is_of = |plots: &Removable| args.farmer_key.is_none_or(|farmer| plots.identity.farmer == farmer);
    let plots: Vec<Removable> = plots.into_iter().filter(is_of).collect();
    for id in &args.ids {
        let mut named = plots.iter().filter(|plots| is_named(plots, id));
        let Some(first) = named.next() else {
            if let Some(group) = plots.iter().find(|plots| has_plot(plots, id)) {
                bail!(
                    "{id} is one of {} plots in {}, which go together: name group {}",
                    group.plots,
                    group.path.display(),
                    group.identity.group_id()
                );
            }
            bail!("no plot here has an id that starts with {id}");
        };
        if let Some(other) = named.find(|plots| plots.identity != first.identity) {
            let (first, other) = (first.identity.group_id(), other.identity.group_id());
            bail!("{id} is the start of {first} and of {other}: name more digits");
        }
    }
    let is_meant = |plots: &Removable| args.all || args.ids.iter().any(|id| is_named(plots, id));
    Ok(plots.into_iter().filter(is_meant).collect())
}

fn is_named(plots: &Removable, id: &str) -> bool {
    plots.identity.group_id().to_string().starts_with(id) || (plots.plots == 1 && has_plot(plots, id))
}

fn has_plot(plots: &Removable, id: &str) -> bool {
    let group = plots.identity.group_id();
    (0..plots.plots).any(|index| plot_id(&group, PlotIndex::new(index)).to_string().starts_with(id))
}

fn parse_id(text: &str) -> Result<String, String> {
    let is_id = text.len() >= ID_DIGITS_MIN && text.chars().all(|digit| digit.is_ascii_hexdigit());
    if is_id { Ok(text.to_ascii_lowercase()) } else { Err("8 hex digits or more were expected".to_owned()) }
}

/// Asks; only a yes is one.
fn confirmed(chosen: &[Removable]) -> anyhow::Result<bool> {
    for plots in chosen {
        note(&format!("to remove: {}", describe(plots)));
    }
    let bytes = chosen.iter().map(|plots| plots.bytes).sum();
    let mut err = io::stderr().lock();
    write!(err, "Remove these {} files, {}, for good? [y/N] ", chosen.len(), human_bytes(bytes))
        .and_then(|()| err.flush())
        .context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("the answer cannot be read")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn free(dirs: &Dirs) -> Vec<Option<u64>> {
    dirs.dirs.iter().map(|dir| mass_plot::free_bytes(dir).ok()).collect()
}

fn describe(plots: &Removable) -> String {
    let Removable { path, identity, plots: count, bytes, is_begun } = plots;
    let plots = if *count == 1 { "1 plot".to_owned() } else { format!("{count} plots") };
    let begun = if *is_begun { ", begun" } else { "" };
    let (size, farmer) = (identity.size, identity.farmer);
    format!("{}: {plots} of k={size}{begun}, {}, farmer {farmer}", path.display(), human_bytes(*bytes))
}

fn value(plots: &Removable) -> Value {
    json!({
        "path": plots.path,
        "group_id": plots.identity.group_id(),
        "farmer": plots.identity.farmer,
        "plots": plots.plots,
        "bytes": plots.bytes,
        "begun": plots.is_begun,
    })
}
