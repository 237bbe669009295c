//! Every method that is named as in Bitcoin Core, asked of a running node with real blocks and payments: `corepc-types`
//! parses each reply in the shape of Bitcoin Core 31, and refusals have Bitcoin Core's codes.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod nodes;
mod payer;

use std::{cell::RefCell, collections::BTreeSet, net::SocketAddr, time::Duration};

use bitcoin::{
    Block, OutPoint, Transaction,
    consensus::encode::{deserialize_hex, serialize_hex},
};
use corepc_types::v31;
use farm::Farm;
use jsonrpsee::{
    core::client::{Subscription, SubscriptionClientT as _},
    rpc_params,
    ws_client::{HeaderMap, WsClientBuilder},
};
use mass_ledger_utxo::address;
use mass_node::NodeHandle;
use mass_rpc::{BitcoinClient, ClientError, HttpClient, Login, PoolClient as _, call};
use nodes::{mine, node, node_with, reaches};
use payer::{Payer, coin_of, payout};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A node with payments in its chain and one that waits.
struct World {
    handle: NodeHandle,
    rpc: HttpClient,
    farm: Farm,
    payer: Payer,
    /// Paid in block 1, spent in the same block, paid in block 2, and waiting.
    payments: Vec<Transaction>,
    asked: RefCell<BTreeSet<String>>,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
        let (farm, dir) = (payer.farm(7), tempfile::tempdir().unwrap());
        let all = ["tx", "address", "spend"].map(str::to_owned).to_vec();
        let (handle, rpc) = node_with(&farm.spec, dir.path(), vec![], Some(all)).await;
        let genesis = rpc.get_block_hash(serde_json::from_value(json!(0)).unwrap()).await.unwrap();
        let faucet = rpc.get_block(genesis, None).await.unwrap()["tx"][1].as_str().unwrap().parse().unwrap();
        let mut coin = (OutPoint { txid: faucet, vout: 0 }, 1_000_000);
        let mut payments = Vec::new();
        for is_last_of_block in [false, true, true, false] {
            let tx = payer.pay(coin.0, coin.1, 1_000);
            coin = (coin_of(&tx), coin.1 - 1_000);
            rpc.send_raw_transaction(serialize_hex(&tx), None, None).await.unwrap();
            payments.push(tx);
            if is_last_of_block {
                mine(&farm, &rpc, &payout(1)).await;
            }
        }
        let asked = RefCell::default();
        Self { handle, rpc, farm, payer, payments, asked, _dir: dir }
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.asked.borrow_mut().insert(method.to_owned());
        let Value::Array(params) = params else { panic!("{params}") };
        call(&self.rpc, method, params).await
    }

    /// The reply, which has to be of this shape.
    async fn shape<T: DeserializeOwned>(&self, method: &str, params: Value) -> T {
        let reply = self.ask(method, params.clone()).await;
        let reply = reply.unwrap_or_else(|error| panic!("{method} {params}: {error}"));
        serde_json::from_value(reply.clone())
            .unwrap_or_else(|error| panic!("{method} {params}: {error}: {reply:#}"))
    }

    /// The code of the refusal.
    async fn code(&self, method: &str, params: Value) -> i32 {
        match self.ask(method, params.clone()).await {
            Err(ClientError::Call(error)) => error.code(),
            other => panic!("{method} {params}: {other:?}"),
        }
    }

    async fn hash(&self, height: u32) -> String {
        self.shape::<v31::GetBlockHash>("getblockhash", json!([height])).await.0
    }

    fn txids(&self) -> Vec<String> {
        self.payments.iter().map(|tx| tx.compute_txid().to_string()).collect()
    }
}

async fn check_blocks(world: &World) {
    let txids = world.txids();
    let best: v31::GetBestBlockHash = world.shape("getbestblockhash", json!([])).await;
    let tip = best.0;
    assert_eq!(world.shape::<v31::GetBlockCount>("getblockcount", json!([])).await.0, 2);
    assert_eq!(tip, world.hash(2).await);
    let info: v31::GetBlockchainInfo = world.shape("getblockchaininfo", json!([])).await;
    let info = info.into_model().unwrap();
    assert_eq!((info.blocks, info.headers, info.chain), (2, 2, bitcoin::Network::Regtest));
    assert!(info.size_on_disk > 0 && !info.initial_block_download);
    assert_eq!((info.pruned, info.prune_height), (false, None));
    assert_eq!(world.code("pruneblockchain", json!([1])).await, -1, "the node keeps all blocks");

    let raw: v31::GetBlockVerboseZero = world.shape("getblock", json!([world.hash(1).await, 0])).await;
    let block: Block = raw.block().unwrap();
    assert_eq!(block.block_hash().to_string(), world.hash(1).await);
    assert!(block.check_merkle_root() && block.check_witness_commitment());
    assert_eq!(block.txdata[1..], world.payments[..2]);
    let one: v31::GetBlockVerboseOne = world.shape("getblock", json!([world.hash(1).await])).await;
    assert_eq!(one.tx[1..], txids[..2]);
    let one = one.into_model().unwrap();
    assert_eq!((one.weight, one.size as usize), (block.weight(), block.total_size()));
    assert_eq!(one.next_block_hash.unwrap().to_string(), tip);
    let two: v31::GetBlockVerboseTwo = world.shape("getblock", json!([tip, 2])).await;
    assert_eq!((two.tx[0].fee, two.tx[1].fee), (None, Some(0.0001)));
    let three: v31::GetBlockVerboseThree = world.shape("getblock", json!([world.hash(1).await, 3])).await;
    let prevout = |tx: usize| three.tx[tx].transaction.inputs[0].prevout.clone();
    assert_eq!(prevout(0), None);
    assert_eq!(
        [1, 2].map(|tx| (prevout(tx).unwrap().value, prevout(tx).unwrap().height)),
        [(0.1, 0), (0.0999, 1)]
    );

    let header: v31::GetBlockHeader = world.shape("getblockheader", json!([tip, false])).await;
    assert_eq!(header.into_model().unwrap().0.block_hash().to_string(), tip);
    let verbose: v31::GetBlockHeaderVerbose = world.shape("getblockheader", json!([tip])).await;
    let verbose = verbose.into_model().unwrap();
    assert_eq!((verbose.confirmations, verbose.n_tx, verbose.next_block_hash), (1, 2, None));
    let tips: v31::GetChainTips = world.shape("getchaintips", json!([])).await;
    assert_eq!(tips.0.len(), 1);
    let difficulty: v31::GetDifficulty = world.shape("getdifficulty", json!([])).await;
    assert_eq!(difficulty.0, verbose.difficulty);
    let mining: v31::GetMiningInfo = world.shape("getmininginfo", json!([])).await;
    assert_eq!((mining.blocks, mining.pooled_tx, mining.next.height), (2, 1, 3));
    assert!(mining.network_hash_ps > 0.0);
    let indexes: v31::GetIndexInfo = world.shape("getindexinfo", json!([])).await;
    assert!(
        indexes.0.len() == 3 && indexes.0.values().all(|index| index.synced && index.best_block_height == 2)
    );
    let stats: v31::GetBlockStats = world.shape("getblockstats", json!([1])).await;
    assert_eq!((stats.txs, stats.total_fee, stats.inputs), (Some(3), Some(2_000), Some(2)));
    assert_eq!(world.ask("getblockstats", json!([tip, ["txs"]])).await.unwrap(), json!({ "txs": 2 }));
}

async fn check_transactions(world: &World) {
    let (txids, tip) = (world.txids(), world.hash(2).await);
    // In the pool, in the chain by the index, in a block that is named.
    for (tx, block) in [(3, None), (0, None), (2, Some(&tip))] {
        let raw: v31::GetRawTransaction =
            world.shape("getrawtransaction", json!([txids[tx], 0, block])).await;
        assert_eq!(raw.transaction().unwrap(), world.payments[tx]);
        let verbose: v31::GetRawTransactionVerbose =
            world.shape("getrawtransaction", json!([txids[tx], true, block])).await;
        let confirmations = [Some(2), None, Some(1), None][tx];
        assert_eq!((verbose.confirmations, verbose.in_active_chain), (confirmations, block.map(|_| true)));
        let full: v31::GetRawTransactionVerboseWithPrevout =
            world.shape("getrawtransaction", json!([txids[tx], 2, block])).await;
        assert!(full.inputs[0].prevout.is_some());
    }
    let hex = serialize_hex(&world.payments[0]);
    let decoded: v31::DecodeRawTransaction = world.shape("decoderawtransaction", json!([hex])).await;
    assert_eq!(serde_json::to_value(&decoded).unwrap()["txid"], json!(txids[0]));
    let script = Payer::script(&world.payer.key);
    let _: v31::DecodeScript = world.shape("decodescript", json!([script.to_hex_string()])).await;
    let wrapped: v31::DecodeScript = world.shape("decodescript", json!(["51"])).await;
    assert!(wrapped.segwit.unwrap().address.unwrap().starts_with("dms1"));
    let own = address::encode("dms", &script).unwrap();
    let outputs = json!([{ own.clone(): 0.05 }, { "data": "abcd" }]);
    let inputs = json!([{ "txid": txids[2], "vout": 0 }]);
    let made: v31::CreateRawTransaction =
        world.shape("createrawtransaction", json!([inputs, outputs, 7])).await;
    let made: Transaction = deserialize_hex(&made.0).unwrap();
    assert_eq!((made.output[0].value.to_sat(), made.lock_time.to_consensus_u32()), (500_000, 7));
    assert!(made.is_explicitly_rbf() && made.output[1].script_pubkey.is_op_return());
    let valid: v31::ValidateAddress = world.shape("validateaddress", json!([own])).await;
    assert_eq!((valid.is_valid, valid.script_pubkey), (true, script.to_hex_string()));
    let foreign = world.ask("validateaddress", json!(["ms1nonsense"])).await.unwrap();
    assert_eq!(foreign["isvalid"], false);

    let proof: String = world.shape("gettxoutproof", json!([[txids[0], txids[1]]])).await;
    let proven: v31::VerifyTxOutProof = world.shape("verifytxoutproof", json!([proof])).await;
    assert_eq!(proven.0, txids[..2]);
    let named: String = world.shape("gettxoutproof", json!([[txids[2]], tip])).await;
    let mut forged = hex::decode(&named).unwrap();
    forged[36] ^= 1;
    assert_eq!(world.ask("verifytxoutproof", json!([hex::encode(forged)])).await.unwrap(), json!([]));
}

async fn check_coins(world: &World) {
    let txids = world.txids();
    let waiting: v31::GetTxOut = world.shape("gettxout", json!([txids[3], 0])).await;
    assert_eq!((waiting.value, waiting.confirmations), (0.0996, 0));
    assert!(world.ask("gettxout", json!([txids[2], 0])).await.unwrap().is_null(), "spent in the pool");
    let unspent: v31::GetTxOut = world.shape("gettxout", json!([txids[2], 0, false])).await;
    assert_eq!((unspent.value, unspent.confirmations), (0.0997, 1));
    let set: v31::GetTxOutSetInfo = world.shape("gettxoutsetinfo", json!([])).await;
    assert_eq!((set.tx_outs, set.total_amount, set.transactions), (1, 0.0997, Some(1)));
    let hashed: v31::GetTxOutSetInfo = world.shape("gettxoutsetinfo", json!(["muhash"])).await;
    assert_eq!(hashed.muhash.unwrap().len(), 64);

    let script = Payer::script(&world.payer.key);
    let own = address::encode("dms", &script).unwrap();
    let key = world.payer.key.public_key(&bitcoin::secp256k1::Secp256k1::new());
    for object in [
        json!(format!("addr({own})")),
        json!(format!("raw({})", script.to_hex_string())),
        json!(format!("wpkh({key})")),
        json!({ "desc": format!("wpkh({key})"), "range": [0, 3] }),
    ] {
        let found: v31::ScanTxOutSetStart = world.shape("scantxoutset", json!(["start", [object]])).await;
        assert!(found.success);
        assert_eq!((found.unspents.len(), found.total_amount, found.unspents[0].amount), (1, 0.0997, 0.0997));
    }
    assert!(world.ask("scantxoutset", json!(["status"])).await.unwrap().is_null());
    let aborted: v31::ScanTxOutSetAbort = world.shape("scantxoutset", json!(["abort"])).await;
    assert!(!aborted.0);
}

async fn check_network(world: &World) {
    let dir = tempfile::tempdir().unwrap();
    let (other, rpc) = node(&world.farm.spec, dir.path(), vec![]).await;
    let at = world.handle.listen[0].to_string();
    rpc.add_node(at.clone(), "add".to_owned()).await.unwrap();
    reaches(&rpc, world.rpc.get_best_block_hash().await.unwrap()).await;
    let peers: v31::GetPeerInfo = world.shape("getpeerinfo", json!([])).await;
    assert_eq!(peers.0.len(), 1);
    assert!(peers.0[0].inbound && peers.0[0].bytes_sent > 500 && peers.0[0].bytes_received > 0);
    assert!(peers.0[0].connection_time > 1_600_000_000 && peers.0[0].subversion.starts_with("/mass/"));
    let count: v31::GetConnectionCount = world.shape("getconnectioncount", json!([])).await;
    let info: v31::GetNetworkInfo = world.shape("getnetworkinfo", json!([])).await;
    assert_eq!((count.0, info.connections_in, info.network_active), (1, 1, true));
    assert_eq!(info.local_addresses.len(), 1);
    let totals: v31::GetNetTotals = world.shape("getnettotals", json!([])).await;
    assert!(totals.total_bytes_sent >= peers.0[0].bytes_sent);

    let nobody = "192.0.2.1:29330";
    for (method, params, code) in [
        ("addnode", json!([nobody, "remove"]), Some(-24)),
        ("addnode", json!([nobody, "add"]), None),
        ("addnode", json!([nobody, "add"]), Some(-23)),
        ("addnode", json!([nobody, "hold"]), Some(-1)),
        ("addnode", json!([nobody, "remove"]), None),
        ("addnode", json!([nobody, "onetry"]), None),
        ("disconnectnode", json!([nobody]), Some(-29)),
        ("disconnectnode", json!([nobody, 3]), Some(-32602)),
        ("getaddednodeinfo", json!([nobody]), Some(-24)),
        ("setban", json!(["192.0.2.1", "add", 60]), None),
        ("setban", json!(["192.0.2.1", "add", "long"]), Some(-3)),
        ("setban", json!(["192.0.2.1", "add", -1]), Some(-8)),
        ("setban", json!(["nobody", "add"]), Some(-30)),
        ("setban", json!(["192.0.2.2", "remove"]), Some(-30)),
    ] {
        match code {
            Some(code) => assert_eq!(world.code(method, params.clone()).await, code, "{method} {params}"),
            None => assert!(world.ask(method, params).await.unwrap().is_null()),
        }
    }
    let bans: v31::ListBanned = world.shape("listbanned", json!([])).await;
    assert_eq!((bans.0.len(), bans.0[0].address.as_str()), (1, "192.0.2.1"));
    assert!(world.ask("clearbanned", json!([])).await.unwrap().is_null());
    assert_eq!(world.ask("listbanned", json!([])).await.unwrap(), json!([]));
    let added: v31::GetAddedNodeInfo = world.shape("getaddednodeinfo", json!([])).await;
    assert!(added.0.is_empty());
    // Who was added comes back; who was removed does not.
    rpc.add_node(at, "remove".to_owned()).await.unwrap();
    assert!(world.ask("disconnectnode", json!(["", peers.0[0].id])).await.unwrap().is_null());
    let gone = async {
        while world.rpc.get_connection_count().await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the peer goes");
    let inactive: v31::SetNetworkActive = world.shape("setnetworkactive", json!([false])).await;
    assert!(!inactive.0);
    other.stop().await.unwrap();
}

async fn check_errors(world: &World) {
    let (txids, zero) = (world.txids(), "00".repeat(32));
    let tip = world.hash(2).await;
    let own = payout(1);
    let cases = [
        ("getblockhash", json!([3]), -8),
        ("getblockhash", json!([-1]), -8),
        ("getblockhash", json!(["1"]), -3),
        ("getblockhash", json!([]), -1),
        ("getblockhash", json!([0, 0]), -1),
        ("getblock", json!([zero]), -5),
        ("getblock", json!(["ab"]), -8),
        ("getblock", json!(["zz".repeat(32)]), -8),
        ("getblock", json!([tip, "1"]), -3),
        ("getblockheader", json!([zero]), -5),
        ("getblockstats", json!([99]), -8),
        ("getblockstats", json!([tip, ["nothing"]]), -8),
        ("getrawtransaction", json!([zero]), -5),
        ("getrawtransaction", json!([txids[0], 0, zero]), -5),
        ("getrawtransaction", json!([txids[0], 0, tip]), -5),
        ("getrawtransaction", json!(["ab"]), -8),
        ("decoderawtransaction", json!(["zz"]), -22),
        ("decoderawtransaction", json!(["00"]), -22),
        ("decoderawtransaction", json!([1]), -3),
        ("decodescript", json!(["zz"]), -8),
        ("createrawtransaction", json!([[{ "txid": zero, "vout": -1 }], {}]), -8),
        ("createrawtransaction", json!([[{ "txid": zero }], {}]), -8),
        ("createrawtransaction", json!([[{ "vout": 0 }], {}]), -8),
        ("createrawtransaction", json!([[{ "txid": "ab", "vout": 0 }], {}]), -8),
        ("createrawtransaction", json!([[], { "nobody": 1 }]), -5),
        ("createrawtransaction", json!([[], { own.clone(): -1 }]), -3),
        ("createrawtransaction", json!([[], { own.clone(): 0.000_000_01 }]), -3),
        ("createrawtransaction", json!([[], { own.clone(): 1e12 }]), -3),
        ("createrawtransaction", json!([[], { own.clone(): "a" }]), -3),
        ("createrawtransaction", json!([[], [{ own.clone(): 1 }, { own.clone(): 1 }]]), -8),
        ("createrawtransaction", json!([[], { "data": "zz" }]), -8),
        ("createrawtransaction", json!([[], {}, -1]), -8),
        ("createrawtransaction", json!([[], {}, 0, true, 9]), -8),
        ("gettxout", json!([zero]), -1),
        ("gettxoutsetinfo", json!(["md5"]), -8),
        ("gettxoutsetinfo", json!(["muhash", 1]), -8),
        ("gettxoutproof", json!([[]]), -8),
        ("gettxoutproof", json!([[txids[0], txids[0]]]), -8),
        ("gettxoutproof", json!([[zero]]), -5),
        ("gettxoutproof", json!([[txids[0], txids[2]]]), -5),
        ("gettxoutproof", json!([[txids[0]], zero]), -5),
        ("verifytxoutproof", json!(["zz"]), -8),
        ("verifytxoutproof", json!(["00"]), -1),
        ("scantxoutset", json!(["stop"]), -8),
        ("scantxoutset", json!(["start"]), -1),
        ("scantxoutset", json!(["start", [5]]), -8),
        ("scantxoutset", json!(["start", ["nonsense(5)"]]), -5),
        ("scantxoutset", json!(["start", ["addr(nobody)"]]), -5),
        ("scantxoutset", json!(["start", ["raw(00)#aaaaaaaa"]]), -5),
        ("scantxoutset", json!(["start", [{ "desc": "raw(00)", "range": 1 }, { "range": 1 }]]), -8),
        (
            "scantxoutset",
            json!(["start", [{ "desc": format!("wpkh({})", world.payer.key.public_key(&bitcoin::secp256k1::Secp256k1::new())), "range": [0, 2_000_000] }]]),
            -8,
        ),
        ("sendrawtransaction", json!(["00"]), -22),
        ("addnode", json!(["nowhere", "add"]), -5),
        ("nothing", json!([]), -32601),
    ];
    for (method, params, code) in cases {
        assert_eq!(world.code(method, params.clone()).await, code, "{method} {params}");
    }
}

/// The methods whose replies `tests/pool.rs` looks at.
const POOL: [&str; 11] = [
    "estimatesmartfee",
    "getmempoolancestors",
    "getmempooldescendants",
    "getmempoolentry",
    "getmempoolinfo",
    "getprioritisedtransactions",
    "getrawmempool",
    "prioritisetransaction",
    "savemempool",
    "submitpackage",
    "testmempoolaccept",
];

async fn check_control(world: &World) {
    let up = world.ask("uptime", json!([])).await.unwrap();
    assert!(up.as_u64().is_some_and(|seconds| seconds < 600));
    let info: v31::GetRpcInfo = world.shape("getrpcinfo", json!([])).await;
    assert_eq!(info.active_commands[0].method, "getrpcinfo");
    let one = world.ask("help", json!(["getblockhash"])).await.unwrap();
    assert!(one.as_str().unwrap().starts_with("getblockhash height\n\n"));
    assert_eq!(world.ask("help", json!(["nothing"])).await.unwrap(), "help: unknown command: nothing");
    let all = world.ask("help", json!([])).await.unwrap();
    let (ours, table): (Vec<&str>, Vec<&str>) =
        all.as_str().unwrap().split("\n\n").partition(|group| group.starts_with("== Mass"));
    assert!(ours[0].contains("mass_work") && ours[0].contains("mass_subscribeBlocks"));
    let names =
        table.iter().flat_map(|group| group.lines().skip(1)).filter_map(|line| line.split(' ').next());
    let is_asked = |name: &str| name == "stop" || POOL.contains(&name) || world.asked.borrow().contains(name);
    let missing: Vec<&str> = names.filter(|name| !is_asked(name)).collect();
    assert!(missing.is_empty(), "nobody looks at the replies of {missing:?}");
}

/// The body of an answer, as it is sent.
async fn sent(rpc: SocketAddr, body: &Value) -> String {
    let mut stream = TcpStream::connect(rpc).await.unwrap();
    let (body, login) = (body.to_string(), Login::Port(rpc.port()).header().unwrap());
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {rpc}\r\nauthorization: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        login.to_str().unwrap(),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// One maxwell used to be told as `1e-7`, which is right and which no script expects of Bitcoin Core.
async fn check_decimals(world: &World) {
    let outputs = json!([{ payout(9): 0.000_000_1 }, { payout(8): "1024.50000000" }]);
    let tx = world.ask("createrawtransaction", json!([[], outputs])).await.unwrap();
    let params = json!([tx, true]);
    let new = json!({ "jsonrpc": "2.0", "id": 1, "method": "decoderawtransaction", "params": params });
    let old = json!({ "id": 1, "method": "decoderawtransaction", "params": params });
    for body in [new.clone(), old.clone(), json!([new]), json!([old])] {
        let answer = sent(world.handle.rpc, &body).await;
        assert!(answer.contains("\"value\":0.00000010}"), "{answer}");
        assert!(answer.contains("\"value\":1024.50000000}"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_have_the_shapes_and_refusals_the_codes_of_bitcoin_core() {
    let world = World::new().await;
    check_blocks(&world).await;
    check_transactions(&world).await;
    check_coins(&world).await;
    check_errors(&world).await;
    check_network(&world).await;
    check_control(&world).await;
    check_decimals(&world).await;
    // By name, as some clients call.
    let mut named = jsonrpsee::core::params::ObjectParams::new();
    named.insert("verbosity", 0).unwrap();
    named.insert("blockhash", world.hash(0).await).unwrap();
    let block: String =
        jsonrpsee::core::client::ClientT::request(&world.rpc, "getblock", named).await.unwrap();
    assert!(deserialize_hex::<Block>(&block).is_ok(), "the genesis block too");
    assert_eq!(world.ask("stop", json!([])).await.unwrap(), "MASS node stopping");
    world.handle.stopped().await;
    world.handle.stop().await.unwrap();
}

async fn next(subscription: &mut Subscription<Value>) -> Value {
    let next = tokio::time::timeout(Duration::from_secs(30), subscription.next()).await;
    next.expect("news come").expect("the subscription lives").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_hear_of_blocks_and_transactions_as_they_come_and_go() {
    let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
    let (farm, rival, dir) = (payer.farm(7), payer.farm(8), tempfile::tempdir().unwrap());
    let (one, rpc) = node(&farm.spec, &dir.path().join("one"), vec![]).await;
    let (two, rpc_two) = node(&farm.spec, &dir.path().join("two"), vec![]).await;
    let login = Login::Port(one.rpc.port()).header().unwrap();
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, login)]);
    let client =
        WsClientBuilder::default().set_headers(headers).build(format!("ws://{}", one.rpc)).await.unwrap();
    let subscribe = async |what: &str| {
        let (method, end) = (format!("mass_subscribe{what}"), format!("mass_unsubscribe{what}"));
        client.subscribe::<Value, _>(&method, rpc_params![], &end).await.unwrap()
    };
    let (mut blocks, mut transactions) = (subscribe("Blocks").await, subscribe("Transactions").await);
    let genesis = rpc.get_best_block_hash().await.unwrap();
    let faucet = rpc.get_block(genesis, None).await.unwrap()["tx"][1].as_str().unwrap().parse().unwrap();
    let tx = payer.pay(OutPoint { txid: faucet, vout: 0 }, 1_000_000, 1_000);
    let txid = rpc.send_raw_transaction(serialize_hex(&tx), None, None).await.unwrap();
    assert_eq!(next(&mut transactions).await, json!({ "event": "entered", "txid": txid }));
    let first = mine(&farm, &rpc, &payout(1)).await.id();
    assert_eq!(next(&mut blocks).await, json!({ "event": "connected", "hash": first, "height": 1 }));
    assert_eq!(next(&mut transactions).await, json!({ "event": "left", "txid": txid }));

    // A heavier branch takes the block away, and the payment comes back.
    let mut branch = Vec::new();
    for _ in 0..2 {
        branch.push(mine(&rival, &rpc_two, &payout(2)).await.id());
    }
    rpc.add_node(two.listen[0].to_string(), "add".to_owned()).await.unwrap();
    reaches(&rpc, branch[1]).await;
    assert_eq!(next(&mut blocks).await, json!({ "event": "disconnected", "hash": first, "height": 1 }));
    for (id, height) in branch.into_iter().zip(1..) {
        assert_eq!(next(&mut blocks).await, json!({ "event": "connected", "hash": id, "height": height }));
    }
    assert_eq!(next(&mut transactions).await, json!({ "event": "entered", "txid": txid }));
    one.stop().await.unwrap();
    assert!(transactions.next().await.is_none_or(|last| last.is_err()), "the node's end ends a subscription");
    two.stop().await.unwrap();
}
