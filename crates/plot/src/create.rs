//! Making a plot: written under another name, checked, made durable, and only then named a plot.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
};

use mass_primitives::{Challenge, PlotIndex};
use mass_proof_of_space::{GroupIdentity, verify};

use crate::{
    build::{BuildOptions, Progress, build},
    directory::{NAME_PREFIX, PLOT_SUFFIX, UNFINISHED_SUFFIX, claim_for_work, name_anew, sync_dir},
    error::PlotError,
    format::Kind,
    gate::Gate,
    plot::{Plot, params_of},
    solve::SolveOptions,
    space::{self, space_needed},
    write::PlotWriter,
};

/// Challenges that a fresh plot gets to show that it can prove something. It answers each with a chain or
/// more with odds of about one half.
const TRIAL_CHALLENGES: u8 = 64;

/// The name of the plot file of a group, `plot-k<k>-<first 16 hex digits of the group id>.plot`.
#[must_use]
pub fn file_name(identity: &GroupIdentity) -> String {
    format!("{}{PLOT_SUFFIX}", stem(identity))
}

/// The means to make a plot with.
#[derive(Clone, Copy, Default)]
pub struct CreateOptions<'a> {
    /// Threads, memory and instructions.
    pub build: BuildOptions,
    /// Told of the work done, often and by any thread.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// What pauses, cancels and limits the work, at once; without it, nothing does.
    pub gate: Option<&'a Gate>,
}

/// Makes the plot of a group in `dir`, and returns its file. All cores are busy meanwhile.
///
/// # Errors
/// As [`create_with`].
pub fn create(dir: &Path, identity: &GroupIdentity) -> Result<PathBuf, PlotError> {
    create_with(dir, identity, &CreateOptions::default())
}

/// Makes the plot of a group in `dir` with chosen means, and returns its file.
///
/// Killed half-way, it leaves an unfinished file, which the next attempt reuses and
/// [`clean_orphans`](crate::clean_orphans) removes.
///
/// # Errors
/// [`PlotError::Exists`], [`PlotError::Busy`], [`PlotError::NoSpace`], [`PlotError::Memory`], [`PlotError::Cancelled`];
/// others if making or checking fails.
pub fn create_with(
    dir: &Path,
    identity: &GroupIdentity,
    options: &CreateOptions<'_>,
) -> Result<PathBuf, PlotError> {
    let finished = dir.join(file_name(identity));
    let unfinished = dir.join(format!("{}{UNFINISHED_SUFFIX}", stem(identity)));
    space::check(dir, space_needed(identity.size))?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&unfinished)
        .map_err(PlotError::io(&unfinished))?;
    if !claim_for_work(&file, &unfinished)? {
        return Err(PlotError::Busy(unfinished));
    }
    // The lock keeps every other maker of this plot away, so what is not there now will not be.
    let made = if finished.exists() {
        Err(PlotError::Exists(finished.clone()))
    } else {
        make(&file, &unfinished, &finished, identity, options)
    };
    if made.is_err() {
        // The error that led here matters more than one of tidying up.
        let _ = fs::remove_file(&unfinished);
    }
    made?;
    sync_dir(dir)?;
    Ok(finished)
}

fn make(
    file: &File,
    unfinished: &Path,
    finished: &Path,
    identity: &GroupIdentity,
    options: &CreateOptions<'_>,
) -> Result<(), PlotError> {
    file.set_len(0).map_err(PlotError::io(unfinished))?;
    space::reserve(file, unfinished, 0, space_needed(identity.size))?;
    let params = params_of(identity, PlotIndex::ZERO);
    let open = Gate::default();
    let gate = options.gate.unwrap_or(&open);
    let progress = |progress: Progress| options.progress.iter().for_each(|watch| watch(progress));
    let mut writer = PlotWriter::new(file, unfinished, identity, Kind::Plots, gate);
    build(&params, &options.build, &progress, gate, &mut |fragments| writer.push(fragments))?;
    writer.finish()?;
    space::settle(file, unfinished)?;
    let plot = Plot::open(unfinished)?;
    plot.check_all(gate.meter())?;
    try_out(&plot, identity, &SolveOptions { threads: Some(options.build.threads), gate: Some(gate) })?;
    name_anew(unfinished, finished)
}

/// Lets the fresh plots of a file answer challenges until one proof has been found and verified.
pub(crate) fn try_out(
    plot: &Plot,
    identity: &GroupIdentity,
    options: &SolveOptions<'_>,
) -> Result<(), PlotError> {
    if plot.identity() != identity {
        return Err(PlotError::Unproven("it carries another identity"));
    }
    for trial in 0..TRIAL_CHALLENGES {
        let mut bytes = identity.group_id().get();
        bytes[0] ^= trial;
        let challenge = Challenge::new(bytes);
        if let Some((index, chain)) = plot.group_qualities(&challenge)?.last() {
            let proof = plot.solve_of(*index, chain, options)?;
            return match verify(&params_of(identity, *index), &challenge, &proof) {
                Ok(found) if found == *chain => Ok(()),
                Ok(_) => Err(PlotError::Unproven("its proof is of another quality chain")),
                Err(_) => Err(PlotError::Unproven("its proof is invalid")),
            };
        }
    }
    Err(PlotError::Unproven("it answers no challenge"))
}

pub(crate) fn stem(identity: &GroupIdentity) -> String {
    let group_id = identity.group_id().to_string();
    format!("{NAME_PREFIX}k{}-{}", identity.size, &group_id[..16])
}
