//! `mass sim attack` from outside: lists, verdicts, files, and the same figures from the same seed; and `mass sim relay`.

use std::process::{Command, Output};

use serde_json::Value;

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mass")).args(["sim", "attack"]).args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn experiments_are_listed() {
    let output = sim(&["--list", "--json"]);
    assert!(output.status.success());
    assert!(json(&output).as_array().unwrap().iter().any(|experiment| experiment["name"] == "private-tree"));
}

#[test]
fn a_figure_in_band_is_a_success_and_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let args = ["delay", "--seed", "3", "--runs", "3", "--json", "--out", out];
    let (first, second) = (sim(&args), sim(&args));
    assert!(first.status.success(), "{first:?}");
    assert_eq!(first.stdout, second.stdout, "a seed gives the same figures");
    let report = json(&first);
    assert_eq!((report["in_band"].as_bool(), report["seed"].as_u64()), (Some(true), Some(3)));
    for file in ["delay.csv", "delay-curves.csv", "delay.svg"] {
        assert!(dir.path().join(file).metadata().unwrap().len() > 100, "{file}");
    }
}

#[test]
fn a_document_is_written_with_its_drawings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.md");
    let args = ["trade-off-period", "--document", path.to_str().unwrap()];
    let output = sim(&args);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("(rules/trade-off-period.svg)") && text.contains("| 128 |"), "{text}");
    assert!(dir.path().join("rules/trade-off-period.svg").metadata().unwrap().len() > 100);
}

#[test]
fn a_figure_out_of_band_and_a_wrong_name_fail() {
    // Chi-square: one honest lottery in a hundred is out of band, and this seed is one.
    let output = sim(&["fairness", "--runs", "2", "--seed", "6"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("OUT OF BAND: 1 figures"));
    let output = sim(&["alchemy"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("unknown experiment \"alchemy\""));
    assert!(!sim(&[]).status.success());
    assert!(!sim(&["delay", "--runs", "1"]).status.success());
    assert!(!sim(&["delay", "--all"]).status.success());
}

#[test]
fn blocks_along_a_row_of_nodes_are_measured_and_late_ones_fail() {
    let row = |within: &str| {
        let args =
            ["sim", "relay", "--hops", "2", "--payments", "30", "--blocks", "2", "--links-only", "--json"];
        Command::new(env!("CARGO_BIN_EXE_mass")).args(args).args(["--within", within]).output().unwrap()
    };
    let output = row("200");
    assert!(output.status.success(), "{output:?}");
    let found = &json(&output)["result"];
    assert!(found["compact"]["p95"].as_f64() < found["whole"]["p95"].as_f64(), "{found}");
    assert_eq!(row("99").status.code(), Some(1), "two links take 100 ms at the least");
}
