//! The results as Markdown, and what follows from them for a large farm.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// 100 TiB in groups of 128 plots of k = 28, 118.3 GiB each.
pub const GROUPS: u32 = 866;
/// Groups asked in one round are one in so many (`F` of Mass Net).
const FILTER: f64 = 128.0;
/// Plots asked in a round: those of 6.8 groups.
pub const PLOTS_PER_ROUND: u32 = 866;
/// A round of Mass Net.
const ROUND_SECONDS: f64 = 48.0;
/// A block of Mass Net.
const BLOCK_SECONDS: f64 = 45.0;
/// Chains that share a beacon.
const CHAINS: f64 = 4.0;
/// Proofs are solved for wins at half the difficulty: twice as many.
const MARGIN: f64 = 2.0;
/// The least share of the space of a network that is reckoned with: 100 TiB of 100 PiB.
const SHARE: f64 = 1.0 / 1024.0;
/// The delay of a read on the slow disk.
const DELAY_SECONDS: f64 = 0.01;

/// What the jobs have said, by name.
pub struct Results(pub Map<String, Value>);

impl Results {
    /// A number; NaN if the job did not run.
    fn get(&self, job: &str, name: &str) -> f64 {
        self.0.get(job).and_then(|job| job.get(name)?.as_f64()).unwrap_or(f64::NAN)
    }
}

/// All tables.
pub fn describe(results: &Results) -> String {
    let mut text = String::new();
    look_ups(results, &mut text);
    share_of_a_core(results, &mut text);
    reads(results, &mut text);
    many_plots(results, &mut text);
    slow_disk(results, &mut text);
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes all");
}

fn look_ups(results: &Results, text: &mut String) {
    line(
        text,
        "| look-up, for each plot and challenge | ours: CPU | rival: CPU | ratio | ours: reads | rival: reads |",
    );
    line(text, "|---|--:|--:|--:|--:|--:|");
    for (job, name, plots, k) in [
        ("look-up k18 x1", "k = 18, one plot to a file", 1.0, 18),
        ("look-up k20 x1", "k = 20, one plot to a file", 1.0, 20),
        ("look-up k22 x1", "k = 22, one plot to a file", 1.0, 22),
        ("look-up k28 x1", "k = 28, one plot to a file", 1.0, 28),
        ("look-up k20 x16", "k = 20, group of 16", 16.0, 20),
        ("look-up k18 x128", "k = 18, group of 128", 128.0, 18),
    ] {
        let (ours, rival) =
            (results.get(job, "cpu_seconds") / plots, results.get(&format!("rival k{k}"), "cpu_seconds"));
        if ours.is_nan() {
            continue;
        }
        let (reads, rivals) =
            (results.get(job, "reads") / plots, results.get(&format!("rival k{k}"), "system_reads"));
        let cell = |value: f64, text: String| if value.is_nan() { "-".to_owned() } else { text };
        let row = format!(
            "| {name} | {:.1} us | {} | {} | {reads:.2} | {} |",
            ours * 1e6,
            cell(rival, format!("{:.1} us", rival * 1e6)),
            cell(rival, format!("{:.1}", rival / ours)),
            cell(rivals, format!("{rivals:.1}"))
        );
        line(text, &row);
    }
    line(text, "");
}

/// Processor time of a look-up of a group of 128 at k = 28: measured at k = 18, and scaled as single plots are.
fn group_cpu(results: &Results) -> f64 {
    let [small, large] = ["look-up k18 x1", "look-up k28 x1"].map(|job| results.get(job, "cpu_seconds"));
    let group = results.get("look-up k18 x128", "cpu_seconds");
    if large.is_nan() { group } else { group * large / small }
}

fn share_of_a_core(results: &Results, text: &mut String) {
    let asked = f64::from(GROUPS) / FILTER;
    let solve = results.get("solve", "cpu_seconds");
    let proofs = |share: f64| CHAINS * share * ROUND_SECONDS / BLOCK_SECONDS * MARGIN * solve / ROUND_SECONDS;
    let idle = results.get(&format!("sparse {GROUPS} x128"), "cpu_share");
    let rows = [
        (format!("look-up: {asked:.1} groups of 128 a round"), asked * group_cpu(results) / ROUND_SECONDS),
        (
            "VRF: 4 outputs a round".to_owned(),
            CHAINS * results.get("schedule", "vrf_cpu_seconds") / ROUND_SECONDS,
        ),
        (
            format!("tickets: {PLOTS_PER_ROUND} qualities, 16 slots, 4 chains"),
            CHAINS * results.get("schedule", "tickets_cpu_seconds") / ROUND_SECONDS,
        ),
        ("4 nodes polled, disks scanned, groups filtered".to_owned(), idle),
        (format!("proofs: 1 / {:.0} of each of 4 networks", 1.0 / SHARE), proofs(SHARE)),
    ];
    line(text, "| 100 TiB of k = 28, 4 chains that share a beacon | of one core |");
    line(text, "|---|--:|");
    let total: f64 = rows.iter().map(|(_, share)| share).sum();
    for (name, share) in &rows {
        line(text, &format!("| {name} | {:.3} % |", share * 100.0));
    }
    line(text, &format!("| all | {:.3} % |", total * 100.0));
    let (rest, k) = (total - proofs(SHARE), results.0.get("solve k").and_then(Value::as_str).unwrap_or("?"));
    let share = (0.01 - rest) / proofs(1.0);
    line(text, "");
    let note = format!(
        "A proof of k = {k} takes {solve:.2} s of processor time. 1 % of a core is reached at {:.1} % of each of the 4 networks.",
        share * 100.0
    );
    line(text, &note);
    line(text, "");
}

fn reads(results: &Results, text: &mut String) {
    line(
        text,
        "| 2 groups of 128, each asked every other round | rounds | reads: ours | reads: the system's | CPU of one core |",
    );
    line(text, "|---|--:|--:|--:|--:|");
    for (job, name) in [
        ("farm one", "1 chain"),
        ("farm shared", "4 chains that share a beacon"),
        ("farm apart", "4 chains, each with its own"),
    ] {
        let [rounds, ours, system, cpu] =
            ["rounds", "reads", "system_reads", "cpu_share"].map(|name| results.get(job, name));
        line(text, &format!("| {name} | {rounds} | {ours} | {system} | {:.2} % |", cpu * 100.0));
    }
    line(text, "");
    line(text, "| one look-up | reads: ours | reads: the system's | bytes: ours | bytes: the system's |");
    line(text, "|---|--:|--:|--:|--:|");
    for (job, name) in [
        ("look-up k22 x1", "k = 22, one plot"),
        ("look-up k28 x1", "k = 28, one plot"),
        ("look-up k20 x16", "k = 20, group of 16"),
        ("look-up k18 x128", "k = 18, group of 128"),
    ] {
        let [ours, system, bytes, system_bytes] =
            ["reads", "system_reads", "bytes", "system_bytes"].map(|name| results.get(job, name));
        if !ours.is_nan() {
            line(text, &format!("| {name} | {ours:.2} | {system:.2} | {bytes:.0} | {system_bytes:.0} |"));
        }
    }
    line(text, "");
}

fn many_plots(results: &Results, text: &mut String) {
    line(text, "| farm of k = 28 | plots | opens in | memory | at the most | status answers in |");
    line(text, "|---|--:|--:|--:|--:|--:|");
    for (job, name) in [
        ("sparse 10000 x1".to_owned(), "10,000 files of one plot"),
        ("sparse 79 x128".to_owned(), "79 groups of 128"),
        (format!("sparse {GROUPS} x128"), "100 TiB in groups of 128"),
    ] {
        let [plots, open, memory, peak, status] =
            ["plots", "open_seconds", "memory_bytes", "memory_peak_bytes", "status_seconds"]
                .map(|name| results.get(&job, name));
        let row = format!(
            "| {name} | {plots} | {open:.2} s | {:.0} MB | {:.0} MB | {:.1} ms |",
            memory / 1e6,
            peak / 1e6,
            status * 1e3
        );
        line(text, &row);
    }
    line(text, "");
}

/// The greatest number asked in a round in 99 of 100, of so many files.
fn asked_p99(files: u32) -> u32 {
    let mean = f64::from(files) / FILTER;
    let mut chance = (1.0 - 1.0 / FILTER).powi(files as i32);
    let (mut sum, mut asked) = (chance, 0);
    while sum < 0.99 {
        chance *= f64::from(files - asked) / f64::from(asked + 1) / (FILTER - 1.0);
        asked += 1;
        sum += chance;
    }
    debug_assert!(f64::from(asked) >= mean.floor());
    asked
}

fn slow_disk(results: &Results, text: &mut String) {
    let groups = 157;
    line(text, "| 10 ms on each read | one look-up | asked at p99 | a round's look-ups at p99 |");
    line(text, "|---|--:|--:|--:|");
    let group = results.get("slow k18 x128", "mean_seconds");
    let single = results.get("slow k18 x1", "mean_seconds");
    let fits =
        (1_u32..20_000).take_while(|files| f64::from(asked_p99(*files)) * single <= 1.0).count() as u32;
    for (name, time, files) in [
        (format!("20 TB: {groups} groups of 128"), group, groups),
        (format!("{fits} files of one plot, the most within 1 s"), single, fits),
        ("20 TB: 20,000 files of one plot".to_owned(), single, 20_000),
    ] {
        let asked = asked_p99(files);
        let row = format!("| {name} | {:.1} ms | {asked} | {:.2} s |", time * 1e3, f64::from(asked) * time);
        line(text, &row);
    }
    let four = 4.0 * DELAY_SECONDS;
    line(text, "");
    line(text, &format!("Four reads one after the other are {:.0} ms of a look-up's time.", four * 1e3));
}

#[test]
fn one_in_a_hundred_rounds_asks_more() {
    assert_eq!(asked_p99(1), 0);
    assert_eq!(asked_p99(157), 4);
    assert!((180..195).contains(&asked_p99(20_000)));
}
