//! How many answers a plot has to a challenge: real plots, asked, and the model of the search behind them.
//!
//! The search makes chains longer, link by link, from four sets that the challenge picks, and keeps one in 64: a
//! branching process (rules POS-12 to POS-15). In the model each pair of partial chain and fragment is a draw of its own.
//! Sets are of a random size, Poisson of mean 64, and a chain draws four times from each, so answers come in bursts
//! (`docs/decisions/0008-two-targets-corrected.md`). The mean is `(entries / 2^k)^16`, in which a plot that came out a little
//! full or empty counts much; so it is told as a part of that.
//!
//! In closed form, with `n(i)` the set of link `i` and `p(i)` the odds of its filter: given the sets, a start has the
//! mean `m(i) = m(i-1) n(i) p(i)` and the variance `v(i) = v(i-1) (n(i) p(i))^2 + m(i) (1 - p(i))`, both of which are
//! polynomials in the sizes, so that their means follow from the moments of Poisson; a start dies out with odds
//! `s(0)`, `s(15) = (1 - p(15))^n(15)` and `s(i) = (1 - p(i) + p(i) s(i+1))^n(i)`.

use mass_plot::{Plot, create};
use mass_primitives::{Challenge, FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{
    GroupIdentity, PlotSize, QUALITY_LINKS, Strength,
    chain::{LAST_LIMIT, SET_BITS, SETS, zero_bits},
};
use rand::{Rng, RngCore};
use rand_distr::{Binomial, Distribution, Poisson};
use statrs::distribution::Discrete;

use super::{AttackError, Findings, Trial};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::Sample,
};

const K: u8 = 20;
const CHALLENGES: u32 = 1500;
const COUNTS: usize = 8;
/// Fragments that a set has on average.
const SET_SIZE: f64 = (1u64 << SET_BITS) as f64;
const TABLE: &str = "the laboratory's table, row 11 (construction of CHIP-48)";
const MODEL: &str = "closed form of the branching model of POS-12 to POS-15, in the module's header";
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

/// The odds that the filter of link `position` lets a pair through (POS-15). Its limit at the last link is there to
/// take back what random sets add to the mean, so that sets of one size go without.
fn filter_odds(is_random: bool, position: usize) -> f64 {
    let zeros = zero_bits(position).count_ones() as i32;
    let is_limited = is_random && position + 1 == QUALITY_LINKS;
    let limit = if is_limited { LAST_LIMIT as f64 / 2f64.powi(64 - zeros) } else { 1.0 };
    0.5f64.powi(zeros) * limit
}

/// How many chains the model has for a challenge.
fn chains<R: Rng>(is_random: bool, sets: [u64; SETS], rng: &mut R) -> u64 {
    let from = |start: usize, rng: &mut R| {
        (0..QUALITY_LINKS).fold(1, |partial, position| {
            let pairs = partial * sets[(start + position) % SETS];
            Binomial::new(pairs, filter_odds(is_random, position)).map_or(0, |kept| kept.sample(rng))
        })
    };
    (0..SETS).map(|start| from(start, rng)).sum()
}

/// The model's answers, with sets of 64 or of random size.
fn model<R: Rng>(is_random: bool, rng: &mut R) -> Answers {
    let size = Poisson::new(SET_SIZE).expect("a positive mean");
    let mut answers =
        Answers { counts: Sample::default(), histogram: [0.0; COUNTS], expected: mean(is_random) };
    for _ in 0..MODEL_CHALLENGES {
        let mut draw = || if is_random { size.sample(rng) as u64 } else { SET_SIZE as u64 };
        let sets = [draw(), draw(), draw(), draw()];
        answers.add(chains(is_random, sets, rng) as usize, MODEL_CHALLENGES);
    }
    answers
}

/// The mean of a power of a set's size.
fn moment(is_random: bool, power: usize) -> f64 {
    if !is_random {
        return SET_SIZE.powi(power as i32);
    }
    // Raw moments of Poisson: E[n^(p+1)] = mean * sum of binomial(p, j) E[n^j].
    let mut moments = vec![1.0];
    for p in 0..power {
        let (mut sum, mut choose) = (0.0, 1.0);
        for (j, known) in moments.iter().enumerate() {
            sum += choose * known;
            choose *= (p - j) as f64 / (j + 1) as f64;
        }
        moments.push(SET_SIZE * sum);
    }
    moments[power]
}

/// The mean of the product of set sizes, the set of link `i` to the power that `power` says.
fn product(is_random: bool, power: impl Fn(usize) -> usize) -> f64 {
    let of_set = |set: usize| (set..QUALITY_LINKS).step_by(SETS).map(&power).sum();
    (0..SETS).map(|set| moment(is_random, of_set(set))).product()
}

/// The mean number of answers: four starts.
fn mean(is_random: bool) -> f64 {
    let odds: f64 = (0..QUALITY_LINKS).map(|link| filter_odds(is_random, link)).product();
    SETS as f64 * odds * product(is_random, |_| 1)
}

/// The standard deviation of answers, as a part of the root of the mean.
fn deviation(is_random: bool) -> f64 {
    let starts = SETS as f64;
    let odds: Vec<f64> = (0..QUALITY_LINKS).map(|link| filter_odds(is_random, link)).collect();
    // Born at link `i` and doubled in power by the links after it.
    let born = |i: usize| {
        let before: f64 = odds[..=i].iter().product();
        let after: f64 = odds[i + 1..].iter().product();
        before * (1.0 - odds[i]) * after.powi(2) * product(is_random, |link| if link <= i { 1 } else { 2 })
    };
    let inner: f64 = (0..QUALITY_LINKS).map(born).sum();
    let all: f64 = odds.iter().product();
    // Given the sets all starts have one mean.
    let squares = (starts * all).powi(2) * product(is_random, |_| 2);
    ((starts * inner + squares - mean(is_random).powi(2)) / mean(is_random)).sqrt()
}

/// The odds of no answer, by summing over the sizes of the four sets.
fn none(is_random: bool) -> f64 {
    let survives = |sets: [f64; SETS], start: usize| {
        (0..QUALITY_LINKS).rev().fold(0.0, |dead: f64, position| {
            let odds = filter_odds(is_random, position);
            (1.0 - odds + odds * dead).powf(sets[(start + position) % SETS])
        })
    };
    let given = |sets| (0..SETS).map(|start| survives(sets, start)).product::<f64>();
    if !is_random {
        return given([SET_SIZE; SETS]);
    }
    // Every fourth size: the function is so smooth that the sum over a lattice of half a deviation is exact.
    let law = statrs::distribution::Poisson::new(SET_SIZE).expect("a positive mean");
    let nodes: Vec<(f64, f64)> =
        (24..=120).step_by(4).map(|n| (n as f64, 4.0 * Discrete::pmf(&law, n))).collect();
    let mut total = 0.0;
    for (a, wa) in &nodes {
        for (b, wb) in &nodes {
            for (c, wc) in &nodes {
                let of_last: f64 = nodes.iter().map(|(d, wd)| wd * given([*a, *b, *c, *d])).sum();
                total += wa * wb * wc * of_last;
            }
        }
    }
    total
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
    let closed = |case: &str, quantity, is: f64, expected: f64, unit: f64, source| {
        Measurement::exact(case, quantity, is, expected, Band::rounded(expected, unit), source)
    };
    let (sets, bursts) = ("sets of 64 each", "random sets");
    let (spread, odds) = (deviation(true), none(true));
    let measurements = vec![
        closed(sets, "standard deviation, closed form", deviation(false), 1.1, 0.1, TABLE),
        closed(sets, "odds of none, closed form", none(false), 0.41, 0.01, TABLE),
        row(sets, "standard deviation, simulated", &equal.deviation, deviation(false), 0.005, MODEL),
        row(sets, "odds of none, simulated", &equal.none, none(false), 0.002, MODEL),
        closed(bursts, "mean, closed form", mean(true), 1.0, 0.001, YIELD),
        row(bursts, "mean, simulated", &random.mean, 1.0, 0.005, YIELD),
        row(bursts, "standard deviation, simulated", &random.deviation, spread, 0.01, MODEL),
        row(bursts, "odds of none, simulated", &random.none, odds, 0.002, MODEL),
        row(&plots, "mean", &real.mean, 1.0, 0.02, TABLE),
        row(&plots, "mean / (entries / 2^k)^16", &real.part, 1.0, 0.01, YIELD),
        row(&plots, "standard deviation", &real.deviation, spread, 0.01, MODEL),
        row(&plots, "odds of none", &real.none, odds, 0.002, MODEL),
    ];
    let notes = [
        format!("Each plot is asked {CHALLENGES} challenges; the error is that over plots."),
        format!(
            "The table of targets has a standard deviation of about 1.1 and odds of none of .41. These are the figures of sets of \
             exactly 64 fragments. Sets of real plots are of random size: {:.2} and {:.2} are right, and measured are {:.2} and \
             {:.2}. `docs/decisions/0008-two-targets-corrected.md` has the derivation.",
            spread,
            odds,
            real.deviation.mean(),
            real.none.mean()
        ),
    ];
    let series = [("real plots", real), ("model, random sets", random), ("model, sets of 64", equal)];
    Ok(Findings {
        measurements,
        page: None,
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
