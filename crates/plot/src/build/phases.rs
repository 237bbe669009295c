//! The work of a thread: table 0, candidates for a table, entries of a table.
//!
//! A table is made in passes. Each takes the entries of one section as the left and some match keys, makes of every
//! entry a **candidate** for each key, that is, the record with the info that a match must have, and sorts the
//! candidates into the buckets where those who match are. Then bucket by bucket, candidates meet entries.

use super::{
    cipher::{BLOCKS, Cipher, Halves},
    matching::{Candidates, Column, Index, PairRule, Pairs, Passed, column},
    plan::Pass,
    pool::{Pool, Spare},
    scatter::Scatter,
    shape::Shape,
    table::{BLOCK, RecordReader, Table},
};
use crate::aes::PlotHasher;

/// What all threads need to know.
pub(super) struct Rules {
    pub shape: Shape,
    pub hasher: PlotHasher,
    pub cipher: Cipher,
    pub pool: Pool,
    /// The processor has registers of 512 bits and all that goes with them.
    pub wide: bool,
}

/// What a thread has of its own.
pub(super) struct Worker {
    pub spare: Spare,
    pub candidates: Scatter,
    pub entries: Scatter,
    reader: RecordReader,
    index: Index,
    pairs: Pairs,
    columns: Columns,
    records: Records,
    fragments: Fragments,
}

/// What is read from a block.
struct Columns {
    metas: Column,
    targets: Column,
    lows: Column,
    spans: Box<[u32; BLOCK]>,
    extras: Column,
    words: [Column; 2],
}

impl Default for Columns {
    fn default() -> Self {
        let [metas, targets, lows, extras] = std::array::from_fn(|_| column());
        Self { metas, targets, lows, spans: Box::new([0; BLOCK]), extras, words: [column(), column()] }
    }
}

/// Records to be scattered.
struct Records {
    buckets: Box<[u32; BLOCK]>,
    words: [Column; 2],
}

impl Default for Records {
    fn default() -> Self {
        Self { buckets: Box::new([0; BLOCK]), words: [column(), column()] }
    }
}

/// Halves of x-values that wait for the cipher.
struct Fragments {
    count: usize,
    left: Box<Halves>,
    right: Box<Halves>,
}

impl Default for Fragments {
    fn default() -> Self {
        Self { count: 0, left: Box::new([0; BLOCKS]), right: Box::new([0; BLOCKS]) }
    }
}

/// x-values that are hashed at once.
pub(super) const X_VALUES: usize = 512;

/// What the threads do in a phase, item by item. It is no closure, because it must be inlined where it is compiled
/// for wide registers.
pub(super) trait Work: Sync {
    /// Does an item. Must be inlined.
    fn item(&self, rules: &Rules, worker: &mut Worker, item: usize);
}

/// Items are ranges of x-values.
pub(super) struct FirstTable;

/// Items are left buckets.
pub(super) struct MakeCandidates<'a, const TABLE: u32> {
    pub pass: &'a Pass,
    pub left: &'a Table,
}

/// Items are right buckets, or the parts of their candidates if there are few.
pub(super) struct Pair<'a, const TABLE: u32, const LAST: bool> {
    pub pass: &'a Pass,
    pub right: &'a Table,
    pub candidates: &'a Table,
    pub parts: Option<usize>,
}

impl Work for FirstTable {
    #[inline(always)]
    fn item(&self, rules: &Rules, worker: &mut Worker, item: usize) {
        worker.first_table(rules, item);
    }
}

impl<const TABLE: u32> Work for MakeCandidates<'_, TABLE> {
    #[inline(always)]
    fn item(&self, rules: &Rules, worker: &mut Worker, item: usize) {
        worker.make_candidates::<TABLE>(rules, self.pass, self.left, item);
    }
}

impl<const TABLE: u32, const LAST: bool> Work for Pair<'_, TABLE, LAST> {
    #[inline(always)]
    fn item(&self, rules: &Rules, worker: &mut Worker, item: usize) {
        let (bucket, part) = self.parts.map_or((item, None), |parts| (item / parts, Some(item % parts)));
        worker.pair::<TABLE, LAST>(rules, self.pass, (self.right, self.candidates), bucket, part);
    }
}

impl Worker {
    /// A worker; `wide` as in [`Rules`].
    pub(super) fn new(wide: bool) -> Self {
        Self {
            spare: Spare::default(),
            candidates: Scatter::default(),
            entries: Scatter::default(),
            reader: RecordReader::new(wide),
            index: Index::default(),
            pairs: Pairs::default(),
            columns: Columns::default(),
            records: Records::default(),
            fragments: Fragments::default(),
        }
    }

    /// POS-6: entries of table 0, [`X_VALUES`] of them.
    #[inline(always)]
    pub(super) fn first_table(&mut self, rules: &Rules, item: usize) {
        let (shape, low_bits) = (&rules.shape, rules.shape.low_bits());
        let first = (item * X_VALUES) as u64;
        let (metas, targets) = (&mut self.columns.metas[..X_VALUES], &mut self.columns.targets[..X_VALUES]);
        metas.iter_mut().zip(first..).for_each(|(to, x)| *to = x);
        rules.hasher.hash_low64(metas, targets, 16);
        let buckets = &mut self.records.buckets[..X_VALUES];
        let words = &mut self.records.words[0][..X_VALUES];
        for i in 0..X_VALUES {
            let info = targets[i] & low_mask(shape.k);
            buckets[i] = (info >> low_bits) as u32;
            words[i] = info & low_mask(low_bits) | metas[i] << low_bits;
        }
        self.entries.push::<false>(buckets, words, &[], &rules.pool, &mut self.spare);
    }

    /// POS-7: the candidates that the entries of a left bucket make.
    #[inline(always)]
    pub(super) fn make_candidates<const TABLE: u32>(
        &mut self,
        rules: &Rules,
        pass: &Pass,
        left: &Table,
        item: usize,
    ) {
        let layout = left.layout;
        let Self { spare, candidates, reader, columns, records, .. } = self;
        reader.start(left.bucket(pass.left.0 + item), layout, pass.left_is_last);
        while let Some(block) = reader.next(&rules.pool, spare) {
            block.metas(&mut columns.metas);
            block.words(0, &mut columns.words[0]);
            if layout.is_long() {
                block.words(1, &mut columns.words[1]);
            }
            let count = block.count;
            for key in pass.keys.0..pass.keys.1 {
                columns.aim::<TABLE>(count, rules, pass, key, records);
                let (buckets, first) = (&records.buckets[..count], &records.words[0][..count]);
                if layout.is_long() {
                    candidates.push::<true>(buckets, first, &columns.words[1][..count], &rules.pool, spare);
                } else {
                    candidates.push::<false>(buckets, first, &[], &rules.pool, spare);
                }
            }
        }
    }

    /// POS-8: the entries that the candidates of a bucket make, or one part of them.
    #[inline(always)]
    pub(super) fn pair<const TABLE: u32, const LAST: bool>(
        &mut self,
        rules: &Rules,
        pass: &Pass,
        (right, candidates): (&Table, &Table),
        bucket: usize,
        part: Option<usize>,
    ) {
        let shape = &rules.shape;
        let Self { spare, entries, reader, index, pairs, columns, records, fragments, .. } = self;
        let give_back = pass.right_is_last && part.is_none();
        let scratch = (&mut *reader, &mut columns.metas);
        index.build::<LAST>(&rules.pool, (right, pass.right.0 + bucket), give_back, scratch, spare);
        let rule = PairRule {
            hasher: &rules.hasher,
            round_pairs: shape.round_pairs(TABLE),
            filter: low_mask(shape.key_bits(TABLE)) as u32,
            wide: rules.wide,
        };
        let layout = candidates.layout;
        let parts = part.map_or(0..candidates.parts(), |part| part..part + 1);
        reader.start(parts.map(|part| candidates.part(bucket, part)), layout, true);
        let at_once = index.candidates();
        while let Some(block) = reader.next(&rules.pool, spare) {
            block.lows(&mut columns.lows);
            index.spans(&columns.lows[..block.count], &mut columns.spans[..block.count]);
            block.metas(&mut columns.metas);
            if LAST {
                block.extras(&mut columns.extras);
            }
            for first in (0..block.count).step_by(at_once) {
                let range = first..(first + at_once).min(block.count);
                let met = Candidates { spans: &columns.spans[range.clone()], metas: &columns.metas[range] };
                let passed = pairs.meet::<LAST>(met, index, rule);
                if LAST {
                    for (left, right) in passed.left_at.iter().zip(passed.right_at) {
                        let left = columns.extras[first + usize::from(*left)] as u32;
                        fragments.add(left, index.extra(*right), rules, (records, entries), spare);
                    }
                } else {
                    records.entries::<TABLE>(&passed, rules, entries, spare);
                }
            }
        }
    }

    /// Enciphers what still waits for it.
    pub(super) fn finish_fragments(&mut self, rules: &Rules) {
        self.fragments.encipher(rules, (&mut self.records, &mut self.entries), &mut self.spare);
    }
}

impl Columns {
    /// The buckets and first words of the candidates of a block for one key.
    #[inline(always)]
    fn aim<const TABLE: u32>(
        &mut self,
        count: usize,
        rules: &Rules,
        pass: &Pass,
        key: u64,
        records: &mut Records,
    ) {
        let (shape, low_bits) = (&rules.shape, rules.shape.low_bits());
        let (metas, targets) = (&self.metas[..count], &mut self.targets[..count]);
        let tag = u64::from(TABLE) | key << 32;
        rules.hasher.hash_low64_of_high(tag, metas, targets, shape.round_pairs(TABLE));
        let (target_mask, info_mask) = (low_mask(shape.target_bits(TABLE)), low_mask(low_bits));
        let first_info = shape.first_info(TABLE, pass.right_section, key);
        let first_bucket = pass.right.0 as u32;
        let (buckets, first) = (&mut records.buckets[..count], &mut records.words[0][..count]);
        let words = &self.words[0][..count];
        for i in 0..count {
            let info = first_info | targets[i] & target_mask;
            buckets[i] = ((info >> low_bits) as u32).wrapping_sub(first_bucket);
            first[i] = words[i] & !info_mask | info & info_mask;
        }
    }
}

impl Records {
    /// Writes entries of table 1 or 2.
    #[inline(always)]
    fn entries<const TABLE: u32>(
        &mut self,
        passed: &Passed<'_>,
        rules: &Rules,
        entries: &mut Scatter,
        spare: &mut Spare,
    ) {
        let (k, low_bits) = (rules.shape.k, rules.shape.low_bits());
        // A block has fewer candidates than there is room for here, but their pairs may be more.
        for from in (0..passed.left.len()).step_by(BLOCK) {
            let count = (passed.left.len() - from).min(BLOCK);
            let range = from..from + count;
            let (left, right) = (&passed.left[range.clone()], &passed.right[range.clone()]);
            let (low, high) = (&passed.hash_low[range.clone()], &passed.hash_high[range]);
            let [first, second] = &mut self.words;
            let (first, second) = (&mut first[..count], &mut second[..count]);
            let buckets = &mut self.buckets[..count];
            for i in 0..count {
                let info = low[i] & low_mask(k);
                buckets[i] = (info >> low_bits) as u32;
                let (meta, extra) = if TABLE == 1 {
                    (left[i] << k | right[i], 0)
                } else {
                    let half = |meta: u64| meta >> (k + k / 2);
                    let meta = (low[i] >> 32 | high[i] << 32) & low_mask(2 * k);
                    (meta, half(left[i]) << (k / 2) | half(right[i]))
                };
                // Where a part goes over into the second word depends on k and the bits of the bucket.
                first[i] = info & low_mask(low_bits) | meta << low_bits;
                second[i] = meta >> 1 >> (63 - low_bits) | spread(extra, low_bits + 2 * k);
                if low_bits + 2 * k < 64 {
                    first[i] |= extra << (low_bits + 2 * k);
                }
            }
            if rules.shape.layout(TABLE).is_long() {
                entries.push::<true>(buckets, first, second, &rules.pool, spare);
            } else {
                entries.push::<false>(buckets, first, &[], &rules.pool, spare);
            }
        }
    }
}

/// The second word of a value shifted to the left, by at most 127 bits.
#[inline(always)]
const fn spread(value: u64, by: u32) -> u64 {
    if by >= 64 { value << (by - 64) } else { value >> 1 >> (63 - by) }
}

impl Fragments {
    #[inline(always)]
    fn add(
        &mut self,
        left: u32,
        right: u32,
        rules: &Rules,
        to: (&mut Records, &mut Scatter),
        spare: &mut Spare,
    ) {
        self.left[self.count] = left;
        self.right[self.count] = right;
        self.count += 1;
        if self.count == BLOCKS {
            self.encipher(rules, to, spare);
        }
    }

    /// Enciphers and writes what there is.
    #[inline(always)]
    fn encipher(
        &mut self,
        rules: &Rules,
        (records, entries): (&mut Records, &mut Scatter),
        spare: &mut Spare,
    ) {
        let (k, bits) = (rules.shape.k, rules.shape.fragment_bits());
        rules.cipher.encipher(&mut self.left, &mut self.right);
        let count = self.count;
        self.count = 0;
        let (buckets, words) = (&mut records.buckets[..count], &mut records.words[0][..count]);
        for i in 0..count {
            let fragment = u64::from(self.left[i]) << k | u64::from(self.right[i]);
            buckets[i] = (fragment >> bits) as u32;
            words[i] = fragment & low_mask(bits);
        }
        entries.push::<false>(buckets, words, &[], &rules.pool, spare);
    }
}

/// The lowest `bits` of a word; there are fewer than 64.
#[inline(always)]
pub(super) const fn low_mask(bits: u32) -> u64 {
    (1 << bits) - 1
}
