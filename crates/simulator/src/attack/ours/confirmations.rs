//! How many blocks make a payment safe, that is, reversed with odds of at most one in a thousand.
//!
//! From one honest block to the next, which is a gap of slots, the adversary makes a Poisson number `J` of blocks. It is granted the
//! growth that its private tree has in the limit, all the time, though within a period it has its bare wins only; it wins ties;
//! and it makes its next blocks before honest farmers make theirs. A payment with `k` blocks on a fork that the adversary
//! left with a lead `W` is reversed iff `W + J(1) + .. + J(k+1) + M >= k`, `M` the maximum of the walk of steps `J - 1`
//! from then on. `M`, and `W` of an adversary who always tries, have one law, that of what a queue leaves behind: its length
//! has `p(0) = 1 - E[J]` and `p(n) = p(0) P(J = n) + sum p(i) P(J = n - i + 1)`, i from 1 to n + 1, and one is served.
//!
//! Three adversaries. *Any moment*: the payment comes when it comes, and the adversary has the lead that it happens to have
//! from before. *Best moment of a period*: it knows its own wins for a period ahead and begins where they are densest. *All
//! known*: as if it knew everybody's wins, too, so that no fork of that period does better. The last two are odds for a whole
//! period of `c` blocks, of forks that begin in it.

use rand::Rng;
use rand_distr::{Distribution, Exp1, Poisson};
use statrs::distribution::Discrete;

use super::{Rules, all_rules, has_win};
use crate::{
    attack::{AttackError, Findings, Trial},
    report::{Band, Chart, Measurement, Page, Series, Table},
    statistics::Sample,
};

const SHARES: [f64; 4] = [0.10, 0.25, 0.33, 0.40];
const DELAYS: [f64; 2] = [1.0, 3.0];
const ODDS: f64 = 0.001;
const DEPTH_MAX: usize = 1_500;
/// Values that distributions are kept for.
const VALUES: usize = 1_600;
const RACES: u32 = 5_000;
const PERIODS: u32 = 2_000;
/// Honest draws for each schedule of an adversary.
const DRAWS: u32 = 2;
/// Blocks for an adversary's lead to be as it is on average.
const WARM_UP: u32 = 300;
/// An adversary gives up when it is so far behind that it would draw level with these odds.
const HOPE: f64 = 1e-6;
const CLOSED: &str = "convolution and queue, in the module's header";
const UNION: &str = "at most the sum over all forks of a period";
const BETWEEN: &str = "at most what it would be if all were known";

/// A race of one adversary against one chain.
#[derive(Clone, Copy)]
struct Race {
    /// Odds of a slot to have an honest win.
    honest: f64,
    /// Slots after each honest block that add nothing.
    blind: f64,
    /// The adversary's blocks a slot.
    private: f64,
    /// So far behind there is no hope.
    hopeless: i64,
}

impl Race {
    fn new(rules: &Rules, share: f64, delay: f64) -> Self {
        Self::of(
            has_win((1.0 - share) / rules.interval),
            rules.blind_slots(delay) - 1.0,
            rules.tree_growth(share),
        )
    }

    fn of(honest: f64, blind: f64, private: f64) -> Self {
        let race = Self { honest, blind, private, hopeless: i64::MAX };
        if race.is_lost() {
            return race;
        }
        let law = lead(&race.made());
        // The tail is geometric.
        let level = law.iter().position(|odds| *odds < HOPE).unwrap_or(law.len() - 1);
        Self { hopeless: level as i64 + 5, ..race }
    }

    /// Slots between honest blocks.
    fn gap(&self) -> f64 {
        1.0 / self.honest + self.blind
    }

    fn is_lost(&self) -> bool {
        self.private * self.gap() >= 1.0
    }

    /// The law of `J`.
    fn made(&self) -> Vec<f64> {
        let mut law = vec![0.0; 120];
        let mut odds = self.honest;
        for slots in 1..=(40.0 / self.honest) as u32 {
            let mean = self.private * (f64::from(slots) + self.blind);
            let mut part = odds * (-mean).exp();
            for (value, sum) in law.iter_mut().enumerate() {
                *sum += part;
                part *= mean / (value + 1) as f64;
            }
            odds *= 1.0 - self.honest;
        }
        law
    }

    fn draw_gap<R: Rng>(&self, rng: &mut R) -> f64 {
        let wait: f64 = Exp1.sample(rng);
        (wait / -(-self.honest).ln_1p()).floor() + 1.0 + self.blind
    }

    fn draw<R: Rng>(&self, rng: &mut R) -> i64 {
        let mean = self.private * self.draw_gap(rng);
        let made: f64 = Poisson::new(mean).map_or(0.0, |made| made.sample(rng));
        made as i64
    }
}

/// The law of `max(W + J - 1, 0)`, of the queue in which `made` arrive and one is served.
fn lead(made: &[f64]) -> Vec<f64> {
    let p = |value: usize| made.get(value).copied().unwrap_or(0.0);
    let mean: f64 = made.iter().enumerate().map(|(value, odds)| value as f64 * odds).sum();
    let mut law = vec![1.0 - mean];
    while law.len() < VALUES {
        let n = law.len() - 1;
        let from = |i: &usize| law[*i] * p(n + 1 - i);
        let known: f64 = (n.saturating_sub(made.len())..=n).filter(|i| *i > 0).map(|i| from(&i)).sum();
        // Rounding would make the far tail negative.
        law.push(((law[n] - law[0] * p(n) - known) / p(0)).clamp(0.0, 1.0));
    }
    let idle = law.remove(0);
    law[0] += idle;
    law
}

fn convolve(one: &[f64], other: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; VALUES];
    for (i, a) in one.iter().enumerate().filter(|(_, a)| **a > 1e-18) {
        for (j, b) in other.iter().enumerate().take(VALUES - i) {
            sum[i + j] += a * b;
        }
    }
    sum
}

/// The odds of a reversal at each depth, with an average lead or with none.
fn odds(race: &Race, has_lead: bool) -> Vec<f64> {
    let made = race.made();
    let lead = lead(&made);
    let ahead = if has_lead { convolve(&lead, &lead) } else { lead };
    let mut at_least: Vec<f64> = ahead
        .iter()
        .rev()
        .scan(0.0, |sum, p| {
            *sum += p;
            Some(*sum)
        })
        .collect();
    at_least.reverse();
    let mut total = made.clone();
    total.resize(VALUES, 0.0);
    let mut odds = Vec::new();
    for depth in 0..DEPTH_MAX {
        // `total` is the law of depth + 1 draws.
        let missed =
            |(made, p): (usize, &f64)| p * at_least.get(depth.saturating_sub(made)).copied().unwrap_or(0.0);
        odds.push(total.iter().enumerate().map(missed).sum::<f64>().min(1.0));
        if odds[depth] < ODDS / 1e3 {
            break;
        }
        total = convolve(&total, &made);
    }
    odds
}

/// The first depth at which odds are low enough.
fn depth_of(odds: &[f64]) -> Option<usize> {
    odds.iter().position(|odds| *odds <= ODDS)
}

/// The depth at any moment, with the seconds that it takes; none if the adversary outgrows the chain.
pub(super) fn depth(rules: &Rules, share: f64, delay: f64) -> Option<(usize, f64)> {
    let race = Race::new(rules, share, delay);
    let depth = if race.is_lost() { None } else { depth_of(&odds(&race, true)) }?;
    Some((depth, depth as f64 * race.gap() * rules.slot_seconds))
}

/// Whether one race reverses `depth` blocks, the adversary having the lead that it happens to have.
fn reverses<R: Rng>(race: &Race, depth: usize, rng: &mut R) -> bool {
    let mut lead = 0;
    for _ in 0..WARM_UP {
        lead = (lead + race.draw(rng) - 1).max(0);
    }
    for _ in 0..depth {
        lead += race.draw(rng) - 1;
    }
    while lead > -race.hopeless {
        let made = race.draw(rng);
        if lead + made >= 0 {
            return true;
        }
        lead += made - 1;
    }
    false
}

/// The greatest depth that somebody who knew all wins of a period could reverse from a fork in it.
fn deepest<R: Rng>(race: &Race, forks: usize, rng: &mut R) -> usize {
    // Walk at honest blocks; a fork at s reverses t - 1 - s blocks if it is no more than one lower at t.
    let mut walk = vec![0i64];
    let mut lowest = 0;
    while walk.len() <= forks || walk[walk.len() - 1] > lowest - race.hopeless {
        let last = walk[walk.len() - 1] + race.draw(rng) - 1;
        if walk.len() < forks {
            lowest = lowest.min(last);
        }
        walk.push(last);
    }
    // Left ends that matter: new lows.
    let mut lows: Vec<usize> = Vec::new();
    for fork in 0..forks {
        if lows.last().is_none_or(|low| walk[fork] < walk[*low]) {
            lows.push(fork);
        }
    }
    let mut deepest = 0;
    for end in (1..walk.len()).rev() {
        while let Some(low) = lows.last().filter(|low| walk[**low] <= walk[end] + 1) {
            if *low < end {
                deepest = deepest.max(end - 1 - low);
            }
            lows.pop();
        }
    }
    deepest
}

/// The part of honest futures in which an adversary that knows its own wins for a period reverses `depth` blocks.
fn foreseen<R: Rng>(race: &Race, forks: usize, depth: usize, rng: &mut R) -> f64 {
    let gap = race.gap();
    let period = forks as f64 * gap;
    let spans = [1.0, 1.4, 2.0].map(|part| part * depth.max(1) as f64);
    // Its schedule, beyond the period for the races that run on.
    let end = period + 4.0 * depth as f64 * gap + 60.0 * gap;
    let mut wins: Vec<f64> = Vec::new();
    let mut now = 0.0;
    while now < end {
        let wait: f64 = Exp1.sample(rng);
        now += wait / race.private;
        wins.push(now);
    }
    let made_by = |time: f64| wins.partition_point(|win| *win <= time);
    let score = |first: usize| {
        let of_span = |blocks: &f64| {
            let made = made_by(wins[first] + blocks * gap) - first;
            (made as f64 - blocks) / blocks.sqrt()
        };
        spans.iter().map(of_span).fold(f64::NEG_INFINITY, f64::max)
    };
    let starts = (0..wins.len()).take_while(|first| wins[*first] < period);
    let scored = starts.map(|first| (score(first), first));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, first)| first);
    let start = wins[best] - 1.0;
    let is_reversed = |rng: &mut R| {
        let mut time = start;
        let mut lead = 0;
        for blocks in 0i64.. {
            let before = time;
            time += race.draw_gap(rng);
            let made = if time < end {
                (made_by(time) - made_by(before)) as i64
            } else {
                let mean = race.private * (time - before);
                Poisson::new(mean).map_or(0.0, |made| made.sample(rng)) as i64
            };
            lead += made;
            if blocks >= depth as i64 && lead >= 0 {
                return true;
            }
            lead -= 1;
            if blocks > depth as i64 && lead < -race.hopeless {
                return false;
            }
        }
        false
    };
    let reversed = (0..DRAWS).filter(|_| is_reversed(rng)).count();
    reversed as f64 / f64::from(DRAWS)
}

/// What one cell of the table says.
fn cell(depth: Option<usize>, race: &Race, rules: &Rules) -> String {
    let Some(depth) = depth else { return "never".to_owned() };
    let minutes = depth as f64 * race.gap() * rules.slot_seconds / 60.0;
    if minutes < 99.5 {
        format!("{depth} ({minutes:.0} min)")
    } else {
        format!("{depth} ({:.1} h)", minutes / 60.0)
    }
}

/// The three adversaries on our own rules: a row each.
struct Rows {
    measurements: Vec<Measurement>,
    cells: [Vec<String>; 3],
}

fn ours(trial: &Trial, rules: &Rules, delay: f64, first_case: u32, rows: &mut Rows) {
    let forks = rules.period as usize;
    for (case, share) in (first_case..).step_by(4).zip(SHARES) {
        let race = Race::new(rules, share, delay);
        let name = format!("{} %, delay {delay} s", (100.0 * share).round());
        let (average, single) = (odds(&race, true), odds(&race, false));
        let any = depth_of(&average);
        rows.cells[0].push(cell(any, &race, rules));
        let Some(any) = any else { continue };
        let part = |mut rng| {
            let reversed = (0..RACES).filter(|_| reverses(&race, any, &mut rng)).count();
            reversed as f64 / f64::from(RACES)
        };
        let played: Sample = trial.streams(case).map(part).collect();
        let band = Band::relative(average[any], -0.02, 0.02);
        rows.measurements.push(Measurement::sampled(
            &name,
            "odds at the depth of any moment",
            &played,
            average[any],
            band,
            CLOSED,
        ));

        let mut depths: Vec<Vec<usize>> = Vec::new();
        for mut rng in trial.streams(case + 1) {
            depths.push((0..PERIODS).map(|_| deepest(&race, forks, &mut rng)).collect());
        }
        let mut sorted: Vec<usize> = depths.iter().flatten().copied().collect();
        sorted.sort_unstable();
        let all = sorted[((1.0 - ODDS) * sorted.len() as f64) as usize] + 1;
        let of_run = |run: &Vec<usize>| {
            run.iter().filter(|deepest| **deepest >= all).count() as f64 / run.len() as f64
        };
        let known: Sample = depths.iter().map(of_run).collect();
        let bound = single.get(all).map_or(0.0, |odds| odds * forks as f64).min(1.0);
        rows.measurements.push(Measurement::sampled(
            &name,
            "odds at the depth of all known",
            &known,
            bound,
            Band::new(0.0, bound),
            UNION,
        ));

        let at = |depth: usize| -> Sample {
            let run = |mut rng| {
                (0..PERIODS).map(|_| foreseen(&race, forks, depth, &mut rng)).sum::<f64>()
                    / f64::from(PERIODS)
            };
            trial.streams(case + 2).map(run).collect()
        };
        let (mut low, mut high) = (0, all);
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            if at(middle).mean() <= ODDS { high = middle } else { low = middle }
        }
        let best = at(high);
        rows.measurements.push(Measurement::sampled(
            &name,
            "odds at the depth of the best moment",
            &best,
            ODDS,
            Band::new(0.0, ODDS),
            BETWEEN,
        ));
        rows.cells[1].push(cell(Some(high), &race, rules));
        rows.cells[2].push(cell(Some(all), &race, rules));
    }
}

/// The experiment.
pub(in crate::attack) fn confirmations(trial: &Trial) -> Result<Findings, AttackError> {
    let all = all_rules()?;
    let mut table = Vec::new();
    let mut measurements = check(trial);
    for (number, delay) in (0..).zip(DELAYS) {
        let mut rows = Rows { measurements: Vec::new(), cells: Default::default() };
        ours(trial, &all[0], delay, 100 * (number + 1), &mut rows);
        measurements.append(&mut rows.measurements);
        let who = ["any moment", "best moment of a period", "all known, a period"];
        for (who, cells) in who.iter().zip(rows.cells) {
            let mut row = vec![format!("{}, delay {delay} s: {who}", all[0].label())];
            row.extend(cells);
            table.push(row);
        }
    }
    for rules in &all[1..] {
        let mut row = vec![format!("{}, delay 1 s: any moment", rules.label())];
        row.extend(SHARES.map(|share| {
            let race = Race::new(rules, share, 1.0);
            cell(depth(rules, share, 1.0).map(|(depth, _)| depth), &race, rules)
        }));
        table.push(row);
    }
    let mut columns = vec!["rules and adversary".to_owned()];
    columns.extend(SHARES.map(|share| format!("{:.0} %", 100.0 * share)));
    let claims = claims(&table);
    let curve = |share: f64| {
        let odds = odds(&Race::new(&all[0], share, 1.0), true);
        let points =
            (0..).zip(&odds).map(|(depth, odds)| (f64::from(depth), odds.log10())).take(160).collect();
        Series { name: format!("{:.0} %", 100.0 * share), points }
    };
    let page = Page {
        heading: "Confirmations",
        claims,
        tables: vec![Table {
            caption: "Blocks, and the time that they take, after which a payment is reversed with odds of at most 1 in 1,000, by share \
                      of the adversary. \"Any moment\" is one payment, against the lead that the adversary has from before. \"Best moment\" and \
                      \"all known\" are odds for a whole period of 128 blocks, in which the adversary chooses when to begin its \
                      fork: by its own wins, which it knows, or by everybody's, which nobody does, as a bound for all foresight."
                .to_owned(),
            columns,
            rows: table,
        }],
        limits: vec![
            "An adversary who is paid for many attempts: the odds are those of one payment, or of one period.".to_owned(),
            "A victim whose node is cut off from the network, and a majority of the space.".to_owned(),
            "The tree is granted its growth in the limit from the first block on, so that figures of a depth below a period are \
             high rather than low."
                .to_owned(),
        ],
    };
    Ok(Findings {
        measurements,
        page: Some(page),
        notes: vec![
            "The best moment is chosen by the density of own wins over three spans; a cleverer choice lies between it and the \
             bound of all known."
                .to_owned(),
        ],
        chart: Chart {
            x: "confirmations, delay 1 s, any moment",
            y: "log10 of the odds of a reversal",
            is_x_logarithmic: false,
            series: SHARES.map(curve).to_vec(),
        },
    })
}

fn claims(table: &[Vec<String>]) -> Vec<String> {
    let of = |row: usize, column: usize| {
        table.get(row).and_then(|row| row.get(column)).cloned().unwrap_or_default()
    };
    vec![format!(
        "With delays of 1 s, {} blocks suffice against 10 % of the space, {} against 25 %, {} against 33 %, {} against 40 %; against \
         an adversary that knew everybody's wins of a period and picked its moment, {}, {}, {} and {}.",
        of(0, 1),
        of(0, 2),
        of(0, 3),
        of(0, 4),
        of(2, 1),
        of(2, 2),
        of(2, 3),
        of(2, 4)
    )]
}

/// The queue against a closed form: with gaps of no blind slots and many slots, a race is Rosenfeld's but for the ties.
fn check(_trial: &Trial) -> Vec<Measurement> {
    let race = Race::of(0.7e-4, 0.0, 0.3e-4);
    let law = lead(&race.made());
    // The maximum of a walk of single steps is geometric with q / p; one step is lost to the honest block.
    let ratio: f64 = 0.3 / 0.7;
    let geometric = statrs::distribution::Geometric::new(1.0 - ratio).expect("odds");
    let expected = Discrete::pmf(&geometric, 4);
    vec![Measurement::exact(
        "q = 0.3, time without slots",
        "odds of a lead of 2",
        law[2],
        expected,
        Band::relative(expected, -0.001, 0.001),
        "(1 - r) r^3, r = q / p: the gambler's lead, less a step",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Streams;

    #[test]
    fn races_are_what_the_closed_form_says_and_bounds_hold() {
        let ours = all_rules().unwrap()[0];
        let race = Race::new(&ours, 0.25, 3.0);
        let (average, single) = (odds(&race, true), odds(&race, false));
        let mut rng = Streams::new(1, "confirmations-test").stream(0, 0);
        // Shallow, so that few races show it.
        let depth = 8;
        let run = |_| (0..1_000).filter(|_| reverses(&race, depth, &mut rng)).count() as f64 / 1_000.0;
        let played: Sample = (0..10).map(run).collect();
        assert!(
            (played.mean() - average[depth]).abs() < 4.0 * played.error(),
            "{played:?} {}",
            average[depth]
        );

        let forks = ours.period as usize;
        let mut deepest: Vec<usize> = (0..1_000).map(|_| deepest(&race, forks, &mut rng)).collect();
        deepest.sort_unstable();
        let bound = single.iter().position(|odds| odds * forks as f64 <= 0.05).unwrap();
        let middle = deepest[950];
        assert!(depth_of(&average).unwrap() / 4 < middle && middle <= bound, "{middle} {bound}");
    }

    #[test]
    fn depths_grow_with_share_and_delay_and_end_at_the_tolerance() {
        let [ours, .., each] = all_rules().unwrap();
        let blocks = |share, delay| depth(&ours, share, delay).map(|(blocks, _)| blocks);
        assert!(blocks(0.10, 1.0) < blocks(0.25, 1.0) && blocks(0.25, 1.0) < blocks(0.33, 1.0));
        assert!(blocks(0.33, 1.0) < blocks(0.33, 6.0));
        assert_eq!(blocks(0.46, 1.0), None);
        assert_eq!(depth(&each, 0.27, 1.0), None, "more than a quarter outgrows a chain of c = 1");
    }
}
