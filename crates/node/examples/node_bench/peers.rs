//! Two nodes in processes of their own: one that has a chain, and one that gets it.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{NodeConfig, NodeHandle, export::database, start};
use mass_rpc::{BitcoinClient as _, HttpClient, client};
use serde_json::{Value, json};

use crate::{load, memory, processor_seconds};

/// How long a node is idle.
const IDLE: Duration = Duration::from_secs(20);

/// What the node that got the chain says.
pub struct Got {
    pub seconds: f64,
    pub processor: f64,
    pub peak_bytes: f64,
    pub database_bytes: f64,
    pub idle_percent: f64,
    pub idle_bytes: f64,
    pub latencies: Vec<(String, f64, f64)>,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("the system gives threads")
}

async fn node(dir: &Path, spec: &Path, peers: &[&str]) -> (NodeHandle, HttpClient) {
    let spec =
        ChainSpec::from_json(&fs::read_to_string(spec).expect("the spec is there")).expect("a good spec");
    let config = NodeConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
        peers: peers.iter().map(|peer| peer.parse().expect("an address")).collect(),
        ..NodeConfig::new(spec, dir.to_owned())
    };
    let handle = start::<UtxoLedger>(config).await.expect("the node starts");
    let client = client(&format!("http://{}", handle.rpc)).expect("a URL");
    (handle, client)
}

/// Serves a chain until the standard input ends.
pub fn serve(dir: &Path) {
    runtime().block_on(async {
        let (handle, _) = node(dir, &dir.join("spec.json"), &[]).await;
        println!("{}", json!({ "listen": handle.listen[0].to_string() }));
        let wait = || drop(std::io::stdin().read_to_end(&mut Vec::new()));
        tokio::task::spawn_blocking(wait).await.expect("it waits");
        handle.stop().await.expect("the node ends well");
    });
}

/// Gets a chain from a peer, and says what that took.
pub fn sync(dir: &Path, peer: &str, height: u32, requests: u32) {
    fs::create_dir_all(dir).expect("the folder can be made");
    runtime().block_on(async {
        let begun = Instant::now();
        let (handle, client) = node(dir, &dir.with_extension("spec"), &[peer]).await;
        loop {
            // Long chains are not asked for often: the node has better things to do.
            if client.get_block_count().await.is_ok_and(|got| got.get() >= height) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (seconds, processor) = (begun.elapsed().as_secs_f64(), processor_seconds());
        let peak = memory("VmHWM:");
        let bytes = fs::metadata(database(dir)).map_or(0, |file| file.len());
        tokio::time::sleep(IDLE / 4).await;
        let before = processor_seconds();
        tokio::time::sleep(IDLE).await;
        let idle = 100.0 * (processor_seconds() - before) / IDLE.as_secs_f64();
        let resident = memory("VmRSS:");
        let latencies = load::run(&client, height, requests).await;
        println!(
            "{}",
            json!({ "seconds": seconds, "processor": processor, "peak": peak, "database": bytes, "idle": idle,
                "resident": resident, "latencies": latencies })
        );
        handle.stop().await.expect("the node ends well");
    });
}

fn spawn(words: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let program = env::current_exe().expect("this program is a file");
    let child = Command::new(program).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("it starts");
    let output = child.stdout.take().expect("it has an output");
    (child, BufReader::new(output))
}

fn line(output: &mut BufReader<ChildStdout>) -> Value {
    let mut text = String::new();
    output.read_line(&mut text).expect("it says something");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Lets a new node in `to` get the chain in `from`.
pub fn measure(from: &Path, to: &Path, height: u32, requests: u32) -> Got {
    fs::copy(from.join("spec.json"), to.with_extension("spec")).expect("the spec is copied");
    let [from, to] = [from, to].map(|path| path.to_str().expect("a plain name"));
    let (mut server, mut output) = spawn(&["serve", from]);
    let listen = line(&mut output)["listen"].as_str().expect("an address").to_owned();
    let (height, requests) = (height.to_string(), requests.to_string());
    let (mut client, mut output) = spawn(&["sync", to, &listen, &height, &requests]);
    let said = line(&mut output);
    assert!(client.wait().expect("it ends").success(), "the new node ends badly");
    drop(server.stdin.take());
    assert!(server.wait().expect("it ends").success(), "the old node ends badly");
    let number = |name: &str| said[name].as_f64().expect("a number");
    let latencies = said["latencies"].as_array().into_iter().flatten().map(|one| {
        let milliseconds = |place: usize| one[place].as_f64().expect("a time");
        (one[0].as_str().unwrap_or_default().to_owned(), milliseconds(1), milliseconds(2))
    });
    Got {
        seconds: number("seconds"),
        processor: number("processor"),
        peak_bytes: number("peak"),
        database_bytes: number("database"),
        idle_percent: number("idle"),
        idle_bytes: number("resident"),
        latencies: latencies.collect(),
    }
}
