//! Whether whoever plots in a directory is to rest: a control file there, which plotters watch. So a pause reaches
//! plotters that others have started, outlives them, and holds those that come.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::{
    directory::{GROUP_SUFFIX, NAME_PREFIX, UNFINISHED_SUFFIX, claim, files},
    error::PlotError,
};

/// The name of the control file.
const PAUSE_FILE: &str = "plotting.paused";

fn control(dir: &Path) -> PathBuf {
    dir.join(PAUSE_FILE)
}

/// Whether plotters of `dir` are to rest.
#[must_use]
pub fn is_paused(dir: &Path) -> bool {
    control(dir).exists()
}

/// Lets plotters of `dir` rest; whether they did not before.
///
/// # Errors
/// [`PlotError::Io`] if the directory is not there or cannot be written.
pub fn pause(dir: &Path) -> Result<bool, PlotError> {
    let path = control(dir);
    match File::create_new(&path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(PlotError::io(&path)(error)),
    }
}

/// Lets plotters of `dir` go on; whether they rested.
///
/// # Errors
/// [`PlotError::Io`] if the directory is not there or cannot be written.
pub fn resume(dir: &Path) -> Result<bool, PlotError> {
    let path = control(dir);
    fs::metadata(dir).map_err(PlotError::io(dir))?;
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PlotError::io(&path)(error)),
    }
}

/// Whether somebody makes plots in `dir`, resting or not.
///
/// # Errors
/// [`PlotError::Io`] if the directory cannot be read.
pub fn is_plotting(dir: &Path) -> Result<bool, PlotError> {
    let is_unfinished = |name: &str| {
        name.starts_with(NAME_PREFIX) && (name.ends_with(UNFINISHED_SUFFIX) || name.ends_with(GROUP_SUFFIX))
    };
    for path in files(dir, is_unfinished)? {
        // Gone since, it is nobody's.
        if let Ok(file) = File::open(&path)
            && !claim(&file, &path)?
            && path.exists()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    use super::*;
    use crate::{create, tests::identity, unfinished_groups};

    #[test]
    fn a_directory_is_paused_and_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(!is_paused(dir) && !resume(dir).unwrap());
        assert!(pause(dir).unwrap() && is_paused(dir) && !pause(dir).unwrap());
        assert!(resume(dir).unwrap() && !is_paused(dir));
        let none = dir.join("none");
        assert!(pause(&none).is_err() && resume(&none).is_err() && is_plotting(&none).is_err());

        assert!(!is_plotting(dir).unwrap());
        let path = dir.join("plot-k18-0.plot.tmp");
        let file = File::create(&path).unwrap();
        assert!(!is_plotting(dir).unwrap());
        assert!(claim(&file, &path).unwrap() && is_plotting(dir).unwrap());
    }

    /// Whoever asks again and again does not get into a plotter's way.
    #[test]
    fn plotters_are_not_disturbed_by_questions() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let (made, seen) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !made.load(Relaxed) {
                    seen.fetch_or(is_plotting(dir).unwrap(), Relaxed);
                    unfinished_groups(dir).unwrap();
                }
            });
            let outcomes: Vec<_> = (0..5).map(|nonce| create(dir, &identity(nonce))).collect();
            made.store(true, Relaxed);
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        });
        assert!(seen.into_inner());
    }
}
