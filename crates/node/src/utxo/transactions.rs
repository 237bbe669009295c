//! Transactions: found, decoded and made.

use std::collections::BTreeSet;

use bitcoin::{
    OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime,
    consensus::encode::{deserialize_hex, serialize_hex},
    script::PushBytesBuf,
    transaction::Version,
};
use mass_ledger_utxo::{DenominationError, UtxoLedger, address, body::Body, parse_mass, read_coin};
use mass_primitives::{Amount, BlockId, Height};
use mass_rpc::{
    RpcResult, errors,
    params::{Args, Kind, Param, amount_text, check_hash},
};
use serde_json::{Map, Value, json};

use super::{
    index,
    json::{self, Detail, Prevouts},
};
use crate::{
    api::{fault, tree_node},
    chain::{Chain, refusal},
    error::ChainError,
    methods::Method,
    node::Node,
    standard::{confirmations, stored},
};

const RAW: &[Param] = &[
    Param::new("txid", Kind::Hash),
    Param::optional("verbosity", Kind::Verbosity),
    Param::optional("blockhash", Kind::Hash),
];
const DECODE: &[Param] = &[Param::new("hexstring", Kind::Text), Param::optional("iswitness", Kind::Bool)];
const SCRIPT: &[Param] = &[Param::new("hexstring", Kind::Text)];
const CREATE: &[Param] = &[
    Param::new("inputs", Kind::Array),
    Param::new("outputs", Kind::Any),
    Param::optional("locktime", Kind::Number),
    Param::optional("replaceable", Kind::Bool),
    Param::optional("version", Kind::Number),
];
const ADDRESS: &[Param] = &[Param::new("address", Kind::Text)];

pub(super) fn table() -> Vec<Method<UtxoLedger>> {
    let name = |name| ("Rawtransactions", name);
    vec![
        Method::new(
            name("getrawtransaction"),
            RAW,
            "A transaction: with verbosity 0 its bytes in hex (the default), with 1 an object, with 2 also its fee and the \
             outputs that it spends. It is looked for among those that wait for a block, and, where the node keeps the \
             index tx, in the chain; with blockhash in that block alone.",
            raw,
        ),
        Method::new(name("decoderawtransaction"), DECODE, "A transaction, from its bytes in hex.", decode),
        Method::new(name("decodescript"), SCRIPT, "A script, from its bytes in hex.", decode_script),
        Method::new(
            name("createrawtransaction"),
            CREATE,
            "The bytes in hex of an unsigned transaction. Inputs are {\"txid\", \"vout\", \"sequence\"}; outputs are \
             {ADDRESS: AMOUNT in MASS} or {\"data\": HEX}.",
            create,
        ),
        Method::new(
            ("Util", "validateaddress"),
            ADDRESS,
            "Whether a text is an address of this chain.",
            validate,
        ),
    ]
}

/// The transactions of a body with their ids.
pub(super) fn transactions(body: &Body) -> Vec<(Txid, &Transaction)> {
    let txs = std::iter::once(body.coinbase()).chain(body.payments());
    txs.map(|tx| (tx.compute_txid(), tx)).collect()
}

pub(super) fn read_body(chain: &Chain<UtxoLedger>, body: &[u8]) -> RpcResult<Body> {
    Body::decode(body, chain.ledger().params().weight_max).map_err(refusal).map_err(fault)
}

/// What the transactions of a block spend, if the block is active.
pub(super) fn prevouts<'a>(
    chain: &Chain<UtxoLedger>,
    id: &BlockId,
    txs: &[(Txid, &'a Transaction)],
) -> RpcResult<Prevouts<'a>> {
    let height = tree_node(chain, id)?.height;
    let snapshot = chain.store().snapshot().map_err(fault)?;
    let is_active = snapshot.active_id(height).map_err(fault)? == Some(*id);
    let before = if is_active { snapshot.before(height).map_err(fault)? } else { None };
    Ok(Prevouts::new(before, height, txs))
}

/// What `getblock` says of a body.
pub(super) fn describe_body(
    chain: &Chain<UtxoLedger>,
    id: &BlockId,
    bytes: &[u8],
    verbosity: i64,
) -> RpcResult<Map<String, Value>> {
    let body = read_body(chain, bytes)?;
    let txs = transactions(&body);
    let prefix = &chain.ledger().params().address_prefix;
    let detail = if verbosity == 2 { Detail::Fee } else { Detail::Prevouts };
    let listed: RpcResult<Vec<Value>> = if verbosity <= 1 {
        Ok(txs.iter().map(|(txid, _)| json!(txid)).collect())
    } else {
        let spent = prevouts(chain, id, &txs)?;
        let describe = |(_, tx): &(Txid, &Transaction)| {
            let coins = spent.of(tx)?;
            Ok(Value::Object(json::transaction_with_hex(prefix, tx, coins.as_deref(), detail)))
        };
        txs.iter().map(describe).collect()
    };
    let head = 80 + bitcoin::VarInt::from(txs.len()).size();
    let stripped = head + txs.iter().map(|(_, tx)| tx.base_size()).sum::<usize>();
    let size = head + txs.iter().map(|(_, tx)| tx.total_size()).sum::<usize>();
    let coinbase = body.coinbase();
    let input = coinbase.input.first();
    let fields = json!({
        "size": size,
        "strippedsize": stripped,
        "weight": 3 * stripped + size,
        "coinbase_tx": {
            "version": coinbase.version.0,
            "locktime": coinbase.lock_time.to_consensus_u32(),
            "sequence": input.map(|input| input.sequence.0),
            "coinbase": input.map(|input| input.script_sig.to_hex_string()),
            "witness": input.and_then(|input| input.witness.nth(0)).map(hex::encode),
        },
        "tx": listed?,
    });
    Ok(match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    })
}

/// Where a transaction was found.
struct Found {
    tx: Transaction,
    /// Its block.
    block: Option<BlockId>,
    /// The body of its block.
    body: Option<Body>,
}

fn raw(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let txid: Txid = args.hash(0)?;
    let wanted = args.optional_text(2).map(|_| args.hash::<BlockId>(2)).transpose()?;
    let found = match wanted {
        Some(block) => find_in_block(chain, &txid, block)?,
        None => find(chain, &txid)?,
    };
    let verbosity = args.number(1).unwrap_or(0);
    if verbosity <= 0 {
        return Ok(json!(serialize_hex(&found.tx)));
    }
    let prefix = &chain.ledger().params().address_prefix;
    let spent = match (verbosity, &found.body, found.block) {
        (1, ..) => None,
        (_, Some(body), Some(id)) => prevouts(chain, &id, &transactions(body))?.of(&found.tx)?,
        _ => waiting_coins(chain, &found.tx)?,
    };
    let detail = if verbosity == 1 { Detail::Plain } else { Detail::Prevouts };
    let mut fields = json::transaction_with_hex(prefix, &found.tx, spent.as_deref(), detail);
    if let Some(id) = found.block {
        let placed = tree_node(chain, &id)?;
        let (height, time) = (placed.height, placed.time);
        let count = confirmations(chain, &id, height)?;
        if wanted.is_some() {
            fields.insert("in_active_chain".to_owned(), json!(count > 0));
        }
        let count = count.max(0);
        fields.insert("blockhash".to_owned(), json!(id));
        fields.insert("confirmations".to_owned(), json!(count));
        if count > 0 {
            fields.insert("time".to_owned(), json!(time));
            fields.insert("blocktime".to_owned(), json!(time));
        }
    }
    Ok(fields.into())
}

fn find_in_block(chain: &Chain<UtxoLedger>, txid: &Txid, block: BlockId) -> RpcResult<Found> {
    if chain.engine().tree().get(&block).is_none() {
        return Err(errors::not_found("Block hash not found"));
    }
    let body = read_body(chain, &stored(chain, &block)?.1)?;
    let tx = transactions(&body).into_iter().find(|(id, _)| id == txid).map(|(_, tx)| tx.clone());
    let why = "No such transaction found in the provided block. Use gettransaction for wallet transactions.";
    Ok(Found { tx: tx.ok_or_else(|| errors::not_found(why))?, block: Some(block), body: Some(body) })
}

fn find(chain: &Chain<UtxoLedger>, txid: &Txid) -> RpcResult<Found> {
    use bitcoin::hashes::Hash as _;
    if let Some(entry) = chain.pool().get(&txid.to_byte_array()) {
        return Ok(Found { tx: super::parse(&entry.bytes).map_err(fault)?, block: None, body: None });
    }
    let missing = |what: &str| {
        errors::not_found(format!("No such {what}. Use gettransaction for wallet transactions."))
    };
    let snapshot = chain.store().snapshot().map_err(fault)?;
    let Some(index) = snapshot.index(index::TX).map_err(fault)? else {
        return Err(missing(
            "mempool transaction. Start the node with --index tx or provide a block hash to enable blockchain \
             transaction queries",
        ));
    };
    match index::find_transaction(&snapshot, txid).map_err(fault)? {
        Some(place) => {
            let id = snapshot.active_id(place.height).map_err(fault)?;
            find_in_block(chain, txid, id.ok_or_else(|| errors::misc("the index tx is damaged"))?)
        }
        None if snapshot.tip().is_some_and(|tip| index.next() <= tip.height) => Err(missing(
            "mempool transaction. Blockchain transactions are still in the process of being indexed",
        )),
        None => Err(missing("mempool or blockchain transaction")),
    }
}

/// The coins that a transaction spends which waits for a block.
fn waiting_coins(
    chain: &Chain<UtxoLedger>,
    tx: &Transaction,
) -> RpcResult<Option<Vec<mass_ledger_utxo::Coin>>> {
    let snapshot = chain.store().snapshot().map_err(fault)?;
    tx.input.iter().map(|input| coin(chain, &snapshot, &input.previous_output)).collect()
}

/// An unspent coin, or an output of a transaction that waits for a block.
pub(super) fn coin(
    chain: &Chain<UtxoLedger>,
    snapshot: &mass_storage::Snapshot,
    outpoint: &OutPoint,
) -> RpcResult<Option<mass_ledger_utxo::Coin>> {
    if let Some(coin) = read_coin(snapshot, outpoint).map_err(ChainError::from).map_err(fault)? {
        return Ok(Some(coin));
    }
    let Some(parent) = chain.pool().created(&mass_ledger_utxo::coin_key(outpoint)) else { return Ok(None) };
    let parent = super::parse(&parent.bytes).map_err(fault)?;
    let output = parent.output.get(outpoint.vout as usize);
    Ok(output.map(|output| mass_ledger_utxo::Coin {
        amount: Amount::new(output.value.to_sat()),
        script: output.script_pubkey.clone(),
        // As in Bitcoin Core, whose height of what waits is this.
        height: Height::new(0x7fff_ffff),
        median_time: 0,
        coinbase: false,
    }))
}

fn decode(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let failed = "TX decode failed. Make sure the tx has at least one input.";
    let tx: Transaction = deserialize_hex(args.text(0)).map_err(|_| errors::decode(failed))?;
    let prefix = &node.chain().ledger().params().address_prefix;
    Ok(json::transaction(prefix, &tx, None, Detail::Plain).into())
}

fn hex_param(name: &str, text: &str) -> RpcResult<Vec<u8>> {
    hex::decode(text).map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        errors::invalid_parameter(format!("{name} must be hexadecimal string (not '{shown}')"))
    })
}

fn decode_script(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let script = ScriptBuf::from_bytes(hex_param("argument", args.text(0))?);
    let prefix = &node.chain().ledger().params().address_prefix;
    let mut fields = json::script(prefix, &script);
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("hex");
    }
    let is_wrappable = !script.is_witness_program() && !script.is_op_return() && !script.is_p2sh();
    if is_wrappable {
        fields["segwit"] = json::script(prefix, &wrapped(&script));
    }
    Ok(fields)
}

/// The witness program of a script, or of the key that it asks for.
fn wrapped(script: &Script) -> ScriptBuf {
    script
        .p2pk_public_key()
        .and_then(|key| key.wpubkey_hash().ok())
        .map_or_else(|| script.to_p2wsh(), |hash| ScriptBuf::new_p2wpkh(&hash))
}

fn validate(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let text = args.text(0);
    let script = match address::decode(&node.chain().ledger().params().address_prefix, text) {
        Ok(script) => script,
        Err(error) => {
            return Ok(json!({ "isvalid": false, "error_locations": [], "error": error.to_string() }));
        }
    };
    Ok(json!({
        "isvalid": true,
        "address": text,
        "scriptPubKey": script.to_hex_string(),
        "isscript": script.is_p2wsh() || script.is_p2tr(),
        "iswitness": true,
        "witness_version": script.witness_version().map(|version| version.to_num()),
        "witness_program": script.as_bytes().get(2..).map(hex::encode),
    }))
}

fn create(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let bad = errors::invalid_parameter;
    let prefix = &node.chain().ledger().params().address_prefix;
    let locktime = args.number(2).unwrap_or(0);
    let locktime = u32::try_from(locktime).map_err(|_| bad("Invalid parameter, locktime out of range"))?;
    let version = args.number(4).unwrap_or(2);
    if !(1..=3).contains(&version) {
        return Err(bad("Invalid parameter, version out of range(1~3)"));
    }
    let sequence = match (args.is(3, true), locktime) {
        (true, _) => Sequence::ENABLE_RBF_NO_LOCKTIME,
        (false, 0) => Sequence::MAX,
        (false, _) => Sequence::ENABLE_LOCKTIME_NO_RBF,
    };
    let inputs = args.value(0).as_array().map(Vec::as_slice).unwrap_or_default();
    let input = inputs.iter().map(|input| read_input(input, sequence)).collect::<RpcResult<Vec<_>>>()?;
    let output = read_outputs(prefix, args.value(1))?;
    let tx = Transaction {
        version: Version(i32::try_from(version).unwrap_or(2)),
        lock_time: LockTime::from_consensus(locktime),
        input,
        output,
    };
    Ok(json!(serialize_hex(&tx)))
}

fn read_input(input: &Value, sequence: Sequence) -> RpcResult<TxIn> {
    let bad = errors::invalid_parameter;
    let txid = input
        .get("txid")
        .and_then(Value::as_str)
        .ok_or_else(|| bad("Invalid parameter, missing txid key"))?;
    check_hash("txid", txid)?;
    let txid = txid.parse().map_err(|_| bad("txid must be hexadecimal string"))?;
    let vout = input.get("vout").and_then(Value::as_i64);
    let vout = vout.ok_or_else(|| bad("Invalid parameter, missing vout key"))?;
    let vout = u32::try_from(vout).map_err(|_| bad("Invalid parameter, vout cannot be negative"))?;
    let sequence = match input.get("sequence").filter(|sequence| !sequence.is_null()) {
        None => sequence,
        Some(given) => {
            let given = given.as_i64().and_then(|given| u32::try_from(given).ok());
            Sequence(given.ok_or_else(|| bad("Invalid parameter, sequence number is out of range"))?)
        }
    };
    let previous_output = OutPoint { txid, vout };
    Ok(TxIn { previous_output, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() })
}

fn read_outputs(prefix: &str, outputs: &Value) -> RpcResult<Vec<TxOut>> {
    let bad = |why: &str| errors::invalid_parameter(why);
    let pairs: Vec<(&String, &Value)> = match outputs {
        Value::Object(outputs) => outputs.iter().collect(),
        Value::Array(outputs) => {
            let single = |output: &'_ Value| match output.as_object() {
                Some(object) if object.len() == 1 => Ok(()),
                Some(_) => Err(bad("Invalid parameter, key-value pair must contain exactly one key")),
                None => Err(bad("Invalid parameter, key-value pair not an object as expected")),
            };
            outputs.iter().try_for_each(single)?;
            outputs.iter().filter_map(Value::as_object).flat_map(Map::iter).collect()
        }
        Value::Null => return Err(bad("Invalid parameter, output argument must be non-null")),
        _ => return Err(errors::type_mismatch("outputs is neither an object nor an array")),
    };
    let mut seen = BTreeSet::new();
    let mut made = Vec::new();
    for (name, value) in pairs {
        if !seen.insert(name) {
            return Err(bad(&if name == "data" {
                "Invalid parameter, duplicate key: data".to_owned()
            } else {
                format!("Invalid parameter, duplicated address: {name}")
            }));
        }
        made.push(read_output(prefix, name, value)?);
    }
    Ok(made)
}

fn read_output(prefix: &str, name: &str, value: &Value) -> RpcResult<TxOut> {
    if name == "data" {
        let data = hex_param("Data", value.as_str().unwrap_or_default())?;
        let push = PushBytesBuf::try_from(data).map_err(|_| errors::invalid_parameter("Data is too long"))?;
        return Ok(TxOut { value: bitcoin::Amount::ZERO, script_pubkey: ScriptBuf::new_op_return(push) });
    }
    let script = address::decode(prefix, name);
    let script = script.map_err(|error| errors::not_found(format!("Invalid address: {name}: {error}")))?;
    Ok(TxOut { value: bitcoin::Amount::from_sat(read_amount(value)?.get()), script_pubkey: script })
}

/// An amount in MASS, as a number or a text.
pub(super) fn read_amount(value: &Value) -> RpcResult<Amount> {
    parse_mass(&amount_text(value)?).map_err(|error| {
        errors::type_mismatch(match error {
            DenominationError::TooMuch(_) => "Amount out of range",
            _ => "Invalid amount",
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_numbers_and_texts_and_never_rounded() {
        let good =
            [(json!(1), 10_000_000), (json!("0.5"), 5_000_000), (json!(1e-7), 1), (json!(0.1), 1_000_000)];
        for (value, maxwell) in good {
            assert_eq!(read_amount(&value), Ok(Amount::new(maxwell)), "{value}");
        }
        let bad =
            [json!(1e-8), json!(-1), json!("-1"), json!(1e20), json!("a"), json!(""), json!(true), json!([])];
        for value in bad {
            assert_eq!(read_amount(&value).unwrap_err().code(), errors::TYPE, "{value}");
        }
    }
}
