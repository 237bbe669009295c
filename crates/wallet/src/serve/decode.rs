//! Calls on PSBTs that need no keys.

use bitcoin::{Psbt, psbt};
use mass_primitives::Amount;
use mass_rpc::{RpcResult, errors as core};
use serde_json::{Map, Value, json};

use super::{
    Call, Method,
    answers::{mass, script, transaction, transaction_hex},
    errors, method,
};
use crate::psbt::{combine, finalize, parse_psbt};

/// PSBTs that are combined in one call at the most.
const COMBINED_MAX: usize = 100;

pub(super) const METHODS: &[Method] = &[
    method("finalizepsbt", &["psbt", "extract"]),
    method("combinepsbt", &["txs"]),
    method("decodepsbt", &["psbt"]),
];

pub(super) fn run(method: &str, call: &Call<'_>) -> RpcResult<Value> {
    match method {
        "finalizepsbt" => finalized(call),
        "combinepsbt" => {
            let list = call.args.list("txs")?;
            if list.is_empty() || list.len() > COMBINED_MAX {
                return Err(core::invalid_parameter(format!(
                    "Parameter 'txs' has 1 to {COMBINED_MAX} entries"
                )));
            }
            let parse = |text: &Value| parse_psbt(text.as_str().unwrap_or_default().as_bytes());
            let psbts = list.iter().map(parse).collect::<Result<_, _>>().map_err(errors::of)?;
            let combined = combine(psbts)
                .map_err(|_| core::invalid_parameter("PSBTs not compatible (different transactions)"))?;
            Ok(combined.to_string().into())
        }
        _ => Ok(decoded(call, &read(call)?)),
    }
}

fn read(call: &Call<'_>) -> RpcResult<Psbt> {
    parse_psbt(call.args.needed("psbt")?.as_bytes()).map_err(errors::of)
}

fn finalized(call: &Call<'_>) -> RpcResult<Value> {
    let psbt = read(call)?;
    let mut done = psbt.clone();
    if finalize(&mut done).is_err() {
        return Ok(json!({ "psbt": psbt.to_string(), "complete": false }));
    }
    if !call.args.flag("extract", true)? {
        return Ok(json!({ "psbt": done.to_string(), "complete": true }));
    }
    let tx = done.extract_tx().map_err(|error| errors::wallet(error.to_string()))?;
    Ok(json!({ "hex": transaction_hex(&tx), "complete": true }))
}

fn decoded(call: &Call<'_>, psbt: &Psbt) -> Value {
    let xpubs = psbt.xpub.iter().map(|(xpub, (fingerprint, path))| {
        json!({ "xpub": xpub.to_string(), "master_fingerprint": fingerprint.to_string(), "path": format!("m/{path}") })
    });
    let mut value = json!({
        "tx": transaction(call.wallet, &psbt.unsigned_tx), "global_xpubs": xpubs.collect::<Value>(),
        "psbt_version": psbt.version, "proprietary": [], "unknown": {},
        "inputs": psbt.inputs.iter().map(|one| input(call, one)).collect::<Value>(),
        "outputs": psbt.outputs.iter().map(output).collect::<Value>(),
    });
    if let Ok(fee) = psbt.fee() {
        value["fee"] = mass(Amount::new(fee.to_sat()));
    }
    value
}

fn input(call: &Call<'_>, input: &psbt::Input) -> Value {
    let mut value = Map::new();
    let mut put = |name: &str, field: Value| value.insert(name.to_owned(), field);
    if let Some(output) = &input.witness_utxo {
        let amount = mass(Amount::new(output.value.to_sat()));
        put(
            "witness_utxo",
            json!({ "amount": amount, "scriptPubKey": script(call.wallet, &output.script_pubkey) }),
        );
    }
    if let Some(tx) = &input.non_witness_utxo {
        put("non_witness_utxo", transaction(call.wallet, tx));
    }
    if !input.partial_sigs.is_empty() {
        let sigs = input.partial_sigs.iter().map(|(key, sig)| (key.to_string(), json!(sig.to_string())));
        put("partial_signatures", Value::Object(sigs.collect()));
    }
    if let Some(kind) = input.sighash_type {
        put("sighash", kind.to_string().trim_start_matches("SIGHASH_").into());
    }
    if let Some(witness) = &input.witness_script {
        let own =
            json!({ "asm": witness.to_asm_string(), "hex": witness.to_hex_string(), "type": "nonstandard" });
        put("witness_script", own);
    }
    if !input.bip32_derivation.is_empty() {
        put("bip32_derivs", derivations(&input.bip32_derivation));
    }
    if let Some(witness) = &input.final_script_witness {
        put("final_scriptwitness", witness.iter().map(hex::encode).collect());
    }
    if let Some(sig) = &input.tap_key_sig {
        put("taproot_key_path_sig", hex::encode(sig.to_vec()).into());
    }
    if let Some(key) = &input.tap_internal_key {
        put("taproot_internal_key", key.to_string().into());
    }
    Value::Object(value)
}

fn output(output: &psbt::Output) -> Value {
    let mut value = Map::new();
    if !output.bip32_derivation.is_empty() {
        value.insert("bip32_derivs".to_owned(), derivations(&output.bip32_derivation));
    }
    if let Some(key) = &output.tap_internal_key {
        value.insert("taproot_internal_key".to_owned(), key.to_string().into());
    }
    Value::Object(value)
}

type Derivations = std::collections::BTreeMap<bitcoin::secp256k1::PublicKey, bitcoin::bip32::KeySource>;

fn derivations(all: &Derivations) -> Value {
    let of = all.iter().map(|(key, (fingerprint, path))| {
        json!({ "pubkey": key.to_string(), "master_fingerprint": fingerprint.to_string(), "path": format!("m/{path}") })
    });
    of.collect()
}
