//! Keeps a view up to date, and says what changed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bitcoin::{
    OutPoint, Transaction, TxOut, Txid,
    consensus::encode::{deserialize, serialize},
    hashes::Hash as _,
};
use mass_ledger_utxo::UtxoLedger;
use mass_mempool::{EntryId, FeeRate, Resident};
use mass_primitives::Height;
use mass_rpc::{RpcResult, errors};
use serde_json::Value;
use tokio::{sync::Mutex, task::JoinHandle};

use super::{ChainView, Fees, PoolTx, ScriptHash, View, chain::ChainFacts};
use crate::{
    api::fault,
    error::ChainError,
    node::{Moment, Node},
    queries::Queries,
    standard::pool::{send, submit},
};

/// How often is looked for news: a small part of the shortest slot.
const NEWS: Duration = Duration::from_millis(50);

/// The watcher takes one part of so many of the loop's time.
const SHARE: u32 = 10;

/// Blocks at the most whose scripts are gathered; more at one time may have changed any script.
const BLOCKS_MAX: u32 = 8;

/// Targets of fee estimates, in blocks: those of Esplora.
pub(in crate::utxo) const TARGETS: [u32; 27] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 144, 504];

/// What is new.
#[derive(Clone, Debug)]
pub(in crate::utxo) struct Change {
    /// Whether there is another tip.
    pub(in crate::utxo) tip: bool,
    /// The scripts whose history may be another; `None` if that may be any.
    pub(in crate::utxo) scripts: Option<Arc<HashSet<ScriptHash>>>,
}

/// What the loop says when it is asked.
struct News {
    /// The chain, if it has another tip or better indexes.
    chain: Option<ChainView>,
    /// What came to the pool, in no order.
    came: Vec<Came>,
    left: HashSet<EntryId>,
    /// The pool's count of changes.
    changes: u64,
    fees: Fees,
}

/// A transaction that came to the pool.
struct Came {
    bytes: Vec<u8>,
    fee: u64,
    weight: u64,
}

/// Who keeps a view up to date.
pub(in crate::utxo) struct Watcher {
    queries: Queries<UtxoLedger>,
    view: View,
    known: Mutex<Known>,
}

/// The pool as last seen.
#[derive(Default)]
struct Known {
    ids: HashSet<EntryId>,
    changes: Option<u64>,
}

impl Watcher {
    /// A view of a node, and a task that keeps it up to date until the node stops.
    ///
    /// # Errors
    /// The node stops, or storage fails.
    pub(in crate::utxo) async fn start(
        queries: Queries<UtxoLedger>,
    ) -> RpcResult<(View, Arc<Self>, JoinHandle<()>)> {
        let chain = queries.answer(|node| {
            let facts = Arc::new(ChainFacts::of(node.chain()));
            let snapshot = node.chain().store().snapshot().map_err(fault)?;
            ChainView::new(snapshot, facts).map_err(fault)
        });
        let view = View::new(chain.await?);
        let watcher = Arc::new(Self { queries, view: view.clone(), known: Mutex::default() });
        watcher.refresh().await?;
        let task = tokio::spawn(Arc::clone(&watcher).watch());
        Ok((view, watcher, task))
    }

    async fn watch(self: Arc<Self>) {
        let mut pause = NEWS;
        loop {
            tokio::select! {
                () = self.queries.closed() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let begun = Instant::now();
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "no news");
            }
            // The larger the pool, the longer the loop looks through it, and the more seldom.
            pause = NEWS.max(SHARE * begun.elapsed());
        }
    }

    /// Takes a transaction to the pool, and sees it there before it returns.
    ///
    /// # Errors
    /// Why the pool does not take it.
    pub(in crate::utxo) async fn offer(self: &Arc<Self>, tx: &Transaction) -> RpcResult<Txid> {
        let bytes = serialize(tx);
        self.queries.answer(move |node| send(node, bytes, None)).await?;
        self.refresh().await?;
        Ok(tx.compute_txid())
    }

    /// Takes a child and its parents to the pool; the answer is that of `submitpackage`.
    ///
    /// # Errors
    /// The package is none.
    pub(in crate::utxo) async fn offer_package(self: &Arc<Self>, txs: &[Transaction]) -> RpcResult<Value> {
        let list: Vec<Vec<u8>> = txs.iter().map(serialize).collect();
        let answer = self.queries.answer(move |node| submit(node, &list, None)).await?;
        self.refresh().await?;
        Ok(answer)
    }

    /// Asks the loop for news and takes them over, whether or not the caller waits for it: what is known must not be
    /// lost half-way.
    async fn refresh(self: &Arc<Self>) -> RpcResult<()> {
        let done = tokio::spawn(Arc::clone(self).take_news()).await;
        done.unwrap_or_else(|error| Err(errors::misc(error.to_string())))
    }

    async fn take_news(self: Arc<Self>) -> RpcResult<()> {
        // One at a time, or an older answer would be taken over after a newer one.
        let mut known = self.known.lock().await;
        let before = self.view.chain();
        let (asked, seen) = (std::mem::take(&mut *known), Arc::clone(&before));
        let answer = self.queries.ask(move |node| {
            let news = news(node, &asked, &seen);
            (asked, news)
        });
        let Some((asked, news)) = answer.await else { return Err(errors::misc("the node is stopping")) };
        *known = asked;
        let Some(news) = news? else { return Ok(()) };
        let changes = news.changes;
        let view = self.view.clone();
        let taken = tokio::task::spawn_blocking(move || take(&view, &before, news)).await;
        let taken = taken.map_err(|error| errors::misc(error.to_string()))?;
        let (came, left) = taken.map_err(fault)?;
        known.ids.extend(came);
        known.ids.retain(|id| !left.contains(id));
        known.changes = Some(changes);
        Ok(())
    }
}

/// What is new since `known` and `seen`; `None` if nothing is.
fn news(node: &Node<UtxoLedger>, known: &Known, seen: &ChainView) -> RpcResult<Option<News>> {
    let (chain, pool) = (node.chain(), node.chain().pool());
    // Indexes that are being built grow without a new tip.
    let is_new = *chain.engine().tip() != seen.tip().id || !seen.is_indexed();
    let changes = pool.changes();
    if known.changes == Some(changes) && !is_new {
        return Ok(None);
    }
    let residents = pool.residents().map(Resident::entry);
    let came = residents.filter(|entry| !known.ids.contains(&entry.id)).map(|entry| Came {
        bytes: entry.bytes.clone(),
        fee: entry.fee.get(),
        weight: entry.weight,
    });
    let came: Vec<Came> = came.collect();
    let left = known.ids.iter().filter(|id| !pool.contains(id)).copied().collect();
    let view = is_new.then(|| {
        let snapshot = chain.store().snapshot().map_err(fault)?;
        ChainView::new(snapshot, Arc::clone(seen.facts())).map_err(fault)
    });
    let per_vbyte = |rate: FeeRate| rate.get() as f64 / 250.0;
    let estimates = TARGETS.into_iter().filter_map(|target| {
        let estimate = chain.estimator().estimate(target, false);
        Some((estimate.blocks, per_vbyte(estimate.fee_rate?)))
    });
    let fees = Fees { min: per_vbyte(pool.min_fee_rate(Moment::now().unix)), by_target: estimates.collect() };
    Ok(Some(News { chain: view.transpose()?, came, left, changes, fees }))
}

/// Takes news over and tells subscribers; the ids of what came and what left.
fn take(view: &View, before: &ChainView, news: News) -> Result<(Vec<EntryId>, HashSet<EntryId>), ChainError> {
    let now = news.chain.as_ref().unwrap_or(before);
    let mut scripts = news.chain.as_ref().map_or(Ok(Some(HashSet::new())), |now| touched(before, now))?;
    let new = decode(view, now, news.came)?;
    let ids: Vec<EntryId> = new.iter().map(|tx| tx.txid.to_byte_array()).collect();
    let mut note = |tx: &PoolTx| scripts.iter_mut().for_each(|scripts| scripts.extend(tx.scripts()));
    let tip = news.chain.as_ref().is_some_and(|now| now.tip() != before.tip());
    view.change(|moment| {
        for id in &news.left {
            moment.pool.remove(&Txid::from_byte_array(*id)).iter().for_each(|tx| note(tx));
        }
        for tx in new {
            note(&tx);
            moment.pool.insert(tx);
        }
        if let Some(chain) = news.chain {
            moment.chain = Arc::new(chain);
        }
        moment.fees = news.fees;
    });
    view.tell(Change { tip, scripts: scripts.map(Arc::new) });
    Ok((ids, news.left))
}

/// What came, with what it spends, which is a coin of the chain or an output of what waits.
fn decode(view: &View, now: &ChainView, came: Vec<Came>) -> Result<Vec<PoolTx>, ChainError> {
    let damaged = |what: String| ChainError::Database(what);
    let mut txs: Vec<(Txid, Transaction, u64, u64)> = Vec::new();
    for Came { bytes, fee, weight } in came {
        let tx: Transaction = deserialize(&bytes)
            .map_err(|_| damaged("a transaction of the pool does not decode".to_owned()))?;
        txs.push((tx.compute_txid(), tx, fee, weight));
    }
    let with: HashMap<Txid, Transaction> = txs.iter().map(|(txid, tx, ..)| (*txid, tx.clone())).collect();
    let prevout = |outpoint: &OutPoint| -> Result<TxOut, ChainError> {
        let vout = outpoint.vout as usize;
        let waits = || view.look(|pool| pool.get(&outpoint.txid)?.tx.output.get(vout).cloned()).1;
        let found = with.get(&outpoint.txid).and_then(|tx| tx.output.get(vout).cloned()).or_else(waits);
        let found = found.map_or_else(|| now.coin(outpoint), |found| Ok(Some(found)))?;
        found.ok_or_else(|| damaged(format!("the pool spends {outpoint}, which is not there")))
    };
    let of = |(txid, tx, fee, weight): (Txid, Transaction, u64, u64)| {
        let prevouts =
            tx.input.iter().map(|input| prevout(&input.previous_output)).collect::<Result<_, _>>()?;
        Ok(PoolTx { txid, tx, fee, weight, prevouts })
    };
    txs.into_iter().map(of).collect()
}

/// The scripts that blocks touched between two tips, if the later one stands on the earlier one, not far above.
fn touched(before: &ChainView, now: &ChainView) -> Result<Option<HashSet<ScriptHash>>, ChainError> {
    let (old, new) = (before.tip(), now.tip());
    let above = new.height.get().saturating_sub(old.height.get());
    if above > BLOCKS_MAX || now.id_at(old.height)? != Some(old.id) {
        return Ok(None);
    }
    let mut scripts = HashSet::new();
    for height in old.height.get()..new.height.get() {
        let Some(found) = now.scripts_of_block(Height::new(height + 1))? else { return Ok(None) };
        scripts.extend(found);
    }
    Ok(Some(scripts))
}
