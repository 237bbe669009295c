//! Tests that are too slow for the fast lane, by the part of the house that they test.

use std::path::Path;

use clap::ValueEnum;

use crate::cargo;

/// A part of the house with slow tests.
#[derive(Clone, Copy, ValueEnum)]
pub enum Part {
    /// The proof of space: plots of k = 20 and 22 against the reference
    Pos,
}

/// Runs the slow tests of a part.
///
/// # Errors
/// A test fails.
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
    }
}
