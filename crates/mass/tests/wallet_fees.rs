//! Fees as an owner of coins minds them: a child that draws its parent along, and a rate that the node estimates, each
//! with the program, a node's process and real blocks.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
#[path = "../../node/tests/nodes/mod.rs"]
mod nodes;
mod processes;

use farm::Farm;
use mass_primitives::Amount;
use mass_rpc::{HttpClient, call};
use mass_wallet::{Coin, DEV_FAUCET_PHRASE, Payment, Value as Pays, Wallet, parse_fee_rate};
use processes::{Home, payout};
use serde_json::Value;

/// The faucet's wallet in a directory.
fn faucet(home: &Home, farm: &Farm, name: &str) -> Wallet {
    Wallet::restore(&home.path(name), &farm.spec, DEV_FAUCET_PHRASE).unwrap()
}

fn refused(home: &Home, args: &[&str], reason: &str) {
    let output = home.command(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(reason), "{text}");
}

/// What the node's pool knows of a payment.
async fn waiting(node: &HttpClient, sent: &Value) -> Value {
    call(node, "getmempoolentry", vec![sent["txid"].clone()]).await.unwrap()
}

/// A fee in MASS for so many vbytes, in maxwell per vbyte.
fn rate(fee: &Value, vsize: &Value) -> f64 {
    fee.as_f64().unwrap() * 1e7 / vsize.as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_pays_for_a_parent_that_waits() {
    let (home, farm) = (Home::new(), Farm::new(8));
    let node = home.node("node", &[]);
    drop(faucet(&home, &farm, "bank"));
    let bank = home.path("bank");
    home.json(&["wallet", "create", "--no-passphrase"]);
    let to = home.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
    let send = ["wallet", "send", "--wallet", bank.to_str().unwrap(), "--node", &node.url];
    let parent = home.json(&[&send[..], &[&to, "20", "--fee-rate", "1"]].concat());
    let parent_id = parent["txid"].as_str().unwrap();

    let cpfp = ["wallet", "cpfp", parent_id, "--node", &node.url, "--fee-rate"];
    refused(&home, &[&cpfp[..], &["1"]].concat(), "it has that rate already");
    let child = home.json(&[&cpfp[..], &["20"]].concat());
    assert_eq!(child["amount_maxwell"], 0, "it pays its own wallet");
    let entry = waiting(&node.client, &child).await;
    assert_eq!((&entry["ancestorcount"], &entry["depends"][0]), (&2.into(), &parent["txid"]));
    let together = rate(&entry["fees"]["ancestor"], &entry["ancestorsize"]);
    assert!((20.0..20.5).contains(&together), "{together}");
    let alone = waiting(&node.client, &parent).await;
    let alone = rate(&alone["fees"]["base"], &alone["vsize"]);
    assert!((1.0..1.1).contains(&alone), "{alone}");

    nodes::mine(&farm, &node.client, &payout(1)).await;
    let history = home.json(&["wallet", "history", "--node", &node.url]);
    let heights: Vec<&Value> = history.as_array().unwrap().iter().map(|entry| &entry["height"]).collect();
    assert_eq!(heights, [1, 1], "one block has both");
    refused(&home, &[&cpfp[..], &["50"]].concat(), "is in a block");
}

/// Rate at which others pay, in maxwell per vbyte, and how many do in each block.
const USUAL: &str = "7";
const PAYMENTS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_is_met_at_the_rate_that_others_pay() {
    let (home, farm) = (Home::new(), Farm::new(8));
    let node = home.node("node", &[]);
    let mut others = faucet(&home, &farm, "others");
    let to = others.new_address().unwrap();
    home.json(&["wallet", "create", "--no-passphrase"]);
    let own = home.json(&["wallet", "address"])["address"].as_str().unwrap().to_owned();
    others.sync(&node.client).await.unwrap();
    others.send(&node.client, &own, Amount::new(100_000_000), parse_fee_rate("1").unwrap()).await.unwrap();
    nodes::mine(&farm, &node.client, &payout(1)).await;

    let send = ["wallet", "send", "--node", &node.url, &to, "1", "--target", "2"];
    let output = home.command(&[&send[..], &["--json"]].concat()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("too little to estimate"), "{output:?}");
    let usual = waiting(&node.client, &serde_json::from_slice(&output.stdout).unwrap()).await;
    let usual = rate(&usual["fees"]["base"], &usual["vsize"]);
    assert!((2.0..2.2).contains(&usual), "the usual rate, for want of a better one: {usual}");

    for _ in 0..6 {
        others.sync(&node.client).await.unwrap();
        let is_large = |coin: &Coin| coin.height.is_some() && coin.amount > Amount::new(1_000_000_000);
        let coins: Vec<_> = others.coins().into_iter().filter(is_large).collect();
        for coin in coins.iter().take(PAYMENTS) {
            let exact = Pays::Exact(Amount::new(10_000_000));
            let payment = Payment::new(&to, exact, parse_fee_rate(USUAL).unwrap());
            let payment = Payment { coins: vec![coin.outpoint], ..payment };
            others.pay(&node.client, &payment).await.unwrap();
        }
        nodes::mine(&farm, &node.client, &payout(1)).await;
    }
    let paid = waiting(&node.client, &home.json(&send)).await;
    let paid = rate(&paid["fees"]["base"], &paid["vsize"]);
    assert!((7.0..7.7).contains(&paid), "{paid}");
}
