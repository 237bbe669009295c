//! End to end, with real processes on loopback: nodes are killed and partitioned and agree in the end; who
//! seals twice is banned everywhere, and who is honest is not, whatever reorgs he goes through.

mod processes;

use mass_primitives::BlockId;
use mass_rpc::{BitcoinClient, CoinsClient, MassClient};
use processes::{Home, Node, agree, eventually, payout};
use serde_json::Value;

async fn header(node: &Node, id: BlockId) -> Value {
    node.client.get_block_header(id, None).await.unwrap_or(Value::Null)
}

async fn weight(node: &Node, id: BlockId) -> u128 {
    header(node, id).await["chainweight"].as_str().unwrap().parse().unwrap()
}

async fn tip(node: &Node) -> BlockId {
    node.client.get_best_block_hash().await.unwrap()
}

#[tokio::test]
async fn nodes_are_killed_and_partitioned_and_agree_in_the_end() {
    let home = Home::new();
    let (large, small) = (home.plots("large", 30), home.plots("small", 14));
    let one = home.node("one", &[]);
    let mut two = home.node("two", &[&one]);
    let three = home.node("three", &[&one, &two]);
    let mut farm = home.farm("farm", &large, &one, 1);
    for node in [&one, &two, &three] {
        node.reaches(2).await;
    }

    // Killed without a warning, a node catches up from its own directory.
    two.process.kill();
    one.reaches(one.height().await + 2).await;
    let missed = one.height().await;
    two = home.node("two", &[&one, &three]);
    two.reaches(missed).await;

    // Three is cut off with a farmer of its own; both sides make blocks.
    three.client.set_network_active(false).await.unwrap();
    let common = three.height().await;
    let mut other = home.farm("other", &small, &three, 2);
    three.reaches(common + 1).await;
    let sealed = other.event(|event| event["event"] == "sealed");
    one.reaches(common + 3).await;
    assert_eq!(farm.interrupt(), Some(0), "{}", farm.text());
    assert_eq!(other.interrupt(), Some(0), "{}", other.text());
    agree(&[&one, &two]).await;
    let (here, there) = (tip(&one).await, tip(&three).await);
    assert_ne!(here, there);
    let heavier = if weight(&one, here).await > weight(&three, there).await { here } else { there };

    // Healed, all keep the heavier side, and the lighter one has gone through a reorg.
    three.client.set_network_active(true).await.unwrap();
    eventually("three meets the others", async || three.client.get_connection_count().await.unwrap() > 0)
        .await;
    agree(&[&one, &two, &three]).await;
    for node in [&one, &two, &three] {
        assert!(header(node, heavier).await["confirmations"].as_i64().unwrap() >= 1);
    }
    let mut reorgs = 0;
    for node in [&one, &three] {
        reorgs += node.client.status().await.unwrap().reorgs;
    }
    assert!(reorgs >= 1);

    // The farmer who was reorganised away goes on with the same record, and nobody holds anything against him.
    let farmer = sealed_by(&three, &sealed).await;
    let again = home.farm("other", &small, &three, 2);
    again.event(|event| event["event"] == "sealed");
    one.reaches(one.height().await + 1).await;
    for node in [&one, &two, &three] {
        let bans = node.client.bans().await.unwrap();
        assert!(bans.is_empty(), "{farmer} is honest: {bans:?}");
    }
}

/// Who sealed the block of an event.
async fn sealed_by(node: &Node, event: &Value) -> Value {
    let id = serde_json::from_value(event["id"].clone()).unwrap();
    header(node, id).await["farmer"].clone()
}

/// The slots that a farm has sealed.
fn slots(farm: &processes::Process) -> Vec<Value> {
    let sealed = farm.events().into_iter().filter(|event| event["event"] == "sealed");
    sealed.map(|event| event["slot"].clone()).collect()
}

#[tokio::test]
async fn who_seals_twice_is_banned_on_all_nodes() {
    let home = Home::new();
    let (cheat, honest) = (home.plots("cheat", 20), home.plots("honest", 14));
    let key = home.json(&["keys", "show", "--file", cheat.key.to_str().unwrap()])["farmer"].clone();
    let farmer = serde_json::from_value(key).unwrap();
    let one = home.node("one", &[]);
    let two = home.node("two", &[&one]);
    let three = home.node("three", &[&one, &two]);
    // One key, two records: each farm is honest by itself. While two is cut off, both win the same slots.
    two.client.set_network_active(false).await.unwrap();
    let mut here = home.farm("here", &cheat, &one, 1);
    let mut there = home.farm("there", &cheat, &two, 2);
    let _honest = home.farm("honest", &honest, &three, 3);
    eventually("a slot is sealed twice", async || {
        let sealed = slots(&there);
        slots(&here).iter().any(|slot| sealed.contains(slot))
    })
    .await;
    two.client.set_network_active(true).await.unwrap();

    for farm in [&mut here, &mut there] {
        assert_eq!(farm.ended().await, Some(1));
        assert!(farm.text().contains("is banned since block"), "{}", farm.text());
    }
    for node in [&one, &two, &three] {
        eventually("the ban is known", async || {
            node.client.bans().await.unwrap().iter().any(|ban| ban.farmer == farmer)
        })
        .await;
        assert_eq!(node.client.bans().await.unwrap().len(), 1, "the honest farmer is not banned");
        assert!(node.client.pending(farmer).await.unwrap().is_empty(), "what was pending is gone");
        assert!(node.client.supply().await.unwrap().burned.get() > 0);
    }
    // The chain goes on without the banned key.
    three.reaches(three.height().await + 2).await;
    agree(&[&one, &two, &three]).await;
}

/// What is wrong at the start is one sentence and an exit code of 1, and a second node spoils nothing.
#[tokio::test]
async fn a_node_or_farm_that_cannot_start_says_why() {
    let home = Home::new();
    let node = home.node("one", &[]);
    let rpc = node.url.strip_prefix("http://").unwrap();
    let tcp = node.listen.split("/p2p/").next().unwrap();
    let (dir, fresh) = (home.path("one"), home.path("fresh"));
    let (dir, fresh) = (dir.to_str().unwrap(), fresh.to_str().unwrap());
    let any = ["--listen", "/ip4/127.0.0.1/tcp/0", "--rpc", "127.0.0.1:0"];
    let run = |args: &[&str]| home.command(&[&["node", "run"], args].concat());
    refused(run(&[&["--data-dir", dir], &any[..]].concat()), "another node runs in");
    refused(run(&["--data-dir", fresh, "--rpc", rpc, "--listen", any[1]]), "in use");
    refused(run(&["--data-dir", fresh, "--rpc", any[3], "--listen", tcp]), "in use");
    refused(run(&["--data-dir", fresh, "--rpc", "0.0.0.0:0", "--listen", any[1]]), "127.0.0.1");
    refused(run(&["--chain", "none"]), "unknown chain");
    refused(home.command(&["node", "status", "--node", "http://127.0.0.1:1"]), "http://127.0.0.1:1");

    let plots = home.plots("plots", 1);
    let farm = |args: &[&str]| {
        let mut command = home.command(&["farm", "run", "--rpc", "127.0.0.1:0", "--node", &node.url]);
        command.arg("--key-file").arg(&plots.key).args(args);
        command
    };
    let (full, payee) = (plots.dir.to_str().unwrap(), payout(1));
    refused(farm(&["--dir", dir, "--payout", &payee]), "no plots");
    refused(farm(&["--dir", full, "--payout", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]), "--payout");
    refused(farm(&["--dir", full, "--payout", &payee.replace("dms", "ms")]), "--payout");
    refused(farm(&["--dir", full, "--payout", &payee, "--chain", "testnet"]), "--payout");
    assert_eq!(node.height().await, 0, "the node was not disturbed");
}

fn refused(mut command: std::process::Command, reason: &str) {
    let output = processes::output(&mut command);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {text}");
    let error = text.lines().last().unwrap_or_default();
    assert!(error.starts_with("error: ") && error.contains(reason), "{command:?}: {text}");
}
