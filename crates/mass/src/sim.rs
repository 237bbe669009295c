//! `mass sim`: the attack laboratory, its tables and its drawings; and whole networks.

mod network;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use mass_simulator::{
    Measurement, Report,
    attack::{EXPERIMENTS, Experiment, find},
};
use serde_json::{Value, json};

use crate::output::{Output, Verdict, note, table};

/// The name that stands for each experiment.
const ALL: &str = "all";

/// What to simulate.
#[derive(Subcommand)]
pub enum Command {
    /// Perform an experiment, and print what was measured beside what was expected.
    ///
    /// The same seed gives the same figures. The exit code is 1 if a figure is out of its band, chance granted.
    Attack(AttackArgs),
    /// Run a whole network of real nodes under a virtual clock, with cuts, crashes and cheats, and check it.
    ///
    /// The exit code is 1 if a check finds something; the result names the seed, the event and the rule, and the same
    /// command shows it again.
    Network(network::NetworkArgs),
}

/// An experiment and where it starts.
#[derive(Args)]
pub struct AttackArgs {
    /// The experiment, or "all".
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// List the experiments.
    #[arg(long, conflicts_with = "name")]
    list: bool,
    /// The seed of all randomness.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs of each case; more give smaller errors. Each experiment has a number of its own without it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(i64::from(mass_simulator::attack::RUNS_MIN)..))]
    runs: Option<u32>,
    /// Also write NAME.csv, NAME-curves.csv and NAME.svg into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    let args = match command {
        Command::Attack(args) => args,
        Command::Network(args) => return network::run(args, output),
    };
    let Some(name) = &args.name else {
        return list(output).map(|()| Verdict::Good);
    };
    if name == ALL {
        let mut is_good = true;
        for experiment in &EXPERIMENTS {
            is_good &= attack(experiment, args, output)?;
        }
        return Ok(Verdict::good_if(is_good));
    }
    let experiment = find(name)
        .ok_or_else(|| anyhow!("unknown experiment \"{name}\": `mass sim attack --list` has their names"))?;
    attack(experiment, args, output).map(Verdict::good_if)
}

fn list(output: Output) -> anyhow::Result<()> {
    let value = |experiment: &Experiment| json!({ "name": experiment.name, "about": experiment.about, "runs": experiment.runs });
    let rows: Vec<Vec<String>> = EXPERIMENTS
        .iter()
        .map(|experiment| vec![experiment.name.to_owned(), experiment.about.to_owned()])
        .collect();
    output.result(&EXPERIMENTS.iter().map(value).collect(), &table(&rows))
}

/// Performs an experiment; whether all its figures are in their bands.
fn attack(experiment: &Experiment, args: &AttackArgs, output: Output) -> anyhow::Result<bool> {
    let report = experiment.run(args.seed, args.runs.unwrap_or(experiment.runs))?;
    if let Some(dir) = &args.out {
        save(&report, dir)?;
    }
    let mut value = serde_json::to_value(&report)?;
    value["in_band"] = Value::from(report.is_in_band());
    output.result(&value, &text(experiment, &report))?;
    Ok(report.is_in_band())
}

fn save(report: &Report, dir: &Path) -> anyhow::Result<()> {
    for path in report.save(dir)? {
        note(&format!("written: {}", path.display()));
    }
    Ok(())
}

fn text(experiment: &Experiment, report: &Report) -> String {
    let mut rows =
        vec![["case", "quantity", "measured", "error", "expected", "verdict"].map(str::to_owned).to_vec()];
    rows.extend(report.measurements.iter().map(row));
    let mut text = format!("{}: {}\n\n{}", experiment.name, experiment.about, table(&rows));
    let mut sources: Vec<&str> = report.measurements.iter().map(|row| row.source).collect();
    sources.dedup();
    text.push_str("\nexpected from:\n");
    let mut told: Vec<&str> = Vec::new();
    for source in sources {
        if !told.contains(&source) {
            text.push_str(&format!("  {source}\n"));
            told.push(source);
        }
    }
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    let out = report.measurements.iter().filter(|row| !row.in_band).count();
    let verdict = if out == 0 { "in band".to_owned() } else { format!("OUT OF BAND: {out} figures") };
    text.push_str(&format!("seed {}, {} runs: {verdict}\n", report.seed, report.runs));
    text
}

fn row(measurement: &Measurement) -> Vec<String> {
    let error = match measurement.error {
        0.0 => "exact".to_owned(),
        error => digits(error, 2),
    };
    let verdict = if measurement.in_band { "in" } else { "OUT" };
    vec![
        measurement.case.clone(),
        measurement.quantity.to_owned(),
        digits(measurement.measured, 4),
        error,
        digits(measurement.expected, 4),
        verdict.to_owned(),
    ]
}

/// A number with so many digits that count.
fn digits(number: f64, count: i32) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let before = number.abs().log10().floor() as i32 + 1;
    let decimals = usize::try_from(count - before).unwrap_or(0);
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn numbers_have_the_digits_that_count() {
        let shown =
            [(0.000_591_4, 4), (5585.45, 4), (1.0, 4), (0.0, 4), (12_345.6, 2)].map(|(n, c)| digits(n, c));
        assert_eq!(shown, ["0.0005914", "5585", "1.000", "0", "12346"]);
    }
}
