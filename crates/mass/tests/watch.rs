//! Two machines with one key: the second one sees the first and does not seal, so that nobody is banned; with the
//! first one's record it takes over.

mod processes;

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use mass_rpc::{BitcoinClient, MassClient};
use processes::{Home, Node, Process, output};
use serde_json::Value;

fn sealed(farm: &Process) -> usize {
    farm.events().iter().filter(|event| event["event"] == "sealed").count()
}

fn record(home: &Home, command: &str, name: &str) -> Command {
    let mut record = home.command(&["keys", "guard", command, "--guard"]);
    record.arg(home.path(&format!("{name}.signed")));
    record
}

/// Runs a command with a text as its standard input.
fn feed(mut command: Command, text: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text).unwrap();
    child.wait_with_output().unwrap()
}

async fn nobody_is_banned(nodes: &[&Node]) {
    for node in nodes {
        assert!(node.client.bans().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_second_farm_of_a_key_sees_the_first_and_does_not_seal() {
    let home = Home::new();
    let plots = home.plots("plots", 32);
    let one = home.node("one", &[]);
    let two = home.node("two", &[&one]);
    let mut first = home.farm("first", &plots, &one, 1);
    two.reaches(1).await;

    let mut second = home.farm_with("second", &plots, &two, 2, &[]);
    let url = second.event(|event| event["event"] == "opened")["rpc"].as_str().unwrap().to_owned();
    let event = second.event(|event| event["event"] == "other_farmer");
    assert_eq!(event["chain"], "dev");
    let block = two.client.get_block_hash(serde_json::from_value(event["height"].clone()).unwrap()).await;
    let header = two.client.get_block_header(block.unwrap(), None).await.unwrap();
    assert_eq!(header["slot"], event["slot"], "the event names a block of the chain");

    // The farms that are asked for the same wins: one seals them, the other does not, for longer than the watch.
    let seals = sealed(&first);
    two.reaches(two.height().await + 12).await;
    assert!(sealed(&first) > seals, "the first goes on: {}", first.text());
    assert!(first.events().iter().all(|event| event["event"] != "other_farmer"), "{}", first.text());
    assert_eq!(sealed(&second), 0, "{}", second.text());
    second.event(|event| event["event"] == "round" && event["qualities"].as_u64() > Some(0));
    nobody_is_banned(&[&one, &two]).await;

    let output = output(&mut home.command(&["farm", "doctor", "--farm", &url, "--json"]));
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success(), "{diagnosis}");
    let findings = diagnosis["findings"].as_array().unwrap();
    let names = |finding: &&Value| finding["problem"].as_str().unwrap().contains("another farmer seals");
    let finding = findings.iter().find(names).unwrap_or_else(|| panic!("{diagnosis}"));
    assert_eq!((&finding["subject"], &finding["severity"]), (&"dev".into(), &"error".into()));
    assert!(finding["action"].as_str().unwrap().contains("mass keys guard export"));

    // Done as the doctor says, the second takes over: it watches, sees nobody, and seals.
    assert_eq!(first.interrupt(), Some(0));
    assert_eq!(second.interrupt(), Some(0));
    let exported = record(&home, "export", "first").output().unwrap();
    assert!(feed(record(&home, "import", "second"), &exported.stdout).status.success());
    let heir = home.farm_with("second", &plots, &two, 2, &[]);
    heir.event(|event| event["event"] == "sealed");
    let events = heir.events();
    let order: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let at =
        |name| order.iter().position(|event| *event == name).unwrap_or_else(|| panic!("{name}: {order:?}"));
    assert!(at("watching") < at("watched") && at("watched") < at("sealed"), "{order:?}");
    assert_eq!(events[at("watching")]["slots"], 32, "two rounds of sixteen slots");
    one.reaches(one.height().await + 1).await;
    nobody_is_banned(&[&one, &two]).await;
}
