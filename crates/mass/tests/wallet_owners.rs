//! `mass wallet` as its owners run it: encrypted, labelled, of several owners, without trust, and served.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
#[path = "../../node/tests/nodes/mod.rs"]
mod nodes;
mod processes;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::{Output, Stdio},
};

use farm::Farm;
use processes::{Home, Node, Process, payout};
use serde_json::{Value, json};

const FAUCET_PHRASE: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn typed(home: &Home, args: &[&str], input: &str) -> Output {
    let mut command = home.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn refused(output: &Output, code: i32, reason: &str) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(text.contains(reason), "{text}");
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_wallet_is_encrypted_labelled_and_accounted_for() {
    let home = Home::new();
    let node = home.node("node", &[]);
    let secret = home.path("secret");
    fs::write(&secret, "correct horse\n").unwrap();
    let secret = secret.to_str().unwrap();
    let restore = ["wallet", "restore", "--name", "bank", "--passphrase-file", secret];
    assert!(typed(&home, &restore, &format!("{FAUCET_PHRASE}\n")).status.success());
    let seed = home.path("data/mass/wallets/dev/bank/seed");
    assert_eq!(fs::metadata(&seed).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&seed).unwrap().contains("abandon"));
    let listed = home.json(&["wallet", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["encrypted"]), (&json!("bank"), &json!(true)));
    let bank = ["--name", "bank", "--passphrase-file", secret];
    let run = |args: &[&str]| home.command(&[args, &bank].concat()).output().unwrap();
    refused(
        &home.command(&["wallet", "balance", "--name", "bank", "--offline"]).output().unwrap(),
        1,
        "passphrase",
    );
    fs::write(home.path("wrong"), "battery staple").unwrap();
    let wrong = home.path("wrong");
    let args =
        ["wallet", "coins", "--offline", "--name", "bank", "--passphrase-file", wrong.to_str().unwrap()];
    refused(&home.command(&args).output().unwrap(), 1, "the passphrase is wrong");

    // Two recipients in one payment, from a chosen coin, with a label; then all that is in the other coins but one.
    let coins: Value = home.json(&[&["wallet", "coins", "--offline"][..], &bank].concat());
    let coin = |at: usize| coins[at]["coin"].as_str().unwrap().to_owned();
    text(run(&["wallet", "freeze", &coin(1)]));
    let to = text(run(&["wallet", "address", "--label", "savings"])).trim().to_owned();
    let send = ["wallet", "send", "--node", &node.url];
    let first = coin(0);
    let paid = home
        .json(&[&send[..], &[&to, "1.5", &to, "2", "--coin", &first, "--fee-rate", "1.5"], &bank].concat());
    text(run(&["wallet", "label", "set", "tx", paid["txid"].as_str().unwrap(), "=rent, \"June\""]));
    let csv = text(run(&["wallet", "history", "--csv", "--offline"]));
    let line = csv.lines().last().unwrap();
    assert!(csv.starts_with("time,height,kind,") && line.ends_with("\"'=rent, \"\"June\"\"\""), "{csv}");
    let labels = text(run(&["wallet", "label", "export"]));
    assert!(labels.contains("\"savings\"") && labels.contains("\"spendable\":false"), "{labels}");
    fs::write(home.path("labels.jsonl"), labels).unwrap();
    let path = home.path("labels.jsonl");
    assert_eq!(
        home.json(&[&["wallet", "label", "import", path.to_str().unwrap()][..], &bank].concat())["labels"],
        3
    );
    let balance = home.json(&[&["wallet", "balance", "--node", &node.url][..], &bank].concat());
    assert_eq!(
        (&balance["frozen_maxwell"], &balance["earned_maxwell"]),
        (&json!(1_000_000_000_000u64), &json!(0))
    );
    refused(&run(&[&send[..], &["--coin", &coin(1), "--max", &to]].concat()), 1, "is frozen");
    refused(
        &run(&[&send[..], &["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1"]].concat()),
        1,
        "a Bitcoin address",
    );
    refused(&run(&[&send[..], &[&to]].concat()), 2, "no amount");
    let most = home.json(&[&send[..], &["--max", &to], &bank].concat());
    assert_eq!(most["amount_maxwell"].as_u64().unwrap(), 0, "all of it went to the wallet itself");
    let next = home.path("next");
    fs::write(&next, "another\n").unwrap();
    text(run(&["wallet", "passphrase", "--new-passphrase-file", next.to_str().unwrap()]));
    refused(&run(&["wallet", "coins", "--offline"]), 1, "the passphrase is wrong");
}

/// Makes wallets a, b, c, two of which sign for the three, and one that only watches; the address of all.
fn owners(home: &Home) -> String {
    let (mut phrases, mut keys) = (Vec::new(), Vec::new());
    for name in ["a", "b", "c"] {
        let made = home.json(&["wallet", "create", "--name", name, "--no-passphrase", "--words", "15"]);
        phrases.push(made["phrase"].as_str().unwrap().to_owned());
        let key = home.json(&["wallet", "xpub", "--name", name, "--path", "48'/297'/0'/2'"]);
        keys.push(format!("{}/<0;1>/*", key["key"].as_str().unwrap()));
    }
    let descriptor = format!("wsh(sortedmulti(2,{}))", keys.join(","));
    for (name, phrase) in ["sa", "sb"].iter().zip(&phrases) {
        let args = ["wallet", "create", "--name", name, "--no-passphrase", "--with-phrase", "--descriptor"];
        assert!(typed(home, &[&args[..], &[&descriptor]].concat(), &format!("{phrase}\n")).status.success());
    }
    let watcher =
        home.json(&["wallet", "create", "--name", "w", "--no-passphrase", "--descriptor", &descriptor]);
    assert_eq!(watcher["watch_only"], true);
    let address = watcher["address"].as_str().unwrap();
    assert_eq!(home.json(&["wallet", "address", "--name", "sb"])["address"], address);
    address.to_owned()
}

/// Two owners of three, who send each other files, until a block has their payment; and one who only watches, and
/// checks the chain without trust.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_owners_pay_together_and_a_watcher_trusts_nobody() {
    let (home, farm) = (Home::new(), Farm::new(8));
    let node = home.node("node", &[]);
    let restore = ["wallet", "restore", "--name", "bank", "--no-passphrase"];
    assert!(typed(&home, &restore, &format!("{FAUCET_PHRASE}\n")).status.success());
    let address = owners(&home);
    home.json(&["wallet", "send", "--name", "bank", "--node", &node.url, &address, "100"]);
    nodes::mine(&farm, &node.client, &payout(1)).await;
    let signed = signed_by_two(&home, &node);

    let send = ["wallet", "psbt", "send", "--name", "w", "--node", &node.url, &signed];
    let sent = home.json(&send);
    assert!(home.json(&["wallet", "balance", "--name", "w", "--node", &node.url])["total_maxwell"] == 0);
    nodes::mine(&farm, &node.client, &payout(1)).await;
    let history = home.json(&["wallet", "history", "--name", "w", "--node", &node.url]);
    let heights: Vec<&Value> = history.as_array().unwrap().iter().map(|entry| &entry["height"]).collect();
    assert_eq!((heights, &history[1]["txid"]), (vec![&json!(1), &json!(2)], &sent["txid"]));
    refused(&home.command(&send).output().unwrap(), 1, "the node refuses");

    let synced = home.json(&["wallet", "sync", "--name", "w", "--node", &node.url]);
    assert_eq!((&synced["height"], &synced["filters"]), (&json!(2), &json!(2)));
    refused(
        &home.command(&["wallet", "sync", "--name", "w", "--node", "http://127.0.0.1:1"]).output().unwrap(),
        1,
        "no honest node is left",
    );
}

/// All that the owners have goes back to the bank: drawn up by the watcher, signed by two, and put together.
fn signed_by_two(home: &Home, node: &Node) -> String {
    let coins = home.json(&["wallet", "coins", "--name", "w", "--node", &node.url]);
    let coin = coins[0]["coin"].as_str().unwrap();
    let bank = home.json(&["wallet", "address", "--name", "bank"])["address"].as_str().unwrap().to_owned();
    let file = |name: &str| home.path(name).to_str().unwrap().to_owned();
    let draft = file("draft.psbt");
    let args =
        ["wallet", "psbt", "create", "--name", "w", "--node", &node.url, "--coin", coin, "--max", &bank];
    home.json(&[&args[..], &["--out", &draft]].concat());
    let shown = home.json(&["wallet", "psbt", "show", &draft]);
    assert_eq!((&shown["complete"], &shown["inputs"][0]["signatures"]), (&json!(false), &json!(0)));
    let [one, two] = ["sa", "sb"].map(|name| {
        let signed = file(&format!("{name}.psbt"));
        home.json(&["wallet", "psbt", "sign", "--name", name, &draft, "--out", &signed]);
        signed
    });
    refused(&home.command(&["wallet", "psbt", "finalize", &one]).output().unwrap(), 1, "lack signatures");
    refused(
        &home.command(&["wallet", "psbt", "sign", "--name", "w", &draft]).output().unwrap(),
        1,
        "watches only",
    );
    let both = home.json(&["wallet", "psbt", "combine", &one, &two])["psbt"].as_str().unwrap().to_owned();
    assert_eq!(home.json(&["wallet", "psbt", "show", &both])["complete"], true);
    let done = home.json(&["wallet", "psbt", "finalize", "--extract", &both]);
    assert_eq!(done["txid"], shown["txid"]);
    both
}

#[test]
fn wallets_are_served() {
    let home = Home::new();
    let node = home.node("node", &[]);
    let restore = ["wallet", "restore", "--name", "bank", "--no-passphrase"];
    assert!(typed(&home, &restore, &format!("{FAUCET_PHRASE}\n")).status.success());
    let args = ["wallet", "serve", "--json", "--name", "bank", "--node", &node.url, "--rpc", "127.0.0.1:0"];
    let mut served = home.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(served.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = serde_json::from_str::<Value>(&line).unwrap()["rpc"].as_str().unwrap().to_owned();
    assert_eq!(home.json(&["rpc", "--node", &url, "getbalance"]), 1_000_000.0);
    assert_eq!(home.json(&["rpc", "--node", &format!("{url}/wallet/bank"), "getblockcount"]), 0);
    refused(
        &home.command(&["rpc", "--node", &url, "sendtoaddress", "x", "1"]).output().unwrap(),
        1,
        "code -5",
    );
    served.kill().unwrap();
    served.wait().unwrap();
}

/// As a tool that knows one URL expects it of Bitcoin Core; and a node that was not told to has no wallet calls.
#[test]
fn a_node_serves_wallets_by_its_own_rpc_if_it_is_told_to() {
    let home = Home::new();
    let restore = ["wallet", "restore", "--name", "bank", "--no-passphrase"];
    assert!(typed(&home, &restore, &format!("{FAUCET_PHRASE}\n")).status.success());
    let dir = home.path("node");
    let run =
        ["node", "run", "--json", "--rpc", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir"];
    let run = [&run[..], &[dir.to_str().unwrap(), "--wallet"]].concat();
    refused(&home.command(&[&run[..], &["nobody"]].concat()).output().unwrap(), 1, "mass wallet create");
    let mut node = Process::start(home.command(&[&run[..], &["bank"]].concat()), &home.path("node.out"));
    let started = node.event(|event| event["event"] == "started");
    let url = started["rpc"].as_str().unwrap();
    assert_eq!(home.json(&["rpc", "--node", url, "getbalance"]), 1_000_000.0);
    assert_eq!(home.json(&["rpc", "--node", url, "getblockcount"]), 0);
    home.json(&["rpc", "--node", url, "createwallet", "other"]);
    assert_eq!(home.json(&["rpc", "--node", url, "listwallets"]), json!(["bank", "other"]));
    assert_eq!(home.json(&["rpc", "--node", &format!("{url}/wallet/other"), "getbalance"]), 0.0);
    let help = text(home.command(&["rpc", "--node", url, "help"]).output().unwrap());
    assert!(
        help.split("== Wallet ==").nth(1).is_some_and(|calls| calls.contains("\nsendtoaddress\n")),
        "{help}"
    );
    assert_eq!(node.interrupt(), Some(0));

    let plain = home.node("plain", &[]);
    let call = home.command(&["rpc", "--node", &plain.url, "getbalance"]).output().unwrap();
    refused(&call, 1, "code -32601");
}
