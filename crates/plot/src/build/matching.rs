//! Matching within a bucket (rules POS-7 and POS-8): candidates find entries, pairs are hashed, some pass.

#![allow(unsafe_code)]

use super::{
    pool::{ChainCell, Pool, Spare},
    shape::Layout,
    table::{BATCH, RecordReader, record_at},
};
use crate::aes::PlotHasher;

/// Pairs that are hashed at once.
const PAIRS: usize = 2 * BATCH;

/// The entries of a bucket, by the low bits of their info.
#[derive(Default)]
pub(super) struct Index {
    /// Where the entries of each low info start; one more than there are infos.
    starts: Vec<u16>,
    metas: Vec<u64>,
    extras: Vec<u32>,
    /// The records, before they are in order.
    lows: Vec<u16>,
    unordered: Vec<(u64, u32)>,
}

impl Index {
    /// Reads a bucket, and gives its memory back if `spare` is there to take it.
    #[inline(always)]
    pub(super) fn build<'a>(
        &mut self,
        pool: &Pool,
        layout: Layout,
        chains: impl Iterator<Item = &'a ChainCell>,
        reader: &mut RecordReader,
        spare: Option<&mut Spare>,
    ) {
        let infos = 1usize << layout.low_bits;
        self.starts.clear();
        self.starts.resize(infos + 2, 0);
        self.lows.clear();
        self.unordered.clear();
        let record_bytes = layout.record_bytes();
        let (low_mask, meta_mask) = (infos - 1, (1u64 << layout.meta_bits) - 1);
        reader.read(pool, chains, record_bytes, spare, |bytes, count| {
            self.lows.reserve(count);
            self.unordered.reserve(count);
            for i in 0..count {
                let record = record_at(bytes, i * record_bytes);
                let low = record as usize & low_mask;
                self.starts[low + 2] += 1;
                self.lows.push(low as u16);
                let meta = (record >> layout.low_bits) as u64 & meta_mask;
                self.unordered.push((meta, layout.extra(record)));
            }
        });
        self.order();
    }

    /// A counting sort. `starts[i + 2]` counts the entries of info `i` at first, then `starts[i + 1]` is where
    /// the next of them goes, and at last where those of info `i + 1` start.
    #[inline(always)]
    fn order(&mut self) {
        assert!(
            self.lows.len() <= usize::from(u16::MAX),
            "a bucket is larger than one of random entries gets"
        );
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
        // Two more than there are: a candidate that matches none reads where one would be.
        self.metas.resize(self.lows.len() + 2, 0);
        self.extras.resize(self.lows.len() + 2, 0);
        for (low, (meta, extra)) in self.lows.iter().zip(&self.unordered) {
            let at = &mut self.starts[usize::from(*low) + 1];
            self.metas[usize::from(*at)] = *meta;
            self.extras[usize::from(*at)] = *extra;
            *at += 1;
        }
    }
}

/// Pairs that match, until they are hashed.
pub(super) struct Pairs {
    count: usize,
    left: Box<[u64; PAIRS]>,
    right: Box<[u64; PAIRS]>,
    left_extra: Box<[u32; PAIRS]>,
    right_at: Box<[u16; PAIRS]>,
    hash_low: Box<[u64; PAIRS]>,
    hash_high: Box<[u64; PAIRS]>,
    passed: Box<[u16; PAIRS]>,
}

/// A pair that passed the filter, and its hash.
#[derive(Clone, Copy)]
pub(super) struct Passed {
    pub left: u64,
    pub right: u64,
    pub left_extra: u32,
    pub right_extra: u32,
    pub hash_low: u64,
    pub hash_high: u64,
}

impl Default for Pairs {
    fn default() -> Self {
        Self {
            count: 0,
            left: Box::new([0; PAIRS]),
            right: Box::new([0; PAIRS]),
            left_extra: Box::new([0; PAIRS]),
            right_at: Box::new([0; PAIRS]),
            hash_low: Box::new([0; PAIRS]),
            hash_high: Box::new([0; PAIRS]),
            passed: Box::new([0; PAIRS]),
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
}

impl Pairs {
    /// Pairs a candidate, which starts with the low bits of its info, with all that it matches.
    #[inline(always)]
    pub(super) fn candidate(
        &mut self,
        record: u128,
        layout: Layout,
        index: &Index,
        rule: PairRule<'_>,
        mut passed: impl FnMut(Passed),
    ) {
        let low = record as usize & ((1 << layout.low_bits) - 1);
        let meta = (record >> layout.low_bits) as u64 & ((1 << layout.meta_bits) - 1);
        let extra = layout.extra(record);
        let (start, end) = (usize::from(index.starts[low]), usize::from(index.starts[low + 1]));
        if self.count + 2 > PAIRS {
            self.hash(index, rule, &mut passed);
        }
        // Few match more than two; a branch for each one more would often be foreseen wrongly.
        self.put(start, meta, extra, index);
        self.count += usize::from(end > start);
        self.put(start + 1, meta, extra, index);
        self.count += usize::from(end > start + 1);
        for at in start + 2..end {
            if self.count == PAIRS {
                self.hash(index, rule, &mut passed);
            }
            self.put(at, meta, extra, index);
            self.count += 1;
        }
    }

    #[inline(always)]
    fn put(&mut self, at: usize, meta: u64, extra: u32, index: &Index) {
        // One past the last is written when nothing is added.
        let to = self.count;
        self.left[to] = meta;
        self.right[to] = index.metas[at];
        self.left_extra[to] = extra;
        self.right_at[to] = at as u16;
    }

    /// Hashes the pairs that are there and hands on those that pass.
    #[inline(always)]
    pub(super) fn hash(&mut self, index: &Index, rule: PairRule<'_>, mut passed: impl FnMut(Passed)) {
        let count = self.count;
        self.count = 0;
        let out = [&mut self.hash_low[..count], &mut self.hash_high[..count]];
        rule.hasher.hash(&self.left[..count], &self.right[..count], out, rule.round_pairs);
        let mut passing = 0;
        for (i, high) in self.hash_high[..count].iter().enumerate() {
            self.passed[passing] = i as u16;
            passing += usize::from((high >> 32) as u32 & rule.filter == 0);
        }
        for i in &self.passed[..passing] {
            let i = usize::from(*i);
            passed(Passed {
                left: self.left[i],
                right: self.right[i],
                left_extra: self.left_extra[i],
                right_extra: index.extras[usize::from(self.right_at[i])],
                hash_low: self.hash_low[i],
                hash_high: self.hash_high[i],
            });
        }
    }
}
