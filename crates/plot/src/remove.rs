//! Getting space back: which files of a directory are plots, even damaged ones, and their removal.
//!
//! What counts is inside a file, not its name: one that has neither of its headers is nobody's plot, and stays.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use mass_proof_of_space::GroupIdentity;

use crate::{
    create::stem,
    directory::{GROUP_SUFFIX, PARTS_SUFFIX, claim_for_work, files, plot_files, sync_dir},
    error::{FileEnd, PlotError},
    group::read_begun,
    repair::{read_either_header, repair_dir},
};

/// Plots that can be removed, in a file of their own or begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removable {
    /// The file.
    pub path: PathBuf,
    /// Whose plots they are.
    pub identity: GroupIdentity,
    /// Plots that the file has, or is to have.
    pub plots: u16,
    /// Bytes that they take on the disk.
    pub bytes: u64,
    /// Whether it is a group that is not finished.
    pub is_begun: bool,
}

/// What a directory has that can be removed, and what is named like a plot and is none.
#[derive(Debug, Default)]
pub struct Removables {
    /// The plots, finished ones first.
    pub plots: Vec<Removable>,
    /// What is left alone, and why.
    pub others: Vec<(PathBuf, PlotError)>,
}

/// Looks for what can be removed: plot files that have one of their headers, and groups that are begun.
///
/// # Errors
/// [`PlotError::Io`] if the directory cannot be read.
pub fn removables(dir: &Path) -> Result<Removables, PlotError> {
    let mut found = Removables::default();
    let begun = files(dir, |name| name.ends_with(GROUP_SUFFIX))?.into_iter().map(|path| (path, true));
    for (path, is_begun) in plot_files(dir)?.into_iter().map(|path| (path, false)).chain(begun) {
        match look(&path, is_begun) {
            Ok(plots) => found.plots.push(plots),
            Err(error) => found.others.push((path, error)),
        }
    }
    Ok(found)
}

fn look(path: &Path, is_begun: bool) -> Result<Removable, PlotError> {
    // Removing a link would give nothing back.
    if fs::symlink_metadata(path).map_err(PlotError::io(path))?.is_symlink() {
        return Err(PlotError::Link(path.to_owned()));
    }
    let file = File::open(path).map_err(PlotError::io(path))?;
    let header = if is_begun {
        read_begun(&file, path)?
    } else {
        read_either_header(&file, path)?.ok_or(PlotError::Header(FileEnd::Front))?
    };
    let besides = beside(path, &header.identity, is_begun);
    let bytes = bytes_on_disk(path)
        + files(&besides, |_| true).map_or(0, |parts| parts.iter().map(|part| bytes_on_disk(part)).sum());
    Ok(Removable {
        path: path.to_owned(),
        identity: header.identity,
        plots: header.layout.plots,
        bytes,
        is_begun,
    })
}

/// The directory where plots are staged for the file.
fn beside(path: &Path, identity: &GroupIdentity, is_begun: bool) -> PathBuf {
    if is_begun { path.with_file_name(format!("{}{PARTS_SUFFIX}", stem(identity))) } else { repair_dir(path) }
}

fn bytes_on_disk(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |file| 512 * file.blocks())
}

/// Removes plots that were found, unless something else is there by now.
///
/// # Errors
/// [`PlotError::Busy`] if somebody makes or repairs them, [`PlotError::Changed`] if they are others now,
/// [`PlotError::Io`].
pub fn remove(plots: &Removable) -> Result<(), PlotError> {
    let Removable { path, identity, plots: count, is_begun, .. } = plots;
    let file = File::open(path).map_err(PlotError::io(path))?;
    if !claim_for_work(&file, path)? {
        return Err(PlotError::Busy(path.clone()));
    }
    let now = look(path, *is_begun)?;
    if (now.identity, now.plots) != (*identity, *count) {
        return Err(PlotError::Changed(path.clone()));
    }
    fs::remove_file(path).map_err(PlotError::io(path))?;
    let besides = beside(path, identity, *is_begun);
    if besides.exists() {
        fs::remove_dir_all(&besides).map_err(PlotError::io(&besides))?;
    }
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Gate, GroupOptions, GroupProgress, GroupStep, create, create_group, directory::claim, tests::identity,
    };

    fn names(dir: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
        names.sort();
        names
    }

    fn begin_group(dir: &Path) {
        let gate = Gate::default();
        let watch = |progress: GroupProgress| {
            if progress.step == GroupStep::Plot(1) {
                gate.cancel();
            }
        };
        let options = GroupOptions { progress: Some(&watch), gate: Some(&gate), ..GroupOptions::default() };
        assert!(matches!(create_group(dir, &identity(3), 4, &options), Err(PlotError::Cancelled)));
    }

    #[test]
    fn plots_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let (sound, damaged) = (create(dir, &identity(1)).unwrap(), create(dir, &identity(2)).unwrap());
        let mut bytes = fs::read(&damaged).unwrap();
        bytes[..100_000].fill(0);
        fs::write(&damaged, bytes).unwrap();
        fs::create_dir(repair_dir(&damaged)).unwrap();
        fs::write(repair_dir(&damaged).join("blocks"), [1; 5000]).unwrap();
        begin_group(dir);
        let (other, link) = (dir.join("holiday.plot"), dir.join("link.plot"));
        fs::write(&other, "a story").unwrap();
        fs::write(dir.join("notes.txt"), "of mine").unwrap();
        std::os::unix::fs::symlink(&sound, &link).unwrap();

        let found = removables(dir).unwrap();
        assert_eq!(found.others.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&other, &link]);
        let kinds: Vec<_> = found.plots.iter().map(|plots| (plots.plots, plots.is_begun)).collect();
        assert_eq!(kinds, [(1, false), (1, false), (4, true)]);
        assert!(found.plots.iter().all(|plots| plots.bytes >= 600_000), "{found:?}");

        let file = File::open(&sound).unwrap();
        assert!(claim(&file, &sound).unwrap());
        let of = |path: &Path| found.plots.iter().find(|plots| plots.path == path).unwrap();
        assert!(matches!(remove(of(&sound)), Err(PlotError::Busy(_))));
        drop(file);
        // Something else got the name meanwhile.
        let kept = fs::read(&sound).unwrap();
        fs::write(&sound, "a story").unwrap();
        assert!(remove(of(&sound)).is_err() && sound.exists());
        fs::copy(&damaged, &sound).unwrap();
        assert!(matches!(remove(of(&sound)), Err(PlotError::Changed(_))) && sound.exists());
        fs::write(&sound, kept).unwrap();

        found.plots.iter().for_each(|plots| remove(plots).unwrap());
        assert_eq!(names(dir), [other, link, dir.join("notes.txt")]);
    }
}
