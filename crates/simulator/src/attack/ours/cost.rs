//! What a block costs its network: reads of disks and energy, by how much space there is.
//!
//! How often a group is asked is counted with the real filter; what a look-up and a proof cost the processor are the figures
//! of `docs/performance.md`, since time is not a function of a seed.

use mass_consensus::{lottery::is_asked, spec::ChainSpec};
use mass_primitives::{GroupId, Round, Seed};
use mass_proof_of_space::{Strength, chain::SETS};
use rand::RngCore as _;

use super::{Rules, all_rules, stale::stale_part};
use crate::{
    attack::{AttackError, Findings, Trial, massnet},
    report::{Band, Chart, Measurement, Page, Series, Table},
    statistics::Sample,
};

const TIB: f64 = (1u64 << 40) as f64;
const SPACES: [(&str, f64); 4] =
    [("1 TiB", TIB), ("1 PiB", TIB * 1024.0), ("1 EiB", TIB * 1048576.0), ("30 EiB", 30.0 * TIB * 1048576.0)];
const GROUPS: u32 = 20_000;
const ROUNDS: u64 = 64;
const SOURCE: &str = "interval / round / F: each group once in F rounds, rule FLT-1";
/// Seconds of a core for a look-up in a plot and for a proof, k = 28 (`docs/performance.md`).
const LOOKUP_SECONDS: f64 = 119.52e-6;
const PROOF_SECONDS: f64 = 0.955;
/// Watts of a core at work, of a disk beyond idling while it seeks, and of an idle disk; seconds of a seek; bytes of a disk.
const CORE_WATTS: f64 = 10.0;
const SEEK_WATTS: f64 = 3.0;
const IDLE_WATTS: f64 = 5.0;
const SEEK_SECONDS: f64 = 0.012;
const DISK_BYTES: f64 = 20e12;

/// What a block costs.
struct Cost {
    reads: f64,
    core_seconds: f64,
    work_joules: f64,
    idle_joules: f64,
}

/// The cost of a block if so many bytes are farmed, in full groups.
fn cost_of(bytes: f64, asked: f64) -> Result<Cost, AttackError> {
    let spec = massnet()?;
    let rules = spec.rules();
    let seconds = (rules.interval_slots * u64::from(rules.slot_seconds)) as f64;
    let plots = bytes / spec.plot_size().nominal_bytes() as f64;
    let groups = plots / f64::from(rules.group_plots_max);
    let reads = groups * asked * SETS as f64;
    // A block that goes stale costs a proof, too.
    let proofs = 1.0 / (1.0 - stale_part(&all_rules()?[0], 1.0));
    let core_seconds = plots * asked * LOOKUP_SECONDS + proofs * PROOF_SECONDS;
    let work_joules = core_seconds * CORE_WATTS + reads * SEEK_SECONDS * SEEK_WATTS;
    Ok(Cost { reads, core_seconds, work_joules, idle_joules: bytes / DISK_BYTES * IDLE_WATTS * seconds })
}

fn figure(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Times a group is asked a block, by the real filter.
fn times_asked(trial: &Trial, spec: &ChainSpec) -> Sample {
    let rules = spec.rules();
    let filter = spec.filter(Strength::MIN);
    let rounds_a_block = rules.interval_slots as f64 / rules.round_slots as f64;
    trial
        .streams(0)
        .map(|mut rng| {
            let mut bytes = || {
                let mut bytes = [0; 32];
                rng.fill_bytes(&mut bytes);
                bytes
            };
            let seed = Seed::new(bytes());
            let groups = (0..GROUPS).map(|_| GroupId::new(bytes()));
            let times = groups.map(|group| {
                let is = |round: &u64| is_asked(spec.beacon_id(), &seed, &group, filter, Round::new(*round));
                (0..ROUNDS).filter(is).count()
            });
            times.sum::<usize>() as f64 / f64::from(GROUPS) / ROUNDS as f64 * rounds_a_block
        })
        .collect()
}

/// Reads an hour, of so many a block.
fn hourly(reads_a_block: f64, seconds: f64) -> String {
    format!("{:.1}", reads_a_block * 3600.0 / seconds)
}

/// Seconds between blocks.
fn seconds(rules: &Rules) -> f64 {
    rules.interval * rules.slot_seconds
}

/// Reads of a TiB in an hour: ours, and others' by their published rules.
fn rivals(reads_a_block: f64, filter: u64, group_plots: u16) -> Result<Vec<Vec<String>>, AttackError> {
    let [ours, before, ..] = all_rules()?;
    let before_plots = TIB / (32.0 * 2f64.powi(30));
    let chia_plots = TIB / (101.4 * 2f64.powi(30));
    Ok(vec![
        vec![
            ours.label(),
            format!("groups of {group_plots} plots, four reads, F = {filter}"),
            hourly(reads_a_block, seconds(&ours)),
        ],
        vec![
            before.label(),
            "plots of 32 GiB (bl = 32), one read, filter 512".to_owned(),
            hourly(before_plots / 512.0, seconds(&before)),
        ],
        vec![
            "Chia's first proof, k = 32".to_owned(),
            "plots of 101.4 GiB, some seven reads, filter 512, each 9.375 s".to_owned(),
            hourly(chia_plots * 7.0 / 512.0, 9.375),
        ],
    ])
}

fn page(rows: Vec<Vec<String>>, rivals: Vec<Vec<String>>, an_hour: &str) -> Page {
    Page {
        heading: "Reads and energy",
        claims: vec![format!(
            "A TiB in full groups is read {} times an hour. Work for a block, look-ups and proof, is below what the disks take to \
             stand by, whatever the space.",
            an_hour
        )],
        tables: vec![
            Table {
                caption: format!(
                    "A block, by the space that is farmed in full groups. Per core {CORE_WATTS} W at work, per disk of 20 TB {IDLE_WATTS} W \
                     idle and {SEEK_WATTS} W more for the {} ms of a read.",
                    SEEK_SECONDS * 1000.0
                ),
                columns: ["space", "disk reads", "core seconds", "joules of work", "joules of idle disks"].map(str::to_owned).to_vec(),
                rows,
            },
            Table {
                caption: "Reads of a TiB in an hour, beside others, by their published rules.".to_owned(),
                columns: ["rules", "what is read", "reads an hour"].map(str::to_owned).to_vec(),
                rows: rivals,
            },
        ],
        limits: vec![
            "Watts are assumptions, printed above; only reads are counted. The rest of a computer that holds the disks, and plotting (53 s \
             of a core for a plot, once), are left out."
                .to_owned(),
            "Small groups: a group of one plot costs the four reads of a full one.".to_owned(),
        ],
    }
}

/// The experiment.
pub(in crate::attack) fn cost(trial: &Trial) -> Result<Findings, AttackError> {
    let spec = massnet()?;
    let rules = spec.rules();
    let filter = spec.filter(Strength::MIN);
    let rounds_a_block = rules.interval_slots as f64 / rules.round_slots as f64;
    let expected = rounds_a_block / filter as f64;
    let asked = times_asked(trial, &spec);
    let band = Band::relative(expected, -0.001, 0.001);
    let measurements =
        vec![Measurement::sampled("MASS", "times a group is asked a block", &asked, expected, band, SOURCE)];
    let mut rows = Vec::new();
    let mut points = [Vec::new(), Vec::new()];
    for (name, bytes) in SPACES {
        let cost = cost_of(bytes, asked.mean())?;
        points[0].push((bytes / TIB, cost.work_joules.log10()));
        points[1].push((bytes / TIB, cost.idle_joules.log10()));
        let figures = [cost.reads, cost.core_seconds, cost.work_joules, cost.idle_joules].map(figure);
        rows.push([vec![name.to_owned()], figures.to_vec()].concat());
    }
    let per_tib = cost_of(TIB, asked.mean())?.reads;
    let rivals = rivals(per_tib, filter, rules.group_plots_max)?;
    let page = page(rows, rivals, &hourly(per_tib, seconds(&all_rules()?[0])));
    let [work, idle] = points;
    Ok(Findings {
        measurements,
        page: Some(page),
        notes: vec!["Processor times are those of docs/performance.md, k = 28.".to_owned()],
        chart: Chart {
            x: "space in TiB",
            y: "log10 of joules a block",
            is_x_logarithmic: true,
            series: vec![
                Series { name: "work: look-ups, reads, proof".to_owned(), points: work },
                Series { name: "idle disks".to_owned(), points: idle },
            ],
        },
    })
}
