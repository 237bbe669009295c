//! The limits of style. For now an empty list: the rules follow.

use std::path::Path;

/// Checks the files tracked in `root`.
///
/// # Errors
/// A file breaks a rule.
pub fn run(_root: &Path) -> anyhow::Result<()> {
    crate::report("tidy", &[])
}
