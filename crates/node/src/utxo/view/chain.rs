//! The active chain after one block: headers, transactions by id, histories of scripts, and who spent what.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use bitcoin::{OutPoint, Transaction, TxOut, Txid, consensus::encode::deserialize};
use mass_consensus::header::{HEADER_BYTES, Header};
use mass_ledger_utxo::{UtxoLedger, read_coin};
use mass_primitives::{BlockId, Decode as _, Height};
use mass_storage::{Before, Snapshot, Tip};

use super::ScriptHash;
use crate::{
    chain::{Chain, read_content},
    error::ChainError,
    utxo::index::{
        ADDRESS, Place, Role, SPEND, ScriptEvent, Spend, TX, find_spend, find_transaction, script_events,
        script_events_before,
    },
};

/// Blocks whose times have the median (BIP-113).
const MEDIAN_BLOCKS: usize = 11;

/// Transactions of one script at the most, and unspent outputs: what more would have, no client takes in one answer.
pub(in crate::utxo) const HISTORY_MAX: usize = 20_000;

/// Entries of one script that are read at the most for its sums and its unspent outputs.
const EVENTS_MAX: usize = 1_000_000;

/// What holds for a chain at any time.
#[derive(Debug)]
pub(in crate::utxo) struct ChainFacts {
    /// Its name.
    pub(in crate::utxo) name: String,
    /// Its genesis block.
    pub(in crate::utxo) genesis: BlockId,
    /// What its addresses begin with.
    pub(in crate::utxo) address_prefix: String,
    /// Greatest weight of a block.
    pub(in crate::utxo) weight_max: u64,
    /// Least fee rate that the pool takes when it is not full, in maxwell per 1000 weight.
    min_fee_rate: u64,
}

impl ChainFacts {
    /// Least fee rate that the pool takes when it is not full, in maxwell per vbyte.
    pub(in crate::utxo) fn min_fee_rate(&self) -> f64 {
        self.min_fee_rate as f64 / 250.0
    }

    /// Of a chain.
    pub(super) fn of(chain: &Chain<UtxoLedger>) -> Self {
        Self {
            name: chain.spec().rules().name.clone(),
            genesis: *chain.engine().tree().genesis(),
            address_prefix: chain.ledger().params().address_prefix.clone(),
            weight_max: chain.ledger().params().weight_max,
            min_fee_rate: chain.pool().limits().min_fee_rate.get(),
        }
    }
}

fn damaged(what: &str) -> ChainError {
    ChainError::Database(what.to_owned())
}

/// A block of the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::utxo) struct BlockPlace {
    /// Its height.
    pub(in crate::utxo) height: Height,
    /// Its id.
    pub(in crate::utxo) id: BlockId,
    /// Its time, in unix seconds.
    pub(in crate::utxo) time: u32,
}

/// A block of any branch.
#[derive(Clone, Copy, Debug)]
pub(in crate::utxo) struct StoredBlock {
    /// Its height.
    pub(in crate::utxo) height: Height,
    /// The header's 80 bytes.
    pub(in crate::utxo) bytes: [u8; HEADER_BYTES],
    /// The header.
    pub(in crate::utxo) header: Header,
}

/// The active chain after one block.
#[derive(Debug)]
pub(in crate::utxo) struct ChainView {
    tip: Tip,
    snapshot: Snapshot,
    facts: Arc<ChainFacts>,
    /// An index that lacks blocks, and how many it has.
    behind: Option<(&'static str, Height)>,
}

impl ChainView {
    pub(super) fn new(snapshot: Snapshot, facts: Arc<ChainFacts>) -> Result<Self, ChainError> {
        let tip = snapshot.tip().ok_or_else(|| damaged("there is no tip"))?;
        let mut behind = None;
        for name in [TX, ADDRESS, SPEND] {
            let next = snapshot.index(name)?.ok_or(ChainError::NoIndex(name))?.next();
            if next <= tip.height {
                behind = Some((name, next));
            }
        }
        Ok(Self { tip, snapshot, facts, behind })
    }

    /// Whether all indexes have come up to the tip.
    pub(super) const fn is_indexed(&self) -> bool {
        self.behind.is_none()
    }

    /// The snapshot, for what its indexes know.
    fn indexed(&self) -> Result<&Snapshot, ChainError> {
        match self.behind {
            None => Ok(&self.snapshot),
            Some((name, next)) => Err(ChainError::IndexBehind { name, next, tip: self.tip.height }),
        }
    }

    /// The last block.
    pub(in crate::utxo) const fn tip(&self) -> Tip {
        self.tip
    }

    /// What holds for the chain at any time.
    pub(in crate::utxo) const fn facts(&self) -> &Arc<ChainFacts> {
        &self.facts
    }

    /// The block at a height.
    pub(in crate::utxo) fn id_at(&self, height: Height) -> Result<Option<BlockId>, ChainError> {
        Ok(self.snapshot.active_id(height)?)
    }

    /// The header of a block of any branch.
    pub(in crate::utxo) fn block(&self, id: &BlockId) -> Result<Option<StoredBlock>, ChainError> {
        let Some(stored) = self.snapshot.header(id)? else { return Ok(None) };
        let bytes = stored.bytes.first_chunk().ok_or_else(|| damaged("a header is too short"))?;
        let header = Header::from_bytes(bytes).map_err(|_| damaged("a header does not decode"))?;
        Ok(Some(StoredBlock { height: stored.height, bytes: *bytes, header }))
    }

    /// The header at a height.
    pub(in crate::utxo) fn block_at(&self, height: Height) -> Result<Option<StoredBlock>, ChainError> {
        let Some(id) = self.id_at(height)? else { return Ok(None) };
        let block = self.block(&id)?;
        block.map(Some).ok_or_else(|| damaged("an active header is missing"))
    }

    /// Where a block of the active chain stands; `None` for others.
    pub(in crate::utxo) fn place(&self, id: &BlockId) -> Result<Option<BlockPlace>, ChainError> {
        let Some(block) = self.block(id)? else { return Ok(None) };
        let active = self.id_at(block.height)? == Some(*id);
        Ok(active.then_some(BlockPlace { height: block.height, id: *id, time: block.header.time }))
    }

    /// Where the block at a height of the active chain stands.
    pub(in crate::utxo) fn place_at(&self, height: Height) -> Result<BlockPlace, ChainError> {
        let id = self.id_at(height)?.ok_or_else(|| damaged("an indexed block is not active"))?;
        self.place(&id)?.ok_or_else(|| damaged("an active header is missing"))
    }

    /// Median time of a block and the ten before it.
    pub(in crate::utxo) fn median_time(&self, id: &BlockId) -> Result<u32, ChainError> {
        let (mut times, mut next) = (Vec::new(), *id);
        while times.len() < MEDIAN_BLOCKS
            && let Some(block) = self.block(&next)?
        {
            times.push(block.header.time);
            next = block.header.parent;
        }
        times.sort_unstable();
        Ok(times.get(times.len() / 2).copied().unwrap_or_default())
    }

    /// The ledger's body of a block of any branch: the count of its transactions and these.
    pub(in crate::utxo) fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, ChainError> {
        let Some(content) = self.snapshot.body(id)? else { return Ok(None) };
        if *id == self.facts.genesis {
            return Ok(Some(content));
        }
        let (_, body) = read_content(&content).map_err(|_| damaged("a body does not decode"))?;
        Ok(Some(body.to_vec()))
    }

    /// The transactions of a block of any branch.
    pub(in crate::utxo) fn transactions(&self, id: &BlockId) -> Result<Option<Vec<Transaction>>, ChainError> {
        let Some(body) = self.body(id)? else { return Ok(None) };
        deserialize(&body).map(Some).map_err(|_| damaged("a body does not decode"))
    }

    /// The transactions of a block of the active chain.
    pub(in crate::utxo) fn transactions_at(&self, height: Height) -> Result<Vec<Transaction>, ChainError> {
        let id = self.id_at(height)?.ok_or_else(|| damaged("an indexed block is not active"))?;
        // An index may tell of blocks that were pruned.
        self.transactions(&id)?.ok_or(ChainError::Pruned(height))
    }

    /// An unspent output.
    pub(in crate::utxo) fn coin(&self, outpoint: &OutPoint) -> Result<Option<TxOut>, ChainError> {
        let coin = read_coin(&self.snapshot, outpoint)?;
        Ok(coin.map(|coin| coin.to_output()))
    }
}

/// What a script got and gave, in the active chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::utxo) struct Totals {
    /// Outputs to it.
    pub(in crate::utxo) funded_count: u64,
    /// What they hold together, in maxwell.
    pub(in crate::utxo) funded_sum: u64,
    /// Inputs from it.
    pub(in crate::utxo) spent_count: u64,
    /// What they spend together, in maxwell.
    pub(in crate::utxo) spent_sum: u64,
    /// Transactions that touch it.
    pub(in crate::utxo) tx_count: u64,
}

/// An unspent output of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::utxo) struct ScriptCoin {
    /// Where it is.
    pub(in crate::utxo) outpoint: OutPoint,
    /// What it holds, in maxwell.
    pub(in crate::utxo) amount: u64,
    /// Where the transaction that made it stands; `None` if it waits.
    pub(in crate::utxo) place: Option<Place>,
}

/// What indexes know.
impl ChainView {
    /// Where a transaction stands.
    pub(in crate::utxo) fn tx_place(&self, txid: &Txid) -> Result<Option<Place>, ChainError> {
        find_transaction(self.indexed()?, txid)
    }

    /// A transaction and where it stands.
    pub(in crate::utxo) fn transaction(
        &self,
        txid: &Txid,
    ) -> Result<Option<(Transaction, Place)>, ChainError> {
        let Some(place) = self.tx_place(txid)? else { return Ok(None) };
        Ok(Some((self.transaction_at(place)?, place)))
    }

    /// The transaction at a place.
    pub(in crate::utxo) fn transaction_at(&self, place: Place) -> Result<Transaction, ChainError> {
        let tx = self.transactions_at(place.height)?.into_iter().nth(place.position as usize);
        tx.ok_or_else(|| damaged("an indexed transaction is missing"))
    }

    /// Who spends an output.
    pub(in crate::utxo) fn spend(&self, outpoint: &OutPoint) -> Result<Option<Spend>, ChainError> {
        find_spend(self.indexed()?, outpoint)
    }

    /// What touches a script, in the order of the chain; `None` if it is more than is told.
    pub(in crate::utxo) fn history(
        &self,
        script: &ScriptHash,
    ) -> Result<Option<Vec<(Place, Txid)>>, ChainError> {
        let mut found: Vec<(Place, Txid)> = Vec::new();
        for event in script_events(self.indexed()?, script.as_bytes())? {
            let event = event?;
            if found.last().is_none_or(|(place, _)| *place != event.place) {
                found.push((event.place, event.txid));
            }
            if found.len() > HISTORY_MAX {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    /// The newest transactions that touch a script, newest first, `count` at the most; with `before` those before a
    /// transaction.
    pub(in crate::utxo) fn newest(
        &self,
        script: &ScriptHash,
        before: Option<Place>,
        count: usize,
    ) -> Result<Vec<(Place, Txid)>, ChainError> {
        const NEWEST: Place = Place { height: Height::new(u32::MAX), position: u32::MAX };
        let mut found: Vec<(Place, Txid)> = Vec::new();
        let before = before.unwrap_or(NEWEST);
        for event in script_events_before(self.indexed()?, script.as_bytes(), before)?.rev() {
            let event = event?;
            if found.last().is_some_and(|(place, _)| *place == event.place) {
                continue;
            }
            if found.len() == count {
                break;
            }
            found.push((event.place, event.txid));
        }
        Ok(found)
    }

    /// The sums over a script's history; `None` if that is longer than is read.
    pub(in crate::utxo) fn totals(&self, script: &ScriptHash) -> Result<Option<Totals>, ChainError> {
        let (mut totals, mut last) = (Totals::default(), None);
        for (count, event) in script_events(self.indexed()?, script.as_bytes())?.enumerate() {
            if count == EVENTS_MAX {
                return Ok(None);
            }
            let event = event?;
            totals.tx_count += u64::from(last.replace(event.place) != Some(event.place));
            let (number, sum) = match event.role {
                Role::Funds(_) => (&mut totals.funded_count, &mut totals.funded_sum),
                Role::Spends(..) => (&mut totals.spent_count, &mut totals.spent_sum),
            };
            *number += 1;
            *sum = sum.saturating_add(event.amount.get());
        }
        Ok(Some(totals))
    }

    /// The unspent outputs of a script, in the order of the chain; `None` if they are more than are told.
    pub(in crate::utxo) fn unspent(
        &self,
        script: &ScriptHash,
    ) -> Result<Option<Vec<ScriptCoin>>, ChainError> {
        let mut coins: BTreeMap<(Place, u32), ScriptCoin> = BTreeMap::new();
        let mut places: HashMap<OutPoint, (Place, u32)> = HashMap::new();
        for (count, event) in script_events(self.indexed()?, script.as_bytes())?.enumerate() {
            let ScriptEvent { place, txid, role, amount } = event?;
            match role {
                Role::Funds(vout) => {
                    let outpoint = OutPoint { txid, vout };
                    places.insert(outpoint, (place, vout));
                    coins.insert(
                        (place, vout),
                        ScriptCoin { outpoint, amount: amount.get(), place: Some(place) },
                    );
                }
                Role::Spends(_, outpoint) => {
                    places.remove(&outpoint).and_then(|key| coins.remove(&key));
                }
            }
            if count == EVENTS_MAX {
                return Ok(None);
            }
        }
        Ok(Some(coins.into_values().collect()).filter(|coins: &Vec<_>| coins.len() <= HISTORY_MAX))
    }

    /// The scripts that the block at a height pays or spends from; `None` if what it spent is known no more.
    pub(in crate::utxo) fn scripts_of_block(
        &self,
        height: Height,
    ) -> Result<Option<HashSet<ScriptHash>>, ChainError> {
        let Some(before) = self.snapshot.before(height)? else { return Ok(None) };
        let mut scripts = HashSet::new();
        for tx in self.transactions_at(height)? {
            for input in &tx.input {
                // What the block made itself is among its outputs.
                let coin = read_coin(&before, &input.previous_output)?;
                scripts.extend(coin.map(|coin| ScriptHash::of(&coin.script)));
            }
            scripts.extend(tx.output.iter().map(|output| ScriptHash::of(&output.script_pubkey)));
        }
        Ok(Some(scripts))
    }
}

/// What confirmed transactions spend: from what was kept to undo their blocks, or else from the transactions that made it.
pub(in crate::utxo) struct Prevouts<'a> {
    chain: &'a ChainView,
    /// What the block last asked for spent.
    block: Option<(Height, Option<Before>)>,
}

impl<'a> Prevouts<'a> {
    /// Of a chain.
    pub(in crate::utxo) const fn new(chain: &'a ChainView) -> Self {
        Self { chain, block: None }
    }

    /// What a transaction at a height spends, in the order of its inputs; nothing for a coinbase.
    pub(in crate::utxo) fn of(
        &mut self,
        tx: &Transaction,
        height: Height,
    ) -> Result<Vec<Option<TxOut>>, ChainError> {
        if tx.is_coinbase() {
            return Ok(vec![None; tx.input.len()]);
        }
        if self.block.as_ref().is_none_or(|(known, _)| *known != height) {
            self.block = Some((height, self.chain.snapshot.before(height)?));
        }
        let before = self.block.as_ref().and_then(|(_, before)| before.as_ref());
        let mut parents: HashMap<Txid, Option<Transaction>> = HashMap::new();
        let mut found = Vec::new();
        for OutPoint { txid, vout } in tx.input.iter().map(|input| input.previous_output) {
            let coin =
                before.map(|before| read_coin(before, &OutPoint { txid, vout })).transpose()?.flatten();
            if let Some(coin) = coin {
                found.push(Some(coin.to_output()));
                continue;
            }
            let parent = match parents.entry(txid) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(vacant) => {
                    vacant.insert(self.chain.transaction(&txid)?.map(|(parent, _)| parent))
                }
            };
            found.push(parent.as_ref().and_then(|parent| parent.output.get(vout as usize).cloned()));
        }
        Ok(found)
    }
}
