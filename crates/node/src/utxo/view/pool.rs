//! The pool as it is seen beside the loop, by transaction, script and outpoint.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bitcoin::{OutPoint, Transaction, TxOut, Txid};

use super::ScriptHash;

/// How many of the newest are remembered in their order.
const RECENT_MAX: usize = 10;

/// A transaction that waits for a block.
#[derive(Debug)]
pub(in crate::utxo) struct PoolTx {
    /// Its id.
    pub(in crate::utxo) txid: Txid,
    /// Itself.
    pub(in crate::utxo) tx: Transaction,
    /// What it pays, in maxwell.
    pub(in crate::utxo) fee: u64,
    /// Its weight.
    pub(in crate::utxo) weight: u64,
    /// What it spends, in the order of its inputs.
    pub(in crate::utxo) prevouts: Vec<TxOut>,
}

impl PoolTx {
    /// Its size as fees count it.
    pub(in crate::utxo) const fn vsize(&self) -> u64 {
        self.weight.div_ceil(4)
    }

    /// Maxwell per vbyte.
    pub(in crate::utxo) fn rate(&self) -> f64 {
        self.fee as f64 / self.vsize().max(1) as f64
    }

    /// The scripts that it spends from and pays to.
    pub(in crate::utxo) fn scripts(&self) -> BTreeSet<ScriptHash> {
        let scripts = self.prevouts.iter().chain(&self.tx.output);
        scripts.map(|output| ScriptHash::of(&output.script_pubkey)).collect()
    }
}

/// All transactions that wait.
#[derive(Debug, Default)]
pub(in crate::utxo) struct PoolView {
    txs: HashMap<Txid, Arc<PoolTx>>,
    scripts: HashMap<ScriptHash, HashSet<Txid>>,
    spends: HashMap<OutPoint, (Txid, u32)>,
    recent: VecDeque<Txid>,
}

impl PoolView {
    /// A transaction.
    pub(in crate::utxo) fn get(&self, txid: &Txid) -> Option<&Arc<PoolTx>> {
        self.txs.get(txid)
    }

    /// All of them, in no order.
    pub(in crate::utxo) fn iter(&self) -> impl Iterator<Item = &Arc<PoolTx>> {
        self.txs.values()
    }

    /// The newest ones, newest first.
    pub(in crate::utxo) fn recent(&self) -> Vec<Arc<PoolTx>> {
        self.recent.iter().filter_map(|txid| self.txs.get(txid).cloned()).collect()
    }

    /// Which transaction spends an output, with which input.
    pub(in crate::utxo) fn spender(&self, outpoint: &OutPoint) -> Option<(Txid, u32)> {
        self.spends.get(outpoint).copied()
    }

    /// What touches a script, with the height that Electrum gives it: -1 if it spends what waits itself, else 0. In
    /// the order of heights from 0 down, then of ids.
    pub(in crate::utxo) fn touching(&self, script: &ScriptHash) -> Vec<(i64, Arc<PoolTx>)> {
        let txids = self.scripts.get(script).into_iter().flatten();
        let found = txids.filter_map(|txid| self.txs.get(txid));
        let mut found: Vec<_> = found.map(|tx| (self.electrum_height(tx), Arc::clone(tx))).collect();
        found.sort_by_key(|(height, tx)| (-height, tx.txid));
        found
    }

    fn electrum_height(&self, tx: &PoolTx) -> i64 {
        let waits = tx.tx.input.iter().any(|input| self.txs.contains_key(&input.previous_output.txid));
        if waits { -1 } else { 0 }
    }

    /// Fee rates in maxwell per vbyte and the sizes at them, highest first: each step holds all at its rate or above
    /// up to the step before, and the steps grow by a tenth from 100,000 vbytes on.
    pub(in crate::utxo) fn histogram(&self) -> Vec<(f64, u64)> {
        let mut rates: Vec<(f64, u64)> = self.iter().map(|tx| (tx.rate(), tx.vsize())).collect();
        rates.sort_by(|left, right| right.0.total_cmp(&left.0));
        let (mut steps, mut size, mut bin, mut last) = (Vec::new(), 0, 100_000, 0.0);
        for (rate, vsize) in rates {
            if size > bin && rate < last {
                steps.push((last, size));
                (size, bin) = (0, bin + bin / 10);
            }
            size += vsize;
            last = rate;
        }
        if size > 0 {
            steps.push((last, size));
        }
        steps
    }

    /// The fee rate, in maxwell per vbyte, of what is in place `blocks` times `weight_max` in the queue of all that
    /// waits; 0 if the queue is shorter.
    pub(super) fn rate_at(&self, blocks: u32, weight_max: u64) -> f64 {
        let mut queue: Vec<&Arc<PoolTx>> = self.iter().collect();
        queue.sort_by(|left, right| right.rate().total_cmp(&left.rate()));
        let mut room = weight_max.saturating_mul(blocks.max(1).into());
        let first_out = queue.into_iter().find(|tx| match room.checked_sub(tx.weight) {
            Some(left) => {
                room = left;
                false
            }
            None => true,
        });
        first_out.map_or(0.0, |tx| tx.rate())
    }

    pub(super) fn insert(&mut self, tx: PoolTx) {
        for script in tx.scripts() {
            self.scripts.entry(script).or_default().insert(tx.txid);
        }
        for (vin, input) in (0u32..).zip(&tx.tx.input) {
            self.spends.insert(input.previous_output, (tx.txid, vin));
        }
        self.recent.push_front(tx.txid);
        self.recent.truncate(RECENT_MAX);
        self.txs.insert(tx.txid, Arc::new(tx));
    }

    pub(super) fn remove(&mut self, txid: &Txid) -> Option<Arc<PoolTx>> {
        let tx = self.txs.remove(txid)?;
        for script in tx.scripts() {
            if let Some(txids) = self.scripts.get_mut(&script) {
                txids.remove(txid);
                if txids.is_empty() {
                    self.scripts.remove(&script);
                }
            }
        }
        for input in &tx.tx.input {
            // Another one may have taken its place.
            if self.spender(&input.previous_output).is_some_and(|(spender, _)| spender == *txid) {
                self.spends.remove(&input.previous_output);
            }
        }
        self.recent.retain(|recent| recent != txid);
        Some(tx)
    }
}
