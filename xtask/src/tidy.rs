//! The limits of style, checked on the files that git tracks.
//!
//! Each rule is a pure function from text to findings, and lives in [`source`] or [`documents`]; this
//! file reads the files and applies the rules. The functions that are longer than the limit today are
//! listed in `xtask/tidy-ratchet.txt`, and may only shrink.

mod documents;
mod page;
mod source;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use source::Ratchet;

const RATCHET: &str = "xtask/tidy-ratchet.txt";

/// Checks the files tracked in `root`.
///
/// # Errors
/// Git cannot be asked, a file cannot be read, or a rule is broken.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let ratchet = Ratchet::parse(&read(root, RATCHET)?)?;
    let mut found = Vec::new();
    let mut long_functions = Vec::new();
    for path in tracked(root, &["*.rs", "*.md"])? {
        if path.ends_with(".rs") {
            let text = read(root, &path)?;
            found.extend(source::check(&path, &text));
            long_functions.extend(source::long_functions(&path, &text));
        } else if documents::is_checked(&path) {
            found.extend(documents::check(&path, &read(root, &path)?, |named| root.join(named).exists()));
        }
    }
    found.extend(ratchet.check(&long_functions));
    found.extend(page::check(&read(root, page::LIST)?, &page_files(root)?));
    crate::report("tidy", &found)
}

fn read(root: &Path, path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}

/// The files that the page is built from and made of, with their hashes.
fn page_files(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let files = tracked(root, &["page", "verifier-js/src"])?.into_iter().filter(|path| page::is_built(path));
    let hashed = files.map(|path| {
        let bytes = std::fs::read(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
        let hash = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((path, hash))
    });
    hashed.collect()
}

/// The tracked files that are still there, relative to `root`.
fn tracked(root: &Path, patterns: &[&str]) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--"])
        .args(patterns)
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    anyhow::ensure!(output.status.success(), "git ls-files failed: {}", output.status);
    let listed = String::from_utf8(output.stdout).context("a tracked path is not UTF-8")?;
    let exists = |path: &&str| !path.is_empty() && root.join(path).exists();
    Ok(listed.split('\0').filter(exists).map(str::to_owned).collect())
}
