//! Each experiment at a reduced number of runs, by a fixed seed: its figures are in their bands.

use super::*;

/// Runs an experiment and panics with the figures that are out of band.
#[track_caller]
fn check(name: &str, runs: u32) {
    let report = find(name).expect("a name of the list").run(1, runs).unwrap();
    let out: Vec<&Measurement> = report.measurements.iter().filter(|row| !row.in_band).collect();
    assert!(out.is_empty(), "{name}: {out:#?}");
    assert!(report.is_in_band() && !report.measurements.is_empty());
}

macro_rules! in_band {
    ($($test:ident: $name:literal, $runs:literal;)*) => {
        $(#[test]
        fn $test() {
            check($name, $runs);
        })*
    };
}

in_band! {
    private_tree: "private-tree", 3;
    crossover: "crossover", 3;
    extend_best_three: "extend-best-three", 3;
    delay: "delay", 4;
    double_spend: "double-spend", 4;
    strict_lead: "strict-lead-race", 4;
    selfish: "selfish-mining", 4;
    plot_on_demand: "plot-on-demand", 2;
    chosen_ids: "chosen-ids", 2;
    bit_dropping: "bit-dropping", 2;
    qualities: "qualities", 6;
    massnet_v1_table: "massnet-v1-table", 2;
    massnet_v1_retarget: "massnet-v1-retarget", 2;
    fairness: "fairness", 4;
    double_seal: "double-seal", 2;
    shared_space: "shared-space", 3;
    long_range: "long-range", 3;
    difficulty: "difficulty", 4;
    tolerance: "tolerance", 2;
    stale: "stale", 4;
    cost: "cost", 2;
    trade_off_period: "trade-off-period", 2;
    trade_off_interval: "trade-off-interval", 2;
}

#[test]
fn a_seed_repeats() {
    let figures = |seed| {
        let report = find("delay").unwrap().run(seed, 2).unwrap();
        report.measurements.iter().map(|row| row.measured.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(figures(7), figures(7));
    assert_ne!(figures(7), figures(8));
}

#[test]
fn one_run_is_refused() {
    assert!(matches!(find("delay").unwrap().run(1, 1), Err(AttackError::Runs(1))));
}

#[test]
fn names_differ_where_streams_are_keyed() {
    let mut names: Vec<&str> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
    assert!(names.iter().all(|name| name.len() <= 24));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), EXPERIMENTS.len());
}
