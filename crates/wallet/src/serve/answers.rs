//! Pieces that several answers have.

use bitcoin::{Script, Transaction, consensus::encode::serialize_hex};
use mass_ledger_utxo::format_mass;
use mass_primitives::Amount;
use serde_json::{Value, json};

use crate::wallet::Wallet;

/// An amount in MASS as a number.
pub(super) fn mass(amount: Amount) -> Value {
    signed(amount.get() as i64)
}

/// An amount that may be negative, in maxwell, as a number of MASS. Such numbers have 16 digits at the most, which JSON
/// numbers hold.
pub(super) fn signed(maxwell: i64) -> Value {
    let sign = if maxwell < 0 { "-" } else { "" };
    let text = format!("{sign}{}", format_mass(Amount::new(maxwell.unsigned_abs())));
    text.parse::<f64>().map_or(Value::Null, Value::from)
}

/// A script as Core's `scriptPubKey`.
pub(super) fn script(wallet: &Wallet, script: &Script) -> Value {
    let kind = if script.is_p2wpkh() {
        "witness_v0_keyhash"
    } else if script.is_p2wsh() {
        "witness_v0_scripthash"
    } else if script.is_p2tr() {
        "witness_v1_taproot"
    } else if script.is_op_return() {
        "nulldata"
    } else {
        "nonstandard"
    };
    let mut value = json!({ "asm": script.to_asm_string(), "hex": script.to_hex_string(), "type": kind });
    if let Some(address) = wallet.address_of(script) {
        value["desc"] = format!("addr({address})").into();
        value["address"] = address.into();
    }
    value
}

/// A transaction as Core's `decoderawtransaction` has it.
pub(super) fn transaction(wallet: &Wallet, tx: &Transaction) -> Value {
    let inputs = tx.input.iter().map(|input| {
        let mut value = json!({ "sequence": input.sequence.to_consensus_u32() });
        if tx.is_coinbase() {
            value["coinbase"] = input.script_sig.to_hex_string().into();
        } else {
            value["txid"] = input.previous_output.txid.to_string().into();
            value["vout"] = input.previous_output.vout.into();
            value["scriptSig"] =
                json!({ "asm": input.script_sig.to_asm_string(), "hex": input.script_sig.to_hex_string() });
        }
        if !input.witness.is_empty() {
            value["txinwitness"] = input.witness.iter().map(hex::encode).collect();
        }
        value
    });
    let outputs = tx.output.iter().enumerate().map(|(number, output)| {
        json!({ "value": mass(Amount::new(output.value.to_sat())), "n": number,
            "scriptPubKey": script(wallet, &output.script_pubkey) })
    });
    json!({
        "txid": tx.compute_txid().to_string(), "hash": tx.compute_wtxid().to_string(),
        "version": tx.version.0, "size": tx.total_size(), "vsize": tx.vsize(),
        "weight": tx.weight().to_wu(), "locktime": tx.lock_time.to_consensus_u32(),
        "vin": inputs.collect::<Value>(), "vout": outputs.collect::<Value>(),
    })
}

/// A transaction in hex.
pub(super) fn transaction_hex(tx: &Transaction) -> String {
    serialize_hex(tx)
}
