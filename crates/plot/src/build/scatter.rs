//! Records sorted into buckets as they are made.
//!
//! A record is a whole number of bytes, of which the next one overwrites what is in excess of 16. Each bucket
//! has a line in the cache where its records gather, and a full line moves to memory in one go: thousands of
//! buckets cost no more than thousands of lines of cache.

#![allow(unsafe_code)]

use super::pool::{Chain, LINE_BYTES, Pool, Spare};

/// Most bytes of a record.
pub(super) const RECORD_BYTES_MAX: usize = 16;

/// Least bytes of a record.
pub(super) const RECORD_BYTES_MIN: usize = 4;

/// A line that gathers, and what the last record has in excess of it.
const STAGE_BYTES: usize = LINE_BYTES + RECORD_BYTES_MAX;

#[derive(Default)]
pub(super) struct Scatter {
    record_bytes: usize,
    stages: Vec<u8>,
    /// Bytes in the stage of each bucket, always less than a line.
    filled: Vec<u8>,
    /// Next line of each bucket in memory.
    cursors: Vec<u32>,
    heads: Vec<u32>,
}

impl Scatter {
    /// Makes ready for records of `record_bytes` in `buckets`.
    pub(super) fn start(&mut self, buckets: usize, record_bytes: usize) {
        debug_assert!((RECORD_BYTES_MIN..=RECORD_BYTES_MAX).contains(&record_bytes));
        self.record_bytes = record_bytes;
        self.stages.resize(buckets * STAGE_BYTES, 0);
        for (list, len) in [(&mut self.cursors, buckets), (&mut self.heads, buckets)] {
            list.clear();
            list.resize(len, 0);
        }
        self.filled.clear();
        self.filled.resize(buckets, 0);
    }

    /// Adds records: their buckets, their first eight bytes and, if they are longer, the next eight.
    ///
    /// # Panics
    /// If the slices differ in length, or there is no such bucket.
    #[inline(always)]
    pub(super) fn push<const LONG: bool>(
        &mut self,
        buckets: &[u32],
        first: &[u64],
        second: &[u64],
        pool: &Pool,
        spare: &mut Spare,
    ) {
        assert!(first.len() == buckets.len() && (!LONG || second.len() == buckets.len()));
        debug_assert_eq!(LONG, self.record_bytes > 8);
        let record_bytes = self.record_bytes;
        for (i, bucket) in buckets.iter().enumerate() {
            let bucket = *bucket as usize;
            let filled = usize::from(self.filled[bucket]);
            // SAFETY: there is such a bucket, its stage is less than a line full, and a record fits after a line.
            unsafe {
                let stage = self.stages.as_mut_ptr().add(bucket * STAGE_BYTES + filled).cast::<u64>();
                stage.write_unaligned(first.get_unchecked(i).to_le());
                if LONG {
                    stage.add(1).write_unaligned(second.get_unchecked(i).to_le());
                }
            }
            let mut filled = filled.wrapping_add(record_bytes);
            if filled >= LINE_BYTES {
                // SAFETY: there is such a bucket.
                unsafe { self.write_line(bucket, pool, spare) };
                filled = filled.wrapping_sub(LINE_BYTES);
            }
            // SAFETY: as above.
            unsafe { *self.filled.get_unchecked_mut(bucket) = filled as u8 };
        }
    }

    /// Moves a full line to memory, and what is in excess of it to the start.
    ///
    /// # Safety
    /// There is such a bucket.
    #[inline(always)]
    unsafe fn write_line(&mut self, bucket: usize, pool: &Pool, spare: &mut Spare) {
        // SAFETY: the lists have a place for each bucket; the line is of a chunk that was taken for this one.
        unsafe {
            let mut line = *self.cursors.get_unchecked(bucket);
            if pool.is_chunk_start(line) {
                line = pool.extend(self.heads.get_unchecked_mut(bucket), line, spare);
            }
            *self.cursors.get_unchecked_mut(bucket) = line.wrapping_add(1);
            let stage = self.stages.as_mut_ptr().add(bucket * STAGE_BYTES);
            stream_line(stage, pool.line(line));
            let excess = stage.add(LINE_BYTES).cast::<u128>().read_unaligned();
            stage.cast::<u128>().write_unaligned(excess);
        }
    }

    /// Writes what is left in the stages and returns the chain of each bucket.
    pub(super) fn finish(&mut self, pool: &Pool, spare: &mut Spare) -> Vec<Chain> {
        let chains = (0..self.filled.len()).map(|bucket| self.finish_bucket(bucket, pool, spare)).collect();
        fence();
        chains
    }

    fn finish_bucket(&mut self, bucket: usize, pool: &Pool, spare: &mut Spare) -> Chain {
        let filled = usize::from(self.filled[bucket]);
        if filled > 0 {
            // SAFETY: there is such a bucket.
            unsafe { self.write_line(bucket, pool, spare) };
        }
        let bytes = if filled > 0 { filled } else { LINE_BYTES };
        pool.chain(self.heads[bucket], self.cursors[bucket], bytes)
    }
}

/// Writes a line past the caches, where it is not read soon.
///
/// # Safety
/// `from` is good for reading a line, `to`, on a line boundary, for writing one.
#[inline(always)]
unsafe fn stream_line(from: *const u8, to: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as the caller promises; SSE2 is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_mm_loadu_si128, _mm_stream_si128};
        for at in (0..LINE_BYTES).step_by(16) {
            _mm_stream_si128(to.add(at).cast(), _mm_loadu_si128(from.add(at).cast()));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: as the caller promises.
    unsafe {
        from.copy_to_nonoverlapping(to, LINE_BYTES);
    }
}

/// Makes streamed lines visible to those that the thread next synchronises with.
pub(super) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
