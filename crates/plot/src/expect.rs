//! How often a plot should answer, and how odd it is that it answered less.
//!
//! The chains that answer one challenge are branches of few trees: many at once, or none. Their number has a variance
//! that a test must not guess, but whether there is any is one coin for each challenge, and challenges are
//! independent. So plots are judged by the challenges that they answered at all, with the exact binomial test.
//!
//! The coin follows from the search (rules POS-13 to POS-15): it is a branching process from each of four sets, in which
//! each fragment of the set in turn makes a chain longer with the odds of the filter. A set has a Poisson number of
//! fragments, whose mean is 64 times the fragments of the plot over `2^k`.

use mass_proof_of_space::{
    QUALITY_LINKS,
    chain::{LAST_LIMIT, SET_BITS, SETS, zero_bits},
};

use crate::plot::Plot;

/// What a plot should answer to a random challenge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    /// Chains on average.
    pub qualities: f64,
    /// Odds that there is any.
    pub answer: f64,
}

impl Plot {
    /// What each plot of the file should answer to a random challenge, by the number of fragments that they have: about
    /// one chain, and any with odds of 0.47.
    #[must_use]
    pub fn expectation(&self) -> Expectation {
        let nominal = f64::from(self.count()) * f64::from(self.identity().size.get()).exp2();
        Expectation::new(self.fragments() as f64 / nominal)
    }
}

impl Expectation {
    /// For a plot that has so many times `2^k` fragments.
    #[must_use]
    pub fn new(fill: f64) -> Self {
        let mean = fill * f64::from(1u32 << SET_BITS);
        // Each set gives four links, so that the fourth moment of its size counts.
        let moment = mean * (1.0 + mean * (7.0 + mean * (6.0 + mean)));
        let odds: f64 = (0..QUALITY_LINKS).map(odds_at).product();
        let qualities = SETS as f64 * moment.powi(SETS as i32) * odds;
        let sizes = set_sizes(mean);
        let mut none = 0.0;
        for at in 0..sizes.len().pow(SETS as u32) {
            let picked = [0, 1, 2, 3].map(|turn| sizes[at / sizes.len().pow(turn) % sizes.len()]);
            let odds: f64 = picked.iter().map(|(_, odds)| odds).product();
            none += odds * odds_of_none(picked.map(|(size, _)| size));
        }
        Self { qualities, answer: 1.0 - none }
    }

    /// The odds that a good plot answers at most `answered` of so many challenges: the p-value of one that has.
    #[must_use]
    pub fn p_value(&self, challenges: u64, answered: u64) -> f64 {
        if answered >= challenges {
            return 1.0;
        }
        let (p, ratio) = (self.answer, (self.answer / (1.0 - self.answer)).ln());
        let mut term = challenges as f64 * (-p).ln_1p();
        let mut sum = term.exp();
        for i in 0..answered {
            term += ratio + ((challenges - i) as f64 / (i + 1) as f64).ln();
            sum += term.exp();
        }
        sum.min(1.0)
    }
}

/// The odds that there is no chain, for sets of such sizes.
fn odds_of_none(sizes: [f64; SETS]) -> f64 {
    let from = |start: usize| {
        (0..QUALITY_LINKS).rev().fold(0.0, |fails, position| {
            let passes = odds_at(position);
            (1.0 - passes + passes * fails).powf(sizes[(start + position) % SETS])
        })
    };
    (0..SETS).map(from).product()
}

/// The odds that a fragment makes a chain longer.
fn odds_at(position: usize) -> f64 {
    let zeros = f64::from(zero_bits(position).count_ones());
    let odds = (-zeros).exp2();
    // Of the 52 bits above the zero bits.
    if position + 1 == QUALITY_LINKS { odds * LAST_LIMIT as f64 * (-52f64).exp2() } else { odds }
}

/// Parts of the Poisson distribution of this mean, each with the mean and the odds of its sizes.
fn set_sizes(mean: f64) -> Vec<(f64, f64)> {
    const PARTS: usize = 9;
    let (deviation, mut parts) = (mean.sqrt(), vec![(0.0, 0.0); PARTS]);
    let mut odds = (-mean).exp();
    for size in 0..=(mean + 10.0 * deviation) as u32 {
        // Parts are two thirds of a deviation wide, but for the outermost.
        let place = (f64::from(size) - mean) / deviation * 1.5 + PARTS as f64 / 2.0;
        let part = &mut parts[(place.max(0.0) as usize).min(PARTS - 1)];
        part.0 += odds * f64::from(size);
        part.1 += odds;
        odds *= mean / f64::from(size + 1);
    }
    parts.retain(|(_, odds)| *odds > 0.0);
    parts.iter_mut().for_each(|(size, odds)| *size /= *odds);
    parts
}

#[cfg(test)]
mod tests {
    use mass_primitives::{Challenge, FarmerPublicKey, GroupNonce};
    use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};

    use super::*;
    use crate::{GroupOptions, create_group};

    #[test]
    fn a_full_plot_answers_once_on_average() {
        let full = Expectation::new(1.0);
        assert!((full.qualities - 1.0).abs() < 0.01, "{full:?}");
        assert!((full.answer - 0.47).abs() < 0.01, "{full:?}");
        // The yield goes with the 16th power of the fragments.
        let less = Expectation::new(0.98);
        assert!((less.qualities / full.qualities - 0.98f64.powi(16)).abs() < 0.01, "{less:?}");
        assert!(less.answer < full.answer);
    }

    #[test]
    fn p_values_are_those_of_the_binomial_distribution() {
        let coin = Expectation { qualities: 1.0, answer: 0.5 };
        for (challenges, answered, expected) in [
            (10, 0, 1.0 / 1024.0),
            (10, 2, 56.0 / 1024.0),
            (10, 5, 638.0 / 1024.0),
            (10, 10, 1.0),
            (0, 0, 1.0),
            (10_000, 5_000, 0.503_989),
        ] {
            let got = coin.p_value(challenges, answered);
            assert!((got - expected).abs() < 1e-6, "{challenges} {answered}: {got}");
        }
    }

    /// What real plots answer is what is expected of them.
    #[test]
    fn real_plots_answer_as_expected() {
        let dir = tempfile::tempdir().unwrap();
        let identity = GroupIdentity {
            size: PlotSize::MIN,
            strength: Strength::MIN,
            farmer: FarmerPublicKey::new([7; 32]),
            nonce: GroupNonce::new([33; 32]),
        };
        let path = create_group(dir.path(), &identity, 16, &GroupOptions::default()).unwrap();
        let group = Plot::open(&path).unwrap();
        let (expected, mut answered, mut qualities) = (group.expectation(), 0, 0);
        const CHALLENGES: u16 = 400;
        for number in 0..CHALLENGES {
            let mut bytes = [3; 32];
            bytes[..2].copy_from_slice(&number.to_le_bytes());
            let mut found = group.group_qualities(&Challenge::new(bytes)).unwrap();
            qualities += found.len();
            found.dedup_by_key(|(index, _)| *index);
            answered += found.len() as u64;
        }
        let trials = u64::from(group.count()) * u64::from(CHALLENGES);
        let p_value = expected.p_value(trials, answered);
        let share = answered as f64 / trials as f64;
        // Seeds are fixed: this is one draw, and both tails are left room.
        assert!((0.001..0.999).contains(&p_value), "{share} {expected:?} {p_value}");
        let mean = qualities as f64 / trials as f64;
        assert!((mean / expected.qualities - 1.0).abs() < 0.1, "{mean} {expected:?}");
    }
}
