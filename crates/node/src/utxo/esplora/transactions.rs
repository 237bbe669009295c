//! Transactions, by id, and the pool.

use std::sync::Arc;

use bitcoin::{
    MerkleBlock, OutPoint, Transaction, Txid, block,
    consensus::{deserialize, encode::serialize_hex, serialize},
    hashes::Hash as _,
    merkle_tree,
};
use serde_json::{Value, json};

use super::{
    answers,
    blocks::number,
    reply::{Refusal, Reply},
};
use crate::utxo::{
    merkle,
    view::{BlockPlace, ChainView, PoolTx, Prevouts, TARGETS, View},
};

fn parse(txid: &str) -> Result<Txid, Refusal> {
    txid.parse().map_err(|_| Refusal::bad("Invalid hex string"))
}

fn missing() -> Refusal {
    Refusal::missing("Transaction not found")
}

fn unconfirmed() -> Refusal {
    Refusal::missing("Transaction not found or is unconfirmed")
}

/// A transaction of the pool, or of the chain with its block.
enum Found {
    Waiting(Arc<PoolTx>),
    Confirmed(Transaction, BlockPlace),
}

impl Found {
    fn tx(&self) -> &Transaction {
        match self {
            Self::Waiting(waiting) => &waiting.tx,
            Self::Confirmed(tx, _) => tx,
        }
    }
}

fn find(view: &View, txid: &str) -> Result<(Arc<ChainView>, Found), Refusal> {
    let txid = parse(txid)?;
    let (chain, waiting) = view.look(|pool| pool.get(&txid).cloned());
    if let Some(waiting) = waiting {
        return Ok((chain, Found::Waiting(waiting)));
    }
    let (tx, place) = chain.transaction(&txid)?.ok_or_else(missing)?;
    let place = chain.place_at(place.height)?;
    Ok((chain, Found::Confirmed(tx, place)))
}

pub(super) fn transaction(view: &View, txid: &str) -> Result<Reply, Refusal> {
    let (chain, found) = find(view, txid)?;
    let prefix = &chain.facts().address_prefix;
    Ok(Reply::Json(match found {
        Found::Waiting(waiting) => answers::waiting(prefix, &waiting),
        Found::Confirmed(tx, place) => {
            let prevouts = Prevouts::new(&chain).of(&tx, place.height)?;
            answers::transaction(prefix, &tx, &prevouts, Some(&place))
        }
    }))
}

pub(super) fn hex(view: &View, txid: &str) -> Result<Reply, Refusal> {
    Ok(Reply::Text(serialize_hex(find(view, txid)?.1.tx())))
}

pub(super) fn raw(view: &View, txid: &str) -> Result<Reply, Refusal> {
    Ok(Reply::Bytes(serialize(find(view, txid)?.1.tx())))
}

/// Of a transaction that nobody knows it is said, too, that it is not confirmed.
pub(super) fn status(view: &View, txid: &str) -> Result<Reply, Refusal> {
    let (chain, txid) = (view.chain(), parse(txid)?);
    let place = chain.tx_place(&txid)?.map(|place| chain.place_at(place.height)).transpose()?;
    Ok(Reply::Json(answers::status(place.as_ref())))
}

pub(super) fn merkle_proof(view: &View, txid: &str) -> Result<Reply, Refusal> {
    let (chain, txid) = (view.chain(), parse(txid)?);
    let place = chain.tx_place(&txid)?.ok_or_else(unconfirmed)?;
    let txs = chain.transactions_at(place.height)?;
    let leaves = txs.iter().map(|tx| tx.compute_txid().to_byte_array()).collect();
    let branch = merkle::branch(leaves, place.position as usize).ok_or_else(unconfirmed)?;
    let branch: Vec<String> =
        branch.siblings.iter().map(|hash| Txid::from_byte_array(*hash).to_string()).collect();
    Ok(Reply::Json(json!({ "block_height": place.height.get(), "merkle": branch, "pos": place.position })))
}

pub(super) fn merkleblock_proof(view: &View, txid: &str) -> Result<Reply, Refusal> {
    let (chain, txid) = (view.chain(), parse(txid)?);
    let place = chain.tx_place(&txid)?.ok_or_else(unconfirmed)?;
    let block = chain.block_at(place.height)?.ok_or_else(unconfirmed)?;
    let header: block::Header =
        deserialize(&block.bytes).map_err(|error| Refusal::node(error.to_string()))?;
    let txids: Vec<Txid> =
        chain.transactions_at(place.height)?.iter().map(Transaction::compute_txid).collect();
    let matches: Vec<bool> = txids.iter().map(|other| *other == txid).collect();
    let tree = merkle_tree::PartialMerkleTree::from_txids(&txids, &matches);
    Ok(Reply::Text(serialize_hex(&MerkleBlock { header, txn: tree })))
}

fn outspend_json(
    chain: &ChainView,
    waiting: Option<(Txid, u32)>,
    outpoint: &OutPoint,
) -> Result<Value, Refusal> {
    if let Some((txid, vin)) = waiting {
        return Ok(answers::outspend(Some((txid, vin, None))));
    }
    let spend = chain.spend(outpoint)?.map(|spend| {
        let place = chain.place_at(spend.place.height)?;
        Ok::<_, Refusal>((spend.txid, spend.input, Some(place)))
    });
    Ok(answers::outspend(spend.transpose()?))
}

pub(super) fn outspend(view: &View, txid: &str, vout: &str) -> Result<Reply, Refusal> {
    let outpoint = OutPoint { txid: parse(txid)?, vout: number(vout)? };
    let (chain, waiting) = view.look(|pool| pool.spender(&outpoint));
    Ok(Reply::Json(outspend_json(&chain, waiting, &outpoint)?))
}

pub(super) fn outspends(view: &View, txid: &str) -> Result<Reply, Refusal> {
    let (_, found) = find(view, txid)?;
    let txid = found.tx().compute_txid();
    let outpoints: Vec<OutPoint> =
        (0u32..).zip(&found.tx().output).map(|(vout, _)| OutPoint { txid, vout }).collect();
    let (chain, waiting) =
        view.look(|pool| outpoints.iter().map(|outpoint| pool.spender(outpoint)).collect::<Vec<_>>());
    let spends =
        outpoints.iter().zip(waiting).map(|(outpoint, waiting)| outspend_json(&chain, waiting, outpoint));
    Ok(Reply::Json(spends.collect::<Result<Value, Refusal>>()?))
}

pub(super) fn pool(view: &View) -> Result<Reply, Refusal> {
    let (_, value) = view.look(|pool| {
        let (mut count, mut vsize, mut fee) = (0u64, 0u64, 0u64);
        for tx in pool.iter() {
            (count, vsize, fee) = (count + 1, vsize + tx.vsize(), fee + tx.fee);
        }
        json!({ "count": count, "vsize": vsize, "total_fee": fee, "fee_histogram": pool.histogram() })
    });
    Ok(Reply::Json(value))
}

pub(super) fn pool_txids(view: &View) -> Result<Reply, Refusal> {
    let (_, txids) = view.look(|pool| pool.iter().map(|tx| tx.txid).collect::<Vec<_>>());
    Ok(Reply::Json(json!(txids)))
}

pub(super) fn pool_recent(view: &View) -> Result<Reply, Refusal> {
    let (_, recent) = view.look(|pool| pool.recent());
    let values = recent.iter().map(|tx| {
        let value: u64 = tx.tx.output.iter().map(|output| output.value.to_sat()).sum();
        json!({ "txid": tx.txid, "fee": tx.fee, "vsize": tx.vsize(), "value": value })
    });
    Ok(Reply::Json(values.collect()))
}

/// Fee rates in maxwell per vbyte, by the number of blocks to wait.
pub(super) fn fee_estimates(view: &View) -> Result<Reply, Refusal> {
    let rates = TARGETS.into_iter().map(|blocks| (blocks.to_string(), json!(view.fee_rate(blocks))));
    Ok(Reply::Json(Value::Object(rates.collect())))
}
