//! Starting cargo, the one that started us.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// Runs cargo in `root`, with its output where ours goes.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = command(root).args(arguments).status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "`cargo {}` failed: {status}", arguments.join(" "));
    Ok(())
}

/// Cargo in `root`, without arguments.
pub fn command(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}
