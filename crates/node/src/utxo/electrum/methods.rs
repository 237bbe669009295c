//! What each method of the Electrum protocol answers.
//!
//! Amounts are in the chain's smallest unit, as wallets count; fee rates, which the protocol wants in whole coins, are
//! in units of 10^8 maxwell, as clients that think of satoshis turn them back.

use bitcoin::{Transaction, Txid, consensus::encode::serialize_hex, hashes::Hash as _};
use mass_primitives::Height;
use serde_json::{Value, json};

use super::{
    request::{Params, Refusal, Version},
    status::{HistoryEntry, history, status},
};
use crate::{
    error::ChainError,
    utxo::{
        index::Place,
        merkle,
        view::{ChainView, ScriptHash, View},
    },
};

/// Headers in one answer at the most.
pub(super) const HEADERS_MAX: u32 = 2_016;
/// Headers that a checkpoint's proof may stand on: 32 bytes are read and hashed for each.
const CHECKPOINT_MAX: u32 = 2_000_000;
/// What clients divide amounts by to get whole coins.
const COIN: f64 = 100_000_000.0;

impl From<ChainError> for Refusal {
    fn from(error: ChainError) -> Self {
        Self::node(error)
    }
}

/// A method that reads chain and pool; `None` if there is none of the name.
pub(super) fn call(view: &View, method: &str, params: &Params) -> Option<Result<Value, Refusal>> {
    let answer = match method {
        "blockchain.block.header" => header(&view.chain(), params),
        "blockchain.block.headers" => headers(&view.chain(), params),
        "blockchain.estimatefee" => params.required(0, "number").map(|blocks| json!(estimate(view, blocks))),
        "blockchain.relayfee" => Ok(json!(relay_fee(&view.chain()))),
        "blockchain.scripthash.get_balance" => balance(view, params),
        "blockchain.scripthash.get_history" => params
            .script_hash()
            .and_then(|script| Ok(history(view, &script)?.iter().map(HistoryEntry::to_json).collect())),
        "blockchain.scripthash.get_mempool" => params.script_hash().map(|script| {
            let waiting = view.look(|pool| pool.touching(&script)).1;
            waiting.iter().map(|(height, tx)| HistoryEntry::waiting(*height, tx).to_json()).collect()
        }),
        "blockchain.scripthash.listunspent" => unspent(view, params),
        "blockchain.transaction.get" => transaction(view, params),
        "blockchain.transaction.get_merkle" => tx_branch(&view.chain(), params),
        "blockchain.transaction.id_from_pos" => id_at(&view.chain(), params),
        "mempool.get_fee_histogram" => Ok(histogram(view)),
        _ => return None,
    };
    Some(answer)
}

/// The versions of program and protocol.
pub(super) fn version(version: Version) -> Value {
    json!([software(), version.to_string()])
}

fn software() -> String {
    format!("mass {}", env!("CARGO_PKG_VERSION"))
}

/// What a client finds first.
pub(super) fn banner(view: &View) -> Value {
    let chain = view.chain();
    json!(format!(
        "{} of chain {}: block ids, headers and addresses are the chain's own",
        software(),
        chain.facts().name
    ))
}

/// What the server can do.
pub(super) fn features(view: &View) -> Value {
    json!({
        "genesis_hash": view.chain().facts().genesis.to_string(), "hosts": {}, "hash_function": "sha256",
        "server_version": software(), "protocol_min": Version::OLDEST.to_string(),
        "protocol_max": Version::NEWEST.to_string(), "pruning": null,
    })
}

/// The tip as subscribers get it.
pub(super) fn tip(chain: &ChainView) -> Result<Value, Refusal> {
    let tip = chain.tip();
    let block = chain.block(&tip.id)?.ok_or_else(|| Refusal::node("the tip is missing"))?;
    Ok(json!({ "height": tip.height.get(), "hex": hex::encode(block.bytes) }))
}

/// The state of a script's history; null if there is none.
pub(super) fn script_status(view: &View, script: &ScriptHash) -> Result<Value, Refusal> {
    Ok(status(&history(view, script)?).map_or(Value::Null, Value::String))
}

/// Least fee rate in coins per 1000 vbytes.
fn relay_fee(chain: &ChainView) -> f64 {
    chain.facts().min_fee_rate() * 1000.0 / COIN
}

/// The fee rate that gets into one of the next blocks, in coins per 1000 vbytes.
fn estimate(view: &View, blocks: u32) -> f64 {
    view.fee_rate(blocks) * 1000.0 / COIN
}

fn header(chain: &ChainView, params: &Params) -> Result<Value, Refusal> {
    let height: u32 = params.required(0, "height")?;
    let checkpoint: u32 = params.optional(1, "cp_height")?.unwrap_or(0);
    let block = chain.block_at(Height::new(height))?;
    let block = block.ok_or_else(|| Refusal::bad(format!("height {height} is above the tip")))?;
    let header = hex::encode(block.bytes);
    if checkpoint == 0 {
        return Ok(json!(header));
    }
    let mut proof = checkpoint_proof(chain, height, checkpoint)?;
    proof["header"] = json!(header);
    Ok(proof)
}

fn headers(chain: &ChainView, params: &Params) -> Result<Value, Refusal> {
    let start: u32 = params.required(0, "start_height")?;
    let count: u32 = params.required(1, "count")?;
    let checkpoint: u32 = params.optional(2, "cp_height")?.unwrap_or(0);
    let mut bytes = Vec::new();
    let mut found = 0;
    while found < count.min(HEADERS_MAX)
        && let Some(height) = start.checked_add(found)
        && let Some(block) = chain.block_at(Height::new(height))?
    {
        bytes.extend(block.bytes);
        found += 1;
    }
    let mut answer = json!({ "count": found, "hex": hex::encode(bytes), "max": HEADERS_MAX });
    if found > 0 && checkpoint > 0 {
        let proof = checkpoint_proof(chain, start + (found - 1), checkpoint)?;
        answer["root"] = proof["root"].clone();
        answer["branch"] = proof["branch"].clone();
    }
    Ok(answer)
}

/// The branch of the block at a height under the root over all ids up to the checkpoint.
fn checkpoint_proof(chain: &ChainView, height: u32, checkpoint: u32) -> Result<Value, Refusal> {
    if height > checkpoint || checkpoint > chain.tip().height.get() {
        let tip = chain.tip().height;
        return Err(Refusal::bad(format!("{height} <= cp_height {checkpoint} <= {tip} does not hold")));
    }
    if checkpoint > CHECKPOINT_MAX {
        return Err(Refusal::excessive(format!("a checkpoint above height {CHECKPOINT_MAX} is too large")));
    }
    let ids = (0..=checkpoint).map(|height| {
        let id = chain.id_at(Height::new(height))?;
        Ok(*id.ok_or_else(|| Refusal::node("an active block is missing"))?.as_bytes())
    });
    let ids = ids.collect::<Result<Vec<[u8; 32]>, Refusal>>()?;
    let branch = merkle::branch(ids, height as usize).ok_or_else(|| Refusal::node("no such leaf"))?;
    Ok(json!({ "branch": branch_json(&branch), "root": reversed(&branch.root) }))
}

/// A hash with its last byte first, as people write ids.
fn reversed(hash: &[u8; 32]) -> String {
    let mut bytes = *hash;
    bytes.reverse();
    hex::encode(bytes)
}

fn branch_json(branch: &merkle::Branch) -> Value {
    branch.siblings.iter().map(reversed).collect()
}

fn balance(view: &View, params: &Params) -> Result<Value, Refusal> {
    let script = params.script_hash()?;
    let (chain, waiting) = view.look(|pool| pool.touching(&script));
    let confirmed = chain.totals(&script)?.ok_or_else(too_long)?;
    let confirmed = confirmed.funded_sum.saturating_sub(confirmed.spent_sum);
    let mut change = 0i64;
    for (_, tx) in &waiting {
        let sum = |outputs: &[bitcoin::TxOut]| -> i64 {
            let ours = outputs.iter().filter(|output| ScriptHash::of(&output.script_pubkey) == script);
            ours.map(|output| output.value.to_sat() as i64).sum()
        };
        change += sum(&tx.tx.output) - sum(&tx.prevouts);
    }
    Ok(json!({ "confirmed": confirmed, "unconfirmed": change }))
}

fn unspent(view: &View, params: &Params) -> Result<Value, Refusal> {
    let (_, coins) = view.coins(&params.script_hash()?)?.ok_or_else(too_long)?;
    let coins = coins.iter().map(|coin| {
        let height = coin.place.map_or(0, |place| place.height.get());
        json!({ "height": height, "tx_pos": coin.outpoint.vout, "tx_hash": coin.outpoint.txid, "value": coin.amount })
    });
    Ok(coins.collect())
}

/// What is said of a history that is too long to be told.
pub(super) fn too_long() -> Refusal {
    Refusal::excessive("history too large")
}

/// A transaction of chain or pool, and where it stands.
fn find(view: &View, txid: &Txid) -> Result<(Transaction, Option<Place>), Refusal> {
    let (chain, waiting) = view.look(|pool| pool.get(txid).cloned());
    if let Some(tx) = waiting {
        return Ok((tx.tx.clone(), None));
    }
    let found = chain.transaction(txid)?;
    let (tx, place) = found.ok_or_else(|| {
        Refusal::node(
            "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.",
        )
    })?;
    Ok((tx, Some(place)))
}

fn transaction(view: &View, params: &Params) -> Result<Value, Refusal> {
    let txid = params.txid()?;
    let verbose: bool = params.optional(1, "verbose")?.unwrap_or(false);
    let (tx, place) = find(view, &txid)?;
    if !verbose {
        return Ok(json!(serialize_hex(&tx)));
    }
    let chain = view.chain();
    let prefix = &chain.facts().address_prefix;
    let inputs = tx.input.iter().map(|input| {
        let witness: Vec<String> = input.witness.iter().map(hex::encode).collect();
        let mut value = json!({ "sequence": input.sequence.0, "txinwitness": witness });
        if tx.is_coinbase() {
            value["coinbase"] = json!(input.script_sig.to_hex_string());
        } else {
            value["txid"] = json!(input.previous_output.txid);
            value["vout"] = json!(input.previous_output.vout);
            value["scriptSig"] = json!({ "asm": "", "hex": input.script_sig.to_hex_string() });
        }
        value
    });
    let outputs = tx.output.iter().enumerate().map(|(number, output)| {
        let script = &output.script_pubkey;
        json!({ "n": number, "value": output.value.to_sat() as f64 / COIN, "scriptPubKey": {
            "hex": script.to_hex_string(), "asm": script.to_asm_string(),
            "address": mass_ledger_utxo::address::encode(prefix, script).ok(),
        }})
    });
    let mut value = json!({
        "txid": txid, "hash": tx.compute_wtxid(), "hex": serialize_hex(&tx), "version": tx.version.0,
        "locktime": tx.lock_time.to_consensus_u32(), "size": tx.total_size(), "vsize": tx.vsize(),
        "weight": tx.weight().to_wu(), "vin": inputs.collect::<Value>(), "vout": outputs.collect::<Value>(),
    });
    if let Some(place) = place {
        let block = chain.place_at(place.height)?;
        value["blockhash"] = json!(block.id);
        value["blocktime"] = json!(block.time);
        value["time"] = json!(block.time);
        value["confirmations"] = json!(chain.tip().height.get().saturating_sub(place.height.get()) + 1);
    }
    Ok(value)
}

fn txids_at(chain: &ChainView, height: Height) -> Result<Vec<Txid>, Refusal> {
    if height > chain.tip().height {
        return Err(Refusal::bad(format!("height {height} is above the tip")));
    }
    Ok(chain.transactions_at(height)?.iter().map(Transaction::compute_txid).collect())
}

fn leaves(txids: &[Txid]) -> Vec<[u8; 32]> {
    txids.iter().map(|txid| txid.to_byte_array()).collect()
}

fn tx_branch(chain: &ChainView, params: &Params) -> Result<Value, Refusal> {
    let txid = params.txid()?;
    let asked: Option<u32> = params.optional(1, "height")?;
    let place = chain.tx_place(&txid)?.filter(|place| asked.is_none_or(|asked| asked == place.height.get()));
    let place = place.ok_or_else(|| {
        let height =
            asked.map_or_else(|| "any block".to_owned(), |height| format!("block at height {height}"));
        Refusal::bad(format!("tx {txid} not in {height}"))
    })?;
    let branch = merkle::branch(leaves(&txids_at(chain, place.height)?), place.position as usize);
    let branch = branch.ok_or_else(|| Refusal::node("the index is wrong"))?;
    Ok(json!({ "block_height": place.height.get(), "merkle": branch_json(&branch), "pos": place.position }))
}

fn id_at(chain: &ChainView, params: &Params) -> Result<Value, Refusal> {
    let (height, position): (u32, usize) = (params.required(0, "height")?, params.required(1, "tx_pos")?);
    let with_branch: bool = params.optional(2, "merkle")?.unwrap_or(false);
    let txids = txids_at(chain, Height::new(height))?;
    let missing = || Refusal::bad(format!("no tx at position {position} in block at height {height}"));
    let txid = txids.get(position).ok_or_else(missing)?;
    if !with_branch {
        return Ok(json!(txid));
    }
    let branch = merkle::branch(leaves(&txids), position).ok_or_else(missing)?;
    Ok(json!({ "tx_hash": txid, "merkle": branch_json(&branch) }))
}

fn histogram(view: &View) -> Value {
    let (_, steps) = view.look(|pool| pool.histogram());
    steps.iter().map(|(rate, size)| json!([rate, size])).collect()
}
