//! The plots of a directory, and what killed plotters left there.

use std::{
    fs::{self, DirEntry, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{error::PlotError, group::read_begun, plot::Plot};

/// The end of the name of a plot file.
pub(crate) const PLOT_SUFFIX: &str = ".plot";
/// The end of the name of a plot file that is being written.
pub(crate) const UNFINISHED_SUFFIX: &str = ".plot.tmp";
/// The end of the name of the file of a group that is being made.
pub(crate) const GROUP_SUFFIX: &str = ".group.tmp";
/// The end of the name of the directory where the plots of that group are staged.
pub(crate) const PARTS_SUFFIX: &str = ".group.parts";
/// What the name of a plot file gets for the directory where plots are made again to repair it.
pub(crate) const REPAIR_SUFFIX: &str = ".repair";
/// The start of the name of a plot file.
pub(crate) const NAME_PREFIX: &str = "plot-";

/// How often, and after what time each, a file is claimed that somebody has.
const CLAIM_TRIES: u32 = 10;
const CLAIM_PAUSE: Duration = Duration::from_millis(20);

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

/// Removes the unfinished plots of `dir` that nobody is writing any more, and names them. Groups that are begun stay,
/// to be gone on with: see [`unfinished_groups`](crate::unfinished_groups).
///
/// # Errors
/// [`PlotError::Io`] if the directory cannot be read, or a file not be removed.
pub fn clean_orphans(dir: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let is_unfinished = |name: &str| {
        name.starts_with(NAME_PREFIX) && (name.ends_with(UNFINISHED_SUFFIX) || name.ends_with(GROUP_SUFFIX))
    };
    let mut removed = Vec::new();
    for path in files(dir, is_unfinished)? {
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(PlotError::io(&path)(error)),
        };
        let is_begun = path.to_string_lossy().ends_with(GROUP_SUFFIX) && read_begun(&file, &path).is_ok();
        if !is_begun && claim(&file, &path)? {
            fs::remove_file(&path).map_err(PlotError::io(&path))?;
            removed.push(path);
        }
    }
    removed.extend(clean_parts(dir)?);
    Ok(removed)
}

/// Removes what was staged for groups that are finished, and to repair files that are no more. A group has its own file
/// for longer than its parts.
fn clean_parts(dir: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut removed = Vec::new();
    let is_parts = |name: &str, _: &DirEntry| {
        name.starts_with(NAME_PREFIX) && (name.ends_with(PARTS_SUFFIX) || name.ends_with(REPAIR_SUFFIX))
    };
    for path in entries(dir, is_parts)? {
        let is_repair = path.to_string_lossy().ends_with(REPAIR_SUFFIX);
        let wanted_by = path.with_extension(if is_repair { "" } else { "tmp" });
        if path.is_dir() && !wanted_by.exists() {
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(PlotError::io(&path)(error));
                }
                _ => removed.push(path),
            }
        }
    }
    Ok(removed)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), PlotError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(PlotError::io(dir))
}

/// Gives a file its final name, which no other file has.
pub(crate) fn name_anew(from: &Path, to: &Path) -> Result<(), PlotError> {
    match rename_no_replace(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(PlotError::Exists(to.to_owned())),
        Err(error) => Err(PlotError::io(to)(error)),
        Ok(()) => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know how.
        Err(Errno::INVAL | Errno::NOSYS) => rename_if_free(from, to),
        outcome => Ok(outcome?),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    rename_if_free(from, to)
}

fn rename_if_free(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(from, to) }
}

/// As [`claim`], for whoever is to work on the file: one that only looks whether somebody does has it for a moment.
pub(crate) fn claim_for_work(file: &File, path: &Path) -> Result<bool, PlotError> {
    for _ in 0..CLAIM_TRIES {
        if claim(file, path)? {
            return Ok(true);
        }
        thread::sleep(CLAIM_PAUSE);
    }
    Ok(false)
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

/// The files of `dir` with such names, sorted.
pub(crate) fn files(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, PlotError> {
    entries(dir, |name, entry| wanted(name) && is_file(entry))
}

/// Whether it is a file, or a link to one. Only of a link is more read than what the directory says.
fn is_file(entry: &DirEntry) -> bool {
    let kind = entry.file_type();
    kind.is_ok_and(|kind| kind.is_file() || kind.is_symlink() && entry.path().is_file())
}

fn entries(dir: &Path, wanted: impl Fn(&str, &DirEntry) -> bool) -> Result<Vec<PathBuf>, PlotError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(PlotError::io(dir))? {
        let entry = entry.map_err(PlotError::io(dir))?;
        if wanted(&entry.file_name().to_string_lossy(), &entry) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
