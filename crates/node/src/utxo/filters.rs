//! Compact filters of Mass Net's blocks, and the other answers to wallets that trust no node.
//!
//! The index `filter` has for each height the filter's header (BIP-157) and the filter (BIP-158). A header commits to
//! all filters below, so two nodes that agree on one agree on all of them.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{
    BlockHash, FilterHeader, Transaction, Txid, bip158::BlockFilter, consensus::encode::serialize_hex,
    hashes::Hash as _,
};
use mass_consensus::ledger::StateRead as _;
use mass_ledger_utxo::{UtxoLedger, body::Body, filter::basic_filter};
use mass_primitives::{BlockId, Height};
use mass_rpc::{
    ErrorObjectOwned, FILTERS_MAX, Filter, Filters, HEADERS_MAX, Headers, LightServer, RpcResult,
    async_trait, errors,
};
use mass_storage::{KeyValue, Snapshot};
use serde_json::{Value, json};

use super::index::{damaged, find_transaction, inputs, open, spent_output};
use crate::{
    api::{fault, tree_node},
    chain::{Chain, refusal},
    error::ChainError,
    index::BlockToIndex,
    queries::Queries,
    standard::not_stored,
};

/// Name of the index of filters.
pub const FILTER: &str = "filter";

/// Bytes of filters after which an answer has no more.
const ANSWER_BYTES: usize = 4 << 20;
/// Bytes of transactions in one answer at the most.
const SPENT_BYTES_MAX: usize = 7 << 20;
const FILTER_HEADER_BYTES: usize = 32;

/// What a block has in the index of filters.
pub(super) fn entries(
    block: &BlockToIndex<'_>,
    txs: &[(Txid, &Transaction)],
) -> Result<Vec<KeyValue>, ChainError> {
    let own: BTreeMap<&Txid, &Transaction> = txs.iter().map(|(txid, tx)| (txid, *tx)).collect();
    let outpoints = txs.iter().flat_map(|(_, tx)| inputs(block, tx)).map(|(_, outpoint)| outpoint);
    let spent = outpoints.map(|outpoint| spent_output(block, &own, outpoint));
    let spent = spent.collect::<Result<Vec<_>, _>>()?;
    let scripts = spent.iter().map(|output| output.script_pubkey.as_script());
    let filter =
        basic_filter(&BlockHash::from_byte_array(block.id.get()), txs.iter().map(|(_, tx)| *tx), scripts);
    let previous = match block.height.get().checked_sub(1) {
        None => FilterHeader::all_zeros(),
        Some(below) => {
            let value = block.indexes.get(FILTER, &below.to_be_bytes())?.unwrap_or_default();
            split(&value).ok_or_else(|| damaged(FILTER))?.0
        }
    };
    let header = filter.filter_header(&previous);
    let value = [header.as_byte_array().as_slice(), &filter.content].concat();
    Ok(vec![(block.height.get().to_be_bytes().to_vec(), value)])
}

fn split(value: &[u8]) -> Option<(FilterHeader, BlockFilter)> {
    let (header, filter) = value.split_first_chunk::<FILTER_HEADER_BYTES>()?;
    Some((FilterHeader::from_byte_array(*header), BlockFilter { content: filter.to_vec() }))
}

/// The filter header and the filter at a height; `None` if the index has not come so far.
fn filter_at(snapshot: &Snapshot, height: Height) -> Result<Option<(FilterHeader, BlockFilter)>, ChainError> {
    let Some(value) = open(snapshot, FILTER)?.get(&height.get().to_be_bytes())? else { return Ok(None) };
    split(&value).map(Some).ok_or_else(|| damaged(FILTER))
}

/// The answers.
pub(super) struct LightApi(pub(super) Queries<UtxoLedger>);

fn in_range(from: u32, count: u32, most: u32, tip: u32) -> std::ops::RangeInclusive<u32> {
    from..=from.saturating_add(count.min(most)).saturating_sub(1).min(tip)
}

fn headers(chain: &Chain<UtxoLedger>, from: Height, count: u32) -> RpcResult<Headers> {
    if from == Height::ZERO {
        return Err(errors::invalid_parameter("block 0 has no seal: headers begin at height 1"));
    }
    let tip = tree_node(chain, chain.engine().tip())?.height;
    let mut headers = Vec::new();
    for height in in_range(from.get(), count, HEADERS_MAX, tip.get()) {
        let missing = || errors::misc(format!("no header of height {height}"));
        let id = chain.store().active_id(Height::new(height)).map_err(fault)?.ok_or_else(missing)?;
        headers.push(hex::encode(chain.store().header(&id).map_err(fault)?.ok_or_else(missing)?.bytes));
    }
    Ok(Headers { tip, headers })
}

fn filters(chain: &Chain<UtxoLedger>, from: Height, count: u32) -> RpcResult<Filters> {
    let snapshot = chain.store().snapshot().map_err(fault)?;
    let tip = tree_node(chain, chain.engine().tip())?.height;
    let previous = match from.get().checked_sub(1) {
        None => FilterHeader::all_zeros(),
        Some(below) => filter_at(&snapshot, Height::new(below)).map_err(no_index)?.ok_or_else(behind)?.0,
    };
    let (mut filters, mut bytes) = (Vec::new(), 0);
    for height in in_range(from.get(), count, FILTERS_MAX, tip.get()).map(Height::new) {
        let Some((_, filter)) = filter_at(&snapshot, height).map_err(no_index)? else { break };
        let missing = || errors::misc(format!("no block of height {height}"));
        let hash = snapshot.active_id(height).map_err(fault)?.ok_or_else(missing)?;
        bytes += filter.content.len();
        filters.push(Filter { hash, filter: hex::encode(&filter.content) });
        if bytes >= ANSWER_BYTES {
            break;
        }
    }
    Ok(Filters { previous: hex::encode(previous.as_byte_array()), filters })
}

fn no_index(error: ChainError) -> ErrorObjectOwned {
    match error {
        ChainError::NoIndex(_) => errors::misc("Index is not enabled for filtertype basic"),
        other => fault(other),
    }
}

fn behind() -> ErrorObjectOwned {
    errors::misc("Filter not found. Block filters are still in the process of being indexed.")
}

fn block_filter(chain: &Chain<UtxoLedger>, hash: &BlockId) -> RpcResult<Value> {
    let node = chain.engine().tree().get(hash).ok_or_else(|| errors::not_found("Block not found"))?;
    if chain.store().active_id(node.height).map_err(fault)? != Some(*hash) {
        return Err(errors::misc("Filter not found. Block was not connected to active chain."));
    }
    let snapshot = chain.store().snapshot().map_err(fault)?;
    let (header, filter) = filter_at(&snapshot, node.height).map_err(no_index)?.ok_or_else(behind)?;
    Ok(json!({ "filter": hex::encode(filter.content), "header": header.to_string() }))
}

fn body_of(chain: &Chain<UtxoLedger>, id: &BlockId) -> RpcResult<Body> {
    let Some(bytes) = chain.body(id).map_err(fault)? else {
        return Err(not_stored(chain, tree_node(chain, id)?.height));
    };
    Body::decode(&bytes, chain.ledger().params().weight_max).map_err(|error| fault(refusal(error)))
}

fn spent_transactions(chain: &Chain<UtxoLedger>, hash: &BlockId) -> RpcResult<Vec<String>> {
    let snapshot = chain.store().snapshot().map_err(fault)?;
    let body = body_of(chain, hash)?;
    if tree_node(chain, hash)?.height == Height::ZERO {
        return Ok(Vec::new());
    }
    let own: BTreeSet<Txid> = body.payments().iter().map(Transaction::compute_txid).collect();
    let spent = body.payments().iter().flat_map(|tx| &tx.input).map(|input| input.previous_output.txid);
    // Those of one block are found together.
    let mut wanted: BTreeMap<Height, BTreeSet<u32>> = BTreeMap::new();
    for txid in spent.filter(|txid| !own.contains(txid)).collect::<BTreeSet<_>>() {
        let place = find_transaction(&snapshot, &txid).map_err(fault)?;
        let place =
            place.ok_or_else(|| errors::misc(format!("no transaction {txid}: the index is behind")))?;
        wanted.entry(place.height).or_default().insert(place.position);
    }
    let (mut found, mut bytes) = (Vec::new(), 0);
    for (height, positions) in wanted {
        let missing = || errors::misc(format!("no block of height {height}"));
        let body = body_of(chain, &snapshot.active_id(height).map_err(fault)?.ok_or_else(missing)?)?;
        for position in positions {
            let tx = match position.checked_sub(1) {
                None => Some(body.coinbase()),
                Some(position) => body.payments().get(position as usize),
            };
            found.push(serialize_hex(tx.ok_or_else(missing)?));
            bytes += found.last().map_or(0, String::len);
            if bytes > 2 * SPENT_BYTES_MAX {
                return Err(errors::misc("the transactions are too long for one answer"));
            }
        }
    }
    Ok(found)
}

#[async_trait]
impl LightServer for LightApi {
    async fn headers(&self, from: Height, count: u32) -> RpcResult<Headers> {
        self.0.answer(move |node| headers(node.chain(), from, count)).await
    }

    async fn filters(&self, from: Height, count: u32) -> RpcResult<Filters> {
        self.0.answer(move |node| filters(node.chain(), from, count)).await
    }

    async fn spent_transactions(&self, hash: BlockId) -> RpcResult<Vec<String>> {
        self.0.answer(move |node| spent_transactions(node.chain(), &hash)).await
    }

    async fn get_block_filter(&self, hash: BlockId, filter_type: Option<String>) -> RpcResult<Value> {
        if filter_type.is_some_and(|name| name != "basic") {
            return Err(errors::not_found("Unknown filtertype"));
        }
        self.0.answer(move |node| block_filter(node.chain(), &hash)).await
    }
}
