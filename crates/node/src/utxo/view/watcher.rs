//! Keeps a view up to date, and says what changed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bitcoin::{OutPoint, Transaction, TxOut, Txid, consensus::encode::deserialize, hashes::Hash as _};
use mass_ledger_utxo::UtxoLedger;
use mass_mempool::EntryId;
use mass_primitives::Height;
use mass_rpc::{RpcResult, errors};
use tokio::{sync::Mutex, task::JoinHandle};

use super::{ChainView, PoolTx, ScriptHash, View, chain::ChainFacts};
use crate::{api::fault, error::ChainError, node::Node, queries::Queries};

/// How often is looked for news: a small part of the shortest slot.
const NEWS: Duration = Duration::from_millis(50);

/// Blocks at the most whose scripts are gathered; more at one time may have changed any script.
const BLOCKS_MAX: u32 = 8;

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
    /// The chain, if it has another tip.
    chain: Option<ChainView>,
    came: Vec<Came>,
    left: Vec<EntryId>,
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
    /// The ids of the pool as last seen.
    known: Mutex<HashSet<EntryId>>,
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
        loop {
            tokio::select! {
                () = self.queries.closed() => return,
                () = tokio::time::sleep(NEWS) => {}
            }
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "no news");
            }
        }
    }

    /// Takes a transaction to the pool, and sees it there before it returns.
    ///
    /// # Errors
    /// Why the pool does not take it.
    pub(in crate::utxo) async fn offer(&self, tx: &Transaction) -> RpcResult<Txid> {
        let bytes = bitcoin::consensus::serialize(tx);
        self.queries.answer(move |node| node.offer(bytes)).await?;
        self.refresh().await?;
        Ok(tx.compute_txid())
    }

    /// Asks the loop for news and takes them over.
    async fn refresh(&self) -> RpcResult<()> {
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
        let view = self.view.clone();
        let taken = tokio::task::spawn_blocking(move || take(&view, &before, news)).await;
        let taken = taken.map_err(|error| errors::misc(error.to_string()))?;
        let (came, left) = taken.map_err(fault)?;
        known.extend(came);
        known.retain(|id| !left.contains(id));
        Ok(())
    }
}

/// What is new since `known` and `seen`; `None` if nothing is.
fn news(
    node: &Node<UtxoLedger>,
    known: &HashSet<EntryId>,
    seen: &ChainView,
) -> RpcResult<Option<News>> {
    let (chain, pool) = (node.chain(), node.chain().pool());
    let came = pool.ids().filter(|id| !known.contains(id)).filter_map(|id| {
        let entry = pool.get(&id)?;
        Some(Came { bytes: entry.bytes.clone(), fee: entry.fee.get(), weight: entry.weight })
    });
    let came: Vec<Came> = came.collect();
    let left: Vec<EntryId> = known.iter().filter(|id| !pool.contains(id)).copied().collect();
    let is_new = *chain.engine().tip() != seen.tip().id;
    if came.is_empty() && left.is_empty() && !is_new {
        return Ok(None);
    }
    let chain = is_new.then(|| {
        let snapshot = chain.store().snapshot().map_err(fault)?;
        ChainView::new(snapshot, Arc::clone(seen.facts())).map_err(fault)
    });
    Ok(Some(News { chain: chain.transpose()?, came, left }))
}

/// Takes news over and tells subscribers; the ids of what came and what left.
fn take(view: &View, before: &ChainView, news: News) -> Result<(Vec<EntryId>, HashSet<EntryId>), ChainError> {
    let now = news.chain.as_ref().unwrap_or(before);
    let mut scripts = news.chain.as_ref().map_or(Ok(Some(HashSet::new())), |now| touched(before, now))?;
    let came = news.came.into_iter().map(|came| {
        let tx: Transaction = deserialize(&came.bytes).map_err(|_| ChainError::Database("a transaction of the pool does not decode".to_owned()))?;
        Ok((tx.compute_txid(), (tx, came.fee, came.weight)))
    });
    let came: HashMap<Txid, (Transaction, u64, u64)> = came.collect::<Result<_, ChainError>>()?;
    let prevout = |outpoint: &OutPoint| -> Result<TxOut, ChainError> {
        let vout = outpoint.vout as usize;
        let waits = || view.look(|pool| pool.get(&outpoint.txid)?.tx.output.get(vout).cloned()).1;
        let found = came.get(&outpoint.txid).and_then(|(tx, ..)| tx.output.get(vout).cloned()).or_else(waits);
        let found = found.map_or_else(|| now.coin(outpoint), |found| Ok(Some(found)))?;
        found.ok_or_else(|| ChainError::Database(format!("the pool spends {outpoint}, which is not there")))
    };
    let new = came.iter().map(|(txid, (tx, fee, weight))| {
        let prevouts = tx.input.iter().map(|input| prevout(&input.previous_output));
        let prevouts = prevouts.collect::<Result<_, _>>()?;
        Ok(PoolTx { txid: *txid, tx: tx.clone(), fee: *fee, weight: *weight, prevouts })
    });
    let new: Vec<PoolTx> = new.collect::<Result<_, ChainError>>()?;
    let ids: Vec<EntryId> = came.keys().map(|txid| txid.to_byte_array()).collect();
    let mut note = |tx: &PoolTx| scripts.iter_mut().for_each(|scripts| scripts.extend(tx.scripts()));
    let tip = news.chain.is_some();
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
    });
    view.tell(Change { tip, scripts: scripts.map(Arc::new) });
    Ok((ids, news.left.into_iter().collect()))
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
