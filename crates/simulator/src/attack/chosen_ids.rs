//! Choosing group ids once the seed is known: a plotter who knows a period's seed picks nonces until the filter asks
//! the group when it suits.
//!
//! A group is asked every `F` rounds (FLT-1), from a round on that its id decides. In a period of `L` rounds a stored group is
//! asked `L / F` times on average; one whose id was chosen for the first round is asked `ceil(L / F)` times. `L` is a sum
//! of waits for `c` blocks, so that the leverage is `E[ceil(L / F)] / E[L / F]`. It is greatest for `c = 1` and `F` as long as
//! a mean period, where `L` is exponential: `1 / (1 - 1 / e) = 1.58`.
//!
//! The next seed is known some blocks, the lag, before its period begins. Who makes a group in that time can choose an id
//! that is asked in what is left of the old period as well.

use mass_consensus::{lottery::is_asked, spec::ChainSpec};
use mass_primitives::{GroupId, Round, Seed};
use mass_proof_of_space::Strength;
use rand::{Rng, RngCore};
use rand_distr::{Distribution, Geometric};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::{AttackError, Findings, Trial, massnet};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::Sample,
};

const PERIODS: u32 = 4_000;
/// Periods of a run in which ids are ground.
const GROUND: u32 = 32;
/// Ids that are tried, for each of the filter's rounds.
const GRINDS: u32 = 400;
const BOUND: f64 = 1.6;
const CLOSED: &str = "E[ceil(L / F)], L of c geometric waits: the module's header";
const CLAIM: &str = "the laboratory's table, row 9: 1.6 times a stored plot's rate at most";
const ONE: &str = "the laboratory's table, row 9: one read a group and period";
const TAIL: &str = "one more than with one seed known, if the lag lasts a round";

/// What the leverage depends on.
#[derive(Clone, Copy)]
struct Clock {
    period_blocks: u32,
    interval_slots: f64,
    round_slots: f64,
    filter: f64,
}

impl Clock {
    /// The mean of `ceil(L / F)`.
    fn asked_if_chosen(&self) -> f64 {
        let odds = 1.0 / self.interval_slots;
        // L > n F iff fewer than c blocks are made in as many slots.
        let longer = |times: u32| {
            let slots = (f64::from(times) * self.filter * self.round_slots) as u64;
            Binomial::new(odds, slots).map_or(f64::NAN, |made| made.cdf(u64::from(self.period_blocks) - 1))
        };
        1.0 + (1..40).map(longer).sum::<f64>()
    }

    /// The mean of `L / F`.
    fn asked_if_stored(&self) -> f64 {
        f64::from(self.period_blocks) * self.interval_slots / self.round_slots / self.filter
    }

    /// Slots until so many blocks are made.
    fn wait<R: Rng>(&self, blocks: u32, rng: &mut R) -> u64 {
        let gap = Geometric::new(1.0 / self.interval_slots).expect("an interval has slots");
        (0..blocks).map(|_| gap.sample(rng) + 1).sum()
    }

    /// Times that a group is asked in one period, stored and chosen.
    fn play<R: Rng>(&self, rng: &mut R) -> (f64, f64) {
        let times = self.wait(self.period_blocks, rng) as f64 / self.round_slots / self.filter;
        let start = rng.gen_range(0.0..1.0);
        ((times - start).ceil().max(0.0), times.ceil())
    }

    /// Reads of a chosen id to one of a stored one, over many periods.
    fn leverage<R: Rng>(&self, rng: &mut R) -> f64 {
        let (mut stored, mut chosen) = (0.0, 0.0);
        for _ in 0..PERIODS {
            let times = self.play(rng);
            (stored, chosen) = (stored + times.0, chosen + times.1);
        }
        chosen / stored
    }
}

/// Times that the real filter asks a group between two rounds.
fn asked(spec: &ChainSpec, seed: &Seed, group: &GroupId, rounds: std::ops::Range<u64>) -> u32 {
    let filter = spec.filter(Strength::MIN);
    rounds.map(|round| u32::from(is_asked(spec.beacon_id(), seed, group, filter, Round::new(round)))).sum()
}

fn bytes<R: RngCore>(rng: &mut R) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// What grinding ids buys by the real filter: reads of one group with one seed known, and with two.
fn ground<R: RngCore>(spec: &ChainSpec, clock: &Clock, rng: &mut R) -> (f64, f64, f64) {
    let rules = spec.rules();
    let (old, new) = (Seed::new(bytes(rng)), Seed::new(bytes(rng)));
    let rounds = |blocks: u32, rng: &mut R| clock.wait(blocks, rng).div_ceil(rules.round_slots);
    let length = rounds(rules.period_blocks, rng);
    let tail = rounds(rules.seed_lag_blocks, rng);
    let begin = 1 << 20;
    let filter = spec.filter(Strength::MIN);
    let is_first = |id: &GroupId| is_asked(spec.beacon_id(), &new, id, filter, Round::new(begin));
    let tried = u64::from(GRINDS) * filter;
    let ids: Vec<GroupId> = (0..tried).map(|_| GroupId::new(bytes(rng))).filter(is_first).collect();
    let reads = |id: &GroupId| asked(spec, &new, id, begin..begin + length);
    let before = |id: &GroupId| asked(spec, &old, id, begin - tail..begin);
    let one = ids.first().map_or(0, reads);
    let two = ids.iter().map(|id| before(id) + reads(id)).max();
    let in_filter = ids.first().map_or(0, |id| asked(spec, &new, id, begin..begin + filter));
    (f64::from(one), f64::from(two.unwrap_or(one)), f64::from(in_filter))
}

/// What the real filter gives.
fn ground_rows(trial: &Trial, spec: &ChainSpec, ours: &Clock) -> Vec<Measurement> {
    let mut played: [Sample; 3] = Default::default();
    for mut rng in trial.streams(10) {
        let (mut one, mut two, mut all) = (Sample::default(), Sample::default(), Sample::default());
        for _ in 0..GROUND {
            let found = ground(spec, ours, &mut rng);
            one.add(found.0);
            two.add(found.1);
            all.add(found.2);
        }
        played[0].add(one.mean());
        played[1].add(two.mean());
        played[2].add(all.mean());
    }
    let name = "Mass Net, real filter, ids ground";
    let once = ours.asked_if_chosen();
    let band = |expected: f64| Band::relative(expected, -0.03, 0.03);
    let row = |quantity, sample: &Sample, expected: f64, band, source| {
        Measurement::sampled(name, quantity, sample, expected, band, source)
    };
    let twice = once + 1.0;
    vec![
        row("reads of a group in F rounds", &played[2], 1.0, Band::new(1.0, 1.0), ONE),
        row("reads in the period, its seed known", &played[0], once, band(once), CLOSED),
        row("reads, made in the lag, both seeds known", &played[1], twice, band(twice), TAIL),
    ]
}

/// Row 9.
pub(super) fn chosen_ids(trial: &Trial) -> Result<Findings, AttackError> {
    let spec = massnet()?;
    let rules = spec.rules();
    let clock = |period_blocks: u32, filter: f64| Clock {
        period_blocks,
        interval_slots: rules.interval_slots as f64,
        round_slots: rules.round_slots as f64,
        filter,
    };
    let ours = clock(rules.period_blocks, spec.filter(Strength::MIN) as f64);
    let mean_rounds = |blocks: u32| f64::from(blocks) * ours.interval_slots / ours.round_slots;
    // Many short rounds, so that a period of one block is a continuous time.
    let worst = Clock { period_blocks: 1, interval_slots: 1e4, round_slots: 1.0, filter: 1e4 };
    let longest = clock(rules.period_blocks, mean_rounds(rules.period_blocks));
    let mut measurements = Vec::new();
    let cases =
        [("Mass Net", ours), ("c = 128, F = mean period", longest), ("c = 1, F = mean period", worst)];
    for (case, (name, clock)) in (0..).zip(cases) {
        let leverage: Sample = trial.streams(case).map(|mut rng| clock.leverage(&mut rng)).collect();
        let expected = clock.asked_if_chosen() / clock.asked_if_stored();
        let band = Band::relative(expected, -0.005, 0.005);
        measurements.push(Measurement::sampled(name, "chosen / stored", &leverage, expected, band, CLOSED));
        let band = Band::new(1.0, BOUND);
        measurements.push(Measurement::exact(name, "closed form", expected, BOUND, band, CLAIM));
    }
    measurements.extend(ground_rows(trial, &spec, &ours));
    let lag_seconds = f64::from(rules.seed_lag_blocks) * ours.interval_slots * f64::from(rules.slot_seconds);
    let curve = |name: &str, part: f64| Series {
        name: name.to_owned(),
        points: (0..=8)
            .map(|power| 1u32 << power)
            .map(|blocks| {
                let clock = clock(blocks, (mean_rounds(blocks) / part).max(1.0));
                (f64::from(blocks), clock.asked_if_chosen() / clock.asked_if_stored())
            })
            .collect(),
    };
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![
            "The leverage is bounded because F is hardly more than a period: with an F of two periods a stored \
             group would be asked in half of them and a chosen one in each. The length of a period is chance: in 22 of 100 it \
             is longer than F rounds, and the groups that were asked first are asked again."
                .to_owned(),
            format!(
                "Two seeds are known for the lag, {lag_seconds} s on average. A group made in that time can be asked at the end \
                 of one period and in the next, which a row above counts. It takes making all such plots anew in each \
                 period, within the lag: {:.0} plots for a device that makes one in 1.1 s, against the 5,585 that it can \
                 pretend anyway.",
                lag_seconds / 1.1
            ),
        ],
        chart: Chart {
            x: "blocks between challenges (c)",
            y: "reads of a chosen id / of a stored one",
            is_x_logarithmic: true,
            series: vec![
                curve("F = mean period", 1.0),
                curve("F = mean period / 0.9375, as Mass Net", 0.9375),
                curve("F = two mean periods", 0.5),
            ],
        },
    })
}
