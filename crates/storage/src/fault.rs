//! A disk in memory that fails as disks do, for tests: it loses power in the middle of a commit and then keeps what was
//! synced and, of what was not, some writes whole, some in part and some not at all, in any order; it is full; it cannot
//! read what it has. Not in what is shipped: the feature `fault` has it, which the simulator and tests ask for.
//!
//! Pages of equal content are held once for all disks: a thousand nodes with one view of the chain have mostly the same
//! pages.

use std::{
    collections::HashMap,
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::Disk;

const PAGE_BYTES: usize = 4096;
/// What a disk writes in one piece.
const SECTOR_BYTES: usize = 512;
/// Parts of the pool of pages, so that two threads seldom meet.
const SHARDS: usize = 64;
/// Pages that were dropped are swept out when a part has twice as many as after the last time, and not below this.
const SWEEP_MIN: usize = 1024;

/// Content up to the last byte that is not zero. Boxed, so that a page that no disk holds leaves no more than its counters
/// behind until it is swept out.
type Page = Box<[u8]>;

fn trimmed(content: &[u8]) -> &[u8] {
    let len = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &content[..len]
}

/// Bytes of a page from `start` on.
fn copy_from(page: &Page, start: usize, out: &mut [u8]) {
    let kept = page.get(start..).unwrap_or_default();
    let (known, blank) = out.split_at_mut(kept.len().min(out.len()));
    known.copy_from_slice(&kept[..known.len()]);
    blank.fill(0);
}

fn whole(page: &Page) -> [u8; PAGE_BYTES] {
    let mut whole = [0; PAGE_BYTES];
    copy_from(page, 0, &mut whole);
    whole
}

/// Pages by the checksum of their content.
#[derive(Default)]
struct Shard {
    pages: HashMap<u32, Vec<Weak<Page>>>,
    count: usize,
    sweep_at: usize,
}

impl Shard {
    fn intern(&mut self, key: u32, content: &[u8]) -> Arc<Page> {
        let same = self.pages.entry(key).or_default();
        if let Some(known) = same.iter().filter_map(Weak::upgrade).find(|known| ***known == *content) {
            return known;
        }
        let new = Arc::new(Page::from(content));
        same.push(Arc::downgrade(&new));
        self.count += 1;
        if self.count >= self.sweep_at.max(SWEEP_MIN) {
            self.pages.retain(|_, same| {
                same.retain(|page| page.strong_count() > 0);
                !same.is_empty()
            });
            self.count = self.pages.values().map(Vec::len).sum();
            self.sweep_at = self.count * 2;
        }
        new
    }
}

/// The pages of all disks of a simulation.
pub struct Pages {
    shards: Vec<Mutex<Shard>>,
    blank: Arc<Page>,
}

impl Default for Pages {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, blank: Arc::new(Page::default()) }
    }
}

impl Pages {
    fn intern(&self, content: &[u8]) -> Arc<Page> {
        let content = trimmed(content);
        let key = crc32c::crc32c(content);
        let shard = &self.shards[key as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner).intern(key, content)
    }
}

/// A change since the last sync. Pages beyond the end are blank.
enum Change {
    Piece { number: usize, piece: Range<usize>, before: Arc<Page>, after: Arc<Page> },
    Length { before: u64, after: u64 },
}

struct Platter {
    pages: Vec<Arc<Page>>,
    len: u64,
    unsynced: Vec<Change>,
    /// Operations left until the power fails.
    left: Option<u32>,
    /// Pages that may yet be written for the first time.
    room: Option<u32>,
    /// Bytes that cannot be read.
    unreadable: Range<u64>,
}

impl Platter {
    const fn new(pages: Vec<Arc<Page>>, len: u64) -> Self {
        Self { pages, len, unsynced: Vec::new(), left: None, room: None, unreadable: 0..0 }
    }
}

/// A disk; clones are the same disk.
#[derive(Clone)]
pub struct FakeDisk {
    pool: Arc<Pages>,
    platter: Arc<Mutex<Platter>>,
}

impl std::fmt::Debug for FakeDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeDisk").finish_non_exhaustive()
    }
}

impl FakeDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(pool: Arc<Pages>) -> Self {
        Self { pool, platter: Arc::new(Mutex::new(Platter::new(Vec::new(), 0))) }
    }

    /// After so many operations the power fails.
    pub fn fail_after(&self, operations: u32) {
        self.platter().left = Some(operations);
    }

    /// Operations until the power fails, if it is to fail.
    #[must_use]
    pub fn operations_left(&self) -> Option<u32> {
        self.platter().left
    }

    /// The disk is full after so many more pages; `None` gives it room without end. A file grows without a word, as on
    /// most systems, and what is then written into it finds no room.
    pub fn set_room(&self, pages: Option<u32>) {
        self.platter().room = pages;
    }

    /// These bytes cannot be read from now on; an empty range makes all good again.
    pub fn set_unreadable(&self, bytes: Range<u64>) {
        self.platter().unreadable = bytes;
    }

    /// Changes a byte, as a disk does that rots.
    ///
    /// # Panics
    /// The disk is shorter.
    pub fn rot(&self, offset: u64) {
        let mut platter = self.platter();
        let (number, at) = (offset as usize / PAGE_BYTES, offset as usize % PAGE_BYTES);
        let mut page = whole(&platter.pages[number]);
        page[at] ^= 0x40;
        platter.pages[number] = self.pool.intern(&page);
    }

    /// The disk that is found when the power is back: what was synced, and of each later write all, a part or nothing, in
    /// any order; a change of the length may be lost too. Whoever still holds this one writes into the void. `dice`
    /// gives a number below its argument.
    pub fn after_crash(&self, mut dice: impl FnMut(usize) -> usize) -> Self {
        let mut platter = self.platter();
        platter.left = Some(0);
        let (mut pages, mut len) = (platter.pages.clone(), platter.len);
        for change in platter.unsynced.iter().rev() {
            match change {
                Change::Piece { number, before, .. } => pages[*number] = Arc::clone(before),
                Change::Length { before, .. } => len = *before,
            }
        }
        let mut order: Vec<usize> = (0..platter.unsynced.len()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, dice(last + 1));
        }
        for change in order.into_iter().map(|position| &platter.unsynced[position]) {
            match change {
                Change::Length { after, .. } if dice(3) > 0 => len = *after,
                Change::Length { .. } => {}
                Change::Piece { number, piece, after, .. } => {
                    let sectors = piece.len().div_ceil(SECTOR_BYTES);
                    let kept = match dice(3) {
                        0 => 0,
                        1 => piece.len(),
                        _ => (dice(sectors) * SECTOR_BYTES).min(piece.len()),
                    };
                    let kept = piece.start..piece.start + kept;
                    let mut page = whole(&pages[*number]);
                    copy_from(after, kept.start, &mut page[kept]);
                    pages[*number] = self.pool.intern(&page);
                }
            }
        }
        pages.resize(pages_of(len), Arc::clone(&self.pool.blank));
        Self { pool: Arc::clone(&self.pool), platter: Arc::new(Mutex::new(Platter::new(pages, len))) }
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platter {
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the power has failed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// Room for these pages, of which those that are `blank` have none yet.
    fn allocate(&mut self, numbers: impl Iterator<Item = usize>, blank: &Arc<Page>) -> io::Result<()> {
        let Some(room) = self.room else { return Ok(()) };
        let new = numbers.filter(|number| Arc::ptr_eq(&self.pages[*number], blank)).count();
        let left = u32::try_from(new).ok().and_then(|new| room.checked_sub(new));
        self.room = Some(left.ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?);
        Ok(())
    }
}

const fn pages_of(len: u64) -> usize {
    len.div_ceil(PAGE_BYTES as u64) as usize
}

/// Pages that a range of bytes touches: number, and where it starts and ends in the page.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let (mut at, end) = (offset as usize, offset as usize + len);
    std::iter::from_fn(move || {
        let (number, start) = (at / PAGE_BYTES, at % PAGE_BYTES);
        let stop = PAGE_BYTES.min(start + end.checked_sub(at).filter(|left| *left > 0)?);
        at += stop - start;
        Some((number, start, stop))
    })
}

impl Disk for FakeDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter();
        if offset + out.len() as u64 > platter.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if offset < platter.unreadable.end && platter.unreadable.start < offset + out.len() as u64 {
            return Err(io::Error::other("input/output error"));
        }
        let mut done = 0;
        for (number, start, stop) in pieces(offset, out.len()) {
            copy_from(&platter.pages[number], start, &mut out[done..done + stop - start]);
            done += stop - start;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.platter();
        platter.spend()?;
        let before = std::mem::replace(&mut platter.len, len);
        platter.unsynced.push(Change::Length { before, after: len });
        // Pages beyond the end stay until the next sync: a crash may bring them back.
        let pages = pages_of(len).max(platter.pages.len());
        platter.pages.resize(pages, Arc::clone(&self.pool.blank));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter();
        platter.spend()?;
        platter.unsynced.clear();
        let pages = pages_of(platter.len);
        platter.pages.truncate(pages);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.platter();
        platter.spend()?;
        if offset + data.len() as u64 > platter.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        platter.allocate(pieces(offset, data.len()).map(|(number, ..)| number), &self.pool.blank)?;
        let mut done = 0;
        for (number, start, stop) in pieces(offset, data.len()) {
            let piece = &data[done..done + stop - start];
            done += stop - start;
            let after = if piece.len() == PAGE_BYTES {
                self.pool.intern(piece)
            } else {
                let mut page = whole(&platter.pages[number]);
                page[start..stop].copy_from_slice(piece);
                self.pool.intern(&page)
            };
            let before = std::mem::replace(&mut platter.pages[number], Arc::clone(&after));
            platter.unsynced.push(Change::Piece { number, piece: start..stop, before, after });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
