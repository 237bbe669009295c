//! Where a group is made, and the making.

use std::path::{Path, PathBuf};

use mass_plot::{
    BuildOptions, Estimate, Gate, GroupOptions, GroupProgress, Plot, PlotError, UnfinishedGroup,
};

use super::Job;

/// No directory has enough space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    /// Bytes that the group takes while it is made.
    pub needed: u64,
    /// Bytes free in the directory that has most.
    pub free: u64,
}

/// The directory for a group: where it is begun or complete, or else the one with the most space.
pub(super) fn choose<'a>(
    job: &Job,
    dirs: impl Iterator<Item = &'a PathBuf> + Clone,
    build: &BuildOptions,
) -> Result<PathBuf, Shortage> {
    if let Some(dir) = dirs.clone().find(|dir| is_begun(job, dir) || complete(job, dir).is_some()) {
        return Ok(dir.clone());
    }
    let identity = job.identity();
    let needed = Estimate::new(identity.size, identity.strength, job.plots(), build).space_peak_bytes;
    // A directory that does not tell has nothing.
    let free = |dir: &&PathBuf| mass_plot::free_bytes(dir).unwrap_or(0);
    match dirs.map(|dir| (free(&dir), dir)).max_by_key(|(free, _)| *free) {
        Some((free, dir)) if free >= needed => Ok(dir.clone()),
        most => Err(Shortage { needed, free: most.map_or(0, |(free, _)| free) }),
    }
}

fn is_begun(job: &Job, dir: &Path) -> bool {
    begun(job, dir).is_some()
}

fn begun(job: &Job, dir: &Path) -> Option<UnfinishedGroup> {
    let begun = mass_plot::unfinished_groups(dir).unwrap_or_default();
    begun.into_iter().find(|group| group.identity == *job.identity())
}

/// Plots of a group that are staged in a directory.
pub(super) fn staged(job: &Job, dir: &Path) -> u16 {
    begun(job, dir).map_or(0, |group| group.staged)
}

/// The file of a group, if it is complete in a directory.
pub(super) fn complete(job: &Job, dir: &Path) -> Option<PathBuf> {
    let path = dir.join(mass_plot::file_name(job.identity()));
    let plot = Plot::open(&path).ok()?;
    (plot.identity() == job.identity() && plot.count() == job.plots()).then_some(path)
}

/// Makes a group, or goes on with it; its file, which has been read back and has proven something.
pub(super) fn make(
    job: &Job,
    dir: &Path,
    build: BuildOptions,
    gate: &Gate,
    progress: &(dyn Fn(GroupProgress) + Sync),
) -> Result<PathBuf, PlotError> {
    if let Some(path) = complete(job, dir) {
        return Ok(path);
    }
    let options = GroupOptions { build, progress: Some(progress), gate: Some(gate) };
    mass_plot::create_group(dir, job.identity(), job.plots(), &options)
}
