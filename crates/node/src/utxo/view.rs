//! What servers of foreign protocols see: the chain after one block and the pool that goes with it.
//!
//! A [`View`] stands beside the node's loop. Its [`Watcher`] asks the loop, between two events, for a snapshot of
//! storage and for what came to the pool and left it; whoever answers a client reads these and never keeps the loop
//! waiting. Subscribers are told what changed.

mod chain;
mod pool;
mod watcher;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use bitcoin::{
    OutPoint, Script,
    hashes::{Hash as _, sha256},
};
use tokio::sync::{Semaphore, broadcast};

pub(super) use self::{
    chain::{BlockPlace, ChainView, Prevouts, ScriptCoin, StoredBlock, Totals},
    pool::{PoolTx, PoolView},
    watcher::{Change, TARGETS, Watcher},
};
use crate::error::ChainError;

/// Questions that read storage at one time at the most; others wait.
const READERS_MAX: usize = 8;

/// Changes that a slow subscriber may miss before it has to look at everything anew.
const CHANGES_KEPT: usize = 64;

/// SHA-256 of an output script, by which clients ask for its history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ScriptHash([u8; 32]);

impl ScriptHash {
    /// The hash of a script.
    pub(super) fn of(script: &Script) -> Self {
        Self(sha256::Hash::hash(script.as_bytes()).to_byte_array())
    }

    /// The bytes in the order in which they are hashed.
    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads it as Esplora writes it.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| Self(bytes))
    }

    /// Reads it as Electrum writes it, last byte first.
    pub(super) fn from_reversed_hex(text: &str) -> Option<Self> {
        let Self(mut bytes) = Self::from_hex(text)?;
        bytes.reverse();
        Some(Self(bytes))
    }

    /// Writes it as Electrum does.
    pub(super) fn to_reversed_hex(self) -> String {
        let mut bytes = self.0;
        bytes.reverse();
        hex::encode(bytes)
    }
}

impl fmt::Debug for ScriptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Coins, and the chain that they were seen in.
type CoinsOfScript = (Arc<ChainView>, Vec<ScriptCoin>);

/// Chain and pool at one moment.
struct Moment {
    chain: Arc<ChainView>,
    pool: PoolView,
    fees: Fees,
}

/// What the node thinks of fee rates, in maxwell per vbyte.
#[derive(Clone, Debug, Default)]
struct Fees {
    /// Least one that the pool takes now.
    min: f64,
    /// Those that are likely to get into one of so many blocks, as far as enough blocks were seen.
    by_target: BTreeMap<u32, f64>,
}

/// What servers see. Copies see the same.
#[derive(Clone)]
pub(super) struct View(Arc<Shared>);

struct Shared {
    now: RwLock<Moment>,
    changes: broadcast::Sender<Change>,
    readers: Arc<Semaphore>,
}

impl View {
    fn new(chain: ChainView) -> Self {
        let now =
            RwLock::new(Moment { chain: Arc::new(chain), pool: PoolView::default(), fees: Fees::default() });
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        Self(Arc::new(Shared { now, changes, readers: Arc::new(Semaphore::new(READERS_MAX)) }))
    }

    /// The chain now.
    pub(super) fn chain(&self) -> Arc<ChainView> {
        self.look(|_| ()).0
    }

    /// The chain now, with what `look` takes from the pool that goes with it. `look` is to be short.
    pub(super) fn look<T>(&self, look: impl FnOnce(&PoolView) -> T) -> (Arc<ChainView>, T) {
        // A panic while the pool was changed leaves it consistent enough to be read.
        let now = self.0.now.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&now.chain), look(&now.pool))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Moment) -> T) -> T {
        change(&mut self.0.now.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The unspent outputs of a script, those of the chain in its order, then those that wait; what the pool spends is
    /// gone. Beside them the chain that they were seen in. `None` if they are more than are told.
    pub(super) fn coins(&self, script: &ScriptHash) -> Result<Option<CoinsOfScript>, ChainError> {
        let (chain, waiting) = self.look(|pool| pool.touching(script));
        let inputs = waiting.iter().flat_map(|(_, tx)| &tx.tx.input);
        let spent: HashSet<OutPoint> = inputs.map(|input| input.previous_output).collect();
        let Some(mut coins) = chain.unspent(script)? else { return Ok(None) };
        for (_, tx) in &waiting {
            for (vout, output) in (0u32..).zip(&tx.tx.output) {
                if ScriptHash::of(&output.script_pubkey) == *script {
                    let outpoint = OutPoint { txid: tx.txid, vout };
                    coins.push(ScriptCoin { outpoint, amount: output.value.to_sat(), place: None });
                }
            }
        }
        coins.retain(|coin| !spent.contains(&coin.outpoint));
        Ok(Some((chain, coins)))
    }

    /// A fee rate with which a transaction gets into one of the next `blocks`, in maxwell per vbyte: what the node
    /// estimates, or else a little above what the queue of all that waits leaves out; never less than the pool takes.
    pub(super) fn fee_rate(&self, blocks: u32) -> f64 {
        let now = self.0.now.read().unwrap_or_else(PoisonError::into_inner);
        let known = now.fees.by_target.range(..=blocks.max(2)).next_back().map(|(_, rate)| *rate);
        let queue = || 1.1 * now.pool.rate_at(blocks, now.chain.facts().weight_max);
        known.unwrap_or_else(queue).max(now.fees.min).max(now.chain.facts().min_fee_rate())
    }

    fn tell(&self, change: Change) {
        // Nobody may be listening.
        let _ = self.0.changes.send(change);
    }

    /// Hears of changes from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }

    /// Runs something that reads storage, away from what must not wait; `None` if it panics.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.0.readers).acquire_owned().await.ok()?;
        let view = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&view)
        });
        task.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_hashes_are_written_as_each_protocol_has_them() {
        // The example of the Electrum protocol's text.
        let script = hex::decode("76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac").unwrap();
        let hash = ScriptHash::of(Script::from_bytes(&script));
        let reversed = "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161";
        assert_eq!(hash.to_reversed_hex(), reversed);
        assert_eq!(ScriptHash::from_reversed_hex(reversed), Some(hash));
        assert_eq!(ScriptHash::from_hex(&format!("{hash:?}")), Some(hash));
        assert_eq!(ScriptHash::from_hex("00"), None);
    }
}
