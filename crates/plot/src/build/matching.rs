//! Matching within a bucket (rules POS-7 and POS-8): candidates find entries, pairs are hashed, some pass.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx512;

use super::{
    pool::{Pool, Spare},
    table::{BLOCK, RecordReader, Table},
};
use crate::aes::PlotHasher;

/// Room for pairs that are hashed at once; mostly there are as many as candidates, which are fewer.
pub(super) const PAIRS: usize = 4096;

/// Candidates that are looked at in one go.
const FOUND_AT_ONCE: usize = 16;

/// Candidates that are matched at once.
const CANDIDATES: usize = 512;

/// The entries of a bucket, by the low bits of their info.
#[derive(Default)]
pub(super) struct Index {
    /// Where the entries of each low info start; more than there are infos, to be read in pairs.
    starts: Vec<u16>,
    metas: Vec<u64>,
    extras: Vec<u32>,
    /// The most entries of one info.
    multiplicity: usize,
    unordered: Unordered,
}

/// Entries as they are read.
#[derive(Default)]
struct Unordered {
    lows: Vec<u16>,
    metas: Vec<u64>,
    extras: Vec<u32>,
}

/// A buffer for a word of every record in a block.
pub(super) type Column = Box<[u64; BLOCK]>;

/// A fresh column.
pub(super) fn column() -> Column {
    Box::new([0; BLOCK])
}

impl Index {
    /// Reads a bucket, and gives its memory back if nobody else needs it.
    #[inline(always)]
    pub(super) fn build<const EXTRA: bool>(
        &mut self,
        pool: &Pool,
        (table, bucket): (&Table, usize),
        give_back: bool,
        (reader, scratch): (&mut RecordReader, &mut Column),
        spare: &mut Spare,
    ) {
        let layout = table.layout;
        self.starts.clear();
        self.starts.resize((1 << layout.low_bits) + 3, 0);
        let Unordered { lows, metas, extras } = &mut self.unordered;
        lows.clear();
        metas.clear();
        extras.clear();
        reader.start(table.bucket(bucket), layout, give_back);
        while let Some(block) = reader.next(pool, spare) {
            let count = block.count;
            block.lows(scratch);
            lows.extend(scratch[..count].iter().map(|low| *low as u16));
            block.metas(scratch);
            metas.extend_from_slice(&scratch[..count]);
            if EXTRA {
                block.extras(scratch);
                extras.extend(scratch[..count].iter().map(|extra| *extra as u32));
            }
        }
        self.order::<EXTRA>();
    }

    /// A counting sort. `starts[i + 2]` counts the entries of info `i` at first, then `starts[i + 1]` is where
    /// the next of them goes, and at last where those of info `i + 1` start.
    #[inline(always)]
    fn order<const EXTRA: bool>(&mut self) {
        let Unordered { lows, metas, extras } = &self.unordered;
        assert!(lows.len() <= usize::from(u16::MAX), "a bucket is larger than one of random entries gets");
        for low in lows {
            let count = &mut self.starts[usize::from(*low) + 2];
            *count = count.wrapping_add(1);
        }
        self.multiplicity = self.starts.iter().copied().max().unwrap_or(0).into();
        assert!(self.multiplicity <= PAIRS / 32, "more entries have one info than random ones do");
        let mut sum = 0u16;
        for start in &mut self.starts {
            sum = sum.wrapping_add(*start);
            *start = sum;
        }
        // Two more than there are: a candidate that matches none reads where one would be.
        self.metas.resize(lows.len() + 2, 0);
        if EXTRA {
            self.extras.resize(lows.len() + 2, 0);
        }
        for (i, low) in lows.iter().enumerate() {
            let at = &mut self.starts[usize::from(*low) + 1];
            self.metas[usize::from(*at)] = metas[i];
            if EXTRA {
                self.extras[usize::from(*at)] = extras[i];
            }
            *at = at.wrapping_add(1);
        }
    }

    /// Candidates that cannot make more pairs than there is room for, with some to spare.
    pub(super) fn candidates(&self) -> usize {
        ((PAIRS - FOUND_AT_ONCE) / self.multiplicity.max(1)).min(CANDIDATES)
    }
}

/// Pairs, and those of them that passed the filter.
pub(super) struct Pairs {
    left: Box<[u64; PAIRS]>,
    right: Box<[u64; PAIRS]>,
    /// Where the candidate and the entry of a pair are.
    left_at: Box<[u16; PAIRS]>,
    right_at: Box<[u16; PAIRS]>,
    hash_low: Box<[u64; PAIRS]>,
    hash_high: Box<[u64; PAIRS]>,
}

/// Pairs that passed. The halves of x-values are there for table 3 alone.
pub(super) struct Passed<'a> {
    pub left: &'a [u64],
    pub right: &'a [u64],
    pub left_at: &'a [u16],
    pub right_at: &'a [u16],
    pub hash_low: &'a [u64],
    pub hash_high: &'a [u64],
}

impl Default for Pairs {
    fn default() -> Self {
        Self {
            left: Box::new([0; PAIRS]),
            right: Box::new([0; PAIRS]),
            left_at: Box::new([0; PAIRS]),
            right_at: Box::new([0; PAIRS]),
            hash_low: Box::new([0; PAIRS]),
            hash_high: Box::new([0; PAIRS]),
        }
    }
}

/// How pairs are hashed.
#[derive(Clone, Copy)]
pub(super) struct PairRule<'a> {
    pub hasher: &'a PlotHasher,
    pub round_pairs: u32,
    /// Bits of word 3 of the hash that must be zero.
    pub filter: u32,
    /// The registers are of 512 bits.
    pub wide: bool,
}

/// Candidates: where what they match is in the index, and their metas.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub spans: &'a [u32],
    pub metas: &'a [u64],
}

impl Index {
    /// Where the entries of each low info start and, 16 bits higher, end.
    #[inline(always)]
    pub(super) fn spans(&self, lows: &[u64], to: &mut [u32]) {
        for (low, to) in lows.iter().zip(to) {
            debug_assert!(*low as usize + 1 < self.starts.len());
            // SAFETY: a low info has fewer bits than there are starts for.
            let both = unsafe { self.starts.as_ptr().add(*low as usize).cast::<u32>().read_unaligned() };
            *to = u32::from_le(both);
        }
    }

    /// The halves of x-values of an entry.
    #[inline(always)]
    pub(super) fn extra(&self, at: u16) -> u32 {
        self.extras[usize::from(at)]
    }
}

impl Pairs {
    /// Pairs candidates with all that they match, hashes the pairs and returns those that pass.
    #[inline(always)]
    pub(super) fn meet<const EXTRA: bool>(
        &mut self,
        candidates: Candidates<'_>,
        index: &Index,
        rule: PairRule<'_>,
    ) -> Passed<'_> {
        let found = self.find(candidates, index, rule.wide);
        let (left, right) = (&mut self.left[..found], &mut self.right[..found]);
        let (left_at, right_at) = (&self.left_at[..found], &self.right_at[..found]);
        for i in 0..found {
            // SAFETY: `find` finds candidates that there are and entries of the index.
            unsafe {
                left[i] = *candidates.metas.get_unchecked(usize::from(left_at[i]));
                right[i] = *index.metas.get_unchecked(usize::from(right_at[i]));
            }
        }
        let out = [&mut self.hash_low[..found], &mut self.hash_high[..found]];
        rule.hasher.hash(left, right, out, rule.round_pairs);
        let passing = self.filter::<EXTRA>(found, rule);
        Passed {
            left: &self.left[..passing],
            right: &self.right[..passing],
            left_at: &self.left_at[..passing],
            right_at: &self.right_at[..passing],
            hash_low: &self.hash_low[..passing],
            hash_high: &self.hash_high[..passing],
        }
    }

    /// Writes which candidates match which entries, and returns how many pairs there are.
    #[inline(always)]
    fn find(&mut self, candidates: Candidates<'_>, index: &Index, wide: bool) -> usize {
        assert!(
            candidates.spans.len() <= index.candidates() && candidates.metas.len() == candidates.spans.len()
        );
        #[cfg(target_arch = "x86_64")]
        if wide {
            // SAFETY: the processor has the instructions; pairs of these candidates fit.
            return unsafe { self.find_avx512(candidates.spans) };
        }
        let mut count = 0;
        for (i, span) in candidates.spans.iter().enumerate() {
            for at in *span as u16..(*span >> 16) as u16 {
                self.right_at[count] = at;
                self.left_at[count] = i as u16;
                count += 1;
            }
        }
        count
    }

    /// Moves what passes to the front, and returns how many that are.
    #[inline(always)]
    fn filter<const EXTRA: bool>(&mut self, found: usize, rule: PairRule<'_>) -> usize {
        #[cfg(target_arch = "x86_64")]
        if rule.wide {
            // SAFETY: the processor has the instructions; so many pairs were found.
            return unsafe { self.filter_avx512::<EXTRA>(found, rule.filter) };
        }
        let mut passing = 0;
        for i in 0..found {
            let passes = (self.hash_high[i] >> 32) as u32 & rule.filter == 0;
            self.left[passing] = self.left[i];
            self.right[passing] = self.right[i];
            self.left_at[passing] = self.left_at[i];
            self.right_at[passing] = self.right_at[i];
            self.hash_low[passing] = self.hash_low[i];
            self.hash_high[passing] = self.hash_high[i];
            passing += usize::from(passes);
        }
        passing
    }
}
