//! Selfish mining: blocks are withheld and shown when that makes honest work worthless.
//!
//! The machine of Eyal and Sirer, "Majority is not Enough" (2014): `alpha` is the adversary's share, `gamma` that of
//! the honest farmers who extend its block when two are shown at once.

use rand::Rng;

use super::{AttackError, Findings, Trial};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::{Sample, crossing},
};

const REVENUE: &str = "Eyal and Sirer, Majority is not Enough (2014): revenue of the pool";
const THRESHOLD: &str =
    "Eyal and Sirer, Majority is not Enough (2014): threshold (1 - gamma) / (3 - 2 gamma)";
const WINS: u32 = 400_000;

/// The adversary's part of the blocks that last, by the closed form.
fn revenue(alpha: f64, gamma: f64) -> f64 {
    let honest = 1.0 - alpha;
    let gained = alpha * honest.powi(2) * (4.0 * alpha + gamma * (1.0 - 2.0 * alpha)) - alpha.powi(3);
    gained / (1.0 - alpha * (1.0 + (2.0 - alpha) * alpha))
}

/// The same by playing it.
fn played<R: Rng>(alpha: f64, gamma: f64, rng: &mut R) -> f64 {
    let (mut hidden, mut is_tied) = (0u32, false);
    let (mut adversary, mut honest) = (0.0, 0.0);
    for _ in 0..WINS {
        let is_adversary = rng.gen_bool(alpha);
        match (is_adversary, hidden, is_tied) {
            (true, _, true) => {
                // Its block of the tie and this one, shown at once.
                adversary += 2.0;
                is_tied = false;
            }
            (true, _, false) => hidden += 1,
            (false, _, true) => {
                let is_on_adversary = rng.gen_bool(gamma);
                adversary += f64::from(u8::from(is_on_adversary));
                honest += if is_on_adversary { 1.0 } else { 2.0 };
                is_tied = false;
            }
            (false, 0, false) => honest += 1.0,
            (false, 1, false) => {
                hidden = 0;
                is_tied = true;
            }
            (false, 2, false) => {
                adversary += 2.0;
                hidden = 0;
            }
            (false, _, false) => {
                // One block of the lead is shown, and will last.
                adversary += 1.0;
                hidden -= 1;
            }
        }
    }
    adversary / (adversary + honest)
}

/// Row 7.
pub(super) fn selfish(trial: &Trial) -> Result<Findings, AttackError> {
    let mut measurements = Vec::new();
    let mut points = Vec::new();
    let third = 1.0 / 3.0;
    for (case, (share, expected, unit)) in
        (0..).zip([(third, 0.333, 1e-3), (0.4, 0.4837, 1e-4), (0.45, 0.6518, 1e-4)])
    {
        let name = format!("gamma = 0, share = {share:.3}");
        let band = Band::rounded(expected, unit);
        measurements.push(Measurement::exact(
            &name,
            "closed form",
            revenue(share, 0.0),
            expected,
            band,
            REVENUE,
        ));
        let sample: Sample = trial.streams(case).map(|mut rng| played(share, 0.0, &mut rng)).collect();
        measurements.push(Measurement::sampled(&name, "simulated", &sample, expected, band, REVENUE));
        points.push((share, sample.mean()));
    }
    for (case, (gamma, expected)) in (10..).zip([(0.0, third), (0.5, 0.25)]) {
        let name = format!("gamma = {gamma}");
        let band = Band::relative(expected, -0.001, 0.001);
        let root = crossing(0.05, 0.45, |share| revenue(share, gamma) - share);
        measurements.push(Measurement::exact(
            &name,
            "threshold, closed form",
            root,
            expected,
            band,
            THRESHOLD,
        ));
        let sample: Sample =
            trial.streams(case).map(|mut rng| threshold(gamma, expected, &mut rng)).collect();
        measurements.push(Measurement::sampled(
            &name,
            "threshold, simulated",
            &sample,
            expected,
            band,
            THRESHOLD,
        ));
    }
    let curve = |gamma: f64| Series {
        name: format!("gamma = {gamma}"),
        points: (1..=49).map(|i| f64::from(i) / 100.0).map(|share| (share, revenue(share, gamma))).collect(),
    };
    let mut series = [0.0, 0.5, 1.0].map(curve).to_vec();
    series.push(Series { name: "simulated, gamma = 0".to_owned(), points });
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![format!(
            "A run is {WINS} wins; a threshold comes from two shares beside it, by a straight line."
        )],
        chart: Chart { x: "share", y: "part of the blocks that last", is_x_logarithmic: false, series },
    })
}

/// Where revenue meets the share, on the line through the gains at two shares about `around`, so near that the bend of the
/// closed form moves it by less than a part in a thousand.
fn threshold<R: Rng>(gamma: f64, around: f64, rng: &mut R) -> f64 {
    let (low, high) = (around - 0.005, around + 0.005);
    let (below, above) = (played(low, gamma, rng) - low, played(high, gamma, rng) - high);
    low - below * (high - low) / (above - below)
}
