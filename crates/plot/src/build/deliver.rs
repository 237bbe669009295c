//! The last step: buckets of fragments are sorted by many threads and handed on in order by one.

use std::{
    collections::BTreeMap,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use super::{
    BuildError, Plotter,
    matching::{Column, column},
    pool::Pool,
    pool::Spare,
    shape::DELIVERY_ROUNDS,
    table::{RecordReader, Table},
};

/// Buckets for each thread that may be ready and not yet handed on.
const AHEAD: usize = 4;

/// Buckets that are ready, and how far they have been handed on.
#[derive(Default)]
struct Queue {
    ready: BTreeMap<usize, Vec<u64>>,
    handed_on: usize,
    stopped: bool,
}

impl Plotter<'_> {
    /// Sorts and hands on everything, and returns how many fragments there are.
    pub(super) fn deliver<E: Send>(
        &mut self,
        table: &Table,
        sink: &mut dyn FnMut(&[u64]) -> Result<(), E>,
    ) -> Result<u64, BuildError<E>> {
        let (pool, shape, control) = (&self.rules.pool, self.rules.shape, &self.control);
        let (buckets, wide) = (shape.buckets(), self.rules.wide);
        let (queue, news) = (Mutex::new(Queue::default()), Condvar::new());
        let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |guard| news.wait(guard).unwrap_or_else(PoisonError::into_inner);
        let (next, limit) = (AtomicUsize::new(0), AHEAD * self.workers.len());
        let work = || {
            let mut sorter = Sorter {
                reader: RecordReader::new(wide),
                unordered: Vec::new(),
                starts: Vec::new(),
                column: column(),
                spare: Spare::default(),
            };
            loop {
                let bucket = next.fetch_add(1, Relaxed);
                let mut guard = lock();
                while bucket < buckets && bucket >= guard.handed_on + limit && !guard.stopped {
                    guard = wait(guard);
                }
                if bucket >= buckets || guard.stopped {
                    return;
                }
                drop(guard);
                let base = (bucket as u64) << shape.fragment_bits();
                let sorted = sorter.sort(pool, table, bucket, base, shape.fragment_bits());
                lock().ready.insert(bucket, sorted);
                news.notify_all();
            }
        };
        let mut hand_on = || {
            let mut fragments = 0;
            for bucket in 0..buckets {
                let mut guard: MutexGuard<'_, Queue> = lock();
                let sorted = loop {
                    match guard.ready.remove(&bucket) {
                        Some(sorted) => break sorted,
                        None => guard = wait(guard),
                    }
                };
                guard.handed_on = bucket + 1;
                drop(guard);
                news.notify_all();
                if !control.gate.pass() {
                    return Err(BuildError::Cancelled);
                }
                fragments += sorted.len() as u64;
                control.advance(DELIVERY_ROUNDS << shape.low_bits());
                sink(&sorted).map_err(BuildError::Sink)?;
            }
            Ok(fragments)
        };
        thread::scope(|scope| {
            for _ in 0..self.workers.len() {
                scope.spawn(work);
            }
            let outcome = hand_on();
            lock().stopped = true;
            news.notify_all();
            outcome
        })
    }
}

/// Sorts buckets, with buffers that it keeps.
struct Sorter {
    reader: RecordReader,
    unordered: Vec<u64>,
    starts: Vec<u32>,
    column: Column,
    spare: Spare,
}

impl Sorter {
    /// The fragments of a bucket, ascending, each once.
    fn sort(&mut self, pool: &Pool, table: &Table, bucket: usize, base: u64, bits: u32) -> Vec<u64> {
        self.unordered.clear();
        self.reader.start(table.bucket(bucket), table.layout, true);
        while let Some(block) = self.reader.next(pool, &mut self.spare) {
            block.metas(&mut self.column);
            self.unordered.extend_from_slice(&self.column[..block.count]);
        }
        let mut sorted = self.by_highest_bits(bits);
        insertion_sort(&mut sorted);
        sorted.dedup();
        sorted.iter_mut().for_each(|fragment| *fragment |= base);
        sorted
    }

    /// A counting sort by so many of the highest bits that about one fragment has each.
    fn by_highest_bits(&mut self, bits: u32) -> Vec<u64> {
        let sort_bits = self.unordered.len().max(2).ilog2().min(bits);
        let shift = bits - sort_bits;
        self.starts.clear();
        self.starts.resize((1 << sort_bits) + 1, 0);
        for fragment in &self.unordered {
            self.starts[(fragment >> shift) as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
        let mut sorted = vec![0; self.unordered.len()];
        for fragment in &self.unordered {
            let at = &mut self.starts[(fragment >> shift) as usize];
            sorted[*at as usize] = *fragment;
            *at += 1;
        }
        sorted
    }
}

/// Sorts what is nearly sorted.
fn insertion_sort(words: &mut [u64]) {
    for i in 1..words.len() {
        let word = words[i];
        let mut at = i;
        while at > 0 && words[at - 1] > word {
            words[at] = words[at - 1];
            at -= 1;
        }
        words[at] = word;
    }
}
