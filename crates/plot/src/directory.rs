//! The plots of a directory, and what killed plotters left there.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{error::PlotError, plot::Plot};

/// The end of the name of a plot file.
pub(crate) const PLOT_SUFFIX: &str = ".plot";
/// The end of the name of a plot file that is being written.
pub(crate) const UNFINISHED_SUFFIX: &str = ".plot.tmp";
/// The start of the name of a plot file.
pub(crate) const NAME_PREFIX: &str = "plot-";

/// What a directory holds.
#[derive(Debug, Default)]
pub struct Listing {
    /// The plots, by file name.
    pub plots: Vec<Plot>,
    /// The files that are named like plots and are none, and why.
    pub faults: Vec<(PathBuf, PlotError)>,
}

/// Opens every file of `dir` whose name ends in `.plot`.
///
/// # Errors
/// [`PlotError::Io`] if the directory cannot be read. What is wrong with a file is in the listing.
pub fn list(dir: &Path) -> Result<Listing, PlotError> {
    let mut listing = Listing::default();
    for path in plot_files(dir)? {
        match Plot::open(&path) {
            Ok(plot) => listing.plots.push(plot),
            Err(fault) => listing.faults.push((path, fault)),
        }
    }
    Ok(listing)
}

/// The files of `dir` whose name ends in `.plot`, none of them opened.
///
/// # Errors
/// [`PlotError::Io`] if the directory cannot be read.
pub fn plot_files(dir: &Path) -> Result<Vec<PathBuf>, PlotError> {
    files(dir, |name| name.ends_with(PLOT_SUFFIX))
}

/// Removes the unfinished plots of `dir` that nobody is writing any more, and names them.
///
/// # Errors
/// [`PlotError::Io`] if the directory cannot be read, or a file not be removed.
pub fn clean_orphans(dir: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let is_unfinished = |name: &str| name.starts_with(NAME_PREFIX) && name.ends_with(UNFINISHED_SUFFIX);
    let mut removed = Vec::new();
    for path in files(dir, is_unfinished)? {
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(PlotError::io(&path)(error)),
        };
        if claim(&file, &path)? {
            fs::remove_file(&path).map_err(PlotError::io(&path))?;
            removed.push(path);
        }
    }
    Ok(removed)
}

/// Locks an unfinished plot for as long as `file` lives; `false` if it is somebody else's, or no longer at
/// `path`.
pub(crate) fn claim(file: &File, path: &Path) -> Result<bool, PlotError> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(PlotError::io(path)(error)),
    }
    let locked = file.metadata().map_err(PlotError::io(path))?;
    Ok(fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (locked.dev(), locked.ino())))
}

fn files(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, PlotError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(PlotError::io(dir))? {
        let path = entry.map_err(PlotError::io(dir))?.path();
        let is_wanted = path.file_name().is_some_and(|name| wanted(&name.to_string_lossy()));
        if is_wanted && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
