//! Indexes of a chain: which there are the ledger says, which are kept its owner.
//!
//! An index that has come up to the tip gets the entries of each block in the commit that connects it. One that was
//! switched on later is built from the stored blocks, a few at a time, between the node's other work; until it has come
//! up it is behind, and says so. One that is switched off is dropped.
//!
//! Entries are not remembered by block: what to take out of an index with a block is computed from the block again.

use std::collections::BTreeMap;

use mass_consensus::ledger::StateRead;
use mass_primitives::{BlockId, Height};
use mass_storage::{IndexEntries, IndexKind, IndexState, IndexedBlock, KeyValue, Snapshot, Store};

use crate::{
    chain::{Chain, read_body},
    error::ChainError,
    ledger::NodeLedger,
};

/// Blocks that are added to an index in one go at the most.
const STEP_BLOCKS_MAX: u32 = 256;
/// Bytes of bodies after which no further block is added in one go.
const STEP_BYTES: usize = 1 << 20;

/// An index that a ledger can keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexInfo {
    /// Its name, and the version of its entries.
    pub kind: IndexKind,
    /// What `getindexinfo` calls it: Bitcoin Core's name, if it has such an index.
    pub standard_name: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    /// Whether a node keeps it without being asked to.
    pub by_default: bool,
}

/// A block whose entries are wanted.
#[derive(Clone, Copy)]
pub struct BlockToIndex<'a> {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// Its body.
    pub body: &'a [u8],
    /// The state before the block, at least where the block changed it: the coins that it spends are there.
    pub before: &'a dyn StateRead,
    /// The indexes as they are after the block before.
    pub indexes: IndexReader<'a>,
}

/// Reads what indexes have from earlier blocks.
#[derive(Clone, Copy)]
pub struct IndexReader<'a> {
    snapshot: &'a Snapshot,
    fresh: &'a BTreeMap<(&'static str, Vec<u8>), Vec<u8>>,
}

/// No entries of blocks to come.
static NOTHING: BTreeMap<(&'static str, Vec<u8>), Vec<u8>> = BTreeMap::new();

impl<'a> IndexReader<'a> {
    /// Reads the indexes of a snapshot.
    pub(crate) const fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, fresh: &NOTHING }
    }

    /// The value at a key of an index.
    ///
    /// # Errors
    /// The disk fails.
    pub fn get(&self, name: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, ChainError> {
        if let Some(value) = self.fresh.get(&(name, key.to_vec())) {
            return Ok(Some(value.clone()));
        }
        let Some(index) = self.snapshot.index(name)? else { return Ok(None) };
        Ok(index.get(key)?)
    }
}

/// The indexes that a ledger has and that are asked for: those of the names, or the usual ones.
///
/// # Errors
/// [`ChainError::UnknownIndex`].
pub(crate) fn chosen<L: NodeLedger>(names: Option<&[String]>) -> Result<Vec<IndexKind>, ChainError> {
    let Some(names) = names else {
        return Ok(L::INDEXES.iter().filter(|info| info.by_default).map(|info| info.kind).collect());
    };
    let find = |name: &String| {
        let info = L::INDEXES.iter().find(|info| info.kind.name == *name);
        info.map(|info| info.kind).ok_or_else(|| ChainError::UnknownIndex {
            got: name.clone(),
            known: L::INDEXES.iter().map(|info| info.kind.name).collect(),
        })
    };
    names.iter().map(find).collect()
}

/// Keeps of the stored indexes only those that the ledger still has, so that it can say what a block has in them.
pub(crate) fn drop_unknown<L: NodeLedger>(store: &Store) -> Result<(), ChainError> {
    let stored = store.indexes()?;
    let is_stored = |kind: &IndexKind| {
        stored.iter().any(|state| state.name == kind.name && state.version == kind.version)
    };
    let known = L::INDEXES.iter().map(|info| info.kind).filter(is_stored);
    Ok(store.set_indexes(&known.collect::<Vec<_>>())?)
}

/// The names of the indexes whose first block to come is at `next`.
fn names_at<L: NodeLedger>(states: &[IndexState], next: Height) -> Vec<&'static str> {
    let is_there = |name: &str| states.iter().any(|state| state.name == name && state.next == next);
    L::INDEXES.iter().map(|info| info.kind.name).filter(|name| is_there(name)).collect()
}

/// What a block that connects to the tip has for the indexes that have come up to it.
pub(crate) fn entries<L: NodeLedger>(
    ledger: &L,
    store: &Store,
    state: &Snapshot,
    (height, id, body): (Height, BlockId, &[u8]),
) -> Result<Vec<IndexEntries>, ChainError> {
    let names = names_at::<L>(&store.indexes()?, height);
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let indexes = IndexReader::new(state);
    ledger.index(&names, &BlockToIndex { height, id, body, before: state, indexes })
}

/// Disconnects the tip from the store and its indexes.
///
/// # Errors
/// [`ChainError::NoWayBack`], or a fatal error.
pub(crate) fn disconnect_tip<L: NodeLedger>(ledger: &L, store: &Store) -> Result<BlockId, ChainError> {
    let Some(tip) = store.tip()? else { return Ok(store.disconnect_tip(&[])?) };
    let (height, from) = (tip.height, store.undo_from()?);
    if height < from {
        return Err(ChainError::NoWayBack { height, from });
    }
    let names = match tip.height.next() {
        Some(next) => names_at::<L>(&store.indexes()?, next),
        None => Vec::new(),
    };
    let mut gone = Vec::new();
    if !names.is_empty() {
        let snapshot = store.snapshot()?;
        let no_undo = || ChainError::Database(format!("no undo of height {}", tip.height));
        let before = snapshot.before(tip.height)?.ok_or_else(no_undo)?;
        let body = read_body(store, tip.height, &tip.id)?;
        let indexes = IndexReader::new(&snapshot);
        let (height, id, body) = (tip.height, tip.id, body.as_slice());
        gone = ledger.index(&names, &BlockToIndex { height, id, body, before: &before, indexes })?;
    }
    Ok(store.disconnect_tip(&gone)?)
}

impl<L: NodeLedger> Chain<L> {
    /// Keeps these indexes from now on and drops all others; without names, those that the ledger keeps by default.
    /// What is new is empty until [`Self::build_indexes`] has built it.
    ///
    /// # Errors
    /// [`ChainError::UnknownIndex`], or a fatal error.
    pub fn keep_indexes(&mut self, names: Option<&[String]>) -> Result<(), ChainError> {
        Ok(self.store().set_indexes(&chosen::<L>(names)?)?)
    }

    /// Adds some blocks to the indexes that are furthest behind. Returns how far these have come, or `None` if all have
    /// come up to the tip.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn build_indexes(&mut self) -> Result<Option<Vec<IndexState>>, ChainError> {
        let (store, ledger) = (self.store(), self.ledger());
        let Some(tip) = store.tip()? else { return Ok(None) };
        // Without the blocks before the base there is nothing to build from.
        if store.base()?.is_some() {
            return Ok(None);
        }
        let states = store.indexes()?;
        let Some(from) = states.iter().map(|state| state.next).min().filter(|next| *next <= tip.height)
        else {
            return Ok(None);
        };
        let names = names_at::<L>(&states, from);
        let mut blocks: BTreeMap<&str, Vec<IndexedBlock>> = BTreeMap::new();
        let (snapshot, mut fresh, mut bytes) = (store.snapshot()?, BTreeMap::new(), 0);
        let last = tip.height.get().min(from.get().saturating_add(STEP_BLOCKS_MAX - 1));
        for height in (from.get()..=last).map(Height::new) {
            let missing = |what| {
                ChainError::Database(format!("no {what} of height {height}: the indexes cannot be built"))
            };
            let id = snapshot.active_id(height)?.ok_or_else(|| missing("block"))?;
            let before = snapshot.before(height)?.ok_or_else(|| missing("undo"))?;
            let body = read_body(store, height, &id)?;
            let indexes = IndexReader { snapshot: &snapshot, fresh: &fresh };
            let block = BlockToIndex { height, id, body: &body, before: &before, indexes };
            for IndexEntries { name, entries } in ledger.index(&names, &block)? {
                fresh.extend(entries.iter().map(|(key, value)| ((name, key.clone()), value.clone())));
                blocks.entry(name).or_default().push(IndexedBlock { height, id, entries });
            }
            bytes += body.len();
            if bytes >= STEP_BYTES {
                break;
            }
        }
        drop(snapshot);
        for (name, blocks) in &blocks {
            store.extend_index(name, blocks)?;
        }
        let built = store.indexes()?.into_iter().filter(|state| names.contains(&state.name.as_str()));
        Ok(Some(built.collect()))
    }
}

/// Puts entries in the order that storage wants.
#[must_use]
pub fn sorted(name: &'static str, mut entries: Vec<KeyValue>) -> IndexEntries {
    entries.sort();
    IndexEntries { name, entries }
}
