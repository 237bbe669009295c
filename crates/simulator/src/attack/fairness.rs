//! Fairness of the lottery: who makes blocks, against capacity, with the engine's own filter, VRF, tickets and draw.
//!
//! Only the plots are not real: how many answers one has to a challenge is drawn from a Poisson distribution whose mean
//! is itself drawn (gamma, variance 1.5), which has the spread of real plots (experiment `qualities`).

use mass_consensus::{
    keys::FarmerSecret,
    lottery::{is_asked, lottery_weight, ticket, wins},
    spec::ChainSpec,
};
use mass_primitives::{Difficulty, GroupId, Quality, Round, Seed, Slot, Ticket, VrfOutput};
use mass_proof_of_space::Strength;
use rand::{CryptoRng, Rng, RngCore};
use rand_distr::{Distribution, Gamma, Poisson};

use super::{AttackError, Findings, Trial, massnet};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::chi_square_p,
};

/// Plots of the farms that are compared.
const CAPACITIES: [usize; 5] = [100, 200, 400, 800, 1600];
const HALF: usize = 1550;
const KEYS: [usize; 3] = [1, 10, 100];
const P_MIN: f64 = 0.01;
const SPREAD: f64 = 1.5;
const SOURCE: &str = "Pearson's chi-square of wins against capacity: p above 0.01";

/// Plots under one key.
struct Farm {
    camp: usize,
    secret: FarmerSecret,
    groups: Vec<GroupId>,
}

fn bytes<R: RngCore>(rng: &mut R) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A camp of so many plots, a group each, over so many keys.
fn farms<R: RngCore>(camp: usize, plots: usize, keys: usize, rng: &mut R) -> Vec<Farm> {
    let size = |key: usize| plots * (key + 1) / keys - plots * key / keys;
    let farm = |key| Farm {
        camp,
        secret: FarmerSecret::from_seed(&bytes(rng)),
        groups: (0..size(key)).map(|_| GroupId::new(bytes(rng))).collect(),
    };
    (0..keys).map(farm).collect()
}

/// The blocks of each camp in one period; in a slot the lowest ticket makes the block.
fn period<R: RngCore + CryptoRng>(
    spec: &ChainSpec,
    farms: &[Farm],
    camps: usize,
    rng: &mut R,
) -> Result<Vec<f64>, AttackError> {
    let rules = spec.rules();
    let strength = Strength::new(rules.strength_min)?;
    let (filter, weight) = (spec.filter(strength), lottery_weight(spec, strength));
    let plots: usize = farms.iter().map(|farm| farm.groups.len()).sum();
    let netspace = plots as u128 * u128::from(spec.plot_size().nominal_bytes());
    let difficulty = Difficulty::new(netspace * u128::from(rules.interval_slots));
    let seed = Seed::new(bytes(rng));
    let rounds = u64::from(rules.period_blocks) * rules.interval_slots / rules.round_slots;
    let mut blocks = vec![0.0; camps];
    let mut lowest: Vec<Option<(Ticket, usize)>> = vec![None; (rounds * rules.round_slots) as usize];
    for farm in farms {
        let asked = |group: &GroupId| {
            (0..rounds).map(Round::new).find(|round| is_asked(spec.beacon_id(), &seed, group, filter, *round))
        };
        let mut outputs: Vec<Option<VrfOutput>> = vec![None; rounds as usize];
        for round in farm.groups.iter().filter_map(asked) {
            let known = &mut outputs[round.get() as usize];
            let output =
                *known.get_or_insert_with(|| farm.secret.evaluate(spec.id(), &seed, round, &mut *rng).0);
            for _ in 0..answers(rng) {
                let quality = Quality::new(bytes(rng));
                let start = spec.round_start(round).get();
                for slot in start..start + rules.round_slots {
                    let drawn = ticket(spec.id(), &seed, Slot::new(slot), &quality, &output);
                    let best = &mut lowest[slot as usize];
                    if wins(&drawn, weight, difficulty) && best.is_none_or(|(other, _)| drawn < other) {
                        *best = Some((drawn, farm.camp));
                    }
                }
            }
        }
    }
    lowest.iter().flatten().for_each(|(_, camp)| blocks[*camp] += 1.0);
    Ok(blocks)
}

/// How many answers a plot has.
fn answers<R: Rng>(rng: &mut R) -> u32 {
    let mean = Gamma::new(1.0 / SPREAD, SPREAD).expect("positive").sample(rng);
    let count: f64 = Poisson::new(mean.max(f64::MIN_POSITIVE)).expect("positive").sample(rng);
    count as u32
}

/// The blocks of each camp over all runs, each of which is one period of new farms.
fn race(trial: &Trial, case: u32, camps: &[(usize, usize)]) -> Result<Vec<f64>, AttackError> {
    let spec = massnet()?;
    let mut total = vec![0.0; camps.len()];
    for mut rng in trial.streams(case) {
        let mut all = Vec::new();
        for (camp, (plots, keys)) in camps.iter().enumerate() {
            all.extend(farms(camp, *plots, *keys, &mut rng));
        }
        let blocks = period(&spec, &all, camps.len(), &mut rng)?;
        total.iter_mut().zip(blocks).for_each(|(sum, more)| *sum += more);
    }
    Ok(total)
}

/// Row 14.
pub(super) fn fairness(trial: &Trial) -> Result<Findings, AttackError> {
    let mut measurements = Vec::new();
    let mut judge = |case: String, counts: &[f64], plots: &[usize]| {
        let (blocks, capacity) = (counts.iter().sum::<f64>(), plots.iter().sum::<usize>() as f64);
        let expected: Vec<f64> = plots.iter().map(|plots| *plots as f64 / capacity * blocks).collect();
        let p = chi_square_p(counts, &expected);
        let row = Measurement::exact(case, "chi-square p", p, 0.5, Band::new(P_MIN, 1.0), SOURCE);
        measurements.push(row);
    };
    let one_key_each = CAPACITIES.map(|plots| (plots, 1));
    let counts = race(trial, 0, &one_key_each)?;
    judge("farms of 1 : 2 : 4 : 8 : 16".to_owned(), &counts, &CAPACITIES);
    let blocks: f64 = counts.iter().sum();
    for (case, keys) in (1..).zip(KEYS) {
        let counts = race(trial, case, &[(HALF, keys), (HALF, 1)])?;
        judge(format!("one half over {keys} keys"), &counts, &[HALF, HALF]);
    }
    let capacity: usize = CAPACITIES.iter().sum();
    let shares = CAPACITIES.map(|plots| plots as f64 / capacity as f64);
    let won = shares.iter().zip(&counts).map(|(share, count)| (*share, count / blocks)).collect();
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![
            format!("{} periods of Mass Net's spec, {blocks} blocks in the first case.", trial.runs),
            "An honest lottery is out of band once in a hundred cases: try another seed before alarm."
                .to_owned(),
        ],
        chart: Chart {
            x: "share of the capacity",
            y: "share of the blocks",
            is_x_logarithmic: true,
            series: vec![
                Series { name: "won".to_owned(), points: won },
                Series { name: "fair".to_owned(), points: shares.map(|share| (share, share)).to_vec() },
            ],
        },
    })
}
