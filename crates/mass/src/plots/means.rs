//! The means to make plots with, as the command line has them.

use std::{fs, num::NonZeroUsize};

use anyhow::Context;
use clap::Args;
use mass_plot::BuildOptions;

use super::create::parse_bytes;

/// What making plots may take of the machine.
#[derive(Args, Clone, Copy, Default)]
pub struct Means {
    /// Threads that work [default: all that the machine runs at once].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Memory that the plotter may take, as 8GiB or 12G: with less it is slower [default: three quarters of what
    /// is free].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// Leave the processors to whatever else wants them.
    #[arg(long)]
    nice: bool,
}

impl Means {
    /// Threads and memory for the plotter; from here on the process is nice, if it is to be.
    pub fn build_options(&self) -> anyhow::Result<BuildOptions> {
        if self.nice {
            // The lowest priority, for this thread and those that it starts.
            rustix::process::nice(19).map(drop).context("the priority cannot be lowered")?;
        }
        let defaults = BuildOptions::default();
        Ok(BuildOptions {
            threads: self.threads.unwrap_or(defaults.threads),
            memory_bytes: self.memory.or_else(|| free_memory().map(|bytes| bytes / 4 * 3)),
            ..defaults
        })
    }
}

/// Bytes that programs could take without others being moved out; none where the system does not say.
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}
