//! The means to make plots with, as the command line has them, and the hold that others have on that work.

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use mass_plot::{BuildOptions, Gate, is_paused};

use super::parse_bytes;

/// How often a plotter looks whether it is to rest.
const LOOK: Duration = Duration::from_millis(200);

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
    /// Bytes a second that are written to the disk and read from it together, as 80M: a farm on the same disk keeps
    /// answering.
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    max_io: Option<NonZeroU64>,
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

    /// Bytes a second of the disk.
    pub const fn max_io(&self) -> Option<NonZeroU64> {
        self.max_io
    }

    /// The gate of the work, which Ctrl-C and SIGTERM cancel.
    pub fn gate(&self) -> anyhow::Result<Arc<Gate>> {
        let gate = Arc::new(Gate::new(self.max_io));
        let asked = Arc::clone(&gate);
        ctrlc::set_handler(move || asked.cancel()).context("signals cannot be caught")?;
        Ok(gate)
    }
}

/// Does work that rests whenever one of the directories is paused; `tell` hears of it.
pub fn pausable<T>(dirs: &[PathBuf], gate: &Gate, tell: impl Fn(bool) + Sync, work: impl FnOnce() -> T) -> T {
    let mut rests = false;
    let mut look = || {
        let now = dirs.iter().any(|dir| is_paused(dir));
        if now != rests {
            rests = now;
            gate.set_paused(now);
            tell(now);
        }
    };
    look();
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                look();
            }
        });
        let result = work();
        drop(end);
        result
    })
}

/// Bytes that programs could take without others being moved out; none where the system does not say.
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// A number of bytes a second as people write it: `80M`, `80MB/s`.
fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = parse_bytes(text.strip_suffix("/s").unwrap_or(text))?;
    NonZeroU64::new(bytes).ok_or_else(|| "a rate of nothing would never end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        assert_eq!(parse_rate("80M").map(NonZeroU64::get), Ok(80 << 20));
        assert_eq!(parse_rate("5kB/s").map(NonZeroU64::get), Ok(5 << 10));
        assert!(parse_rate("0").is_err() && parse_rate("/s").is_err() && parse_rate("M").is_err());
    }
}
