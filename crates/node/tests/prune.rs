//! Nodes that prune (decision 0025): what goes and what stays, reorganisations, restarts, what RPC and peers are told, and new nodes
//! that find peers with and without the blocks they need.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod nodes;
mod payer;

use std::{fs, path::Path, time::Duration};

use corepc_types::v31;
use farm::Farm;
use mass_consensus::spec::Checkpoint;
use mass_ledger_utxo::UtxoLedger;
use mass_network::Multiaddr;
use mass_node::{
    ChainError, NodeConfig, NodeError, NodeHandle, Pruning,
    check::{check, check_file},
    export::{Archive, ExportError, database},
    start,
};
use mass_primitives::{BlockId, Height};
use mass_rpc::{
    BansClient as _, BitcoinClient as _, ClientError, HealthClient as _, HttpClient, MassClient as _,
    NodeFindingKind, call, client,
};
use nodes::reaches;
use payer::{Chain, NOW, mine, open, payout, tip};
use serde_json::{Value, json};

/// As little as may be.
const LITTLE: Pruning = Pruning { target_bytes: Some(1), keep_blocks: 20 };

/// Blocks on a chain, as peers send them.
fn grow(farm: &Farm, chain: &mut Chain, count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|_| mine(farm, chain, 1)).collect()
}

fn feed(chain: &mut Chain, blocks: &[Vec<u8>]) -> Result<(), ChainError> {
    blocks.iter().try_for_each(|block| chain.take_block(block, NOW).map(drop))
}

/// Prunes to the end; height below which blocks are gone, in a chain that a check finds good.
fn pruned(chain: &Chain, pruning: &Pruning) -> Option<u32> {
    while chain.prune(pruning).unwrap() {}
    let found = check(chain.store(), chain.spec(), chain.ledger(), &mut |_, _, _| {}).unwrap();
    assert!(found.is_good(), "{:?}", found.report.faults);
    let below = found.report.pruned_below();
    assert_eq!(below, chain.store().pruned_below().unwrap());
    below.map(Height::get)
}

#[test]
fn a_pruned_chain_goes_on_and_reorganises_and_ends_where_no_way_leads_back() {
    let (farm, other, dir) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]), tempfile::tempdir().unwrap());
    let path = |name: &str| dir.path().join(name);
    let mut one = open(&farm, &path("one"));
    let blocks = grow(&farm, &mut one, 60);
    let [mut near, mut far] = ["near", "far"].map(|name| open(&other, &path(name)));
    feed(&mut near, &blocks[..45]).unwrap();
    feed(&mut far, &blocks[..35]).unwrap();
    // An index that lacks the blocks holds them.
    one.keep_indexes(Some(&["tx".to_owned()])).unwrap();
    assert_eq!(pruned(&one, &LITTLE), None);
    while one.build_indexes().unwrap().is_some() {}
    assert_eq!(pruned(&one, &Pruning { target_bytes: None, ..LITTLE }), None);
    assert_eq!(pruned(&one, &Pruning { target_bytes: Some(1 << 30), ..LITTLE }), None);
    assert_eq!(pruned(&one, &LITTLE), Some(40));
    let own = one.store().active_id(Height::new(50)).unwrap().unwrap();
    // Within reach, through a restart.
    drop(one);
    let mut one = open(&farm, &path("one"));
    let branch = grow(&other, &mut near, 18);
    feed(&mut one, &branch).unwrap();
    assert_eq!((tip(&one), one.height(), one.engine().reorgs()), (tip(&near), Height::new(63), 1));
    assert_eq!(pruned(&one, &LITTLE), Some(43));
    // Beyond.
    let branch = grow(&other, &mut far, 35);
    let error = feed(&mut one, &branch).unwrap_err();
    let is_told =
        matches!(&error, ChainError::NoWayBack { height, from } if (height.get(), from.get()) == (42, 43));
    assert!(is_told && error.is_fatal(), "{error}");
    drop(one);
    // Who does not want that branch goes on without, on the best of what is left.
    let checkpoint = Checkpoint { height: Height::new(50), id: own };
    let spec = farm.spec.clone().with_checkpoints(&[checkpoint]).unwrap();
    let mut one = Chain::open(&path("one"), spec, None).unwrap();
    one.tick(mass_primitives::Slot::new(1 << 30), NOW).unwrap();
    assert_eq!(one.store().active_id(Height::new(50)).unwrap(), Some(own));
    assert_eq!(one.height(), Height::new(60));
    mine(&farm, &mut one, 1);
}

/// Blocks in a data directory, made without waiting for slots; the tip.
fn grown(farm: &Farm, dir: &Path, count: u32) -> BlockId {
    fs::create_dir_all(dir).unwrap();
    let mut chain = Chain::open(&database(dir), farm.spec.clone(), None).unwrap();
    chain.keep_indexes(None).unwrap();
    chain.set_bulk(true).unwrap();
    while chain.height() < Height::new(count) {
        let expected = chain.expectation(mass_primitives::Slot::ZERO).unwrap();
        let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
        let unix = farm.spec.slot_time(claim.slot).unwrap().into();
        chain.tick(claim.slot, unix).unwrap();
        let header = chain.prepare(claim, &payout(1)).unwrap();
        let seal = farm.sign(header, claim).seal;
        chain.submit(&header.id(), seal.vrf_proof, seal.signature, unix).unwrap();
    }
    tip(&chain)
}

fn config(farm: &Farm, dir: &Path, prune: Option<Pruning>) -> NodeConfig {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    NodeConfig { listen, prune, snapshot_depth: 16, ..NodeConfig::new(farm.spec.clone(), dir.to_path_buf()) }
}

async fn begin(config: NodeConfig) -> (NodeHandle, HttpClient) {
    let handle = start::<UtxoLedger>(config).await.unwrap();
    let client = client(&format!("http://{}", handle.rpc)).unwrap();
    (handle, client)
}

async fn info(rpc: &HttpClient) -> Value {
    call(rpc, "getblockchaininfo", vec![]).await.unwrap()
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

async fn refusal(rpc: &HttpClient, method: &str, params: Value) -> (i32, String) {
    let Value::Array(params) = params else { panic!("{params}") };
    match call(rpc, method, params).await {
        Err(ClientError::Call(error)) => (error.code(), error.message().to_owned()),
        other => panic!("{method}: {other:?}"),
    }
}

async fn finds(rpc: &HttpClient, kind: NodeFindingKind) -> bool {
    let health = rpc.health().await.unwrap();
    health.findings.iter().any(|finding| finding.kind == kind)
}

/// Blocks of the chain, and the first that a pruning node keeps: a snapshot may lie 16 blocks deep and a period of 64 more.
const BLOCKS: u32 = 200;
const KEPT_FROM: u32 = BLOCKS - 80;

/// An archive node and one that has pruned, of the same chain.
struct World {
    farm: Farm,
    dir: tempfile::TempDir,
    tip: BlockId,
    archive: (NodeHandle, HttpClient),
    pruned: (NodeHandle, HttpClient),
}

impl World {
    async fn new() -> Self {
        let (farm, dir) = (Farm::easy(8, [8; 32]), tempfile::tempdir().unwrap());
        let [old, small] = ["old", "small"].map(|name| dir.path().join(name));
        let tip = grown(&farm, &old, BLOCKS);
        fs::create_dir_all(&small).unwrap();
        fs::copy(database(&old), database(&small)).unwrap();
        let archive = begin(config(&farm, &old, None)).await;
        let pruned = begin(config(&farm, &small, Some(LITTLE))).await;
        until("it prunes", async || info(&pruned.1).await["pruneheight"] == KEPT_FROM).await;
        Self { farm, dir, tip, archive, pruned }
    }

    /// A new node with these peers.
    fn config(&self, name: &str, peers: &[Multiaddr], prune: Option<Pruning>) -> NodeConfig {
        let dir = self.dir.path().join(name);
        NodeConfig { peers: peers.to_vec(), ..config(&self.farm, &dir, prune) }
    }

    async fn end(self) {
        for (handle, rpc) in [self.archive, self.pruned] {
            assert!(rpc.list_banned().await.unwrap().is_empty(), "nobody has done wrong");
            handle.stop().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_a_pruned_node_is_told_and_it_does_not_become_another_by_a_restart() {
    let world = World::new().await;
    tells(&world).await;
    says_what_is_gone(&world).await;
    prunes_by_hand(&world).await;
    let (farm, small) = (Farm::easy(8, [8; 32]), world.dir.path().join("small"));
    let World { dir, archive, pruned, .. } = world;
    archive.0.stop().await.unwrap();
    pruned.0.stop().await.unwrap();
    restarts(&farm, &small).await;
    drop(dir);
}

async fn tells(world: &World) {
    let got: v31::GetBlockchainInfo = serde_json::from_value(info(&world.pruned.1).await).unwrap();
    let got = got.into_model().unwrap();
    assert_eq!((got.pruned, got.prune_height, got.automatic_pruning), (true, Some(KEPT_FROM), Some(true)));
    assert_eq!(got.prune_target_size, Some(1));
    let archive = info(&world.archive.1).await;
    assert!(archive["pruned"] == false && archive["pruneheight"].is_null(), "{archive}");
    assert_eq!(archive["statehash"], info(&world.pruned.1).await["statehash"], "the state is what it was");
    let below = world.pruned.1.health().await.unwrap().pruned_below;
    assert_eq!(below, Some(Height::new(KEPT_FROM)));
}

async fn says_what_is_gone(world: &World) {
    let (rpc, gone) = (&world.pruned.1, (-1, "Block not available (pruned data)".to_owned()));
    let id = async |height| world.archive.1.get_block_hash(Height::new(height)).await.unwrap();
    let old = id(5).await;
    assert_eq!(refusal(rpc, "getblock", json!([old])).await, gone);
    assert_eq!(refusal(rpc, "getblockstats", json!([5])).await, gone);
    let block = world.archive.1.get_block(old, None).await.unwrap();
    assert_eq!(refusal(rpc, "getrawtransaction", json!([block["tx"][0]])).await, gone);
    assert_eq!(refusal(rpc, "getrawtransaction", json!([block["tx"][0], 1, old])).await, gone);
    assert_eq!(rpc.get_block_header(old, None).await.unwrap()["height"], 5);
    let blocks = rpc.blocks(Height::new(5), 1).await;
    assert!(matches!(&blocks, Err(ClientError::Call(error)) if error.message() == gone.1), "{blocks:?}");
    for height in [0, KEPT_FROM, BLOCKS] {
        assert_eq!(rpc.get_block(id(height).await, None).await.unwrap()["height"], height);
    }
}

/// No more goes than may, and nothing on a node that keeps all.
async fn prunes_by_hand(world: &World) {
    let rpc = &world.pruned.1;
    let last = call(rpc, "pruneblockchain", vec![json!(BLOCKS)]).await.unwrap();
    let last: v31::PruneBlockchain = serde_json::from_value(last).unwrap();
    assert_eq!(last.0, i64::from(KEPT_FROM) - 1);
    assert_eq!(refusal(rpc, "pruneblockchain", json!([BLOCKS + 1])).await.0, -8);
    assert_eq!(refusal(rpc, "pruneblockchain", json!([-1])).await.0, -8);
    assert_eq!(refusal(&world.archive.1, "pruneblockchain", json!([1])).await.0, -1);
}

async fn restarts(farm: &Farm, dir: &Path) {
    let refused = async |config| match start::<UtxoLedger>(config).await {
        Err(NodeError::Chain(_, error)) => error,
        other => panic!("{:?}", other.map(|node| node.rpc)),
    };
    let error = refused(config(farm, dir, None)).await;
    assert!(matches!(error, ChainError::WasPruned(below) if below.get() == KEPT_FROM), "{error}");
    let more = ["tx", "address"].map(str::to_owned).to_vec();
    let error = refused(NodeConfig { indexes: Some(more), ..config(farm, dir, Some(LITTLE)) }).await;
    assert!(matches!(error, ChainError::PrunedIndex { name: "address", .. }), "{error}");
    let checked = check_file::<UtxoLedger>(&database(dir), &farm.spec, &mut |_, _, _| {}).unwrap();
    assert!(checked.is_good(), "{:?}", checked.report.faults);
    let stored = Archive::open(dir, &farm.spec).unwrap();
    assert_eq!(stored.first().unwrap().get(), KEPT_FROM, "so that no file is begun from below");
    let block = |height| stored.block(Height::new(height));
    let gone = block(KEPT_FROM - 1);
    assert!(matches!(gone, Err(ExportError::NotHere { from, .. }) if from.get() == KEPT_FROM), "{gone:?}");
    assert!(block(KEPT_FROM).unwrap().is_some());
    drop(stored);
    // By a time, on a node that prunes by hand alone: what is older than two hours before may go, as far as it may.
    let manual = Pruning { target_bytes: None, ..LITTLE };
    let (node, rpc) = begin(config(farm, dir, Some(manual))).await;
    let tip = rpc.get_best_block_hash().await.unwrap();
    let time = rpc.get_block_header(tip, None).await.unwrap()["time"].clone();
    assert_eq!(call(&rpc, "pruneblockchain", vec![time]).await.unwrap(), KEPT_FROM - 1);
    let info = info(&rpc).await;
    assert!(info["automatic_pruning"] == false && info["prune_target_size"].is_null(), "{info}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_gets_old_blocks_from_who_has_them_and_says_so_if_nobody_does() {
    let world = World::new().await;
    let small = world.pruned.0.listen.clone();
    let (node, rpc) = begin(world.config("new", &small, Some(LITTLE))).await;
    until("it says what it lacks", async || finds(&rpc, NodeFindingKind::NoBlocks).await).await;
    assert_eq!(rpc.status().await.unwrap().height, Height::ZERO);
    rpc.add_node(world.archive.0.listen[0].to_string(), "add".to_owned()).await.unwrap();
    reaches(&rpc, world.tip).await;
    assert!(!finds(&rpc, NodeFindingKind::NoBlocks).await);
    until("it has pruned behind it", async || info(&rpc).await["pruneheight"] == KEPT_FROM).await;
    node.stop().await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_began_with_a_snapshot_validates_what_was_before_and_prunes_it() {
    let world = World::new().await;
    let small = world.pruned.0.listen.clone();
    let snapshots = world.dir.path().join("small/snapshots");
    until("a snapshot is written", async || {
        let entries = fs::read_dir(&snapshots).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.path().extension().is_none())
    })
    .await;
    let begins = NodeConfig { snapshot: true, ..world.config("new", &small, Some(LITTLE)) };
    let (node, rpc) = begin(begins).await;
    reaches(&rpc, world.tip).await;
    until("it says what it lacks", async || finds(&rpc, NodeFindingKind::NoHistory).await).await;
    let before = info(&rpc).await;
    assert!(before["snapshot"]["height"].is_u64() && before["pruned"] == true, "{before}");
    rpc.add_node(world.archive.0.listen[0].to_string(), "add".to_owned()).await.unwrap();
    until("what was before is validated", async || info(&rpc).await["snapshot"].is_null()).await;
    until("and pruned", async || info(&rpc).await["pruneheight"] == KEPT_FROM).await;
    assert_eq!(info(&rpc).await["statehash"], info(&world.archive.1).await["statehash"]);
    let made = nodes::mine(&world.farm, &rpc, &payout(2)).await.id();
    for other in [&world.archive.1, &world.pruned.1] {
        reaches(other, made).await;
    }
    node.stop().await.unwrap();
    world.end().await;
}
