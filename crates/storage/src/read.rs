//! What can be read. Each read sees one committed state of the whole store; a [`Snapshot`] goes on
//! seeing it while blocks are connected.

use mass_consensus::ledger::{StateRead, StateReadError};
use mass_primitives::{BlockId, FarmerPublicKey, Height, Slot, StateHash, Ticket};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _};

use crate::{
    IndexView, Store, StoreError, Tip,
    schema::read_undo_from,
    store::{corrupt, decode, read_sum, read_tip},
    tables::{ACTIVE, BANS, BODIES, EVIDENCE, HEADERS, HEADERS_BY_HEIGHT, META, SEALS, STATE, UNDO},
    undo::Undo,
};

/// A header as stored, with what was found out about it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHeader {
    /// Id of the block.
    pub id: BlockId,
    /// Height of the block.
    pub height: Height,
    /// The winning ticket.
    pub ticket: Ticket,
    /// Whether the block was connected once, so that its body is here.
    pub is_connected: bool,
    /// Encoding of the sealed header.
    pub bytes: Vec<u8>,
}

/// A header that was looked up by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Id of the block.
    pub id: BlockId,
    /// Height of the block.
    pub height: Height,
    /// Encoding of the sealed header.
    pub bytes: Vec<u8>,
}

/// A key of the state and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

impl Store {
    /// The last block of the active chain; `None` before the genesis block.
    ///
    /// # Errors
    /// A fatal error.
    pub fn tip(&self) -> Result<Option<Tip>, StoreError> {
        read_tip(&self.begin_read()?.open_table(META)?)
    }

    /// Height of the lowest block that can be undone; the one after the tip if none can.
    ///
    /// # Errors
    /// A fatal error.
    pub fn undo_from(&self) -> Result<Height, StoreError> {
        Ok(Height::new(read_undo_from(&self.begin_read()?.open_table(META)?)?))
    }

    /// A header of any branch.
    ///
    /// # Errors
    /// A fatal error.
    pub fn header(&self, id: &BlockId) -> Result<Option<Header>, StoreError> {
        read_header(&self.begin_read()?, id)
    }

    /// All headers of all branches from a height on, in the order of height, then of id.
    ///
    /// # Errors
    /// A fatal error, here or from the iterator.
    pub fn headers(
        &self,
        from: Height,
    ) -> Result<impl Iterator<Item = Result<StoredHeader, StoreError>> + use<>, StoreError> {
        self.headers_in(from, Height::new(u32::MAX))
    }

    /// The headers of one height, in the order of id.
    ///
    /// # Errors
    /// A fatal error.
    pub fn headers_at(&self, height: Height) -> Result<Vec<StoredHeader>, StoreError> {
        self.headers_in(height, height)?.collect()
    }

    fn headers_in(
        &self,
        from: Height,
        to: Height,
    ) -> Result<impl Iterator<Item = Result<StoredHeader, StoreError>> + use<>, StoreError> {
        let txn = self.begin_read()?;
        let headers = txn.open_table(HEADERS)?;
        let index = txn.open_table(HEADERS_BY_HEIGHT)?;
        let (least, most) = (BlockId::ZERO, BlockId::new([0xff; BlockId::LEN]));
        let range = index.range((from.get(), least.as_bytes())..=(to.get(), most.as_bytes()))?;
        Ok(range.map(move |entry| {
            let (key, value) = entry?;
            let (height, id) = key.value();
            let (ticket, is_connected) = value.value();
            let found = headers.get(id)?.ok_or_else(|| corrupt("an indexed header is missing"))?;
            let bytes = found.value().1.to_vec();
            let (id, height, ticket) = (BlockId::new(*id), Height::new(height), Ticket::new(*ticket));
            Ok(StoredHeader { id, height, ticket, is_connected, bytes })
        }))
    }

    /// The greatest height of a header of any branch.
    ///
    /// # Errors
    /// A fatal error.
    pub fn last_header(&self) -> Result<Option<Height>, StoreError> {
        let index = self.begin_read()?.open_table(HEADERS_BY_HEIGHT)?;
        Ok(index.last()?.map(|(key, _)| Height::new(key.value().0)))
    }

    /// The headers that a key sealed in a slot, in the order of id. Two are a double seal.
    ///
    /// # Errors
    /// A fatal error.
    pub fn headers_by_seal(&self, farmer: &FarmerPublicKey, slot: Slot) -> Result<Vec<BlockId>, StoreError> {
        let seals = self.begin_read()?.open_table(SEALS)?;
        let key = |id| (farmer.as_bytes(), slot.get(), id);
        let range = seals.range(key(&[0; BlockId::LEN])..=key(&[0xff; BlockId::LEN]))?;
        range.map(|entry| Ok(BlockId::new(*entry?.0.value().2))).collect()
    }

    /// All evidence that is kept, ascending by farmer.
    ///
    /// # Errors
    /// A fatal error.
    pub fn evidence(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let evidence = self.begin_read()?.open_table(EVIDENCE)?;
        evidence.iter()?.map(|entry| Ok(entry?.1.value().to_vec())).collect()
    }

    /// All bans: the block with the evidence, of any branch, and the key.
    ///
    /// # Errors
    /// A fatal error.
    pub fn bans(&self) -> Result<Vec<(BlockId, FarmerPublicKey)>, StoreError> {
        let bans = self.begin_read()?.open_table(BANS)?;
        let ban = |(id, farmer): (&_, &_)| (BlockId::new(*id), FarmerPublicKey::new(*farmer));
        bans.iter()?.map(|entry| Ok(ban(entry?.0.value()))).collect()
    }

    /// The body of a block of any branch.
    ///
    /// # Errors
    /// A fatal error.
    pub fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError> {
        read_body(&self.begin_read()?, id)
    }

    /// The block of the active chain at a height.
    ///
    /// # Errors
    /// A fatal error.
    pub fn active_id(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        let active = self.begin_read()?.open_table(ACTIVE)?;
        Ok(active.get(height.get())?.map(|id| BlockId::new(*id.value())))
    }

    /// The state as it is now, with the tip that it belongs to.
    ///
    /// # Errors
    /// A fatal error.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let txn = self.begin_read()?;
        Ok(Snapshot { tip: read_tip(&txn.open_table(META)?)?, state: txn.open_table(STATE)?, txn })
    }
}

/// The state after one block, unchanged by later ones. Space that later blocks free is kept while it lives.
#[derive(Debug)]
pub struct Snapshot {
    tip: Option<Tip>,
    state: ReadOnlyTable<&'static [u8], &'static [u8]>,
    txn: ReadTransaction,
}

impl Snapshot {
    /// The block that the state is after.
    #[must_use]
    pub const fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// Hash of the whole state (STA-3).
    ///
    /// # Errors
    /// A fatal error.
    pub fn state_hash(&self) -> Result<StateHash, StoreError> {
        Ok(read_sum(&self.txn.open_table(META)?)?.hash())
    }

    /// All keys with a prefix and their values, in the order of keys. The empty prefix has them all.
    ///
    /// # Errors
    /// A fatal error, here or from the iterator.
    pub fn scan(
        &self,
        prefix: &[u8],
    ) -> Result<impl Iterator<Item = Result<KeyValue, StoreError>> + use<>, StoreError> {
        scan(&self.state, prefix)
    }

    /// An index as it is after the same block; `None` if the store does not have it.
    ///
    /// # Errors
    /// A fatal error.
    pub fn index(&self, name: &str) -> Result<Option<IndexView>, StoreError> {
        IndexView::open(&self.txn, name)
    }

    /// The block of the active chain at a height.
    ///
    /// # Errors
    /// A fatal error.
    pub fn active_id(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        let active = self.txn.open_table(ACTIVE)?;
        Ok(active.get(height.get())?.map(|id| BlockId::new(*id.value())))
    }

    /// A header of any branch, as it was stored then.
    ///
    /// # Errors
    /// A fatal error.
    pub fn header(&self, id: &BlockId) -> Result<Option<Header>, StoreError> {
        read_header(&self.txn, id)
    }

    /// The body of a block of any branch, as it was stored then.
    ///
    /// # Errors
    /// A fatal error.
    pub fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError> {
        read_body(&self.txn, id)
    }

    /// What the active block at a height found where it changed the state; `None` if that has been pruned.
    ///
    /// # Errors
    /// A fatal error.
    pub fn before(&self, height: Height) -> Result<Option<Before>, StoreError> {
        let undos = self.txn.open_table(UNDO)?;
        let Some(bytes) = undos.get(height.get())? else { return Ok(None) };
        Ok(Some(Before(decode("undo", bytes.value())?)))
    }
}

/// What a block found at the keys that it changed, such as the coins that it spends.
#[derive(Debug)]
pub struct Before(Undo);

impl StateRead for Before {
    /// The value before the block, if the block changed it. Other keys are taken for absent.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateReadError> {
        let replaced = &self.0.replaced;
        let found = replaced.binary_search_by(|replaced| replaced.key.as_slice().cmp(key));
        Ok(found.ok().and_then(|position| replaced.get(position)?.before.clone()))
    }
}

fn read_header(txn: &ReadTransaction, id: &BlockId) -> Result<Option<Header>, StoreError> {
    let headers = txn.open_table(HEADERS)?;
    let found = headers.get(id.as_bytes())?;
    Ok(found.map(|found| {
        let (height, bytes) = found.value();
        Header { id: *id, height: Height::new(height), bytes: bytes.to_vec() }
    }))
}

fn read_body(txn: &ReadTransaction, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError> {
    let bodies = txn.open_table(BODIES)?;
    Ok(bodies.get(id.as_bytes())?.map(|bytes| bytes.value().to_vec()))
}

/// All entries of a table whose keys have a prefix, in the order of keys.
pub(crate) fn scan(
    table: &ReadOnlyTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
) -> Result<impl DoubleEndedIterator<Item = Result<KeyValue, StoreError>> + use<>, StoreError> {
    scan_range(table, prefix, after(prefix).as_deref())
}

/// All entries of a table from a key up to one that is not reached, in the order of keys.
pub(crate) fn scan_range(
    table: &ReadOnlyTable<&'static [u8], &'static [u8]>,
    from: &[u8],
    end: Option<&[u8]>,
) -> Result<impl DoubleEndedIterator<Item = Result<KeyValue, StoreError>> + use<>, StoreError> {
    let range = match end {
        Some(end) => table.range::<&[u8]>(from..end.max(from))?,
        None => table.range::<&[u8]>(from..)?,
    };
    Ok(range.map(|entry| {
        let (key, value) = entry?;
        Ok((key.value().to_vec(), value.value().to_vec()))
    }))
}

/// The least key after all that have a prefix; `None` if none is greater.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

impl StateRead for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateReadError> {
        match self.state.get(key) {
            Ok(found) => Ok(found.map(|value| value.value().to_vec())),
            Err(error) => Err(StateReadError(error.to_string())),
        }
    }
}
