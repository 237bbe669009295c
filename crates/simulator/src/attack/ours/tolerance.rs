//! The share of the space from which a private tree overtakes recent blocks, in slots and with delay.

use rand::Rng;
use rand_distr::{Distribution, Exp1, Gamma, Geometric, Poisson};

use super::{Rules, all_rules, has_win, percent};
use crate::{
    attack::{
        AttackError, Findings, Trial,
        private_tree::{GENERATIONS, WIDTH, growth_factor, limited_births},
    },
    report::{Band, Chart, Measurement, Page, Series, Table},
    statistics::{Sample, crossing},
};

const DELAYS: [f64; 3] = [1.0, 3.0, 6.0];
const HONEST_SLOTS: u32 = 2_000_000;
/// What the project promises without delay.
const PROMISE: f64 = 0.44;
const CLOSED: &str = "tree and chain in slots grow alike: closed forms in attack/ours.rs";
const LIMIT: &str = "1 / (1 + phi_c), Bagaria et al., arXiv 1910.02218; promised are 44 %";

/// The tolerated share, in slots and with delay.
pub(super) fn tolerated(rules: &Rules, delay: f64) -> f64 {
    crossing(0.01, 0.6, |share| rules.tree_growth(share) - rules.honest_growth(1.0 - share, delay))
}

/// The same without slots and delay.
pub(super) fn tolerated_in_theory(rules: &Rules) -> f64 {
    1.0 / (1.0 + growth_factor(rules.period))
}

/// Blocks a slot of one simulated tree.
fn played_tree<R: Rng>(rules: &Rules, share: f64, rng: &mut R) -> f64 {
    let wins = share / rules.interval;
    let odds = has_win(wins);
    let generations = (GENERATIONS / 2).max(40);
    let mut parents = vec![0.0f64; WIDTH];
    let (warm_up, mut start) = (generations / 4, 0.0);
    for generation in 0..generations {
        if generation == warm_up {
            start = parents[0];
        }
        let before = f64::from(rules.period) - 1.0;
        let period = |rng: &mut R| {
            // Slots without a win before so many with one: negative binomial.
            let rate = if before > 0.0 {
                Gamma::new(before, (1.0 - odds) / odds).map_or(0.0, |gamma| gamma.sample(rng))
            } else {
                0.0
            };
            before + Poisson::new(rate).map_or(0.0, |empty| empty.sample(rng))
        };
        let gap = |rng: &mut R| -> f64 {
            let gap: f64 = Exp1.sample(rng);
            gap / wins
        };
        let nearly: Vec<f64> = parents.iter().map(|birth| birth + period(rng) + gap(rng)).collect();
        // Wins come in continuous time and count at the end of their slot.
        let births = limited_births(nearly, WIDTH, rng, gap);
        parents = births.into_iter().map(|time| time.floor() + 1.0).collect();
    }
    f64::from(rules.period) * f64::from(generations - warm_up) / (parents[0] - start)
}

/// Blocks a slot of one simulated honest chain.
fn played_chain<R: Rng>(rules: &Rules, share: f64, delay: f64, rng: &mut R) -> f64 {
    let gap = Geometric::new(has_win(share / rules.interval)).expect("odds");
    let blind = rules.blind_slots(delay) as u64;
    let (mut now, mut seen_from, mut height) = (0u64, 0u64, 0u32);
    while now < u64::from(HONEST_SLOTS) {
        now += gap.sample(rng) + 1;
        if now >= seen_from {
            height += 1;
            seen_from = now + blind;
        }
    }
    f64::from(height) / now as f64
}

/// The tolerance that a pair of runs shows; both growths are all but linear in the share.
fn played<R: Rng>(rules: &Rules, delay: f64, about: f64, rng: &mut R) -> f64 {
    let tree = played_tree(rules, about, rng) / about;
    let chain = played_chain(rules, 1.0 - about, delay, rng) / (1.0 - about);
    chain / (chain + tree)
}

/// The experiment.
pub(in crate::attack) fn tolerance(trial: &Trial) -> Result<Findings, AttackError> {
    let all = all_rules()?;
    let mut measurements = Vec::new();
    let mut rows = Vec::new();
    let mut series = Vec::new();
    for (number, rules) in (0..).zip(&all) {
        let theory = tolerated_in_theory(rules);
        let mut row = vec![rules.label(), percent(theory, 1)];
        if number == 0 {
            let band = Band::new(PROMISE, 0.5);
            measurements.push(Measurement::exact(
                rules.label(),
                "without slots and delay, closed form",
                theory,
                theory,
                band,
                LIMIT,
            ));
        }
        for (case, delay) in (number * 10..).zip(DELAYS) {
            let expected = tolerated(rules, delay);
            let sample: Sample =
                trial.streams(case).map(|mut rng| played(rules, delay, expected, &mut rng)).collect();
            // A truncated tree is up to 4 % too slow.
            let band = Band::relative(expected, -0.002, 0.04 * (1.0 - expected) + 0.002);
            let name = format!("{}, delay {delay} s", rules.label());
            let quantity = "tolerated share";
            measurements.push(Measurement::sampled(&name, quantity, &sample, expected, band, CLOSED));
            row.push(percent(expected, 1));
            row.push(format!("{} ± {:.2}", percent(sample.mean(), 1), 100.0 * sample.error()));
        }
        rows.push(row);
        let points = (0..=60).map(|i| f64::from(i) / 4.0).map(|delay| (delay, tolerated(rules, delay)));
        series.push(Series { name: rules.label(), points: points.collect() });
    }
    Ok(Findings {
        measurements,
        page: Some(page(&all[0], rows)),
        notes: vec![
            "A delay below a slot costs nothing: a slot takes half a slot a block from the chain, and as much from each path of the \
             tree. One of just a slot, 3 s, counts as missing the next."
                .to_owned(),
        ],
        chart: Chart {
            x: "delay in seconds",
            y: "tolerated share",
            is_x_logarithmic: false,
            series,
        },
    })
}

fn page(ours: &Rules, rows: Vec<Vec<String>>) -> Page {
    let mut columns = vec!["rules".to_owned(), "no slots, no delay".to_owned()];
    columns.extend(DELAYS.iter().flat_map(|delay| [format!("delay {delay} s"), "simulated".to_owned()]));
    let say = |delay| percent(tolerated(ours, delay), 1);
    Page {
        heading: "Tolerance of recent blocks",
        claims: vec![format!(
            "Without delay a private tree needs {} of the space to overtake the chain; with blocks that take 1 s to \
             reach everybody {}, with 3 s {}. It is promised that it is at least 44 % without delay.",
            percent(tolerated_in_theory(ours), 1),
            say(1.0),
            say(3.0)
        )],
        tables: vec![Table {
            caption: "Share of the space from which the adversary wins in the long run, by closed form, and as simulated with its \
                      standard error in percent points. Simulated trees keep 4,096 blocks of a generation and grow up to 4 % too \
                      slowly, so the closed form is the lower and the safer."
                .to_owned(),
            columns,
            rows,
        }],
        limits: vec![
            "Blocks so old that capacity has changed since: there is no proof of time, so that today's space can rewrite a time with \
             less (`long-range`). Checkpoints stop that until there is finality."
                .to_owned(),
            "A delay longer than what the column says, or a network that is split: the delay here is that of each block to each \
             farmer."
                .to_owned(),
            "Chia's proofs of time, and its infusion but for delays that cost it nothing: the row is its proof of space \
             alone, as in the papers."
                .to_owned(),
        ],
    }
}
