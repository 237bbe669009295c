//! Histories and coins of a script, named by its address or by its hash.

use std::sync::Arc;

use bitcoin::Txid;
use mass_ledger_utxo::address;
use serde_json::{Value, json};

use super::{
    TXS_PER_PAGE, answers,
    reply::{Refusal, Reply},
};
use crate::utxo::{
    index::Place,
    view::{ChainView, PoolTx, Prevouts, ScriptHash, Totals, View},
};

/// Waiting transactions in one answer.
const WAITING_MAX: usize = 50;

/// How a request names a script.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Address(String),
    Hash(String),
}

impl Name {
    fn resolve(&self, chain: &ChainView) -> Result<ScriptHash, Refusal> {
        match self {
            Self::Hash(text) => ScriptHash::from_hex(text).ok_or_else(|| Refusal::bad("Invalid hex string")),
            Self::Address(text) => address::decode(&chain.facts().address_prefix, text)
                .map(|script| ScriptHash::of(&script))
                .map_err(|error| Refusal::bad(format!("Invalid address: {error}"))),
        }
    }
}

pub(super) fn stats(view: &View, name: &Name) -> Result<Reply, Refusal> {
    let script = name.resolve(&view.chain())?;
    let (chain, waiting) = view.look(|pool| pool.touching(&script));
    let confirmed = chain.totals(&script)?.ok_or_else(Refusal::too_long)?;
    let mut totals = Totals { tx_count: waiting.len() as u64, ..Totals::default() };
    for (_, tx) in &waiting {
        let ours = |output: &&bitcoin::TxOut| ScriptHash::of(&output.script_pubkey) == script;
        for output in tx.tx.output.iter().filter(ours) {
            totals.funded_count += 1;
            totals.funded_sum += output.value.to_sat();
        }
        for output in tx.prevouts.iter().filter(ours) {
            totals.spent_count += 1;
            totals.spent_sum += output.value.to_sat();
        }
    }
    let (key, text) = match name {
        Name::Address(text) => ("address", text),
        Name::Hash(text) => ("scripthash", text),
    };
    Ok(Reply::Json(json!({ key: text, "chain_stats": answers::totals(&confirmed),
        "mempool_stats": answers::totals(&totals) })))
}

fn waiting_json(chain: &ChainView, waiting: &[(i64, Arc<PoolTx>)]) -> Vec<Value> {
    let prefix = &chain.facts().address_prefix;
    waiting.iter().take(WAITING_MAX).map(|(_, tx)| answers::waiting(prefix, tx)).collect()
}

/// 25 confirmed transactions, newest first, before one that was seen.
fn confirmed_json(
    chain: &ChainView,
    script: &ScriptHash,
    before: Option<Place>,
) -> Result<Vec<Value>, Refusal> {
    let mut spent = Prevouts::new(chain);
    let mut values = Vec::new();
    for (place, _) in chain.newest(script, before, TXS_PER_PAGE)? {
        let tx = chain.transaction_at(place)?;
        let prevouts = spent.of(&tx, place.height)?;
        let block = chain.place_at(place.height)?;
        values.push(answers::transaction(&chain.facts().address_prefix, &tx, &prevouts, Some(&block)));
    }
    Ok(values)
}

/// What waits, and the newest of the chain.
pub(super) fn txs(view: &View, name: &Name) -> Result<Reply, Refusal> {
    let script = name.resolve(&view.chain())?;
    let (chain, waiting) = view.look(|pool| pool.touching(&script));
    let mut values = waiting_json(&chain, &waiting);
    values.extend(confirmed_json(&chain, &script, None)?);
    Ok(Reply::Json(Value::Array(values)))
}

pub(super) fn chain_txs(view: &View, name: &Name, last_seen: Option<&str>) -> Result<Reply, Refusal> {
    let chain = view.chain();
    let script = name.resolve(&chain)?;
    let last_seen: Option<Txid> =
        last_seen.map(|txid| txid.parse().map_err(|_| Refusal::bad("Invalid hex string"))).transpose()?;
    let before = match last_seen {
        // One that is not in the chain is followed by nothing.
        Some(txid) => match chain.tx_place(&txid)? {
            Some(place) => Some(place),
            None => return Ok(Reply::Json(json!([]))),
        },
        None => None,
    };
    Ok(Reply::Json(Value::Array(confirmed_json(&chain, &script, before)?)))
}

pub(super) fn pool_txs(view: &View, name: &Name) -> Result<Reply, Refusal> {
    let script = name.resolve(&view.chain())?;
    let (chain, waiting) = view.look(|pool| pool.touching(&script));
    Ok(Reply::Json(Value::Array(waiting_json(&chain, &waiting))))
}

pub(super) fn unspent(view: &View, name: &Name) -> Result<Reply, Refusal> {
    let (chain, coins) = view.coins(&name.resolve(&view.chain())?)?.ok_or_else(Refusal::too_long)?;
    let values = coins.iter().map(|coin| {
        let place = coin.place.map(|place| chain.place_at(place.height)).transpose()?;
        Ok(json!({ "txid": coin.outpoint.txid, "vout": coin.outpoint.vout, "value": coin.amount,
            "status": answers::status(place.as_ref()) }))
    });
    Ok(Reply::Json(values.collect::<Result<Value, Refusal>>()?))
}
