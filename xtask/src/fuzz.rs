//! Fuzzing every decoder for a while: the targets in `fuzz/`, each with an equal share of the time.
//!
//! The engine is libFuzzer. The coverage that it needs is a pass of the stable compiler, so no nightly and no
//! further tool are needed. What is found stays in `fuzz/artifacts`, what is worth going on from in `fuzz/corpus`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::cargo;

/// The targets, by the names in `fuzz/Cargo.toml`.
const TARGETS: [&str; 11] = [
    "verifier",
    "proof_decoder",
    "plot_reader",
    "consensus_decoders",
    "wire_decoders",
    "ledger_decoders",
    "block_file",
    "pool_record",
    "ledger_apply",
    "wallet_decoders",
    "node_faces",
];

/// The flags by which a program tells libFuzzer where it has been.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";

/// Builds the targets and runs them, or the one named, for so many minutes together.
///
/// # Errors
/// A target cannot be built, or has found something.
pub fn run(root: &Path, minutes: u64, only: Option<&str>) -> anyhow::Result<()> {
    let targets: Vec<&str> =
        TARGETS.into_iter().filter(|target| only.is_none_or(|only| only == *target)).collect();
    anyhow::ensure!(!targets.is_empty(), "there is no such target; there are {}", TARGETS.join(", "));
    let dir = root.join("fuzz");
    let host = host()?;
    // With a target named, build scripts and macros are spared the flags.
    let mut build = cargo::command(&dir);
    build.args(["build", "--release", "--bins", "--target", &host]).env("RUSTFLAGS", FLAGS);
    let status = build.status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "the targets cannot be built: {status}");
    let seconds = (60 * minutes / targets.len() as u64).max(1);
    let mut found = Vec::new();
    for target in targets {
        eprintln!("== fuzz {target} for {seconds} s");
        let (corpus, artifacts) = (dir.join("corpus").join(target), dir.join("artifacts").join(target));
        for folder in [&corpus, &artifacts] {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let program = dir.join("target").join(&host).join("release").join(target);
        let status = Command::new(&program)
            .arg(&corpus)
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(format!("-max_total_time={seconds}"))
            .args([
                "-max_len=8192",
                "-rss_limit_mb=2048",
                "-timeout=20",
                "-print_final_stats=1",
                "-verbosity=0",
            ])
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if !status.success() {
            found.push(target);
        }
    }
    anyhow::ensure!(found.is_empty(), "something was found by {}: see fuzz/artifacts", found.join(", "));
    Ok(())
}

/// The machine that the compiler is for.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names its host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_run() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/Cargo.toml");
        let text = fs::read_to_string(manifest).unwrap();
        let binaries = text.split("[[bin]]").skip(1).map(|bin| bin.split('"').nth(1).unwrap());
        assert_eq!(binaries.collect::<Vec<_>>(), TARGETS);
    }
}
