//! Transactions, scripts and amounts in the shapes of Bitcoin Core. Amounts are in MASS.

use std::collections::BTreeMap;

use bitcoin::{
    OutPoint, Script, Transaction, TxIn, TxOut, Txid,
    consensus::encode::serialize_hex,
    opcodes::{Opcode, all},
    script::Instruction,
};
use mass_ledger_utxo::{Coin, address, format_mass, read_coin};
use mass_primitives::{Amount, Height};
use mass_rpc::RpcResult;
use mass_storage::Before;
use miniscript::descriptor::checksum::desc_checksum;
use serde_json::{Map, Value, json};

use crate::{api::fault, error::ChainError};

/// Longest number that a script shows as one, in bytes.
const NUMBER_BYTES_MAX: usize = 4;

/// An amount as a number of MASS. It is exact: 7 decimals of less than 2^53 units are far enough apart for the shortest
/// decimal number that names one to be the amount itself.
pub(super) fn amount(amount: Amount) -> Value {
    json!(format_mass(amount).parse::<f64>().unwrap_or(0.0))
}

/// What a transaction's outputs are worth, one by one.
fn value_of(output: &TxOut) -> Amount {
    Amount::new(output.value.to_sat())
}

/// A descriptor with its checksum.
pub(super) fn with_checksum(descriptor: &str) -> String {
    match desc_checksum(descriptor) {
        Ok(sum) => format!("{descriptor}#{sum}"),
        Err(_) => descriptor.to_owned(),
    }
}

/// The descriptor of a script of which nothing but itself is known.
pub(super) fn descriptor(prefix: &str, script: &Script) -> String {
    with_checksum(&match address::encode(prefix, script) {
        Ok(address) => format!("addr({address})"),
        Err(_) => format!("raw({})", script.to_hex_string()),
    })
}

/// What kind of script it is, by Bitcoin Core's names.
pub(super) fn kind(script: &Script) -> &'static str {
    let kinds = [
        (script.is_p2wpkh(), "witness_v0_keyhash"),
        (script.is_p2wsh(), "witness_v0_scripthash"),
        (script.is_p2tr(), "witness_v1_taproot"),
        (script.as_bytes() == [0x51, 0x02, 0x4e, 0x73], "anchor"),
        (script.is_witness_program(), "witness_unknown"),
        (script.is_op_return(), "nulldata"),
        (script.is_p2pkh(), "pubkeyhash"),
        (script.is_p2sh(), "scripthash"),
        (script.is_p2pk(), "pubkey"),
        (script.is_multisig(), "multisig"),
    ];
    kinds.into_iter().find(|(is, _)| *is).map_or("nonstandard", |(_, name)| name)
}

/// An output script.
pub(super) fn script(prefix: &str, script: &Script) -> Value {
    let mut fields = json!({
        "asm": asm(script),
        "desc": descriptor(prefix, script),
        "hex": script.to_hex_string(),
        "type": kind(script),
    });
    if let Ok(address) = address::encode(prefix, script) {
        fields["address"] = json!(address);
    }
    fields
}

/// A script in words.
pub(super) fn asm(script: &Script) -> String {
    let mut words = Vec::new();
    for instruction in script.instructions() {
        match instruction {
            Ok(Instruction::Op(opcode)) => words.push(opcode_name(opcode)),
            Ok(Instruction::PushBytes(push)) => words.push(match push.as_bytes() {
                [] => "0".to_owned(),
                bytes if bytes.len() <= NUMBER_BYTES_MAX => number(bytes).to_string(),
                bytes => hex::encode(bytes),
            }),
            Err(_) => {
                words.push("[error]".to_owned());
                break;
            }
        }
    }
    words.join(" ")
}

/// The number that a script makes of a few bytes: little-endian with a bit for the sign.
fn number(bytes: &[u8]) -> i64 {
    let Some((last, rest)) = bytes.split_last() else { return 0 };
    let low = rest.iter().rev().fold(i64::from(last & 0x7f), |number, byte| (number << 8) | i64::from(*byte));
    if last & 0x80 == 0 { low } else { -low }
}

fn opcode_name(opcode: Opcode) -> String {
    let code = opcode.to_u8();
    match opcode {
        all::OP_PUSHNUM_NEG1 => "-1".to_owned(),
        all::OP_CLTV => "OP_CHECKLOCKTIMEVERIFY".to_owned(),
        all::OP_CSV => "OP_CHECKSEQUENCEVERIFY".to_owned(),
        _ if (0x51..=0x60).contains(&code) => (code - 0x50).to_string(),
        _ => opcode.to_string(),
    }
}

/// The outputs that the transactions of one block spend.
pub(super) struct Prevouts<'a> {
    before: Option<Before>,
    own: BTreeMap<Txid, &'a Transaction>,
    height: Height,
}

impl<'a> Prevouts<'a> {
    /// Those of an active block; `before` is what it found.
    pub(super) fn new(before: Option<Before>, height: Height, txs: &[(Txid, &'a Transaction)]) -> Self {
        Self { before, own: txs.iter().copied().collect(), height }
    }

    /// The coin that was spent, if it is known.
    pub(super) fn get(&self, outpoint: &OutPoint) -> RpcResult<Option<Coin>> {
        let Some(before) = &self.before else { return Ok(None) };
        if let Some(coin) = read_coin(before, outpoint).map_err(ChainError::from).map_err(fault)? {
            return Ok(Some(coin));
        }
        let output = self.own.get(&outpoint.txid).and_then(|tx| tx.output.get(outpoint.vout as usize));
        Ok(output.map(|output| Coin {
            amount: value_of(output),
            script: output.script_pubkey.clone(),
            height: self.height,
            median_time: 0,
            coinbase: false,
        }))
    }

    /// The coins that a transaction spends, in the order of its inputs; `None` if not all are known.
    pub(super) fn of(&self, tx: &Transaction) -> RpcResult<Option<Vec<Coin>>> {
        if tx.is_coinbase() {
            return Ok(None);
        }
        tx.input.iter().map(|input| self.get(&input.previous_output)).collect()
    }
}

/// What a transaction pays beside its outputs.
pub(super) fn fee(tx: &Transaction, spent: &[Coin]) -> Option<Amount> {
    let got = sum(spent.iter().map(|coin| coin.amount))?;
    got.checked_sub(sum(tx.output.iter().map(value_of))?)
}

fn sum(mut amounts: impl Iterator<Item = Amount>) -> Option<Amount> {
    amounts.try_fold(Amount::ZERO, |sum, amount| sum.checked_add(amount))
}

/// How much is told of what a transaction spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// Nothing.
    Plain,
    /// The fee.
    Fee,
    /// The fee and the outputs that are spent.
    Prevouts,
}

/// A transaction, of which the spent coins may be known.
pub(super) fn transaction(
    prefix: &str,
    tx: &Transaction,
    spent: Option<&[Coin]>,
    detail: Detail,
) -> Map<String, Value> {
    let input = |(number, input): (usize, &TxIn)| {
        let coin = spent.and_then(|spent| spent.get(number)).filter(|_| detail == Detail::Prevouts);
        describe_input(prefix, tx.is_coinbase(), input, coin)
    };
    let output = |(number, output): (usize, &TxOut)| {
        json!({
            "value": amount(value_of(output)), "n": number,
            "scriptPubKey": script(prefix, &output.script_pubkey),
        })
    };
    let fields = json!({
        "txid": tx.compute_txid(),
        "hash": tx.compute_wtxid(),
        "version": tx.version.0,
        "size": tx.total_size(),
        "vsize": tx.vsize(),
        "weight": tx.weight().to_wu(),
        "locktime": tx.lock_time.to_consensus_u32(),
        "vin": tx.input.iter().enumerate().map(input).collect::<Vec<_>>(),
        "vout": tx.output.iter().enumerate().map(output).collect::<Vec<_>>(),
    });
    let Value::Object(mut fields) = fields else { return Map::new() };
    let fee = spent.filter(|_| detail != Detail::Plain).and_then(|spent| fee(tx, spent));
    fields.extend(fee.map(|fee| ("fee".to_owned(), amount(fee))));
    fields
}

/// [`transaction`] with its bytes.
pub(super) fn transaction_with_hex(
    prefix: &str,
    tx: &Transaction,
    spent: Option<&[Coin]>,
    detail: Detail,
) -> Map<String, Value> {
    let mut fields = transaction(prefix, tx, spent, detail);
    fields.insert("hex".to_owned(), json!(serialize_hex(tx)));
    fields
}

fn describe_input(prefix: &str, is_coinbase: bool, input: &TxIn, coin: Option<&Coin>) -> Value {
    let mut fields = if is_coinbase {
        json!({ "coinbase": input.script_sig.to_hex_string() })
    } else {
        json!({
            "txid": input.previous_output.txid, "vout": input.previous_output.vout,
            "scriptSig": { "asm": asm(&input.script_sig), "hex": input.script_sig.to_hex_string() },
        })
    };
    if !input.witness.is_empty() {
        fields["txinwitness"] = input.witness.iter().map(hex::encode).collect();
    }
    fields["sequence"] = json!(input.sequence.0);
    if let Some(coin) = coin {
        fields["prevout"] = json!({
            "generated": coin.coinbase, "height": coin.height, "value": amount(coin.amount),
            "scriptPubKey": script(prefix, &coin.script),
        });
    }
    fields
}

#[cfg(test)]
mod tests {
    use bitcoin::ScriptBuf;
    use mass_ledger_utxo::{MONEY_MAX, parse_mass};

    use super::*;

    #[test]
    fn amounts_are_exact_to_the_last_decimal() {
        let cases = [0, 1, 9, 10_000_000, 12_345_678, MONEY_MAX.get() - 1, MONEY_MAX.get()];
        let mut dice = 1u64;
        let random = (0..20_000).map(|_| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 12) % MONEY_MAX.get()
        });
        for maxwell in cases.into_iter().chain(random) {
            let number: f64 = amount(Amount::new(maxwell)).to_string().parse().unwrap();
            assert_eq!(parse_mass(&number.to_string()), Ok(Amount::new(maxwell)), "{number}");
        }
    }

    #[test]
    fn scripts_are_written_as_in_bitcoin_core() {
        for (hex, words, kind_name) in [
            (
                "0014000102030405060708090a0b0c0d0e0f10111213",
                "0 000102030405060708090a0b0c0d0e0f10111213",
                "witness_v0_keyhash",
            ),
            ("6a0401020384", "OP_RETURN -67305985", "nulldata"),
            ("51024e73", "1 29518", "anchor"),
            ("03ffff7fb27551", "8388607 OP_CHECKSEQUENCEVERIFY OP_DROP 1", "nonstandard"),
            ("4f4c", "-1 [error]", "nonstandard"),
            ("", "", "nonstandard"),
        ] {
            let script = ScriptBuf::from_hex(hex).unwrap();
            assert_eq!((asm(&script).as_str(), kind(&script)), (words, kind_name), "{hex}");
        }
    }

    #[test]
    fn checksums_are_those_of_bip_380() {
        assert_eq!(with_checksum("raw(deadbeef)"), "raw(deadbeef)#89f8spxm");
    }
}
