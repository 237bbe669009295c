//! Esplora's client library: every call that it has, read by its own types.

use bdk_esplora::esplora_client::{Builder, Error};
use bdk_wallet::bitcoin::Txid;
use mass_clients::{Network, eventually, theirs};

#[test]
#[ignore = "slow: cargo xtask slow clients"]
fn esploras_own_client_reads_every_answer() -> anyhow::Result<()> {
    let network = Network::start(&[])?;
    let client = Builder::new(&network.esplora).build_blocking();
    let faucet = network.run(&["wallet", "address", "--new", "--wallet", &network.path("faucet")], "")?;
    let ours = faucet["address"].as_str().unwrap();
    let address = theirs(ours)?;
    let script = address.script_pubkey();
    let txid: Txid = network.pay(&address, 12_345)?.parse()?;

    // What comes by another way than the server is seen within a moment.
    eventually("the server sees the payment", || Ok(client.get_tx(&txid)?.is_some()))?;
    assert!(client.get_mempool_txids()?.contains(&txid));
    let waiting = client.get_tx_info(&txid)?.unwrap();
    assert!(!waiting.status.confirmed && waiting.fee > 0);
    assert_eq!(client.get_mempool_scripthash_txs(&script)?.len(), 1);
    assert_eq!(client.get_mempool_recent_txs()?[0].txid, txid);
    assert_eq!(client.get_mempool_stats()?.count, 1);
    eventually("a block comes", || Ok(client.get_tx_status(&txid)?.confirmed))?;

    let status = client.get_tx_status(&txid)?;
    let (id, height) = (status.block_hash.unwrap(), status.block_height.unwrap());
    assert_eq!(client.get_block_hash(height)?, id);
    assert_eq!(client.get_header_by_hash(&id)?.block_hash(), id);
    let block = client.get_block_by_hash(&id)?.unwrap();
    assert!(block.check_merkle_root() && block.check_witness_commitment());
    let info = client.get_block_info(&id)?;
    assert_eq!((info.weight, info.size), (block.weight().to_wu(), block.total_size()));
    assert_eq!(client.get_block_txids(&id)?.len(), info.tx_count as usize);
    assert_eq!(client.get_block_txs(&id, None)?.len(), info.tx_count as usize);
    assert!(client.get_block_status(&id)?.in_best_chain);

    let tx = client.get_tx(&txid)?.unwrap();
    assert_eq!(client.get_tx_info(&txid)?.unwrap().to_tx(), tx);
    let proof = client.get_merkle_proof(&txid)?.unwrap();
    assert_eq!(client.get_txid_at_block_index(&id, proof.pos)?, Some(txid));
    let (mut matches, mut positions) = (Vec::new(), Vec::new());
    let tree = client.get_merkle_block(&txid)?.unwrap();
    assert_eq!(tree.header.block_hash(), id);
    tree.extract_matches(&mut matches, &mut positions)?;
    assert_eq!((matches, positions), (vec![txid], vec![proof.pos as u32]));
    let vout = tx.output.iter().position(|output| output.script_pubkey == script).unwrap();
    assert!(!client.get_output_status(&txid, vout as u64)?.unwrap().spent);
    let spent = tx.input[0].previous_output;
    assert_eq!(client.get_output_status(&spent.txid, spent.vout.into())?.unwrap().txid, Some(txid));
    assert_eq!(client.get_tx_outspends(&txid)?.len(), tx.output.len());
    assert_eq!(client.get_scripthash_utxos(&script)?[0].value.to_sat(), 12_345);
    assert_eq!(client.get_scripthash_stats(&script)?.chain_stats.funded_txo_sum, 12_345);
    assert_eq!(client.scripthash_txs(&script, None)?[0].txid, txid);
    assert_eq!(client.scripthash_txs(&script, Some(txid))?.len(), 0);
    assert_eq!(client.get_block_infos(Some(height))?[0].id, id);
    assert!(client.get_fee_estimates()?[&1] >= 1.0);
    assert!(client.get_tip_hash()? != id || client.get_height()? == height);

    let (status, text) = network.get(&format!("/address/{ours}"))?;
    assert!(status == 200 && text.contains(r#""funded_txo_sum":12345"#), "{text}");
    let refused = |path: &str| network.get(path).map(|(status, text)| format!("{status} {text}"));
    assert!(refused(&format!("/address/{address}"))?.starts_with("400 Invalid address: address begins with"));
    assert_eq!(refused("/block-height/4000000")?, "404 Block not found");
    assert_eq!(refused("/block-height/x")?, "400 Invalid number");
    assert_eq!(refused(&format!("/tx/{}", "00".repeat(32)))?, "404 Transaction not found");
    assert_eq!(refused("/tx/xyz/hex")?, "400 Invalid hex string");
    assert!(refused("/nothing")?.starts_with("404 endpoint does not exist"));
    let error = client.broadcast(&tx).unwrap_err();
    assert!(
        matches!(error, Error::HttpResponse { status: 400, ref message } if message.contains("\"code\":")),
        "{error}"
    );
    Ok(())
}
