//! The state of a block that lies some way below the tip, in parts that can be carried one by one, and a store that
//! begins with such a state instead of the blocks before it.
//!
//! What lies below the tip is read from one snapshot: the state of the tip, with what the undos of the blocks above say it
//! was before. Parts are cut by one rule, so that all stores cut one state alike: a part ends with the entry with which it
//! has [`PART_BYTES`]; bans come last. Deliberately not here: where parts come from, and whom to believe.

use std::collections::BTreeMap;

use mass_consensus::state_sum::{StateEntry, StateSum};
use mass_primitives::{
    BlockId, Decode, DecodeError, Encode, FarmerPublicKey, Height, Reader, StateHash,
    encoding::{encode_byte_string, encode_list},
};
use redb::ReadableTable;

use crate::{
    Snapshot, Store, StoreError, Tip,
    store::{corrupt, decode, read_tip},
    tables::{
        ACTIVE, BANS, HEADERS_BY_HEIGHT, META, META_BASE, META_KEPT, META_STATE_SUM, META_TIP,
        META_UNDO_FROM, STATE, UNDO,
    },
    undo::{KEY_BYTES_MAX, Replaced},
};

/// Bytes of keys and values with which a part is full.
pub const PART_BYTES: usize = 1 << 20;
/// Bytes of an encoded part at the most.
pub const PART_BYTES_MAX: usize = 8 << 20;
/// Entries of a part at the most.
const ENTRIES_MAX: usize = PART_BYTES;

const LEDGER: u8 = 0;
const BAN: u8 = 1;

/// An entry of a state on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartEntry {
    /// A key of the ledger and its value.
    Ledger(Vec<u8>, Vec<u8>),
    /// A banned farmer, and the block with the evidence.
    Ban(FarmerPublicKey, BlockId),
}

impl PartEntry {
    fn as_entry(&self) -> StateEntry<'_> {
        match self {
            Self::Ledger(key, value) => StateEntry::Ledger { key, value },
            Self::Ban(farmer, block) => StateEntry::Ban { farmer, block },
        }
    }

    const fn bytes(&self) -> usize {
        match self {
            // A count of one for the entry itself bounds how many a part has.
            Self::Ledger(key, value) => 1 + key.len() + value.len(),
            Self::Ban(..) => 1 + FarmerPublicKey::LEN + BlockId::LEN,
        }
    }
}

impl Encode for PartEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ledger(key, value) => {
                LEDGER.encode(out);
                encode_byte_string(key, out);
                encode_byte_string(value, out);
            }
            Self::Ban(farmer, block) => {
                BAN.encode(out);
                farmer.encode(out);
                block.encode(out);
            }
        }
    }
}

impl Decode for PartEntry {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            LEDGER => {
                let key = reader.byte_string(KEY_BYTES_MAX)?.to_vec();
                Ok(Self::Ledger(key, reader.byte_string(PART_BYTES_MAX)?.to_vec()))
            }
            BAN => Ok(Self::Ban(FarmerPublicKey::decode(reader)?, BlockId::decode(reader)?)),
            _ => Err(DecodeError::Invalid("unknown kind of entry")),
        }
    }
}

/// A part of a state: some of its entries, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatePart(Vec<PartEntry>);

impl StatePart {
    /// The sum over the entries.
    #[must_use]
    pub fn sum(&self) -> StateSum {
        let mut sum = StateSum::new();
        self.0.iter().for_each(|entry| sum.add(&entry.as_entry()));
        sum
    }
}

impl Encode for StatePart {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_list(&self.0, out);
    }
}

impl Decode for StatePart {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let entries: Vec<PartEntry> = reader.list(ENTRIES_MAX)?;
        if entries.is_sorted_by(|a, b| a < b) {
            Ok(Self(entries))
        } else {
            Err(DecodeError::Invalid("part: entries out of order"))
        }
    }
}

/// Fills parts and hands them out.
struct Cutter<F> {
    part: StatePart,
    bytes: usize,
    take: F,
}

impl<E, F: FnMut(StatePart) -> Result<(), E>> Cutter<F> {
    fn push(&mut self, entry: PartEntry) -> Result<(), E> {
        self.bytes += entry.bytes();
        self.part.0.push(entry);
        if self.bytes >= PART_BYTES { self.finish() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), E> {
        self.bytes = 0;
        let part = std::mem::take(&mut self.part);
        if part.0.is_empty() { Ok(()) } else { (self.take)(part) }
    }
}

impl Snapshot {
    /// The state after the active block at `height`, part by part. What the blocks above changed is held in memory.
    ///
    /// # Errors
    /// [`StoreError::UndoPruned`] if the way back is not known, what `take` returns, or a fatal error.
    pub fn parts_at<E: From<StoreError>>(
        &self,
        height: Height,
        take: impl FnMut(StatePart) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut before: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        let mut above = self.tip().map_or(Height::ZERO, |tip| tip.height);
        while above > height {
            let undo = self.undo(above)?.ok_or(StoreError::UndoPruned(above))?;
            before.extend(undo.replaced.into_iter().map(|Replaced { key, before }| (key, before)));
            above = Height::new(above.get() - 1);
        }
        let mut cutter = Cutter { part: StatePart::default(), bytes: 0, take };
        let mut before = before.into_iter().peekable();
        for entry in self.scan(b"")? {
            let (key, value) = entry?;
            while let Some((gone, value)) = before.next_if(|(changed, _)| *changed < key) {
                value.map_or(Ok(()), |value| cutter.push(PartEntry::Ledger(gone, value)))?;
            }
            match before.next_if(|(changed, _)| *changed == key) {
                None => cutter.push(PartEntry::Ledger(key, value))?,
                Some((_, Some(value))) => cutter.push(PartEntry::Ledger(key, value))?,
                Some((_, None)) => {}
            }
        }
        for (gone, value) in before {
            value.map_or(Ok(()), |value| cutter.push(PartEntry::Ledger(gone, value)))?;
        }
        for (farmer, block) in self.bans_at(height)? {
            cutter.push(PartEntry::Ban(farmer, block))?;
        }
        cutter.finish()
    }

    /// The bans on the active chain up to a height.
    fn bans_at(&self, height: Height) -> Result<Vec<(FarmerPublicKey, BlockId)>, StoreError> {
        let mut bans = Vec::new();
        for ban in self.txn.open_table(BANS)?.iter()? {
            let key = ban?.0;
            let (block, farmer) = key.value();
            let (block, farmer) = (BlockId::new(*block), FarmerPublicKey::new(*farmer));
            let at = self.header(&block)?.map(|header| header.height).filter(|at| *at <= height);
            if let Some(at) = at
                && self.active_id(at)? == Some(block)
            {
                bans.push((farmer, block));
            }
        }
        bans.sort();
        Ok(bans)
    }
}

/// The block whose state a store began with.
pub(crate) fn read_base(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Option<Tip>, StoreError> {
    meta.get(META_BASE)?.map(|bytes| decode("base", bytes.value())).transpose()
}

impl Store {
    /// The block whose state this store began with; `None` if it has all blocks from genesis on.
    ///
    /// # Errors
    /// A fatal error.
    pub fn base(&self) -> Result<Option<Tip>, StoreError> {
        read_base(&self.begin_read()?.open_table(META)?)
    }

    /// Begins with the state of a block whose header is stored: a store that has the genesis block alone gets it
    /// for its tip, in one commit. `active` has the blocks of the chain up to it, from height 1 on. They count as connected; there are no
    /// bodies and no undos of them.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`], [`StoreError::OtherState`] if the parts are not the state with this hash, what `parts`
    /// yields, or a fatal error.
    pub fn install(
        &self,
        active: &[BlockId],
        expected: &StateHash,
        parts: impl Iterator<Item = Result<StatePart, StoreError>>,
    ) -> Result<(), StoreError> {
        let height = u32::try_from(active.len()).map_err(|_| corrupt("more blocks than heights"))?;
        let Some(id) = active.last() else { return Err(corrupt("a base without a block")) };
        let base = Tip { height: Height::new(height), id: *id };
        self.write(|txn| {
            let mut meta = txn.open_table(META)?;
            if let Some(tip) = read_tip(&meta)?.filter(|tip| tip.height != Height::ZERO) {
                return Err(StoreError::NotEmpty(tip));
            }
            let (mut state, mut bans) = (txn.open_table(STATE)?, txn.open_table(BANS)?);
            state.retain(|_, _| false)?;
            txn.open_table(UNDO)?.retain(|_, _| false)?;
            let mut sum = StateSum::new();
            for part in parts {
                for entry in &part?.0 {
                    sum.add(&entry.as_entry());
                    match entry {
                        PartEntry::Ledger(key, value) => {
                            drop(state.insert(key.as_slice(), value.as_slice())?);
                        }
                        PartEntry::Ban(farmer, block) => {
                            bans.insert((block.as_bytes(), farmer.as_bytes()), ())?;
                        }
                    }
                }
            }
            let got = sum.hash();
            if got != *expected {
                return Err(StoreError::OtherState { got, expected: *expected });
            }
            let (mut heights, mut index) = (txn.open_table(ACTIVE)?, txn.open_table(HEADERS_BY_HEIGHT)?);
            for (height, id) in (1u32..).zip(active) {
                heights.insert(height, id.as_bytes())?;
                let header = index.get((height, id.as_bytes()))?;
                let ticket = *header.ok_or_else(|| corrupt("no header below the base"))?.value().0;
                index.insert((height, id.as_bytes()), (&ticket, true))?;
            }
            let base = base.to_bytes();
            meta.insert(META_BASE, base.as_slice())?;
            meta.insert(META_TIP, base.as_slice())?;
            meta.insert(META_UNDO_FROM, height.saturating_add(1).to_bytes().as_slice())?;
            meta.insert(META_STATE_SUM, sum.to_bytes().as_slice())?;
            meta.remove(META_KEPT)?;
            Ok(())
        })
    }
}
