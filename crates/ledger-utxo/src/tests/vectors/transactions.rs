//! `tx_valid.json` and `tx_invalid.json`: transactions, the coins they spend, and rules: those that a valid
//! one breaks, or those that make an invalid one invalid.

use std::collections::BTreeMap;

use bitcoin::{
    Amount, OutPoint, Transaction, TxOut, Txid, consensus::encode::deserialize, secp256k1::Secp256k1,
};
use serde_json::Value;

use super::{LEGACY, NESTED, NO_COIN, Outcome, RELAY, RULE_OFF, Report, STRICTER, asm::assemble, hex, read};
use crate::{
    script::is_spendable,
    transaction::{check_amounts, check_inputs},
    witness::{Spending, verify_all},
};

const RELAY_RULES: [&str; 3] =
    ["CONST_SCRIPTCODE", "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM", "DISCOURAGE_UPGRADABLE_NOPS"];

struct Case {
    name: String,
    spent: BTreeMap<OutPoint, TxOut>,
    bytes: Vec<u8>,
    rules: Vec<String>,
}

/// The cases of a file. What comments stand before one is its name.
fn cases(file: &str) -> Vec<Case> {
    let (mut cases, mut comment) = (Vec::new(), String::new());
    for (number, fields) in read(file).iter().enumerate() {
        let [coins, tx, rules] = fields.as_array().unwrap().as_slice() else {
            comment = fields[0].as_str().unwrap_or_default().to_owned();
            continue;
        };
        cases.push(Case {
            name: format!("entry {number} ({rules}) {comment}"),
            spent: coins.as_array().unwrap().iter().map(coin).collect(),
            bytes: hex(tx),
            rules: rules.as_str().unwrap().split(',').map(str::to_owned).collect(),
        });
    }
    cases
}

fn coin(fields: &Value) -> (OutPoint, TxOut) {
    let txid: Txid = fields[0].as_str().unwrap().parse().unwrap();
    // The vectors write the position of a coinbase's missing coin as -1.
    let vout = u32::from_le_bytes(i32::try_from(fields[1].as_i64().unwrap()).unwrap().to_le_bytes());
    let value = Amount::from_sat(fields.get(3).map_or(0, |amount| amount.as_u64().unwrap()));
    (OutPoint { txid, vout }, TxOut { value, script_pubkey: assemble(fields[2].as_str().unwrap()) })
}

pub fn run_valid() -> Report {
    let mut report = Report::default();
    for case in cases("tx_valid.json") {
        let outcome = valid(&case);
        report.add(case.name, outcome);
    }
    report
}

pub fn run_invalid() -> Report {
    let mut report = Report::default();
    for case in cases("tx_invalid.json") {
        let outcome = invalid(&case);
        report.add(case.name, outcome);
    }
    report
}

/// What the rules say of the transaction by itself.
fn shape(case: &Case) -> Result<Transaction, String> {
    let tx: Transaction = deserialize(&case.bytes).map_err(|error| error.to_string())?;
    check_inputs(&tx).and_then(|()| check_amounts(&tx)).map_err(|error| error.to_string())?;
    if tx.is_coinbase() || tx.input.iter().any(|input| input.previous_output.is_null()) {
        return Err("a coinbase, or an input without a coin".into());
    }
    Ok(tx)
}

fn spent(case: &Case, tx: &Transaction) -> Vec<TxOut> {
    tx.input.iter().map(|input| case.spent[&input.previous_output].clone()).collect()
}

/// Why the scripts of a case are not asked, if they are not.
fn skip(spent: &[TxOut], tx: &Transaction) -> Option<&'static str> {
    let mut nested = false;
    for (output, input) in spent.iter().zip(&tx.input) {
        let script = &output.script_pubkey;
        if script.is_witness_program() && !is_spendable(script) {
            return Some(NO_COIN);
        }
        if !is_spendable(script) {
            if !script.is_p2sh() || input.witness.is_empty() {
                return Some(LEGACY);
            }
            nested = true;
        }
    }
    nested.then_some(NESTED)
}

fn accepts(tx: &Transaction, spent: Vec<TxOut>) -> Result<(), String> {
    let spending = Spending { tx, txid: tx.compute_txid(), spent };
    verify_all(&Secp256k1::verification_only(), &[spending]).map_err(|error| error.to_string())
}

fn valid(case: &Case) -> Outcome {
    let tx: Transaction = deserialize(&case.bytes).unwrap();
    if tx.is_coinbase() {
        return Outcome::Skipped("legacy: a coinbase, which here has another form");
    }
    if let Err(error) = shape(case) {
        return Outcome::Differs(error);
    }
    let spent = spent(case, &tx);
    if let Some(reason) = skip(&spent, &tx) {
        return Outcome::Skipped(reason);
    }
    let off = ["P2SH", "WITNESS", "TAPROOT"];
    if case.rules.iter().any(|rule| off.contains(&rule.as_str())) {
        return Outcome::Skipped(RULE_OFF);
    }
    let key_hash = spent.iter().any(|output| output.script_pubkey.is_p2wpkh());
    match accepts(&tx, spent) {
        Ok(()) => Outcome::Agrees,
        Err(_) if key_hash && case.rules.iter().any(|rule| rule == "LOW_S" || rule == "STRICTENC") => {
            Outcome::Skipped(STRICTER)
        }
        Err(error) => Outcome::Differs(error),
    }
}

fn invalid(case: &Case) -> Outcome {
    let by_shape = case.rules.iter().any(|rule| rule == "BADTX");
    let tx = match (by_shape, shape(case)) {
        (true, Ok(_)) => return Outcome::Differs("its shape was accepted".into()),
        (_, Err(_)) => return Outcome::Agrees,
        (false, Ok(tx)) => tx,
    };
    let spent = spent(case, &tx);
    if let Some(reason) = skip(&spent, &tx) {
        return Outcome::Skipped(reason);
    }
    match accepts(&tx, spent) {
        Err(_) => Outcome::Agrees,
        Ok(()) if case.rules.iter().any(|rule| RELAY_RULES.contains(&rule.as_str())) => {
            Outcome::Skipped(RELAY)
        }
        Ok(()) => Outcome::Differs("accepted".into()),
    }
}
