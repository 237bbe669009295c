//! How large a store is, table by table, and how it gets smaller.
//!
//! Pages that are freed are used again, so a file seldom grows by more than what is stored, and it shrinks by itself where its
//! end is free. What lies free in between only compaction gives back, which moves pages and so needs the file alone: no
//! reader and no writer, at the start of a node or while none runs.

use redb::{ReadableTableMetadata as _, TableHandle as _};

use crate::{Store, StoreError};

/// What one table takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Its name.
    pub name: String,
    /// Its entries.
    pub entries: u64,
    /// Bytes of keys and values.
    pub stored_bytes: u64,
    /// Bytes of the tree that finds them.
    pub tree_bytes: u64,
    /// Bytes that lie unused in its pages.
    pub unused_bytes: u64,
}

/// What a store takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its tables, in the order of names.
    pub tables: Vec<TableSize>,
    /// Bytes of pages in use.
    pub allocated_bytes: u64,
    /// Bytes of the file that are free, in whole pages and within pages.
    pub fragmented_bytes: u64,
}

impl Store {
    /// Measures all tables, which reads all of their trees.
    ///
    /// # Errors
    /// A fatal error.
    pub fn size(&self) -> Result<Size, StoreError> {
        let txn = self.begin_read()?;
        let mut tables = Vec::new();
        for handle in txn.list_tables()? {
            let name = handle.name().to_owned();
            let table = txn.open_untyped_table(handle)?;
            let stats = table.stats()?;
            tables.push(TableSize {
                name,
                entries: table.len()?,
                stored_bytes: stats.stored_bytes(),
                tree_bytes: stats.metadata_bytes(),
                unused_bytes: stats.fragmented_bytes(),
            });
        }
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        let txn = self.db.begin_write()?;
        let stats = txn.stats()?;
        txn.abort()?;
        let page_bytes = u64::try_from(stats.page_size()).unwrap_or(u64::MAX);
        Ok(Size {
            tables,
            allocated_bytes: stats.allocated_pages().saturating_mul(page_bytes),
            fragmented_bytes: stats.fragmented_bytes(),
        })
    }

    /// Gives the free space in the file back to the system; whether there was any. It takes about as long as to write the
    /// file once, and may be killed at any moment.
    ///
    /// # Errors
    /// A fatal error. A snapshot that is still held is one.
    pub fn compact(&mut self) -> Result<bool, StoreError> {
        self.sync()?;
        self.db.compact().map_err(|error| redb::Error::from(error).into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mass_consensus::ledger::StateDelta;
    use mass_primitives::{BlockId, ChainId, Height, Ticket};

    use crate::{ConnectBlock, Store};

    /// Large blocks come and go; what they leave behind is told, and given back.
    #[test]
    fn free_space_is_told_and_given_back() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), ChainId::new([7; 32]));
        let path = dir.path().join("store");
        let mut store = Store::open(&path, &chain).unwrap();
        for height in 0..40u8 {
            let mut delta = StateDelta::new();
            // Each block leaves a little and takes away what the one before had put.
            (0..50u8).for_each(|part| delta.put(vec![height, part], vec![part; 4_000]));
            (1..50u8).for_each(|part| delta.delete(vec![height.wrapping_sub(1), part]));
            let block = ConnectBlock {
                id: BlockId::new([height; 32]),
                height: Height::new(height.into()),
                parent: height.checked_sub(1).map(|below| BlockId::new([below; 32])),
                seal: None,
                ticket: Ticket::ZERO,
                banned: &[],
                header_bytes: &[height],
                body: &[height],
                delta: &delta,
                indexes: &[],
            };
            store.connect(&block).unwrap();
        }
        store.prune(Height::new(39), None, crate::tests::ALL).unwrap();
        let (before, large) = (store.size().unwrap(), fs::metadata(&path).unwrap().len());
        let state = before.tables.iter().find(|table| table.name == "state").unwrap();
        assert_eq!(state.entries, 40 + 49);
        assert!(state.stored_bytes > 300_000 && before.fragmented_bytes > large / 2, "{before:?}");
        assert!(store.compact().unwrap());
        let after = store.size().unwrap();
        assert_eq!(before.tables.len(), after.tables.len());
        assert!(after.fragmented_bytes < before.fragmented_bytes / 2, "{after:?}");
        drop(store);
        assert!(fs::metadata(&path).unwrap().len() < large / 2);
    }
}
