//! The Electrum and Esplora servers of a real node, spoken to in bytes.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod nodes;
mod payer;

use std::{net::SocketAddr, time::Duration};

use bitcoin::{
    ScriptBuf, Transaction,
    consensus::encode::serialize_hex,
    hashes::{Hash as _, sha256},
};
use farm::Farm;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{FaceArgs, Faces, NodeConfig, NodeHandle, start_asked};
use mass_rpc::{HttpClient, PoolClient as _, client};
use payer::{Payer, payout};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A node with both servers, and somebody with coins.
struct Place {
    farm: Farm,
    payer: Payer,
    client: HttpClient,
    faces: Faces,
    node: NodeHandle,
    _dir: tempfile::TempDir,
}

impl Place {
    async fn start() -> Self {
        let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
        let (farm, dir) = (payer.farm(7), tempfile::tempdir().unwrap());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let args = FaceArgs {
            electrum: Some(any),
            esplora: Some(any),
            esplora_origin: Some("https://wallet.example".parse().unwrap()),
            esplora_genesis: Some("11".repeat(32).parse().unwrap()),
        };
        let mut config = NodeConfig::new(farm.spec.clone(), dir.path().to_path_buf());
        args.prepare(&mut config).unwrap();
        let (node, queries) = start_asked::<UtxoLedger>(config).await.unwrap();
        let faces = args.start(queries).await.unwrap();
        let client = client(&format!("http://{}", node.rpc)).unwrap();
        Self { farm, payer, client, faces, node, _dir: dir }
    }

    fn listens(&self, name: &str) -> SocketAddr {
        self.faces.listen.iter().find(|(known, _)| *known == name).unwrap().1
    }

    async fn electrum(&self) -> Electrum {
        let stream = TcpStream::connect(self.listens("electrum")).await.unwrap();
        Electrum { stream: BufReader::new(stream), id: 0, heard: Vec::new() }
    }

    async fn mine(&self) -> String {
        nodes::mine(&self.farm, &self.client, &payout(1)).await.id().to_string()
    }

    /// A GET or POST to the Esplora server: the head and the body.
    async fn http(&self, method: &str, path: &str, body: &str) -> (String, Vec<u8>) {
        self.http_of(method, path, body.len(), body).await
    }

    /// A request that says that its body has `length` bytes.
    async fn http_of(&self, method: &str, path: &str, length: usize, body: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.listens("esplora")).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}",
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let split = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        (String::from_utf8(answer[..split].to_vec()).unwrap().to_lowercase(), answer[split + 4..].to_vec())
    }

    /// A GET: the status and the text.
    async fn get(&self, path: &str) -> (u16, String) {
        let (head, body) = self.http("GET", path, "").await;
        (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
    }

    async fn json(&self, path: &str) -> Value {
        let (status, text) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn stop(self) {
        drop(self.faces);
        self.node.stop().await.unwrap();
    }
}

/// A client of the Electrum server.
struct Electrum {
    stream: BufReader<TcpStream>,
    id: u64,
    heard: Vec<Value>,
}

impl Electrum {
    async fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line)).await.expect("an answer comes");
        (read.unwrap_or(0) > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    async fn say(&mut self, text: &str) {
        // The server may have hung up already.
        let _ = self.stream.get_mut().write_all(format!("{text}\n").as_bytes()).await;
    }

    /// The answer to a call; notifications that come before it are kept.
    async fn answer(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        self.say(&json!({ "id": self.id, "method": method, "params": params }).to_string()).await;
        loop {
            let line = self.line().await.expect("the server answers");
            if line["id"] == self.id {
                return line;
            }
            self.heard.push(line);
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    async fn code(&mut self, method: &str, params: Value) -> Value {
        self.answer(method, params).await["error"]["code"].clone()
    }

    /// The parameters of the next notification of a method.
    async fn hear(&mut self, method: &str) -> Value {
        loop {
            let heard = self.heard.iter().position(|line| line["method"] == method);
            if let Some(found) = heard {
                return self.heard.remove(found)["params"].clone();
            }
            let line = self.line().await.expect("the server tells");
            self.heard.push(line);
        }
    }
}

fn script_hash(script: &ScriptBuf) -> [u8; 32] {
    sha256::Hash::hash(script.as_bytes()).to_byte_array()
}

fn reversed(hash: [u8; 32]) -> String {
    let mut bytes = hash;
    bytes.reverse();
    hex::encode(bytes)
}

/// The status of a history, as the protocol's text has it.
fn status(history: &[(&Transaction, i64)]) -> String {
    let text: String =
        history.iter().map(|(tx, height)| format!("{}:{height}:", tx.compute_txid())).collect();
    hex::encode(sha256::Hash::hash(text.as_bytes()).to_byte_array())
}

/// A history of several pages, read from page to page as clients do: each transaction once, the newest first.
async fn pages_go_to_the_end(place: &Place, address: &str, last: &Transaction) {
    let (mut tx, mut amount, mut sent) = (last.clone(), 999_000, Vec::new());
    for _ in 0..3 {
        for _ in 0..20 {
            tx = place.payer.pay(payer::coin_of(&tx), amount, 1_000);
            amount -= 1_000;
            place.client.send_raw_transaction(serialize_hex(&tx), None, None).await.unwrap();
            sent.push(tx.compute_txid().to_string());
        }
        let block = place.mine().await;
        let wait = async { while place.get("/blocks/tip/hash").await.1 != block {} };
        timeout(PATIENCE, wait).await.unwrap();
    }
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    let mut page = place.json(&format!("/address/{address}/txs/chain")).await;
    while let Some(last) = page.as_array().unwrap().last() {
        sizes.push(page.as_array().unwrap().len());
        let after = last["txid"].as_str().unwrap().to_owned();
        seen.extend(page.as_array().unwrap().iter().map(|tx| tx["txid"].as_str().unwrap().to_owned()));
        page = place.json(&format!("/address/{address}/txs/chain/{after}")).await;
    }
    assert_eq!(sizes, [25, 25, 12]);
    sent.reverse();
    assert_eq!(seen[..60], sent);
    let nobody = place.json(&format!("/address/{address}/txs/chain/{}", "00".repeat(32))).await;
    assert_eq!(nobody, json!([]), "what is not in the chain is followed by nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_electrum_wallet_is_told_what_happens() {
    let place = Place::start().await;
    let (payer, script) = (&place.payer, Payer::script(&place.payer.key));
    let genesis: Value = place.json("/blocks").await[0].clone();
    let faucet = place.json(&format!("/block/{}/txids", genesis["id"].as_str().unwrap())).await[1].clone();
    let coin = bitcoin::OutPoint { txid: faucet.as_str().unwrap().parse().unwrap(), vout: 0 };
    let first = payer.pay(coin, 1_000_000, 1_000);
    let second = payer.pay(payer::coin_of(&first), 999_000, 2_000);
    let hash = reversed(script_hash(&script));

    let mut one = place.electrum().await;
    assert_eq!(one.call("server.version", json!(["test", ["1.4", "1.6"]])).await[1], "1.4.2");
    assert_eq!(one.call("server.features", json!([])).await["genesis_hash"], genesis["id"]);
    assert_eq!(one.call("blockchain.headers.subscribe", json!([])).await["height"], 0);
    assert_eq!(one.call("blockchain.scripthash.get_balance", json!([hash])).await["confirmed"], 1_000_000);
    let known = one.call("blockchain.scripthash.subscribe", json!([hash])).await;
    let txid = one.call("blockchain.transaction.broadcast", json!([serialize_hex(&first)])).await;
    assert_eq!(txid, json!(first.compute_txid()));
    one.call("blockchain.transaction.broadcast", json!([serialize_hex(&second)])).await;
    // Who sent it sees it at once; who watches is told, perhaps of both in one.
    let waiting = one.call("blockchain.scripthash.get_mempool", json!([hash])).await;
    let expected =
        |tx: &Transaction, height, fee| json!({ "tx_hash": tx.compute_txid(), "height": height, "fee": fee });
    assert_eq!(waiting, json!([expected(&first, 0, 1_000), expected(&second, -1, 2_000)]));
    assert_eq!(one.call("blockchain.scripthash.get_balance", json!([hash])).await["unconfirmed"], -3_000);
    let unspent = one.call("blockchain.scripthash.listunspent", json!([hash])).await;
    assert_eq!(
        unspent,
        json!([{ "tx_hash": second.compute_txid(), "tx_pos": 0, "height": 0, "value": 997_000 }])
    );
    let mut told = one.hear("blockchain.scripthash.subscribe").await;
    assert_ne!(told[1], known);
    let faucet_tx = one.call("blockchain.transaction.get", json!([faucet])).await;
    let faucet_tx: Transaction =
        bitcoin::consensus::encode::deserialize_hex(faucet_tx.as_str().unwrap()).unwrap();
    while told[1] != json!(status(&[(&faucet_tx, 0), (&first, 0), (&second, -1)])) {
        told = one.hear("blockchain.scripthash.subscribe").await;
    }

    let block = place.mine().await;
    assert_eq!(one.hear("blockchain.headers.subscribe").await[0]["height"], 1);
    let told = one.hear("blockchain.scripthash.subscribe").await;
    assert_eq!(told, json!([hash, status(&[(&faucet_tx, 0), (&first, 1), (&second, 1)])]));
    let proof = one.call("blockchain.transaction.get_merkle", json!([second.compute_txid(), 1])).await;
    assert_eq!((&proof["pos"], proof["merkle"].as_array().unwrap().len()), (&json!(2), 2));
    let found = one.call("blockchain.transaction.id_from_pos", json!([1, 2, true])).await;
    assert_eq!((&found["tx_hash"], &found["merkle"]), (&json!(second.compute_txid()), &proof["merkle"]));
    let verbose = one.call("blockchain.transaction.get", json!([first.compute_txid(), true])).await;
    assert_eq!((&verbose["blockhash"], &verbose["confirmations"]), (&json!(block), &json!(1)));
    let headers = one.call("blockchain.block.headers", json!([0, 10, 1])).await;
    let header = one.call("blockchain.block.header", json!([1, 1])).await;
    assert_eq!((&headers["count"], headers["hex"].as_str().unwrap().len()), (&json!(2), 320));
    assert_eq!((&headers["root"], &headers["branch"]), (&header["root"], &header["branch"]));
    assert!(one.call("blockchain.estimatefee", json!([2])).await.as_f64().unwrap() > 0.0);
    assert_eq!(one.call("mempool.get_fee_histogram", json!([])).await, json!([]));
    assert_eq!(one.call("blockchain.scripthash.unsubscribe", json!([hash])).await, true);
    assert_eq!(one.call("blockchain.scripthash.unsubscribe", json!([hash])).await, false);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_electrum_client_is_refused_or_dropped() {
    let place = Place::start().await;
    let mut one = place.electrum().await;
    assert_eq!(one.code("blockchain.nothing", json!([])).await, -32601);
    assert_eq!(one.code("blockchain.scripthash.get_history", json!(["00"])).await, 1);
    assert_eq!(one.code("blockchain.block.header", json!(["x"])).await, -32602);
    assert_eq!(one.code("blockchain.block.header", json!([9])).await, 1);
    assert_eq!(one.code("blockchain.block.header", json!([0, 9])).await, 1);
    assert_eq!(one.code("blockchain.transaction.get", json!(["11".repeat(32)])).await, 2);
    assert_eq!(one.code("blockchain.transaction.broadcast", json!(["00"])).await, 1);
    assert_eq!(one.code("blockchain.transaction.get_merkle", json!(["11".repeat(32), 0])).await, 1);
    one.say(r#"[{"id":1,"method":"server.ping"},{"id":2,"method":"x"},{"method":"server.ping"}]"#).await;
    let batch = one.line().await.unwrap();
    assert_eq!((batch.as_array().unwrap().len(), &batch[1]["error"]["code"]), (2, &json!(-32601)));
    one.say("{").await;
    assert_eq!(one.line().await.unwrap()["error"]["code"], -32700);

    let mut old = place.electrum().await;
    assert_eq!(old.code("server.version", json!(["old", "1.2"])).await, 1);
    assert_eq!(old.line().await, None, "who speaks no common version is dropped");
    let mut long = place.electrum().await;
    long.say(&"x".repeat(3 << 20)).await;
    assert_eq!(long.line().await, None, "a line without an end is not read for ever");
    assert_eq!(one.call("server.ping", json!([])).await, Value::Null, "and others are served");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn esplora_answers_in_its_own_words() {
    let place = Place::start().await;
    let (payer, script) = (&place.payer, Payer::script(&place.payer.key));
    assert_eq!(place.get("/block-height/0").await, (200, "11".repeat(32)), "as it was told to say");
    let genesis = place.get("/blocks/tip/hash").await.1;
    let faucet = place.get(&format!("/block/{genesis}/txid/1")).await.1;
    let coin = bitcoin::OutPoint { txid: faucet.parse().unwrap(), vout: 0 };
    let tx = payer.pay(coin, 1_000_000, 1_000);
    let txid = tx.compute_txid();
    let (head, body) = place.http("POST", "/tx", &serialize_hex(&tx)).await;
    assert!(
        head.contains(" 200 ") && head.contains("access-control-allow-origin: https://wallet.example"),
        "{head}"
    );
    assert_eq!(body, txid.to_string().as_bytes());
    let waiting = place.json(&format!("/tx/{txid}")).await;
    assert_eq!((&waiting["fee"], &waiting["status"]), (&json!(1_000), &json!({ "confirmed": false })));
    assert_eq!(waiting["vin"][0]["prevout"]["value"], 1_000_000);
    assert_eq!(place.json("/mempool").await["count"], 1);
    let hash = hex::encode(script_hash(&script));
    let stats = place.json(&format!("/scripthash/{hash}")).await;
    assert_eq!(
        stats["mempool_stats"],
        json!({ "tx_count": 1, "funded_txo_count": 1, "funded_txo_sum": 999_000,
        "spent_txo_count": 1, "spent_txo_sum": 1_000_000 })
    );

    let block = place.mine().await;
    let wait = async { while place.get("/blocks/tip/hash").await.1 != block {} };
    timeout(PATIENCE, wait).await.unwrap();
    let status = json!({ "confirmed": true, "block_height": 1, "block_hash": block,
        "block_time": place.json(&format!("/block/{block}")).await["timestamp"] });
    assert_eq!(place.json(&format!("/tx/{txid}/status")).await, status);
    let spend = place.json(&format!("/tx/{faucet}/outspend/0")).await;
    assert_eq!(spend, json!({ "spent": true, "txid": txid, "vin": 0, "status": status }));
    assert_eq!(place.json(&format!("/tx/{txid}/outspends")).await, json!([{ "spent": false }]));
    let address = mass_ledger_utxo::address::encode("dms", &script).unwrap();
    let coins = place.json(&format!("/address/{address}/utxo")).await;
    assert_eq!(coins, json!([{ "txid": txid, "vout": 0, "value": 999_000, "status": status }]));
    let history = place.json(&format!("/address/{address}/txs")).await;
    assert_eq!((&history[0]["txid"], &history[1]["txid"]), (&json!(txid), &json!(faucet)));
    let older = place.json(&format!("/address/{address}/txs/chain/{txid}")).await;
    assert_eq!((older.as_array().unwrap().len(), &older[0]["txid"]), (1, &json!(faucet)));
    assert_eq!(place.json(&format!("/block/{genesis}/status")).await["next_best"], json!(block));

    wrong_requests_are_named(&place, &block, &tx).await;
    pages_go_to_the_end(&place, &address, &tx).await;
    place.stop().await;
}

async fn wrong_requests_are_named(place: &Place, block: &str, tx: &Transaction) {
    for (path, expected) in [
        ("/block-height/2", (404, "Block not found")),
        ("/block-height/-1", (400, "Invalid number")),
        ("/block/00", (400, "Invalid hex string")),
        (&format!("/block/{}", "00".repeat(32)), (404, "Block not found")),
        (&format!("/block/{block}/txs/3"), (400, "start index must be a multiple of 25")),
        (&format!("/tx/{}", "00".repeat(32)), (404, "Transaction not found")),
        (&format!("/tx/{}/merkle-proof", "00".repeat(32)), (404, "Transaction not found or is unconfirmed")),
        ("/scripthash/zz", (400, "Invalid hex string")),
        ("/address-prefix/dms", (404, "endpoint does not exist \"/address-prefix/dms\"")),
    ] {
        assert_eq!(place.get(path).await, (expected.0, expected.1.to_owned()), "{path}");
    }
    let (head, body) = place.http("POST", "/tx", &serialize_hex(tx)).await;
    let text = String::from_utf8(body).unwrap();
    assert!(
        head.contains(" 400 ") && text.starts_with("sendrawtransaction RPC error: {\"code\":-"),
        "{head} {text}"
    );
    assert!(place.http("POST", "/tx", "zz").await.0.contains(" 400 "));
    assert!(place.http("POST", "/txs/package", "{}").await.0.contains(" 400 "));
    let (head, _) = place.http_of("POST", "/tx", 5 << 20, "").await;
    assert!(
        head.contains(" 413 "),
        "what says that it is too long is refused before any of it comes: {head}"
    );
}
