//! Where a user's things are when the command line does not say.

use std::path::{Path, PathBuf};

pub use mass_node::program::data_dir;

/// The file given, or the one of this name in the user's data directory.
pub fn file_or(file: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    file.map_or_else(|| Ok(data_dir()?.join(name)), |file| Ok(file.to_owned()))
}
