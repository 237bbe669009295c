//! Plotting on demand: to answer without space, a device makes each plot when its group is asked, and forgets it.
//!
//! A group is asked once in `F` rounds, so a device that makes a plot in so many seconds can pretend
//! `F * round / seconds` plots. The filter and the round are those of the built-in Mass Net spec.

use mass_consensus::lottery::is_asked;
use mass_primitives::{GroupId, Round, Seed};
use rand::RngCore as _;

use super::{AttackError, Findings, Trial, massnet};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::Sample,
};

/// Seconds in which one fast graphics card makes a plot of k = 28.
const SECONDS_PER_PLOT: f64 = 1.1;
/// Chia's own rules, for comparison: a filter of 512, eased by a quarter, and a challenge each 9.375 seconds.
const CHIA: f64 = 512.0 * 1.25 * 9.375;
const CHIP: &str = "CHIP-48: filter * interval / seconds a plot";
const SPEC: &str = "filter * round_slots * slot_seconds of the built-in Mass Net spec / 1.1 s (CHIP-48)";

/// Row 8.
pub(super) fn plot_on_demand(trial: &Trial) -> Result<Findings, AttackError> {
    let spec = massnet()?;
    let rules = spec.rules();
    let round_seconds = (rules.round_slots * u64::from(rules.slot_seconds)) as f64;
    let filter = spec.filter(mass_proof_of_space::Strength::new(rules.strength_min)?);
    let pretended = |filter: f64, seconds: f64| filter * round_seconds / seconds;
    let plots = pretended(filter as f64, SECONDS_PER_PLOT);

    // The plots above, a group each, asked by the real filter: the device is busy all the time, and no more.
    let groups = plots as u32;
    let busy = trial.streams(0).map(|mut rng| {
        let mut bytes = || {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        let seed = Seed::new(bytes());
        let rounds = 64u64;
        let asked = (0..groups)
            .map(|_| GroupId::new(bytes()))
            .map(|group| {
                (0..rounds)
                    .filter(|r| is_asked(spec.beacon_id(), &seed, &group, filter, Round::new(*r)))
                    .count()
            })
            .sum::<usize>();
        asked as f64 / rounds as f64 * SECONDS_PER_PLOT / round_seconds
    });
    let busy: Sample = busy.collect();

    let case = format!("F = {filter}, round {round_seconds} s, {SECONDS_PER_PLOT} s a plot");
    let chia = CHIA / SECONDS_PER_PLOT;
    let terabytes = plots * spec.plot_size().nominal_bytes() as f64 / 1e12;
    let series = [64.0, 128.0, 256.0].map(|filter| Series {
        name: format!("F = {filter}"),
        points: (1..=40)
            .map(|i| f64::from(i) / 4.0)
            .map(|seconds| (seconds, pretended(filter, seconds)))
            .collect(),
    });
    Ok(Findings {
        measurements: vec![
            Measurement::exact(&case, "plots pretended", plots, 5585.0, Band::rounded(5585.0, 1.0), SPEC),
            Measurement::exact(
                "Chia, F = 512 * 1.25, 9.375 s",
                "plots pretended",
                chia,
                5455.0,
                Band::rounded(5455.0, 1.0),
                CHIP,
            ),
            Measurement::sampled(
                format!("{groups} groups"),
                "part of the time busy, real filter",
                &busy,
                1.0,
                Band::relative(1.0, -0.001, 0.001),
                "each group once in F rounds, rule FLT-1",
            ),
        ],
        page: None,
        notes: vec![format!("That many plots are {terabytes:.2} TB of space at k = {}.", rules.plot_size)],
        chart: Chart {
            x: "seconds a plot",
            y: "plots pretended",
            is_x_logarithmic: true,
            series: series.to_vec(),
        },
    })
}
