//! The chain of notes as its users meet it: nodes over real sockets, blocks from real plots, RPC, and a restart.

#[path = "../../../crates/consensus/tests/farm/mod.rs"]
mod farm;
#[path = "../src/ledger.rs"]
mod ledger;

use std::{path::Path, time::Duration};

use farm::Farm;
use ledger::Notes;
use mass_node::{
    Chain, ChainError, NodeConfig, NodeHandle,
    consensus::{header::Header, spec::ChainSpec},
    primitives::{BlockId, Decode as _, Difficulty, Encode as _, Slot},
    rpc::{ClientError, HttpClient, MassClient as _, call, client},
    start,
};
use serde_json::{Value, json};

/// The spec of the example with a beacon of its own, so that no other chain has to run.
fn spec() -> ChainSpec {
    let mut file = ChainSpec::from_json(include_str!("../chain.json")).unwrap().file().clone();
    file.rules.beacon = None;
    ChainSpec::new(file).unwrap()
}

async fn node(dir: &Path, peers: &[&NodeHandle]) -> (NodeHandle, HttpClient) {
    let config = NodeConfig {
        spec: spec(),
        data_dir: dir.to_path_buf(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers: peers.iter().flat_map(|peer| peer.listen.clone()).collect(),
        rpc: "127.0.0.1:0".parse().unwrap(),
        beacon: None,
        indexes: None,
    };
    let handle = start::<Notes>(config).await.unwrap();
    let client = client(&format!("http://{}", handle.rpc)).unwrap();
    (handle, client)
}

async fn ask(node: &HttpClient, method: &str, params: &[&str]) -> Result<Value, ClientError> {
    call(node, method, params.iter().copied().map(Value::from).collect()).await
}

/// Farms one block as the farmer does.
async fn mine(farm: &Farm, node: &HttpClient, payout: &str) -> BlockId {
    let work = node.work(None, None).await.unwrap();
    let difficulty = Difficulty::new(work.difficulty.parse().unwrap());
    let claim = farm.win(work.height, work.after, work.seed, difficulty);
    let header = node.prepare_block(hex::encode(claim.to_bytes()), payout.to_owned()).await.unwrap();
    let sealed = farm.sign(Header::from_bytes(&hex::decode(&header).unwrap()).unwrap(), claim);
    node.submit_seal(header, sealed.seal.vrf_proof, sealed.seal.signature).await.unwrap()
}

async fn reaches(node: &HttpClient, id: BlockId) {
    let wait = async {
        while node.get_best_block_hash().await.unwrap() != id {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.expect("the tip is reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_are_written_followed_and_kept() {
    let mut farm = Farm::new(8);
    farm.spec = spec();
    let dir = tempfile::tempdir().unwrap();
    let (one, rpc) = node(&dir.path().join("one"), &[]).await;
    let id = ask(&rpc, "note_set", &["hello", "world"]).await.unwrap();
    assert_eq!(ask(&rpc, "note_get", &["hello"]).await.unwrap(), Value::Null, "it waits for a block");
    assert!(ask(&rpc, "note_set", &["hello", "again"]).await.is_err(), "the pool holds one note of a key");
    assert_eq!(rpc.get_raw_mempool().await.unwrap(), [id.as_str().unwrap()]);
    let block = mine(&farm, &rpc, "alice").await;
    assert_eq!(rpc.get_block(block, None).await.unwrap()["tx"], json!([id]));
    let tip = mine(&farm, &rpc, "alice").await;
    let refused = ask(&rpc, "note_set", &["hello", "again"]).await.unwrap_err();
    assert!(refused.to_string().contains("is written already"), "{refused}");
    assert!(ask(&rpc, "note_set", &["", "x"]).await.is_err() && ask(&rpc, "note_set", &["x"]).await.is_err());

    // A second node syncs from the first; its own notes travel back.
    let (two, rpc_two) = node(&dir.path().join("two"), &[&one]).await;
    reaches(&rpc_two, tip).await;
    assert_eq!(ask(&rpc_two, "note_get", &["hello"]).await.unwrap(), "world");
    assert_eq!(ask(&rpc_two, "note_blocks", &["alice"]).await.unwrap(), 2);
    ask(&rpc_two, "note_set", &["second", "node"]).await.unwrap();
    let tip = mine(&farm, &rpc_two, "bob").await;
    reaches(&rpc, tip).await;

    // All of it is there after a restart.
    one.stop().await.unwrap();
    two.stop().await.unwrap();
    let (one, rpc) = node(&dir.path().join("one"), &[]).await;
    for (key, value) in [("hello", "world"), ("second", "node")] {
        assert_eq!(ask(&rpc, "note_get", &[key]).await.unwrap(), value);
    }
    assert_eq!(ask(&rpc, "note_blocks", &["bob"]).await.unwrap(), 1);
    mine(&farm, &rpc, "bob").await;
    one.stop().await.unwrap();
}

#[test]
fn a_reorg_takes_notes_back_and_offers_them_again() {
    let (mut farm, mut other) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let mut file = farm.spec.file().clone();
    file.rules.ledger = spec().rules().ledger.clone();
    let spec = ChainSpec::new(file).unwrap();
    (farm.spec, other.spec) = (spec.clone(), spec.clone());
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let mut chain = Chain::<Notes>::open(&dir.path().join(name), spec.clone(), None).unwrap();
        chain.tick(Slot::new(1 << 30), 0).unwrap();
        chain
    };
    let mine = |farm: &Farm, chain: &mut Chain<Notes>| {
        let expected = chain.expectation(Slot::ZERO).unwrap();
        let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
        let header = chain.prepare(claim, "alice").unwrap();
        let seal = farm.sign(header, claim).seal;
        chain.submit(&header.id(), seal.vrf_proof, seal.signature, 0).unwrap().0
    };
    let (mut one, mut two) = (open("one"), open("two"));
    let note = [&[1, 0, 0, 0][..], b"k", &[1, 0, 0, 0], b"v"].concat();
    one.take_transaction(&note, 0).unwrap();
    mine(&farm, &mut one);
    assert!(one.pool().is_empty());
    for _ in 0..2 {
        let block = mine(&other, &mut two);
        one.take_block(&block, 0).unwrap();
    }
    assert_eq!((one.engine().tip(), one.engine().reorgs()), (two.engine().tip(), 1));
    assert_eq!(one.pool().len(), 1, "the note waits again");
    two.take_block(&mine(&farm, &mut one), 0).unwrap();
    assert!(matches!(two.take_transaction(&note, 0), Err(ChainError::Ledger(_))), "written");
    assert!(matches!(two.take_transaction(&note[1..], 0), Err(ChainError::Transaction(_))));
    let expected = one.expectation(Slot::ZERO).unwrap();
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    assert!(matches!(one.prepare(claim, ""), Err(ChainError::Address(_))));
}
