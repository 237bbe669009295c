//! The store's handle: opening, and the operations that write. Each is one transaction; when it is on disk is said in
//! `commit`.

use std::{
    path::Path,
    sync::{Mutex, OnceLock},
};

use mass_consensus::{
    ledger::StateDelta,
    state_sum::{StateEntry, StateSum},
};
use mass_primitives::{
    BlockId, ChainId, Decode, DecodeError, Encode, FarmerPublicKey, Height, Reader, Slot, Ticket,
};
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, Table,
    WriteTransaction,
};

use crate::{
    StoreError,
    commit::{Failure, Unsynced},
    index::{self, IndexEntries, check_entries},
    prune::{count_connected, count_disconnected},
    schema,
    tables::{
        ACTIVE, BANS, BODIES, EVIDENCE, HEADERS, HEADERS_BY_HEIGHT, INDEXES, META, META_CHAIN, META_SCHEMA,
        META_STATE_SUM, META_TIP, SCHEMA, SEALS, STATE, UNDO,
    },
    undo::{self, Replaced, UNDO_BYTES_MAX, Undo},
    unfinished,
};

/// The last block of the active chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
}

impl Encode for Tip {
    fn encode(&self, out: &mut Vec<u8>) {
        self.height.encode(out);
        self.id.encode(out);
    }
}

impl Decode for Tip {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { height: Height::decode(reader)?, id: BlockId::decode(reader)? })
    }
}

/// A header to store, of any branch.
#[derive(Clone, Copy, Debug)]
pub struct NewHeader<'a> {
    /// Id of the block.
    pub id: BlockId,
    /// Height of the block.
    pub height: Height,
    /// Key that sealed it.
    pub farmer: FarmerPublicKey,
    /// Slot in which it was sealed.
    pub slot: Slot,
    /// The winning ticket.
    pub ticket: Ticket,
    /// Encoding of the sealed header.
    pub bytes: &'a [u8],
}

/// A block that becomes the tip.
#[derive(Clone, Copy, Debug)]
pub struct ConnectBlock<'a> {
    /// Id of the block.
    pub id: BlockId,
    /// Height of the block.
    pub height: Height,
    /// The block before; `None` for the genesis block.
    pub parent: Option<BlockId>,
    /// Key and slot of the seal, for the index; `None` for the genesis block, which none sealed.
    pub seal: Option<(FarmerPublicKey, Slot)>,
    /// The winning ticket.
    pub ticket: Ticket,
    /// Keys that the block bans.
    pub banned: &'a [FarmerPublicKey],
    /// Encoding of the sealed header.
    pub header_bytes: &'a [u8],
    /// Encoding of the body.
    pub body: &'a [u8],
    /// What the block changes in the state.
    pub delta: &'a StateDelta,
    /// Its entries in each index that has come up to its parent.
    pub indexes: &'a [IndexEntries],
}

/// What the database keeps of its file in memory.
const CACHE_BYTES: usize = 128 << 20;

/// The store of one chain. Reads are in [`crate::Snapshot`] and in the methods beside it.
#[derive(Debug)]
pub struct Store {
    pub(crate) db: Database,
    pub(crate) failure: OnceLock<Failure>,
    pub(crate) unsynced: Mutex<Unsynced>,
}

impl Store {
    /// Opens the file at `path`, or makes it if there is none or it is empty. One of an older schema is brought up to date.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::OtherChain`], [`StoreError::NewerSchema`], [`StoreError::OlderSchema`], or a
    /// fatal error if the file cannot be read or is no store.
    pub fn open(path: impl AsRef<Path>, chain: &ChainId) -> Result<Self, StoreError> {
        unfinished::clear_file(path.as_ref())?;
        Self::from_database(Builder::new().set_cache_size(CACHE_BYTES).create(path)?, chain)
    }

    /// [`Store::open`] of a file that is there, with the checksum of every page verified: a damaged one is an error,
    /// whatever the damage. `progress` gets the part that is done, from 0 to 1.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_verified(
        path: impl AsRef<Path>,
        chain: &ChainId,
        progress: impl Fn(f64) + 'static,
    ) -> Result<Self, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        builder.set_repair_callback(move |session| progress(session.progress()));
        Self::from_database(builder.open(path)?, chain)
    }

    /// [`Store::open`] on another disk than a file. `cache_bytes` bounds what the database keeps of it in memory.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(
        disk: impl StorageBackend,
        cache_bytes: usize,
        chain: &ChainId,
    ) -> Result<Self, StoreError> {
        unfinished::clear_disk(&disk)?;
        let db = Builder::new().set_cache_size(cache_bytes).create_with_backend(disk)?;
        Self::from_database(db, chain)
    }

    pub(crate) fn from_database(db: Database, chain: &ChainId) -> Result<Self, StoreError> {
        let store = Self { db, failure: OnceLock::new(), unsynced: Mutex::default() };
        let fresh = store.db.begin_read()?.list_tables()?.next().is_none();
        if fresh {
            store.write(|txn| initialise(txn, chain))?;
        } else {
            check_identity(&store, chain)?;
            schema::migrate(&store)?;
        }
        Ok(store)
    }

    /// Stores headers of any branch and indexes their seals, in one commit, all or none. One that is stored keeps its
    /// bytes.
    ///
    /// # Errors
    /// [`StoreError::HeaderHeight`] if one is stored at another height, or a fatal error.
    pub fn put_headers(&self, headers: &[NewHeader<'_>]) -> Result<(), StoreError> {
        let bytes = headers.iter().map(|header| header.bytes.len()).sum();
        self.write_lax(bytes, |txn| {
            for header in headers {
                let place = (header.id, header.height, header.ticket);
                insert_header(txn, place, header.bytes, false)?;
                insert_seal(txn, &header.id, &header.farmer, header.slot)?;
            }
            Ok(())
        })
    }

    /// Forgets headers that are not in the active chain, with their seals and bodies, in one commit. What is in the active
    /// chain stays.
    ///
    /// # Errors
    /// A fatal error.
    pub fn forget_headers(
        &self,
        headers: &[(BlockId, Height, FarmerPublicKey, Slot)],
    ) -> Result<(), StoreError> {
        self.write(|txn| {
            let active = txn.open_table(ACTIVE)?;
            for (id, height, farmer, slot) in headers {
                if active.get(height.get())?.is_some_and(|found| found.value() == id.as_bytes()) {
                    continue;
                }
                txn.open_table(HEADERS)?.remove(id.as_bytes())?;
                txn.open_table(HEADERS_BY_HEIGHT)?.remove((height.get(), id.as_bytes()))?;
                txn.open_table(SEALS)?.remove((farmer.as_bytes(), slot.get(), id.as_bytes()))?;
                txn.open_table(BODIES)?.remove(id.as_bytes())?;
                let (least, most) = (FarmerPublicKey::ZERO, FarmerPublicKey::new([0xff; 32]));
                let bans = (id.as_bytes(), least.as_bytes())..=(id.as_bytes(), most.as_bytes());
                txn.open_table(BANS)?.retain_in(bans, |_, ()| false)?;
            }
            Ok(())
        })
    }

    /// Keeps the evidence against a key instead of any other, or forgets it.
    ///
    /// # Errors
    /// A fatal error.
    pub fn put_evidence(&self, farmer: &FarmerPublicKey, bytes: Option<&[u8]>) -> Result<(), StoreError> {
        self.write(|txn| {
            let mut evidence = txn.open_table(EVIDENCE)?;
            match bytes {
                Some(bytes) => evidence.insert(farmer.as_bytes(), bytes)?,
                None => evidence.remove(farmer.as_bytes())?,
            };
            Ok(())
        })
    }

    /// Stores the body of a block of any branch.
    ///
    /// # Errors
    /// A fatal error.
    pub fn put_body(&self, id: BlockId, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_lax(bytes.len(), |txn| {
            txn.open_table(BODIES)?.insert(id.as_bytes(), bytes)?;
            Ok(())
        })
    }

    /// Makes `block` the tip: stores its header and body, indexes its seal, changes the state and the indexes, and keeps
    /// the undo.
    ///
    /// # Errors
    /// [`StoreError::NotOnTip`], [`StoreError::WrongHeight`], [`StoreError::HeaderHeight`],
    /// [`StoreError::TooLarge`], [`StoreError::OtherIndexes`], [`StoreError::IndexKeyTaken`], or a fatal error.
    pub fn connect(&self, block: &ConnectBlock<'_>) -> Result<(), StoreError> {
        undo::check_delta(block.delta)?;
        block.indexes.iter().try_for_each(|index| check_entries(&index.entries))?;
        self.write_lax(block.bytes(), |txn| {
            let mut meta = txn.open_table(META)?;
            check_follows(block, read_tip(&meta)?)?;
            insert_header(txn, (block.id, block.height, block.ticket), block.header_bytes, true)?;
            let mut sum = read_sum(&meta)?;
            for farmer in block.banned {
                txn.open_table(BANS)?.insert((block.id.as_bytes(), farmer.as_bytes()), ())?;
                sum.add(&StateEntry::Ban { farmer, block: &block.id });
            }
            if let Some((farmer, slot)) = &block.seal {
                insert_seal(txn, &block.id, farmer, *slot)?;
            }
            txn.open_table(BODIES)?.insert(block.id.as_bytes(), block.body)?;
            txn.open_table(ACTIVE)?.insert(block.height.get(), block.id.as_bytes())?;
            let undo = apply_delta(txn, block, &mut sum)?.to_bytes();
            undo::check("bytes of an undo", undo.len(), UNDO_BYTES_MAX)?;
            txn.open_table(UNDO)?.insert(block.height.get(), undo.as_slice())?;
            count_connected(&mut meta, block.height, block.body.len().saturating_add(undo.len()))?;
            index::connect(txn, block.height, block.indexes)?;
            let tip = Tip { height: block.height, id: block.id }.to_bytes();
            meta.insert(META_TIP, tip.as_slice())?;
            meta.insert(META_STATE_SUM, sum.to_bytes().as_slice())?;
            Ok(())
        })
    }

    /// Takes the tip off the active chain, restores the state before it and returns its id. Header and
    /// body stay. `indexes` has what each index that has the tip took from it, of which only the keys matter.
    ///
    /// # Errors
    /// [`StoreError::NoTip`], [`StoreError::UndoPruned`], [`StoreError::OtherIndexes`], or a fatal error.
    pub fn disconnect_tip(&self, indexes: &[IndexEntries]) -> Result<BlockId, StoreError> {
        self.write_lax(0, |txn| {
            let mut meta = txn.open_table(META)?;
            let tip = read_tip(&meta)?.ok_or(StoreError::NoTip)?;
            let mut sum = read_sum(&meta)?;
            let undo_bytes = restore(txn, tip, &mut sum)?;
            count_disconnected(txn, &mut meta, &tip, undo_bytes)?;
            meta.insert(META_STATE_SUM, sum.to_bytes().as_slice())?;
            index::disconnect(txn, tip.height, indexes)?;
            let mut active = txn.open_table(ACTIVE)?;
            active.remove(tip.height.get())?;
            match tip.height.get().checked_sub(1) {
                None => {
                    meta.remove(META_TIP)?;
                }
                Some(height) => {
                    let id = active.get(height)?.ok_or_else(|| corrupt("no active block below the tip"))?;
                    let parent = Tip { height: Height::new(height), id: BlockId::new(*id.value()) };
                    meta.insert(META_TIP, parent.to_bytes().as_slice())?;
                }
            }
            Ok(tip.id)
        })
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.check_alive()?;
        Ok(self.db.begin_read()?)
    }
}

impl ConnectBlock<'_> {
    /// About how many bytes the block writes.
    fn bytes(&self) -> usize {
        let changes = self.delta.iter().map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len));
        let entries = self.indexes.iter().flat_map(|index| &index.entries);
        let entries = entries.map(|(key, value)| key.len() + value.len());
        self.header_bytes.len() + self.body.len() + 2 * changes.sum::<usize>() + entries.sum::<usize>()
    }
}

pub(crate) fn corrupt(why: &str) -> StoreError {
    StoreError::Corrupt(why.to_owned())
}

pub(crate) fn read_tip(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Option<Tip>, StoreError> {
    meta.get(META_TIP)?.map(|bytes| decode("tip", bytes.value())).transpose()
}

/// The sum over the state of the tip; before the genesis block over nothing.
pub(crate) fn read_sum(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<StateSum, StoreError> {
    let sum = meta.get(META_STATE_SUM)?.map(|bytes| decode("state sum", bytes.value())).transpose()?;
    Ok(sum.unwrap_or_default())
}

pub(crate) fn decode<T: Decode>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    T::from_bytes(bytes).map_err(|error| StoreError::Corrupt(format!("{what}: {error}")))
}

fn initialise(txn: &WriteTransaction, chain: &ChainId) -> Result<(), StoreError> {
    txn.open_table(HEADERS)?;
    txn.open_table(HEADERS_BY_HEIGHT)?;
    txn.open_table(SEALS)?;
    txn.open_table(EVIDENCE)?;
    txn.open_table(BANS)?;
    txn.open_table(BODIES)?;
    txn.open_table(ACTIVE)?;
    txn.open_table(STATE)?;
    txn.open_table(UNDO)?;
    txn.open_table(INDEXES)?;
    let mut meta = txn.open_table(META)?;
    meta.insert(META_SCHEMA, SCHEMA.to_bytes().as_slice())?;
    meta.insert(META_CHAIN, chain.as_bytes().as_slice())?;
    Ok(())
}

/// The file has to be of this chain, and of a schema from which there is a way.
fn check_identity(store: &Store, chain: &ChainId) -> Result<(), StoreError> {
    schema::check(schema::read(store)?)?;
    let meta = store.begin_read()?.open_table(META)?;
    let got = meta.get(META_CHAIN)?.ok_or_else(|| corrupt("no chain id"))?;
    let got: ChainId = decode("chain id", got.value())?;
    if got != *chain {
        return Err(StoreError::OtherChain { got, expected: *chain });
    }
    Ok(())
}

fn check_follows(block: &ConnectBlock<'_>, tip: Option<Tip>) -> Result<(), StoreError> {
    let tip_id = tip.map(|tip| tip.id);
    if block.parent != tip_id {
        return Err(StoreError::NotOnTip { parent: block.parent, tip: tip_id });
    }
    let expected = match tip {
        None => Height::ZERO,
        Some(tip) => tip.height.next().ok_or_else(|| corrupt("the tip has the last height"))?,
    };
    if block.height == expected {
        Ok(())
    } else {
        Err(StoreError::WrongHeight { got: block.height, expected })
    }
}

fn insert_header(
    txn: &WriteTransaction,
    (id, height, ticket): (BlockId, Height, Ticket),
    bytes: &[u8],
    is_connected: bool,
) -> Result<(), StoreError> {
    let mut headers = txn.open_table(HEADERS)?;
    let stored = headers.get(id.as_bytes())?.map(|known| Height::new(known.value().0));
    if let Some(stored) = stored.filter(|stored| *stored != height) {
        return Err(StoreError::HeaderHeight { id, stored, got: height });
    }
    if stored.is_none() {
        headers.insert(id.as_bytes(), (height.get(), bytes))?;
    }
    if stored.is_none() || is_connected {
        let mut index = txn.open_table(HEADERS_BY_HEIGHT)?;
        index.insert((height.get(), id.as_bytes()), (ticket.as_bytes(), is_connected))?;
    }
    Ok(())
}

fn insert_seal(
    txn: &WriteTransaction,
    id: &BlockId,
    farmer: &FarmerPublicKey,
    slot: Slot,
) -> Result<(), StoreError> {
    txn.open_table(SEALS)?.insert((farmer.as_bytes(), slot.get(), id.as_bytes()), ())?;
    Ok(())
}

fn apply_delta(
    txn: &WriteTransaction,
    block: &ConnectBlock<'_>,
    sum: &mut StateSum,
) -> Result<Undo, StoreError> {
    let mut state = txn.open_table(STATE)?;
    let mut replaced = Vec::with_capacity(block.delta.len());
    for (key, value) in block.delta.iter() {
        replaced.push(Replaced { key: key.to_vec(), before: set(&mut state, key, value, sum)? });
    }
    Ok(Undo { block: block.id, replaced })
}

/// Sets a key of the state, or removes it; the value before.
fn set(
    state: &mut Table<'_, &'static [u8], &'static [u8]>,
    key: &[u8],
    value: Option<&[u8]>,
    sum: &mut StateSum,
) -> Result<Option<Vec<u8>>, StoreError> {
    let before = match value {
        Some(value) => state.insert(key, value)?,
        None => state.remove(key)?,
    };
    let before = before.map(|value| value.value().to_vec());
    if before.as_deref() == value {
        return Ok(before);
    }
    if let Some(value) = &before {
        sum.remove(&StateEntry::Ledger { key, value });
    }
    if let Some(value) = value {
        sum.add(&StateEntry::Ledger { key, value });
    }
    Ok(before)
}

/// Takes back what the tip changed in the state; the bytes of its undo, which is gone.
fn restore(txn: &WriteTransaction, tip: Tip, sum: &mut StateSum) -> Result<usize, StoreError> {
    let (undo, bytes): (Undo, usize) = {
        let mut undos = txn.open_table(UNDO)?;
        let bytes = undos.remove(tip.height.get())?.ok_or(StoreError::UndoPruned(tip.height))?;
        (decode("undo", bytes.value())?, bytes.value().len())
    };
    if undo.block != tip.id {
        return Err(corrupt("the undo is another block's"));
    }
    let mut state = txn.open_table(STATE)?;
    for Replaced { key, before } in &undo.replaced {
        set(&mut state, key, before.as_deref(), sum)?;
    }
    let (least, most) = (FarmerPublicKey::ZERO, FarmerPublicKey::new([0xff; 32]));
    let bans = (tip.id.as_bytes(), least.as_bytes())..=(tip.id.as_bytes(), most.as_bytes());
    for ban in txn.open_table(BANS)?.range(bans)? {
        let farmer = FarmerPublicKey::new(*ban?.0.value().1);
        sum.remove(&StateEntry::Ban { farmer: &farmer, block: &tip.id });
    }
    Ok(bytes)
}
