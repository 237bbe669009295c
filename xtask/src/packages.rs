//! What is given to others: the dependencies that come along, the Debian package, the unit of systemd, the Dockerfile.
//!
//! Tools that a machine may lack are named and passed over, but for the one that a check is all about.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::cargo;

/// Checks all dependencies by `deny.toml`; without the network, all but the known faults.
pub fn deny(root: &Path) -> anyhow::Result<()> {
    let installed = "cannot start cargo-deny: cargo install cargo-deny --locked";
    let check = |what: &[&str]| {
        let status =
            Command::new("cargo-deny").args(["--workspace", "check"]).args(what).current_dir(root).status();
        anyhow::Ok(status.context(installed)?.success())
    };
    anyhow::ensure!(check(&["bans", "licenses", "sources"])?, "cargo-deny refuses a dependency");
    let fetched = Command::new("cargo-deny").arg("fetch").current_dir(root).status().context(installed)?;
    if !fetched.success() {
        eprintln!("NOT CHECKED: known faults, for the database of advisories cannot be fetched");
        return Ok(());
    }
    anyhow::ensure!(check(&["advisories"])?, "a dependency has a known fault, or was taken back");
    Ok(())
}

/// Whether a tool is there.
fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        eprintln!("NOT CHECKED by {tool}: it is not installed");
    }
    found
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// Builds and checks the packages.
pub fn check(root: &Path) -> anyhow::Result<()> {
    if has("systemd-analyze") {
        // The program is looked for, and is not installed here.
        let unit = fs::read_to_string(root.join("ops/mass-node.service")).context("ops/mass-node.service")?;
        let copy = root.join("target/mass-node.service");
        fs::write(&copy, unit.replace("/usr/bin/mass ", "/bin/true ")).context("target/mass-node.service")?;
        run(Command::new("systemd-analyze").args(["verify", "--recursive-errors=no"]).arg(copy))?;
    }
    if has("cargo-deb") {
        cargo::run(root, &["build", "--release", "-p", "mass"])?;
        let deb = root.join("target/mass.deb");
        run(Command::new("cargo-deb").args(["-p", "mass", "--no-build", "-o"]).arg(&deb).current_dir(root))?;
        run(Command::new("dpkg-deb").arg("--contents").arg(&deb))?;
        if has("lintian") {
            run(Command::new("lintian").args(["--fail-on", "error"]).arg(&deb))?;
        }
    }
    // A client without a daemon cannot build.
    if Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success()) {
        run(Command::new("docker").args(["build", "-f", "ops/Dockerfile", "."]).current_dir(root))?;
    } else {
        eprintln!("NOT CHECKED: ops/Dockerfile, for there is no docker");
    }
    Ok(())
}
