//! What the plotter alone takes, without writing a file, and how near that is to the limit that hashing sets:
//! `cargo run --release -p mass-plot --example plotter_cost -- K STRENGTH THREADS [MEMORY_MIB]`.
#![allow(clippy::print_stdout)]

use std::{
    fs,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use mass_plot::{BuildOptions, Gate, PlotHasher, build};
use mass_primitives::{GroupId, PlotId, PlotIndex};
use mass_proof_of_space::{PlotParams, PlotSize, Strength};

/// Time for which the rate of hashing is measured.
const RATE_TIME: Duration = Duration::from_millis(300);

fn main() {
    let arguments: Vec<u64> =
        std::env::args().skip(1).map(|word| word.parse().expect("arguments are numbers")).collect();
    let [k, strength, threads, ref memory @ ..] = arguments[..] else {
        eprintln!("usage: plotter_cost K STRENGTH THREADS [MEMORY_MIB]");
        return;
    };
    let params = PlotParams {
        group_id: GroupId::new([1; 32]),
        index: PlotIndex::new(0),
        size: PlotSize::new(k as u8).expect("k is even and from 18 to 28"),
        strength: Strength::new(strength as u8).expect("the strength is from 2 to 17"),
    };
    let options = BuildOptions {
        threads: NonZeroUsize::new(threads as usize).expect("there is a thread"),
        memory_bytes: memory.first().map(|mebibytes| mebibytes << 20),
        ..BuildOptions::default()
    };
    let rate = hash_rate();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut mixed = 0u64;
    let statistics = build::<()>(&params, &options, &|_| (), &Gate::default(), &mut |fragments| {
        mixed = fragments.iter().fold(mixed, |mixed, fragment| mixed.rotate_left(1) ^ fragment);
        Ok(())
    })
    .expect("memory and strength suffice");
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("{cpu:.2} CPU-s, {wall:.2} s, {peak}, {statistics:?}, all fragments mixed {mixed:016x}");
    let hashing = statistics.aes_rounds as f64 / rate;
    println!(
        "{:.1} G AES rounds/s by one thread; hashing {:.1} % of the CPU time",
        rate / 1e9,
        100.0 * hashing / cpu
    );
}

/// AES rounds that one thread makes in a second of processor time.
fn hash_rate() -> f64 {
    let hasher = PlotHasher::new(&PlotId::new([1; 32]));
    let inputs: Vec<u64> = (0..1024).collect();
    let mut out = vec![0; inputs.len()];
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut hashes = 0usize;
    while start.elapsed() < RATE_TIME {
        hasher.hash_low64(&inputs, &mut out, 16);
        hashes += inputs.len();
    }
    hashes as f64 * 32.0 / (cpu_seconds() - cpu)
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
