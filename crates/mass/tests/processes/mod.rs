//! Real processes of the program for end-to-end tests: nodes and farms that end with the test.
#![allow(dead_code, reason = "each test uses a part")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mass_rpc::{BitcoinClient, HttpClient};
use serde_json::Value;

/// Longer than anything takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A payout address of the dev chain.
pub fn payout(byte: u8) -> String {
    let hash = bitcoin::hashes::Hash::from_byte_array([byte; 20]);
    let script = bitcoin::ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_raw_hash(hash));
    mass_ledger_utxo::address::encode("dms", &script).unwrap()
}

/// A home directory that the program takes for the user's.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mass"));
        command.args(args).env("HOME", self.0.path()).env("XDG_DATA_HOME", self.path("data"));
        command
    }

    /// Runs a command to its end; its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Makes a key and `count` plots of it.
    pub fn plots(&self, name: &str, count: u32) -> Plots {
        let plots = Plots { key: self.path(&format!("{name}.key")), dir: self.path(name) };
        let (key, dir) = (plots.key.to_str().unwrap(), plots.dir.to_str().unwrap());
        self.json(&["keys", "create", "--file", key]);
        let count = count.to_string();
        self.json(&["plots", "create", "--dir", dir, "--plots", &count, "--key-file", key]);
        plots
    }

    /// Starts a node in the directory of that name, and waits until it listens.
    pub fn node(&self, name: &str, peers: &[&Node]) -> Node {
        self.node_with(name, peers, &[])
    }

    /// The same with further arguments.
    pub fn node_with(&self, name: &str, peers: &[&Node], more: &[&str]) -> Node {
        let (process, started) = self.start_node(name, "127.0.0.1:0", peers, more);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (url, listen) = (text(&started["rpc"]), text(&started["listen"][0]));
        let login = mass_rpc::Login::File(self.path(name).join(mass_rpc::COOKIE_FILE));
        let client = mass_rpc::client_as(&url, login.clone(), Duration::from_secs(10)).unwrap();
        Node { process, started, url, listen, login, client }
    }

    /// Starts a node again with its RPC where it was.
    pub fn node_at(&self, name: &str, rpc: &str) -> Process {
        self.start_node(name, rpc, &[], &[]).0
    }

    fn start_node(&self, name: &str, rpc: &str, peers: &[&Node], more: &[&str]) -> (Process, Value) {
        let dir = self.path(name);
        let mut args = vec!["node", "run", "--json", "--rpc", rpc, "--listen", "/ip4/127.0.0.1/tcp/0"];
        args.extend(["--data-dir", dir.to_str().unwrap()]);
        for peer in peers {
            args.extend(["--peer", &peer.listen]);
        }
        args.extend(more);
        let process = Process::start(self.command(&args), &self.path(&format!("{name}.out")));
        let started = process.event(|event| event["event"] == "started");
        (process, started)
    }

    /// Starts a farm on a node with a signing record of its own, and tells it that it is alone.
    pub fn farm(&self, name: &str, plots: &Plots, node: &Node, payee: u8) -> Process {
        self.farm_with(name, plots, node, payee, &["--watch-rounds", "0"])
    }

    /// Starts a farm on a node with a signing record of its own and with further arguments.
    pub fn farm_with(&self, name: &str, plots: &Plots, node: &Node, payee: u8, more: &[&str]) -> Process {
        let mut command = self.farm_command(name, plots, node, payee);
        command.args(more);
        Process::start(command, &self.path(&format!("{name}.out")))
    }

    /// The command that starts a farm on a node with a signing record of its own.
    pub fn farm_command(&self, name: &str, plots: &Plots, node: &Node, payee: u8) -> Command {
        let guard = self.path(&format!("{name}.signed"));
        let args = [
            "farm",
            "run",
            "--json",
            "--rpc",
            "127.0.0.1:0",
            "--node",
            &node.url,
            "--payout",
            &payout(payee),
        ]
        .map(str::to_owned);
        let mut command = self.command(&[]);
        command
            .args(args)
            .arg("--dir")
            .arg(&plots.dir)
            .arg("--key-file")
            .arg(&plots.key)
            .arg("--guard")
            .arg(guard);
        command
    }
}

/// A key and plots of it.
pub struct Plots {
    pub key: PathBuf,
    pub dir: PathBuf,
}

/// A process that is killed when it is dropped.
pub struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    pub fn start(command: Command, output: &Path) -> Self {
        // A restart must not find the lines of the run before.
        File::create(output).unwrap();
        Self::start_on(command, output)
    }

    /// Starts it with the output of the run before still there.
    pub fn start_on(mut command: Command, output: &Path) -> Self {
        let file = || Stdio::from(File::options().create(true).append(true).open(output).unwrap());
        let child = command.stdin(Stdio::null()).stdout(file()).stderr(file()).spawn().unwrap();
        Self { child, output: output.to_owned() }
    }

    pub fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// The events that the process has printed so far.
    pub fn events(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an event.
    pub fn event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            if let Some(event) = self.events().into_iter().find(&wanted) {
                return event;
            }
            assert!(start.elapsed() < PATIENCE, "no such event: {}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a development network tells of this height, or of a greater one.
    pub fn reaches(&self, height: u64) {
        let start = Instant::now();
        let told = |line: &str| line.strip_prefix("height ")?.split([',', ' ']).next()?.parse().ok();
        while self.text().lines().filter_map(told).max() < Some(height) {
            assert!(start.elapsed() < PATIENCE, "no height {height} in: {}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end, for as long as it takes; the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A signal by its name.
    pub fn signal(&self, name: &str) {
        let (name, pid) = (format!("-{name}"), self.child.id().to_string());
        assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
    }

    /// SIGINT, and the exit code.
    pub fn interrupt(&mut self) -> Option<i32> {
        self.signal("INT");
        self.child.wait().unwrap().code()
    }

    /// Waits for the end; the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("the process ends", async || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        })
        .await;
        code.and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node process and a client of it.
pub struct Node {
    pub process: Process,
    pub started: Value,
    pub url: String,
    pub listen: String,
    pub login: mass_rpc::Login,
    pub client: HttpClient,
}

impl Node {
    pub async fn height(&self) -> u32 {
        self.client.get_block_count().await.unwrap().get()
    }

    pub async fn reaches(&self, height: u32) {
        eventually(&format!("height {height}"), async || self.height().await >= height).await;
    }
}

/// Runs a command that is to end soon; one that does not is killed.
pub fn output(command: &mut Command) -> std::process::Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{command:?} does not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// Waits until all nodes have the same tip.
pub async fn agree(nodes: &[&Node]) {
    eventually("the nodes agree", async || {
        let mut tips = Vec::new();
        for node in nodes {
            tips.push(node.client.get_best_block_hash().await.unwrap());
        }
        tips.dedup();
        tips.len() == 1
    })
    .await;
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
