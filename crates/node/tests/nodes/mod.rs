//! Real nodes on loopback for tests, and blocks farmed over their RPC as the farmer does.

use std::{path::Path, time::Duration};

use mass_consensus::{
    header::{Header, SealedHeader},
    spec::ChainSpec,
};
use mass_ledger_utxo::UtxoLedger;
use mass_network::Multiaddr;
use mass_node::{NodeConfig, NodeHandle, start};
use mass_primitives::{BlockId, Decode, Difficulty, Encode};
use mass_rpc::{BitcoinClient, HttpClient, MassClient, client};

use crate::farm::Farm;

/// Starts a node, and a client of it.
pub async fn node(spec: &ChainSpec, dir: &Path, peers: Vec<Multiaddr>) -> (NodeHandle, HttpClient) {
    let handle = start::<UtxoLedger>(NodeConfig {
        spec: spec.clone(),
        data_dir: dir.to_path_buf(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers,
        rpc: "127.0.0.1:0".parse().unwrap(),
        beacon: None,
        indexes: None,
    })
    .await
    .unwrap();
    let client = client(&format!("http://{}", handle.rpc)).unwrap();
    (handle, client)
}

/// Farms one block.
pub async fn mine(farm: &Farm, node: &HttpClient, payout: &str) -> SealedHeader {
    let work = node.work(None, None).await.unwrap();
    let difficulty = Difficulty::new(work.difficulty.parse().unwrap());
    let claim = farm.win(work.height, work.after, work.seed, difficulty);
    let header = node.prepare_block(hex::encode(claim.to_bytes()), payout.to_owned()).await.unwrap();
    let parsed = Header::from_bytes(&hex::decode(&header).unwrap()).unwrap();
    let sealed = farm.sign(parsed, claim);
    let id = node.submit_seal(header, sealed.seal.vrf_proof, sealed.seal.signature).await.unwrap();
    assert_eq!(id, sealed.id());
    sealed
}

/// Waits until the node's tip is `id`.
pub async fn reaches(node: &HttpClient, id: BlockId) {
    let wait = async {
        while node.get_best_block_hash().await.unwrap() != id {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the tip is reached");
}
