//! Real nodes of which one knows a checkpoint: the heavier chain without it does not win, whether the node meets it
//! afresh or was on it before.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod nodes;

use bitcoin::{ScriptBuf, WPubkeyHash, hashes::Hash};
use farm::Farm;
use mass_consensus::spec::Checkpoint;
use mass_ledger_utxo::address;
use mass_primitives::{BlockId, Height};
use mass_rpc::{BitcoinClient as _, HttpClient, MassClient};
use nodes::{node, reaches};

async fn mine(farm: &Farm, node: &HttpClient, blocks: usize) -> Vec<BlockId> {
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([1; 20]));
    let payout = address::encode("dms", &script).unwrap();
    let mut made = Vec::new();
    for _ in 0..blocks {
        made.push(nodes::mine(farm, node, &payout).await.id());
    }
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_checkpoint_refuses_the_heavier_chain_and_follows_the_right_one() {
    let (farm, other) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (right, rpc_right) = node(&farm.spec, &path("right"), vec![]).await;
    let (wrong, rpc_wrong) = node(&farm.spec, &path("wrong"), vec![]).await;
    let on_right = mine(&farm, &rpc_right, 5).await;
    let on_wrong = mine(&other, &rpc_wrong, 9).await;
    let checkpoint = |height: u32, id| {
        let checkpoint = Checkpoint { height: Height::new(height), id };
        farm.spec.clone().with_checkpoints(&[checkpoint]).unwrap()
    };
    let guarded = checkpoint(3, on_right[2]);

    // A node that was on the wrong chain says so at its start and leaves it.
    let (lost, rpc_lost) = node(&farm.spec, &path("lost"), wrong.listen.clone()).await;
    reaches(&rpc_lost, on_wrong[8]).await;
    lost.stop().await.unwrap();
    let (lost, rpc_lost) = node(&guarded, &path("lost"), vec![]).await;
    let status = rpc_lost.status().await.unwrap();
    let told = status.checkpoint.unwrap();
    assert_eq!((told.height, told.id, told.reached), (Height::new(3), on_right[2], false));
    assert_eq!((status.height, status.synced), (Height::new(2), false), "what the checkpoint allows is kept");
    rpc_lost.add_node(wrong.listen[0].to_string(), "add".to_owned()).await.unwrap();
    rpc_lost.add_node(right.listen[0].to_string(), "add".to_owned()).await.unwrap();
    reaches(&rpc_lost, on_right[4]).await;

    // A fresh one between both.
    let both = [wrong.listen.clone(), right.listen.clone()].concat();
    let (fresh, rpc_fresh) = node(&guarded, &path("fresh"), both.clone()).await;
    reaches(&rpc_fresh, on_right[4]).await;
    let next = mine(&farm, &rpc_right, 1).await[0];
    reaches(&rpc_fresh, next).await;
    let info = rpc_fresh.get_blockchain_info().await.unwrap();
    assert_eq!(
        (&info["checkpoint"]["reached"], &info["initialblockdownload"]),
        (&true.into(), &false.into())
    );

    // A checkpoint above all that is known is waited for.
    let (early, rpc_early) = node(&checkpoint(50, BlockId::new([5; 32])), &path("early"), both).await;
    reaches(&rpc_early, on_wrong[8]).await;
    let status = rpc_early.status().await.unwrap();
    assert!(!status.synced && !status.checkpoint.unwrap().reached);
    for handle in [right, wrong, lost, fresh, early] {
        handle.stop().await.unwrap();
    }
}
