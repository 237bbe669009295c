//! Double spending: an adversary works on a chain without the payment while it is being confirmed, and then on until
//! it is caught up or all hope is gone.
//!
//! Nakamoto takes the adversary's blocks during `z` honest ones as Poisson; Rosenfeld counts them exactly, as
//! negative binomial, with one block made beforehand, so that drawing level suffices.

use rand::Rng;
use statrs::distribution::{Discrete, NegativeBinomial, Poisson};

use super::{AttackError, Findings, Trial};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::Sample,
};

const NAKAMOTO: &str = "Nakamoto, Bitcoin (2008), section 11";
const ROSENFELD: &str = "Rosenfeld, Analysis of hashrate-based double-spending (2012)";
const STRICT: &str = "the laboratory's table, row 6; the reading of its race is in the notes";
const RACES: u32 = 100_000;
/// Behind so far, an adversary of 0.3 has odds of 10^-22 and gives up.
const HOPELESS: i64 = 60;

/// The odds of drawing level with `blocks` honest blocks from so many behind.
fn catch_up(share: f64, behind: i64) -> f64 {
    (share / (1.0 - share)).powf(behind.max(0) as f64)
}

fn nakamoto(share: f64, blocks: u32) -> f64 {
    let Ok(progress) = Poisson::new(f64::from(blocks) * share / (1.0 - share)) else { return f64::NAN };
    let missed = |made: u32| progress.pmf(made.into()) * (1.0 - catch_up(share, i64::from(blocks - made)));
    1.0 - (0..=blocks).map(missed).sum::<f64>()
}

/// The odds that an adversary who makes `m` blocks while `raced` honest ones are made ever has `needed`, with
/// as many again as honest farmers make meanwhile. Rosenfeld's is `(z, z)`.
fn race_odds(share: f64, raced: u32, needed: u32) -> f64 {
    let Ok(progress) = NegativeBinomial::new(raced.into(), 1.0 - share) else { return f64::NAN };
    let missed = |made: u32| progress.pmf(made.into()) * (1.0 - catch_up(share, i64::from(needed - made)));
    1.0 - (0..=needed).map(missed).sum::<f64>()
}

/// One such race.
fn race<R: Rng>(share: f64, raced: u32, needed: u32, rng: &mut R) -> bool {
    let mut honest = 0;
    let mut behind = i64::from(needed);
    while honest < raced {
        if rng.gen_bool(share) { behind -= 1 } else { honest += 1 }
    }
    while behind > 0 && behind < HOPELESS {
        behind += if rng.gen_bool(share) { -1 } else { 1 };
    }
    behind <= 0
}

fn simulated(trial: &Trial, case: u32, share: f64, raced: u32, needed: u32) -> Sample {
    let part = |mut rng| {
        let won = (0..RACES).filter(|_| race(share, raced, needed, &mut rng)).count();
        won as f64 / f64::from(RACES)
    };
    trial.streams(case).map(part).collect()
}

/// Row 5.
pub(super) fn double_spend(trial: &Trial) -> Result<Findings, AttackError> {
    let published = [(0.1, 6, (0.000_243, 0.000_591), 1e-6), (0.3, 10, (0.0417, 0.0651), 1e-4)];
    let mut measurements = Vec::new();
    for (case, (share, blocks, expected, unit)) in (0..).zip(published) {
        let name = format!("q = {share}, z = {blocks}");
        let (poisson, exact) = (nakamoto(share, blocks), race_odds(share, blocks, blocks));
        let band = |expected| Band::rounded(expected, unit);
        let quantity = "closed form, Poisson";
        measurements.push(Measurement::exact(
            &name,
            quantity,
            poisson,
            expected.0,
            band(expected.0),
            NAKAMOTO,
        ));
        let quantity = "closed form, exact";
        measurements.push(Measurement::exact(
            &name,
            quantity,
            exact,
            expected.1,
            band(expected.1),
            ROSENFELD,
        ));
        let sample = simulated(trial, case, share, blocks, blocks);
        measurements.push(Measurement::sampled(
            &name,
            "simulated",
            &sample,
            expected.1,
            band(expected.1),
            ROSENFELD,
        ));
    }
    let curve = |share: f64| Series {
        name: format!("q = {share}"),
        points: (1..=30).map(|z| (f64::from(z), race_odds(share, z, z).log10())).collect(),
    };
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![format!("A run is {RACES} races; an adversary {HOPELESS} blocks behind gives up.")],
        chart: Chart {
            x: "confirmations (z)",
            y: "log10 of the odds, Rosenfeld",
            is_x_logarithmic: false,
            series: [0.1, 0.2, 0.3, 0.4].map(curve).to_vec(),
        },
    })
}

/// Row 6: the block that is to be replaced has been made when the race begins, so `k - 1` more confirm it; the adversary
/// has one block made beforehand and needs more than `k`.
pub(super) fn strict_lead(trial: &Trial) -> Result<Findings, AttackError> {
    let published =
        [(0.25, 6, 0.0458), (0.25, 12, 0.0062), (0.3, 6, 0.1117), (0.3, 12, 0.0306), (0.3, 24, 0.0029)];
    let mut measurements = Vec::new();
    for (case, (share, depth, expected)) in (0..).zip(published) {
        let name = format!("q = {share}, k = {depth}");
        let band = Band::rounded(expected, 1e-4);
        let odds = race_odds(share, depth - 1, depth);
        measurements.push(Measurement::exact(&name, "closed form", odds, expected, band, STRICT));
        let sample = simulated(trial, case, share, depth - 1, depth);
        measurements.push(Measurement::sampled(&name, "simulated", &sample, expected, band, STRICT));
    }
    let curve = |share: f64| Series {
        name: format!("q = {share}"),
        points: (2..=30).map(|k| (f64::from(k), race_odds(share, k - 1, k).log10())).collect(),
    };
    let reading = "The table names no model. All five figures are those of this one: the race begins with the block to \
                   be replaced in place, k - 1 more confirm it, the adversary has one block made beforehand and needs \
                   strictly more than k.";
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![reading.to_owned()],
        chart: Chart {
            x: "confirmations (k)",
            y: "log10 of the odds",
            is_x_logarithmic: false,
            series: [0.1, 0.25, 0.3, 0.4].map(curve).to_vec(),
        },
    })
}
