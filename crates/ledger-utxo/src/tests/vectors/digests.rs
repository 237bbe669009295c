//! What the ledger takes from the crate `bitcoin`: legacy digests (which it never asks for), taproot trees,
//! digests and signatures, and block filters.

use std::collections::{BTreeMap, VecDeque};

use bitcoin::{
    Block, OutPoint, ScriptBuf, Transaction, TxOut, XOnlyPublicKey,
    bip158::{BlockFilter, FilterHeader},
    consensus::encode::deserialize,
    hashes::Hash,
    opcodes::all::OP_CODESEPARATOR,
    secp256k1::Secp256k1,
    sighash::{Prevouts, SighashCache, TapSighashType},
    taproot::{LeafVersion, NodeInfo, TaprootSpendInfo},
};
use serde_json::Value;

use super::{LEGACY, Outcome, Report, hex, parse, read};
use crate::witness::{Spending, verify_inputs};

pub fn run_sighash() -> Report {
    let mut report = Report::default();
    for (number, case) in read("sighash.json").iter().enumerate().skip(1) {
        report.add(format!("case {number}"), sighash(case));
    }
    report
}

fn sighash(case: &Value) -> Outcome {
    let tx: Transaction = deserialize(&hex(&case[0])).unwrap();
    let script = ScriptBuf::from_bytes(hex(&case[1]));
    let separated = |script: &ScriptBuf| {
        script
            .instructions()
            .any(|found| matches!(found, Ok(found) if found.opcode() == Some(OP_CODESEPARATOR)))
            || script.instructions().any(|found| found.is_err())
    };
    if separated(&script) {
        return Outcome::Skipped(
            "legacy: OP_CODESEPARATOR in a script without witness, which the crate leaves out",
        );
    }
    let input = usize::try_from(case[2].as_u64().unwrap()).unwrap();
    let kind = i32::try_from(case[3].as_i64().unwrap()).unwrap();
    let digest =
        SighashCache::new(&tx).legacy_signature_hash(input, &script, u32::from_le_bytes(kind.to_le_bytes()));
    // The vectors write it backwards, as an id.
    let digest: Vec<u8> = digest.unwrap().to_byte_array().into_iter().rev().collect();
    if digest == hex(&case[4]) { Outcome::Agrees } else { Outcome::Differs("another digest".into()) }
}

pub fn run_taproot() -> Report {
    let mut report = Report::default();
    let vectors = parse("bip341_wallet_vectors.json");
    for (number, case) in vectors["scriptPubKey"].as_array().unwrap().iter().enumerate() {
        report.add(format!("scriptPubKey {number}"), taproot_output(case));
    }
    for (number, case) in vectors["keyPathSpending"].as_array().unwrap().iter().enumerate() {
        taproot_spends(number, case, &mut report);
    }
    report
}

fn node(tree: &Value) -> NodeInfo {
    match tree {
        Value::Array(pair) => NodeInfo::combine(node(&pair[0]), node(&pair[1])).unwrap(),
        leaf => {
            let version = u8::try_from(leaf["leafVersion"].as_u64().unwrap()).unwrap();
            let version = LeafVersion::from_consensus(version).unwrap();
            NodeInfo::new_leaf_with_ver(ScriptBuf::from_bytes(hex(&leaf["script"])), version)
        }
    }
}

fn taproot_output(case: &Value) -> Outcome {
    let secp = Secp256k1::new();
    let key: XOnlyPublicKey = case["given"]["internalPubkey"].as_str().unwrap().parse().unwrap();
    let tree = match &case["given"]["scriptTree"] {
        Value::Null => TaprootSpendInfo::new_key_spend(&secp, key, None),
        tree => TaprootSpendInfo::from_node_info(&secp, key, node(tree)),
    };
    let script = ScriptBuf::new_p2tr_tweaked(tree.output_key());
    let address = case["expected"]["bip350Address"].as_str().unwrap();
    let found = (script.to_hex_string(), crate::address::encode("bc", &script).unwrap());
    let expected = (case["expected"]["scriptPubKey"].as_str().unwrap().to_owned(), address.to_owned());
    if found == expected { Outcome::Agrees } else { Outcome::Differs(format!("{found:?}")) }
}

/// Each input of the signed transaction through the door, and the digest of each that is by key.
fn taproot_spends(number: usize, case: &Value, report: &mut Report) {
    let tx: Transaction = deserialize(&hex(&case["auxiliary"]["fullySignedTx"])).unwrap();
    let output = |utxo: &Value| TxOut {
        value: bitcoin::Amount::from_sat(utxo["amountSats"].as_u64().unwrap()),
        script_pubkey: ScriptBuf::from_bytes(hex(&utxo["scriptPubKey"])),
    };
    let spent: Vec<_> = case["given"]["utxosSpent"].as_array().unwrap().iter().map(output).collect();
    let spending = Spending { tx: &tx, txid: tx.compute_txid(), spent: spent.clone() };
    let secp = Secp256k1::verification_only();
    for (input, output) in spent.iter().enumerate() {
        let outcome = if output.script_pubkey.is_witness_program() {
            match verify_inputs(&secp, &spending, input..input + 1) {
                Ok(()) => Outcome::Agrees,
                Err(error) => Outcome::Differs(error.to_string()),
            }
        } else {
            Outcome::Skipped(LEGACY)
        };
        report.add(format!("keyPathSpending {number}: input {input} spent"), outcome);
    }
    for case in case["inputSpending"].as_array().unwrap() {
        let input = usize::try_from(case["given"]["txinIndex"].as_u64().unwrap()).unwrap();
        let kind = u8::try_from(case["given"]["hashType"].as_u64().unwrap()).unwrap();
        let kind = TapSighashType::from_consensus_u8(kind).unwrap();
        let digest =
            SighashCache::new(&tx).taproot_key_spend_signature_hash(input, &Prevouts::All(&spent), kind);
        let digest = digest.unwrap().to_byte_array().to_vec();
        let agrees = digest == hex(&case["intermediary"]["sigHash"]);
        let outcome = if agrees { Outcome::Agrees } else { Outcome::Differs("another digest".into()) };
        report.add(format!("keyPathSpending {number}: input {input} digest"), outcome);
    }
}

pub fn run_filters() -> Report {
    let mut report = Report::default();
    for case in read("blockfilters.json").iter().skip(1) {
        report.add(format!("block {} {}", case[0], case[7]), filter(case));
    }
    report
}

fn filter(case: &Value) -> Outcome {
    let block: Block = deserialize(&hex(&case[2])).unwrap();
    // The scripts stand in the order of the inputs; the coinbase has none.
    let scripts = case[3].as_array().unwrap().iter().map(|script| ScriptBuf::from_bytes(hex(script)));
    let mut scripts: VecDeque<_> = scripts.collect();
    let inputs = block.txdata.iter().skip(1).flat_map(|tx| &tx.input);
    let spent: BTreeMap<OutPoint, ScriptBuf> =
        inputs.filter_map(|input| Some((input.previous_output, scripts.pop_front()?))).collect();
    let lookup = |outpoint: &OutPoint| {
        spent.get(outpoint).cloned().ok_or(bitcoin::bip158::Error::UtxoMissing(*outpoint))
    };
    let filter = match BlockFilter::new_script_filter(&block, lookup) {
        Ok(filter) => filter,
        Err(error) => return Outcome::Differs(error.to_string()),
    };
    let previous: FilterHeader = case[4].as_str().unwrap().parse().unwrap();
    let header = filter.filter_header(&previous).to_string();
    let agrees = filter.content == hex(&case[5]) && case[6] == header;
    if agrees { Outcome::Agrees } else { Outcome::Differs(header) }
}
