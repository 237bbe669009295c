//! `mass wallet` and `mass rpc` as a person or a script runs them, with a real node.

mod processes;

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Output, Stdio},
};

use processes::Home;
use serde_json::{Value, json};

const FAUCET_PHRASE: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn refused(output: &Output, reason: &str) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text.contains("error: ") && text.contains(reason), "{text}");
}

fn restore(home: &Home, dir: &str, phrase: &str) -> Output {
    let mut command = home.command(&["wallet", "restore", "--json", "--wallet", dir]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(phrase.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_wallet_is_made_paid_and_looked_at() {
    let home = Home::new();
    let node = home.node("node", &[]);
    let faucet_dir = home.path("faucet");
    let faucet = faucet_dir.to_str().unwrap();
    let restored = restore(&home, faucet, &format!("{FAUCET_PHRASE}\n"));
    assert!(restored.status.success(), "{restored:?}");
    let faucet_address = "dms1qmw78m49ss7u4df4f3u7s6w6q8n02h6mkfn3z97";
    assert_eq!(serde_json::from_slice::<Value>(&restored.stdout).unwrap()["address"], faucet_address);

    let made = home.json(&["wallet", "create", "--words", "24"]);
    assert_eq!(made["phrase"].as_str().unwrap().split(' ').count(), 24);
    let seed = home.path("data/mass/wallets/dev/default/seed");
    assert_eq!(std::fs::metadata(&seed).unwrap().permissions().mode() & 0o777, 0o600);
    let address = home.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
    assert_eq!(made["address"], address);
    let new = home.json(&["wallet", "address", "--new"]);
    assert_ne!(new["address"], address);

    let balance = home.json(&["wallet", "balance", "--wallet", faucet, "--node", &node.url]);
    assert_eq!(balance["spendable"], "1000000");
    let args = ["wallet", "send", "--wallet", faucet, "--node", &node.url];
    let sent = home.json(&[&args[..], &[&address, "12.0000001"]].concat());
    let (txid, fee) = (sent["txid"].as_str().unwrap(), sent["fee_maxwell"].as_u64().unwrap());
    assert_eq!(sent["amount_maxwell"], 120_000_001);

    let balance = home.json(&["wallet", "balance", "--node", &node.url]);
    assert_eq!((&balance["incoming_maxwell"], &balance["spendable"]), (&json!(120_000_001), &json!("0")));
    let mut offline = balance.clone();
    offline["earned_maxwell"] = Value::Null;
    assert_eq!(home.json(&["wallet", "balance", "--offline"]), offline, "a node alone tells what is earned");
    let history = home.json(&["wallet", "history", "--wallet", faucet, "--node", &node.url]);
    let last = history.as_array().unwrap().last().unwrap();
    assert_eq!((&last["txid"], &last["height"], &last["kind"]), (&json!(txid), &Value::Null, &json!("sent")));
    assert_eq!(last["net_maxwell"], -(120_000_001 + fee as i64));
    let text = home.command(&["wallet", "history", "--offline", "--wallet", faucet]).output().unwrap();
    assert!(String::from_utf8(text.stdout).unwrap().contains("-12.00"), "amounts are exact and in MASS");

    let refuse = |args: &[&str], reason| refused(&home.command(args).output().unwrap(), reason);
    refuse(&["wallet", "create"], "is not overwritten");
    refuse(&["wallet", "balance", "--wallet", "nowhere"], "mass wallet create");
    refuse(&["wallet", "balance", "--node", "http://127.0.0.1:1"], "no node answers");
    refuse(&["wallet", "send", "--node", &node.url, faucet_address, "1"], "0 MASS can be spent");
    refuse(&[&args[..], &["tms1qmw78m49ss7u4df4f3u7s6w6q8n02h6mkfn3z97", "1"]].concat(), "not an address");
    refused(&restore(&home, home.path("no").to_str().unwrap(), "abandon about\n"), "2 words");
    let usage = home.command(&[&args[..], &[&address, "0.00000001"]].concat()).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8(usage.stderr).unwrap().contains("smallest amount"));
}

#[test]
fn any_method_of_a_node_can_be_called() {
    let home = Home::new();
    let node = home.node("node", &[]);
    let rpc = |args: &[&str]| home.command(&[&["rpc", "--node", &node.url], args].concat()).output().unwrap();
    let text = |args: &[&str]| String::from_utf8(rpc(args).stdout).unwrap().trim().to_owned();
    assert_eq!(text(&["getblockcount"]), "0");
    let genesis = text(&["getblockhash", "0"]);
    assert_eq!(genesis.len(), 64);
    assert_eq!(text(&["getblockhash", "0", "--json"]), format!("\"{genesis}\""));
    assert!(text(&["getblock", &genesis, "0"]).len() > 160);
    let block: Value = serde_json::from_str(&text(&["getblock", &genesis])).unwrap();
    assert_eq!(block["nTx"], 2);
    assert_eq!(text(&["gettxout", &"00".repeat(32), "0"]), "null");
    refused(&rpc(&["getblockhash", "9"]), "Block height out of range (code -8)");
    refused(&rpc(&["getrawtransaction", &"00".repeat(32)]), "code -5");
    refused(&rpc(&["nothing"]), "code -32601");
    refused(&home.command(&["rpc", "--node", "http://127.0.0.1:1", "stop"]).output().unwrap(), "the node at");
}
