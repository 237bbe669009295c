//! A real farm in a process of its own, before nodes in another process that answer as nodes do.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jsonrpsee::{RpcModule, server::Server};
use mass_consensus::spec::ChainSpec;
use mass_farmer::{ChainConfig, FarmEvent, FarmerConfig, Totals};
use mass_primitives::{BlockId, Height, Seed, Slot};
use mass_rpc::{Status, Work, farm::FarmClient as _};
use serde_json::{Value, json};

use crate::measure::{self, cpu_seconds, memory_bytes, system_reads};

/// Chains like Mass Net that have begun long ago: the first with its own beacon, the others with that one or their own.
pub fn specs(count: usize, shared: bool, k: u8, filter: u64) -> Vec<ChainSpec> {
    let mut file = ChainSpec::built_in("massnet").expect("it is built in").file().clone();
    (file.rules.plot_size, file.rules.filter, file.rules.genesis_time) = (k, filter, 1_600_000_000);
    if filter < 128 {
        // Short periods allow the small filter, short slots the short measurement.
        (file.rules.period_blocks, file.rules.seed_lag_blocks, file.rules.slot_seconds) = (2, 1, 1);
    }
    let parent = ChainSpec::new(file.clone()).expect("the rules agree");
    let others = (1..count).map(|number| {
        let mut file = file.clone();
        file.rules.name = format!("bench-{number}");
        file.rules.beacon = shared.then_some(*parent.id());
        ChainSpec::new(file).expect("the rules agree")
    });
    std::iter::once(parent.clone()).chain(others).collect()
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What the next block must carry: at a difficulty that nobody beats, so that nothing is solved.
fn work(spec: &ChainSpec) -> Work {
    Work {
        chain: *spec.id(),
        tip: BlockId::ZERO,
        height: Height::new(1),
        after: Slot::ZERO,
        seed: Seed::new([5; 32]),
        difficulty: u128::MAX.to_string(),
        now: spec.slot_at(unix_now()).unwrap_or_default(),
        sealed: None,
    }
}

fn status(spec: &ChainSpec) -> Status {
    Status {
        name: spec.rules().name.clone(),
        chain: *spec.id(),
        height: Height::new(1),
        tip: BlockId::ZERO,
        peers: 8,
        reorgs: 0,
        mempool: 0,
        netspace_bytes: "0".to_owned(),
        synced: true,
        listen: Vec::new(),
        banned: 0,
        checkpoint: None,
        version: None,
    }
}

/// Answers for these chains until the standard input ends; says where on the standard output.
pub async fn nodes(specs: Vec<ChainSpec>) {
    let mut handles = Vec::new();
    for spec in specs {
        let mut module = RpcModule::new(spec);
        let distinct = "the names differ";
        let json = |value: Value| value;
        module
            .register_async_method("mass_work", async |params, spec, _| {
                let (_, known): (Value, Option<Work>) = params.parse().expect("they are what a farmer sends");
                while known.as_ref() == Some(&work(&spec)) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                serde_json::to_value(work(&spec)).expect("it is JSON")
            })
            .expect(distinct);
        module
            .register_method("mass_status", |_, spec, _| {
                serde_json::to_value(status(spec)).expect("it is JSON")
            })
            .expect(distinct);
        module.register_method("mass_bans", move |_, _, _| json(json!([]))).expect(distinct);
        let server = Server::builder().build("127.0.0.1:0").await.expect("a port is free");
        measure::say(&format!("http://{}", server.local_addr().expect("it has an address")));
        handles.push(server.start(module));
    }
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
}

/// The nodes' process, which ends with this value.
struct Nodes {
    child: Child,
    urls: Vec<String>,
}

impl Nodes {
    fn start(words: &[String], count: usize) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .arg("nodes")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let urls = lines.take(count).map(|line| line.expect("it is text")).collect();
        Self { child, urls }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Farms a directory for a while, and says what that takes after the first `START` of it.
pub async fn farm(plots: &Path, words: &[String], specs: Vec<ChainSpec>, seconds: u64) -> Value {
    const START: Duration = Duration::from_secs(6);
    let nodes = Nodes::start(words, specs.len());
    let urls = nodes.urls.iter().cloned();
    let chains = specs.into_iter().zip(urls).map(|(spec, node)| {
        let payout = String::new();
        ChainConfig { spec, node, payout, priority: 0, enabled: true }
    });
    let guard = plots.with_extension(format!("signed-{}.json", std::process::id()));
    let config = FarmerConfig {
        chains: chains.collect(),
        directories: vec![plots.to_owned()],
        harvesters: None,
        cluster: None,
        secret: crate::plots::secret(),
        guard: guard.clone(),
        watch_rounds: 0,
        rpc: Some(([127, 0, 0, 1], 0).into()),
        access: mass_rpc::Access::default(),
        methods: None,
    };
    let (mut open_seconds, mut plots_open) = (0.0, 0);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let begun = Instant::now();
    let watch = |event: &FarmEvent, totals: &Totals| match event {
        FarmEvent::Opened { plots, rpc, .. } => {
            (open_seconds, plots_open) = (begun.elapsed().as_secs_f64(), *plots);
            let _ = tell.send((rpc.clone().expect("it listens"), totals.reads));
        }
        FarmEvent::Fault { reason } if !reason.contains("damaged") => eprintln!("fault: {reason}"),
        _ => {}
    };
    let mut result = json!({});
    let stop = async {
        let (url, _) = told.recv().await.expect("it opens");
        let client = mass_rpc::client(&url).expect("it is a URL");
        tokio::time::sleep(START).await;
        let before = client.farm_status().await.expect("it answers");
        let looking = system_reads();
        let (asked, cpu, reads) = (Instant::now(), cpu_seconds(), system_reads());
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let (cpu, wall) = (cpu_seconds() - cpu, asked.elapsed().as_secs_f64());
        // To look at the counters is counted too.
        let system = system_reads().reads - reads.reads - (reads.reads - looking.reads);
        let asked = Instant::now();
        let after = client.farm_status().await.expect("it answers");
        result = json!({
            "cpu_share": cpu / wall, "status_seconds": asked.elapsed().as_secs_f64(),
            "rounds": after.rounds - before.rounds, "reads": after.reads - before.reads,
            "system_reads": system, "qualities": after.qualities - before.qualities,
            "memory_bytes": memory_bytes("VmRSS:"), "memory_peak_bytes": memory_bytes("VmHWM:"),
            "p99_milliseconds": after.disks.first().and_then(|disk| disk.p99_milliseconds),
        });
    };
    let (_changes, changes) = tokio::sync::mpsc::channel(1);
    mass_farmer::run(config, watch, changes, stop).await.expect("it farms");
    let _ = std::fs::remove_file(guard);
    result["open_seconds"] = json!(open_seconds);
    result["plots"] = json!(plots_open);
    result
}
