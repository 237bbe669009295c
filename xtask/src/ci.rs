//! The fast lane: every step in order, cheapest first, stopping at the first that fails.
//!
//! Incremental compilation is off for the whole lane: it makes a full build slower and larger.
//! Not here: the slow and the nightly lanes.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

/// Runs the whole lane in `root`.
///
/// # Errors
/// The first step that fails.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    step("format", || cargo(root, &["fmt", "--all", "--check"]))?;
    step("layers", || crate::layers::run(root))?;
    step("tidy", || crate::tidy::run(root))?;
    step("clippy", || cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // Without `--all-targets`, which would leave out the doc tests.
    step("test", || cargo(root, &["test", "--workspace"]))?;
    eprintln!("ci: all passed in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    eprintln!("== {name}");
    let started = Instant::now();
    let outcome = work();
    let verdict = if outcome.is_ok() { "passed" } else { "FAILED" };
    eprintln!("== {name} {verdict} in {:.1} s", started.elapsed().as_secs_f64());
    outcome.with_context(|| format!("step {name}"))
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = crate::cargo::command(root);
    let status =
        command.args(arguments).env("CARGO_INCREMENTAL", "0").status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "`cargo {}` failed: {status}", arguments.join(" "));
    Ok(())
}
