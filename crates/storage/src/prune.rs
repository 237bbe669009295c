//! Old blocks go: their bodies and their undo, below a height. Headers, the active chain, the state and the indexes stay.
//!
//! There is one line, the height of the lowest undo. From it on every active block has body and undo; below it no block of any
//! branch has either, but the genesis block its body. A block is never needed below the line: whose branch leaves the
//! active chain there cannot be followed, for there is no way back.
//!
//! What the blocks above the line take is counted once, from the tip downwards, and kept up to date by every block that
//! comes or goes. Each step is a commit of its own, as large as the caller wants it.
//!
//! Deliberately not here: how much is to be kept, and what else still needs a block.

use mass_primitives::{BlockId, Decode, DecodeError, Encode, Height, Reader};
use redb::{ReadableTable, Table, WriteTransaction};

use crate::{
    Store, StoreError, Tip,
    part::read_base,
    schema::read_undo_from,
    store::{decode, read_tip},
    tables::{ACTIVE, BODIES, HEADERS_BY_HEIGHT, META, META_KEPT, META_UNDO_FROM, UNDO},
};

type Meta<'txn> = Table<'txn, &'static str, &'static [u8]>;

/// How much is done in one commit at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneStep {
    /// Blocks.
    pub blocks: u32,
    /// Bytes of bodies and undo, and one more block.
    pub bytes: u64,
}

/// What the newest blocks of the active chain take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Height from which on they are counted, up to the tip.
    pub from: Height,
    /// Bytes of their bodies and undo.
    pub bytes: u64,
}

impl Encode for Kept {
    fn encode(&self, out: &mut Vec<u8>) {
        self.from.encode(out);
        self.bytes.encode(out);
    }
}

impl Decode for Kept {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { from: Height::decode(reader)?, bytes: u64::decode(reader)? })
    }
}

pub(crate) fn read_kept(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Option<Kept>, StoreError> {
    meta.get(META_KEPT)?.map(|bytes| decode("bytes that are kept", bytes.value())).transpose()
}

fn write_kept(meta: &mut Meta<'_>, kept: Kept) -> Result<(), StoreError> {
    meta.insert(META_KEPT, kept.to_bytes().as_slice())?;
    Ok(())
}

/// A block of this height and so many bytes became the tip. The genesis block, which stays, is not counted.
pub(crate) fn count_connected(meta: &mut Meta<'_>, height: Height, bytes: usize) -> Result<(), StoreError> {
    let counted = read_kept(meta)?.filter(|_| height > Height::ZERO);
    let Some(Kept { from, bytes: before }) = counted else { return Ok(()) };
    write_kept(meta, Kept { from, bytes: before.saturating_add(bytes as u64) })
}

/// The tip, whose undo had so many bytes, is the tip no more.
pub(crate) fn count_disconnected(
    txn: &WriteTransaction,
    meta: &mut Meta<'_>,
    tip: &Tip,
    undo: usize,
) -> Result<(), StoreError> {
    let Some(Kept { from, bytes: before }) = read_kept(meta)? else { return Ok(()) };
    let mut bytes = before;
    if from <= tip.height {
        let body = txn.open_table(BODIES)?.get(tip.id.as_bytes())?.map_or(0, |body| body.value().len());
        bytes = before.saturating_sub(undo.saturating_add(body) as u64);
    }
    write_kept(meta, Kept { from: from.min(Height::new(lowest(tip.height.get()))), bytes })
}

/// Height of the lowest block that has a body beside the genesis block, for a line.
fn lowest(line: u32) -> u32 {
    line.max(1)
}

/// Height below which blocks were pruned, for a line and a base.
pub(crate) fn line_below(line: u32, base: Option<Tip>) -> Option<Height> {
    let first = base.map_or(1, |base| base.height.get().saturating_add(1));
    (line > first).then_some(Height::new(line))
}

impl Store {
    /// Height below which blocks were pruned; `None` if none were. What lies before the base was never here.
    ///
    /// # Errors
    /// A fatal error.
    pub fn pruned_below(&self) -> Result<Option<Height>, StoreError> {
        let meta = self.begin_read()?.open_table(META)?;
        Ok(line_below(read_undo_from(&meta)?, read_base(&meta)?))
    }

    /// Goes on with the count of what the newest blocks take, by one step downwards, until all that are stored or more than
    /// `enough` bytes are counted; how far it is.
    ///
    /// # Errors
    /// A fatal error.
    pub fn count_kept(&self, enough: u64, step: PruneStep) -> Result<Kept, StoreError> {
        let begun = {
            let meta = self.begin_read()?.open_table(META)?;
            let line = lowest(read_undo_from(&meta)?);
            read_kept(&meta)?.filter(|kept| kept.bytes > enough || kept.from.get() <= line)
        };
        if let Some(done) = begun {
            return Ok(done);
        }
        self.write_lax(0, |txn| {
            let mut meta = txn.open_table(META)?;
            let line = lowest(read_undo_from(&meta)?);
            let after_tip = read_tip(&meta)?.map_or(0, |tip| tip.height.get().saturating_add(1));
            let mut kept =
                read_kept(&meta)?.unwrap_or(Kept { from: Height::new(lowest(after_tip)), bytes: 0 });
            let (active, bodies, undos) =
                (txn.open_table(ACTIVE)?, txn.open_table(BODIES)?, txn.open_table(UNDO)?);
            let (mut blocks, before) = (0, kept.bytes);
            while kept.bytes <= enough
                && kept.from.get() > line
                && blocks < step.blocks
                && kept.bytes.saturating_sub(before) < step.bytes
            {
                let height = kept.from.get().saturating_sub(1);
                let body = match active.get(height)? {
                    Some(id) => bodies.get(id.value())?.map_or(0, |body| body.value().len()),
                    None => 0,
                };
                let undo = undos.get(height)?.map_or(0, |undo| undo.value().len());
                let bytes = kept.bytes.saturating_add(body as u64).saturating_add(undo as u64);
                kept = Kept { from: Height::new(height), bytes };
                blocks += 1;
            }
            write_kept(&mut meta, kept)?;
            Ok(kept)
        })
    }

    /// Removes bodies and undo of the lowest blocks, by one step, as long as they are below a height and, if that is given,
    /// more bytes than `keep` are counted. The tip stays. Returns the height from which on blocks are here.
    ///
    /// # Errors
    /// A fatal error.
    pub fn prune(&self, below: Height, keep: Option<u64>, step: PruneStep) -> Result<Height, StoreError> {
        self.write_lax(0, |txn| {
            let mut meta = txn.open_table(META)?;
            let end = below.get().min(read_tip(&meta)?.map_or(0, |tip| tip.height.get()));
            let (mut line, mut kept) = (read_undo_from(&meta)?, read_kept(&meta)?);
            let (mut blocks, mut bytes) = (0, 0u64);
            while line < end && blocks < step.blocks && bytes < step.bytes {
                if let (Some(keep), Some(kept)) = (keep, kept)
                    && kept.bytes <= keep
                {
                    break;
                }
                let gone = remove(txn, line)?;
                if let Some(kept) = kept.as_mut().filter(|kept| kept.from.get() <= line && line > 0) {
                    *kept = Kept {
                        from: Height::new(line.saturating_add(1)),
                        bytes: kept.bytes.saturating_sub(gone.active),
                    };
                }
                (line, blocks, bytes) = (line.saturating_add(1), blocks + 1, bytes.saturating_add(gone.all));
            }
            meta.insert(META_UNDO_FROM, line.to_bytes().as_slice())?;
            kept.map_or(Ok(()), |kept| write_kept(&mut meta, kept))?;
            Ok(Height::new(line))
        })
    }
}

/// Bytes that went.
#[derive(Default)]
struct Gone {
    /// Of the active block.
    active: u64,
    /// Of all branches.
    all: u64,
}

/// Removes the undo and all bodies of a height; of the genesis block the undo alone.
fn remove(txn: &WriteTransaction, height: u32) -> Result<Gone, StoreError> {
    let undo = txn.open_table(UNDO)?.remove(height)?.map_or(0, |undo| undo.value().len() as u64);
    let mut gone = Gone { active: undo, all: undo };
    if height == 0 {
        return Ok(gone);
    }
    let active = txn.open_table(ACTIVE)?.get(height)?.map(|id| *id.value());
    let headers = txn.open_table(HEADERS_BY_HEIGHT)?;
    let mut bodies = txn.open_table(BODIES)?;
    let (least, most) = (BlockId::ZERO, BlockId::new([0xff; BlockId::LEN]));
    for entry in headers.range((height, least.as_bytes())..=(height, most.as_bytes()))? {
        let (key, _) = entry?;
        let (_, id) = key.value();
        let bytes = bodies.remove(id)?.map_or(0, |body| body.value().len() as u64);
        gone.all = gone.all.saturating_add(bytes);
        if active.is_some_and(|active| active == *id) {
            gone.active = gone.active.saturating_add(bytes);
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests;
