//! Blocks, by height and by id.

use bitcoin::Transaction;
use mass_primitives::{BlockId, Height};
use serde_json::{Value, json};

use super::{
    TXS_PER_PAGE, answers,
    reply::{Refusal, Reply},
};
use crate::utxo::view::{ChainView, Prevouts, View};

/// Blocks in one answer.
const BLOCKS_PER_PAGE: u32 = 10;

fn missing() -> Refusal {
    Refusal::missing("Block not found")
}

fn parse(id: &str) -> Result<BlockId, Refusal> {
    id.parse().map_err(|_| Refusal::bad("Invalid hex string"))
}

pub(super) fn number(text: &str) -> Result<u32, Refusal> {
    text.parse().map_err(|_| Refusal::bad("Invalid number"))
}

pub(super) fn tip_height(view: &View) -> Result<Reply, Refusal> {
    Ok(Reply::Text(view.chain().tip().height.to_string()))
}

pub(super) fn tip_id(view: &View) -> Result<Reply, Refusal> {
    Ok(Reply::Text(view.chain().tip().id.to_string()))
}

/// The block at a height, and for height 0 what is given instead of the chain's own.
pub(super) fn id_at(view: &View, genesis: Option<BlockId>, height: &str) -> Result<Reply, Refusal> {
    let height = Height::new(number(height)?);
    let id = view.chain().id_at(height)?.ok_or_else(missing)?;
    let genesis = genesis.filter(|_| height == Height::ZERO);
    Ok(Reply::Text(genesis.unwrap_or(id).to_string()))
}

/// Ten blocks, from `start` or the tip down.
pub(super) fn page(view: &View, start: Option<&str>) -> Result<Reply, Refusal> {
    let chain = view.chain();
    let tip = chain.tip().height.get();
    let start = start.map(number).transpose()?.unwrap_or(tip).min(tip);
    let heights = (start.saturating_sub(BLOCKS_PER_PAGE - 1)..=start).rev();
    let blocks = heights.map(|height| {
        let id = chain.id_at(Height::new(height))?.ok_or_else(missing)?;
        block_json(&chain, &id)
    });
    Ok(Reply::Json(blocks.collect::<Result<Value, Refusal>>()?))
}

fn block_json(chain: &ChainView, id: &BlockId) -> Result<Value, Refusal> {
    let block = chain.block(id)?.ok_or_else(missing)?;
    answers::block(chain, id, &block)?.ok_or_else(missing)
}

pub(super) fn block(view: &View, id: &str) -> Result<Reply, Refusal> {
    Ok(Reply::Json(block_json(&view.chain(), &parse(id)?)?))
}

pub(super) fn header(view: &View, id: &str) -> Result<Reply, Refusal> {
    let block = view.chain().block(&parse(id)?)?.ok_or_else(missing)?;
    Ok(Reply::Text(hex::encode(block.bytes)))
}

pub(super) fn raw(view: &View, id: &str) -> Result<Reply, Refusal> {
    let (chain, id) = (view.chain(), parse(id)?);
    let block = chain.block(&id)?.ok_or_else(missing)?;
    let body = chain.body(&id)?.ok_or_else(missing)?;
    Ok(Reply::Bytes([block.bytes.as_slice(), &body].concat()))
}

pub(super) fn status(view: &View, id: &str) -> Result<Reply, Refusal> {
    let chain = view.chain();
    let Some(place) = chain.place(&parse(id)?)? else {
        return Ok(Reply::Json(json!({ "in_best_chain": false })));
    };
    let next = place.height.next().map(|next| chain.id_at(next)).transpose()?.flatten();
    Ok(Reply::Json(json!({ "in_best_chain": true, "height": place.height.get(),
        "next_best": next.map(|id| id.to_string()) })))
}

fn transactions(chain: &ChainView, id: &str) -> Result<(BlockId, Vec<Transaction>), Refusal> {
    let id = parse(id)?;
    Ok((id, chain.transactions(&id)?.ok_or_else(missing)?))
}

pub(super) fn txids(view: &View, id: &str) -> Result<Reply, Refusal> {
    let (_, txs) = transactions(&view.chain(), id)?;
    Ok(Reply::Json(txs.iter().map(|tx| json!(tx.compute_txid())).collect()))
}

pub(super) fn txid(view: &View, id: &str, position: &str) -> Result<Reply, Refusal> {
    let (_, txs) = transactions(&view.chain(), id)?;
    let tx = txs.get(number(position)? as usize).ok_or_else(|| Refusal::missing("tx index out of range"))?;
    Ok(Reply::Text(tx.compute_txid().to_string()))
}

/// 25 transactions of a block from a multiple of 25 on.
pub(super) fn txs(view: &View, id: &str, start: Option<&str>) -> Result<Reply, Refusal> {
    let chain = view.chain();
    let start = start.map(number).transpose()?.unwrap_or(0) as usize;
    if !start.is_multiple_of(TXS_PER_PAGE) {
        return Err(Refusal::bad(format!("start index must be a multiple of {TXS_PER_PAGE}")));
    }
    let (id, txs) = transactions(&chain, id)?;
    if start >= txs.len() {
        return Err(Refusal::missing("start index out of range"));
    }
    let (place, mut spent) = (chain.place(&id)?, Prevouts::new(&chain));
    let values = txs.iter().skip(start).take(TXS_PER_PAGE).map(|tx| {
        // What a block off the chain spent is not known any more.
        let prevouts = place.map_or_else(|| Ok(Vec::new()), |place| spent.of(tx, place.height))?;
        Ok(answers::transaction(&chain.facts().address_prefix, tx, &prevouts, place.as_ref()))
    });
    Ok(Reply::Json(values.collect::<Result<Value, Refusal>>()?))
}
