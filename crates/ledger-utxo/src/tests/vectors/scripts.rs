//! `script_tests.json`: a script, what satisfies it, the rules, and the verdict.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, XOnlyPublicKey,
    absolute::LockTime,
    secp256k1::Secp256k1,
    taproot::{LeafVersion, TaprootBuilder},
    transaction::Version,
};
use serde_json::Value;

use super::{LEGACY, NESTED, NO_COIN, Outcome, RELAY, RULE_OFF, Report, STRICTER, asm::assemble, hex, read};
use crate::{
    script::is_spendable,
    witness::{Spending, verify_all},
};

/// Rules that blocks keep.
const BLOCK_RULES: [&str; 7] =
    ["P2SH", "DERSIG", "NULLDUMMY", "CHECKLOCKTIMEVERIFY", "CHECKSEQUENCEVERIFY", "WITNESS", "TAPROOT"];
/// The point that nobody has the key of (BIP-341).
const NOBODY: &str = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0";

struct Case {
    witness: Vec<Vec<u8>>,
    amount: Amount,
    script_sig: ScriptBuf,
    script_pubkey: ScriptBuf,
    rules: Vec<String>,
    expected: String,
}

pub fn run() -> Report {
    let mut report = Report::default();
    for (number, case) in read("script_tests.json").iter().enumerate() {
        let case = case.as_array().unwrap();
        if case.len() > 1 {
            let name = format!("case {number} {}", Value::Array(case.clone()));
            report.add(shorten(name), outcome(&read_case(case)));
        }
    }
    report
}

fn shorten(name: String) -> String {
    if name.chars().count() <= 150 { name } else { name.chars().take(149).chain(['…']).collect() }
}

fn read_case(fields: &[Value]) -> Case {
    let (stack, fields) = match &fields[0] {
        Value::Array(stack) => (stack.as_slice(), &fields[1..]),
        _ => (&[][..], fields),
    };
    let (elements, amount) = match stack.split_last() {
        Some((amount, elements)) => (elements, Amount::from_btc(amount.as_f64().unwrap()).unwrap()),
        None => (&[][..], Amount::ZERO),
    };
    let text = |at: usize| fields[at].as_str().unwrap();
    let leaf = elements.iter().find_map(|element| element.as_str().unwrap().strip_prefix("#SCRIPT#"));
    let leaf = leaf.map(assemble);
    let tree = leaf.clone().map(|leaf| {
        let key: XOnlyPublicKey = NOBODY.parse().unwrap();
        TaprootBuilder::new().add_leaf(0, leaf).unwrap().finalize(&Secp256k1::new(), key).unwrap()
    });
    let element = |element: &Value| match element.as_str().unwrap() {
        "#CONTROLBLOCK#" => {
            let leaf = (leaf.clone().unwrap(), LeafVersion::TapScript);
            tree.as_ref().unwrap().control_block(&leaf).unwrap().serialize()
        }
        script if script.starts_with("#SCRIPT#") => leaf.clone().unwrap().to_bytes(),
        _ => hex(element),
    };
    let output_key = tree.as_ref().map(|tree| format!("0x{}", tree.output_key().to_x_only_public_key()));
    Case {
        witness: elements.iter().map(element).collect(),
        amount,
        script_sig: assemble(text(0)),
        script_pubkey: assemble(&text(1).replace("#TAPROOTOUTPUT#", &output_key.unwrap_or_default())),
        rules: text(2).split(',').filter(|rule| !rule.is_empty()).map(str::to_owned).collect(),
        expected: text(3).to_owned(),
    }
}

fn outcome(case: &Case) -> Outcome {
    let script = &case.script_pubkey;
    if !script.is_witness_program() {
        return Outcome::Skipped(if script.is_p2sh() && !case.witness.is_empty() { NESTED } else { LEGACY });
    }
    let has = |rule: &str| case.rules.iter().any(|found| found == rule);
    if !has("WITNESS") || (script.is_p2tr() && !has("TAPROOT")) {
        return Outcome::Skipped(RULE_OFF);
    }
    if !is_spendable(script) {
        return Outcome::Skipped(NO_COIN);
    }
    let accepted = accepts(case);
    let expected = case.expected == "OK";
    let relay = case.rules.iter().any(|rule| !BLOCK_RULES.contains(&rule.as_str()));
    match (accepted, expected) {
        (false, true) if script.is_p2wpkh() => Outcome::Skipped(STRICTER),
        (true, false) if relay && case.rules.contains(&case.expected) => Outcome::Skipped(RELAY),
        (accepted, expected) if accepted == expected => Outcome::Agrees,
        (_, _) => Outcome::Differs(format!("expected {}, accepted: {accepted}", case.expected)),
    }
}

/// As Core's test does it: a coin of that script and a transaction that spends it.
fn accepts(case: &Case) -> bool {
    let transaction = |previous_output, script_sig, witness, output| Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![TxIn { previous_output, script_sig, sequence: Sequence::MAX, witness }],
        output: vec![output],
    };
    let coin = TxOut { value: case.amount, script_pubkey: case.script_pubkey.clone() };
    let credit = transaction(OutPoint::null(), assemble("0 0"), Witness::new(), coin.clone());
    let previous = OutPoint { txid: credit.compute_txid(), vout: 0 };
    let output = TxOut { value: case.amount, script_pubkey: ScriptBuf::new() };
    let tx = transaction(previous, case.script_sig.clone(), case.witness.clone().into(), output);
    let spending = Spending { tx: &tx, txid: tx.compute_txid(), spent: vec![coin] };
    verify_all(&Secp256k1::verification_only(), &[spending]).is_ok()
}
