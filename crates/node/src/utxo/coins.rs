//! Unspent outputs: one, all of them in figures, and those of some scripts.
//!
//! Who asks for all works on a snapshot, beside the node's loop.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bitcoin::{
    OutPoint, ScriptBuf, Txid, consensus::encode::serialize, hashes::Hash as _, secp256k1::Secp256k1,
};
use mass_ledger_utxo::{Coin, UtxoLedger, address, coin::COIN_PREFIX, coin_key};
use mass_primitives::{Amount, Decode as _, Height};
use mass_rpc::{
    RpcResult, errors,
    params::{Args, Kind, Param},
};
use mass_storage::Snapshot;
use miniscript::{Descriptor, DescriptorPublicKey};
use serde_json::{Value, json};

use super::{json, muhash::MuHash, transactions};
use crate::{
    api::{fault, tree_node},
    chain::Chain,
    methods::{Answering, Method, in_background},
    node::Node,
    queries::Queries,
    scan::Scan,
};

const OUTPUT: &[Param] = &[
    Param::new("txid", Kind::Hash),
    Param::new("n", Kind::Number),
    Param::optional("include_mempool", Kind::Bool),
];
const SET: &[Param] = &[
    Param::optional("hash_type", Kind::Text),
    Param::optional("hash_or_height", Kind::Any),
    Param::optional("use_index", Kind::Bool),
];
const SCAN: &[Param] = &[Param::new("action", Kind::Text), Param::optional("scanobjects", Kind::Array)];

/// Scripts of one scan at the most.
const SCRIPTS_MAX: usize = 100_000;
/// Greatest index that a ranged descriptor is derived at, unless the call says another.
const RANGE: u32 = 1000;
/// Bytes that Bitcoin Core counts for a coin beside its script.
const BOGO_BYTES: usize = 50;
/// Coins after which the progress of a scan is told.
const TELL_EVERY: usize = 1024;

pub(super) fn table() -> Vec<Method<UtxoLedger>> {
    let name = |name| ("Blockchain", name);
    vec![
        Method::new(
            name("gettxout"),
            OUTPUT,
            "An unspent output, or null. Unless include_mempool is false, what waits for a block counts as spent and made.",
            output,
        ),
        Method::aside(
            name("gettxoutsetinfo"),
            SET,
            "All unspent outputs in figures. The hash_type is none (the default) or muhash, which reads all of them too \
             and takes longer.",
            |queries, args| Box::pin(set_info(queries, args)),
        ),
        Method::aside(
            name("scantxoutset"),
            SCAN,
            "Looks for the unspent outputs of some scripts: action start, of objects such as \"addr(ADDRESS)\", \
             \"raw(HEX)\", a descriptor, or {\"desc\": DESCRIPTOR, \"range\": N or [FROM, TO]}; action status tells the \
             progress in percent, action abort ends the scan.",
            scan,
        ),
    ]
}

fn output(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let chain = node.chain();
    let txid: Txid = args.hash(0)?;
    let Some(vout) = args.number(1).and_then(|vout| u32::try_from(vout).ok()) else { return Ok(Value::Null) };
    let outpoint = OutPoint { txid, vout };
    let with_pool = args.is(2, true);
    if with_pool && chain.pool().spent(&coin_key(&outpoint)).is_some() {
        return Ok(Value::Null);
    }
    let snapshot = chain.store().snapshot().map_err(fault)?;
    let Some(coin) = transactions::coin(chain, &snapshot, &outpoint)? else { return Ok(Value::Null) };
    let tip = tree_node(chain, chain.engine().tip())?.height;
    let confirmations = (tip.get() + 1).saturating_sub(coin.height.get());
    if confirmations == 0 && !with_pool {
        return Ok(Value::Null);
    }
    let prefix = &chain.ledger().params().address_prefix;
    Ok(json!({
        "bestblock": chain.engine().tip(),
        "confirmations": confirmations,
        "value": json::amount(coin.amount),
        "scriptPubKey": json::script(prefix, &coin.script),
        "coinbase": coin.coinbase,
    }))
}

/// Calls `take` with each coin, until it says that it is enough.
fn each_coin(snapshot: &Snapshot, mut take: impl FnMut(OutPoint, Coin) -> RpcResult<bool>) -> RpcResult<()> {
    let damaged = || errors::misc("the state is damaged");
    for entry in snapshot.scan(&[COIN_PREFIX]).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        let (txid, vout) = key.get(1..).and_then(<[u8]>::split_first_chunk::<32>).ok_or_else(damaged)?;
        let vout = u32::from_le_bytes(vout.try_into().map_err(|_| damaged())?);
        let coin = Coin::from_bytes(&value).map_err(|_| damaged())?;
        if !take(OutPoint { txid: Txid::from_byte_array(*txid), vout }, coin)? {
            break;
        }
    }
    Ok(())
}

/// A coin as Bitcoin Core hashes it.
fn element(outpoint: &OutPoint, coin: &Coin) -> Vec<u8> {
    let head = (coin.height.get() << 1) | u32::from(coin.coinbase);
    let amount = i64::try_from(coin.amount.get()).unwrap_or(i64::MAX);
    [serialize(outpoint), head.to_le_bytes().to_vec(), amount.to_le_bytes().to_vec(), serialize(&coin.script)]
        .concat()
}

async fn set_info(queries: Queries<UtxoLedger>, args: Args) -> RpcResult<Value> {
    let hash_type = args.optional_text(0).unwrap_or("none");
    if !matches!(hash_type, "none" | "muhash") {
        return Err(errors::invalid_parameter(format!("'{hash_type}' is not a valid hash_type")));
    }
    if !args.value(1).is_null() {
        return Err(errors::invalid_parameter("Querying specific block heights requires coinstatsindex"));
    }
    let mut hash = (hash_type == "muhash").then(MuHash::new);
    let (snapshot, disk) = queries
        .answer(|node| Ok((node.chain().store().snapshot().map_err(fault)?, node.disk_bytes())))
        .await?;
    in_background(move || {
        let tip = snapshot.tip().ok_or_else(|| errors::misc("there is no block yet"))?;
        let (mut count, mut bogo, mut total) = (0u64, 0u64, Amount::ZERO);
        let (mut transactions, mut last) = (0u64, None);
        each_coin(&snapshot, |outpoint, coin| {
            count += 1;
            bogo += (BOGO_BYTES + coin.script.len()) as u64;
            total = total.checked_add(coin.amount).ok_or_else(|| errors::misc("amounts overflow"))?;
            transactions += u64::from(last != Some(outpoint.txid));
            last = Some(outpoint.txid);
            if let Some(hash) = &mut hash {
                hash.insert(&element(&outpoint, &coin));
            }
            Ok(true)
        })?;
        let mut fields = json!({
            "height": tip.height, "bestblock": tip.id, "txouts": count, "bogosize": bogo,
            "total_amount": json::amount(total), "transactions": transactions, "disk_size": disk,
        });
        if let Some(hash) = hash {
            fields["muhash"] = json!(hash.finish());
        }
        Ok(fields)
    })
    .await
}

fn scan(queries: Queries<UtxoLedger>, args: Args) -> Answering {
    Box::pin(async move {
        let scan: Arc<Scan> = queries.answer(|node| Ok(node.scan())).await?;
        match args.text(0) {
            "status" => Ok(scan.progress().map_or(Value::Null, |percent| json!({ "progress": percent }))),
            "abort" => Ok(json!(scan.abort())),
            "start" => start_scan(queries, scan, args.value(1).clone()).await,
            other => Err(errors::invalid_parameter(format!("Invalid action '{other}'"))),
        }
    })
}

async fn start_scan(queries: Queries<UtxoLedger>, scan: Arc<Scan>, objects: Value) -> RpcResult<Value> {
    let Value::Array(objects) = objects else {
        return Err(errors::misc("scanobjects argument is required for the start action"));
    };
    let busy = "Scan already in progress, use action \"abort\" or \"status\"";
    let turn = Scan::begin(&scan).ok_or_else(|| errors::invalid_parameter(busy))?;
    let prepare = |node: &mut Node<UtxoLedger>| {
        let chain: &Chain<UtxoLedger> = node.chain();
        let prefix = chain.ledger().params().address_prefix.clone();
        Ok((prefix, chain.store().snapshot().map_err(fault)?))
    };
    let (prefix, snapshot) = queries.answer(prepare).await?;
    in_background(move || {
        let mut wanted = BTreeMap::new();
        for object in &objects {
            read_object(&prefix, object, &mut wanted)?;
        }
        let (mut found, mut seen, mut total) = (Vec::new(), 0usize, Amount::ZERO);
        each_coin(&snapshot, |outpoint, coin| {
            if seen.is_multiple_of(TELL_EVERY) {
                turn.tell(outpoint.txid.as_byte_array());
            }
            seen += 1;
            if wanted.contains_key(&coin.script) {
                total = total.checked_add(coin.amount).ok_or_else(|| errors::misc("amounts overflow"))?;
                found.push((outpoint, coin));
            }
            Ok(!turn.is_aborted())
        })?;
        let tip = snapshot.tip().ok_or_else(|| errors::misc("there is no block yet"))?;
        let describe =
            |(outpoint, coin): &(OutPoint, Coin)| describe(&snapshot, tip.height, &wanted, outpoint, coin);
        Ok(json!({
            "success": !turn.is_aborted(), "txouts": seen, "height": tip.height, "bestblock": tip.id,
            "unspents": found.iter().map(describe).collect::<RpcResult<Vec<_>>>()?,
            "total_amount": json::amount(total),
        }))
    })
    .await
}

fn describe(
    snapshot: &Snapshot,
    tip: Height,
    wanted: &BTreeMap<ScriptBuf, String>,
    outpoint: &OutPoint,
    coin: &Coin,
) -> RpcResult<Value> {
    Ok(json!({
        "txid": outpoint.txid, "vout": outpoint.vout, "scriptPubKey": coin.script.to_hex_string(),
        "desc": wanted.get(&coin.script), "amount": json::amount(coin.amount), "coinbase": coin.coinbase,
        "height": coin.height, "blockhash": snapshot.active_id(coin.height).map_err(fault)?,
        "confirmations": (tip.get() + 1).saturating_sub(coin.height.get()),
    }))
}

/// Adds the scripts of an object, each with the descriptor that gave it.
fn read_object(prefix: &str, object: &Value, wanted: &mut BTreeMap<ScriptBuf, String>) -> RpcResult<()> {
    let (text, range) = match object {
        Value::String(text) => (text.as_str(), Value::Null),
        Value::Object(object) => {
            let text = object.get("desc").and_then(Value::as_str);
            let missing = "Descriptor needs to be provided in scan object";
            let text = text.ok_or_else(|| errors::invalid_parameter(missing))?;
            (text, object.get("range").cloned().unwrap_or_default())
        }
        _ => return Err(errors::invalid_parameter("Scan object needs to be either a string or an object")),
    };
    let bare = text.split('#').next().unwrap_or_default();
    let check = |made: String| match text.split_once('#') {
        Some(_) if made != text => Err(errors::not_found(format!("the checksum is wrong; {made}"))),
        _ => Ok(made),
    };
    let inner = |name: &str| bare.strip_prefix(name).and_then(|rest| rest.strip_suffix(')'));
    if let Some(text) = inner("addr(") {
        let script = address::decode(prefix, text);
        let script = script.map_err(|error| errors::not_found(format!("Address is not valid: {error}")))?;
        wanted.insert(script, check(json::with_checksum(bare))?);
    } else if let Some(text) = inner("raw(") {
        let script = ScriptBuf::from_hex(text).map_err(|_| errors::not_found("Raw script is not hex"))?;
        wanted.insert(script, check(json::with_checksum(bare))?);
    } else {
        derive(text, &range, wanted)?;
    }
    if wanted.len() > SCRIPTS_MAX {
        return Err(errors::invalid_parameter(format!("more than {SCRIPTS_MAX} scripts")));
    }
    Ok(())
}

fn derive(text: &str, range: &Value, wanted: &mut BTreeMap<ScriptBuf, String>) -> RpcResult<()> {
    let bad = |error: miniscript::Error| errors::not_found(error.to_string());
    let (descriptor, _) =
        Descriptor::<DescriptorPublicKey>::parse_descriptor(&Secp256k1::new(), text).map_err(bad)?;
    let one_by_one = descriptor.into_single_descriptors().map_err(bad)?;
    let (from, to) = read_range(range)?;
    let secp = Secp256k1::verification_only();
    let mut done = BTreeSet::new();
    for descriptor in one_by_one {
        let last = if descriptor.has_wildcard() { to } else { from };
        for index in from..=last {
            let definite = descriptor.at_derivation_index(index);
            let definite = definite.map_err(|error| errors::not_found(error.to_string()))?;
            let derived = definite.derived_descriptor(&secp);
            let derived = derived.map_err(|error| errors::not_found(error.to_string()))?;
            if done.insert(derived.script_pubkey()) {
                wanted.insert(derived.script_pubkey(), derived.to_string());
            }
        }
    }
    Ok(())
}

/// The indexes at which a descriptor is derived.
fn read_range(range: &Value) -> RpcResult<(u32, u32)> {
    let bad = errors::invalid_parameter;
    let index = |value: &Value| value.as_u64().and_then(|index| u32::try_from(index).ok());
    let (from, to) = match range {
        Value::Null => (Some(0), Some(RANGE)),
        Value::Array(range) => match range.as_slice() {
            [from, to] => (index(from), index(to)),
            _ => return Err(bad("Range must have exactly two elements")),
        },
        end => (Some(0), index(end)),
    };
    let (Some(from), Some(to)) = (from, to) else { return Err(bad("Range must be numbers of 0 and more")) };
    if from > to {
        return Err(bad("Range specified as [begin,end] must not have begin after end"));
    }
    if (to - from) as usize >= SCRIPTS_MAX || to >= 1 << 31 {
        return Err(bad("Range is too large"));
    }
    Ok((from, to))
}
