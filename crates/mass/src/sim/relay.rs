//! `mass sim relay`: how soon a block is at the far end of a row of nodes.

use clap::Args;
use mass_simulator::network::{Farms, Propagation, Reach};
use serde_json::json;

use crate::output::{Output, Verdict, note, table};

/// What row, and which blocks.
#[derive(Args)]
pub struct RelayArgs {
    /// The seed of all randomness.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Links between the first node and the last.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    hops: u8,
    /// Milliseconds that a link takes, and up to a quarter more at random.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    latency: u64,
    /// Megabits in a second that go over a link in one direction.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    bandwidth: u64,
    /// Payments in a block: 5,210 make 1 MB.
    #[arg(long, default_value_t = 5_210, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    payments: u32,
    /// Blocks.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    blocks: u32,
    /// Part of the payments that each pool knows, from 0 to 1.
    #[arg(long, default_value_t = 1.0, value_parser = part)]
    known: f64,
    /// Leave out the time that the nodes take: the same seed then gives the same figures on each machine.
    #[arg(long)]
    links_only: bool,
    /// Milliseconds within which 95 of 100 blocks must arrive.
    #[arg(long, default_value_t = 1_000)]
    within: u32,
}

fn part(text: &str) -> Result<f64, String> {
    let part: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&part) { Ok(part) } else { Err("not within 0 and 1".to_owned()) }
}

/// Runs the row.
pub fn run(args: &RelayArgs, output: Output) -> anyhow::Result<Verdict> {
    let plan = Propagation {
        seed: args.seed,
        hops: args.hops.into(),
        latency: args.latency,
        bandwidth: args.bandwidth * 1_000_000 / 8,
        payments: args.payments as usize,
        blocks: args.blocks as usize,
        known: args.known,
        timed: !args.links_only,
    };
    note(&format!("{} blocks over {} hops, twice", plan.blocks, plan.hops));
    let found = plan.run(&Farms::make(1)?)?;
    let row = |name: &str, reach: &Reach| {
        let times = [reach.p50, reach.p95, reach.max, reach.node].map(|time| format!("{time:.0} ms"));
        let [p50, p95, max, node] = times;
        vec![name.to_owned(), p50, p95, max, format!("{} bytes", reach.bytes), node]
    };
    let titles = ["told", "median", "95 of 100", "slowest", "over a link", "a node takes"];
    let rows =
        [titles.map(str::to_owned).to_vec(), row("compact", &found.compact), row("whole", &found.whole)];
    let text = format!("blocks of {} bytes\n\n{}", found.block_bytes, table(&rows));
    let is_good = found.compact.p95 <= f64::from(args.within);
    output.result(&json!({ "result": found, "within": args.within, "in_time": is_good }), &text)?;
    Ok(Verdict::good_if(is_good))
}
