//! Wallets over RPC: each answer is read by the types that other programs have for Bitcoin Core's, and each refusal
//! carries its code.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
#[path = "../../node/tests/nodes/mod.rs"]
mod nodes;

use std::{path::Path, sync::Arc};

use corepc_types::{v17, v19, v21, v22, v23, v24, v25, v26, v30, v31};
use farm::Farm;
use mass_rpc::{
    ClientError, HttpClient, ServerHandle,
    metrics::{Page, Render},
};
use mass_wallet::{DEV_FAUCET_PHRASE, Wallet, serve::WalletServer};
use nodes::{mine, node};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

struct Client(HttpClient);

impl Client {
    async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> T {
        let Value::Array(params) = params else { panic!("parameters are a list") };
        let answer = mass_rpc::call(&self.0, method, params).await;
        let answer = answer.unwrap_or_else(|error| panic!("{method}: {error}"));
        serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{method}: {error}: {answer:#}"))
    }

    async fn refusal(&self, method: &str, params: Value) -> i32 {
        let Value::Array(params) = params else { panic!("parameters are a list") };
        match mass_rpc::call(&self.0, method, params).await {
            Err(ClientError::Call(refusal)) => refusal.code(),
            other => panic!("{method}: {other:?}"),
        }
    }
}

async fn serve(server: &WalletServer) -> (ServerHandle, Client, String) {
    let metrics: Render = Arc::new(|| Box::pin(async { Page::default() }));
    let (address, handle) = mass_rpc::serve(
        "127.0.0.1:0".parse().unwrap(),
        server.methods(),
        metrics,
        mass_rpc::Access::default(),
    )
    .await
    .unwrap();
    let url = format!("http://{address}");
    (handle, Client(mass_rpc::client(&url).unwrap()), url)
}

async fn faucet(farm: &Farm, dir: &Path, node: &HttpClient) -> WalletServer {
    let server = WalletServer::new(farm.spec.clone(), dir.to_owned(), node.clone());
    let wallet = Wallet::restore(&dir.join("faucet"), &farm.spec, DEV_FAUCET_PHRASE).unwrap();
    server.add("faucet".to_owned(), wallet).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_of_the_shape_of_bitcoin_core() {
    let farm = Farm::new(8);
    let home = tempfile::tempdir().unwrap();
    let (handle, rpc) = node(&farm.spec, &home.path().join("node"), vec![]).await;
    let server = faucet(&farm, &home.path().join("wallets"), &rpc).await;
    let (running, client, url) = serve(&server).await;

    let info: v31::GetWalletInfo = client.call("getwalletinfo", json!([])).await;
    assert_eq!((info.wallet_name.as_str(), info.private_keys_enabled), ("faucet", true));
    let balance: f64 = client.call("getbalance", json!([])).await;
    assert!((balance - 1_000_000.0).abs() < 1e-9);
    let balances: v26::GetBalances = client.call("getbalances", json!([])).await;
    assert!((balances.mine.trusted - balance).abs() < 1e-9);
    let v17::GetNewAddress(address) = client.call("getnewaddress", json!(["rent"])).await;
    assert!(address.starts_with("dms1"));
    let known: v22::GetAddressInfo = client.call("getaddressinfo", json!([address])).await;
    assert!(known.is_mine && known.labels == ["rent"]);
    let unspent: v24::ListUnspent = client.call("listunspent", json!([])).await;
    assert_eq!((unspent.0.len(), unspent.0[0].amount), (10, 100_000.0));

    let v17::SendToAddress(txid) = client.call("sendtoaddress", json!([address, 12.5, "to myself"])).await;
    let tx: v24::GetTransaction = client.call("gettransaction", json!([txid])).await;
    assert_eq!((tx.amount, tx.confirmations), (0.0, 0));
    assert!(tx.fee.unwrap() < 0.0 && !tx.details.is_empty());
    let list: v23::ListTransactions = client.call("listtransactions", json!(["*", 100])).await;
    assert!(list.0.iter().any(|entry| entry.txid == txid));
    let bumped: v17::BumpFee = client.call("bumpfee", json!([txid, { "fee_rate": 20 }])).await;
    assert!(bumped.fee > bumped.original_fee);
    mine(&farm, &rpc, &address).await;
    let tx: v24::GetTransaction = client.call("gettransaction", json!([bumped.txid])).await;
    assert_eq!((tx.confirmations, tx.block_height), (1, Some(1)));

    let funded: v17::WalletCreateFundedPsbt = client
        .call("walletcreatefundedpsbt", json!([[], [{ address.clone(): 1.25 }], 0, { "fee_rate": 3 }]))
        .await;
    assert!(funded.fee > 0.0 && funded.change_position >= 0);
    let decoded: v30::DecodePsbt = client.call("decodepsbt", json!([funded.psbt])).await;
    assert_eq!((decoded.fee, decoded.psbt_version), (Some(funded.fee), 0));
    let partly: v17::FinalizePsbt = client.call("finalizepsbt", json!([funded.psbt])).await;
    assert!(!partly.complete);
    let signed: v26::WalletProcessPsbt =
        client.call("walletprocesspsbt", json!([funded.psbt, true, "ALL", true, false])).await;
    assert!(signed.complete && signed.hex.is_none());
    let v17::CombinePsbt(combined) = client.call("combinepsbt", json!([[funded.psbt, signed.psbt]])).await;
    let done: v17::FinalizePsbt = client.call("finalizepsbt", json!([combined])).await;
    let sent: String = client.call("sendrawtransaction", json!([done.hex.unwrap()])).await;
    let tx: v24::GetTransaction = client.call("gettransaction", json!([sent])).await;
    assert_eq!(tx.confirmations, 0);
    // What the node answers is passed on as it is, and what it is asked by name as well.
    let named = json!({ "txid": sent }).to_string();
    let entry = mass_rpc::pass_on(&client.0, "getmempoolentry", Some(&named)).await.unwrap();
    let fee = format!("\"base\":{:.8}", funded.fee);
    assert!(entry.get().contains(&fee), "{entry} has no {fee}");

    watched(&client, &url, &address).await;
    running.stop().unwrap();
    handle.stop().await.unwrap();
}

/// Several wallets, of which one watches the coins of the other.
async fn watched(client: &Client, url: &str, address: &str) {
    let list: v25::ListDescriptors = client.call("listdescriptors", json!([])).await;
    assert_eq!(list.descriptors.len(), 2);
    // A wallet that watches the first one's coins.
    let _: v26::CreateWallet = client.call("createwallet", json!(["watch", true, true])).await;
    let v17::ListWallets(names) = client.call("listwallets", json!([])).await;
    assert_eq!(names, ["faucet", "watch"]);
    assert_eq!(client.refusal("getbalance", json!([])).await, -19, "several are loaded");
    let watch = Client(mass_rpc::client(&format!("{url}/wallet/watch")).unwrap());
    assert_eq!(watch.refusal("getbalance", json!([])).await, -4, "it is blank");
    let requests = list.descriptors.iter().map(
        |one| json!({ "desc": one.descriptor, "active": true, "internal": one.internal, "timestamp": "now" }),
    );
    let v21::ImportDescriptors(imported) =
        watch.call("importdescriptors", json!([requests.collect::<Value>()])).await;
    assert!(imported.iter().all(|one| one.success));
    let seen: f64 = watch.call("getbalance", json!([])).await;
    assert!(seen > 999_000.0);
    assert_eq!(watch.refusal("sendtoaddress", json!([address, 1])).await, -4, "it has no keys");
    let _: v26::UnloadWallet = client.call("unloadwallet", json!(["watch"])).await;
    let _: v26::LoadWallet = client.call("loadwallet", json!(["watch"])).await;
    let filter: v19::GetBlockFilter = {
        let id: String = client.call("getblockhash", json!([1])).await;
        client.call("getblockfilter", json!([id, "basic"])).await
    };
    assert!(filter.filter.len() > 2 && filter.header.len() == 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_carry_the_codes_of_bitcoin_core() {
    let farm = Farm::new(1);
    let home = tempfile::tempdir().unwrap();
    let (handle, rpc) = node(&farm.spec, &home.path().join("node"), vec![]).await;
    let server = faucet(&farm, home.path(), &rpc).await;
    let (running, client, _) = serve(&server).await;
    let v17::GetNewAddress(to) = client.call("getnewaddress", json!([])).await;
    let bitcoin = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    for (method, params, code) in [
        ("sendtoaddress", json!([to, 2_000_000]), -6),
        ("sendtoaddress", json!([bitcoin, 1]), -5),
        ("sendtoaddress", json!([to, -1]), -3),
        ("sendtoaddress", json!([to, 0.000_000_01]), -3),
        ("sendtoaddress", json!([to, 0.000_000_1]), -8),
        ("sendtoaddress", json!([to, true]), -3),
        ("getaddressinfo", json!(["nonsense"]), -5),
        ("getnewaddress", json!(["", "legacy"]), -5),
        ("gettransaction", json!(["00".repeat(32)]), -5),
        ("gettransaction", json!(["00"]), -8),
        ("decodepsbt", json!(["nonsense"]), -22),
        ("combinepsbt", json!([[]]), -8),
        ("walletprocesspsbt", json!([""]), -22),
        ("walletpassphrase", json!(["x", 10]), -15),
        ("walletlock", json!([]), -15),
        ("loadwallet", json!(["nowhere"]), -18),
        ("loadwallet", json!(["../faucet"]), -8),
        ("loadwallet", json!(["faucet"]), -35),
        ("createwallet", json!(["faucet"]), -35),
        ("unloadwallet", json!(["nowhere"]), -18),
    ] {
        assert_eq!(client.refusal(method, params.clone()).await, code, "{method} {params}");
    }
    let _: String = client.call("encryptwallet", json!(["secret"])).await;
    assert_eq!(client.refusal("sendtoaddress", json!([to, 1])).await, -13);
    assert_eq!(client.refusal("walletpassphrase", json!(["wrong", 10])).await, -14);
    assert_eq!(client.refusal("encryptwallet", json!(["again"])).await, -15);
    let _: Value = client.call("walletpassphrase", json!(["secret", 100])).await;
    let v17::SendToAddress(_) = client.call("sendtoaddress", json!([to, 1])).await;
    let _: Value = client.call("walletlock", json!([])).await;
    assert_eq!(client.refusal("sendtoaddress", json!([to, 1])).await, -13);
    let _: Value = client.call("walletpassphrase", json!(["secret", 0])).await;
    assert_eq!(client.refusal("sendtoaddress", json!([to, 1])).await, -13, "the time is over");
    let _: Value = client.call("unloadwallet", json!(["faucet"])).await;
    assert_eq!(client.refusal("getbalance", json!([])).await, -18);
    assert_eq!(client.refusal("loadwallet", json!(["faucet"])).await, -14);
    let _: v26::LoadWallet = client.call("loadwallet", json!(["faucet", null, "secret"])).await;
    assert_eq!(client.refusal("createwallet", json!(["faucet"])).await, -35);
    running.stop().unwrap();
    handle.stop().await.unwrap();
}
