//! Double dipping: an adversary extends each block of a private tree, since a lottery costs it nothing.
//!
//! With a new challenge every `c` blocks, by the ticket of the last block before it, the blocks of a period share
//! their winning slots, and what multiplies is periods: from a period's first block, each win from the `c`-th on ends a
//! path of `c` blocks and starts a period with a challenge of its own. That is a branching random walk, whose first
//! births of a generation come `c / phi_c` apart (Bagaria et al., arXiv 1910.02218; Biggins).
//!
//! The simulated walk keeps the earliest `width` births of a generation. It lies below the true factor, by about
//! `1 / (ln width)^2` (Brunet and Derrida).

use std::{cmp::Reverse, collections::BinaryHeap};

use rand::Rng;
use rand_distr::{Distribution, Exp1, Gamma};

use super::{AttackError, Findings, Trial};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::{Sample, maximum},
};

/// Periods in the published table, with the growth factor and the crossover.
#[expect(clippy::approx_constant, reason = "2.718 is compared with e, not used for it")]
const PUBLISHED: [(u32, f64, f64); 8] = [
    (1, 2.718, 0.269),
    (2, 2.226, 0.310),
    (5, 1.795, 0.358),
    (10, 1.579, 0.388),
    (16, 1.468, 0.405),
    (32, 1.343, 0.427),
    (64, 1.252, 0.444),
    (128, 1.186, 0.457),
];

/// What a truncated tree may miss, and how much the published digits leave open.
const TRUNCATED: (f64, f64) = (-0.04, 0.001);

pub(super) const WIDTH: usize = 4096;
pub(super) const GENERATIONS: u32 = 160;
pub(super) const CHAIN_BLOCKS: u32 = 200_000;
const GROWTH_SOURCE: &str = "Bagaria et al., arXiv 1910.02218: phi_c";
const CROSSOVER_SOURCE: &str = "1 / (1 + phi_c), Bagaria et al., arXiv 1910.02218";

/// `phi_c = c / sup_theta [(ln theta + (c - 1) ln(1 + theta)) / theta]`.
pub(super) fn growth_factor(period: u32) -> f64 {
    let after = f64::from(period) - 1.0;
    let per_birth = |log: f64| (log + after * log.exp().ln_1p()) / log.exp();
    f64::from(period) / maximum(-9.0, 5.0, per_birth)
}

/// The growth factor of one simulated tree: blocks that its highest path gains while a chain gains one.
pub(super) fn simulated_growth<R: Rng>(period: u32, width: usize, generations: u32, rng: &mut R) -> f64 {
    let first_path = Gamma::new(f64::from(period), 1.0).expect("a period has blocks");
    let mut parents = vec![0.0f64; width];
    let warm_up = generations / 4;
    let mut start = 0.0;
    for generation in 0..generations {
        if generation == warm_up {
            start = parents[0];
        }
        let paths = parents.iter().map(|birth| birth + first_path.sample(rng)).collect();
        parents = limited_births(paths, width, rng, |rng| Exp1.sample(rng));
    }
    f64::from(period) * f64::from(generations - warm_up) / (parents[0] - start)
}

/// The earliest `width` births, in order, of parents who bear first at the times `first` and after gaps from then on.
pub(super) fn limited_births<R: Rng>(
    first: Vec<f64>,
    width: usize,
    rng: &mut R,
    gap: impl Fn(&mut R) -> f64,
) -> Vec<f64> {
    // Times are positive, and positive floats are in the order of their bits.
    let next = |time: f64| Reverse(time.to_bits());
    let mut waiting: BinaryHeap<Reverse<u64>> = first.into_iter().map(next).collect();
    let mut births = Vec::with_capacity(width);
    while births.len() < width {
        let Some(mut earliest) = waiting.peek_mut() else { break };
        let time = f64::from_bits(earliest.0);
        births.push(time);
        *earliest = next(time + gap(rng));
    }
    births
}

/// Row 1.
pub(super) fn growth(trial: &Trial) -> Result<Findings, AttackError> {
    let mut measurements = Vec::new();
    let mut simulated = Vec::new();
    for (case, (period, published, _)) in (0..).zip(PUBLISHED) {
        let factor = growth_factor(period);
        let name = format!("c = {period}");
        // A unit of the last digit: the table's 2.226 for c = 2 is 2.22547.
        let band = Band::new(published - 0.001, published + 0.001);
        measurements.push(Measurement::exact(&name, "closed form", factor, published, band, GROWTH_SOURCE));
        let runs = trial.streams(case).map(|mut rng| simulated_growth(period, WIDTH, GENERATIONS, &mut rng));
        let sample: Sample = runs.collect();
        let band = Band::relative(factor, TRUNCATED.0, TRUNCATED.1);
        measurements.push(Measurement::sampled(&name, "simulated", &sample, factor, band, GROWTH_SOURCE));
        simulated.push((f64::from(period), sample.mean()));
    }
    let closed = (1..=256).map(|c| (f64::from(c), growth_factor(c))).collect();
    let note =
        format!("The simulated tree keeps {WIDTH} blocks of a generation, hence its band of 4 % below.");
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![note],
        chart: Chart {
            x: "blocks between challenges (c)",
            y: "growth factor",
            is_x_logarithmic: true,
            series: vec![
                Series { name: "closed form".to_owned(), points: closed },
                Series { name: "simulated".to_owned(), points: simulated },
            ],
        },
    })
}

/// Row 2: honest blocks come at the rate `1 - b` in a chain, the adversary's tree grows at `b * phi`.
pub(super) fn crossover(trial: &Trial) -> Result<Findings, AttackError> {
    let mut measurements = Vec::new();
    let mut simulated = Vec::new();
    for (case, (period, _, published)) in (0..).zip(PUBLISHED) {
        let name = format!("c = {period}");
        let share = 1.0 / (1.0 + growth_factor(period));
        let band = Band::rounded(published, 0.001);
        measurements.push(Measurement::exact(&name, "closed form", share, published, band, CROSSOVER_SOURCE));
        let sample: Sample = trial
            .streams(case)
            .map(|mut rng| {
                let tree = simulated_growth(period, WIDTH, GENERATIONS, &mut rng);
                let chain = chain_growth(CHAIN_BLOCKS, &mut rng);
                chain / (chain + tree)
            })
            .collect();
        // A tree that is up to 4 % too slow needs up to 4 % of (1 - share) more.
        let band = Band::relative(share, -0.001, -TRUNCATED.0 * (1.0 - share) + 0.001);
        let quantity = "tree against chain";
        measurements.push(Measurement::sampled(&name, quantity, &sample, share, band, CROSSOVER_SOURCE));
        simulated.push((f64::from(period), sample.mean()));
    }
    let closed = (1..=256).map(|c| (f64::from(c), 1.0 / (1.0 + growth_factor(c)))).collect();
    let note = "Growth is linear in capacity, so the crossover of a pair of runs is chain / (chain + tree).";
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![note.to_owned()],
        chart: Chart {
            x: "blocks between challenges (c)",
            y: "share of the adversary at the crossover",
            is_x_logarithmic: true,
            series: vec![
                Series { name: "closed form".to_owned(), points: closed },
                Series { name: "simulated".to_owned(), points: simulated },
            ],
        },
    })
}

/// Blocks per unit of time of a chain that is one win after the other.
pub(super) fn chain_growth<R: Rng>(blocks: u32, rng: &mut R) -> f64 {
    let time: f64 = (0..blocks).map(|_| -> f64 { Exp1.sample(rng) }).sum();
    f64::from(blocks) / time
}

const BEST: [usize; 3] = [1, 2, 3];
const BEST_GENERATIONS: u32 = 40_000;
const BEST_SOURCE: &str = "Cohen and Pietrzak, The Chia Network Blockchain (2019)";

/// Row 3: honest farmers, too, grow a tree, of the best blocks of each height; the adversary's grows by `e`.
pub(super) fn extend_best_three(trial: &Trial) -> Result<Findings, AttackError> {
    let tree = growth_factor(1);
    let mut shares = Vec::new();
    for (case, width) in (0..).zip(BEST) {
        let share = |honest: f64| honest / (honest + tree);
        let runs = trial.streams(case);
        let grown = runs.map(|mut rng| simulated_growth(1, width, BEST_GENERATIONS, &mut rng));
        shares.push(grown.map(share).collect::<Sample>());
    }
    let row = |position: usize, case: &str, expected: f64, source| {
        let band = Band::rounded(expected, 0.001);
        Measurement::sampled(case, "crossover, simulated", &shares[position], expected, band, source)
    };
    let points = BEST.iter().zip(&shares).map(|(best, sample)| (*best as f64, sample.mean())).collect();
    Ok(Findings {
        measurements: vec![
            row(0, "the best one, c = 1", 0.269, "1 / (1 + e), Cohen and Pietrzak (2019)"),
            row(2, "the best three, c = 1", 0.385, BEST_SOURCE),
        ],
        page: None,
        notes: vec!["Honest growth is simulated, the adversary's is the closed form, e.".to_owned()],
        chart: Chart {
            x: "blocks of a height that honest farmers extend",
            y: "share of the adversary at the crossover",
            is_x_logarithmic: false,
            series: vec![Series { name: "simulated".to_owned(), points }],
        },
    })
}
