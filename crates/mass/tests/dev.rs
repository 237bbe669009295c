//! The main job: a whole network from an empty directory, killed, and run again where it was.

mod processes;

use processes::{Home, Process, output};
use serde_json::Value;

fn dev(home: &Home, args: &[&str]) -> std::process::Command {
    let mut command = home.command(&["dev", "--json", "--plots", "32"]);
    command.arg("--dir").arg(home.path("net")).args(args);
    command
}

fn run(home: &Home, args: &[&str]) -> Value {
    let output = output(&mut dev(home, args));
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_network_runs_from_nothing_and_goes_on_after_sigkill() {
    let home = Home::new();
    let first = run(&home, &["--nodes", "3", "--blocks", "4"]);
    let nodes = first["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().all(|node| node["tip"] == nodes[0]["tip"] && number(&node["peers"]) == 2));
    assert!(number(&first["blocks"]) >= 4);
    assert_eq!(first["chain"], "dev");
    assert_eq!(number(&first["plots"]["count"]), 32);
    assert_eq!(number(&first["farmer"]["wins"]), number(&nodes[0]["height"]), "there is but one farmer");
    assert_eq!(number(&first["farmer"]["reads"]) % 4, 0);
    assert!(number(&first["payment"]["confirmed_height"]) >= 1);
    assert_eq!(number(&first["supply"]["issued"]), 10_240_000_000 * number(&nodes[0]["height"]));

    let mut killed = Process::start(dev(&home, &["--nodes", "3"]), &home.path("killed.out"));
    let height = number(&nodes[0]["height"]) + 1;
    killed.reaches(height);
    killed.kill();

    let second = run(&home, &["--nodes", "3", "--blocks", "2"]);
    let reached = number(&second["nodes"][0]["height"]);
    assert!(reached >= height + 2, "{second}");
    assert!(number(&second["blocks"]) >= 2);
    assert_eq!(second["plots"]["count"], first["plots"]["count"], "no plot is made again");
    assert_ne!(second["payment"]["txid"], first["payment"]["txid"]);
    assert_eq!(number(&second["supply"]["issued"]), 10_240_000_000 * reached);
}

#[test]
fn a_network_ends_at_ctrl_c_and_two_do_not_share_a_directory() {
    let home = Home::new();
    let mut network = Process::start(dev(&home, &["--nodes", "1"]), &home.path("one.out"));
    network.reaches(1);
    let second = output(&mut dev(&home, &["--nodes", "1"]));
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text.contains("runs in") && text.contains("already"), "{text}");
    assert_eq!(network.interrupt(), Some(0), "{}", network.text());
    let text = network.text();
    let summary: Value = serde_json::from_str(&text[text.find("\n{").unwrap()..]).unwrap();
    assert!(number(&summary["blocks"]) >= 1, "{text}");
}

#[test]
fn two_chains_of_one_beacon_are_farmed_with_the_reads_of_one() {
    let home = Home::new();
    let args = ["--nodes", "2", "--chains", "2", "--blocks", "3"];
    let mut heights = [0, 0];
    // The second run opens what the first has left, the parent's headers included.
    for _ in 0..2 {
        let summary = run(&home, &args);
        let chains = summary["chains"].as_array().unwrap();
        assert_eq!((&chains[0]["name"], &chains[1]["name"]), (&"dev".into(), &"dev2".into()));
        assert!(chains.iter().all(|chain| chain["beacon"] == "dev" && number(&chain["blocks"]) >= 3));
        assert!(chains.iter().all(|chain| number(&chain["wins"]) >= 3));
        let reads = number(&summary["farmer"]["reads"]);
        assert!(chains.iter().all(|chain| number(&chain["reads"]) == reads), "all reads serve both");
        for (height, chain) in heights.iter_mut().zip(chains) {
            assert_eq!(number(&chain["height"]), *height + number(&chain["blocks"]));
            *height = number(&chain["height"]);
        }
    }
}
