//! The soak: ten node processes and two farms while nodes are killed and parted and payments go on. After each healing all
//! agree, and in the end no node has grown without end. `cargo xtask slow soak --minutes 30` runs it.
#![cfg(target_os = "linux")]

mod processes;

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use mass_consensus::spec::ChainSpec;
use mass_primitives::{Amount, BlockId, Height};
use mass_rpc::{BansClient as _, BitcoinClient as _, CoinsClient as _, HttpClient, Login, MassClient as _};
use mass_wallet::{DEV_FAUCET_PHRASE, FEE_RATE_DEFAULT, Wallet};
use processes::{Home, Process, eventually};

/// Nodes, of which the first few are never killed, so that their memory tells something.
const NODES: usize = 10;
const SPARED: usize = 4;
/// How long troubles last before all is healed and compared.
const TROUBLE: Duration = Duration::from_secs(60);
/// How long the nodes may take to agree after that.
const HEALING_MAX: Duration = Duration::from_secs(180);
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_secs(2);
/// What a node may grow by in a minute, after the time in which it warms up. The chain itself grows by some KiB.
const SLOPE_KIB_MAX: f64 = 1024.0;
/// Nobody judges a slope by less than this.
const JUDGED_MIN: Duration = Duration::from_secs(8 * 60);

/// Numbers that follow from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

/// A node, where it is, and what it took.
struct Member {
    name: String,
    args: Vec<String>,
    process: Option<Process>,
    client: HttpClient,
    url: String,
    peer: String,
    /// Minutes since the beginning, and KiB, of this life of its process.
    memory: Vec<(f64, f64)>,
    lives: u32,
}

impl Member {
    fn start(&mut self, home: &Home) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let output = home.path(&format!("{}.out", self.name));
        self.process = Some(Process::start_on(home.command(&args), &output));
        self.memory.clear();
        self.lives += 1;
    }

    fn look(&mut self, minutes: f64) {
        let Some(process) = &self.process else { return };
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
        self.memory.extend(kib.map(|kib| (minutes, kib)));
    }

    /// KiB in a minute by least squares, over what is older than the warm-up.
    fn slope(&self, warm: f64) -> Option<f64> {
        let points: Vec<(f64, f64)> = self.memory.iter().copied().filter(|(time, _)| *time >= warm).collect();
        let count = points.len() as f64;
        if points.len() < 10 {
            return None;
        }
        let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / count;
        let (time, memory) = (mean(|point| point.0), mean(|point| point.1));
        let up: f64 = points.iter().map(|point| (point.0 - time) * (point.1 - memory)).sum();
        let across: f64 = points.iter().map(|point| (point.0 - time).powi(2)).sum();
        Some(up / across)
    }
}

/// Ports that nobody has just now.
fn ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

async fn members(home: &Home) -> Vec<Member> {
    let ports = ports(2 * NODES);
    let mut members = Vec::new();
    for number in 0..NODES {
        let (rpc, peer) = (ports[2 * number], ports[2 * number + 1]);
        let dir = home.path(&format!("node-{number}"));
        let mut args = ["node", "run", "--json", "--no-discovery", "--rpc"].map(str::to_owned).to_vec();
        args.extend([
            format!("127.0.0.1:{rpc}"),
            "--listen".to_owned(),
            format!("/ip4/127.0.0.1/tcp/{peer}"),
        ]);
        args.extend(["--data-dir".to_owned(), dir.display().to_string()]);
        for step in [1, 2, 5] {
            let other = ports[2 * ((number + step) % NODES) + 1];
            args.extend(["--peer".to_owned(), format!("/ip4/127.0.0.1/tcp/{other}")]);
        }
        let (url, login) = (format!("http://127.0.0.1:{rpc}"), Login::File(dir.join(mass_rpc::COOKIE_FILE)));
        let client = mass_rpc::client_as(&url, login, Duration::from_secs(30)).unwrap();
        let name = format!("node-{number}");
        let mut member = Member {
            name,
            args,
            process: None,
            client,
            url,
            peer: String::new(),
            memory: Vec::new(),
            lives: 0,
        };
        member.start(home);
        members.push(member);
    }
    for member in &mut members {
        eventually("the node answers", async || member.client.status().await.is_ok()).await;
        let listen = member.client.status().await.unwrap().listen;
        member.peer = listen[0].rsplit('/').next().unwrap().to_owned();
    }
    members
}

/// Whether all nodes have one chain, but for the newest blocks that are on their way.
async fn all_agree(members: &[Member]) -> bool {
    let mut heights = Vec::new();
    for member in members {
        let Ok(height) = member.client.get_block_count().await else { return false };
        heights.push(height.get());
    }
    let (least, most) = (*heights.iter().min().unwrap(), *heights.iter().max().unwrap());
    let deep = Height::new(least.saturating_sub(2));
    let mut ids: Vec<BlockId> = Vec::new();
    for member in members {
        let Ok(id) = member.client.get_block_hash(deep).await else { return false };
        ids.push(id);
    }
    ids.dedup();
    ids.len() == 1 && most - least <= 3
}

async fn heal(members: &mut [Member], home: &Home) -> f64 {
    let begun = Instant::now();
    for member in members.iter_mut() {
        if member.process.is_none() {
            member.start(home);
        }
        eventually(&format!("{} answers", member.name), async || member.client.status().await.is_ok()).await;
        member.client.clear_banned().await.unwrap();
        member.client.set_network_active(true).await.unwrap();
    }
    while !all_agree(members).await {
        assert!(begun.elapsed() < HEALING_MAX, "the nodes disagree {HEALING_MAX:?} after the healing");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    begun.elapsed().as_secs_f64()
}

/// Lets one thing go wrong.
async fn trouble(members: &mut [Member], home: &Home, dice: &mut Dice) -> &'static str {
    let victim = SPARED + dice.below(NODES - SPARED);
    match dice.below(5) {
        0 | 1 => {
            if let Some(mut process) = members[victim].process.take() {
                process.kill();
            }
            "killed"
        }
        2 => {
            if let Some(mut process) = members[victim].process.take() {
                process.signal("TERM");
                assert_eq!(process.ended().await, Some(0), "{}", process.text());
            }
            "ended"
        }
        3 => {
            let cut = 1 + dice.below(NODES - 1);
            let peers: Vec<String> = members.iter().map(|member| member.peer.clone()).collect();
            for (number, member) in members.iter().enumerate() {
                let others = peers.iter().enumerate().filter(|(other, _)| (*other < cut) != (number < cut));
                for (_, peer) in others {
                    // Who is dead just now is cut off anyway.
                    let _ = member.client.set_ban(peer.clone(), "add".to_owned(), Some(3600), None).await;
                }
            }
            "parted"
        }
        _ => {
            members
                .iter_mut()
                .filter(|member| member.process.is_none())
                .for_each(|member| member.start(home));
            "started"
        }
    }
}

/// Pays from the faucet to itself by a node of the first few; whether that was taken.
async fn pay(wallet: &mut Wallet, member: &Member, dice: &mut Dice) -> bool {
    let Ok(()) = wallet.sync(&member.client).await.map(drop) else { return false };
    let Ok(address) = wallet.new_address() else { return false };
    let amount = Amount::new(10_000 + dice.below(10_000_000) as u64);
    wallet.send(&member.client, &address, amount, FEE_RATE_DEFAULT).await.is_ok()
}

fn farm(home: &Home, name: &str, plots: &processes::Plots, member: &Member, payee: u8) -> Process {
    let dir = plots.dir.to_str().unwrap();
    let (key, guard) = (plots.key.to_str().unwrap(), home.path(&format!("{name}.signed")));
    let payout = processes::payout(payee);
    let args = [
        "farm",
        "run",
        "--json",
        "--rpc",
        "127.0.0.1:0",
        "--watch-rounds",
        "0",
        "--node",
        &member.url,
        "--payout",
        &payout,
        "--dir",
        dir,
        "--key-file",
        key,
        "--guard",
        guard.to_str().unwrap(),
    ];
    Process::start(home.command(&args), &home.path(&format!("{name}.out")))
}

fn variable(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// What was done, for the report.
#[derive(Default)]
struct Tally {
    killed: u32,
    ended: u32,
    parted: u32,
    healings: Vec<f64>,
    paid: u32,
    unpaid: u32,
}

async fn run(
    members: &mut [Member],
    home: &Home,
    wallet: &mut Wallet,
    length: Duration,
    dice: &mut Dice,
) -> Tally {
    let (begun, mut tally) = (Instant::now(), Tally::default());
    let (mut healed, mut looked) = (Instant::now(), Instant::now());
    while begun.elapsed() < length {
        tokio::time::sleep(Duration::from_millis(500 + 100 * dice.below(30) as u64)).await;
        if looked.elapsed() >= LOOK {
            let minutes = begun.elapsed().as_secs_f64() / 60.0;
            members.iter_mut().for_each(|member| member.look(minutes));
            looked = Instant::now();
        }
        let payer = dice.below(SPARED);
        if pay(wallet, &members[payer], dice).await {
            tally.paid += 1;
        } else {
            tally.unpaid += 1;
        }
        if healed.elapsed() >= TROUBLE {
            tally.healings.push(heal(members, home).await);
            healed = Instant::now();
        } else if dice.below(3) == 0 {
            match trouble(members, home, dice).await {
                "killed" => tally.killed += 1,
                "ended" => tally.ended += 1,
                "parted" => tally.parted += 1,
                _ => {}
            }
        }
    }
    tally
}

/// The memory of each node; those that grew without end.
fn memory(members: &[Member], length: Duration) -> Vec<String> {
    let minutes = length.as_secs_f64() / 60.0;
    let warm = (minutes / 3.0).min(5.0);
    let mut leaks = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let (last, slope) = (member.memory.last().map_or(0.0, |point| point.1), member.slope(warm));
        let told =
            slope.map_or_else(|| "too few looks".to_owned(), |slope| format!("{slope:+.0} KiB a minute"));
        eprintln!("{:8} {:3} lives, {:6.1} MiB, {told}", member.name, member.lives, last / 1024.0);
        if number < SPARED && length >= JUDGED_MIN && slope.is_some_and(|slope| slope > SLOPE_KIB_MAX) {
            leaks.push(format!("{} grows: {told}", member.name));
        }
    }
    leaks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: cargo xtask slow soak"]
async fn ten_nodes_agree_and_do_not_grow() {
    let minutes = variable("MASS_SOAK_MINUTES", 30);
    let seed = variable("MASS_SOAK_SEED", std::process::id().into());
    let (length, mut dice) = (Duration::from_secs(60 * minutes), Dice(seed));
    eprintln!("soak of {minutes} minutes, MASS_SOAK_SEED={seed}");
    let home = Home::new();
    let (large, small) = (home.plots("large", 32), home.plots("small", 16));
    let mut members = members(&home).await;
    let farms =
        [farm(&home, "farm-a", &large, &members[0], 1), farm(&home, "farm-b", &small, &members[2], 2)];
    let spec = ChainSpec::built_in("dev").unwrap();
    let mut wallet = Wallet::restore(&home.path("faucet"), &spec, DEV_FAUCET_PHRASE).unwrap();
    eventually("the first blocks", async || {
        members[0].client.get_block_count().await.is_ok_and(|height| height.get() >= 2)
    })
    .await;
    let mut tally = run(&mut members, &home, &mut wallet, length, &mut dice).await;
    tally.healings.push(heal(&mut members, &home).await);
    for mut farm in farms {
        assert_eq!(farm.interrupt(), Some(0), "{}", farm.text());
    }
    // Without farms, nothing is on its way any more: all have one tip and one state of the coins.
    eventually("one tip", async || {
        let mut tips = Vec::new();
        for member in &members {
            tips.push(member.client.get_best_block_hash().await.ok());
        }
        tips.dedup();
        tips.len() == 1 && tips[0].is_some()
    })
    .await;
    let mut supplies = Vec::new();
    for member in &members {
        supplies.push(member.client.supply().await.unwrap());
        let bans = member.client.bans().await.unwrap();
        assert!(bans.is_empty(), "honest farms are banned on {}: {bans:?}", member.name);
    }
    supplies.dedup();
    assert_eq!(supplies.len(), 1, "the nodes have one tip and different coins");
    let height = members[0].client.get_block_count().await.unwrap();
    let slowest = tally.healings.iter().copied().fold(0.0, f64::max);
    eprintln!(
        "height {height}; {} killed, {} ended, {} parted; {} healings, the slowest in {slowest:.1} s; {} payments, {} not taken",
        tally.killed,
        tally.ended,
        tally.parted,
        tally.healings.len(),
        tally.paid,
        tally.unpaid
    );
    assert!(tally.paid > 0, "no payment was taken");
    let leaks = memory(&members, length);
    for member in &mut members {
        let mut process = member.process.take().unwrap();
        process.signal("TERM");
        assert_eq!(process.ended().await, Some(0), "{}", process.text());
        let text = process.text();
        assert!(!text.contains(" ERROR "), "{}: {text}", member.name);
    }
    assert!(leaks.is_empty(), "{leaks:?}");
}
