//! A payment of the house's wallet that a foreign signer signs: `@scure/btc-signer` from npm.

use std::process::Command;

use anyhow::{Context as _, ensure};
use mass_clients::{Network, eventually};

const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

fn signer(args: &[&str]) -> anyhow::Result<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/signer-js");
    let output = Command::new("node").arg("sign.mjs").args(args).current_dir(folder).output();
    let output = output.context("Node.js 20 or newer is needed")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[test]
#[ignore = "slow: cargo xtask slow clients"]
fn btc_signer_signs_a_payment_of_a_wallet_that_only_watches() -> anyhow::Result<()> {
    let network = Network::start(&[])?;
    let (watched, faucet) = (network.path("watched"), network.path("faucet"));
    let key = signer(&["key", PHRASE])?;
    network.run(&["wallet", "create", "--wallet", &watched, "--xpub", &key], "")?;
    let address = network.run(&["wallet", "address", "--wallet", &watched], "")?;
    let address = address["address"].as_str().context("no address")?.to_owned();
    network.pay_to(&address, 30_000_000)?;
    let online = ["--wallet", &watched, "--node", &network.rpc];
    let spendable = |wanted: &str| -> anyhow::Result<bool> {
        let balance = network.run(&[&["wallet", "balance"][..], &online].concat(), "")?;
        Ok(balance["spendable"] == wanted)
    };
    eventually("the payment is confirmed", || spendable("3"))?;

    let payee = network.run(&["wallet", "address", "--wallet", &faucet], "")?;
    let payee = payee["address"].as_str().context("no address")?;
    let made = network.run(&[&["wallet", "psbt", "create"][..], &online, &[payee, "1"]].concat(), "")?;
    let made = made["psbt"].as_str().context("no PSBT")?;
    let signed = signer(&["sign", PHRASE, made])?;
    let sent = network.run(&[&["wallet", "psbt", "send"][..], &online, &[&signed]].concat(), "")?;
    let txid = sent["txid"].as_str().context("no id")?.to_owned();
    eventually("the signed payment is confirmed", || {
        let (status, text) = network.get(&format!("/tx/{txid}/status"))?;
        Ok(status == 200 && text.contains(r#""confirmed":true"#))
    })
}
