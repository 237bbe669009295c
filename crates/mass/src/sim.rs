//! `mass sim`: the attack laboratory, its tables and its drawings; and whole networks.

mod network;
mod relay;

use std::{path::PathBuf, time::Instant};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use mass_simulator::{
    Measurement, Report, Table,
    attack::{EXPERIMENTS, Experiment, Set, find},
    write_document,
};
use serde_json::{Value, json};

use crate::output::{Output, Verdict, human_time, note, table};

/// The name that stands for the experiments on our own rules.
const OURS: &str = "ours";

/// What to simulate.
#[derive(Subcommand)]
pub enum Command {
    /// Perform experiments, and print what was measured beside what was expected.
    ///
    /// The same seed gives the same figures. The exit code is 1 if a figure is out of its band, chance granted.
    Attack(AttackArgs),
    /// Run a whole network of real nodes under a virtual clock, with cuts, crashes and cheats, and check it.
    ///
    /// The exit code is 1 if a check finds something; the result names the seed, the event and the rule, and the same
    /// command shows it again.
    Network(network::NetworkArgs),
    /// Send blocks along a row of real nodes, told whole and told by what receivers lack, and measure when they arrive.
    ///
    /// The exit code is 1 if 95 of 100 compact blocks are not at the far end within --within.
    Relay(relay::RelayArgs),
}

/// Experiments and where they start.
#[derive(Args)]
pub struct AttackArgs {
    /// The experiment, or "ours": those that measure our own rules, beside others'.
    #[arg(required_unless_present_any = ["list", "all"])]
    name: Option<String>,
    /// List the experiments.
    #[arg(long, conflicts_with_all = ["name", "all"])]
    list: bool,
    /// Perform all experiments: a few minutes.
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// The seed of all randomness.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs of each case; more give smaller errors. Each experiment has a number of its own without it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(i64::from(mass_simulator::attack::RUNS_MIN)..))]
    runs: Option<u32>,
    /// Also write NAME.csv, NAME-curves.csv and NAME.svg into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write what was found on our own rules as Markdown, with drawings in a directory beside it.
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    let args = match command {
        Command::Attack(args) => args,
        Command::Network(args) => return network::run(args, output),
        Command::Relay(args) => return relay::run(args, output),
    };
    let chosen: Vec<&Experiment> = match args.name.as_deref() {
        None if args.all => EXPERIMENTS.iter().collect(),
        None => return list(output).map(|()| Verdict::Good),
        Some(OURS) => EXPERIMENTS.iter().filter(|experiment| experiment.set == Set::Ours).collect(),
        Some(name) => vec![find(name).ok_or_else(|| {
            anyhow!("unknown experiment \"{name}\": `mass sim attack --list` has their names")
        })?],
    };
    let reports = perform(&chosen, args, output)?;
    if let Some(path) = &args.document {
        tell(&write_document(path, &command_line(args), &reports)?);
    }
    let is_good = reports.iter().all(Report::is_in_band);
    if output.json {
        output.result(&value(&reports, args.name.as_deref())?, "")?;
    } else if reports.len() > 1 {
        output.result(&Value::Null, &summary(&reports))?;
    }
    Ok(Verdict::good_if(is_good))
}

/// Performs experiments one after the other; as text each is told when it is done.
fn perform(chosen: &[&Experiment], args: &AttackArgs, output: Output) -> anyhow::Result<Vec<Report>> {
    let start = Instant::now();
    let mut reports = Vec::new();
    for (number, experiment) in chosen.iter().enumerate() {
        let report = experiment.run(args.seed, args.runs.unwrap_or(experiment.runs))?;
        if let Some(dir) = &args.out {
            tell(&report.save(dir)?);
        }
        if !output.json {
            output.result(&Value::Null, &format!("{}\n ", text(experiment, &report)))?;
        }
        if chosen.len() > 1 {
            let verdict = if report.is_in_band() { "in band" } else { "OUT OF BAND" };
            let (name, elapsed) = (experiment.name, human_time(start.elapsed()));
            note(&format!("{} of {}: {name} {verdict}, {elapsed} so far", number + 1, chosen.len()));
        }
        reports.push(report);
    }
    Ok(reports)
}

/// One report by itself, many with a verdict over all.
fn value(reports: &[Report], name: Option<&str>) -> anyhow::Result<Value> {
    let of = |report: &Report| -> anyhow::Result<Value> {
        let mut value = serde_json::to_value(report)?;
        value["in_band"] = Value::from(report.is_in_band());
        Ok(value)
    };
    if let ([report], Some(_)) = (reports, name) {
        return of(report);
    }
    let all = reports.iter().map(of).collect::<anyhow::Result<Vec<Value>>>()?;
    Ok(json!({ "in_band": reports.iter().all(Report::is_in_band), "reports": all }))
}

fn summary(reports: &[Report]) -> String {
    let figures: usize = reports.iter().map(|report| report.measurements.len()).sum();
    let out: Vec<&str> =
        reports.iter().filter(|report| !report.is_in_band()).map(|report| report.experiment).collect();
    let verdict =
        if out.is_empty() { "all in band".to_owned() } else { format!("OUT OF BAND: {}", out.join(", ")) };
    format!("{} experiments, {figures} figures: {verdict}", reports.len())
}

/// How the command is written, for the document that it writes.
fn command_line(args: &AttackArgs) -> String {
    let which = args.name.as_deref().unwrap_or("--all");
    let runs = args.runs.map_or(String::new(), |runs| format!(" --runs {runs}"));
    format!("mass sim attack {which} --seed {}{runs} --document FILE", args.seed)
}

fn list(output: Output) -> anyhow::Result<()> {
    let value = |experiment: &Experiment| json!({ "name": experiment.name, "about": experiment.about, "runs": experiment.runs });
    let rows: Vec<Vec<String>> = EXPERIMENTS
        .iter()
        .map(|experiment| vec![experiment.name.to_owned(), experiment.about.to_owned()])
        .collect();
    output.result(&EXPERIMENTS.iter().map(value).collect(), &table(&rows))
}

fn tell(written: &[PathBuf]) {
    written.iter().for_each(|path| note(&format!("written: {}", path.display())));
}

fn text(experiment: &Experiment, report: &Report) -> String {
    let mut rows =
        vec![["case", "quantity", "measured", "error", "expected", "verdict"].map(str::to_owned).to_vec()];
    rows.extend(report.measurements.iter().map(row));
    let mut text = format!("{}: {}\n\n{}", experiment.name, experiment.about, table(&rows));
    for shown in report.page.iter().flat_map(|page| &page.tables) {
        text.push_str(&format!("\n{}\n\n{}", shown.caption, plain(shown)));
    }
    for claim in report.page.iter().flat_map(|page| &page.claims) {
        text.push_str(&format!("\n{claim}\n"));
    }
    for limit in report.page.iter().flat_map(|page| &page.limits) {
        text.push_str(&format!("not covered: {limit}\n"));
    }
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

fn plain(shown: &Table) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(&shown.columns).chain(&shown.rows).cloned().collect();
    table(&rows)
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
