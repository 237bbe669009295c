//! A dev chain of real processes for wallets of other makers: a node with its Electrum and Esplora servers, a farm that
//! makes blocks, and the faucet that pays.
//!
//! The program is the one that `MASS_PROGRAM` names, or that the house's workspace has built. Everything ends with the
//! [`Network`].

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use bdk_wallet::bitcoin::{Address, BlockHash, Network as BitcoinNetwork};
use bech32::{Hrp, segwit};
use serde_json::{Value, json};

/// Longer than anything takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What the faucet's keys come from; the genesis block of every dev chain pays it.
const FAUCET_PHRASE: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// What the chain's addresses begin with.
const PREFIX: &str = "dms";

/// A process that is killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One node of a dev chain, farmed.
pub struct Network {
    dir: tempfile::TempDir,
    node: Process,
    farm: Option<Process>,
    /// Where the node's RPC is.
    pub rpc: String,
    /// Where the Electrum server is, as in `127.0.0.1:50001`.
    pub electrum: String,
    /// Where the Esplora server is, as a URL.
    pub esplora: String,
}

fn program() -> PathBuf {
    std::env::var_os("MASS_PROGRAM").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/debug/mass")),
        PathBuf::from,
    )
}

impl Network {
    /// Starts a node on a new chain, and a farm with a few plots.
    ///
    /// # Errors
    /// A process does not start.
    pub fn start(more: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let data = dir.path().join("node").display().to_string();
        let mut args =
            vec!["node", "run", "--rpc", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir"];
        args.extend([data.as_str(), "--electrum", "127.0.0.1:0", "--esplora", "127.0.0.1:0"]);
        args.extend(more);
        let (node, started) = spawn(&dir, "node", &args)?;
        let text =
            |name: &str| started[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        let esplora = format!("http://{}", text("esplora")?);
        let (rpc, electrum) = (text("rpc")?, text("electrum")?);
        let mut network = Self { dir, node, farm: None, rpc, electrum, esplora };
        network.run(&["wallet", "restore", "--wallet", &network.path("faucet")], FAUCET_PHRASE)?;
        network.farm(16)?;
        Ok(network)
    }

    fn farm(&mut self, plots: u32) -> anyhow::Result<()> {
        let (key, dir, guard) = (self.path("farmer.key"), self.path("plots"), self.path("signed"));
        self.run(&["keys", "create", "--file", &key], "")?;
        let count = plots.to_string();
        self.run(&["plots", "create", "--dir", &dir, "--plots", &count, "--key-file", &key], "")?;
        let payout = self.run(&["wallet", "address", "--wallet", &self.path("faucet")], "")?;
        let payout = payout["address"].as_str().context("no address")?.to_owned();
        let args = ["farm", "run", "--rpc", "127.0.0.1:0", "--node", &self.rpc, "--payout", &payout];
        let more = ["--dir", &dir, "--key-file", &key, "--guard", &guard, "--watch-rounds", "0"];
        let log = File::create(self.path("farm.out"))?;
        let mut command = command(&self.dir);
        command.args(args).args(more).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.farm = Some(Process(command.spawn()?));
        Ok(())
    }

    /// A path in the network's directory.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Runs a command of the program with this standard input; its JSON.
    ///
    /// # Errors
    /// The command fails.
    pub fn run(&self, args: &[&str], input: &str) -> anyhow::Result<Value> {
        let mut command = command(&self.dir);
        command.args(args).arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Calls a method of the node's RPC.
    ///
    /// # Errors
    /// The node refuses.
    pub fn call(&self, method: &str, params: &[&str]) -> anyhow::Result<Value> {
        self.run(&[&["rpc", "--node", &self.rpc, method], params].concat(), "")
    }

    /// Pays from the faucet to a client's address; the transaction's id.
    ///
    /// # Errors
    /// The faucet cannot pay.
    pub fn pay(&self, address: &Address, maxwell: u64) -> anyhow::Result<String> {
        self.pay_to(&ours(address)?, maxwell)
    }

    /// Pays from the faucet to one of the chain's own addresses; the transaction's id.
    ///
    /// # Errors
    /// The faucet cannot pay.
    pub fn pay_to(&self, address: &str, maxwell: u64) -> anyhow::Result<String> {
        let amount = format!("{}.{:07}", maxwell / 10_000_000, maxwell % 10_000_000);
        let faucet = self.path("faucet");
        let args = ["wallet", "send", "--wallet", &faucet, "--node", &self.rpc, address, &amount];
        let sent = self.run(&args, "")?;
        Ok(sent["txid"].as_str().context("no txid")?.to_owned())
    }

    /// The height of the tip.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn height(&self) -> anyhow::Result<u64> {
        self.call("getblockcount", &[])?.as_u64().context("no height")
    }

    /// The id of the genesis block.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn genesis(&self) -> anyhow::Result<BlockHash> {
        Ok(self.call("getblockhash", &["0"])?.as_str().context("no id")?.parse()?)
    }

    /// Waits for this height.
    ///
    /// # Errors
    /// It does not come.
    pub fn reaches(&self, height: u64) -> anyhow::Result<()> {
        eventually(&format!("height {height}"), || Ok(self.height()? >= height))
    }

    /// What the node's log says.
    pub fn log(&self) -> String {
        let _ = &self.node;
        fs::read_to_string(self.path("node.out")).unwrap_or_default()
    }

    /// GETs a path from the Esplora server: the status and the text.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.get(format!("{}{path}", self.esplora)).call()?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }
}

fn command(dir: &tempfile::TempDir) -> Command {
    let mut command = Command::new(program());
    command.env("HOME", dir.path()).env("XDG_DATA_HOME", dir.path().join("data"));
    command
}

/// Starts a process, and waits until it says that it has started.
fn spawn(dir: &tempfile::TempDir, name: &str, args: &[&str]) -> anyhow::Result<(Process, Value)> {
    let path = dir.path().join(format!("{name}.out"));
    let log = File::create(&path)?;
    let mut command = command(dir);
    command.args(args).arg("--json").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let process = Process(command.spawn().with_context(|| format!("{}", program().display()))?);
    let mut started = json!(null);
    eventually(&format!("{name} starts"), || {
        let text = fs::read_to_string(&path)?;
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        started = events.into_iter().find(|event| event["event"] == "started").unwrap_or_default();
        Ok(!started.is_null())
    })
    .with_context(|| fs::read_to_string(&path).unwrap_or_default())?;
    Ok((process, started))
}

/// A client's address with the chain's own prefix.
///
/// # Errors
/// It is no segwit address.
pub fn ours(address: &Address) -> anyhow::Result<String> {
    let (_, version, program) = segwit::decode(&address.to_string())?;
    Ok(segwit::encode(Hrp::parse(PREFIX)?, version, &program)?)
}

/// One of the chain's addresses as a client on regtest writes it.
///
/// # Errors
/// It is no segwit address.
pub fn theirs(address: &str) -> anyhow::Result<Address> {
    let (_, version, program) = segwit::decode(address)?;
    let text = segwit::encode(Hrp::parse("bcrt")?, version, &program)?;
    Ok(text.parse::<Address<_>>()?.require_network(BitcoinNetwork::Regtest)?)
}

/// Waits until a condition holds.
///
/// # Errors
/// It does not, or cannot be looked at.
pub fn eventually(what: &str, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let start = Instant::now();
    while !holds()? {
        if start.elapsed() > PATIENCE {
            bail!("not in {PATIENCE:?}: {what}");
        }
        sleep(Duration::from_millis(200));
    }
    Ok(())
}
