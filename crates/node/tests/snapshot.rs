//! A node that begins with a snapshot of its peers over real sockets: state, farming, restart, liars, and a chain whose
//! body lies about the state.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod nodes;

use std::{fs, path::Path, time::Duration};

use farm::Farm;
use mass_ledger_utxo::UtxoLedger;
use mass_network::Multiaddr;
use mass_node::{Chain, NodeConfig, NodeHandle, export::database, start};
use mass_primitives::{BlockId, Height, Slot};
use mass_rpc::{BansClient, BitcoinClient, HttpClient, client};
use nodes::{mine, reaches};

const PAYOUT: &str = "dms1qmw78m49ss7u4df4f3u7s6w6q8n02h6mkfn3z97";

/// A chain of so many blocks in a data directory, made without waiting for slots.
fn grow(farm: &Farm, dir: &Path, blocks: u32) -> BlockId {
    let mut chain = Chain::<UtxoLedger>::open(&database(dir), farm.spec.clone(), None).unwrap();
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

/// Height of the lowest block above genesis whose body is in a database.
fn lowest_body(farm: &Farm, dir: &Path) -> Height {
    let chain = Chain::<UtxoLedger>::open(&database(dir), farm.spec.clone(), None).unwrap();
    let has = |height: &u32| {
        let id = chain.store().active_id(Height::new(*height)).unwrap().unwrap();
        chain.store().body(&id).unwrap().is_some()
    };
    Height::new((1..=chain.height().get()).find(has).unwrap())
}

fn state_hash(farm: &Farm, dir: &Path) -> mass_primitives::StateHash {
    let chain = Chain::<UtxoLedger>::open(&database(dir), farm.spec.clone(), None).unwrap();
    chain.store().snapshot().unwrap().state_hash().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_begins_with_a_snapshot_and_farms_and_has_the_same_state() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let farm = Farm::with_key(8, [8; 32]);
    let tip = grow(&farm, old.path(), 40);
    let (first, first_rpc) = begin(&farm, old.path(), vec![], false).await;
    assert!(
        written(old.path())
            .await
            .ends_with(format!("15-{}", first_rpc.get_block_hash(Height::new(15)).await.unwrap()))
    );
    let (second, second_rpc) = begin(&farm, new.path(), first.listen.clone(), true).await;
    reaches(&second_rpc, tip).await;
    let made = mine(&farm, &second_rpc, PAYOUT).await;
    reaches(&first_rpc, made.id()).await;
    second.stop().await.unwrap();
    assert_eq!(lowest_body(&farm, new.path()), Height::new(16), "the blocks before were not asked for");
    assert!(!new.path().join("snapshot-in").exists());

    // It goes on after a restart.
    let (second, second_rpc) = begin(&farm, new.path(), first.listen.clone(), true).await;
    let made = mine(&farm, &first_rpc, PAYOUT).await;
    reaches(&second_rpc, made.id()).await;
    second.stop().await.unwrap();
    first.stop().await.unwrap();
    assert_eq!(state_hash(&farm, new.path()), state_hash(&farm, old.path()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lies_about_a_part_is_dropped_and_the_chain_is_synced_all_the_same() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let farm = Farm::with_key(8, [8; 32]);
    let tip = grow(&farm, old.path(), 40);
    let (liar, _) = begin(&farm, old.path(), vec![], false).await;
    let part = written(old.path()).await.join("0");
    let mut bytes = fs::read(&part).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&part, bytes).unwrap();
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
