//! News for who subscribes over a WebSocket: blocks that connect and disconnect, transactions that enter and leave the
//! pool.
//!
//! The loop compares what it has with what it last told: the tip after each event, the pool at each tick of its clock.
//! News wait in queues of a fixed length. Who reads so slowly that some were overwritten is told so, and its subscription
//! ends: it has to ask the node how things stand and to subscribe again.

use std::{collections::BTreeSet, time::Duration};

use mass_mempool::EntryId;
use mass_primitives::{BlockId, Height};
use mass_rpc::{
    Methods, PendingSubscriptionSink, RegisterMethodError, RpcModule, SubscriptionMessage, SubscriptionResult,
};
use serde_json::{Value, json, value::to_raw_value};
use tokio::sync::broadcast::{Receiver, Sender, channel, error::RecvError};

use crate::{chain::Chain, ledger::NodeLedger};

/// Blocks that wait for a slow subscriber at the most: a long reorg fits.
const BLOCKS_MAX: usize = 4096;
/// Transactions that wait for a slow subscriber at the most: those of a full block fit.
const TRANSACTIONS_MAX: usize = 16_384;
/// How long a connection may take no message.
const PATIENCE: Duration = Duration::from_secs(30);

/// A block came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockNews {
    is_connected: bool,
    id: BlockId,
    height: Option<Height>,
}

/// A transaction came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TransactionNews {
    has_entered: bool,
    id: EntryId,
}

/// What was last told, and to whom.
pub(crate) struct News {
    blocks: Sender<BlockNews>,
    transactions: Sender<TransactionNews>,
    tip: Option<BlockId>,
    pool: BTreeSet<EntryId>,
    /// By what a pool that has changed is known: its count of changes, which passes over what blocks confirm, and its
    /// length. `None` while nobody listens.
    state: Option<(u64, usize)>,
}

impl News {
    /// Nobody has subscribed yet.
    pub(crate) fn new() -> Self {
        Self::with_room(BLOCKS_MAX, TRANSACTIONS_MAX)
    }

    fn with_room(blocks: usize, transactions: usize) -> Self {
        Self {
            blocks: channel(blocks).0,
            transactions: channel(transactions).0,
            tip: None,
            pool: BTreeSet::new(),
            state: None,
        }
    }

    /// Tells the way from the tip that was told to the one that is.
    pub(crate) fn look_at_tip<L: NodeLedger>(&mut self, chain: &Chain<L>) {
        let tip = *chain.engine().tip();
        let Some(last) = self.tip.replace(tip).filter(|last| *last != tip) else { return };
        let tree = chain.engine().tree();
        // A branch that was left may have been forgotten since.
        let (leave, enter) = tree.path(&last, &tip).unwrap_or_else(|| (Vec::new(), vec![tip]));
        let news = |is_connected: bool| {
            move |id: BlockId| BlockNews { is_connected, id, height: tree.get(&id).map(|node| node.height) }
        };
        for news in leave.into_iter().map(news(false)).chain(enter.into_iter().map(news(true))) {
            // An error means that nobody listens.
            let _ = self.blocks.send(news);
        }
    }

    /// Tells what has entered and left the pool. While nobody listens, or nothing changes, nothing is compared.
    pub(crate) fn look_at_pool<L: NodeLedger>(&mut self, chain: &Chain<L>) {
        if self.transactions.receiver_count() == 0 {
            self.pool.clear();
            self.state = None;
            return;
        }
        let state = Some((chain.pool().changes(), chain.pool().len()));
        if std::mem::replace(&mut self.state, state) == state {
            return;
        }
        let now: BTreeSet<EntryId> = chain.pool().ids().collect();
        let left = self.pool.difference(&now).map(|id| TransactionNews { has_entered: false, id: *id });
        let entered = now.difference(&self.pool).map(|id| TransactionNews { has_entered: true, id: *id });
        for news in left.chain(entered) {
            let _ = self.transactions.send(news);
        }
        self.pool = now;
    }

    /// The methods by which one subscribes.
    pub(crate) fn methods<L: NodeLedger>(&self) -> Result<Methods, RegisterMethodError> {
        let mut module = RpcModule::new((self.blocks.clone(), self.transactions.clone()));
        module.register_subscription(
            "mass_subscribeBlocks",
            "mass_blocks",
            "mass_unsubscribeBlocks",
            |_, pending, senders, _| tell(pending, senders.0.subscribe(), describe_block),
        )?;
        module.register_subscription(
            "mass_subscribeTransactions",
            "mass_transactions",
            "mass_unsubscribeTransactions",
            |_, pending, senders, _| tell(pending, senders.1.subscribe(), describe_transaction::<L>),
        )?;
        Ok(module.into())
    }
}

fn describe_block(news: BlockNews) -> Value {
    let event = if news.is_connected { "connected" } else { "disconnected" };
    json!({ "event": event, "hash": news.id, "height": news.height })
}

fn describe_transaction<L: NodeLedger>(news: TransactionNews) -> Value {
    let event = if news.has_entered { "entered" } else { "left" };
    json!({ "event": event, "txid": L::write_id(&news.id) })
}

/// Passes news on until the subscriber goes or falls behind.
async fn tell<T: Clone>(
    pending: PendingSubscriptionSink,
    mut news: Receiver<T>,
    describe: fn(T) -> Value,
) -> SubscriptionResult {
    let sink = pending.accept().await?;
    loop {
        let next = tokio::select! {
            next = news.recv() => next,
            () = sink.closed() => return Ok(()),
        };
        match next {
            Ok(next) => {
                let message: SubscriptionMessage = to_raw_value(&describe(next))?.into();
                if sink.send_timeout(message, PATIENCE).await.is_err() {
                    return Err("the subscriber takes no messages".into());
                }
            }
            Err(RecvError::Lagged(count)) => {
                return Err(format!("{count} news were missed: read faster, and subscribe again").into());
            }
            Err(RecvError::Closed) => return Err("the node is stopping".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use mass_ledger_utxo::UtxoLedger;

    use super::*;

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_and_left() {
        let news = News::with_room(4, 4);
        let methods = news.methods::<UtxoLedger>().unwrap();
        let block = |number: u8| BlockNews {
            is_connected: true,
            id: BlockId::new([number; 32]),
            height: Some(Height::new(number.into())),
        };
        let request = r#"{"jsonrpc":"2.0","id":1,"method":"mass_subscribeBlocks","params":[]}"#;
        let (_, mut told) = methods.raw_json_request(request, 16).await.unwrap();
        let mut next = async || Some(serde_json::from_str::<Value>(told.recv().await?.get()).unwrap());
        news.blocks.send(block(1)).unwrap();
        let first = next().await.unwrap();
        assert_eq!(
            (&first["method"], &first["params"]["result"]["height"]),
            (&json!("mass_blocks"), &json!(1))
        );
        // Nobody lets the subscription's task run while more come than there is room for.
        (0..9).for_each(|number| drop(news.blocks.send(block(number))));
        let last = next().await.unwrap();
        assert!(
            last["params"]["error"].as_str().is_some_and(|why| why.starts_with("5 news were missed")),
            "{last}"
        );
        drop(news);
        assert_eq!(next().await, None);
    }
}
