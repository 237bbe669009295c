//! Tests that are too slow for the fast lane, by the part of the house that they test.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::{cargo, packages, vectors};

/// A part of the house with slow tests.
#[derive(Clone, Copy, ValueEnum)]
pub enum Part {
    /// The proof of space: plots of k = 20 and 22 against the reference
    Pos,
    /// Clusters of farmers, harvesters and plotters: needs nats-server
    Cluster,
    /// The simulator: whole networks of 200 seeds
    Network,
    /// Disks that lose power in a commit, and keep some of what was not synced: 1,000 seeds
    Torn,
    /// Real nodes that sync and farm, with 500 SIGKILLs at random moments
    Kills,
    /// Hostile peers: 200 connections that flood, and the memory that they take; Linux
    Hostile,
    /// A new chain: the guide docs/new-chain.md, word for word, from an empty directory to a second node
    Chain,
    /// The verifier in TypeScript against the vectors and real blocks: needs Node.js and a registry
    Verifier,
    /// Headers, seals, evidence and chain specs with 1,000,000 faults, each refused by the number of a rule
    Mutations,
    /// Bitcoin Core's own test vectors through Mass Net's ledger: needs a registry
    CoreVectors,
    /// The page, built anew and compared with the committed one, and in a browser: needs Node.js, a registry, and Debian's
    /// chromium
    Page,
    /// Ten nodes and two farms with kills, partitions and payments, and what memory they take: Linux
    Soak,
    /// Licences, sources, bans and known faults of all dependencies: needs cargo-deny
    Deny,
    /// The Debian package, the unit of systemd and the Dockerfile, as far as this machine has the tools
    Packages,
    /// Wallets and Lightning nodes of other makers: needs Node.js, a registry, and Debian's electrum
    Clients,
}

/// Runs the slow tests of a part.
///
/// # Errors
/// A test fails, or what it needs is missing.
pub fn run(root: &Path, part: Part, minutes: u64) -> anyhow::Result<()> {
    match part {
        Part::Pos => ignored(root, &["--release", "-p", "mass-plot", "--test", "reference"]),
        Part::Cluster => cargo::run(
            root,
            &["test", "-p", "mass", "--test", "cluster_*", "--", "--include-ignored", "--test-threads", "1"],
        ),
        Part::Network => ignored(root, &["--release", "-p", "mass-simulator", "many_networks"]),
        Part::Torn => ignored(root, &["--release", "-p", "mass-node", "--test", "torn", "a_thousand"]),
        Part::Kills => ignored(root, &["-p", "mass", "--test", "kills", "five_hundred"]),
        Part::Hostile => cargo::run(
            root,
            &["test", "-p", "mass-node", "--test", "hostile", "--", "--ignored", "--nocapture"],
        ),
        Part::Chain => ignored(root, &["-p", "mass", "--test", "new_chain"]),
        Part::Soak => soak(root, minutes),
        Part::Deny => packages::deny(root),
        Part::Packages => packages::check(root),
        Part::Verifier => verifier(root),
        Part::Page => page(root),
        Part::Clients => clients(root),
        Part::CoreVectors => vectors::run(root),
        Part::Mutations => {
            ignored(root, &["--release", "-p", "mass-consensus", "--test", "mutations", "a_million"])
        }
    }
}

/// Real processes for so many minutes.
fn soak(root: &Path, minutes: u64) -> anyhow::Result<()> {
    let mut command = cargo::command(root);
    command.args(["test", "--release", "-p", "mass", "--test", "soak", "--", "--ignored", "--nocapture"]);
    let status =
        command.env("MASS_SOAK_MINUTES", minutes.to_string()).status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "the soak found something: {status}");
    Ok(())
}

/// Runs tests that the fast lane passes over, and shows what they say.
fn ignored(root: &Path, which: &[&str]) -> anyhow::Result<()> {
    cargo::run(root, &[&["test"], which, &["--", "--include-ignored", "--nocapture"]].concat())
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

/// Blocks whose slots nobody waits for, and blocks of a development network, which does.
const MADE_BLOCKS: &str = "1000";
const DEV_BLOCKS: &str = "30";

/// Installs what the lock file of the verifier names, builds it, runs its tests, and has it check real blocks: of a chain
/// that is told the time, and of `mass dev`, both as a production node keeps and exports them.
fn verifier(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("verifier-js");
    npm(&folder, &["ci"])?;
    npm(&folder, &["test"])?;
    let place = root.join("target/verifier");
    // What an earlier run left there; if it cannot be removed, the next line fails.
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let [made, dev, dir] = ["made.blocks", "dev.blocks", "dev"].map(|name| place.join(name));
    let [made_text, dev_text, dir_text] = [&made, &dev, &dir].map(|path| path.display().to_string());
    let example = ["run", "-p", "mass-node", "--example", "make_blocks", "--", &made_text, MADE_BLOCKS];
    cargo::run(root, &example)?;
    check_blocks(root, &made, MADE_BLOCKS)?;
    cargo::run(root, &["run", "-p", "mass", "--", "dev", "--blocks", DEV_BLOCKS, "--dir", &dir_text])?;
    let data = dir.join("dev/node-1").display().to_string();
    cargo::run(root, &["run", "-p", "mass", "--", "node", "export", &dev_text, "--data-dir", &data])?;
    check_blocks(root, &dev, DEV_BLOCKS)
}

/// Builds the page again, which must give the committed bytes, and clicks through it in a browser.
fn page(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("page");
    let list = || fs::read_to_string(folder.join("built.sha256")).context("page/built.sha256");
    npm(&folder, &["ci"])?;
    let committed = list()?;
    npm(&folder, &["run", "build"])?;
    anyhow::ensure!(
        list()? == committed,
        "the committed page is not what its sources give: commit page/dist and page/built.sha256 as they are now"
    );
    npm(&folder, &["test"])?;
    cargo::run(root, &["build", "-p", "mass"])?;
    npm(&folder, &["run", "e2e"])
}

/// Has the verifier check a file of blocks of `dev`.
fn check_blocks(root: &Path, file: &Path, least: &str) -> anyhow::Result<()> {
    let script = root.join("verifier-js/dist/test/chain-file.js");
    let spec = root.join("crates/consensus/specs/dev.json");
    let status = Command::new("node").arg(script).arg(spec).arg(file).arg(least).status();
    let status = status.context("cannot start node")?;
    anyhow::ensure!(status.success(), "the verifier refuses {}: {status}", file.display());
    Ok(())
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
