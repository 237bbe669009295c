//! Two chains on one space: plots are not used up, so whoever farms one chain can attack another with them.
//!
//! A chain that a share `v` of the common space farms grows as `v`. A share `u` that attacks it in private grows as
//! `u * phi_c` if the chain has a beacon of its own, since its own blocks make its challenges; and as `u` if it inherits
//! the beacon, since its blocks then decide nothing about later challenges.

use super::{
    AttackError, Findings, Trial, massnet,
    private_tree::{CHAIN_BLOCKS, GENERATIONS, WIDTH, chain_growth, growth_factor, simulated_growth},
};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::Sample,
};

const OWN: &str = "u = v / phi_c: Bagaria et al., arXiv 1910.02218, growth of a private tree";
const INHERITED: &str = "u = v: both chains grow by one block a win";

/// Row 16.
pub(super) fn shared_space(trial: &Trial) -> Result<Findings, AttackError> {
    let massnet = massnet()?.rules().period_blocks;
    let mut measurements = Vec::new();
    let mut slopes = Vec::new();
    for (case, period) in (0..).zip([1, 16, massnet]) {
        let expected = 1.0 / growth_factor(period);
        let ratio: Sample = trial
            .streams(case)
            .map(|mut rng| {
                let tree = simulated_growth(period, WIDTH, GENERATIONS, &mut rng);
                chain_growth(CHAIN_BLOCKS, &mut rng) / tree
            })
            .collect();
        // The truncated tree is up to 4 % too slow.
        let band = Band::relative(expected, -0.001, 0.0417);
        let name = format!("own beacon, c = {period}");
        measurements.push(Measurement::sampled(&name, "u / v at the crossover", &ratio, expected, band, OWN));
        slopes.push((name, ratio.mean()));
    }
    let chains = trial.streams(100).map(|mut rng| {
        let farmed = chain_growth(CHAIN_BLOCKS, &mut rng);
        farmed / chain_growth(CHAIN_BLOCKS, &mut rng)
    });
    let chains: Sample = chains.collect();
    let band = Band::relative(1.0, -0.001, 0.001);
    let name = "inherited beacon";
    measurements.push(Measurement::sampled(name, "u / v at the crossover", &chains, 1.0, band, INHERITED));
    slopes.push((name.to_owned(), chains.mean()));
    let line = |(name, slope): &(String, f64)| Series {
        name: name.clone(),
        points: (0..=20).map(|i| f64::from(i) / 20.0).map(|v| (v, v * slope)).collect(),
    };
    Ok(Findings {
        measurements,
        page: None,
        notes: vec!["Growth is linear in capacity, so the crossover is one ratio for all v.".to_owned()],
        chart: Chart {
            x: "share of the space that farms the chain (v)",
            y: "share that overturns it (u)",
            is_x_logarithmic: false,
            series: slopes.iter().map(line).collect(),
        },
    })
}
