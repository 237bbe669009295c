//! Bitcoin Core's own test vectors, unmodified, through our ledger: `cargo xtask slow core-vectors`.
//!
//! They lie in the crate `libbitcoinkernel-sys`. To depend on it would build Bitcoin Core, with cmake and
//! Boost; so cargo fetches it for a package that is never built, and the test is told where it lies.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::cargo;

const PACKAGE: &str = "libbitcoinkernel-sys";
const VERSION: &str = "0.4.1";
/// SHA-256 of the package, to which cargo holds what it fetches.
const CHECKSUM: &str = "345d18a1ce19a1becfcaaa066e3a60e9c7813ef5c23ea8c20704ca4ba1a46339";
const FOLDER: &str = "bitcoin/src/test/data";

/// Fetches the vectors and runs the test that reads them.
///
/// # Errors
/// They cannot be fetched or are not the ones that are meant, or the test fails.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let folder = fetch(&root.join("target/core-vectors"))?;
    let mut test = cargo::command(root);
    test.args(["test", "-p", "mass-ledger-utxo", "--lib", "tests::vectors::bitcoin_core_agrees", "--"]);
    test.args(["--include-ignored", "--exact", "--nocapture"]).env("MASS_CORE_VECTORS", folder);
    let status = test.status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "the vectors of Bitcoin Core: {status}");
    Ok(())
}

/// Where the vectors lie.
fn fetch(place: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(place.join("src")).with_context(|| format!("cannot write to {}", place.display()))?;
    fs::write(place.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"core-vectors\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[dependencies]\n\
         {PACKAGE} = \"={VERSION}\"\n\n[workspace]\n"
    );
    fs::write(place.join("Cargo.toml"), manifest)?;
    cargo::run(place, &["fetch"])?;
    let lock = fs::read_to_string(place.join("Cargo.lock")).context("cargo wrote no lock file")?;
    anyhow::ensure!(
        has_checksum(&lock),
        "{PACKAGE} {VERSION} is another one than before: expected SHA-256 {CHECKSUM}"
    );
    let output = cargo::command(place).args(["metadata", "--format-version", "1", "--locked"]).output()?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", output.status);
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let package =
        metadata["packages"].as_array().into_iter().flatten().find(|found| found["name"] == PACKAGE);
    let manifest =
        package.and_then(|package| package["manifest_path"].as_str()).context("it was not fetched")?;
    let folder = Path::new(manifest).parent().context("a manifest lies in a folder")?.join(FOLDER);
    anyhow::ensure!(folder.is_dir(), "no vectors in {}", folder.display());
    Ok(folder)
}

/// Whether a lock file names the package with the checksum that is meant.
fn has_checksum(lock: &str) -> bool {
    let mut packages = lock.split("[[package]]");
    packages.any(|package| {
        package.contains(&format!("name = \"{PACKAGE}\"\n"))
            && package.contains(&format!("version = \"{VERSION}\"\n"))
            && package.contains(&format!("checksum = \"{CHECKSUM}\"\n"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_package_is_noticed() {
        let lock = |checksum: &str| {
            format!("[[package]]\nname = \"{PACKAGE}\"\nversion = \"{VERSION}\"\nchecksum = \"{checksum}\"\n")
        };
        assert!(has_checksum(&lock(CHECKSUM)));
        assert!(!has_checksum(&lock("00")));
        assert!(!has_checksum(&format!("{}[[package]]\nchecksum = \"{CHECKSUM}\"\n", lock("00"))));
    }
}
