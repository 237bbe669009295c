//! A cluster of real processes around a real NATS server: two farmers with one key, two harvesters, a node. Each part
//! is killed in turn, the server among them; no round is lost that the time allows, and nobody is banned.
//!
//! Slow, and in need of `nats-server`: `cargo xtask slow cluster`.

mod nats;
mod processes;

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use mass_rpc::MassClient as _;
use nats::Server;
use processes::{Home, Node, PATIENCE, Plots, Process, payout};
use serde_json::Value;

/// Rounds are 16 seconds on the dev chain.
const ROUND: Duration = Duration::from_secs(16);

struct Cluster {
    home: Home,
    node: Node,
    server: Server,
    keys: Plots,
    more: Plots,
}

impl Cluster {
    fn farmer(&self, name: &str) -> Process {
        let mut command = self.home.command(&["farm", "run", "--json", "--rpc", "127.0.0.1:0"]);
        command.args(["--node", &self.node.url, "--payout", &payout(1), "--bus", &self.server.url]);
        command
            .arg("--key-file")
            .arg(&self.keys.key)
            .arg("--guard")
            .arg(self.home.path(&format!("{name}.signed")));
        Process::start_on(command, &self.home.path(&format!("{name}.out")))
    }

    fn harvester(&self, name: &str, dir: &Path) -> Process {
        let mut command = self.home.command(&["harvester", "run", "--json", "--name", name]);
        command.args(["--bus", &self.server.url, "--dir"]).arg(dir);
        Process::start_on(command, &self.home.path(&format!("{name}.out")))
    }
}

/// Waits for one more event of a kind than there are.
fn next(process: &Process, wanted: impl Fn(&Value) -> bool) -> Value {
    let before = process.events().iter().filter(|event| wanted(event)).count();
    let start = Instant::now();
    loop {
        if let Some(event) = process.events().into_iter().filter(|event| wanted(event)).nth(before) {
            return event;
        }
        assert!(start.elapsed() < PATIENCE, "no such event: {}", process.text());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == kind
}

/// Rounds in which all groups whose turn it was were asked, by any of the farmers.
fn rounds(farmers: &[&Process]) -> BTreeSet<u64> {
    let events = farmers.iter().flat_map(|farmer| farmer.events());
    let asked = events.filter(|event| event["event"] == "round" && event["asked"].as_u64() > Some(0));
    asked.map(|event| event["round"].as_u64().unwrap()).collect()
}

fn signal(process: &Process, name: &str) {
    assert!(Command::new("kill").args([name, &process.id().to_string()]).status().unwrap().success());
}

#[tokio::test]
#[ignore = "slow, and in need of nats-server: cargo xtask slow cluster"]
async fn whatever_is_killed_no_round_is_lost_and_no_slot_is_signed_twice() {
    let home = Home::new();
    let (keys, node) = (home.plots("one", 32), home.node("node", &[]));
    let more = Plots { key: keys.key.clone(), dir: home.path("two") };
    let (key, dir) = (more.key.to_str().unwrap(), more.dir.to_str().unwrap());
    home.json(&["plots", "create", "--dir", dir, "--plots", "32", "--key-file", key]);
    let server = Server::start(&home.path("nats"));
    let mut cluster = Cluster { home, node, server, keys, more };

    let mut first = cluster.farmer("first");
    first.event(is("active"));
    let second = cluster.farmer("second");
    second.event(is("standby"));
    let mut rig1 = cluster.harvester("rig1", &cluster.keys.dir);
    let rig2 = cluster.harvester("rig2", &cluster.more.dir);
    first.event(is("sealed"));

    // The active farmer is killed: the other takes over, within a round.
    let start = Instant::now();
    first.kill();
    second.event(is("active"));
    next(&second, is("harvester_joined"));
    assert!(start.elapsed() < ROUND, "{:?}", start.elapsed());
    next(&second, is("sealed"));
    let first = cluster.farmer("first");
    first.event(is("standby"));

    // A harvester is killed and comes back.
    rig1.kill();
    next(&second, is("harvester_lost"));
    let rig1 = cluster.harvester("rig1", &cluster.keys.dir);
    next(&second, is("harvester_joined"));

    // The server is killed and comes back: all find each other again.
    cluster.server.kill();
    next(&rig1, is("lost"));
    cluster.server.restart();
    next(&rig1, is("joined"));
    next(&second, is("sealed"));

    // The active farmer sleeps for longer than its lease is good, and finds that it is active no more.
    signal(&second, "-STOP");
    next(&first, is("active"));
    next(&first, is("sealed"));
    signal(&second, "-CONT");
    next(&second, is("standby"));
    next(&first, is("sealed"));

    let (farmers, bans) = ([&first, &second], cluster.node.client.bans().await.unwrap());
    assert!(bans.is_empty(), "{bans:?}");
    assert!(
        farmers.iter().all(|farmer| farmer.events().iter().all(|event| event["event"] != "other_farmer"))
    );
    let rounds = rounds(&farmers);
    let all: BTreeSet<u64> = (*rounds.first().unwrap()..=*rounds.last().unwrap()).collect();
    assert_eq!(all.difference(&rounds).count(), 0, "rounds lost: {:?}", all.difference(&rounds));
    drop((rig1, rig2));
}
