//! What is measured, each in a process of its own, and said as JSON.

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use mass_farmer::{Found, schedule};
use mass_plot::{Plot, ReadCount, SolveOptions};
use mass_primitives::{Challenge, PlotIndex, Round, Seed};
use mass_proof_of_space::QualityChain;
use serde_json::{Value, json};

use crate::{
    farm,
    measure::{cpu_seconds, system_reads},
    plots,
};

fn challenge(number: u64) -> Challenge {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Challenge::new(bytes)
}

/// Look-ups of a group: what one costs, and what the system counts of it.
pub fn look_up(dir: &Path, k: u8, plots: u16) -> Value {
    let count = 2_000 / u64::from(plots) + 20;
    let plot = Plot::open(&plots::group(dir, k, 0, plots)).expect("the plot opens");
    let ask = |number| plot.group_qualities(&challenge(number)).expect("it answers").len();
    (0..5).map(ask).for_each(|found| assert!(black_box(found) < 1 << 20));
    let (ours, system) = (plot.read_count(), system_reads());
    let looking = system_reads();
    let (start, cpu, before) = (Instant::now(), cpu_seconds(), system_reads());
    let found: usize = (0..count).map(ask).sum();
    let (cpu, wall, after) = (cpu_seconds() - cpu, start.elapsed().as_secs_f64(), system_reads());
    let ReadCount { reads, bytes } = plot.read_count();
    let per = |number: f64| number / count as f64;
    json!({
        "cpu_seconds": per(cpu), "wall_seconds": per(wall), "qualities": per(found as f64),
        "reads": per((reads - ours.reads) as f64), "bytes": per((bytes - ours.bytes) as f64),
        "system_reads": per((after.reads - before.reads - (looking.reads - system.reads)) as f64),
        "system_bytes": per((after.bytes - before.bytes - (looking.bytes - system.bytes)) as f64),
    })
}

/// The rival's look-up, as Chia farms: the file is opened for each plot and challenge.
pub fn rival(dir: &Path, k: u8) -> Value {
    const COUNT: u64 = 200;
    let prover = chia_pos2::Prover::new(&plots::rival_plot(dir, k)).expect("the plot opens");
    let ask =
        |number| prover.get_qualities_for_challenge(challenge(number).as_bytes()).expect("it answers").len();
    (0..5).map(ask).for_each(|found| assert!(black_box(found) < 1 << 20));
    let (cpu, before) = (cpu_seconds(), system_reads());
    let found: usize = (0..COUNT).map(ask).sum();
    let (cpu, after) = (cpu_seconds() - cpu, system_reads());
    let per = |number: f64| number / COUNT as f64;
    json!({
        "cpu_seconds": per(cpu), "qualities": per(found as f64),
        "system_reads": per((after.reads - before.reads) as f64),
        "system_bytes": per((after.bytes - before.bytes) as f64),
    })
}

/// Proofs of a real plot.
pub fn solve(dir: &Path, k: u8) -> Value {
    let plot = Plot::open(&plots::group(dir, k, 0, 1)).expect("the plot opens");
    let chains = (0..).flat_map(|number| plot.qualities(&challenge(number)).expect("it answers"));
    let chains: Vec<QualityChain> = chains.take(if k < 24 { 10 } else { 3 }).collect();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    for chain in &chains {
        black_box(plot.solve_with(chain, &SolveOptions::default()).expect("it has a proof"));
    }
    let per = |number: f64| number / chains.len() as f64;
    json!({ "cpu_seconds": per(cpu_seconds() - cpu), "wall_seconds": per(start.elapsed().as_secs_f64()) })
}

/// What a chain costs in a round: its VRF output, and the tickets of so many qualities.
pub fn schedule_of(qualities: u32) -> Value {
    const COUNT: u32 = 50;
    let spec = &farm::specs(1, true, 28, 128)[0];
    let found = (0..qualities).map(|number| {
        let chain = QualityChain::new(std::array::from_fn(|link| u64::from(number) << 8 | link as u64));
        Found::new(plots::identity(28, number / 128), PlotIndex::new((number % 128) as u16), chain)
    });
    let (found, secret): (Vec<Found>, _) = (found.collect(), plots::secret());
    let cpu = cpu_seconds();
    for round in 0..u64::from(COUNT) {
        black_box(secret.evaluate(spec.id(), &Seed::ZERO, Round::new(round), rand_core::OsRng));
    }
    let (vrf, cpu) = ((cpu_seconds() - cpu) / f64::from(COUNT), cpu_seconds());
    for round in 0..u64::from(COUNT) {
        let (output, _) = secret.evaluate(spec.id(), &Seed::ZERO, Round::new(round), rand_core::OsRng);
        black_box(schedule(spec, &output, &Seed::ZERO, Round::new(round), &found));
    }
    let tickets = (cpu_seconds() - cpu) / f64::from(COUNT) - vrf;
    json!({ "vrf_cpu_seconds": vrf, "tickets_cpu_seconds": tickets })
}

/// Look-ups of one plot when each read takes 10 ms longer, if `strace` runs this and has them do so.
pub fn slow(dir: &Path, k: u8, plots: u16) -> Value {
    const COUNT: u64 = 40;
    let plot = Plot::open(&plots::group(dir, k, 0, plots)).expect("the plot opens");
    let mut times: Vec<Duration> = (0..COUNT)
        .map(|number| {
            let start = Instant::now();
            black_box(plot.group_qualities(&challenge(number)).expect("it answers"));
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let mean = times.iter().sum::<Duration>() / COUNT as u32;
    json!({ "mean_seconds": mean.as_secs_f64(), "max_seconds": times.last().map(Duration::as_secs_f64) })
}
