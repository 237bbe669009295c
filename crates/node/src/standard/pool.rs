//! The node's answers to questions about its pool, in the shapes and with the words and codes of Bitcoin Core.

use mass_ledger_utxo::{MAXWELL_PER_MASS, parse_mass};
use mass_mempool::{Entry, EntryId, FeeRate, PACKAGE_MAX, Rate, Resident, estimator::TARGET_MAX};
use mass_primitives::Amount;
use mass_rpc::{
    ErrorObjectOwned, RpcResult, errors,
    params::{Args, Kind, Param, amount_text},
};
use serde_json::{Map, Value, json};

use super::packages::List;
use crate::{
    api::{fault, unhex},
    chain::Chain,
    error::ChainError,
    ledger::NodeLedger,
    methods::{Method, in_background},
    node::{Moment, Node},
    pool::{PackageVerdict, PackageVerdicts},
    queries::Queries,
};

/// What a user pays without saying that he means it, in MASS per 1000 virtual bytes, as a share of one MASS: 0.10.
const FEE_RATE_MAX: Amount = Amount::new(MAXWELL_PER_MASS / 10);

/// Weight of a virtual byte.
const VIRTUAL_BYTE: u64 = 4;

/// Data that an output may carry, with its opcodes.
const DATA_BYTES_MAX: usize = mass_ledger_utxo::script::NULL_DATA_SCRIPT_BYTES_MAX;

/// An amount in MASS.
fn mass(maxwell: impl Into<u128>) -> f64 {
    // Amounts have fewer digits than this type keeps.
    maxwell.into() as f64 / MAXWELL_PER_MASS as f64
}

/// A rate in MASS per 1000 virtual bytes.
fn mass_rate(rate: FeeRate) -> f64 {
    mass(u128::from(rate.get()) * u128::from(VIRTUAL_BYTE))
}

fn virtual_size(entry: &Entry) -> u64 {
    entry.weight.div_ceil(VIRTUAL_BYTE)
}

/// Virtual size of several, each rounded up.
fn virtual_sizes<'a>(residents: impl IntoIterator<Item = &'a Resident>) -> u64 {
    residents.into_iter().map(|resident| virtual_size(resident.entry())).fold(0, u64::saturating_add)
}

/// Reads an amount in MASS: a number or a text.
fn read_amount(value: &Value) -> RpcResult<Amount> {
    parse_mass(&amount_text(value)?)
        .map_err(|error| errors::type_mismatch(format!("Invalid amount: {error}")))
}

/// The greatest fee for each 1000 virtual bytes; `None` for any.
fn read_fee_rate_max(value: &Value) -> RpcResult<Option<Amount>> {
    let rate = if value.is_null() { FEE_RATE_MAX } else { read_amount(value)? };
    if rate.get() > MAXWELL_PER_MASS {
        return Err(errors::invalid_parameter("Fee rates larger than 1 MASS/kvB are rejected"));
    }
    Ok(Some(rate).filter(|rate| *rate != Amount::ZERO))
}

/// Whether a transaction pays more than its sender means to.
fn exceeds(entry: &Entry, rate_max: Option<Amount>) -> bool {
    let weight = u128::from(entry.weight);
    rate_max.is_some_and(|rate| {
        u128::from(entry.fee.get()) * 4000 > u128::from(rate.get()) * weight.div_ceil(4) * 4
    })
}

fn check_burned<L: NodeLedger>(bytes: &[u8], max: &Value) -> RpcResult<()> {
    let max = if max.is_null() { Amount::ZERO } else { read_amount(max)? };
    if L::burned(bytes) > max {
        return Err(errors::verify("Unspendable output exceeds maximum configured by user (maxburnamount)"));
    }
    Ok(())
}

/// Why a transaction was refused, in a word.
fn reason<L: NodeLedger>(error: &ChainError) -> String {
    match error {
        ChainError::Pool(error) => error.reject_reason().to_owned(),
        ChainError::MissingCoin { .. } => "missing-inputs".to_owned(),
        ChainError::Ledger(fault) => L::reject_reason(fault).unwrap_or_else(|| error.to_string()),
        other => other.to_string(),
    }
}

/// The same with what was found and what was expected.
fn details<L: NodeLedger>(error: &ChainError) -> String {
    let (reason, details) = (reason::<L>(error), error.to_string());
    if reason == details { reason } else { format!("{reason}, {details}") }
}

fn refusal<L: NodeLedger>(error: ChainError) -> ErrorObjectOwned {
    match error {
        ChainError::Transaction(_) => {
            errors::decode("TX decode failed. Make sure the tx has at least one input.")
        }
        ChainError::MissingCoin { .. } => errors::verify("bad-txns-inputs-missingorspent"),
        ChainError::Pool(_) | ChainError::Ledger(_) => errors::rejected(details::<L>(&error)),
        other => fault(other),
    }
}

fn read_id<L: NodeLedger>(text: &str) -> RpcResult<EntryId> {
    L::read_id(text).ok_or_else(|| errors::invalid_parameter(format!("{text:?} is no transaction id")))
}

fn resident<'a, L: NodeLedger>(node: &'a Node<L>, id: &EntryId) -> RpcResult<&'a Resident> {
    let found = node.chain().pool().resident(id);
    found.ok_or_else(|| errors::not_found("Transaction not in mempool"))
}

fn describe<L: NodeLedger>(node: &Node<L>, resident: &Resident) -> Value {
    let (entry, pool) = (resident.entry(), node.chain().pool());
    let [depends, spent_by] =
        pool.relatives(resident).map(|ids| ids.iter().map(L::write_id).collect::<Vec<_>>());
    let (ancestors, descendants) = (resident.ancestors(), resident.descendants());
    let size = virtual_size(entry);
    let others = |ids: Vec<EntryId>| size + virtual_sizes(ids.iter().filter_map(|id| pool.resident(id)));
    json!({
        "vsize": size, "weight": entry.weight,
        "time": resident.arrival().seconds, "height": resident.arrival().height,
        "descendantcount": descendants.count, "descendantsize": others(pool.descendants(&entry.id)),
        "ancestorcount": ancestors.count, "ancestorsize": others(pool.ancestors(&entry.id)),
        "wtxid": L::write_witness_id(&entry.bytes, &entry.id),
        "fees": {
            "base": mass(entry.fee.get()), "modified": mass(resident.modified_fee().get()),
            "ancestor": mass(ancestors.fee), "descendant": mass(descendants.fee),
        },
        "depends": depends, "spentby": spent_by,
        "bip125-replaceable": L::signals_replacement(&entry.bytes), "unbroadcast": node.relay.is_own(&entry.id),
    })
}

/// Ids, or what is known of each.
fn listed<L: NodeLedger>(node: &Node<L>, ids: impl IntoIterator<Item = EntryId>, verbose: bool) -> Value {
    let ids = ids.into_iter();
    if !verbose {
        return ids.map(|id| L::write_id(&id)).collect();
    }
    let pool = node.chain().pool();
    let known = ids.filter_map(|id| Some((L::write_id(&id), describe(node, pool.resident(&id)?))));
    Value::Object(known.collect::<Map<_, _>>())
}

fn info<L: NodeLedger>(node: &Node<L>) -> Value {
    let pool = node.chain().pool();
    let limits = pool.limits();
    let own = node.relay.own_ids().filter(|id| pool.contains(id)).count();
    json!({
        "loaded": node.relay.is_restored(), "size": pool.len(), "bytes": virtual_sizes(pool.residents()),
        "usage": pool.memory_bytes(), "total_fee": mass(pool.fees()), "maxmempool": limits.memory_bytes_max,
        "mempoolminfee": mass_rate(pool.min_fee_rate(Moment::now().unix)),
        "minrelaytxfee": mass_rate(limits.min_fee_rate),
        "incrementalrelayfee": mass_rate(limits.incremental_fee_rate),
        "unbroadcastcount": own, "fullrbf": true, "permitbaremultisig": false,
        "maxdatacarriersize": DATA_BYTES_MAX,
    })
}

/// Effective fees of a transaction that was or would be taken, judged together with these.
fn fees(entry: &Entry, rate: Rate, together: &[String]) -> Value {
    json!({ "base": mass(entry.fee.get()), "effective-feerate": mass_rate(rate.per_1000()),
        "effective-includes": together })
}

fn test_one<L: NodeLedger>(
    chain: &Chain<L>,
    bytes: &[u8],
    before: &mut Vec<Entry>,
    rate_max: Option<Amount>,
) -> RpcResult<Value> {
    let id = chain.ledger().transaction_id(bytes).map_err(refusal::<L>)?;
    let wtxid = L::write_witness_id(bytes, &id);
    let refused = |reason: String, details: String| {
        json!({ "txid": L::write_id(&id), "wtxid": wtxid, "allowed": false,
            "reject-reason": reason, "reject-details": details })
    };
    let considered = match chain.consider_transaction(bytes, before, Moment::now().unix) {
        Err(error) if error.is_fatal() => return Err(fault(error)),
        Err(ChainError::MissingCoin { .. }) if chain.is_in_chain(bytes).map_err(fault)? => {
            return Ok(refused("txn-already-known".to_owned(), "txn-already-known".to_owned()));
        }
        Err(error) => return Ok(refused(reason::<L>(&error), details::<L>(&error))),
        Ok(considered) => considered,
    };
    let entry = considered.entry;
    if exceeds(&entry, rate_max) {
        return Ok(refused("max-fee-exceeded".to_owned(), "max-fee-exceeded".to_owned()));
    }
    let rate = Rate::new(entry.fee.get(), entry.weight);
    let accepted = json!({ "txid": L::write_id(&id), "wtxid": wtxid, "allowed": true,
        "vsize": virtual_size(&entry),
        "fees": fees(&entry, rate, std::slice::from_ref(&wtxid)) });
    before.push(entry);
    Ok(accepted)
}

/// Each as if those before it had come in. Of a list that is no package, why.
fn test<L: NodeLedger>(chain: &Chain<L>, list: &[Vec<u8>], rate_max: Option<Amount>) -> RpcResult<Value> {
    let package = List::read(chain, list).map_err(refusal::<L>)?;
    if let Some(fault) = package.fault() {
        let refused = package.ids.iter().zip(list).map(|(id, bytes)| {
            json!({ "txid": L::write_id(id), "wtxid": L::write_witness_id(bytes, id), "package-error": fault })
        });
        return Ok(refused.collect());
    }
    let mut before = Vec::new();
    list.iter().map(|bytes| test_one(chain, bytes, &mut before, rate_max)).collect()
}

pub(crate) fn send<L: NodeLedger>(
    node: &mut Node<L>,
    bytes: Vec<u8>,
    rate_max: Option<Amount>,
) -> RpcResult<String> {
    let chain = node.chain();
    let id = chain.ledger().transaction_id(&bytes).map_err(refusal::<L>)?;
    if !chain.pool().contains(&id) {
        if chain.is_in_chain(&bytes).map_err(fault)? {
            return Err(errors::in_chain("Transaction outputs already in utxo set"));
        }
        let preview = chain.preview_transaction(&bytes, &[]).map_err(refusal::<L>)?;
        if exceeds(&preview, rate_max) {
            return Err(errors::verify(
                "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
            ));
        }
    }
    node.pay(bytes, Moment::now()).map(|id| L::write_id(&id)).map_err(refusal::<L>)
}

pub(crate) fn submit<L: NodeLedger>(
    node: &mut Node<L>,
    list: &[Vec<u8>],
    rate_max: Option<Amount>,
) -> RpcResult<Value> {
    let package = List::read(node.chain(), list).map_err(refusal::<L>)?;
    if list.len() > 1 && !package.is_child_with_parents() {
        return Err(errors::verify(
            "package topology disallowed. not child-with-parents or parents depend on each other.",
        ));
    }
    let ids = package.ids.iter().zip(list);
    let ids: Vec<_> = ids.map(|(id, bytes)| (L::write_id(id), L::write_witness_id(bytes, id))).collect();
    if let Some(fault) = package.fault() {
        let refused = ids
            .into_iter()
            .map(|(txid, wtxid)| (wtxid, json!({ "txid": txid, "error": "package-not-validated" })));
        return Ok(json!({ "package_msg": fault, "tx-results": Value::Object(refused.collect()),
            "replaced-transactions": [] }));
    }
    let mut before = Vec::new();
    for bytes in list {
        let preview = node.chain().preview_transaction(bytes, &before);
        if preview.as_ref().is_ok_and(|entry| exceeds(entry, rate_max)) {
            return Err(errors::verify("max-fee-exceeded"));
        }
        before.extend(preview);
    }
    let verdicts = node.pay_package(list, Moment::now()).map_err(fault)?;
    Ok(package_json::<L>(&ids, &verdicts))
}

fn package_json<L: NodeLedger>(ids: &[(String, String)], verdicts: &PackageVerdicts) -> Value {
    let mut results = Map::new();
    let mut is_good = true;
    let written: Vec<String> = verdicts.together.iter().map(L::write_id).collect();
    let together = ids.iter().filter(|(txid, _)| written.contains(txid));
    let together: Vec<String> = together.map(|(_, wtxid)| wtxid.clone()).collect();
    for ((txid, wtxid), verdict) in ids.iter().zip(&verdicts.verdicts) {
        let result = match verdict {
            PackageVerdict::Known(entry) => json!({ "txid": txid,
                "vsize": virtual_size(entry), "fees": { "base": mass(entry.fee.get()) } }),
            PackageVerdict::Taken(entry, rate) => {
                let alone = std::slice::from_ref(wtxid);
                let with = if together.contains(wtxid) { &together[..] } else { alone };
                json!({ "txid": txid, "vsize": virtual_size(entry),
                    "fees": fees(entry, *rate, with) })
            }
            PackageVerdict::Refused(error) => {
                is_good = false;
                let error = match error {
                    ChainError::MissingCoin { .. } => "bad-txns-inputs-missingorspent".to_owned(),
                    other => details::<L>(other),
                };
                json!({ "txid": txid, "error": error })
            }
        };
        results.insert(wtxid.clone(), result);
    }
    let message = if is_good { "success" } else { "transaction failed" };
    json!({ "package_msg": message, "tx-results": results,
        "replaced-transactions": verdicts.left.iter().map(L::write_id).collect::<Vec<_>>() })
}

fn estimate<L: NodeLedger>(node: &Node<L>, target: u32, conservative: bool) -> Value {
    let (chain, now) = (node.chain(), Moment::now().unix);
    let estimate = chain.estimator().estimate(target, conservative);
    match estimate.fee_rate {
        Some(rate) => {
            let rate = rate.max(chain.pool().min_fee_rate(now));
            json!({ "feerate": mass_rate(rate), "blocks": estimate.blocks })
        }
        None => json!({ "errors": ["Insufficient data or no feerate found"], "blocks": estimate.blocks }),
    }
}

fn read_list(args: &Args) -> RpcResult<Vec<Vec<u8>>> {
    let list = args.value(0).as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() || list.len() > PACKAGE_MAX {
        return Err(errors::invalid_parameter(format!(
            "Array must contain between 1 and {PACKAGE_MAX} transactions."
        )));
    }
    let hex = |value: &Value| unhex(value.as_str().ok_or_else(|| errors::type_mismatch("hex is a string"))?);
    list.iter().map(hex).collect()
}

const NONE: &[Param] = &[];
const SEND: &[Param] = &[
    Param::new("hexstring", Kind::Text),
    Param::optional("maxfeerate", Kind::Any),
    Param::optional("maxburnamount", Kind::Any),
];
const TEST: &[Param] = &[Param::new("rawtxs", Kind::Array), Param::optional("maxfeerate", Kind::Any)];
const PACKAGE: &[Param] = &[
    Param::new("package", Kind::Array),
    Param::optional("maxfeerate", Kind::Any),
    Param::optional("maxburnamount", Kind::Any),
];
const LIST: &[Param] =
    &[Param::optional("verbose", Kind::Bool), Param::optional("mempool_sequence", Kind::Bool)];
const ONE: &[Param] = &[Param::new("txid", Kind::Hash)];
const FAMILY: &[Param] = &[Param::new("txid", Kind::Hash), Param::optional("verbose", Kind::Bool)];
const PRIORITISE: &[Param] = &[
    Param::new("txid", Kind::Hash),
    Param::optional("dummy", Kind::Any),
    Param::new("fee_delta", Kind::Number),
];
const ESTIMATE: &[Param] =
    &[Param::new("conf_target", Kind::Number), Param::optional("estimate_mode", Kind::Text)];

/// The methods of the pool.
pub(super) fn table<L: NodeLedger>() -> Vec<Method<L>> {
    [offers(), questions()].into_iter().flatten().collect()
}

fn offers<L: NodeLedger>() -> Vec<Method<L>> {
    let name = |name| ("Rawtransactions", name);
    vec![
        Method::new(
            name("sendrawtransaction"),
            SEND,
            "Offers a transaction in hex to the pool and to peers; returns its id. One that pays more than maxfeerate \
             (default 0.10, 0 for any) or burns more than maxburnamount (default 0) is refused.",
            |node, args| {
                let bytes = unhex(args.text(0))?;
                let rate_max = read_fee_rate_max(args.value(1))?;
                check_burned::<L>(&bytes, args.value(2))?;
                send(node, bytes, rate_max).map(Value::from)
            },
        ),
        Method::new(
            name("testmempoolaccept"),
            TEST,
            "Whether the pool would take transactions in hex, which may spend from those before them and count against \
             its limits with them; nothing is changed. A list that is no package says so in package-error.",
            |node, args| {
                let (list, rate_max) = (read_list(args)?, read_fee_rate_max(args.value(1))?);
                test(node.chain(), &list, rate_max)
            },
        ),
        Method::new(
            name("submitpackage"),
            PACKAGE,
            "Offers a child together with the parents that it pays for, parents first. One child and one parent may \
             together replace others.",
            |node, args| {
                let (list, rate_max) = (read_list(args)?, read_fee_rate_max(args.value(1))?);
                list.iter().try_for_each(|bytes| check_burned::<L>(bytes, args.value(2)))?;
                submit(node, &list, rate_max)
            },
        ),
        Method::new(
            ("Mining", "prioritisetransaction"),
            PRIORITISE,
            "Adds fee_delta maxwell to the fee by which this node orders a transaction; dummy is null or 0.",
            prioritise,
        ),
        Method::new(
            ("Mining", "getprioritisedtransactions"),
            NONE,
            "What was added to fees by prioritisetransaction.",
            |node, _| Ok(prioritised(node)),
        ),
        Method::new(
            ("Util", "estimatesmartfee"),
            ESTIMATE,
            "A fee rate in MASS/kvB for a transaction that is to be in one of the next conf_target blocks. \
             estimate_mode is economical (default) or conservative.",
            read_estimate,
        ),
    ]
}

fn questions<L: NodeLedger>() -> Vec<Method<L>> {
    let name = |name| ("Blockchain", name);
    vec![
        Method::new(
            name("getmempoolinfo"),
            NONE,
            "How full the pool is, and what it asks for.",
            |node, _| Ok(info(node)),
        ),
        Method::new(
            name("getrawmempool"),
            LIST,
            "Ids of the transactions that wait, or with verbose what is known of each; with mempool_sequence a list \
             and the number of changes of the pool so far.",
            raw_pool,
        ),
        Method::new(
            name("getmempoolentry"),
            ONE,
            "What is known of a transaction that waits.",
            |node, args| Ok(describe(node, resident(node, &read_id::<L>(args.text(0))?)?)),
        ),
        Method::new(
            name("getmempoolancestors"),
            FAMILY,
            "Those that a transaction stands on and that wait, too.",
            |node, args| {
                let id = read_id::<L>(args.text(0))?;
                resident(node, &id)?;
                Ok(listed(node, node.chain().pool().ancestors(&id), args.is(1, false)))
            },
        ),
        Method::new(
            name("getmempooldescendants"),
            FAMILY,
            "Those that wait for a transaction.",
            |node, args| {
                let id = read_id::<L>(args.text(0))?;
                resident(node, &id)?;
                Ok(listed(node, node.chain().pool().descendants(&id), args.is(1, false)))
            },
        ),
        Method::aside(
            name("savemempool"),
            NONE,
            "Writes the pool down now; it is also written at times and when the node ends.",
            |queries, _| Box::pin(save(queries)),
        ),
    ]
}

fn raw_pool<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    let (verbose, with_sequence) = (args.is(0, false), args.is(1, false));
    if with_sequence && verbose {
        return Err(errors::invalid_parameter("Verbose results cannot contain mempool sequence values."));
    }
    let pool = node.chain().pool();
    let ids = listed(node, pool.ids(), verbose);
    Ok(if with_sequence { json!({ "txids": ids, "mempool_sequence": pool.changes() + 1 }) } else { ids })
}

async fn save<L: NodeLedger>(queries: Queries<L>) -> RpcResult<Value> {
    let prepared = queries.run(|running| {
        let is_restored = running.node.relay.is_restored();
        is_restored.then(|| running.files.prepare(&running.node, Moment::now().instant))
    });
    let prepared = prepared.await.ok_or_else(|| errors::misc("the node is stopping"))?;
    let write = prepared.ok_or_else(|| errors::misc("The mempool was not loaded yet"))?;
    in_background(move || {
        let path = write.path.display().to_string();
        let failed = |error| errors::misc(format!("Unable to dump mempool to disk: {path}: {error}"));
        write.perform().map_err(failed)?;
        Ok(json!({ "filename": path }))
    })
    .await
}

fn prioritise<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    let id = read_id::<L>(args.text(0))?;
    if !args.value(1).is_null() && args.value(1).as_f64() != Some(0.0) {
        return Err(errors::invalid_parameter(
            "Priority is no longer supported, dummy argument to prioritisetransaction must be 0.",
        ));
    }
    let delta = args.number(2).unwrap_or(0);
    node.chain_mut().prioritise(id, delta).map_err(|error| errors::misc(error.to_string()))?;
    Ok(Value::Bool(true))
}

fn prioritised<L: NodeLedger>(node: &Node<L>) -> Value {
    let pool = node.chain().pool();
    let listed = pool.deltas().map(|(id, delta)| {
        let mut known = json!({ "fee_delta": delta, "in_mempool": pool.contains(id) });
        if let Some(resident) = pool.resident(id) {
            known["modified_fee"] = json!(resident.modified_fee());
        }
        (L::write_id(id), known)
    });
    Value::Object(listed.collect())
}

fn read_estimate<L: NodeLedger>(node: &mut Node<L>, args: &Args) -> RpcResult<Value> {
    let target = args.number(0).and_then(|target| u32::try_from(target).ok()).unwrap_or(0);
    if !(1..=TARGET_MAX).contains(&target) {
        return Err(errors::invalid_parameter(format!(
            "Invalid conf_target, must be between 1 and {TARGET_MAX}"
        )));
    }
    match args.optional_text(1).unwrap_or("economical").to_lowercase().as_str() {
        "conservative" => Ok(estimate(node, target, true)),
        "economical" | "unset" => Ok(estimate(node, target, false)),
        _ => Err(errors::invalid_parameter(
            "Invalid estimate_mode parameter, must be one of: \"unset\", \"economical\", \"conservative\"",
        )),
    }
}
