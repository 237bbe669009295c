//! Blocks on demand: a node process farms real proofs of its own for an address.

mod processes;

use std::time::Duration;

use mass_primitives::BlockId;
use mass_rpc::{BitcoinClient, ClientError, CoinsClient, MassClient, call, client_as};
use processes::{Home, payout};
use serde_json::{Value, json};

#[tokio::test]
async fn a_node_of_dev_generates_blocks_to_an_address() {
    let home = Home::new();
    let node = home.node("node", &[]);
    let patient = client_as(&node.url, node.login.clone(), Duration::from_secs(300)).unwrap();
    let generate = async |params: Value| {
        let Value::Array(params) = params else { panic!("{params}") };
        call(&patient, "generatetoaddress", params).await
    };
    for (params, code) in [(json!([1, "nobody"]), -5), (json!([100_000, payout(1)]), -8), (json!([1]), -1)] {
        match generate(params.clone()).await {
            Err(ClientError::Call(error)) => assert_eq!(error.code(), code, "{params}: {error}"),
            other => panic!("{params}: {other:?}"),
        }
    }
    let blocks: Vec<BlockId> =
        serde_json::from_value(generate(json!([2, payout(1)])).await.unwrap()).unwrap();
    assert_eq!((blocks.len(), node.height().await), (2, 2));
    assert_eq!(blocks[1], node.client.get_best_block_hash().await.unwrap());
    let header = node.client.get_block_header(blocks[0], None).await.unwrap();
    let farmer = serde_json::from_value(header["farmer"].clone()).unwrap();
    let pending = node.client.pending(farmer).await.unwrap();
    assert_eq!(
        pending.iter().map(|reward| reward.address.clone()).collect::<Vec<_>>(),
        [payout(1), payout(1)]
    );
    assert_eq!(node.client.status().await.unwrap().mempool, 0);
}
