//! Stale blocks: honest wins that do not become part of the chain, because their farmers had not heard of each other.

use rand_distr::{Distribution, Poisson};

use super::{Rules, all_rules, has_win, percent};
use crate::{
    attack::{AttackError, Findings, Trial},
    report::{Band, Chart, Measurement, Page, Series, Table},
    statistics::Sample,
};

const DELAYS: [f64; 3] = [1.0, 3.0, 6.0];
const SLOTS: u32 = 400_000;
const CLOSED: &str = "1 - growth / wins, growth = 1 / (1 / (1 - e^-wins) + blind slots - 1)";

/// The stale part of blocks, everybody honest.
pub(super) fn stale_part(rules: &Rules, delay: f64) -> f64 {
    1.0 - rules.honest_growth(1.0, delay) * rules.interval
}

/// The same by playing it: each block stands on the best of those that are old enough to be seen.
fn played<R: rand::Rng>(rules: &Rules, delay: f64, rng: &mut R) -> f64 {
    let wins = Poisson::new(1.0 / rules.interval).expect("an interval has slots");
    let blind = rules.blind_slots(delay) as usize;
    // Heights of the best block up to each of the last slots, the oldest of which everybody sees.
    let mut heights = std::collections::VecDeque::from(vec![0u32; blind]);
    let mut blocks = 0.0;
    for _ in 0..SLOTS {
        let made: f64 = wins.sample(rng);
        let seen = heights.pop_front().unwrap_or(0);
        let best = heights.back().copied().unwrap_or(seen).max(seen);
        heights.push_back(if made > 0.0 { best.max(seen + 1) } else { best });
        blocks += made;
    }
    1.0 - f64::from(heights.back().copied().unwrap_or(0)) / blocks
}

/// The experiment.
pub(in crate::attack) fn stale(trial: &Trial) -> Result<Findings, AttackError> {
    let all = all_rules()?;
    let slotted: Vec<&Rules> = all.iter().filter(|rules| !rules.is_infused && rules.period > 1).collect();
    let mut measurements = Vec::new();
    let (mut rows, mut series) = (Vec::new(), Vec::new());
    for (number, rules) in (0..).zip(&slotted) {
        let mut row = vec![rules.label()];
        for (case, delay) in (number * 10..).zip(DELAYS) {
            let expected = stale_part(rules, delay);
            let sample: Sample = trial.streams(case).map(|mut rng| played(rules, delay, &mut rng)).collect();
            let band = Band::relative(expected, -0.01, 0.01);
            let name = format!("{}, delay {delay} s", rules.label());
            measurements.push(Measurement::sampled(name, "stale part", &sample, expected, band, CLOSED));
            row.push(percent(expected, 1));
            row.push(format!("{} ± {:.2}", percent(sample.mean(), 1), 100.0 * sample.error()));
        }
        rows.push(row);
        let points = (0..=60).map(|i| f64::from(i) / 4.0).map(|delay| (delay, stale_part(rules, delay)));
        series.push(Series { name: rules.label(), points: points.collect() });
    }
    let mut columns = vec!["rules".to_owned()];
    columns.extend(DELAYS.iter().flat_map(|delay| [format!("delay {delay} s"), "simulated".to_owned()]));
    let ours = slotted[0];
    let same_slot = 1.0 - has_win(1.0 / ours.interval) * ours.interval;
    let page = Page {
        heading: "Stale blocks",
        claims: vec![format!(
            "With blocks that take 1 s, {} of all blocks do not last, all of them because two farmers won one slot; with \
             3 s, if a block just misses the next slot, {}.",
            percent(same_slot, 1),
            percent(stale_part(ours, 3.0), 1)
        )],
        tables: vec![Table {
            caption: "Part of the blocks that do not become part of the chain.".to_owned(),
            columns,
            rows,
        }],
        limits: vec![
            "Big farmers, who hear of their own blocks at once and lose fewer.".to_owned(),
            "Chia, whose blocks of one time join the chain one after the other.".to_owned(),
        ],
    };
    Ok(Findings {
        measurements,
        page: Some(page),
        notes: vec![
            "Each farmer is taken as small, so that nobody knows the last block before others.".to_owned(),
        ],
        chart: Chart { x: "delay in seconds", y: "stale part", is_x_logarithmic: false, series },
    })
}
