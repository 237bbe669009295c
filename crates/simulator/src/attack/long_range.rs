//! Long range: today's space rewrites the chain from its first block.
//!
//! Nothing in a proof of space says when it was made, so a private chain from genesis has today's capacity in each slot
//! of the past, while the honest chain had that of its time. If capacity grew linearly, the honest chain weighs half
//! of `(1 - u) * T`, the private tree `u * phi_c * T`; they meet at `u = 1 / (1 + 2 phi_c)`. Weight is counted by the
//! engine's difficulty rule, in Mass Net's slots.

use super::{
    AttackError, Findings, Trial,
    difficulty::SoloChain,
    massnet,
    private_tree::{GENERATIONS, WIDTH, growth_factor, simulated_growth},
};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::Sample,
};

/// Periods, with the published crossover; 0 is a challenge from outside.
const EXPECTED: [(u32, f64); 4] = [(0, 0.333), (64, 0.285), (10, 0.241), (1, 0.155)];
const CAPACITY: f64 = 1e18;
const STEPS: u32 = 800;
const STEP_SLOTS: u64 = 1440;
const SOURCE: &str = "1 / (1 + 2 phi_c), from capacity that grew linearly; phi_c as in arXiv 1910.02218";

/// Row 17.
pub(super) fn long_range(trial: &Trial) -> Result<Findings, AttackError> {
    let spec = massnet()?;
    let mut measurements = Vec::new();
    let mut points = Vec::new();
    for (case, (period, published)) in (0..).zip(EXPECTED) {
        let name = if period == 0 { "c = infinity".to_owned() } else { format!("c = {period}") };
        let factor = if period == 0 { 1.0 } else { growth_factor(period) };
        let share = 1.0 / (1.0 + 2.0 * factor);
        let band = Band::rounded(published, 0.001);
        measurements.push(Measurement::exact(&name, "closed form", share, published, band, SOURCE));
        let sample: Sample = trial
            .streams(case)
            .map(|mut rng| {
                let (mut honest, mut private) =
                    (SoloChain::new(&spec, CAPACITY / f64::from(STEPS)), SoloChain::new(&spec, CAPACITY));
                for step in 1..=STEPS {
                    let grown = (f64::from(step) - 0.5) / f64::from(STEPS) * CAPACITY;
                    honest.farm(grown, u64::from(step) * STEP_SLOTS, &mut rng, |_| ());
                }
                private.farm(CAPACITY, u64::from(STEPS) * STEP_SLOTS, &mut rng, |_| ());
                let tree =
                    if period == 0 { 1.0 } else { simulated_growth(period, WIDTH, GENERATIONS, &mut rng) };
                honest.weight / (honest.weight + tree * private.weight)
            })
            .collect();
        // The truncated tree is up to 4 % too slow; a difficulty that lags costs the honest chain a little.
        let high = if period == 0 { 0.005 } else { 0.04 * (1.0 - share) + 0.005 };
        let band = Band::relative(share, -0.005, high);
        measurements.push(Measurement::sampled(&name, "simulated", &sample, share, band, SOURCE));
        points.push((factor, sample.mean()));
    }
    let curve =
        (0..=90).map(|i| 1.0 + f64::from(i) / 50.0).map(|factor| (factor, 1.0 / (1.0 + 2.0 * factor)));
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![
            "Weight follows the real difficulty rule; the tree's factor is simulated and multiplies it."
                .to_owned(),
            "Checkpoints, which forbid this attack, are left out.".to_owned(),
        ],
        chart: Chart {
            x: "growth factor of the private tree",
            y: "share of today's space",
            is_x_logarithmic: false,
            series: vec![
                Series { name: "closed form".to_owned(), points: curve.collect() },
                Series { name: "simulated".to_owned(), points },
            ],
        },
    })
}
