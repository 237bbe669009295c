//! Making a group: its plots one after the other, each staged durably, then merged into one file.
//!
//! While it is made a group is, beside the plots of the directory:
//!
//! - `plot-k<k>-<group>.group.tmp`, which says whose group it is and of how many plots, is locked by whoever makes it,
//!   and becomes the file of the group;
//! - `plot-k<k>-<group>.group.parts/`, with a file for each plot: `<index>.part` when it is complete, `<index>.part.tmp`
//!   before.
//!
//! Killed at any time it goes on with the plot that was in work, or with the merge. What is staged is checked again
//! when it is merged, and made again if it is damaged: a plot follows from its group and index alone.

pub(crate) mod merge;
mod staging;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use mass_proof_of_space::{GroupIdentity, PlotSize};

use self::{merge::MergeError, staging::Staging};
use crate::{
    build::{BuildOptions, Progress},
    create::{file_name, stem, try_out},
    directory::{GROUP_SUFFIX, claim, claim_for_work, files, name_anew, sync_dir},
    error::{FileEnd, PlotError},
    format::{GROUP_PLOTS_MAX, HEADER_LEN, Header, Kind, Layout},
    gate::Gate,
    plot::Plot,
    repair::scan,
    solve::SolveOptions,
    space,
};

/// The means to make a group with.
#[derive(Clone, Copy, Default)]
pub struct GroupOptions<'a> {
    /// Threads, memory and instructions.
    pub build: BuildOptions,
    /// Told of the work done, often and by any thread.
    pub progress: Option<&'a (dyn Fn(GroupProgress) + Sync)>,
    /// What pauses, cancels and limits the work, at once; what is staged stays.
    pub gate: Option<&'a Gate>,
}

/// How far a group is.
#[derive(Clone, Copy, Debug)]
pub struct GroupProgress {
    /// What is being done.
    pub step: GroupStep,
    /// How much of it.
    pub work: Progress,
}

/// What is done for a group, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupStep {
    /// One of its plots is made, after so many others.
    Plot(u16),
    /// The plots are merged.
    Merge,
    /// The file is read back.
    Check,
}

/// A group that somebody began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfinishedGroup {
    /// Whose it is.
    pub identity: GroupIdentity,
    /// Plots that it is to have.
    pub plots: u16,
    /// Plots that are staged.
    pub staged: u16,
    /// Bytes of disk that going on with it takes.
    pub bytes_missing: u64,
    /// Whether somebody is making it.
    pub in_work: bool,
}

/// The groups of `dir` that are begun, by file name.
///
/// # Errors
/// [`PlotError::Io`] if the directory cannot be read.
pub fn unfinished_groups(dir: &Path) -> Result<Vec<UnfinishedGroup>, PlotError> {
    let mut found = Vec::new();
    for path in files(dir, |name| name.ends_with(GROUP_SUFFIX))? {
        // It may have been finished since.
        let Ok(file) = File::open(&path) else { continue };
        let in_work = !claim(&file, &path)?;
        if let Ok(Header { identity, layout, .. }) = read_begun(&file, &path) {
            let staging = Staging::new(dir, &identity, layout.plots);
            let merge = merge::space_needed(identity.size).saturating_sub(taken(&file, &path)?);
            let bytes_missing = staging.bytes_missing() + merge;
            let (plots, staged) = (layout.plots, staging.staged_count());
            found.push(UnfinishedGroup { identity, plots, staged, bytes_missing, in_work });
        }
    }
    Ok(found)
}

/// Removes a group of `dir` that is begun and in nobody's hands; `false` if there is none.
///
/// # Errors
/// [`PlotError::Io`], [`PlotError::Busy`] if somebody is making it.
pub fn discard_group(dir: &Path, identity: &GroupIdentity) -> Result<bool, PlotError> {
    let path = dir.join(format!("{}{GROUP_SUFFIX}", stem(identity)));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(PlotError::io(&path)(error)),
    };
    if !claim(&file, &path)? {
        return Err(PlotError::Busy(path));
    }
    fs::remove_file(&path).map_err(PlotError::io(&path))?;
    Staging::new(dir, identity, 0).remove()?;
    sync_dir(dir)?;
    Ok(true)
}

/// Makes a group of so many plots in `dir`, or goes on with it, and returns its file. All cores are busy meanwhile.
///
/// # Errors
/// As [`create_with`](crate::create_with), and [`PlotError::GroupSize`], [`PlotError::OtherGroupSize`],
/// [`PlotError::Staged`].
pub fn create_group(
    dir: &Path,
    identity: &GroupIdentity,
    plots: u16,
    options: &GroupOptions<'_>,
) -> Result<PathBuf, PlotError> {
    if !(1..=GROUP_PLOTS_MAX).contains(&plots) {
        return Err(PlotError::GroupSize { got: plots });
    }
    let path = dir.join(format!("{}{GROUP_SUFFIX}", stem(identity)));
    let mut open = OpenOptions::new();
    let file = open.read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(PlotError::io(&path))?;
    if !claim_for_work(&file, &path)? {
        return Err(PlotError::Busy(path));
    }
    let open = Gate::default();
    let work = Work {
        file: &file,
        path: &path,
        finished: dir.join(file_name(identity)),
        identity,
        staging: Staging::new(dir, identity, plots),
        options,
        gate: options.gate.unwrap_or(&open),
    };
    work.begin(dir, plots)?;
    work.make()?;
    sync_dir(dir)?;
    work.staging.remove()?;
    Ok(work.finished)
}

/// Bytes of disk that a file takes.
fn taken(file: &File, path: &Path) -> Result<u64, PlotError> {
    Ok(512 * file.metadata().map_err(PlotError::io(path))?.blocks())
}

/// The header of the file of a group that is being made.
pub(crate) fn read_begun(file: &File, path: &Path) -> Result<Header, PlotError> {
    let mut bytes = [0; HEADER_LEN];
    file.read_exact_at(&mut bytes, 0).map_err(PlotError::io(path))?;
    // The merge ends with the header of a finished file.
    match Header::read_any(&bytes, FileEnd::Front)? {
        Header { kind: Kind::Staged(_), .. } => Err(PlotError::Header(FileEnd::Front)),
        header => Ok(header),
    }
}

/// Bytes of disk that making a group takes at the peak.
pub(crate) const fn space_peak(size: PlotSize, plots: u16) -> u64 {
    plots as u64 * space::space_needed(size) + merge::space_needed(size)
}

/// A group in work.
struct Work<'a> {
    file: &'a File,
    path: &'a Path,
    finished: PathBuf,
    identity: &'a GroupIdentity,
    staging: Staging,
    options: &'a GroupOptions<'a>,
    gate: &'a Gate,
}

impl Work<'_> {
    /// Finds out what there is, or begins.
    fn begin(&self, dir: &Path, plots: u16) -> Result<(), PlotError> {
        if self.finished.exists() {
            self.abandon();
            return Err(PlotError::Exists(self.finished.clone()));
        }
        match read_begun(self.file, self.path) {
            Ok(header) if header.identity != *self.identity => Err(PlotError::Header(FileEnd::Front)),
            Ok(header) if header.layout.plots != plots => {
                Err(PlotError::OtherGroupSize { begun: header.layout.plots, got: plots })
            }
            Ok(_) => self.reserve(),
            Err(_) => {
                // Nothing is staged before this is durable.
                let header = Header::begun(self.identity, plots).to_bytes();
                self.file.write_all_at(&header, 0).map_err(PlotError::io(self.path))?;
                self.file.sync_all().map_err(PlotError::io(self.path))?;
                sync_dir(dir)?;
                self.reserve().inspect_err(|_| self.abandon())
            }
        }
    }

    /// Takes the space of all that is to come, so that a disk that is too full is found before the work.
    fn reserve(&self) -> Result<(), PlotError> {
        let taken = taken(self.file, self.path)?;
        let merge = merge::space_needed(self.identity.size);
        self.staging.reserve(merge.saturating_sub(taken))?;
        space::reserve(self.file, self.path, HEADER_LEN as u64, merge)
    }

    /// Removes what there is; the error that led here matters more than one of tidying up.
    fn abandon(&self) {
        let _ = fs::remove_file(self.path);
        let _ = self.staging.remove();
    }

    fn make(&self) -> Result<(), PlotError> {
        let mut made_again = Vec::new();
        loop {
            self.stage()?;
            match self.merge() {
                Ok(()) => break,
                Err(MergeError::Plot(error)) => return Err(error),
                Err(MergeError::Staged(damaged)) => {
                    if let Some(path) = damaged.iter().find(|path| made_again.contains(*path)) {
                        return Err(PlotError::Staged(path.clone()));
                    }
                    for path in &damaged {
                        fs::remove_file(path).map_err(PlotError::io(path))?;
                    }
                    made_again.extend(damaged);
                }
            }
        }
        space::settle(self.file, self.path)?;
        self.check()?;
        name_anew(self.path, &self.finished)
    }

    fn stage(&self) -> Result<(), PlotError> {
        let outcome = self.staging.missing().try_for_each(|index| {
            let done = self.staging.staged_count();
            self.staging.make(index, self.identity, &self.options.build, self.gate, &|work| {
                self.tell(GroupStep::Plot(done), work);
            })
        });
        if outcome.is_err() {
            self.staging.give_up_reserve();
        }
        outcome
    }

    fn merge(&self) -> Result<(), MergeError> {
        let layout = Layout::new(self.identity.size, self.staging.plots());
        let end = self.file.metadata().map_err(PlotError::io(self.path))?.len();
        let written = scan(self.file, self.path, &self.identity.group_id(), &layout, end, self.gate)?;
        let staged = self.staging.paths();
        merge::merge(self.file, self.path, self.identity, &staged, written, self.gate, |work| {
            self.tell(GroupStep::Merge, work);
        })
    }

    /// Reads the file back, and lets it prove something.
    fn check(&self) -> Result<(), PlotError> {
        let plot = Plot::open(self.path)?;
        let (total, mut goes_on) = (plot.file_bytes(), self.gate.meter());
        plot.check_all(|done| {
            self.tell(GroupStep::Check, Progress { done, total });
            goes_on(done)
        })?;
        let threads = Some(self.options.build.threads);
        try_out(&plot, self.identity, &SolveOptions { threads, gate: Some(self.gate) })
    }

    fn tell(&self, step: GroupStep, work: Progress) {
        self.options.progress.iter().for_each(|watch| watch(GroupProgress { step, work }));
    }
}
