//! The history of a script, and the hash that says whether it changed.

use bitcoin::{
    Txid,
    hashes::{Hash as _, HashEngine as _, sha256},
};
use serde_json::{Value, json};

use super::{methods::too_long, request::Refusal};
use crate::utxo::view::{PoolTx, ScriptHash, View};

/// A transaction in the history of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HistoryEntry {
    txid: Txid,
    /// Height of its block; 0 if it waits for one, -1 if what it spends waits, too.
    height: i64,
    /// Of one that waits, in maxwell.
    fee: Option<u64>,
}

impl HistoryEntry {
    /// Of one that waits.
    pub(super) fn waiting(height: i64, tx: &PoolTx) -> Self {
        Self { txid: tx.txid, height, fee: Some(tx.fee) }
    }

    /// As clients get it.
    pub(super) fn to_json(&self) -> Value {
        let mut value = json!({ "tx_hash": self.txid, "height": self.height });
        if let Some(fee) = self.fee {
            value["fee"] = json!(fee);
        }
        value
    }
}

/// What touches a script: the confirmed in the order of the chain, then what waits.
pub(super) fn history(view: &View, script: &ScriptHash) -> Result<Vec<HistoryEntry>, Refusal> {
    let (chain, waiting) = view.look(|pool| pool.touching(script));
    let confirmed = chain.history(script)?.ok_or_else(too_long)?;
    let confirmed = confirmed.into_iter().map(|(place, txid)| HistoryEntry {
        txid,
        height: place.height.get().into(),
        fee: None,
    });
    Ok(confirmed.chain(waiting.iter().map(|(height, tx)| HistoryEntry::waiting(*height, tx))).collect())
}

/// The status of a history, before protocol 1.5: SHA-256 of `txid:height:` of each entry; `None` if there is none.
pub(super) fn status(history: &[HistoryEntry]) -> Option<String> {
    if history.is_empty() {
        return None;
    }
    let mut engine = sha256::Hash::engine();
    for entry in history {
        engine.input(format!("{}:{}:", entry.txid, entry.height).as_bytes());
    }
    Some(hex::encode(sha256::Hash::from_engine(engine).to_byte_array()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_hash_of_ids_and_heights() {
        assert_eq!(status(&[]), None);
        let entry =
            |byte: u8, height| HistoryEntry { txid: Txid::from_byte_array([byte; 32]), height, fee: None };
        let text = format!("{}:7:{}:-1:", "01".repeat(32), "02".repeat(32));
        let expected = hex::encode(sha256::Hash::hash(text.as_bytes()).to_byte_array());
        assert_eq!(status(&[entry(1, 7), entry(2, -1)]), Some(expected));
    }
}
