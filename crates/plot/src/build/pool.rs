//! The memory of a plotter: one mapping, cut into chunks that change hands.
//!
//! Tables come and go bucket by bucket, so a bucket is a chain of small chunks, and what one table gives back the
//! next one fills. Memory that was never handed out is never touched.
//!
//! A chunk belongs to whoever took it until it is given back. That those who write a chain and those who read it
//! do so in different phases, between which all threads meet, is the business of the phases.

#![allow(unsafe_code)]

use std::{
    ptr::NonNull,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Bytes of a line: what is written at once.
pub(super) const LINE_BYTES: usize = 128;

/// Most bytes of a chunk.
pub(super) const CHUNK_BYTES_MAX: usize = 4096;

/// No chunk. Chunk 0 is never handed out, so that a fresh cursor is at the end of it.
const NONE: u32 = 0;

/// Chunks that a thread takes from or gives to the others at once.
const CACHED_CHUNKS: usize = 64;

pub(super) struct Pool {
    memory: NonNull<u8>,
    chunk_lines: u32,
    /// For each chunk the next of its chain.
    next: Vec<AtomicU32>,
    untouched: AtomicU32,
    returned: Mutex<Vec<u32>>,
}

// SAFETY: the memory is reached through chunks only, and a chunk belongs to one owner.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

/// Chunks of a thread that are in nobody's use.
#[derive(Default)]
pub(super) struct Spare(Vec<u32>);

/// A byte string in chunks, all of them full but the last.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    head: u32,
    last_bytes: u32,
}

/// A place for a chain that may be taken by one of several threads.
#[derive(Default)]
pub(super) struct ChainCell(AtomicU64);

impl Pool {
    /// Room for `bytes`, of which as much is used as is needed.
    pub(super) fn new(bytes: u64, chunk_bytes: usize) -> std::io::Result<Self> {
        let chunks = u32::try_from(bytes.div_ceil(chunk_bytes as u64) + 1).unwrap_or(u32::MAX);
        let len = chunks as usize * chunk_bytes;
        // SAFETY: a new mapping where the system likes it touches nothing that exists.
        let memory = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        #[cfg(target_os = "linux")]
        // SAFETY: advice on a mapping of our own. Whether the system takes it is a matter of speed alone.
        let _ = unsafe { rustix::mm::madvise(memory, len, rustix::mm::Advice::LinuxHugepage) };
        Ok(Self {
            memory: NonNull::new(memory.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?,
            chunk_lines: (chunk_bytes / LINE_BYTES) as u32,
            next: (0..chunks).map(|_| AtomicU32::new(NONE)).collect(),
            untouched: AtomicU32::new(NONE + 1),
            returned: Mutex::new(Vec::new()),
        })
    }

    pub(super) const fn chunk_bytes(&self) -> usize {
        self.chunk_lines as usize * LINE_BYTES
    }

    /// The most bytes that were ever in use at once.
    pub(super) fn bytes_peak(&self) -> u64 {
        u64::from(self.untouched.load(Relaxed).min(self.next.len() as u32)) * self.chunk_bytes() as u64
    }

    /// Whether a line is the first of a chunk, or the cursor of a chain that has none.
    #[inline(always)]
    pub(super) const fn is_chunk_start(&self, line: u32) -> bool {
        line & self.chunk_lines.wrapping_sub(1) == 0
    }

    /// The first line of a new chunk for the chain with this head, whose last chunk ends before `line`.
    #[cold]
    #[inline(never)]
    pub(super) fn extend(&self, head: &mut u32, line: u32, spare: &mut Spare) -> u32 {
        let chunk = self.take(spare);
        self.next[chunk as usize].store(NONE, Relaxed);
        if *head == NONE {
            *head = chunk;
        } else {
            self.next[(line / self.chunk_lines) as usize - 1].store(chunk, Relaxed);
        }
        chunk * self.chunk_lines
    }

    fn take(&self, spare: &mut Spare) -> u32 {
        if spare.0.is_empty() {
            let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = returned.len().saturating_sub(CACHED_CHUNKS);
            spare.0.extend(returned.drain(kept..));
        }
        spare.0.pop().unwrap_or_else(|| {
            let chunk = self.untouched.fetch_add(1, Relaxed);
            assert!(
                (chunk as usize) < self.next.len(),
                "tables are larger than tables of random entries get"
            );
            chunk
        })
    }

    pub(super) fn give_back(&self, chunk: u32, spare: &mut Spare) {
        spare.0.push(chunk);
        if spare.0.len() >= 2 * CACHED_CHUNKS {
            let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
            returned.extend(spare.0.drain(CACHED_CHUNKS..));
        }
    }

    /// Gives the spare chunks of a thread to all.
    pub(super) fn give_up(&self, spare: &mut Spare) {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).append(&mut spare.0);
    }

    /// Where a line is.
    ///
    /// # Safety
    /// The line is of a chunk that was handed out.
    #[inline(always)]
    pub(super) unsafe fn line(&self, line: u32) -> *mut u8 {
        // SAFETY: the line is within the mapping.
        unsafe { self.memory.as_ptr().add(line as usize * LINE_BYTES) }
    }

    /// The chain that starts with the chunk `head` and ends before `line` and `bytes` more.
    pub(super) fn chain(&self, head: u32, line: u32, bytes: usize) -> Chain {
        if head == NONE {
            return Chain::default();
        }
        // Lines of the last chunk before the cursor; all of them if the cursor is at its end.
        let lines = (line + self.chunk_lines - 1) % self.chunk_lines + 1;
        Chain { head, last_bytes: lines * LINE_BYTES as u32 - LINE_BYTES as u32 + bytes as u32 }
    }

    /// What is in a chunk of a chain, and the chunk after it; none after the last.
    #[inline]
    pub(super) fn content(&self, chain: Chain, chunk: u32) -> Option<(&[u8], u32)> {
        if chunk == NONE {
            return None;
        }
        let next = self.next[chunk as usize].load(Relaxed);
        let len = if next == NONE { chain.last_bytes as usize } else { self.chunk_bytes() };
        self.prefetch(next);
        // SAFETY: the chunk was handed out and written up to there, and its owner is whoever has the chain.
        Some((unsafe { std::slice::from_raw_parts(self.line(chunk * self.chunk_lines), len) }, next))
    }

    /// Gives all chunks of a chain back.
    pub(super) fn free(&self, chain: Chain, spare: &mut Spare) {
        let mut chunk = chain.head;
        while chunk != NONE {
            let next = self.next[chunk as usize].load(Relaxed);
            self.give_back(chunk, spare);
            chunk = next;
        }
    }

    /// Calls the start of a chunk into the cache; what follows, the processor foresees.
    #[inline(always)]
    fn prefetch(&self, chunk: u32) {
        #[cfg(target_arch = "x86_64")]
        for line in 0..self.chunk_lines {
            // SAFETY: a prefetch of any address does no harm, and this one is within the mapping.
            unsafe {
                let place = self.line(chunk * self.chunk_lines + line);
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = chunk;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let len = self.next.len() * self.chunk_bytes();
        // SAFETY: the mapping is ours, of this length, and nobody can reach it any more.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), len) };
    }
}

impl Chain {
    pub(super) const fn head(self) -> u32 {
        self.head
    }

    const fn pack(self) -> u64 {
        (self.head as u64) << 32 | self.last_bytes as u64
    }

    const fn unpack(packed: u64) -> Self {
        Self { head: (packed >> 32) as u32, last_bytes: packed as u32 }
    }
}

impl ChainCell {
    pub(super) const fn new(chain: Chain) -> Self {
        Self(AtomicU64::new(chain.pack()))
    }

    pub(super) fn get(&self) -> Chain {
        Chain::unpack(self.0.load(Relaxed))
    }

    pub(super) fn take(&self) -> Chain {
        Chain::unpack(self.0.swap(Chain::default().pack(), Relaxed))
    }
}
