//! The node's answers to questions about its pool, in the shapes and with the words and codes of Bitcoin Core.

use mass_ledger_utxo::{MAXWELL_PER_MASS, parse_mass};
use mass_mempool::{AdmitError, Entry, EntryId, FeeRate, PACKAGE_MAX, Rate, Resident, estimator::TARGET_MAX};
use mass_primitives::Amount;
use mass_rpc::{ErrorObjectOwned, PoolServer, RpcResult, async_trait, errors};
use serde_json::{Map, Value, json};

use crate::{
    api::{fault, unhex},
    chain::Chain,
    error::ChainError,
    ledger::NodeLedger,
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

/// The RPC of one node's pool.
pub struct PoolApi<L: NodeLedger>(pub Queries<L>);

/// An amount in MASS.
fn mass(maxwell: impl Into<u128>) -> f64 {
    // Amounts have fewer digits than this type keeps.
    maxwell.into() as f64 / MAXWELL_PER_MASS as f64
}

/// A rate in MASS per 1000 virtual bytes.
fn mass_rate(rate: FeeRate) -> f64 {
    mass(u128::from(rate.get()) * u128::from(VIRTUAL_BYTE))
}

fn virtual_size(weight: impl Into<u128>) -> u128 {
    weight.into().div_ceil(VIRTUAL_BYTE.into())
}

/// Reads an amount in MASS: a number or a text.
fn read_amount(value: &Value) -> RpcResult<Amount> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.is_sign_negative() && float != 0.0 => {
                return Err(errors::type_error("Amount out of range"));
            }
            Some(float) => format!("{float:.7}"),
            None => number.to_string(),
        },
        _ => return Err(errors::type_error("Amount is not a number or string")),
    };
    parse_mass(&text).map_err(|error| errors::type_error(format!("Invalid amount: {error}")))
}

/// The greatest fee for each 1000 virtual bytes; `None` for any.
fn read_fee_rate_max(value: Option<&Value>) -> RpcResult<Option<Amount>> {
    let rate = value.filter(|value| !value.is_null()).map_or(Ok(FEE_RATE_MAX), read_amount)?;
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

fn check_burned<L: NodeLedger>(bytes: &[u8], max: Option<&Value>) -> RpcResult<()> {
    let max = max.filter(|value| !value.is_null()).map_or(Ok(Amount::ZERO), read_amount)?;
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
    json!({
        "vsize": virtual_size(entry.weight) as u64, "weight": entry.weight,
        "time": resident.arrival().seconds, "height": resident.arrival().height,
        "descendantcount": descendants.count, "descendantsize": virtual_size(descendants.weight) as u64,
        "ancestorcount": ancestors.count, "ancestorsize": virtual_size(ancestors.weight) as u64,
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
fn listed<L: NodeLedger>(
    node: &Node<L>,
    ids: impl IntoIterator<Item = EntryId>,
    verbose: Option<bool>,
) -> Value {
    let ids = ids.into_iter();
    if !verbose.unwrap_or(false) {
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
        "loaded": node.relay.is_restored(), "size": pool.len(), "bytes": virtual_size(pool.weight()) as u64,
        "usage": pool.memory_bytes(), "total_fee": mass(pool.fees()), "maxmempool": limits.memory_bytes_max,
        "mempoolminfee": mass_rate(pool.min_fee_rate(Moment::now().unix)),
        "minrelaytxfee": mass_rate(limits.min_fee_rate),
        "incrementalrelayfee": mass_rate(limits.incremental_fee_rate),
        "unbroadcastcount": own, "fullrbf": true, "permitbaremultisig": false,
        "maxdatacarriersize": DATA_BYTES_MAX,
    })
}

/// Effective fees of a transaction that was or would be taken, judged together with these.
fn fees<L: NodeLedger>(entry: &Entry, rate: Rate, together: &[String]) -> Value {
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
        "vsize": virtual_size(entry.weight) as u64,
        "fees": fees::<L>(&entry, rate, std::slice::from_ref(&wtxid)) });
    before.push(entry);
    Ok(accepted)
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
    let mut before = Vec::new();
    for bytes in list {
        let preview = node.chain().preview_transaction(bytes, &before);
        if preview.as_ref().is_ok_and(|entry| exceeds(entry, rate_max)) {
            return Err(errors::verify("max-fee-exceeded"));
        }
        before.extend(preview);
    }
    let mut ids = Vec::new();
    for bytes in list {
        let id = node.chain().ledger().transaction_id(bytes).map_err(refusal::<L>)?;
        ids.push((L::write_id(&id), L::write_witness_id(bytes, &id)));
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
                "vsize": virtual_size(entry.weight) as u64, "fees": { "base": mass(entry.fee.get()) } }),
            PackageVerdict::Taken(entry, rate) => {
                let alone = std::slice::from_ref(wtxid);
                let with = if together.contains(wtxid) { &together[..] } else { alone };
                json!({ "txid": txid, "vsize": virtual_size(entry.weight) as u64,
                    "fees": fees::<L>(entry, *rate, with) })
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

fn read_list(list: &[String]) -> RpcResult<Vec<Vec<u8>>> {
    if list.is_empty() || list.len() > PACKAGE_MAX {
        return Err(errors::invalid_parameter(format!(
            "Array must contain between 1 and {PACKAGE_MAX} transactions."
        )));
    }
    list.iter().map(|hex| unhex(hex)).collect()
}

#[async_trait]
impl<L: NodeLedger> PoolServer for PoolApi<L> {
    async fn send_raw_transaction(
        &self,
        hexstring: String,
        maxfeerate: Option<Value>,
        maxburnamount: Option<Value>,
    ) -> RpcResult<String> {
        let bytes = unhex(&hexstring)?;
        let rate_max = read_fee_rate_max(maxfeerate.as_ref())?;
        check_burned::<L>(&bytes, maxburnamount.as_ref())?;
        self.0.answer(move |node| send(node, bytes, rate_max)).await
    }

    async fn test_mempool_accept(&self, rawtxs: Vec<String>, maxfeerate: Option<Value>) -> RpcResult<Value> {
        let (list, rate_max) = (read_list(&rawtxs)?, read_fee_rate_max(maxfeerate.as_ref())?);
        let query = move |node: &mut Node<L>| {
            let mut before = Vec::new();
            list.iter().map(|bytes| test_one(node.chain(), bytes, &mut before, rate_max)).collect()
        };
        self.0.answer(query).await
    }

    async fn submit_package(
        &self,
        package: Vec<String>,
        maxfeerate: Option<Value>,
        maxburnamount: Option<Value>,
    ) -> RpcResult<Value> {
        let (list, rate_max) = (read_list(&package)?, read_fee_rate_max(maxfeerate.as_ref())?);
        list.iter().try_for_each(|bytes| check_burned::<L>(bytes, maxburnamount.as_ref()))?;
        self.0.answer(move |node| submit(node, &list, rate_max)).await
    }

    async fn get_mempool_info(&self) -> RpcResult<Value> {
        self.0.answer(|node| Ok(info(node))).await
    }

    async fn get_raw_mempool(
        &self,
        verbose: Option<bool>,
        mempool_sequence: Option<bool>,
    ) -> RpcResult<Value> {
        let with_sequence = mempool_sequence.unwrap_or(false);
        if with_sequence && verbose.unwrap_or(false) {
            return Err(errors::invalid_parameter("Verbose results cannot contain mempool sequence values."));
        }
        let query = move |node: &mut Node<L>| {
            let pool = node.chain().pool();
            let ids = listed(node, pool.ids(), verbose);
            Ok(if with_sequence {
                json!({ "txids": ids, "mempool_sequence": pool.changes() + 1 })
            } else {
                ids
            })
        };
        self.0.answer(query).await
    }

    async fn get_mempool_entry(&self, txid: String) -> RpcResult<Value> {
        let id = read_id::<L>(&txid)?;
        self.0.answer(move |node| Ok(describe(node, resident(node, &id)?))).await
    }

    async fn get_mempool_ancestors(&self, txid: String, verbose: Option<bool>) -> RpcResult<Value> {
        let id = read_id::<L>(&txid)?;
        let query = move |node: &mut Node<L>| {
            resident(node, &id)?;
            Ok(listed(node, node.chain().pool().ancestors(&id), verbose))
        };
        self.0.answer(query).await
    }

    async fn get_mempool_descendants(&self, txid: String, verbose: Option<bool>) -> RpcResult<Value> {
        let id = read_id::<L>(&txid)?;
        let query = move |node: &mut Node<L>| {
            resident(node, &id)?;
            Ok(listed(node, node.chain().pool().descendants(&id), verbose))
        };
        self.0.answer(query).await
    }

    async fn save_mempool(&self) -> RpcResult<Value> {
        let prepared = self.0.run(|running| {
            let is_restored = running.node.relay.is_restored();
            is_restored.then(|| running.files.prepare(&running.node, Moment::now().instant))
        });
        let prepared = prepared.await.ok_or_else(|| errors::misc("the node is stopping"))?;
        let write = prepared.ok_or_else(|| errors::misc("The mempool was not loaded yet"))?;
        let path = write.path.display().to_string();
        let written = tokio::task::spawn_blocking(move || write.perform()).await;
        match written {
            Ok(Ok(())) => Ok(json!({ "filename": path })),
            Ok(Err(error)) => Err(errors::misc(format!("Unable to dump mempool to disk: {path}: {error}"))),
            Err(error) => Err(errors::misc(error.to_string())),
        }
    }

    async fn prioritise_transaction(
        &self,
        txid: String,
        dummy: Option<Value>,
        fee_delta: i64,
    ) -> RpcResult<bool> {
        let id = read_id::<L>(&txid)?;
        if dummy.is_some_and(|dummy| !dummy.is_null() && dummy.as_f64() != Some(0.0)) {
            return Err(errors::invalid_parameter(
                "Priority is no longer supported, dummy argument to prioritisetransaction must be 0.",
            ));
        }
        let query = move |node: &mut Node<L>| {
            node.chain_mut()
                .prioritise(id, fee_delta)
                .map_err(|error: AdmitError| errors::misc(error.to_string()))?;
            Ok(true)
        };
        self.0.answer(query).await
    }

    async fn get_prioritised_transactions(&self) -> RpcResult<Value> {
        let query = |node: &mut Node<L>| {
            let pool = node.chain().pool();
            let listed = pool.deltas().map(|(id, delta)| {
                let mut known = json!({ "fee_delta": delta, "in_mempool": pool.contains(id) });
                if let Some(resident) = pool.resident(id) {
                    known["modified_fee"] = json!(resident.modified_fee());
                }
                (L::write_id(id), known)
            });
            Ok(Value::Object(listed.collect()))
        };
        self.0.answer(query).await
    }

    async fn estimate_smart_fee(&self, conf_target: u32, estimate_mode: Option<String>) -> RpcResult<Value> {
        if !(1..=TARGET_MAX).contains(&conf_target) {
            return Err(errors::invalid_parameter(format!(
                "Invalid conf_target, must be between 1 and {TARGET_MAX}"
            )));
        }
        let mode = estimate_mode.as_deref().unwrap_or("economical").to_lowercase();
        let conservative = match mode.as_str() {
            "conservative" => true,
            "economical" | "unset" => false,
            _ => {
                return Err(errors::invalid_parameter(
                    "Invalid estimate_mode parameter, must be one of: \"unset\", \"economical\", \"conservative\"",
                ));
            }
        };
        self.0.answer(move |node| Ok(estimate(node, conf_target, conservative))).await
    }
}
