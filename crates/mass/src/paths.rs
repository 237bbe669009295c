//! Where a user's things are when the command line does not say.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

/// The user's data directory for MASS.
pub fn data_dir() -> anyhow::Result<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "mass").ok_or_else(|| {
        anyhow!("this user has no home directory: name files and directories on the command line")
    })?;
    Ok(dirs.data_dir().to_owned())
}

/// The file given, or the one of this name in the user's data directory.
pub fn file_or(file: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    file.map_or_else(|| Ok(data_dir()?.join(name)), |file| Ok(file.to_owned()))
}
