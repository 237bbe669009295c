//! `mass sim network`: whole networks from a seed, and what their checks found.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mass_simulator::network::{Farms, Network, NetworkError, Progress, Summary, Violation};
use serde_json::json;

use crate::output::{Output, Verdict, human_time, note, table};

/// What network, and for how long.
#[derive(Args)]
pub struct NetworkArgs {
    /// The seed of all randomness: the same seed and the same numbers give the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many seeds, one after the other, beginning with --seed.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Number of nodes.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(Network::NODES_MIN as i64..=10_000))]
    nodes: u32,
    /// Hours of virtual time in which blocks are made; ten minutes to settle come after them.
    #[arg(long, default_value_t = 2.0, value_parser = hours)]
    hours: f64,
    /// Nodes with a farmer, who have 2 to 6 plots each.
    #[arg(long)]
    farmers: Option<usize>,
    /// Farmers who seal two blocks in each slot that they win.
    #[arg(long)]
    double_sealers: Option<usize>,
    /// Farmers who keep their blocks back to make those of others stale.
    #[arg(long)]
    withholders: Option<usize>,
    /// Farmers who show headers and withhold the contents.
    #[arg(long)]
    mutes: Option<usize>,
    /// Farmers who seal each win a dozen times.
    #[arg(long)]
    flooders: Option<usize>,
    /// Farmers who seal bodies that break a rule, or send others than they sealed.
    #[arg(long)]
    forgers: Option<usize>,
    /// Farmers who tell true and forged evidence without end.
    #[arg(long)]
    spammers: Option<usize>,
    /// Farmers who leave the network for minutes and come back with a branch of their own.
    #[arg(long)]
    loners: Option<usize>,
    /// Partitions of the network, one after the other.
    #[arg(long)]
    partitions: Option<usize>,
    /// Crashes of nodes.
    #[arg(long)]
    crashes: Option<usize>,
    /// Payments.
    #[arg(long)]
    payments: Option<usize>,
    /// Part of the messages that is lost, from 0 to 0.5.
    #[arg(long, value_parser = loss)]
    loss: Option<f64>,
    /// Confirmation depth: blocks that must never be disputed lie so deep below an honest node's tip.
    #[arg(long)]
    depth: Option<usize>,
}

fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("not within {least} and {most}")) }
}

fn hours(text: &str) -> Result<f64, String> {
    number(text, 0.1, 24.0 * 365.0)
}

fn loss(text: &str) -> Result<f64, String> {
    number(text, 0.0, 0.5)
}

impl NetworkArgs {
    fn network(&self, seed: u64) -> Network {
        let mut network = Network::new(seed, self.nodes as usize, (self.hours * 60.0).round() as u64);
        let numbers = [
            (&mut network.farmers, self.farmers),
            (&mut network.double_sealers, self.double_sealers),
            (&mut network.withholders, self.withholders),
            (&mut network.mutes, self.mutes),
            (&mut network.flooders, self.flooders),
            (&mut network.forgers, self.forgers),
            (&mut network.spammers, self.spammers),
            (&mut network.loners, self.loners),
            (&mut network.partitions, self.partitions),
            (&mut network.crashes, self.crashes),
            (&mut network.payments, self.payments),
            (&mut network.depth, self.depth),
        ];
        for (number, given) in numbers {
            *number = given.unwrap_or(*number);
        }
        network.loss = self.loss.unwrap_or(network.loss);
        network
    }
}

/// Runs the networks, up to the first in which a check finds something.
pub fn run(args: &NetworkArgs, output: Output) -> anyhow::Result<Verdict> {
    let farmers = args.network(args.seed).farmers;
    note(&format!("making the plots of {farmers} farmers"));
    let farms = Arc::new(Farms::make(farmers)?);
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let mut shown = Shown::new();
        let done = args.network(seed).run(&farms, &mut |progress| shown.show(progress));
        shown.bar.finish_and_clear();
        match done {
            Ok(summary) => succeeded(&summary, shown.started.elapsed(), output)?,
            Err(NetworkError::Violation(violation)) => {
                failed(&violation, output)?;
                return Ok(Verdict::Bad);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Verdict::Good)
}

/// How far a run is: a bar in a terminal, a line now and then in a log.
struct Shown {
    started: Instant,
    told: Instant,
    bar: ProgressBar,
}

/// The least time between two lines of a log.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl Shown {
    fn new() -> Self {
        let style = "{bar:30} {percent}% {msg}, {elapsed} gone, {eta} to go";
        let style = ProgressStyle::with_template(style).expect("a template that is right");
        let now = Instant::now();
        Self { started: now, told: now, bar: ProgressBar::new(1).with_style(style) }
    }

    fn show(&mut self, Progress { milliseconds, of, height, events }: Progress) {
        if io::stderr().is_terminal() {
            self.bar.set_length(of);
            self.bar.set_position(milliseconds);
            self.bar.set_message(format!("height {height}"));
        } else if self.told.elapsed() >= TELL_EVERY && milliseconds > 0 {
            self.told = Instant::now();
            let (gone, rest) = (self.started.elapsed(), of.saturating_sub(milliseconds));
            let left = gone.mul_f64(rest as f64 / milliseconds as f64);
            note(&format!(
                "{}% of {}: height {height}, {events} events; {} gone, {} to go",
                milliseconds * 100 / of,
                human_time(Duration::from_millis(of)),
                human_time(gone),
                human_time(left),
            ));
        }
    }
}

fn succeeded(summary: &Summary, took: Duration, output: Output) -> anyhow::Result<()> {
    let mut value = serde_json::to_value(summary)?;
    value["holds"] = true.into();
    value["stale_rate"] = summary.stale_rate().into();
    value["seconds"] = took.as_secs_f64().into();
    value["virtual_seconds"] = (summary.minutes * 60).into();
    let fields = value.as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = fields
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            vec![name.replace('_', " "), value]
        })
        .collect();
    let lived = human_time(Duration::from_secs(summary.minutes * 60));
    let text = format!("{}all checks hold; {lived} of the network in {}\n", table(&rows), human_time(took));
    output.result(&value, &text)
}

fn failed(violation: &Violation, output: Output) -> anyhow::Result<()> {
    let value = json!({ "holds": false, "seed": violation.seed, "violation": violation });
    output.result(&value, &format!("VIOLATION: {violation}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: NetworkArgs,
    }

    /// A violation names the command that shows it again.
    #[test]
    fn the_command_of_a_network_runs_that_network() {
        for network in [Network::new(7, 18, 120), Network { loss: 0.25, ..Network::new(3, 1000, 77) }] {
            let command = network.command();
            let words = command.split(' ').skip(2);
            let args = Command::try_parse_from(words).unwrap().args;
            assert_eq!(args.network(args.seed), network, "{command}");
        }
    }
}
