//! Each experiment at a reduced number of runs, by a fixed seed: its figures are in their bands.

use super::*;

/// Runs an experiment and panics with the figures that are out of band, but for those of `known`.
#[track_caller]
fn check(name: &str, runs: u32, known: &[&str]) -> Report {
    let report = find(name).expect("a name of the list").run(1, runs).unwrap();
    let out = report.measurements.iter().filter(|row| !row.in_band);
    let (known, unknown): (Vec<&Measurement>, Vec<_>) = out.partition(|row| known.contains(&row.quantity));
    assert!(unknown.is_empty(), "{name}: {unknown:#?}");
    assert_eq!(report.is_in_band(), known.is_empty());
    report
}

macro_rules! in_band {
    ($($test:ident: $name:literal, $runs:literal;)*) => {
        $(#[test]
        fn $test() {
            check($name, $runs, &[]);
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
    fairness: "fairness", 4;
    shared_space: "shared-space", 3;
    long_range: "long-range", 3;
}

#[test]
fn difficulty_follows_the_mean_field_but_is_not_settled_within_two_tau() {
    let claim = "the same, as the table has it";
    let report = check("difficulty", 4, &[claim]);
    assert_eq!(
        report.measurements.iter().filter(|row| !row.in_band).count(),
        2,
        "the table's claim, up and down"
    );
}

#[test]
fn answers_of_real_plots_are_the_models_and_come_in_bursts() {
    let claims = ["standard deviation, as the table has it", "odds of none, as the table has it"];
    let report = check("qualities", 6, &claims);
    assert_eq!(report.measurements.iter().filter(|row| !row.in_band).count(), 2, "the table's spread");
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
