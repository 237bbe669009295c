//! Mass Net's ledger, and what it costs: `cargo xtask bench ledger`. Prints Markdown.
//!
//! Each part prints a table of its own; a part that measures memory runs as a process of its own.
#![allow(clippy::print_stdout, reason = "its result is the table")]

mod connect;
mod purse;
mod replay;
mod script;

use std::{env, fs, path::Path, process::Command, time::Instant};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["replay", folder] => replay::run(Path::new(folder)),
        [folder] => {
            let folder = Path::new(folder);
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder).expect("the folder can be made");
            connect::run(folder);
            script::run();
            replay::make(folder);
            alone("replay", folder);
            fs::remove_dir_all(folder).expect("the folder can be removed");
        }
        _ => panic!("run it as `cargo xtask bench ledger`"),
    }
}

/// Runs a part in a process of its own.
fn alone(part: &str, folder: &Path) {
    let program = env::current_exe().expect("this program is a file");
    let status = Command::new(program).arg(part).arg(folder).status().expect("it starts");
    assert!(status.success(), "{part}: {status}");
}

/// What a work took.
#[derive(Clone, Copy)]
struct Taken {
    /// Seconds by the clock, of the best run.
    wall: f64,
    /// Seconds of processor, of all threads, of the mean run: the same on a machine that has other work.
    processor: f64,
}

/// Runs several works in turns, so that a busy machine is busy for all.
fn race<const N: usize>(rounds: u32, mut works: [&mut dyn FnMut(); N]) -> [Taken; N] {
    let mut taken = [Taken { wall: f64::INFINITY, processor: 0.0 }; N];
    for _ in 0..rounds {
        for (work, taken) in works.iter_mut().zip(&mut taken) {
            let (start, processor) = (Instant::now(), processor_seconds());
            work();
            taken.wall = taken.wall.min(start.elapsed().as_secs_f64());
            taken.processor += (processor_seconds() - processor) / f64::from(rounds);
        }
    }
    taken
}

/// Seconds of processor that this process has had, in steps of a hundredth; Linux.
fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The greatest resident size of this process so far, in bytes.
fn peak_memory() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
