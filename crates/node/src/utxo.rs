//! Mass Net's ledger in a node: block candidates from the pool, transactions of blocks, and the RPC of coins.

mod chart;
mod coins;
mod electrum;
mod esplora;
mod explore;
pub mod faces;
pub mod filters;
pub mod index;
mod json;
mod merkle;
mod muhash;
mod proofs;
mod stats;
mod transactions;
mod view;

use std::{collections::BTreeSet, ops::Range};

use bitcoin::{
    OutPoint, Transaction, Txid, VarInt,
    consensus::{
        Decodable as _,
        encode::{deserialize, serialize},
    },
    hashes::Hash as _,
};
use mass_consensus::{
    ledger::{ApplyError, BlockContext, Carried, Overlay, StateRead},
    spec::ChainSpec,
};
use mass_ledger_utxo::{
    COINBASE_WEIGHT_MAX, LedgerError, LedgerParams, PendingReward, PolicyError, SpendContext,
    Supply as LedgerSupply, TxSummary, UtxoLedger, address, audit::Audit, body::Body, coin_key, format_mass,
    policy, reward::read_pending, sigops,
};
use mass_mempool::{CoinKey, Entry, EntryId, FeeRate, Limits, Pool, Waiting};
use mass_primitives::{Amount, BlockId, Encode as _, FarmerPublicKey, Height};
use mass_rpc::{CoinsServer, LightServer as _, Methods, Pending, RpcResult, Supply, async_trait, errors};
use mass_storage::IndexEntries;
use serde_json::{Map, Value};

use crate::{
    api::{fault, tree_node},
    chain::{Chain, refusal},
    error::ChainError,
    index::{BlockToIndex, IndexInfo},
    ledger::{Candidate, Included, LedgerFault, NextBlock, NodeLedger},
    methods::Method,
    node::Node,
    queries::Queries,
};

impl NodeLedger for UtxoLedger {
    const KIND: &'static str = "utxo";
    const INDEXES: &'static [IndexInfo] = index::INDEXES;

    fn audit(&self, entries: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Option<String>, String> {
        let mut audit = Audit::default();
        for (key, value) in entries {
            audit.take(&key, &value).ok_or("an entry cannot be read, or a sum does not fit")?;
        }
        let Audit { coins, pending, supply } = audit;
        let told = format!(
            "coins {} and pending rewards {}, of {} issued, {} in the genesis block and {} burned",
            format_mass(coins),
            format_mass(pending),
            format_mass(supply.issued),
            format_mass(supply.genesis),
            format_mass(supply.burned)
        );
        if audit.balances() { Ok(Some(told)) } else { Err(format!("the books do not balance: {told}")) }
    }

    fn open(spec: &ChainSpec) -> Result<Self, ChainError> {
        let bad = |error| ChainError::Params(Box::new(error));
        let params = LedgerParams::from_json(spec.rules().ledger.params.clone()).map_err(bad)?;
        Self::new(params, spec.id()).map_err(bad)
    }

    fn pool_limits(&self) -> Limits {
        let rate = FeeRate::new(policy::RELAY_FEE_RATE);
        Limits { min_fee_rate: rate, incremental_fee_rate: rate, ..Limits::FREE }
    }

    fn transaction_id(&self, bytes: &[u8]) -> Result<EntryId, ChainError> {
        Ok(parse(bytes)?.compute_txid().to_byte_array())
    }

    fn admit(
        &self,
        state: &dyn StateRead,
        waiting: &Waiting<'_>,
        next: NextBlock,
        bytes: &[u8],
    ) -> Result<Entry, ChainError> {
        judge(self, state, waiting, next, bytes, true)
    }

    fn preview(
        &self,
        state: &dyn StateRead,
        waiting: &Waiting<'_>,
        next: NextBlock,
        bytes: &[u8],
    ) -> Result<Entry, ChainError> {
        judge(self, state, waiting, next, bytes, false)
    }

    fn build(
        &self,
        state: &dyn StateRead,
        pool: &Pool,
        context: &BlockContext,
        payout: &str,
        carried: Carried,
    ) -> Result<Candidate, ChainError> {
        let payout = address::decode(&self.params().address_prefix, payout)
            .map_err(|error| ChainError::Address(Box::new(error)))?;
        let next = NextBlock { height: context.height, median_time_past: context.median_time_past };
        let (txs, refused) = candidates(self, state, pool, next)?;
        let body = self.build_body(state, context, &payout, carried, &txs)?;
        Ok(Candidate { body, refused })
    }

    fn transactions(&self, body: &[u8]) -> Result<Vec<Included>, LedgerError> {
        let body = Body::decode(body, self.params().weight_max)?;
        let id = |tx: &Transaction| tx.compute_txid().to_byte_array();
        let coinbase = body.coinbase();
        let coinbase =
            Included { id: id(coinbase), spends: Vec::new(), creates: created_keys(coinbase), bytes: None };
        let payments = body.payments().iter().map(|tx| Included {
            id: id(tx),
            spends: spent_keys(tx),
            creates: created_keys(tx),
            bytes: Some(serialize(tx)),
        });
        Ok(std::iter::once(coinbase).chain(payments).collect())
    }

    fn shared_parts(&self, body: &[u8]) -> Vec<Range<usize>> {
        payments(body).unwrap_or_default()
    }

    fn index(
        &self,
        names: &[&'static str],
        block: &BlockToIndex<'_>,
    ) -> Result<Vec<IndexEntries>, ChainError> {
        index::entries(self, names, block)
    }

    fn write_id(id: &EntryId) -> String {
        Txid::from_byte_array(*id).to_string()
    }

    fn read_id(text: &str) -> Option<EntryId> {
        text.parse().ok().map(|id: Txid| id.to_byte_array())
    }

    fn reject_reason(fault: &LedgerFault) -> Option<String> {
        let policy = fault.downcast_ref::<PolicyError>().map(|error| error.reject_reason().to_owned());
        policy.or_else(|| fault.downcast_ref::<LedgerError>().map(LedgerError::reject_reason))
    }

    fn write_witness_id(bytes: &[u8], id: &EntryId) -> String {
        parse(bytes).map_or_else(|_| Self::write_id(id), |tx| tx.compute_wtxid().to_string())
    }

    fn coins_of(&self, bytes: &[u8]) -> Vec<CoinKey> {
        parse(bytes).map(|tx| created_keys(&tx)).unwrap_or_default()
    }

    fn coins_spent_by(&self, bytes: &[u8]) -> Vec<CoinKey> {
        parse(bytes).map(|tx| spent_keys(&tx)).unwrap_or_default()
    }

    fn signals_replacement(bytes: &[u8]) -> bool {
        parse(bytes).is_ok_and(|tx| tx.is_explicitly_rbf())
    }

    fn burned(bytes: &[u8]) -> Amount {
        let outputs = parse(bytes).map(|tx| tx.output).unwrap_or_default();
        let burned = outputs.iter().filter(|output| output.script_pubkey.is_op_return());
        Amount::new(burned.map(|output| output.value.to_sat()).fold(0, u64::saturating_add))
    }

    fn describe_body(
        chain: &Chain<Self>,
        id: &BlockId,
        body: &[u8],
        verbosity: i64,
    ) -> RpcResult<Map<String, Value>> {
        transactions::describe_body(chain, id, body, verbosity)
    }

    fn relay_fee(chain: &Chain<Self>) -> f64 {
        // The pool counts by 1,000 weight, people by 1,000 virtual bytes.
        let rate = chain.ledger().pool_limits().min_fee_rate.get().saturating_mul(4);
        json::amount(Amount::new(rate)).as_f64().unwrap_or(0.0)
    }

    fn table() -> Vec<Method<Self>> {
        [
            transactions::table(),
            coins::table(),
            proofs::table(),
            stats::table(),
            chart::table(),
            explore::table(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn methods(queries: &Queries<Self>) -> Methods {
        let mut methods: Methods = CoinsApi(queries.clone()).into_rpc().into();
        let light = filters::LightApi(queries.clone()).into_rpc();
        methods.merge(light).expect("no method has the name of another");
        methods
    }
}

/// Where the transactions behind the coinbase are in a body.
fn payments(body: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut rest = body;
    let count = VarInt::consensus_decode(&mut rest).ok()?.0;
    let mut found = Vec::new();
    for position in 0..count {
        let start = body.len() - rest.len();
        Transaction::consensus_decode(&mut rest).ok()?;
        if position > 0 {
            found.push(start..body.len() - rest.len());
        }
    }
    Some(found)
}

fn parse(bytes: &[u8]) -> Result<Transaction, ChainError> {
    deserialize(bytes).map_err(|error| ChainError::Transaction(Box::new(error)))
}

/// Checks a transaction that came against policy and rules; its scripts, too, if `with_scripts`.
fn judge(
    ledger: &UtxoLedger,
    state: &dyn StateRead,
    waiting: &Waiting<'_>,
    next: NextBlock,
    bytes: &[u8],
    with_scripts: bool,
) -> Result<Entry, ChainError> {
    let tx = parse(bytes)?;
    policy::check_standard(&tx).map_err(refusal)?;
    let mut state = Overlay::new(state);
    for input in &tx.input {
        if let Some(parent) = waiting.created(&coin_key(&input.previous_output)) {
            overlay_outputs(&mut state, &parent.bytes, next)?;
        }
    }
    let context = spend_context(next);
    let checked = if with_scripts {
        ledger.check_transaction(&state, &tx, context)
    } else {
        ledger.check_spends(&state, &tx, context)
    };
    let summary = checked.map_err(name_missing)?;
    policy::check_spending(&tx, &summary).map_err(refusal)?;
    Ok(entry(ledger, &tx, &summary))
}

/// How the pool is to see a transaction that was checked.
fn entry(ledger: &UtxoLedger, tx: &Transaction, summary: &TxSummary) -> Entry {
    let keys = |coins: &[(OutPoint, mass_ledger_utxo::Coin)]| {
        coins.iter().map(|(outpoint, _)| coin_key(outpoint)).collect()
    };
    // Scripts have a limit in a block as weight has. Counted as the same part of it, they never break it.
    let weight_max = ledger.params().weight_max;
    let script_weight = weight_max.div_ceil(sigops::cost_max(weight_max).max(1));
    Entry {
        id: tx.compute_txid().to_byte_array(),
        bytes: serialize(tx),
        spends: keys(&summary.spends),
        creates: keys(&summary.creates),
        fee: summary.fee,
        weight: summary.weight.max(summary.sigop_cost.saturating_mul(script_weight)),
    }
}

fn created_keys(tx: &Transaction) -> Vec<CoinKey> {
    let txid = tx.compute_txid();
    (0u32..).zip(&tx.output).map(|(vout, _)| coin_key(&OutPoint { txid, vout })).collect()
}

fn spent_keys(tx: &Transaction) -> Vec<CoinKey> {
    tx.input.iter().map(|input| coin_key(&input.previous_output)).collect()
}

/// A coin that is not known may be that of a parent which has not come yet.
fn name_missing(error: ApplyError<LedgerError>) -> ChainError {
    match error {
        ApplyError::Invalid(LedgerError::MissingCoin(outpoint)) => ChainError::MissingCoin {
            coin: coin_key(&outpoint),
            fault: Box::new(LedgerError::MissingCoin(outpoint)),
        },
        other => other.into(),
    }
}

const fn spend_context(next: NextBlock) -> SpendContext {
    SpendContext { height: next.height, median_time_past: next.median_time_past }
}

/// What the pool offers for the next block, each checked where it will stand: a reorg may have taken away
/// what it spends, or lowered the height that it waited for. Beside the good ones those that are to leave the pool.
fn candidates(
    ledger: &UtxoLedger,
    state: &dyn StateRead,
    pool: &Pool,
    next: NextBlock,
) -> Result<(Vec<Transaction>, Vec<EntryId>), ChainError> {
    let weight_max = ledger.params().weight_max.saturating_sub(COINBASE_WEIGHT_MAX);
    let mut bad = Vec::new();
    loop {
        let (good, more) = check_all(ledger, state, &pool.template_without(weight_max, &bad), next)?;
        if more.is_empty() {
            return Ok((good, bad));
        }
        // Others take the room that is free now.
        bad.extend(more);
    }
}

/// The good ones, each checked after those before it, and the ids of the others.
fn check_all(
    ledger: &UtxoLedger,
    state: &dyn StateRead,
    entries: &[&Entry],
    next: NextBlock,
) -> Result<(Vec<Transaction>, Vec<EntryId>), ChainError> {
    let mut state = Overlay::new(state);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for entry in entries {
        let tx = parse(&entry.bytes)?;
        match ledger.check_transaction(&state, &tx, spend_context(next)) {
            Ok(summary) => {
                summary.spends.iter().for_each(|(outpoint, _)| state.delete(coin_key(outpoint)));
                for (outpoint, coin) in summary.creates {
                    state.put(coin_key(&outpoint), coin.to_bytes());
                }
                good.push(tx);
            }
            Err(ApplyError::Invalid(_)) => bad.push(entry.id),
            Err(ApplyError::State(error)) => return Err(error.into()),
        }
    }
    Ok((good, bad))
}

fn overlay_outputs(state: &mut Overlay<'_>, parent: &[u8], next: NextBlock) -> Result<(), ChainError> {
    let parent = parse(parent)?;
    let txid = parent.compute_txid();
    for (vout, output) in (0u32..).zip(&parent.output) {
        let coin = mass_ledger_utxo::Coin {
            amount: Amount::new(output.value.to_sat()),
            script: output.script_pubkey.clone(),
            height: next.height,
            median_time: next.median_time_past,
            coinbase: false,
        };
        state.put(coin_key(&OutPoint { txid, vout }), coin.to_bytes());
    }
    Ok(())
}

/// Addresses whose rewards are asked for in one call at the most.
const ADDRESSES_MAX: usize = 1_000;

/// The RPC of coins.
struct CoinsApi(Queries<UtxoLedger>);

fn supply(chain: &Chain<UtxoLedger>) -> RpcResult<Supply> {
    let state = chain.store().snapshot().map_err(fault)?;
    let ledger = LedgerSupply::read(&state).map_err(fault)?;
    let mut pending = Amount::ZERO;
    for reward in pending_heights(chain, &state)? {
        pending = pending.checked_add(reward.1.amount).ok_or_else(|| errors::misc("amounts overflow"))?;
    }
    Ok(Supply { issued: ledger.issued, burned: ledger.burned, genesis: ledger.genesis, pending })
}

/// Rewards not yet paid, by the height that earned them.
fn pending_heights(
    chain: &Chain<UtxoLedger>,
    state: &mass_storage::Snapshot,
) -> RpcResult<Vec<(Height, PendingReward)>> {
    let tip = tree_node(chain, chain.engine().tip())?.height.get();
    let mut found = Vec::new();
    for height in tip.saturating_sub(chain.ledger().params().reward_delay)..=tip {
        let height = Height::new(height);
        let reward = read_pending(state, height).map_err(fault)?;
        found.extend(reward.map(|reward| (height, reward)));
    }
    Ok(found)
}

fn pending(chain: &Chain<UtxoLedger>, is_wanted: impl Fn(&PendingReward) -> bool) -> RpcResult<Vec<Pending>> {
    let state = chain.store().snapshot().map_err(fault)?;
    let rewards = pending_heights(chain, &state)?.into_iter().filter(|(_, reward)| is_wanted(reward));
    let prefix = &chain.ledger().params().address_prefix;
    let pending = rewards.map(|(height, reward)| {
        let address = address::encode(prefix, &reward.payout_script);
        let address = address.map_err(|error| ChainError::Address(Box::new(error))).map_err(fault)?;
        Ok(Pending { height, amount: reward.amount, address })
    });
    pending.collect()
}

#[async_trait]
impl CoinsServer for CoinsApi {
    async fn supply(&self) -> RpcResult<Supply> {
        self.0.answer(|node| supply(node.chain())).await
    }

    async fn pending(&self, farmer: FarmerPublicKey) -> RpcResult<Vec<Pending>> {
        self.0.answer(move |node| pending(node.chain(), |reward| reward.farmer == farmer)).await
    }

    async fn pending_to(&self, addresses: Vec<String>) -> RpcResult<Vec<Pending>> {
        if addresses.len() > ADDRESSES_MAX {
            return Err(errors::invalid_parameter(format!("at most {ADDRESSES_MAX} addresses")));
        }
        let query = move |node: &mut Node<UtxoLedger>| {
            let prefix = &node.chain().ledger().params().address_prefix;
            let scripts = addresses.iter().map(|text| address::decode(prefix, text));
            let scripts: BTreeSet<_> = scripts
                .collect::<Result<_, _>>()
                .map_err(|error| fault(ChainError::Address(Box::new(error))))?;
            pending(node.chain(), |reward| scripts.contains(&reward.payout_script))
        };
        self.0.answer(query).await
    }
}
