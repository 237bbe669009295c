//! How many answers a plot has to a challenge: real plots, asked, and the model of the search behind them.
//!
//! The search makes chains longer, link by link, from four sets that the challenge picks, and keeps one in 64: a
//! branching process (rules POS-12 to POS-15). In the model each pair of partial chain and fragment is a draw of its own.
//! If sets had 64 fragments each, answers would have the spread that the table has; but sets are of a random size, Poisson
//! of mean 64, and chains draw four times from each, so answers come in bursts. The mean is `(entries / 2^k)^16`, in
//! which a plot that came out a little full or empty counts much; so it is told as a part of that.

use mass_plot::{Plot, create};
use mass_primitives::{Challenge, FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{
    GroupIdentity, PlotSize, QUALITY_LINKS, Strength,
    chain::{SET_BITS, SETS, zero_bits},
};
use rand::{Rng, RngCore};
use rand_distr::{Binomial, Distribution, Poisson};

use super::{AttackError, Findings, Trial};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::Sample,
};

const K: u8 = 20;
const CHALLENGES: u32 = 1500;
const COUNTS: usize = 8;
const TABLE: &str = "the laboratory's table, row 11 (construction of CHIP-48)";
const MODEL: &str = "the branching model with random sets, simulated";
const YIELD: &str = "rule POS-15: one chain on average in a plot of 2^k entries";
/// Challenges of the model in a run.
const MODEL_CHALLENGES: u32 = 20_000;

/// What one plot answered, or one run of the model.
struct Answers {
    counts: Sample,
    histogram: [f64; COUNTS],
    expected: f64,
}

impl Answers {
    /// Adds the answers to one of so many challenges.
    fn add(&mut self, found: usize, challenges: u32) {
        self.counts.add(found as f64);
        self.histogram[found.min(COUNTS - 1)] += 1.0 / f64::from(challenges);
    }
}

fn ask<R: RngCore>(rng: &mut R) -> Result<Answers, AttackError> {
    let mut bytes = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let identity = GroupIdentity {
        size: PlotSize::new(K)?,
        strength: Strength::MIN,
        farmer: FarmerPublicKey::new(bytes()),
        nonce: GroupNonce::new(bytes()),
    };
    let dir = tempfile::tempdir()?;
    let plot = Plot::open(&create(dir.path(), &identity)?)?;
    let mut answers = Answers {
        counts: Sample::default(),
        histogram: [0.0; COUNTS],
        expected: (plot.fragments() as f64 / f64::from(1u32 << K)).powi(QUALITY_LINKS as i32),
    };
    for _ in 0..CHALLENGES {
        let found = plot.qualities(&Challenge::new(bytes()))?.len();
        answers.add(found, CHALLENGES);
    }
    Ok(answers)
}

/// How many chains the model has for a challenge, before rule POS-15 evens out what random sets add to the mean.
fn chains<R: Rng>(sets: [u64; SETS], rng: &mut R) -> u64 {
    let from = |start: usize, rng: &mut R| {
        (0..QUALITY_LINKS).fold(1, |partial, position| {
            let odds = 0.5f64.powi(zero_bits(position).count_ones() as i32);
            let pairs = partial * sets[(start + position) % SETS];
            Binomial::new(pairs, odds).map_or(0, |kept| kept.sample(rng))
        })
    };
    (0..SETS).map(|start| from(start, rng)).sum()
}

/// The model's answers, with sets of one size or of random ones.
fn model<R: Rng>(is_random: bool, rng: &mut R) -> Answers {
    let mean = f64::from(1u32 << SET_BITS);
    let size = Poisson::new(mean).expect("a positive mean");
    // The mean of the fourth power of a Poisson number of mean 64, by that of 64^4, for each of the four sets.
    let excess = (1.0 + 6.0 / mean + 7.0 / mean.powi(2) + 1.0 / mean.powi(3)).powi(4);
    let mut answers = Answers { counts: Sample::default(), histogram: [0.0; COUNTS], expected: 1.0 };
    for _ in 0..MODEL_CHALLENGES {
        let mut draw = || if is_random { size.sample(rng) as u64 } else { mean as u64 };
        let sets = [draw(), draw(), draw(), draw()];
        let whole = chains(sets, rng);
        let kept = if is_random {
            (0..whole).filter(|_| rng.gen_bool(1.0 / excess)).count()
        } else {
            whole as usize
        };
        answers.add(kept, MODEL_CHALLENGES);
    }
    answers
}

/// Figures over plots, or over runs of the model.
struct Spread {
    mean: Sample,
    part: Sample,
    deviation: Sample,
    none: Sample,
    histogram: Vec<(f64, f64)>,
}

impl Spread {
    fn of(all: &[Answers]) -> Self {
        let over = |figure: fn(&Answers) -> f64| all.iter().map(figure).collect::<Sample>();
        let part = |n: usize| all.iter().map(|answers| answers.histogram[n]).sum::<f64>() / all.len() as f64;
        Self {
            mean: over(|answers| answers.counts.mean()),
            part: over(|answers| answers.counts.mean() / answers.expected),
            deviation: over(|answers| answers.counts.deviation() / answers.expected.sqrt()),
            none: over(|answers| answers.histogram[0]),
            histogram: (0..COUNTS).map(|n| (n as f64, part(n))).collect(),
        }
    }
}

/// Row 11.
pub(super) fn qualities(trial: &Trial) -> Result<Findings, AttackError> {
    let plots = trial.streams(0).map(|mut rng| ask(&mut rng)).collect::<Result<Vec<Answers>, _>>()?;
    let real = Spread::of(&plots);
    let simulated = |case, is_random| {
        let runs: Vec<Answers> = trial.streams(case).map(|mut rng| model(is_random, &mut rng)).collect();
        Spread::of(&runs)
    };
    let (equal, random) = (simulated(1, false), simulated(2, true));
    let plots = format!("{} real plots of k = {K}", plots.len());
    let row = |case: &str, quantity, sample: &Sample, expected: f64, width: f64, source| {
        let band = Band::new(expected - width, expected + width);
        Measurement::sampled(case, quantity, sample, expected, band, source)
    };
    let sets = "model, sets of 64 each";
    let bursts = "model, random sets";
    let (spread, odds) = (random.deviation.mean(), random.none.mean());
    let measurements = vec![
        row(sets, "mean", &equal.mean, 1.0, 0.01, TABLE),
        row(sets, "standard deviation", &equal.deviation, 1.1, 0.05, TABLE),
        row(sets, "odds of none", &equal.none, 0.41, 0.01, TABLE),
        row(bursts, "mean", &random.mean, 1.0, 0.01, YIELD),
        row(&plots, "mean", &real.mean, 1.0, 0.02, TABLE),
        row(&plots, "mean / (entries / 2^k)^16", &real.part, 1.0, 0.02, YIELD),
        row(&plots, "standard deviation", &real.deviation, spread, 0.02, MODEL),
        row(&plots, "odds of none", &real.none, odds, 0.01, MODEL),
        row(&plots, "standard deviation, as the table has it", &real.deviation, 1.1, 0.05, TABLE),
        row(&plots, "odds of none, as the table has it", &real.none, 0.41, 0.01, TABLE),
    ];
    let notes = [
        format!("Each plot is asked {CHALLENGES} challenges; the error is that over plots."),
        "The table's spread is that of sets of 64 fragments each. Sets of real plots are of random sizes, and their answers \
         come in bursts: the last two rows are out of band, and the rows above them say why. The mean is not touched."
            .to_owned(),
    ];
    let series = [("real plots", real), ("model, random sets", random), ("model, sets of 64", equal)];
    Ok(Findings {
        measurements,
        notes: notes.to_vec(),
        chart: Chart {
            x: "answers to a challenge (7: or more)",
            y: "part of the challenges",
            is_x_logarithmic: false,
            series: series
                .map(|(name, spread)| Series { name: name.to_owned(), points: spread.histogram })
                .to_vec(),
        },
    })
}
