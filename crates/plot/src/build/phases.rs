//! The work of a thread: table 0, candidates for a table, entries of a table.
//!
//! A table is made in passes. Each takes the entries of one section as the left and some match keys, makes of every
//! entry a **candidate** for each key, that is, the record with the info that a match must have, and sorts the
//! candidates into the buckets where those who match are. Then bucket by bucket, candidates meet entries.

use super::{
    cipher::{BLOCKS, Cipher, Halves},
    matching::{Index, PairRule, Pairs, Passed},
    pool::{Pool, Spare},
    scatter::Scatter,
    shape::{Layout, Shape},
    table::{BATCH, RecordReader, Table, record_at},
};
use crate::aes::PlotHasher;

/// What all threads need to know.
pub(super) struct Rules {
    pub shape: Shape,
    pub hasher: PlotHasher,
    pub cipher: Cipher,
    pub pool: Pool,
}

/// What a thread has of its own.
#[derive(Default)]
pub(super) struct Worker {
    pub spare: Spare,
    pub candidates: Scatter,
    pub entries: Scatter,
    reader: RecordReader,
    index: Index,
    pairs: Pairs,
    batch: Batch,
    fragments: Fragments,
}

/// One pass for table `table`: a part of a section, some match keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub table: u32,
    /// The left buckets.
    pub left: (usize, usize),
    pub right_section: u64,
    pub keys: (u64, u64),
    /// The right buckets.
    pub right: (usize, usize),
    /// Nobody reads the left entries after this pass.
    pub left_is_last: bool,
    /// Nobody reads the right entries after this pass.
    pub right_is_last: bool,
}

/// Left entries, read and hashed together.
struct Batch {
    records: Box<[u128; BATCH]>,
    metas: Box<[u64; BATCH]>,
    targets: Box<[u64; BATCH]>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { records: Box::new([0; BATCH]), metas: Box::new([0; BATCH]), targets: Box::new([0; BATCH]) }
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

impl Worker {
    /// POS-6: entries of table 0, `BATCH` of them.
    #[inline(always)]
    pub(super) fn first_table(&mut self, rules: &Rules, item: usize) {
        let shape = &rules.shape;
        let Batch { metas, targets, .. } = &mut self.batch;
        let first = (item * BATCH) as u64;
        metas.iter_mut().zip(first..).for_each(|(to, x)| *to = x);
        rules.hasher.hash_low64(&metas[..], &mut targets[..], 16);
        let info_mask = (1 << shape.k) - 1;
        for (x, hash) in metas.iter().zip(targets.iter()) {
            let info = hash & info_mask;
            let record = u128::from(info & low_mask(shape.low_bits()) | x << shape.low_bits());
            self.entries.push((info >> shape.low_bits()) as usize, record, &rules.pool, &mut self.spare);
        }
    }

    /// POS-7: the candidates that the entries of a left bucket make.
    #[inline(always)]
    pub(super) fn make_candidates(&mut self, rules: &Rules, pass: &Pass, left: &Table, item: usize) {
        let layout = left.layout;
        let record_bytes = layout.record_bytes();
        let meta_mask = low_mask(layout.meta_bits);
        let Self { spare, candidates, reader, batch, .. } = self;
        let mut filled = 0;
        let mut freed = Spare::default();
        let mut give_back = pass.left_is_last.then_some(&mut freed);
        let chains = left.bucket(pass.left.0 + item);
        reader.read(&rules.pool, chains, record_bytes, give_back.as_deref_mut(), |bytes, count| {
            let mut done = 0;
            while done < count {
                let taken = (count - done).min(BATCH - filled);
                for i in 0..taken {
                    let record = record_at(bytes, (done + i) * record_bytes);
                    batch.records[filled + i] = record;
                    batch.metas[filled + i] = (record >> layout.low_bits) as u64 & meta_mask;
                }
                filled += taken;
                done += taken;
                if filled == BATCH {
                    batch.scatter(filled, rules, pass, layout, candidates, spare);
                    filled = 0;
                }
            }
        });
        batch.scatter(filled, rules, pass, layout, candidates, spare);
        rules.pool.give_up(&mut freed);
    }

    /// POS-8: the entries that the candidates of a bucket make. Part `part` of `parts` of the candidates is taken.
    #[inline(always)]
    pub(super) fn pair<const TABLE: u32>(
        &mut self,
        rules: &Rules,
        pass: &Pass,
        (right, candidates): (&Table, &Table),
        bucket: usize,
        part: Option<usize>,
    ) {
        let shape = &rules.shape;
        let Self { spare, entries, reader, index, pairs, fragments, .. } = self;
        let free_right = pass.right_is_last && part.is_none();
        let chains = right.bucket(pass.right.0 + bucket);
        index.build(&rules.pool, right.layout, chains, reader, free_right.then_some(&mut *spare));
        let rule = PairRule {
            hasher: &rules.hasher,
            round_pairs: shape.round_pairs(TABLE),
            filter: low_mask(shape.key_bits(TABLE)) as u32,
        };
        let layout = candidates.layout;
        let record_bytes = layout.record_bytes();
        let parts = part.map_or(0..candidates.parts(), |part| part..part + 1);
        let chains = parts.map(|part| candidates.part(bucket, part));
        let mut freed = Spare::default();
        reader.read(&rules.pool, chains, record_bytes, Some(&mut freed), |bytes, count| {
            for i in 0..count {
                let record = record_at(bytes, i * record_bytes);
                pairs.candidate(record, layout, index, rule, |passed| {
                    emit::<TABLE>(passed, rules, entries, fragments, spare);
                });
            }
        });
        pairs.hash(index, rule, |passed| emit::<TABLE>(passed, rules, entries, fragments, spare));
        rules.pool.give_up(&mut freed);
    }

    /// Enciphers what still waits for it.
    #[inline(always)]
    pub(super) fn finish_fragments(&mut self, rules: &Rules) {
        self.fragments.encipher(rules, &mut self.entries, &mut self.spare);
    }
}

impl Batch {
    #[inline(always)]
    fn scatter(
        &mut self,
        count: usize,
        rules: &Rules,
        pass: &Pass,
        layout: Layout,
        candidates: &mut Scatter,
        spare: &mut Spare,
    ) {
        let shape = &rules.shape;
        let target_mask = low_mask(shape.target_bits(pass.table));
        let info_mask = low_mask(layout.low_bits);
        for key in pass.keys.0..pass.keys.1 {
            let tag = u64::from(pass.table) | key << 32;
            let (metas, targets) = (&self.metas[..count], &mut self.targets[..count]);
            rules.hasher.hash_low64_of_high(tag, metas, targets, shape.round_pairs(pass.table));
            let first = shape.first_info(pass.table, pass.right_section, key);
            for (record, target) in self.records[..count].iter().zip(&*targets) {
                let info = first | target & target_mask;
                let bucket = (info >> layout.low_bits) as usize - pass.right.0;
                let record = record & !u128::from(info_mask) | u128::from(info & info_mask);
                candidates.push(bucket, record, &rules.pool, spare);
            }
        }
    }
}

impl Fragments {
    #[inline(always)]
    fn encipher(&mut self, rules: &Rules, entries: &mut Scatter, spare: &mut Spare) {
        let shape = &rules.shape;
        rules.cipher.encipher(&mut self.left, &mut self.right);
        let halves = self.left.iter().zip(self.right.iter());
        for (left, right) in halves.take(self.count) {
            let fragment = u64::from(*left) << shape.k | u64::from(*right);
            let bucket = (fragment >> shape.fragment_bits()) as usize;
            let rest = fragment & low_mask(shape.fragment_bits());
            entries.push(bucket, rest.into(), &rules.pool, spare);
        }
        self.count = 0;
    }
}

/// Writes an entry of table 1 or 2, or a fragment of table 3.
#[inline(always)]
fn emit<const TABLE: u32>(
    passed: Passed,
    rules: &Rules,
    entries: &mut Scatter,
    fragments: &mut Fragments,
    spare: &mut Spare,
) {
    let shape = &rules.shape;
    let (k, low_bits) = (shape.k, shape.low_bits());
    if TABLE == 3 {
        fragments.left[fragments.count] = passed.left_extra;
        fragments.right[fragments.count] = passed.right_extra;
        fragments.count += 1;
        if fragments.count == BLOCKS {
            fragments.encipher(rules, entries, spare);
        }
        return;
    }
    let info = passed.hash_low & low_mask(k);
    let record = if TABLE == 1 {
        u128::from(passed.left << k | passed.right) << low_bits
    } else {
        let meta = (passed.hash_low >> 32 | passed.hash_high << 32) & low_mask(2 * k);
        let half = |meta: u64| meta >> (k + k / 2);
        let halves = half(passed.left) << (k / 2) | half(passed.right);
        (u128::from(meta) | u128::from(halves) << (2 * k)) << low_bits
    };
    let record = record | u128::from(info & low_mask(low_bits));
    entries.push((info >> low_bits) as usize, record, &rules.pool, spare);
}

/// The lowest `bits` of a word; there are fewer than 64.
#[inline(always)]
pub(super) const fn low_mask(bits: u32) -> u64 {
    (1 << bits) - 1
}
