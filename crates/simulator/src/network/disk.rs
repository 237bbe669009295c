//! A disk under the database of a simulated node. It can lose power in the middle of a commit, and then keeps what was
//! synced and a random part of what was not. Pages of equal content are held once for all disks: a thousand nodes with
//! one view of the chain have mostly the same pages.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use mass_storage::Disk;
use rand::{Rng as _, RngCore};

const PAGE_BYTES: usize = 4096;
/// What a disk writes in one piece.
const SECTOR_BYTES: usize = 512;
/// Parts of the pool of pages, so that two threads seldom meet.
const SHARDS: usize = 64;
/// Pages that were dropped are swept out when a part has twice as many as after the last time, and not below this.
const SWEEP_MIN: usize = 1024;

type Page = [u8; PAGE_BYTES];

/// Pages by the checksum of their content.
#[derive(Default)]
struct Shard {
    pages: HashMap<u32, Vec<Weak<Page>>>,
    count: usize,
    sweep_at: usize,
}

impl Shard {
    fn intern(&mut self, key: u32, page: &Page) -> Arc<Page> {
        let same = self.pages.entry(key).or_default();
        if let Some(known) = same.iter().filter_map(Weak::upgrade).find(|known| **known == *page) {
            return known;
        }
        let new = Arc::new(*page);
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
        Self { shards, blank: Arc::new([0; PAGE_BYTES]) }
    }
}

impl Pages {
    fn intern(&self, page: &Page) -> Arc<Page> {
        let key = crc32c::crc32c(page);
        let shard = &self.shards[key as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner).intern(key, page)
    }
}

/// A change since the last sync: before and after. Pages beyond the end are blank.
enum Change {
    Page { number: usize, before: Arc<Page>, after: Arc<Page> },
    Length { before: u64, after: u64 },
}

struct Platter {
    pages: Vec<Arc<Page>>,
    len: u64,
    unsynced: Vec<Change>,
    /// Operations left until the power fails.
    left: Option<u32>,
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
    pub fn new(pool: Arc<Pages>) -> Self {
        let platter = Platter { pages: Vec::new(), len: 0, unsynced: Vec::new(), left: None };
        Self { pool, platter: Arc::new(Mutex::new(platter)) }
    }

    /// After so many operations the power fails.
    pub fn fail_after(&self, operations: u32) {
        self.platter().left = Some(operations);
    }

    /// The disk that is found when the power is back: what was synced, and of each later change all, a part or nothing.
    /// Whoever still holds this one writes into the void.
    pub fn after_crash(&self, dice: &mut impl RngCore) -> Self {
        let mut platter = self.platter();
        platter.left = Some(0);
        let (mut pages, mut len) = (platter.pages.clone(), platter.len);
        for change in platter.unsynced.iter().rev() {
            match change {
                Change::Page { number, before, .. } => pages[*number] = Arc::clone(before),
                Change::Length { before, .. } => len = *before,
            }
        }
        for change in &platter.unsynced {
            match change {
                Change::Length { after, .. } => len = *after,
                Change::Page { number, before, after } => match dice.gen_range(0..3) {
                    0 => {}
                    1 => pages[*number] = Arc::clone(after),
                    _ => {
                        let kept = dice.gen_range(0..PAGE_BYTES / SECTOR_BYTES) * SECTOR_BYTES;
                        let mut torn = **before;
                        torn[..kept].copy_from_slice(&after[..kept]);
                        pages[*number] = self.pool.intern(&torn);
                    }
                },
            }
        }
        pages.resize(pages_of(len), Arc::clone(&self.pool.blank));
        let platter = Platter { pages, len, unsynced: Vec::new(), left: None };
        Self { pool: Arc::clone(&self.pool), platter: Arc::new(Mutex::new(platter)) }
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
        let mut done = 0;
        for (number, start, stop) in pieces(offset, out.len()) {
            out[done..done + stop - start].copy_from_slice(&platter.pages[number][start..stop]);
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
        let mut done = 0;
        for (number, start, stop) in pieces(offset, data.len()) {
            let piece = &data[done..done + stop - start];
            done += stop - start;
            let after = match piece.try_into() {
                Ok(whole) => self.pool.intern(whole),
                Err(_) => {
                    let mut page = *platter.pages[number];
                    page[start..stop].copy_from_slice(piece);
                    self.pool.intern(&page)
                }
            };
            let before = std::mem::replace(&mut platter.pages[number], Arc::clone(&after));
            platter.unsynced.push(Change::Page { number, before, after });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

    use super::*;

    fn filled(disk: &FakeDisk, offset: u64, byte: u8, len: usize) {
        disk.write(offset, &vec![byte; len]).unwrap();
    }

    fn byte(disk: &FakeDisk, offset: u64) -> u8 {
        let mut out = [0];
        disk.read(offset, &mut out).unwrap();
        out[0]
    }

    #[test]
    fn what_is_synced_survives_and_what_is_not_may_be_lost() {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let mut ends = [0; 2];
        for _ in 0..50 {
            let disk = FakeDisk::new(Arc::default());
            disk.set_len(20_000).unwrap();
            filled(&disk, 100, 7, 9_000);
            disk.sync_data().unwrap();
            filled(&disk, 0, 9, 4_096);
            let left = disk.after_crash(&mut dice);
            assert_eq!((byte(&left, 5_000), byte(&left, 9_099), byte(&left, 9_100)), (7, 7, 0));
            let kept = byte(&left, 4_095);
            assert!([7, 9].contains(&kept));
            ends[usize::from(kept == 9)] += 1;
            assert!(disk.write(0, &[1]).is_err(), "the power has failed");
        }
        assert!(ends.iter().all(|count| *count > 5), "{ends:?}");
    }

    #[test]
    fn pages_of_equal_content_are_held_once() {
        let pool: Arc<Pages> = Arc::default();
        let disks: Vec<FakeDisk> = (0..10).map(|_| FakeDisk::new(Arc::clone(&pool))).collect();
        for disk in &disks {
            disk.set_len(8_192).unwrap();
            filled(disk, 0, 5, 8_192);
            disk.sync_data().unwrap();
        }
        let first = Arc::clone(&disks[0].platter().pages[0]);
        assert!(disks.iter().all(|disk| disk.platter().pages.iter().all(|page| Arc::ptr_eq(page, &first))));
    }

    #[test]
    fn the_power_fails_after_the_given_operations() {
        let disk = FakeDisk::new(Arc::default());
        disk.set_len(4_096).unwrap();
        disk.fail_after(1);
        filled(&disk, 0, 1, 10);
        assert!(disk.sync_data().is_err());
    }
}
