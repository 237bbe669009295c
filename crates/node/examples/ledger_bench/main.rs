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

/// The best of some runs of several works, taken in turns so that a busy machine is busy for all: seconds.
fn race<const N: usize>(rounds: usize, mut works: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    for _ in 0..rounds {
        for (work, best) in works.iter_mut().zip(&mut best) {
            let start = Instant::now();
            work();
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    best
}

/// The greatest resident size of this process so far, in bytes.
fn peak_memory() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
