//! SIGKILL at random moments of a real node: while it syncs from a peer, and while a farmer seals its blocks. After each, the
//! database opens, is consistent to the last byte, and has lost at most what was not yet on disk; in the end the node
//! catches up with its peer.
//!
//! The moments come from a seed that is printed; `MASS_SEED` sets it.

mod dice;
mod farmed;
mod processes;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use dice::Dice;
use farmed::farmed;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{check::check_file, export::database};
use mass_rpc::BitcoinClient;
use processes::{Home, Node, Process, agree};

/// Commits that a node which is catching up may lose, each of a block at the most.
const SLACK: u32 = 256;

/// What the database of a killed node holds: its height. It has to be sound.
fn sound(dir: &Path, kill: u32) -> u32 {
    let (path, spec) = (database(dir), mass_consensus::spec::ChainSpec::built_in("dev").unwrap());
    if !path.exists() {
        return 0;
    }
    let checked = check_file::<UtxoLedger>(&path, &spec, &mut |_, _, _| {}).unwrap();
    assert!(checked.is_good(), "kill {kill}: {:#?}", checked.report.faults);
    checked.report.tip.map_or(0, |tip| tip.height.get())
}

/// A node that is killed.
struct Victim<'a> {
    home: &'a Home,
    name: &'static str,
    rpc: String,
    dir: PathBuf,
    peer: String,
}

impl Victim<'_> {
    fn start(&self) -> Process {
        let dir = self.dir.to_str().unwrap();
        let args = ["node", "run", "--json", "--rpc", &self.rpc, "--listen", "/ip4/127.0.0.1/tcp/0"];
        let mut command = self.home.command(&args);
        command.args(["--data-dir", dir, "--peer", &self.peer]);
        Process::start(command, &self.home.path(&format!("{}.out", self.name)))
    }

    fn login(&self) -> mass_rpc::Login {
        mass_rpc::Login::File(self.dir.join(mass_rpc::COOKIE_FILE))
    }

    fn client(&self) -> mass_rpc::HttpClient {
        mass_rpc::client_as(&format!("http://{}", self.rpc), self.login(), Duration::from_secs(10)).unwrap()
    }

    /// Runs for a time and is killed; the greatest height that it told of before.
    async fn lives(&self, time: Duration) -> u32 {
        let (mut process, start, mut told) = (self.start(), Instant::now(), 0);
        let client = self.client();
        while start.elapsed() < time {
            thread::sleep(Duration::from_millis(5).min(time.saturating_sub(start.elapsed())));
            let left = time.saturating_sub(start.elapsed());
            if let Ok(Ok(height)) = tokio::time::timeout(left, client.get_block_count()).await {
                told = told.max(height.get());
            }
        }
        process.kill();
        told
    }
}

/// An address for RPC that nobody has.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A farmer on the node at an address, who finds it again each time that it is killed.
async fn farmer(home: &Home, node: &Victim<'_>, peer: &Node, blocks: u32) -> Process {
    let first = home.node(node.name, &[peer]);
    first.reaches(blocks).await;
    drop(first);
    let process = home.node_at(node.name, &node.rpc);
    let (url, listen) = (format!("http://{}", node.rpc), String::new());
    let at = Node {
        process,
        started: serde_json::Value::Null,
        url,
        listen,
        login: node.login(),
        client: node.client(),
    };
    home.farm("farm", &home.plots("plots", 14), &at, 1)
}

/// What came of the kills.
struct Tally {
    /// Height that the syncing node had after its last kill.
    synced: u32,
    /// Syncs that came to their end.
    syncs: u32,
    /// Blocks that were told of and lost, at the most.
    lost: u32,
    /// Height that the farming node had after its last kill.
    farmed: u32,
}

impl Tally {
    /// A kill somewhere in the rest of the sync; from the start again once it is over.
    async fn kill_syncing(&mut self, node: &Victim<'_>, time: Duration, kill: u32, blocks: u32) {
        let told = node.lives(time).await;
        let height = sound(&node.dir, kill);
        assert!(height + SLACK >= told.max(self.synced), "kill {kill}: height {height}, it told of {told}");
        self.lost = self.lost.max(told.saturating_sub(height));
        self.synced = height;
        if height >= blocks {
            fs::remove_file(database(&node.dir)).unwrap();
            (self.synced, self.syncs) = (0, self.syncs + 1);
        }
    }

    /// Near the tip each block is on disk before anybody hears of it.
    async fn kill_farming(&mut self, node: &Victim<'_>, time: Duration, kill: u32) {
        let told = node.lives(time).await;
        let height = sound(&node.dir, kill);
        let least = told.max(self.farmed);
        assert!(height >= least, "kill {kill}: height {height}, it told of {told}, and had {}", self.farmed);
        self.farmed = height;
    }
}

async fn kills(blocks: u32, kills: u32) {
    let (home, mut dice) = (Home::new(), Dice::new());
    farmed(&home.path("peer"), &[[7; 32], [8; 32], [9; 32]], blocks);
    let peer: Node = home.node("peer", &[]);
    let victim = |name: &'static str| Victim {
        home: &home,
        name,
        rpc: free_address(),
        dir: home.path(name),
        peer: peer.listen.clone(),
    };
    let (syncing, farming) = (victim("syncing"), victim("farming"));
    let farm = farmer(&home, &farming, &peer, blocks).await;
    // As long as a whole sync takes, from nothing to the tip.
    let start = Instant::now();
    home.node("measured", &[&peer]).reaches(blocks).await;
    let whole = start.elapsed().as_millis() as u64;

    let mut tally = Tally { synced: 0, syncs: 0, lost: 0, farmed: blocks };
    for kill in 0..kills {
        if kill % 2 == 0 {
            let time = Duration::from_millis(dice.below(whole.max(200)));
            tally.kill_syncing(&syncing, time, kill, blocks).await;
        } else {
            let time = Duration::from_millis(200 + dice.below(whole.clamp(500, 3_000)));
            tally.kill_farming(&farming, time, kill).await;
        }
        if kill % 50 == 49 || kill + 1 == kills {
            eprintln!(
                "{} kills: {} whole syncs of {blocks} blocks, of which at most {} were lost; {} blocks farmed or \
                 heard of at the tip, of which none was lost",
                kill + 1,
                tally.syncs,
                tally.lost,
                tally.farmed - blocks
            );
        }
    }
    let one = home.node("syncing", &[&peer]);
    let two = home.node("farming", &[&peer, &one]);
    drop(farm);
    for node in [&one, &two, &peer] {
        node.reaches(tally.farmed).await;
    }
    agree(&[&peer, &one, &two]).await;
}

#[tokio::test]
async fn a_killed_node_is_sound_and_catches_up() {
    kills(60, 6).await;
}

/// `cargo xtask slow kills`.
#[tokio::test]
#[ignore = "cargo xtask slow kills: half an hour"]
async fn five_hundred_kills() {
    kills(1_200, 500).await;
}
