//! What other values of our parameters would buy and cost, by the closed forms that the other experiments are held against.

use super::{Rules, all_rules, confirmations::depth, percent, stale::stale_part, tolerance::tolerated};
use crate::{
    attack::{AttackError, Findings, Trial, massnet},
    report::{Band, Chart, Measurement, Page, Series, Table},
};

const SECONDS_PER_PLOT: f64 = 1.1;
const PERIODS: [u32; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];
const INTERVALS: [f64; 6] = [5.0, 10.0, 15.0, 20.0, 30.0, 60.0];
const SPEC: &str = "the built-in spec, by the closed form of the experiment tolerance";

/// Space in TB that one device pretends by plotting on demand if `F` is just long enough for a period.
fn pretended_terabytes(rules: &Rules, plot_bytes: f64) -> f64 {
    let period_seconds = f64::from(rules.period) * rules.interval * rules.slot_seconds;
    period_seconds / SECONDS_PER_PLOT * plot_bytes / 1e12
}

fn period_rows(ours: &Rules, plot_bytes: f64) -> Vec<Vec<String>> {
    let row = |period: u32| {
        let rules = Rules { period, ..*ours };
        vec![
            period.to_string(),
            percent(tolerated(&rules, 1.0), 1),
            percent(tolerated(&rules, 3.0), 1),
            format!("{:.0} min", f64::from(period) * rules.interval * rules.slot_seconds / 60.0),
            format!("{:.1} TB", pretended_terabytes(&rules, plot_bytes)),
        ]
    };
    PERIODS.map(row).to_vec()
}

/// Longer periods.
pub(in crate::attack) fn period(_trial: &Trial) -> Result<Findings, AttackError> {
    let plot_bytes = massnet()?.plot_size().nominal_bytes() as f64;
    let ours = all_rules()?[0];
    let with = |period: u32| Rules { period, ..ours };
    let curve = |delay: f64| Series {
        name: format!("tolerated share, delay {delay} s"),
        points: PERIODS.map(|period| (f64::from(period), tolerated(&with(period), delay))).to_vec(),
    };
    let pretended = Series {
        name: "TB pretended by one device / 100".to_owned(),
        points: PERIODS[..7]
            .iter()
            .map(|period| (f64::from(*period), pretended_terabytes(&with(*period), plot_bytes) / 100.0))
            .collect(),
    };
    let gain = tolerated(&with(256), 1.0) - tolerated(&ours, 1.0);
    let loss = tolerated(&ours, 1.0) - tolerated(&with(64), 1.0);
    let say = |points: f64| format!("{:.1} points", 100.0 * points);
    let page = Page {
        heading: "Trade-off: the length of a period (c, F)",
        claims: vec![format!(
            "Twice the period would raise the tolerance by {}, and double what a device can pretend by plotting on demand, and the time \
             for which farmers know their wins; half of it would cost {}. F must be a period long at least and should not be much \
             longer, or who chooses group ids gains (`chosen-ids`). No other value is plainly better than 128.",
            say(gain),
            say(loss)
        )],
        tables: vec![Table {
            caption: "By blocks to a period, with rounds of 48 s and F as long as a period.".to_owned(),
            columns: ["c", "tolerance, delay 1 s", "delay 3 s", "wins known ahead", "one device pretends"].map(str::to_owned).to_vec(),
            rows: period_rows(&ours, plot_bytes),
        }],
        limits: vec![
            "Round and F count as their product only: 96 rounds of 64 s would be the same to all but the disks, which would have one \
             look-up in a longer time. The lag of the seed, 8 blocks, has no part in the tolerance; a shorter one lets a shallow reorg \
             change the seed, a longer one gives more time in which two seeds are known (`chosen-ids`)."
                .to_owned(),
        ],
    };
    let expected = tolerated(&ours, 1.0);
    Ok(Findings {
        measurements: vec![
            Measurement::exact(
                "c = 128",
                "tolerated share, delay 1 s",
                expected,
                expected,
                Band::new(0.44, 0.5),
                SPEC,
            ),
            Measurement::exact(
                "c = 256",
                "gain in tolerance",
                gain,
                gain,
                Band::new(0.0, loss),
                "each doubling adds less than the one before",
            ),
        ],
        page: Some(page),
        notes: vec!["Closed forms only: chance has no part in it.".to_owned()],
        chart: Chart {
            x: "blocks between challenges (c)",
            y: "share; hundreds of TB",
            is_x_logarithmic: true,
            series: vec![curve(0.0), curve(3.0), curve(6.0), pretended],
        },
    })
}

/// Shorter intervals.
pub(in crate::attack) fn interval(_trial: &Trial) -> Result<Findings, AttackError> {
    let ours = all_rules()?[0];
    let with = |interval: f64| Rules { interval, ..ours };
    let minutes = |rules: &Rules, share: f64, delay: f64| {
        depth(rules, share, delay).map_or(f64::NAN, |(_, seconds)| seconds / 60.0)
    };
    let rows = INTERVALS.map(|interval| {
        let rules = with(interval);
        let time = |share, delay| format!("{:.0} min", minutes(&rules, share, delay));
        vec![
            format!("{:.0} s", interval * rules.slot_seconds),
            percent(stale_part(&rules, 1.0), 1),
            percent(stale_part(&rules, 3.0), 1),
            percent(tolerated(&rules, 1.0), 1),
            percent(tolerated(&rules, 3.0), 1),
            time(0.25, 3.0),
            time(0.33, 3.0),
        ]
    });
    let series = [(0.25, 1.0), (0.25, 3.0), (0.33, 1.0), (0.33, 3.0)].map(|(share, delay)| Series {
        name: format!("{:.0} %, delay {delay} s", 100.0 * share),
        points: INTERVALS
            .map(|slots| (slots * ours.slot_seconds, minutes(&with(slots), share, delay)))
            .to_vec(),
    });
    let page = Page {
        heading: "Trade-off: the interval between blocks",
        claims: vec![format!(
            "Time to safety goes with the interval: at 30 s the {:.0} minutes against 33 % of the space and delays of 3 s would be {:.0}, for \
             a tolerance of {} instead of {}, and {} of stale blocks instead of {}. Only with delays known to stay \
             well below 3 s would that be worth it; they are not known yet, and 45 s stay.",
            minutes(&ours, 0.33, 3.0),
            minutes(&with(10.0), 0.33, 3.0),
            percent(tolerated(&with(10.0), 3.0), 1),
            percent(tolerated(&ours, 3.0), 1),
            percent(stale_part(&with(10.0), 3.0), 1),
            percent(stale_part(&ours, 3.0), 1)
        )],
        tables: vec![Table {
            caption: "By interval, c = 128. The time is that to odds of 1 in 1,000, at any moment, by share of the adversary and delays of 3 s."
                .to_owned(),
            columns: ["interval", "stale, delay 1 s", "delay 3 s", "tolerance, delay 1 s", "delay 3 s", "against 25 %", "against 33 %"]
                .map(str::to_owned)
                .to_vec(),
            rows: rows.to_vec(),
        }],
        limits: vec!["What shorter intervals cost light clients, who read headers by the number.".to_owned()],
    };
    let (short, long) = (minutes(&with(10.0), 0.33, 1.0), minutes(&ours, 0.33, 1.0));
    Ok(Findings {
        measurements: vec![Measurement::exact(
            "33 %, delay 1 s",
            "time at 30 s / time at 45 s",
            short / long,
            2.0 / 3.0,
            Band::new(0.6, 0.85),
            "in proportion to the interval, and a little more for same slots",
        )],
        page: Some(page),
        notes: vec!["Closed forms only: chance has no part in it.".to_owned()],
        chart: Chart {
            x: "seconds between blocks",
            y: "minutes to odds of 1 in 1,000",
            is_x_logarithmic: false,
            series: series.to_vec(),
        },
    })
}
