//! `mass plots repair`: files are read, and what is damaged of them is made again.

use std::path::PathBuf;

use clap::Args;
use mass_plot::{BuildOptions, Gate, PlotError, RepairOptions, Repaired, plot_files, repair};
use serde_json::{Value, json};

use super::{
    Dirs,
    means::{Means, pausable},
    progress::Repairs,
    reasons,
};
use crate::output::{Output, Verdict, note};

/// Which plots to repair, and with what.
#[derive(Args)]
pub struct RepairArgs {
    #[command(flatten)]
    dirs: Dirs,
    #[command(flatten)]
    means: Means,
}

/// What became of the files.
#[derive(Default)]
struct Outcome {
    sound: usize,
    repaired: Vec<(PathBuf, Repaired)>,
    bad: Vec<(PathBuf, PlotError)>,
}

/// Repairs all files.
pub fn repair_all(args: &RepairArgs, output: Output) -> anyhow::Result<Verdict> {
    let (build, gate) = (args.means.build_options()?, args.means.gate()?);
    let (mut files, mut unreadable) = (Vec::new(), Vec::new());
    for dir in &args.dirs.dirs {
        match plot_files(dir) {
            Ok(found) => files.extend(found),
            Err(error) => {
                note(&format!("error: {error}"));
                unreadable.push((dir.clone(), error));
            }
        }
    }
    let (dirs, progress) = (&args.dirs.dirs, Repairs::new(files.len()));
    let tell = |paused| progress.set_paused(paused, dirs);
    let outcome = pausable(dirs, &gate, tell, || work(files, build, &gate, &progress));
    let rested = progress.finish();
    let Outcome { sound, repaired, bad } = outcome?;
    let mut text = String::new();
    for (path, repaired) in &repaired {
        text.push_str(&format!("repaired: {}: {}\n", path.display(), describe(repaired)));
    }
    for (path, reason) in &bad {
        text.push_str(&format!("bad: {}: {reason}\n", path.display()));
    }
    text.push_str(&format!("files: {sound} sound, {} repaired, {} bad\n", repaired.len(), bad.len()));
    let value = json!({
        "sound": sound,
        "repaired": repaired.iter().map(value).collect::<Value>(),
        "bad": reasons(&bad),
        "unreadable": reasons(&unreadable),
        "paused_seconds": rested.as_secs_f64(),
    });
    output.result(&value, &text)?;
    Ok(Verdict::good_if(bad.is_empty() && unreadable.is_empty()))
}

fn work(
    files: Vec<PathBuf>,
    build: BuildOptions,
    gate: &Gate,
    progress: &Repairs,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for (number, path) in files.into_iter().enumerate() {
        let watch = |work| progress.show(number, work);
        match repair(&path, &RepairOptions { build, progress: Some(&watch), gate: Some(gate) }) {
            Ok(repaired) if repaired.was_sound() => outcome.sound += 1,
            Ok(repaired) => outcome.repaired.push((path, repaired)),
            Err(PlotError::Cancelled) => {
                anyhow::bail!("cancelled; the next run goes on with {}", path.display())
            }
            Err(fault) => outcome.bad.push((path, fault)),
        }
    }
    Ok(outcome)
}

fn describe(repaired: &Repaired) -> String {
    let Repaired { ends, blocks, blocks_total } = repaired;
    match (ends, blocks) {
        (true, 0) => "header, index or length".to_owned(),
        (true, _) => format!("header, index or length, and {blocks} of {blocks_total} blocks"),
        (false, _) => format!("{blocks} of {blocks_total} blocks"),
    }
}

fn value((path, repaired): &(PathBuf, Repaired)) -> Value {
    let Repaired { ends, blocks, blocks_total } = repaired;
    json!({ "path": path, "ends": ends, "blocks": blocks, "blocks_total": blocks_total })
}
