//! Tests that are too slow for the fast lane, by the part of the house that they test.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::cargo;

/// A part of the house with slow tests.
#[derive(Clone, Copy, ValueEnum)]
pub enum Part {
    /// The proof of space: plots of k = 20 and 22 against the reference
    Pos,
    /// Clusters of farmers, harvesters and plotters: needs nats-server
    Cluster,
    /// The simulator: whole networks of 200 seeds
    Network,
    /// A new chain: the guide docs/new-chain.md, word for word, from an empty directory to a second node
    Chain,
    /// The verifier in TypeScript against the vectors: needs Node.js and a registry
    Verifier,
    /// Wallets and Lightning nodes of other makers: needs Node.js, a registry, and Debian's electrum
    Clients,
}

/// Runs the slow tests of a part.
///
/// # Errors
/// A test fails, or what it needs is missing.
pub fn run(root: &Path, part: Part) -> anyhow::Result<()> {
    match part {
        Part::Pos => cargo::run(
            root,
            &[
                "test",
                "--release",
                "-p",
                "mass-plot",
                "--test",
                "reference",
                "--",
                "--include-ignored",
                "--nocapture",
            ],
        ),
        Part::Cluster => cargo::run(
            root,
            &["test", "-p", "mass", "--test", "cluster_*", "--", "--include-ignored", "--test-threads", "1"],
        ),
        Part::Network => cargo::run(
            root,
            &[
                "test",
                "--release",
                "-p",
                "mass-simulator",
                "many_networks",
                "--",
                "--include-ignored",
                "--nocapture",
            ],
        ),
        Part::Chain => cargo::run(
            root,
            &["test", "-p", "mass", "--test", "new_chain", "--", "--include-ignored", "--nocapture"],
        ),
        Part::Verifier => verifier(&root.join("verifier-js")),
        Part::Clients => clients(root),
    }
}

/// Builds the program, and lets foreign clients, which are a workspace of their own, meet it.
fn clients(root: &Path) -> anyhow::Result<()> {
    cargo::run(root, &["build", "-p", "mass"])?;
    let folder = root.join("clients");
    npm(&folder.join("signer-js"), &["ci"])?;
    let mut command = cargo::command(&folder);
    command.args([
        "test",
        "--test",
        "foreign",
        "--",
        "--include-ignored",
        "--nocapture",
        "--test-threads",
        "2",
    ]);
    let status = command.status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "foreign clients fail: {status}");
    Ok(())
}

/// Installs what the lock file of the verifier names, builds it and runs its tests.
fn verifier(folder: &Path) -> anyhow::Result<()> {
    npm(folder, &["ci"])?;
    npm(folder, &["test"])
}

fn npm(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .status()
        .context("cannot start npm: it comes with Node.js 20.19 or newer, https://nodejs.org")?;
    anyhow::ensure!(status.success(), "`npm {}` failed: {status}", arguments.join(" "));
    Ok(())
}
