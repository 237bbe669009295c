//! Three real nodes over loopback: they follow, part and meet again, and one comes back from its disk.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;

use std::{path::Path, time::Duration};

use bitcoin::{ScriptBuf, WPubkeyHash, hashes::Hash};
use farm::Farm;
use mass_consensus::{header::SealClaim, spec::ChainSpec};
use mass_ledger_utxo::address;
use mass_network::Multiaddr;
use mass_node::{NodeConfig, NodeHandle, start};
use mass_primitives::{BlockId, Decode, Encode};
use mass_rpc::{HttpClient, MassClient, client};

async fn node(spec: &ChainSpec, dir: &Path, peers: Vec<Multiaddr>) -> (NodeHandle, HttpClient) {
    let handle = start(NodeConfig {
        spec: spec.clone(),
        data_dir: dir.to_path_buf(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers,
        rpc: "127.0.0.1:0".parse().unwrap(),
        beacon: None,
    })
    .await
    .unwrap();
    let client = client(&format!("http://{}", handle.rpc)).unwrap();
    (handle, client)
}

/// Farms one block over RPC, as the farmer does.
async fn mine(farm: &Farm, node: &HttpClient) -> BlockId {
    let work = node.work().await.unwrap();
    let difficulty = mass_primitives::Difficulty::new(work.difficulty.parse().unwrap());
    let claim: SealClaim = farm.win(work.height, work.after, work.seed, difficulty);
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([1; 20]));
    let payout = address::encode("dms", &script).unwrap();
    let header = node.prepare_block(hex::encode(claim.to_bytes()), payout).await.unwrap();
    let parsed = mass_consensus::header::Header::from_bytes(&hex::decode(&header).unwrap()).unwrap();
    let seal = farm.sign(parsed, claim).seal;
    node.submit_seal(header, seal.vrf_proof, seal.signature).await.unwrap()
}

/// Waits until the node's tip is `id`.
async fn reaches(node: &HttpClient, id: BlockId) {
    let wait = async {
        while node.get_best_block_hash().await.unwrap() != id {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the tip is reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_agree_after_partition_and_restart() {
    // The dev genesis lies in the past, so that the slots of the first blocks do too.
    // Two keys: one farm on both sides of the partition would make the very same block there.
    let (farm, other) = (Farm::new(8), Farm::with_key(8, [8; 32]));
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (one, rpc_one) = node(&farm.spec, &path("one"), vec![]).await;
    let (two, rpc_two) = node(&farm.spec, &path("two"), one.listen.clone()).await;
    let (three, rpc_three) = node(&farm.spec, &path("three"), one.listen.clone()).await;
    let mut tip = mine(&farm, &rpc_one).await;
    for _ in 0..3 {
        tip = mine(&farm, &rpc_one).await;
    }
    reaches(&rpc_two, tip).await;
    reaches(&rpc_three, tip).await;

    // Three is cut off and makes one block; the others make three.
    rpc_three.set_network_active(false).await.unwrap();
    mine(&other, &rpc_three).await;
    for _ in 0..3 {
        tip = mine(&farm, &rpc_two).await;
    }
    reaches(&rpc_one, tip).await;
    rpc_three.set_network_active(true).await.unwrap();
    reaches(&rpc_three, tip).await;
    assert_eq!(rpc_three.status().await.unwrap().reorgs, 1);

    // Two stops, misses a block, and catches up from its own directory.
    two.stop().await.unwrap();
    tip = mine(&farm, &rpc_one).await;
    let (two, rpc_two) = node(&farm.spec, &path("two"), one.listen.clone()).await;
    reaches(&rpc_two, tip).await;
    let info = rpc_two.get_block(tip, None).await.unwrap();
    assert_eq!(info["height"], 8);
    assert!(rpc_two.get_block(BlockId::ZERO, None).await.is_err());
    for handle in [one, two, three] {
        handle.stop().await.unwrap();
    }
}
