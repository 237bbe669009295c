//! Network delay: honest farmers who have not heard of the newest block work beside it, an adversary never does.
//!
//! Challenges come from outside (`c` is infinite), so a private chain grows by one block a win. With a delay `D`
//! and honest wins at the rate `h`, the honest chain grows at `h / (1 + h D)` at the worst; the crossover solves
//! `b l = (1 - b) l / (1 + (1 - b) l D)` (Dembo et al., "Everything is a Race and Nakamoto Always Wins").

use rand::Rng;
use rand_distr::{Distribution, Exp1};

use super::{AttackError, Findings, Trial};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::{Sample, crossing},
};

const PUBLISHED: [(f64, f64); 3] = [(0.2, 0.475), (0.5, 0.438), (1.0, 0.382)];
const SOURCE: &str =
    "Dembo et al., Everything is a Race and Nakamoto Always Wins (2020), the threshold with delay";
const WINS: usize = 60_000;

/// The crossover by the closed form, at `delay` mean intervals between any two blocks.
fn threshold(delay: f64) -> f64 {
    crossing(0.0, 0.5, |share| share - honest_rate(share, delay))
}

fn honest_rate(share: f64, delay: f64) -> f64 {
    (1.0 - share) / (1.0 + (1.0 - share) * delay)
}

/// How many blocks the adversary is ahead (or behind) once the honest wins are used up, by the same gaps for each
/// share, so that the crossover of a run is one point.
fn lead(share: f64, delay: f64, honest: &[f64], private: &[f64]) -> f64 {
    let (mut now, mut newest, mut height) = (0.0, f64::NEG_INFINITY, 0.0);
    for gap in honest {
        now += gap / (1.0 - share);
        // Whoever wins before the newest block reaches him makes one of the same height.
        if now >= newest + delay {
            newest = now;
            height += 1.0;
        }
    }
    let mut time = 0.0;
    let won = private.iter().take_while(|gap| {
        time += **gap / share;
        time <= now
    });
    won.count() as f64 - height
}

fn simulated<R: Rng>(delay: f64, rng: &mut R) -> f64 {
    let mut gaps = |count: usize| -> Vec<f64> { (0..count).map(|_| Exp1.sample(rng)).collect() };
    let (honest, private) = (gaps(WINS), gaps(2 * WINS));
    crossing(0.2, 0.55, |share| lead(share, delay, &honest, &private))
}

/// Row 4.
pub(super) fn delay(trial: &Trial) -> Result<Findings, AttackError> {
    let mut measurements = Vec::new();
    let mut points = Vec::new();
    for (case, (delay, published)) in (0..).zip(PUBLISHED) {
        let name = format!("rate * delay = {delay}");
        let band = Band::rounded(published, 0.001);
        measurements.push(Measurement::exact(
            &name,
            "closed form",
            threshold(delay),
            published,
            band,
            SOURCE,
        ));
        let sample: Sample = trial.streams(case).map(|mut rng| simulated(delay, &mut rng)).collect();
        measurements.push(Measurement::sampled(&name, "simulated", &sample, published, band, SOURCE));
        points.push((delay, sample.mean()));
    }
    let closed = (0..=120).map(|i| f64::from(i) / 100.0).map(|delay| (delay, threshold(delay))).collect();
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![
            "The delay is the longest that the network allows, for each block and farmer.".to_owned(),
        ],
        chart: Chart {
            x: "delay in mean block intervals",
            y: "share of the adversary at the crossover",
            is_x_logarithmic: false,
            series: vec![
                Series { name: "closed form".to_owned(), points: closed },
                Series { name: "simulated".to_owned(), points },
            ],
        },
    })
}
