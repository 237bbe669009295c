//! Indexes: what a ledger wants to look up by other keys than those of its state, such as a transaction by its id.
//!
//! An index has a name and entries, each of which belongs to one block of the active chain. An index that has come
//! up to the tip takes the entries of the next block in the commit that connects it, and loses those of a block in
//! the commit that disconnects it; so it is the index of the tip after a crash too. One that was created later is
//! behind, and is extended from the stored blocks, a few at a time, until it has come up.
//!
//! What an entry means only the ledger knows. Its version says when that changed: an index of another version is
//! made anew.

use mass_consensus::ledger::{StateRead, StateReadError};
use mass_primitives::{BlockId, Height};
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata as _, TableDefinition, TableError,
    WriteTransaction,
};

use crate::{
    Store, StoreError,
    read::KeyValue,
    store::corrupt,
    tables::{ACTIVE, INDEXES},
    undo::{CHANGES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX, check},
};

/// What an index is called, and which meaning its entries have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexKind {
    /// Its name.
    pub name: &'static str,
    /// Raised when the entries get another meaning.
    pub version: u32,
}

/// How far an index has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexState {
    /// Its name.
    pub name: String,
    /// The version of its entries.
    pub version: u32,
    /// Height of the first block that it does not have.
    pub next: Height,
}

/// The entries that one index has from one block. No other block may have one of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntries {
    /// Name of the index.
    pub name: &'static str,
    /// The entries, in the order of keys.
    pub entries: Vec<KeyValue>,
}

/// A block from which an index is extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedBlock {
    /// Height of the block.
    pub height: Height,
    /// Its id, which has to be active.
    pub id: BlockId,
    /// What the index has from it.
    pub entries: Vec<KeyValue>,
}

impl Store {
    /// The indexes of the store, in the order of names.
    ///
    /// # Errors
    /// A fatal error.
    pub fn indexes(&self) -> Result<Vec<IndexState>, StoreError> {
        read_states(&self.begin_read()?.open_table(INDEXES)?)
    }

    /// Makes the store have these indexes and no others. New ones, and those of another version, are empty.
    ///
    /// # Errors
    /// A fatal error.
    pub fn set_indexes(&self, wanted: &[IndexKind]) -> Result<(), StoreError> {
        let known = self.indexes()?;
        let keeps =
            |kind: &IndexKind, known: &IndexState| kind.name == known.name && kind.version == known.version;
        let gone = known.iter().filter(|known| !wanted.iter().any(|kind| keeps(kind, known)));
        let new = wanted.iter().filter(|kind| !known.iter().any(|known| keeps(kind, known)));
        let (gone, new): (Vec<_>, Vec<_>) = (gone.collect(), new.collect());
        if gone.is_empty() && new.is_empty() {
            return Ok(());
        }
        self.write(|txn| {
            let mut states = txn.open_table(INDEXES)?;
            for index in gone {
                states.remove(index.name.as_str())?;
                txn.delete_table(table(&table_name(&index.name)))?;
            }
            for kind in new {
                states.insert(kind.name, (kind.version, 0))?;
                txn.open_table(table(&table_name(kind.name)))?;
            }
            Ok(())
        })
    }

    /// Adds the entries of the next active blocks to an index that is behind, in one commit.
    ///
    /// # Errors
    /// [`StoreError::NoIndex`], [`StoreError::WrongHeight`], [`StoreError::NotActive`], [`StoreError::TooLarge`],
    /// or a fatal error.
    pub fn extend_index(&self, name: &str, blocks: &[IndexedBlock]) -> Result<(), StoreError> {
        for block in blocks {
            check_entries(&block.entries)?;
        }
        let entries = blocks.iter().flat_map(|block| &block.entries);
        let bytes = entries.map(|(key, value)| key.len() + value.len()).sum();
        self.write_lax(bytes, |txn| {
            let active = txn.open_table(ACTIVE)?;
            let mut states = txn.open_table(INDEXES)?;
            let found = states.get(name)?.map(|state| state.value());
            let (version, mut next) = found.ok_or_else(|| StoreError::NoIndex(name.to_owned()))?;
            for block in blocks {
                if block.height.get() != next {
                    return Err(StoreError::WrongHeight { got: block.height, expected: Height::new(next) });
                }
                if active.get(next)?.is_none_or(|id| id.value() != block.id.as_bytes()) {
                    return Err(StoreError::NotActive { id: block.id, height: block.height });
                }
                insert(txn, name, &block.entries)?;
                next = next.checked_add(1).ok_or_else(|| corrupt("an index ends at the last height"))?;
            }
            states.insert(name, (version, next))?;
            Ok(())
        })
    }
}

/// One index as it is after one block.
#[derive(Debug)]
pub struct IndexView {
    next: Height,
    entries: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl IndexView {
    pub(crate) fn open(txn: &ReadTransaction, name: &str) -> Result<Option<Self>, StoreError> {
        let Some(state) = txn.open_table(INDEXES)?.get(name)? else { return Ok(None) };
        let entries = txn.open_table(table(&table_name(name)))?;
        Ok(Some(Self { next: Height::new(state.value().1), entries }))
    }

    /// Height of the first block that the index does not have.
    #[must_use]
    pub const fn next(&self) -> Height {
        self.next
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// A fatal error.
    pub fn len(&self) -> Result<u64, StoreError> {
        Ok(self.entries.len()?)
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// A fatal error.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.entries.is_empty()?)
    }

    /// All entries whose keys have a prefix, in the order of keys, from either end.
    ///
    /// # Errors
    /// A fatal error, here or from the iterator.
    pub fn scan(
        &self,
        prefix: &[u8],
    ) -> Result<impl DoubleEndedIterator<Item = Result<KeyValue, StoreError>> + use<>, StoreError> {
        crate::read::scan(&self.entries, prefix)
    }

    /// All entries from a key up to one that is not reached, in the order of keys, from either end.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn scan_range(
        &self,
        from: &[u8],
        end: &[u8],
    ) -> Result<impl DoubleEndedIterator<Item = Result<KeyValue, StoreError>> + use<>, StoreError> {
        crate::read::scan_range(&self.entries, from, Some(end))
    }
}

impl StateRead for IndexView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateReadError> {
        match self.entries.get(key) {
            Ok(found) => Ok(found.map(|value| value.value().to_vec())),
            Err(error) => Err(StateReadError(error.to_string())),
        }
    }
}

pub(crate) fn table_name(index: &str) -> String {
    format!("index/{index}")
}

pub(crate) const fn table(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

pub(crate) fn read_states(
    states: &impl ReadableTable<&'static str, (u32, u32)>,
) -> Result<Vec<IndexState>, StoreError> {
    let read = states.iter()?.map(|entry| {
        let (name, state) = entry?;
        let (version, next) = state.value();
        Ok(IndexState { name: name.value().to_owned(), version, next: Height::new(next) })
    });
    read.collect()
}

/// Refuses entries that could not be read back.
pub(crate) fn check_entries(entries: &[KeyValue]) -> Result<(), StoreError> {
    check("entries of an index", entries.len(), CHANGES_MAX)?;
    entries.iter().try_for_each(|(key, value)| {
        check("bytes of a key", key.len(), KEY_BYTES_MAX)?;
        check("bytes of a value", value.len(), VALUE_BYTES_MAX)
    })
}

/// The block at `height` becomes the tip: all indexes that have come up to it take their entries.
pub(crate) fn connect(
    txn: &WriteTransaction,
    height: Height,
    given: &[IndexEntries],
) -> Result<(), StoreError> {
    step(txn, height, height.next(), given, insert)
}

/// The block at `height` is the tip no more: all indexes that have it lose their entries.
pub(crate) fn disconnect(
    txn: &WriteTransaction,
    height: Height,
    given: &[IndexEntries],
) -> Result<(), StoreError> {
    let next = height.next().ok_or_else(|| corrupt("the tip has the last height"))?;
    step(txn, next, Some(height), given, remove)
}

/// Moves all indexes that are at `from` to `to`.
fn step(
    txn: &WriteTransaction,
    from: Height,
    to: Option<Height>,
    given: &[IndexEntries],
    change: fn(&WriteTransaction, &str, &[KeyValue]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut states = txn.open_table(INDEXES)?;
    let due = read_states(&states)?.into_iter().filter(|state| state.next == from);
    let due: Vec<IndexState> = due.collect();
    let names = |names: &mut dyn Iterator<Item = &str>| {
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    };
    let got = names(&mut given.iter().map(|index| index.name));
    let expected = names(&mut due.iter().map(|index| index.name.as_str()));
    if got != expected {
        return Err(StoreError::OtherIndexes { got, expected });
    }
    let to = to.ok_or_else(|| corrupt("an index ends at the last height"))?;
    for index in given {
        change(txn, index.name, &index.entries)?;
    }
    for index in due {
        states.insert(index.name.as_str(), (index.version, to.get()))?;
    }
    Ok(())
}

fn insert(txn: &WriteTransaction, name: &str, entries: &[KeyValue]) -> Result<(), StoreError> {
    let name = table_name(name);
    let mut index = txn.open_table(table(&name))?;
    for (key, value) in entries {
        if index.insert(key.as_slice(), value.as_slice())?.is_some() {
            return Err(StoreError::IndexKeyTaken(name));
        }
    }
    Ok(())
}

fn remove(txn: &WriteTransaction, name: &str, entries: &[KeyValue]) -> Result<(), StoreError> {
    let mut index = match txn.open_table(table(&table_name(name))) {
        Err(TableError::TableDoesNotExist(_)) => return Err(corrupt("an index has no table")),
        other => other?,
    };
    for (key, _) in entries {
        if index.remove(key.as_slice())?.is_none() {
            return Err(corrupt("an index lacks an entry of the tip"));
        }
    }
    Ok(())
}
