//! Bit dropping, the attack that CHIP-48 weighs: fragments are stored without their lowest bit, and each then stands for two
//! links, of which one is of the plot.
//!
//! With `d` bits dropped on average a link draws from `n = 64 * 2^d`, and every link doubles the partial chains `2^d`
//! times over, so that a challenge costs `n + n^2 (1 + 2^d + .. + 2^14d)` hashes, whatever k is. Half a bit is one bit of
//! every second link. Two things make a real plot differ from that: a chain may start in each of four sets, which adds
//! 3n; and sets are of random size, so that what a real plot costs is held against what those very sets should.

use mass_plot::{PlotHasher, build};
use mass_primitives::{Challenge, GroupId, PlotIndex};
use mass_proof_of_space::{
    PlotParams, PlotSize, QUALITY_LINKS, ROUND_PAIRS, Strength,
    chain::{SET_BITS, SETS, challenge_sets, passes_filter, round_keys, zero_bits},
    plot_id,
};
use rand::RngCore;
use rand_distr::{Binomial, Distribution as _};

use super::{AttackError, Findings, Trial};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::Sample,
};

/// Bits dropped of every link of even and of odd number; with CHIP-48's hashes, and challenges for each real plot.
const CASES: [(&str, [u32; 2], f64, u32); 3] = [
    ("nothing dropped", [0, 0], 61_504.0, 200),
    ("half a bit dropped", [0, 1], 3_560_376.0, 12),
    ("one bit dropped", [1, 1], 536_854_656.0, 2),
];
const K: u8 = 18;
/// Challenges of the model in a run.
const MODEL_CHALLENGES: u32 = 400;
const CHIP: &str = "CHIP-48: n + n^2 (1 + 2^d + .. + 2^14d), n = 64 * 2^d";
const STEPWISE: &str = "the same sum; half a bit is one in every second link, the first or the second";
const SETS_SOURCE: &str = "the same sum for the sets that the challenges picked, from each of four starts";

/// Hashes for a challenge by CHIP-48, with half a bit as `2^0.5` more of each link.
fn closed_form(dropped: [u32; 2]) -> f64 {
    let growth = (f64::from(dropped[0] + dropped[1]) / 2.0).exp2();
    let links = 64.0 * growth;
    links + links * links * (0..15).map(|link| growth.powi(link)).sum::<f64>()
}

/// Hashes for a challenge from one start, for sets of these sizes. The first link of CHIP-48 has no filter, so that one
/// start stands for all four.
fn of_sizes(sizes: [f64; SETS], start: usize, first_filter: bool) -> f64 {
    let (mut hashes, mut partial) = (0.0, 1.0);
    for position in 0..QUALITY_LINKS {
        partial *= sizes[(start + position) % SETS];
        hashes += partial;
        if position > 0 || first_filter {
            partial /= f64::from(zero_bits(position).count_ones()).exp2();
        }
    }
    hashes
}

/// The same, played link by link with sets of one size.
fn modelled<R: RngCore>(sizes: [u64; SETS], start: usize, rng: &mut R) -> f64 {
    let (mut hashes, mut partial) = (0.0, 1u64);
    for position in 0..QUALITY_LINKS {
        let pairs = partial * sizes[(start + position) % SETS];
        hashes += pairs as f64;
        let odds = if position == 0 { 1.0 } else { 1.0 / f64::from(1 << SET_BITS) };
        partial = Binomial::new(pairs, odds).map_or(0, |kept| kept.sample(rng));
    }
    hashes
}

/// A plot, and what an attacker keeps of it.
struct Victim {
    params: PlotParams,
    hasher: PlotHasher,
    fragments: Vec<u64>,
}

impl Victim {
    fn new<R: RngCore>(rng: &mut R) -> Result<Self, AttackError> {
        let group_id = GroupId::new(bytes(rng));
        let (index, strength) = (PlotIndex::new(0), Strength::MIN);
        let params = PlotParams { group_id, index, size: PlotSize::new(K)?, strength };
        let mut fragments = Vec::new();
        let open = mass_plot::Gate::default();
        build::<()>(&params, &mass_plot::BuildOptions::default(), &|_| (), &open, &mut |some| {
            fragments.extend_from_slice(some);
            Ok(())
        })
        .map_err(|error| AttackError::Build(format!("{error:?}")))?;
        Ok(Self { params, hasher: PlotHasher::new(&plot_id(&group_id, index)), fragments })
    }

    /// The links that the sets of a challenge offer to the attacker.
    fn links(&self, challenge: &Challenge, dropped: [u32; 2]) -> [Vec<u64>; SETS] {
        let shift = u32::from(self.params.size.get()) + SET_BITS;
        let numbers = challenge_sets(&self.params, challenge);
        std::array::from_fn(|set| {
            let start = self.fragments.partition_point(|fragment| fragment >> shift < numbers[set]);
            let end = self.fragments.partition_point(|fragment| fragment >> shift <= numbers[set]);
            let bits = dropped[set % 2];
            let mut stored: Vec<u64> = self.fragments[start..end].iter().map(|link| link >> bits).collect();
            stored.dedup();
            stored.iter().flat_map(|stored| (0..1 << bits).map(move |low| stored << bits | low)).collect()
        })
    }

    /// Hashes that a search for complete chains takes; depth first, for partial chains are millions.
    fn search(&self, challenge: &Challenge, sets: &[Vec<u64>; SETS]) -> u64 {
        let keys = round_keys(&plot_id(&self.params.group_id, self.params.index), challenge);
        let (mut inputs, mut results, mut hashes) = (Vec::new(), Vec::new(), 0);
        for start in 0..SETS {
            let mut open = vec![(0, 0u64)];
            while let Some((position, running)) = open.pop() {
                let links = &sets[(start + position) % SETS];
                inputs.clear();
                inputs.extend(links.iter().map(|link| link ^ running ^ keys[position]));
                results.resize(inputs.len(), 0);
                self.hasher.hash_low64(&inputs, &mut results, ROUND_PAIRS);
                hashes += inputs.len() as u64;
                if position + 1 < QUALITY_LINKS {
                    let found = results.iter().filter(|hash| passes_filter(position, **hash));
                    open.extend(found.map(|hash| (position + 1, *hash)));
                }
            }
        }
        hashes
    }

    /// Hashes of some challenges, as a part of what these sets should cost.
    fn part<R: RngCore>(&self, dropped: [u32; 2], challenges: u32, rng: &mut R) -> f64 {
        let (mut hashes, mut expected) = (0.0, 0.0);
        for _ in 0..challenges {
            let challenge = Challenge::new(bytes(rng));
            let sets = self.links(&challenge, dropped);
            let sizes = std::array::from_fn(|set| sets[set].len() as f64);
            expected += (0..SETS).map(|start| of_sizes(sizes, start, true)).sum::<f64>();
            hashes += self.search(&challenge, &sets) as f64;
        }
        hashes / expected
    }
}

fn bytes<R: RngCore>(rng: &mut R) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Row 10.
pub(super) fn bit_dropping(trial: &Trial) -> Result<Findings, AttackError> {
    let mut measurements = Vec::new();
    let mut points = Vec::new();
    let plots = trial.streams(0).map(|mut rng| Victim::new(&mut rng)).collect::<Result<Vec<_>, _>>()?;
    for (case, (name, dropped, published, challenges)) in (1..).zip(CASES) {
        let expected = closed_form(dropped);
        let band = Band::rounded(published, 1.0);
        measurements.push(Measurement::exact(name, "hashes, closed form", expected, published, band, CHIP));
        let sizes = std::array::from_fn(|set| 64 << dropped[set % 2]);
        // A half is of every second link here, the first or the second.
        let sized = sizes.map(|size| size as f64);
        let stepwise = f64::midpoint(of_sizes(sized, 0, false), of_sizes(sized, 1, false));
        let played: Sample = trial
            .streams(case)
            .map(|mut rng| {
                let challenges = (0..MODEL_CHALLENGES).map(|number| number as usize % 2);
                challenges.map(|start| modelled(sizes, start, &mut rng)).collect::<Sample>().mean()
            })
            .collect();
        let band = Band::relative(stepwise, -0.001, 0.001);
        measurements.push(Measurement::sampled(
            name,
            "hashes, search simulated",
            &played,
            stepwise,
            band,
            STEPWISE,
        ));
        let streams = trial.streams(case + 10).zip(&plots);
        let part: Sample = streams.map(|(mut rng, plot)| plot.part(dropped, challenges, &mut rng)).collect();
        let quantity = "real plots / expected of their sets";
        let band = Band::relative(1.0, -0.01, 0.01);
        measurements.push(Measurement::sampled(name, quantity, &part, 1.0, band, SETS_SOURCE));
        points.push((f64::from(dropped[0] + dropped[1]) / 2.0, (part.mean() * stepwise).log10()));
    }
    let closed = (0..=20).map(|i| f64::from(i) / 20.0).map(|bits| {
        let growth = bits.exp2();
        let links = 64.0 * growth;
        (bits, (links + links * links * (0..15).map(|link| growth.powi(link)).sum::<f64>()).log10())
    });
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![
            format!("Real plots are of k = {K}, {} of them; hashes do not depend on k.", plots.len()),
            "Dropping a bit saves one part in k + 1.5 of the space, 3.4 % at k = 28.".to_owned(),
        ],
        chart: Chart {
            x: "bits dropped of a fragment",
            y: "log10 of the hashes for a challenge",
            is_x_logarithmic: false,
            series: vec![
                Series { name: "closed form".to_owned(), points: closed.collect() },
                Series { name: "real plots, scaled to sets of 64".to_owned(), points },
            ],
        },
    })
}
