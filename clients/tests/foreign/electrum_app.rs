//! Electrum itself, as Debian packs it, without a window: create, receive, send, bump the fee.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use mass_clients::{Network, eventually};
use serde_json::Value;

struct App<'a> {
    network: &'a Network,
    genesis: String,
    daemon: Option<Child>,
}

impl Drop for App<'_> {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl App<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/electrum-app/electrum_of_mass.py"));
        command.args(["--regtest", "--dir", &self.network.path("electrum")]).args(args);
        command
            .env("MASS_GENESIS", &self.genesis)
            .env("MASS_PREFIX", "dms")
            .env("HOME", self.network.path("home"));
        command
    }

    fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command(args).stdin(Stdio::null()).output()?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        Ok(text.trim().to_owned())
    }

    fn json(&self, args: &[&str]) -> anyhow::Result<Value> {
        let text = self.run(args)?;
        serde_json::from_str(&text).with_context(|| format!("{args:?}: {text}"))
    }

    fn confirmed(&self) -> anyhow::Result<f64> {
        let balance = self.json(&["getbalance"])?;
        Ok(balance["confirmed"].as_str().unwrap_or("0").parse()?)
    }
}

#[test]
#[ignore = "slow: cargo xtask slow clients"]
fn debians_electrum_receives_and_pays() -> anyhow::Result<()> {
    ensure!(std::path::Path::new("/usr/bin/electrum").exists(), "apt-get install electrum");
    let network = Network::start(&[])?;
    let mut app = App { genesis: network.genesis()?.to_string(), network: &network, daemon: None };
    app.json(&["create", "--offline"])?;
    let log = std::fs::File::create(network.path("electrum.out"))?;
    let server = format!("{}:t", network.electrum);
    let mut daemon = app.command(&["daemon", "--oneserver", "--server", &server, "-v"]);
    app.daemon = Some(daemon.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
    eventually("Electrum's daemon listens", || Ok(app.run(&["getinfo"]).is_ok()))?;
    app.run(&["load_wallet"])?;
    eventually("Electrum has the chain's tip", || {
        let height = app.json(&["getinfo"])?["blockchain_height"].as_u64();
        Ok(height >= Some(1) && height == Some(network.height()?))
    })?;

    let address = app.run(&["createnewaddress"])?;
    ensure!(address.starts_with("dms1q"), "{address}");
    network.pay_to(&address, 50_000_000)?;
    eventually("Electrum sees the payment confirmed", || Ok(app.confirmed()? == 0.5))?;

    let faucet = network.run(&["wallet", "address", "--wallet", &network.path("faucet")], "")?;
    let faucet = faucet["address"].as_str().context("no address")?;
    let signed = app.run(&["payto", faucet, "0.2", "--feerate", "2"])?;
    let txid = app.run(&["broadcast", &signed])?;
    ensure!(txid.len() == 64, "{txid}");
    eventually("Electrum sees its own payment confirmed", || Ok((0.299..0.3).contains(&app.confirmed()?)))?;
    let history = app.json(&["onchain_history"])?;
    ensure!(history["transactions"].as_array().is_some_and(|list| list.len() == 2), "{history}");
    Ok(())
}
