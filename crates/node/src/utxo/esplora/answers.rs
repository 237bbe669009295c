//! Esplora's JSON of transactions, blocks and outputs.

use bitcoin::{Script, Transaction, TxIn, TxOut, Txid, block};
use mass_ledger_utxo::address;
use mass_primitives::BlockId;
use serde_json::{Value, json};

use crate::{
    error::ChainError,
    utxo::view::{BlockPlace, ChainView, PoolTx, StoredBlock, Totals},
};

/// Whether a transaction is in a block, and in which one.
pub(super) fn status(place: Option<&BlockPlace>) -> Value {
    match place {
        Some(place) => json!({ "confirmed": true, "block_height": place.height.get(),
            "block_hash": place.id.to_string(), "block_time": place.time }),
        None => json!({ "confirmed": false }),
    }
}

/// A transaction. What it spends is given in the order of its inputs, and nothing for a coinbase.
pub(super) fn transaction(
    prefix: &str,
    tx: &Transaction,
    prevouts: &[Option<TxOut>],
    place: Option<&BlockPlace>,
) -> Value {
    let inputs = tx.input.iter().zip(prevouts.iter().map(Option::as_ref).chain(std::iter::repeat(None)));
    let inputs: Vec<Value> = inputs.map(|(input, prevout)| self::input(prefix, tx, input, prevout)).collect();
    let outputs: Vec<Value> = tx.output.iter().map(|output| self::output(prefix, output)).collect();
    let spent: Option<u64> =
        prevouts.iter().map(|prevout| prevout.as_ref().map(|output| output.value.to_sat())).sum();
    let paid: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
    let fee = spent.filter(|_| !tx.is_coinbase()).map_or(0, |spent| spent.saturating_sub(paid));
    json!({
        "txid": tx.compute_txid(), "version": tx.version.0, "locktime": tx.lock_time.to_consensus_u32(),
        "vin": inputs, "vout": outputs, "size": tx.total_size(), "weight": tx.weight().to_wu(), "fee": fee,
        "status": status(place),
    })
}

/// A transaction that waits.
pub(super) fn waiting(prefix: &str, tx: &PoolTx) -> Value {
    let prevouts: Vec<Option<TxOut>> = tx.prevouts.iter().cloned().map(Some).collect();
    transaction(prefix, &tx.tx, &prevouts, None)
}

fn input(prefix: &str, tx: &Transaction, input: &TxIn, prevout: Option<&TxOut>) -> Value {
    let witness: Vec<String> = input.witness.iter().map(hex::encode).collect();
    let mut value = json!({
        "txid": input.previous_output.txid, "vout": input.previous_output.vout,
        "prevout": prevout.map(|output| self::output(prefix, output)),
        "scriptsig": input.script_sig.to_hex_string(), "scriptsig_asm": input.script_sig.to_asm_string(),
        "witness": witness, "is_coinbase": tx.is_coinbase(), "sequence": input.sequence.0,
    });
    let script = prevout.filter(|output| output.script_pubkey.is_p2wsh()).and_then(|_| input.witness.last());
    if let Some(script) = script {
        value["inner_witnessscript_asm"] = json!(Script::from_bytes(script).to_asm_string());
    }
    value
}

fn output(prefix: &str, output: &TxOut) -> Value {
    let script = &output.script_pubkey;
    let mut value = json!({
        "scriptpubkey": script.to_hex_string(), "scriptpubkey_asm": script.to_asm_string(),
        "scriptpubkey_type": kind(script), "value": output.value.to_sat(),
    });
    if let Ok(address) = address::encode(prefix, script) {
        value["scriptpubkey_address"] = json!(address);
    }
    value
}

fn kind(script: &Script) -> &'static str {
    if script.is_empty() {
        "empty"
    } else if script.is_op_return() {
        "op_return"
    } else if script.is_p2wpkh() {
        "v0_p2wpkh"
    } else if script.is_p2wsh() {
        "v0_p2wsh"
    } else if script.is_p2tr() {
        "v1_p2tr"
    } else {
        "unknown"
    }
}

/// A block with what its body weighs. Its version, of which every bit is used here, is signed as in Bitcoin.
pub(super) fn block(
    chain: &ChainView,
    id: &BlockId,
    block: &StoredBlock,
) -> Result<Option<Value>, ChainError> {
    let Some(body) = chain.body(id)? else { return Ok(None) };
    let txs = chain.transactions(id)?.unwrap_or_default();
    // All but witnesses counts four times, as do the header and the count of transactions.
    let stripped: usize = txs.iter().map(Transaction::base_size).sum();
    let total: usize = txs.iter().map(Transaction::total_size).sum();
    let size = block.bytes.len() + body.len();
    let weight = 4 * (size - total) + 3 * stripped + total;
    let header = &block.header;
    let bitcoin_header: Option<block::Header> = bitcoin::consensus::deserialize(&block.bytes).ok();
    Ok(Some(json!({
        "id": id.to_string(), "height": block.height.get(), "version": header.version.cast_signed(), "timestamp": header.time,
        "tx_count": txs.len(), "size": size, "weight": weight,
        "merkle_root": bitcoin_header.map(|header| header.merkle_root.to_string()),
        "previousblockhash": (block.height.get() > 0).then(|| header.parent.to_string()),
        "mediantime": chain.median_time(id)?, "nonce": header.nonce, "bits": header.bits,
        "difficulty": bitcoin_header.map_or(0.0, |header| header.difficulty_float()),
    })))
}

/// Sums over a history.
pub(super) fn totals(totals: &Totals) -> Value {
    json!({
        "tx_count": totals.tx_count, "funded_txo_count": totals.funded_count, "funded_txo_sum": totals.funded_sum,
        "spent_txo_count": totals.spent_count, "spent_txo_sum": totals.spent_sum,
    })
}

/// Who spends an output.
pub(super) fn outspend(spend: Option<(Txid, u32, Option<BlockPlace>)>) -> Value {
    match spend {
        Some((txid, vin, place)) => {
            json!({ "spent": true, "txid": txid, "vin": vin, "status": status(place.as_ref()) })
        }
        None => json!({ "spent": false }),
    }
}
