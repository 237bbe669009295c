//! `mass plots check`: a plot is good if it answers as many challenges as it should and its answers have proofs that
//! verify.
//!
//! Qualities come in bursts, so that their number says little; the challenges answered at all are independent, and are
//! what the p-value is of. Each plot of a group is judged by itself, too: one that is silent among 128 does not show
//! in their sum.

use anyhow::anyhow;
use clap::Args;
use mass_plot::{Expectation, Listing, Plot, SolveOptions};
use mass_primitives::{Challenge, PlotIndex};
use mass_proof_of_space::{QualityChain, verify};
use serde_json::{Value, json};

use super::{Dirs, Found, describe, find, reasons};
use crate::output::{Output, Verdict, note};

/// Below this p-value a plot is bad: of a billion good ones, one is.
const P_VALUE_MIN: f64 = 1e-9;
/// Challenges after which a plot that answered none is bad: a good one does that with odds of about `2^-58`.
const SILENT_CHALLENGES: u32 = 64;
/// Proofs that are found and verified per file at the most, for each takes seconds.
const PROOFS: u32 = 3;

/// Which plots to try out, and how hard.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    dirs: Dirs,
    /// Random challenges for each plot: the more, the less can a plot that answers too seldom hide. One that answers
    /// none of them gets up to 64.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    challenges: u32,
    /// Read every byte of every plot too, and check all checksums.
    #[arg(long)]
    full: bool,
}

/// What trying out the plots of a file has shown.
#[derive(Default)]
struct Trial {
    challenges: u32,
    qualities: u64,
    /// Challenges that each plot answered.
    answered: Vec<u32>,
    proofs: u32,
    fault: Option<String>,
}

impl Trial {
    /// The p-value of all answers, and of those of the plot that answered least, given that it is the worst of many.
    fn p_values(&self, expected: &Expectation) -> (f64, f64) {
        let (challenges, plots) = (u64::from(self.challenges), self.answered.len() as u64);
        let all = self.answered.iter().copied().map(u64::from).sum();
        let least = self.answered.iter().copied().min().unwrap_or(0);
        let worst = expected.p_value(challenges, least.into()) * plots as f64;
        (expected.p_value(challenges * plots, all), worst.min(1.0))
    }
}

/// Tries out every plot.
pub fn check(args: &CheckArgs, output: Output) -> anyhow::Result<Verdict> {
    let found = find(&args.dirs);
    let Found { listing: Listing { plots, faults }, unreadable } = &found;
    let (mut text, mut values, mut bad) = (String::new(), Vec::new(), faults.len());
    for (number, plot) in plots.iter().enumerate() {
        if !output.json {
            note(&format!("checking file {} of {}", number + 1, plots.len()));
        }
        let trial = try_out(plot, args)?;
        bad += usize::from(trial.fault.is_some());
        text.push_str(&line(plot, &trial));
        values.push(value(plot, &trial));
    }
    for (path, reason) in faults {
        text.push_str(&format!("bad   {}: {reason}\n", path.display()));
    }
    let good = plots.len() + faults.len() - bad;
    text.push_str(&format!("files: {good} good, {bad} bad\n"));
    let result = json!({
        "good": good,
        "bad": bad,
        "plots": values,
        "faults": reasons(faults),
        "unreadable": reasons(unreadable),
    });
    output.result(&result, &text)?;
    Ok(Verdict::good_if(bad == 0 && unreadable.is_empty()))
}

fn try_out(plot: &Plot, args: &CheckArgs) -> anyhow::Result<Trial> {
    let (mut trial, challenges) = (Trial::default(), args.challenges);
    if args.full
        && let Err(fault) = plot.check_all(|_| true)
    {
        trial.fault = Some(fault.to_string());
        return Ok(trial);
    }
    trial.answered = vec![0; plot.count().into()];
    let expected = plot.expectation();
    while trial.challenges < challenges
        || (trial.answered.contains(&0) && trial.challenges < SILENT_CHALLENGES)
    {
        let challenge = random_challenge()?;
        if let Err(fault) = ask(plot, &challenge, &mut trial) {
            trial.fault = Some(fault);
            return Ok(trial);
        }
    }
    let (all, worst) = trial.p_values(&expected);
    if let Some(silent) = trial.answered.iter().position(|answered| *answered == 0) {
        trial.fault = Some(format!("plot {silent} answers no challenge"));
    } else if all.min(worst) < P_VALUE_MIN {
        trial.fault = Some(format!("it answers too few challenges, p-value {:.1e}", all.min(worst)));
    }
    Ok(trial)
}

/// One challenge; the error says why the plot is bad.
fn ask(plot: &Plot, challenge: &Challenge, trial: &mut Trial) -> Result<(), String> {
    trial.challenges += 1;
    let found = plot.group_qualities(challenge).map_err(|error| error.to_string())?;
    trial.qualities += found.len() as u64;
    for (number, answered) in (0..plot.count()).zip(&mut trial.answered) {
        *answered += u32::from(found.iter().any(|(index, _)| index.get() == number));
    }
    // Of the plots that answer in turn, so that each has a chance.
    let left = PROOFS - trial.proofs;
    let step = (found.len() / PROOFS as usize).max(1);
    for (index, chain) in found.iter().step_by(step).take(left as usize) {
        prove(plot, challenge, *index, chain)?;
        trial.proofs += 1;
    }
    Ok(())
}

fn prove(plot: &Plot, challenge: &Challenge, index: PlotIndex, chain: &QualityChain) -> Result<(), String> {
    let params = plot.params_of(index).ok_or("an answer is of no plot")?;
    let proof = plot.solve_of(index, chain, &SolveOptions::default()).map_err(|error| error.to_string())?;
    let verified = verify(params, challenge, &proof).map_err(|error| error.to_string())?;
    if verified == *chain { Ok(()) } else { Err("a proof is of another quality chain".to_owned()) }
}

fn random_challenge() -> anyhow::Result<Challenge> {
    let mut bytes = [0u8; Challenge::LEN];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    Ok(Challenge::new(bytes))
}

fn expected_qualities(plot: &Plot, trial: &Trial) -> f64 {
    plot.expectation().qualities * f64::from(trial.challenges) * f64::from(plot.count())
}

fn line(plot: &Plot, trial: &Trial) -> String {
    let path = plot.path().display();
    match &trial.fault {
        Some(fault) => format!("bad   {path}: {fault}\n"),
        None => format!(
            "good  {path}: {} qualities for {} challenges ({:.0} expected, p-value {:.2}), {} proofs verified\n",
            trial.qualities,
            trial.challenges,
            expected_qualities(plot, trial),
            trial.p_values(&plot.expectation()).0,
            trial.proofs
        ),
    }
}

fn value(plot: &Plot, trial: &Trial) -> Value {
    let (expectation, mut value) = (plot.expectation(), describe(plot));
    let (all, worst) = trial.p_values(&expectation);
    let trials = f64::from(trial.challenges) * f64::from(plot.count());
    value["good"] = json!(trial.fault.is_none());
    value["fault"] = json!(trial.fault);
    value["challenges"] = json!(trial.challenges);
    value["qualities"] = json!(trial.qualities);
    value["qualities_expected"] = json!(expected_qualities(plot, trial));
    value["answers"] = json!(trial.answered.iter().sum::<u32>());
    value["answers_expected"] = json!(expectation.answer * trials);
    value["p_value"] = json!(all);
    value["p_value_of_worst_plot"] = json!(worst);
    value["proofs_verified"] = json!(trial.proofs);
    value
}
