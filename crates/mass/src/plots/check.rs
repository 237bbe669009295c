//! `mass plots check`: a plot is good if it answers challenges and its answers have proofs that verify.

use anyhow::anyhow;
use clap::Args;
use mass_plot::{Listing, Plot};
use mass_primitives::Challenge;
use mass_proof_of_space::{QualityChain, verify};
use serde_json::{Value, json};

use super::{Dirs, Found, describe, find, reasons};
use crate::output::{Output, Verdict, note};

/// Quality chains that a good plot has per challenge on average, by construction.
const MEAN_QUALITIES: f64 = 1.0;
/// Challenges after which a plot that answered none is bad: a good one does that with odds of about `2^-64`.
const SILENT_CHALLENGES: u32 = 64;
/// Proofs that are found and verified per plot at the most, for each takes seconds.
const PROOFS: u32 = 3;

/// Which plots to try out, and how hard.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    dirs: Dirs,
    /// Random challenges for each plot: the more, the closer are the qualities found to those expected. A plot
    /// that answers none of them gets up to 64.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    challenges: u32,
    /// Read every byte of every plot too, and check all checksums.
    #[arg(long)]
    full: bool,
}

/// What trying out a plot has shown.
#[derive(Default)]
struct Trial {
    challenges: u32,
    qualities: u64,
    proofs: u32,
    fault: Option<String>,
}

/// Tries out every plot.
pub fn check(args: &CheckArgs, output: Output) -> anyhow::Result<Verdict> {
    let found = find(&args.dirs);
    let Found { listing: Listing { plots, faults }, unreadable } = &found;
    let (mut text, mut values, mut bad) = (String::new(), Vec::new(), faults.len());
    for (number, plot) in plots.iter().enumerate() {
        if !output.json {
            note(&format!("checking plot {} of {}", number + 1, plots.len()));
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
    text.push_str(&format!("plots: {good} good, {bad} bad\n"));
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
    while trial.challenges < challenges || (trial.qualities == 0 && trial.challenges < SILENT_CHALLENGES) {
        let challenge = random_challenge()?;
        if let Err(fault) = ask(plot, &challenge, &mut trial) {
            trial.fault = Some(fault);
            return Ok(trial);
        }
    }
    if trial.qualities == 0 {
        trial.fault = Some("it answers no challenge".to_owned());
    }
    Ok(trial)
}

/// One challenge; the error says why the plot is bad.
fn ask(plot: &Plot, challenge: &Challenge, trial: &mut Trial) -> Result<(), String> {
    trial.challenges += 1;
    let chains = plot.qualities(challenge).map_err(|error| error.to_string())?;
    trial.qualities += chains.len() as u64;
    for chain in &chains {
        if trial.proofs == PROOFS {
            break;
        }
        prove(plot, challenge, chain)?;
        trial.proofs += 1;
    }
    Ok(())
}

fn prove(plot: &Plot, challenge: &Challenge, chain: &QualityChain) -> Result<(), String> {
    let proof = plot.solve(chain).map_err(|error| error.to_string())?;
    let verified = verify(plot.params(), challenge, &proof).map_err(|error| error.to_string())?;
    if verified == *chain { Ok(()) } else { Err("a proof is of another quality chain".to_owned()) }
}

fn random_challenge() -> anyhow::Result<Challenge> {
    let mut bytes = [0u8; Challenge::LEN];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    Ok(Challenge::new(bytes))
}

fn expected(trial: &Trial) -> f64 {
    MEAN_QUALITIES * f64::from(trial.challenges)
}

fn line(plot: &Plot, trial: &Trial) -> String {
    let path = plot.path().display();
    match &trial.fault {
        Some(fault) => format!("bad   {path}: {fault}\n"),
        None => format!(
            "good  {path}: {} qualities for {} challenges ({:.0} expected), {} proofs verified\n",
            trial.qualities,
            trial.challenges,
            expected(trial),
            trial.proofs
        ),
    }
}

fn value(plot: &Plot, trial: &Trial) -> Value {
    let mut value = describe(plot);
    value["good"] = json!(trial.fault.is_none());
    value["fault"] = json!(trial.fault);
    value["challenges"] = json!(trial.challenges);
    value["qualities"] = json!(trial.qualities);
    value["qualities_expected"] = json!(expected(trial));
    value["proofs_verified"] = json!(trial.proofs);
    value
}
