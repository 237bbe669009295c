//! Following the chain of a node: blocks from the last one known, then what waits for a block.
//!
//! ```text
//! fork   from the wallet's newest checkpoint back to one that is on the node's chain
//! blocks from there up; BDK is given those that concern the wallet, the last of each batch, and all of
//!        the last DENSE_BLOCKS, so that a reorg finds every one of its heights and replaces them
//! pool   own payments that the node lost are offered again, and forgotten if it refuses; new ones that
//!        concern the wallet are taken
//! ```
//!
//! A reorg deeper than the dense checkpoints makes the wallet forget and read the whole chain. A node that
//! is behind the wallet changes nothing.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use bdk_wallet::chain::{BlockId as CheckpointId, Indexer as _};
use bitcoin::{Block, Transaction, Txid};
use mass_primitives::{BlockId, Height};
use mass_rpc::{BitcoinClient as _, ClientError, HttpClient, MassClient as _, PoolClient as _, errors};

use crate::{
    error::{WalletError, from_call},
    ledger_chain::{block_hash, block_id},
    wallet::Wallet,
};

/// Blocks below the tip of which the wallet keeps every id.
pub(crate) const DENSE_BLOCKS: u32 = 144;
/// Blocks between two commits of the state.
const BATCH_BLOCKS: u32 = 500;
/// Times that the chain may change while it is read.
const ATTEMPTS: u32 = 16;
/// Waiting transactions that one sync looks at, at the most.
const POOL_LOOKUPS_MAX: usize = 2_000;

/// How far a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Height of the last block that was read.
    pub height: Height,
    /// Height of the node's tip.
    pub target: Height,
}

/// What a sync did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Height of the last block that the wallet knows.
    pub height: Height,
    /// Its id.
    pub tip: BlockId,
    /// Blocks that were read.
    pub blocks: u32,
}

/// How reading blocks ended.
enum Scan {
    Done,
    /// The node's chain changed.
    Moved,
    /// The blocks do not connect to what the wallet knows.
    Lost,
}

impl Wallet {
    /// Learns what happened on the chain since the last time.
    ///
    /// # Errors
    /// [`WalletError`] if the node does not answer or is of another chain, or the state cannot be written.
    /// What was read before stays.
    pub async fn sync(&mut self, node: &HttpClient) -> Result<Synced, WalletError> {
        self.sync_with(node, |_| {}).await
    }

    /// As [`Wallet::sync`], telling `progress` of each block.
    ///
    /// # Errors
    /// As [`Wallet::sync`].
    pub async fn sync_with(
        &mut self,
        node: &HttpClient,
        mut progress: impl FnMut(Progress),
    ) -> Result<Synced, WalletError> {
        self.check_node(node).await?;
        let mut blocks = 0;
        self.sync_blocks(node, |at| {
            blocks += 1;
            progress(at);
        })
        .await?;
        self.sync_pool(node).await?;
        self.persist()?;
        let tip = self.bdk.latest_checkpoint();
        Ok(Synced { height: Height::new(tip.height()), tip: block_id(tip.hash()), blocks })
    }

    async fn sync_blocks(
        &mut self,
        node: &HttpClient,
        mut read: impl FnMut(Progress),
    ) -> Result<(), WalletError> {
        for _attempt in 0..ATTEMPTS {
            let target = block_count(node).await?;
            let Some(fork) = self.fork(node, target).await? else {
                self.forget()?;
                continue;
            };
            match self.scan(node, fork, target, &mut read).await? {
                Scan::Done => return Ok(()),
                Scan::Moved => {}
                Scan::Lost => self.forget()?,
            }
        }
        Err(WalletError::Unsteady)
    }

    /// Checks that the node follows the wallet's chain.
    pub(crate) async fn check_node(&self, node: &HttpClient) -> Result<(), WalletError> {
        let status = node.status().await.map_err(|error| from_call("mass_status", error))?;
        if status.chain != self.chain.id {
            let (name, found, expected) = (status.name, status.chain, self.chain.id);
            return Err(WalletError::NodeChain { name, found, expected });
        }
        let expected = block_id(self.chain.genesis.block_hash());
        match block_at(node, 0).await? {
            Some(found) if found == expected => Ok(()),
            found => Err(WalletError::NodeGenesis { found: found.unwrap_or(BlockId::ZERO), expected }),
        }
    }

    /// The newest checkpoint that is on the node's chain; `None` if what the wallet knows of the blocks
    /// above it has gaps.
    async fn fork(&self, node: &HttpClient, target: u32) -> Result<Option<CheckpointId>, WalletError> {
        let mut above = None;
        let checkpoints: Vec<_> = self.bdk.checkpoints().map(|point| point.block_id()).collect();
        for point in checkpoints {
            let known = if point.height <= target { block_at(node, point.height).await? } else { None };
            if known.is_some_and(|id| block_hash(&id) == point.hash) {
                let has_gap = |above: u32| point.height < target && above != point.height + 1;
                return Ok(if above.is_some_and(has_gap) { None } else { Some(point) });
            }
            above = Some(point.height);
        }
        Ok(None)
    }

    async fn scan(
        &mut self,
        node: &HttpClient,
        fork: CheckpointId,
        target: u32,
        read: &mut impl FnMut(Progress),
    ) -> Result<Scan, WalletError> {
        let (mut parent, mut connected) = (fork.hash, fork);
        for height in fork.height + 1..=target {
            let Some(id) = block_at(node, height).await? else { return Ok(Scan::Moved) };
            let block = block(node, id).await?;
            if block.header.prev_blockhash != parent {
                return Ok(Scan::Moved);
            }
            parent = block_hash(&id);
            let is_batch_end = height % BATCH_BLOCKS == 0 || height == target;
            // The first block must be known, for it is what replaces the old branch.
            let is_dense = target - height < DENSE_BLOCKS || height == fork.height + 1;
            if is_batch_end || is_dense || self.concerns(&block) {
                if self.bdk.apply_block_connected_to(&block, height, connected).is_err() {
                    return Ok(Scan::Lost);
                }
                connected = CheckpointId { height, hash: parent };
            }
            if is_batch_end {
                self.persist()?;
            }
            read(Progress { height: Height::new(height), target: Height::new(target) });
        }
        Ok(Scan::Done)
    }

    fn concerns(&self, block: &Block) -> bool {
        block.txdata.iter().any(|tx| self.bdk.spk_index().is_tx_relevant(tx))
    }

    pub(crate) async fn sync_pool(&mut self, node: &HttpClient) -> Result<(), WalletError> {
        let pool = pool_ids(node).await?;
        let count = block_count(node).await?;
        // A node that is behind may not know the coins that our payments spend.
        if count >= self.bdk.latest_checkpoint().height() {
            self.offer_again(node, &pool).await?;
        }
        self.strangers.retain(|txid| pool.contains(txid));
        let canonical: BTreeSet<Txid> = self.bdk.transactions().map(|tx| tx.tx_node.txid).collect();
        let unknown = pool.iter().filter(|id| !canonical.contains(*id) && !self.strangers.contains(*id));
        let unknown: Vec<Txid> = unknown.take(POOL_LOOKUPS_MAX).copied().collect();
        let mut found = Vec::new();
        for txid in &unknown {
            // One that is gone meanwhile is in a block, which the next sync reads.
            found.extend(pool_transaction(node, *txid).await?.map(|tx| (tx, unix_now())));
        }
        self.bdk.apply_unconfirmed_txs(found);
        let strangers = unknown.into_iter().filter(|txid| self.bdk.tx_graph().get_tx(*txid).is_none());
        self.strangers.extend(strangers);
        Ok(())
    }

    /// Offers the node what it should have in its pool and has not, and forgets what it refuses.
    async fn offer_again(&mut self, node: &HttpClient, pool: &BTreeSet<Txid>) -> Result<(), WalletError> {
        let mut lost: Vec<Transaction> = self.waiting().into_iter().map(|(tx, _)| tx).collect();
        lost.retain(|tx| !pool.contains(&tx.compute_txid()));
        // One that spends another is refused until the other is taken.
        loop {
            let mut refused = Vec::new();
            for tx in &lost {
                match broadcast(node, tx).await {
                    Ok(()) => {}
                    Err(WalletError::NodeRefuses { .. }) => refused.push(tx.clone()),
                    Err(error) => return Err(error),
                }
            }
            let is_final = refused.is_empty() || refused.len() == lost.len();
            lost = refused;
            if is_final {
                break;
            }
        }
        let refused = lost.iter().map(|tx| (tx.compute_txid(), unix_now()));
        self.bdk.apply_evicted_txs(refused);
        Ok(())
    }
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Offers a transaction to the node.
pub(crate) async fn broadcast(node: &HttpClient, tx: &Transaction) -> Result<(), WalletError> {
    let hex = bitcoin::consensus::encode::serialize_hex(tx);
    node.send_raw_transaction(hex, None, None)
        .await
        .map_err(|error| from_call("sendrawtransaction", error))?;
    Ok(())
}

async fn block_count(node: &HttpClient) -> Result<u32, WalletError> {
    let count = node.get_block_count().await;
    count.map(Height::get).map_err(|error| from_call("getblockcount", error))
}

/// The block at a height of the node's chain; `None` above its tip.
async fn block_at(node: &HttpClient, height: u32) -> Result<Option<BlockId>, WalletError> {
    match node.get_block_hash(Height::new(height)).await {
        Ok(id) => Ok(Some(id)),
        Err(ClientError::Call(error)) if error.code() == errors::INVALID_PARAMETER => Ok(None),
        Err(error) => Err(from_call("getblockhash", error)),
    }
}

async fn block(node: &HttpClient, id: BlockId) -> Result<Block, WalletError> {
    const METHOD: &str = "getblock";
    let wrong = |reason: &str| WalletError::NodeAnswer { method: METHOD, reason: reason.to_owned() };
    let answer = node.get_block(id, Some(0)).await.map_err(|error| from_call(METHOD, error))?;
    let hex = answer.as_str().ok_or_else(|| wrong("not a text"))?;
    let block: Block =
        bitcoin::consensus::encode::deserialize_hex(hex).map_err(|error| wrong(&error.to_string()))?;
    if block_id(block.block_hash()) != id {
        return Err(wrong("another block than the one asked for"));
    }
    if !block.check_merkle_root() {
        return Err(wrong("transactions that the header does not commit to"));
    }
    Ok(block)
}

async fn pool_ids(node: &HttpClient) -> Result<BTreeSet<Txid>, WalletError> {
    const METHOD: &str = "getrawmempool";
    let wrong = |reason: String| WalletError::NodeAnswer { method: METHOD, reason };
    let ids = node.get_raw_mempool(None, None).await.map_err(|error| from_call(METHOD, error))?;
    let ids = ids.as_array().ok_or_else(|| wrong("not a list".to_owned()))?;
    let parse = |id: &serde_json::Value| {
        id.as_str().and_then(|id| id.parse().ok()).ok_or_else(|| wrong(format!("{id} is no id")))
    };
    ids.iter().map(parse).collect()
}

/// A transaction that waits for a block; `None` if it does not.
async fn pool_transaction(node: &HttpClient, txid: Txid) -> Result<Option<Transaction>, WalletError> {
    const METHOD: &str = "getrawtransaction";
    let wrong = |reason: String| WalletError::NodeAnswer { method: METHOD, reason };
    let hex = match node.get_raw_transaction(txid.to_string(), None).await {
        Ok(hex) => hex,
        Err(ClientError::Call(error)) if error.code() == errors::NOT_FOUND => return Ok(None),
        Err(error) => return Err(from_call(METHOD, error)),
    };
    let tx: Transaction =
        bitcoin::consensus::encode::deserialize_hex(&hex).map_err(|error| wrong(error.to_string()))?;
    if tx.compute_txid() == txid { Ok(Some(tx)) } else { Err(wrong("another transaction".to_owned())) }
}
