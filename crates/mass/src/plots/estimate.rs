//! `mass plots estimate`: what plots will cost, before they are made.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;
use mass_consensus::spec::ChainSpec;
use mass_plot::{BuildOptions, Estimate, Gate, PlotError, READS_PER_CHALLENGE};
use mass_primitives::{GroupId, PlotIndex};
use mass_proof_of_space::{PlotParams, PlotSize, Strength};
use serde_json::json;

use super::{create::size_and_strength, parse_bytes};
use crate::{
    chain,
    output::{Output, Verdict, human_bytes, human_time, note},
};

/// The plot that is made to learn how fast this machine is: some seconds of work, as a larger one is made.
const TRIAL_SIZE: u8 = 22;
const TRIAL_STRENGTH_MAX: u8 = 4;

/// Which plots.
#[derive(Args)]
pub struct EstimateArgs {
    /// The chain to farm: dev, testnet, massnet or a spec file.
    #[arg(long, value_name = "CHAIN", default_value = "massnet")]
    chain: String,
    /// The size of a plot, an even number from 18 to 28 [default: the chain's].
    #[arg(short, value_name = "K")]
    k: Option<u8>,
    /// How many plots.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    plots: u32,
    /// Plots that share a file.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=128))]
    group: u16,
    /// The work behind each proof [default: the least that the chain takes].
    #[arg(long, value_name = "S")]
    strength: Option<u8>,
    /// Threads that work [default: all that the machine runs at once].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Memory that the plotter may take.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// What a plot takes, if it is known; without it, a small plot is made in memory to measure.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    plot_seconds: Option<u32>,
    /// Where the plots are to be, to compare with the space that is free there.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What the plots cost.
struct Costs {
    file: Estimate,
    files: u32,
    bytes: u64,
    bytes_peak: u64,
    seconds_per_plot: f64,
    /// From one question to a group to the next.
    interval: Duration,
    reads_per_hour: f64,
}

/// Estimates.
pub fn estimate(args: &EstimateArgs, output: Output) -> anyhow::Result<Verdict> {
    let spec = chain::load(&args.chain)?;
    let (size, strength) = size_and_strength(args.k, args.strength, &spec)?;
    let costs = costs(args, &spec, size, strength)?;
    let free = args.dir.as_deref().map(mass_plot::free_bytes).transpose()?;
    let fits = free.is_none_or(|free| free >= costs.bytes_peak);
    let seconds = costs.seconds_per_plot * f64::from(args.plots);
    let farm_memory = costs.file.index_bytes * u64::from(costs.files);
    let mut text = format!(
        "plots    {} of k={size} and strength {strength}, files: {}\n\
         disk     {}, {} at the peak\n\
         time     {}, {:.1} seconds a plot{}\n\
         memory   {} to make them, {} at the least; {} to farm them\n\
         farming  {:.1} reads an hour on {}, which asks each file every {}\n",
        args.plots,
        costs.files,
        human_bytes(costs.bytes),
        human_bytes(costs.bytes_peak),
        human_time(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
        costs.seconds_per_plot,
        if args.group > 1 { ", and merging" } else { "" },
        human_bytes(costs.file.memory_bytes),
        human_bytes(costs.file.memory_bytes_least),
        human_bytes(farm_memory),
        costs.reads_per_hour,
        spec.rules().name,
        human_time(costs.interval),
    );
    if let Some(free) = free {
        let verdict = if fits { "enough" } else { "too little" };
        text.push_str(&format!("free     {}: {verdict}\n", human_bytes(free)));
    }
    let value = json!({
        "k": size.get(),
        "strength": strength.get(),
        "plots": args.plots,
        "files": costs.files,
        "bytes": costs.bytes,
        "bytes_peak": costs.bytes_peak,
        "bytes_free": free,
        "seconds": seconds,
        "seconds_per_plot": costs.seconds_per_plot,
        "measured": args.plot_seconds.is_none(),
        "memory_bytes": costs.file.memory_bytes,
        "memory_bytes_least": costs.file.memory_bytes_least,
        "farm_memory_bytes": farm_memory,
        "reads_per_hour": costs.reads_per_hour,
        "group_interval_seconds": costs.interval.as_secs_f64(),
    });
    output.result(&value, &text)?;
    Ok(Verdict::good_if(fits))
}

fn costs(args: &EstimateArgs, spec: &ChainSpec, size: PlotSize, strength: Strength) -> anyhow::Result<Costs> {
    let defaults = BuildOptions::default();
    let threads = args.threads.unwrap_or(defaults.threads);
    let build = BuildOptions { threads, memory_bytes: args.memory, ..defaults };
    let group = u16::try_from(args.plots).unwrap_or(u16::MAX).min(args.group);
    let file = Estimate::new(size, strength, group, &build);
    if let Some(allowed) = args.memory.filter(|allowed| *allowed < file.memory_bytes_least) {
        let (least, allowed) = (human_bytes(file.memory_bytes_least), human_bytes(allowed));
        bail!("a plot of k={size} takes {least} of memory at the least, {allowed} are allowed");
    }
    let seconds_per_plot = match args.plot_seconds {
        Some(seconds) => seconds.into(),
        None => seconds_of_work(size, strength, threads)? * file.work as f64,
    };
    let files = args.plots.div_ceil(group.into());
    let bytes = Estimate::new(size, strength, 1, &build).file_bytes.saturating_mul(args.plots.into());
    let rules = spec.rules();
    let round = rules.round_slots.saturating_mul(rules.slot_seconds.into());
    let interval = Duration::from_secs(round.saturating_mul(spec.filter(strength)));
    let reads = u64::from(files) * READS_PER_CHALLENGE;
    Ok(Costs {
        file,
        files,
        bytes,
        // The last file finds the disk as full as it gets.
        bytes_peak: bytes.saturating_sub(file.file_bytes).saturating_add(file.space_peak_bytes),
        seconds_per_plot,
        interval,
        reads_per_hour: 3600.0 * reads as f64 / interval.as_secs_f64(),
    })
}

/// The seconds that a unit of work takes here, by a plot that is made in memory.
fn seconds_of_work(size: PlotSize, strength: Strength, threads: NonZeroUsize) -> anyhow::Result<f64> {
    let size = PlotSize::new(size.get().min(TRIAL_SIZE))?;
    let strength = Strength::new(strength.get().min(TRIAL_STRENGTH_MAX))?;
    note(&format!("making a plot of k={size} to measure"));
    let params = PlotParams { group_id: GroupId::new([0; 32]), index: PlotIndex::ZERO, size, strength };
    let build = BuildOptions { threads, ..BuildOptions::default() };
    let start = Instant::now();
    mass_plot::build::<PlotError>(&params, &build, &|_| {}, &Gate::default(), &mut |_| Ok(()))?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(seconds / Estimate::new(size, strength, 1, &build).work as f64)
}
