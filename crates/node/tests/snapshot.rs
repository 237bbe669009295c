//! A node that begins with a snapshot of its peers over real sockets: state, farming, restart, liars, and a chain whose
//! body lies about the state.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod liar;
mod nodes;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use farm::Farm;
use jsonrpsee::{core::client::ClientT as _, rpc_params};
use liar::{Liar, status};
use mass_consensus::{
    block::{Block, Decoded},
    header::SealClaim,
    ledger::{BlockContext, Carried, Ledger as _},
    spec::ChainSpec,
    state_sum::{StateEntry, StateSum},
};
use mass_ledger_utxo::{UtxoLedger, address};
use mass_network::{
    Multiaddr,
    wire::{Request, Response, StateOffer, StateRequest, StateResponse},
};
use mass_node::{
    Chain, ChainError, NodeConfig, NodeError, NodeHandle, Notice,
    check::check_file,
    export::{Archive, ExportError, database},
    rebuild::rebuild,
    start,
};
use mass_primitives::{BlockId, Decode as _, Encode as _, Height, Slot, StateHash, tag::double_sha256};
use mass_rpc::{BansClient, BitcoinClient, HttpClient, client};
use nodes::{mine, reaches};
use redb::{Database, ReadableTable as _, TableDefinition};
use serde_json::Value;

const PAYOUT: &str = "dms1qmw78m49ss7u4df4f3u7s6w6q8n02h6mkfn3z97";

/// A chain of so many blocks in a data directory, made without waiting for slots.
fn grow(farm: &Farm, dir: &Path, blocks: u32) -> BlockId {
    let mut chain = Chain::<UtxoLedger>::open(&database(dir), farm.spec.clone(), None).unwrap();
    chain.set_bulk(true).unwrap();
    for _ in 0..blocks {
        let expected = chain.expectation(Slot::ZERO).unwrap();
        let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
        let unix = farm.spec.slot_time(claim.slot).unwrap().into();
        chain.tick(claim.slot, unix).unwrap();
        let header = chain.prepare(claim, PAYOUT).unwrap();
        let seal = farm.sign(header, claim).seal;
        chain.submit(&header.id(), seal.vrf_proof, seal.signature, unix).unwrap();
    }
    *chain.engine().tip()
}

async fn begin(farm: &Farm, dir: &Path, peers: Vec<Multiaddr>, snapshot: bool) -> (NodeHandle, HttpClient) {
    let handle = start::<UtxoLedger>(NodeConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers,
        snapshot,
        snapshot_depth: 16,
        ..NodeConfig::new(farm.spec.clone(), dir.to_path_buf())
    })
    .await
    .unwrap();
    let client = client(&format!("http://{}", handle.rpc)).unwrap();
    (handle, client)
}

/// Waits until a node has written a snapshot; its directory.
async fn written(dir: &Path) -> std::path::PathBuf {
    let wait = async {
        loop {
            let entries = fs::read_dir(dir.join("snapshots")).into_iter().flatten().flatten();
            let mut done = entries.map(|entry| entry.path()).filter(|path| path.extension().is_none());
            if let Some(path) = done.next() {
                return path;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("a snapshot is written")
}

/// Height of the snapshot that a database began with, which a check finds good.
fn begins_with(farm: &Farm, dir: &Path) -> Option<Height> {
    let checked = check_file::<UtxoLedger>(&database(dir), &farm.spec, &mut |_, _, _| {}).unwrap();
    assert!(checked.is_good(), "{:?}", checked.report);
    let base = checked.report.base.map(|base| base.height);
    assert_eq!(checked.report.undo_from, base.map_or(Height::ZERO, |base| base.next().unwrap()));
    base
}

/// Height of the lowest block above genesis whose body is in a database.
fn lowest_body(farm: &Farm, dir: &Path) -> Height {
    let chain = Chain::<UtxoLedger>::open(&database(dir), farm.spec.clone(), None).unwrap();
    let has = |height: &u32| {
        let id = chain.store().active_id(Height::new(*height)).unwrap().unwrap();
        chain.store().body(&id).unwrap().is_some()
    };
    Height::new((1..=chain.height().get()).find(has).unwrap())
}

async fn info(rpc: &HttpClient) -> Value {
    rpc.request("getblockchaininfo", rpc_params![]).await.unwrap()
}

/// Waits until the blocks before the snapshot are validated.
async fn validated(rpc: &HttpClient) {
    let wait = async {
        while !info(rpc).await["snapshot"].is_null() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1_200), wait).await.expect("the history is validated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_begins_with_a_snapshot_and_farms_and_has_the_same_state() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let farm = Farm::easy(8, [8; 32]);
    let tip = grow(&farm, old.path(), 90);
    let (first, first_rpc) = begin(&farm, old.path(), vec![], false).await;
    assert!(
        written(old.path())
            .await
            .ends_with(format!("63-{}", first_rpc.get_block_hash(Height::new(63)).await.unwrap()))
    );
    // Somebody else has the file of the history, so that the node ends once it has the state.
    let history = new.path().join("history.redb");
    let held = Chain::<UtxoLedger>::open(&history, farm.spec.clone(), None).unwrap();
    let (second, _) = begin(&farm, new.path(), first.listen.clone(), true).await;
    second.stopped().await;
    second.stop().await.unwrap_err();
    drop(held);
    assert_eq!(begins_with(&farm, new.path()), Some(Height::new(63)));
    assert!(!new.path().join("snapshot-in").exists());
    let archive = Archive::open(new.path(), &farm.spec).unwrap();
    assert_eq!(archive.first().unwrap(), Height::new(64));
    let before = archive.block(Height::new(63));
    assert!(matches!(before, Err(ExportError::NotHere { from, .. }) if from.get() == 64), "{before:?}");
    drop(archive);
    // It goes on, farms, and gets what was before.
    let (second, second_rpc) = begin(&farm, new.path(), first.listen.clone(), true).await;
    reaches(&second_rpc, tip).await;
    let made = mine(&farm, &second_rpc, PAYOUT).await;
    reaches(&first_rpc, made.id()).await;
    validated(&second_rpc).await;
    second.stop().await.unwrap();
    assert_eq!(begins_with(&farm, new.path()), None);
    let (second, second_rpc) = begin(&farm, new.path(), first.listen.clone(), true).await;
    let made = mine(&farm, &first_rpc, PAYOUT).await;
    reaches(&second_rpc, made.id()).await;
    assert_eq!(info(&second_rpc).await["statehash"], info(&first_rpc).await["statehash"]);
    second.stop().await.unwrap();
    first.stop().await.unwrap();
    assert_eq!(lowest_body(&farm, new.path()), Height::new(1));
    assert!(!history.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lies_about_a_part_is_banned_and_the_chain_is_synced_all_the_same() {
    lies("0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lies_about_the_list_of_parts_is_banned_and_the_chain_is_synced_all_the_same() {
    lies("sums").await;
}

/// A peer whose snapshot has a false byte in this file.
async fn lies(file: &str) {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let farm = Farm::easy(8, [8; 32]);
    let tip = grow(&farm, old.path(), 90);
    let (liar, _) = begin(&farm, old.path(), vec![], false).await;
    let path = written(old.path()).await.join(file);
    liar.stop().await.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let (liar, _) = begin(&farm, old.path(), vec![], false).await;
    let (second, second_rpc) = begin(&farm, new.path(), liar.listen.clone(), true).await;
    let dropped = async {
        while second_rpc.list_banned().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), dropped).await.expect("the liar is banned");
    liar.stop().await.unwrap();
    // Somebody else has the blocks.
    let other = tempfile::tempdir().unwrap();
    fs::copy(database(old.path()), database(other.path())).unwrap();
    let (honest, _) = begin(&farm, other.path(), vec![], false).await;
    second_rpc.add_node(honest.listen[0].to_string(), "add".to_owned()).await.unwrap();
    reaches(&second_rpc, tip).await;
    second.stop().await.unwrap();
    honest.stop().await.unwrap();
}

/// What began with a snapshot has its headers after it was put together anew, and begins with a snapshot again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_began_with_a_snapshot_is_put_together_anew_and_begins_with_one_again() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let farm = Farm::easy(8, [8; 32]);
    let tip = grow(&farm, old.path(), 90);
    let (first, _) = begin(&farm, old.path(), vec![], false).await;
    written(old.path()).await;
    let held = Chain::<UtxoLedger>::open(&new.path().join("history.redb"), farm.spec.clone(), None).unwrap();
    let (second, _) = begin(&farm, new.path(), first.listen.clone(), true).await;
    second.stopped().await;
    second.stop().await.unwrap_err();
    drop(held);
    assert_eq!(begins_with(&farm, new.path()), Some(Height::new(63)));

    let unix = u64::from(farm.spec.slot_time(Slot::new(1 << 20)).unwrap());
    let path = database(new.path());
    let rebuilt = rebuild::<UtxoLedger>(&path, &farm.spec, unix, &mut |_, _, _| {}).unwrap();
    assert_eq!(rebuilt.base.map(|base| base.height), Some(Height::new(63)));
    assert_eq!((rebuilt.tip.map(|tip| tip.height), rebuilt.best), (Some(Height::ZERO), Height::new(90)));
    assert_eq!((rebuilt.headers_lost, rebuilt.bodies_lost), (0, 0));
    assert_eq!(begins_with(&farm, new.path()), None);
    let (second, second_rpc) = begin(&farm, new.path(), first.listen.clone(), true).await;
    reaches(&second_rpc, tip).await;
    validated(&second_rpc).await;
    second.stop().await.unwrap();
    first.stop().await.unwrap();
}

/// The blocks before the snapshot were validated up to a block above it, and the chain went over to another branch meanwhile:
/// all is validated anew, on the branch that the node is on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_a_deep_reorg_left_behind_is_validated_anew() {
    let [old, left, new] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (farm, other) = (Farm::easy(8, [8; 32]), Farm::easy(8, [9; 32]));
    grow(&farm, old.path(), 70);
    fs::copy(database(old.path()), database(left.path())).unwrap();
    let lost = grow(&other, left.path(), 10);
    let tip = grow(&farm, old.path(), 24);
    let (first, first_rpc) = begin(&farm, old.path(), vec![], false).await;
    written(old.path()).await;
    fs::rename(database(left.path()), new.path().join("history.redb")).unwrap();
    let (second, second_rpc) = begin(&farm, new.path(), first.listen.clone(), true).await;
    reaches(&second_rpc, tip).await;
    validated(&second_rpc).await;
    assert_eq!(info(&second_rpc).await["statehash"], info(&first_rpc).await["statehash"]);
    second.stop().await.unwrap();
    first.stop().await.unwrap();
    assert_eq!((begins_with(&farm, new.path()), lowest_body(&farm, new.path())), (None, Height::new(1)));
    let chain = Chain::<UtxoLedger>::open(&database(new.path()), farm.spec.clone(), None).unwrap();
    assert!(chain.store().header(&lost).unwrap().is_none(), "nothing of the other branch is left");
}

#[tokio::test]
async fn a_chain_that_inherits_its_beacon_does_not_begin_with_a_snapshot_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let spec = ChainSpec::built_in("dev2").unwrap();
    let config = NodeConfig { snapshot: true, ..NodeConfig::new(spec, dir.path().to_path_buf()) };
    let error = start::<UtxoLedger>(config).await.map(drop).unwrap_err();
    assert!(
        matches!(error, NodeError::SnapshotOfChild) && error.to_string().contains("--snapshot"),
        "{error}"
    );
}

/// A peer that has a snapshot on disk, of which it gives the parts below `gives`, and the block on it; what parts it was asked for.
async fn gives(
    farm: &Farm,
    seed: u8,
    node: &NodeHandle,
    (snapshot, anchor): (&Path, &[u8]),
    gives: u32,
) -> (Liar, Arc<Mutex<BTreeSet<u32>>>) {
    let name = snapshot.file_name().unwrap().to_str().unwrap();
    let (height, id) = name.split_once('-').unwrap();
    let sums = fs::read(snapshot.join("sums")).unwrap();
    let parts = fs::read_dir(snapshot).unwrap().count() as u32 - 1;
    let (height, base) = (Height::new(height.parse().unwrap()), id.parse().unwrap());
    let offer = StateOffer { height, base, parts, list: double_sha256(&sums) };
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let (told, dir) = (Arc::clone(&asked), snapshot.to_path_buf());
    let (anchor, anchor_id) = (anchor.to_vec(), Block::<Decoded>::from_bytes(anchor).unwrap().sealed().id());
    let lie = Box::new(move |request: &Request| {
        let state = match request {
            Request::Status => return Some(status(base)),
            Request::Blocks { ids } => {
                let block = |id: &BlockId| (*id == anchor_id).then(|| anchor.clone());
                return Some(Response::Blocks(ids.iter().map(block).collect()));
            }
            Request::State(StateRequest::Offers) => StateResponse::Offers(vec![offer]),
            Request::State(StateRequest::Sums { .. }) => StateResponse::Sums(sums.clone()),
            Request::State(StateRequest::Part { index, .. }) => {
                told.lock().unwrap().insert(*index);
                let part = (*index < gives).then(|| fs::read(dir.join(index.to_string())).unwrap());
                // What it does not give it does not refuse either.
                StateResponse::Part(Some(part?))
            }
            _ => return None,
        };
        Some(Response::State(state))
    });
    (Liar::meets(*farm.spec.id(), seed, node.listen.clone(), lie).await, asked)
}

/// A node that was stopped in the middle of a snapshot asks only for what it has not, and for what is torn. The state is
/// large because of entries that no block made, so that the history, once it is validated, says that the snapshot was taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_was_stopped_fetches_only_the_parts_that_are_missing() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let farm = Farm::easy(8, [8; 32]);
    grow(&farm, old.path(), 63);
    for number in 0..5u8 {
        add_to_state(&database(old.path()), &[0xff, number], &[number; 1 << 20]);
    }
    grow(&farm, old.path(), 27);
    let (maker, _) = begin(&farm, old.path(), vec![], false).await;
    let snapshot = written(old.path()).await;
    maker.stop().await.unwrap();
    let kept = old.path().join("kept").join(snapshot.file_name().unwrap());
    fs::create_dir(old.path().join("kept")).unwrap();
    fs::rename(&snapshot, &kept).unwrap();
    let anchor = Archive::open(old.path(), &farm.spec).unwrap().block(Height::new(64)).unwrap().unwrap();
    // Somebody has the blocks, and no snapshot.
    let blocks = NodeConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        ..NodeConfig::new(farm.spec.clone(), old.path().to_path_buf())
    };
    let blocks = start::<UtxoLedger>(blocks).await.unwrap();

    let (joiner, rpc) = begin(&farm, new.path(), vec![], true).await;
    let (_liar, asked) = gives(&farm, 1, &joiner, (&kept, &anchor), 3).await;
    rpc.add_node(blocks.listen[0].to_string(), "add".to_owned()).await.unwrap();
    let into = new.path().join("snapshot-in");
    let here = |index: u32| {
        let dirs = fs::read_dir(&into).into_iter().flatten().flatten();
        dirs.map(|dir| dir.path().join(index.to_string())).find(|part| part.exists())
    };
    let some = async {
        while (0..3).any(|index| here(index).is_none()) || asked.lock().unwrap().len() < 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), some).await.expect("three parts come");
    joiner.stop().await.unwrap();
    let torn = here(1).unwrap();
    let bytes = fs::read(&torn).unwrap();
    fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();

    let (joiner, rpc) = begin(&farm, new.path(), vec![], true).await;
    let (_liar, asked) = gives(&farm, 2, &joiner, (&kept, &anchor), u32::MAX).await;
    rpc.add_node(blocks.listen[0].to_string(), "add".to_owned()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(120), joiner.stopped()).await.expect("the node ends");
    let error = joiner.stop().await.unwrap_err();
    assert!(matches!(&error, ChainError::History { height, .. } if height.get() == 64), "{error}");
    let parts = fs::read_dir(&kept).unwrap().count() as u32 - 1;
    let missing = std::iter::once(1).chain(3..parts).collect::<BTreeSet<u32>>();
    assert!(parts > 4, "{parts}");
    assert_eq!(*asked.lock().unwrap(), missing);
    blocks.stop().await.unwrap();
}

/// Farmers who agree on a false state and build on it until it is deep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_does_not_lead_to_the_snapshot_ends_the_node_for_good() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let farm = Farm::easy(8, [8; 32]);
    grow(&farm, old.path(), 63);
    add_to_state(&database(old.path()), b"\xffcoins", b"of nobody");
    grow(&farm, old.path(), 27);
    let (liar, _) = begin(&farm, old.path(), vec![], false).await;
    written(old.path()).await;
    let (second, _) = begin(&farm, new.path(), liar.listen.clone(), true).await;
    tokio::time::timeout(Duration::from_secs(60), second.stopped()).await.expect("the node ends");
    let error = second.stop().await.unwrap_err();
    let is_finding = matches!(&error, ChainError::History { height, why } if height.get() == 64 && why.starts_with("BLK-7:"));
    assert!(is_finding, "{error}");
    let again = NodeConfig { snapshot: true, ..NodeConfig::new(farm.spec.clone(), new.path().to_path_buf()) };
    let error = start::<UtxoLedger>(again).await.map(drop).unwrap_err();
    assert!(matches!(&error, NodeError::Finding(why) if why.contains("BLK-7")), "{error}");
    liar.stop().await.unwrap();
}

/// Puts an entry into the state behind the store's back, with the sum that it then has.
fn add_to_state(path: &Path, key: &[u8], value: &[u8]) {
    const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
    const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    let db = Database::open(path).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut meta = txn.open_table(META).unwrap();
        let mut sum = StateSum::from_bytes(meta.get("state sum").unwrap().unwrap().value()).unwrap();
        sum.add(&StateEntry::Ledger { key, value });
        meta.insert("state sum", sum.to_bytes().as_slice()).unwrap();
        txn.open_table(STATE).unwrap().insert(key, value).unwrap();
    }
    txn.commit().unwrap();
}

#[test]
fn a_body_with_another_state_hash_is_refused_and_its_header_stays() {
    let dir = tempfile::tempdir().unwrap();
    let farm = Farm::easy(8, [8; 32]);
    grow(&farm, dir.path(), 63);
    let mut chain = Chain::<UtxoLedger>::open(&database(dir.path()), farm.spec.clone(), None).unwrap();
    let expected = chain.expectation(Slot::ZERO).unwrap();
    // Each in a slot of its own: two seals of one slot are another matter.
    let win = |after| farm.win(expected.height, after, expected.seed, expected.difficulty);
    let mut claim = win(expected.after);
    let unix = u64::from(farm.spec.slot_time(claim.slot).unwrap()) + 1_000;
    chain.tick(farm.spec.slot_at(unix).unwrap(), unix).unwrap();
    for state in [None, Some(StateHash::new([7; 32]))] {
        let block = with_state(&farm, &chain, claim, state);
        let id = block.sealed().id();
        let notices = chain.take_block(&block.to_bytes(), unix).unwrap();
        let is_refusal = |notice: &Notice| matches!(notice, Notice::Refused(of, Some(why)) if *of == id && why.starts_with("BLK-7:"));
        assert!(notices.iter().any(is_refusal), "{notices:?}");
        assert!(chain.engine().tree().get(&id).is_some(), "its header is a good one");
        assert_eq!(chain.height(), Height::new(63));
        claim = win(claim.slot);
    }
    let header = chain.prepare(claim, PAYOUT).unwrap();
    let seal = farm.sign(header, claim).seal;
    chain.submit(&header.id(), seal.vrf_proof, seal.signature, unix).unwrap();
    assert_eq!(chain.height(), Height::new(64));
}

/// A block on the tip whose body carries this for the state.
fn with_state(
    farm: &Farm,
    chain: &Chain<UtxoLedger>,
    claim: SealClaim,
    state: Option<StateHash>,
) -> Block<Decoded> {
    let context = BlockContext {
        height: claim.height,
        slot: claim.slot,
        time: farm.spec.slot_time(claim.slot).unwrap(),
        median_time_past: 0,
        farmer: *claim.farmer(),
        banned: vec![],
    };
    let (stored, payout) = (chain.store().snapshot().unwrap(), address::decode("dms", PAYOUT).unwrap());
    let carried = Carried { evidence: None, state };
    let body = chain.ledger().build_body(&stored, &context, &payout, carried, &[]).unwrap();
    let root = chain.ledger().commitment(&body).unwrap().root;
    Block::new(farm.seal(*chain.engine().tip(), root, claim), vec![], body)
}

/// The promise: a chain of 50,000 blocks, real proofs of k = 18 in rounds that win every slot, of which a new node has the state and farms in less than two minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: cargo xtask slow snapshot"]
#[allow(clippy::print_stdout, reason = "tells what was measured")]
async fn a_chain_of_50_000_blocks_is_farmed_within_two_minutes() {
    let blocks = std::env::var("MASS_SNAPSHOT_BLOCKS").map_or(50_000, |blocks| blocks.parse().unwrap());
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let farm = Farm::easy(8, [8; 32]);
    let started = Instant::now();
    let tip = grow(&farm, old.path(), blocks);
    println!("{blocks} blocks made in {:?}", started.elapsed());
    let (first, first_rpc) = begin(&farm, old.path(), vec![], false).await;
    written(old.path()).await;
    let started = Instant::now();
    let (second, second_rpc) = begin(&farm, new.path(), first.listen.clone(), true).await;
    let limit = Duration::from_secs(120);
    let late = tokio::time::timeout(limit, reaches_late(&second_rpc, tip)).await;
    let base = late.expect("the tip is reached in time").expect("it began with a snapshot");
    let made = mine(&farm, &second_rpc, PAYOUT).await;
    let took = started.elapsed();
    println!("farming after {took:?} with the state of height {base}");
    assert!(took < limit, "{took:?}");
    reaches(&first_rpc, made.id()).await;
    let started = Instant::now();
    validated(&second_rpc).await;
    println!("all blocks before validated in {:?}", started.elapsed());
    assert_eq!(info(&second_rpc).await["statehash"], info(&first_rpc).await["statehash"]);
    second.stop().await.unwrap();
    first.stop().await.unwrap();
}

/// The height of the snapshot that a node was seen to stand on until it reached a block.
async fn reaches_late(node: &HttpClient, id: BlockId) -> Option<u64> {
    let mut base = None;
    while node.get_best_block_hash().await.unwrap() != id {
        base = base.or(info(node).await["snapshot"]["height"].as_u64());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    base.or(info(node).await["snapshot"]["height"].as_u64())
}
