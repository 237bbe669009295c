//! The plotter: table 3 of a plot, as fragments in ascending order (rules POS-6 to POS-11).
//!
//! What it costs is hashing, `2^k * (1 + 6 * 2^s)` times about, and moving as many records of 6 to 13 bytes
//! from where they are made to where those are that they match. So records are sorted into buckets while they
//! are made ([`scatter`](self::scatter)), and a bucket is small enough to be matched within a core's own cache.
//! Tables are never sorted: a bucket of the last one is, when it is delivered.
//!
//! The result depends on the plot alone: not on the number of threads, the memory or the instructions.
//!
//! Deliberately not here: files. Fragments are handed on, in batches.

// What asks whether registers are wide asks on x86-64 alone.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_variables))]

mod cipher;
mod deliver;
mod matching;
mod phases;
mod plan;
mod pool;
mod scatter;
mod shape;
mod table;

#[cfg(test)]
mod tests;

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    thread,
};

use mass_proof_of_space::{PlotParams, plot_id};

use self::{
    cipher::Cipher,
    phases::{FirstTable, MakeCandidates, Pair, Rules, Work, Worker, X_VALUES},
    plan::{Pass, Plan},
    pool::{Chain, Pool},
    scatter::Scatter,
    shape::{Layout, Shape},
    table::Table,
};
use crate::{
    aes::{Backend, PlotHasher},
    gate::Gate,
};

/// How a plot is to be made.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions {
    /// Threads that work.
    pub threads: NonZeroUsize,
    /// Instructions to use.
    pub backend: Backend,
    /// The most memory to take, in bytes; without it, as much as makes it fastest.
    pub memory_bytes: Option<u64>,
}

impl Default for BuildOptions {
    /// All cores and the best instructions.
    fn default() -> Self {
        Self {
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            backend: Backend::best(),
            memory_bytes: None,
        }
    }
}

/// Work done, in AES rounds; the last step counts as the rounds that take about as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// All there is.
    pub total: u64,
}

/// What a plot took to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildStatistics {
    /// Fragments delivered.
    pub fragments: u64,
    /// The most bytes that tables took at once.
    pub table_bytes_peak: u64,
    /// The most bytes that were foreseen for everything.
    pub memory_bytes: u64,
    /// AES rounds of all hashes, but for chance.
    pub aes_rounds: u64,
}

/// Why no plot was made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError<E> {
    /// Somebody wished it.
    #[error("plotting was cancelled")]
    Cancelled,
    /// Such a plot cannot have a proof.
    #[error("strength {strength} leaves no match target at k = {k}")]
    Hopeless {
        /// Size.
        k: u8,
        /// Strength.
        strength: u8,
    },
    /// The instructions are not those of this machine.
    #[error("this machine has no {0:?}")]
    Backend(Backend),
    /// It takes more memory than is allowed.
    #[error("plotting takes at least {needed} bytes of memory, {got} are allowed")]
    MemoryTooSmall {
        /// The least that works with so many threads.
        needed: u64,
        /// What is allowed.
        got: u64,
    },
    /// The system gives no memory.
    #[error("no memory for the tables: {0}")]
    Memory(std::io::Error),
    /// Those who take the fragments failed.
    #[error(transparent)]
    Sink(E),
}

/// Bytes of address space, hardly of memory, by which tables may exceed what is foreseen.
const POOL_MARGIN: u64 = 16 << 20;

/// The watch on a plotter.
struct Control<'a> {
    gate: &'a Gate,
    progress: &'a (dyn Fn(Progress) + Sync),
    done: AtomicU64,
    total: u64,
}

impl Control<'_> {
    fn advance(&self, rounds: u64) {
        let done = self.done.fetch_add(rounds, Relaxed) + rounds;
        (self.progress)(Progress { done: done.min(self.total), total: self.total });
    }
}

/// Makes the fragments of a plot and hands them to `sink`: ascending, without repetitions, many at once.
///
/// # Errors
/// [`BuildError`]; that of the sink as [`BuildError::Sink`].
pub fn build<E: Send>(
    params: &PlotParams,
    options: &BuildOptions,
    progress: &(dyn Fn(Progress) + Sync),
    gate: &Gate,
    sink: &mut dyn FnMut(&[u64]) -> Result<(), E>,
) -> Result<BuildStatistics, BuildError<E>> {
    let control = Control { gate, progress, done: AtomicU64::new(0), total: 0 };
    let mut plotter = Plotter::new(params, options, control)?;
    let mut table = plotter.first_table();
    for number in 1..=3 {
        if !gate.pass() {
            return Err(BuildError::Cancelled);
        }
        table = plotter.next_table(number, &table);
    }
    let fragments = plotter.deliver(&table, sink)?;
    Ok(BuildStatistics {
        fragments,
        table_bytes_peak: plotter.rules.pool.bytes_peak(),
        memory_bytes: plotter.plan.memory_bytes,
        aes_rounds: plotter.rules.shape.aes_rounds(),
    })
}

/// The work of a plot, and the bytes of memory that it takes with so many threads if it may take so many.
pub(crate) fn cost(params: &PlotParams, threads: NonZeroUsize, memory_bytes: Option<u64>) -> (u64, u64) {
    let shape = Shape::new(params);
    (shape.work(), Plan::new(&shape, threads.get(), memory_bytes).memory_bytes)
}

struct Plotter<'a> {
    rules: Rules,
    plan: Plan,
    workers: Vec<Worker>,
    control: Control<'a>,
}

impl<'a> Plotter<'a> {
    fn new<E>(
        params: &PlotParams,
        options: &BuildOptions,
        mut control: Control<'a>,
    ) -> Result<Self, BuildError<E>> {
        let (k, strength) = (params.size.get(), params.strength.get());
        if strength + 2 >= k {
            return Err(BuildError::Hopeless { k, strength });
        }
        let plot_id = plot_id(&params.group_id, params.index);
        let hasher = PlotHasher::with_backend(&plot_id, options.backend)
            .ok_or(BuildError::Backend(options.backend))?;
        let shape = Shape::new(params);
        control.total = shape.work();
        let threads = options.threads.get();
        let plan = Plan::new(&shape, threads, options.memory_bytes);
        if let Some(got) = options.memory_bytes
            && plan.memory_bytes > got
        {
            return Err(BuildError::MemoryTooSmall { needed: plan.memory_bytes, got });
        }
        let pool =
            Pool::new(plan.pool_bytes / 8 * 9 + POOL_MARGIN, plan.chunk_bytes).map_err(BuildError::Memory)?;
        let cipher = Cipher::new(&plot_id, params.size);
        let wide = options.backend != Backend::Portable && is_wide();
        let workers = (0..threads).map(|_| Worker::new(wide)).collect();
        Ok(Self { rules: Rules { shape, hasher, cipher, pool, wide }, plan, workers, control })
    }

    /// Lets all threads do items until none is left.
    fn phase(&mut self, items: usize, item_rounds: u64, work: &impl Work) {
        let (rules, control) = (&self.rules, &self.control);
        let next = AtomicUsize::new(0);
        let run = |worker: &mut Worker| {
            loop {
                let item = next.fetch_add(1, Relaxed);
                if item >= items || !control.gate.pass() {
                    break;
                }
                widest(rules.wide, work, rules, worker, item);
                control.advance(item_rounds);
            }
            scatter::fence();
        };
        let Some((own, others)) = self.workers.split_first_mut() else { return };
        thread::scope(|scope| {
            for worker in others {
                scope.spawn(|| run(worker));
            }
            run(own);
        });
    }

    fn start_scatter(&mut self, which: impl Fn(&mut Worker) -> &mut Scatter, buckets: usize, layout: Layout) {
        for worker in &mut self.workers {
            which(worker).start(buckets, layout.record_bytes());
        }
    }

    fn finish_entries(&mut self, layout: Layout) -> Table {
        let pool = &self.rules.pool;
        let chains = self.workers.iter_mut().map(|worker| {
            let chains = worker.entries.finish(pool, &mut worker.spare);
            pool.give_up(&mut worker.spare);
            chains
        });
        Table::new(layout, self.rules.shape.buckets(), chains.collect())
    }

    fn first_table(&mut self) -> Table {
        let shape = self.rules.shape;
        let layout = shape.layout(0);
        self.start_scatter(|worker| &mut worker.entries, shape.buckets(), layout);
        let items = (1 << shape.k) / X_VALUES;
        self.phase(items, X_VALUES as u64 * shape.hash_rounds(0), &FirstTable);
        self.finish_entries(layout)
    }

    fn next_table(&mut self, number: u32, table: &Table) -> Table {
        let shape = self.rules.shape;
        let layout = if number == 3 { shape.fragment_layout() } else { shape.layout(number) };
        self.start_scatter(|worker| &mut worker.entries, shape.buckets(), layout);
        for pass in self.plan.passes(shape, number) {
            match number {
                1 => self.pass::<1, false>(&pass, table),
                2 => self.pass::<2, false>(&pass, table),
                _ => self.pass::<3, true>(&pass, table),
            }
            if !self.control.gate.pass() {
                break;
            }
        }
        if let Some(worker) = self.workers.first_mut() {
            table.free(&self.rules.pool, &mut worker.spare);
        }
        if number == 3 {
            for worker in &mut self.workers {
                worker.finish_fragments(&self.rules);
            }
        }
        self.finish_entries(layout)
    }

    fn pass<const TABLE: u32, const LAST: bool>(&mut self, pass: &Pass, table: &Table) {
        let candidates = self.make_candidates::<TABLE>(pass, table);
        self.pair::<TABLE, LAST>(pass, table, &candidates);
        if let Some(worker) = self.workers.first_mut() {
            // Those that a cancelled phase has left.
            candidates.free(&self.rules.pool, &mut worker.spare);
        }
    }

    fn make_candidates<const TABLE: u32>(&mut self, pass: &Pass, table: &Table) -> Table {
        let buckets = pass.right.1 - pass.right.0;
        self.start_scatter(|worker| &mut worker.candidates, buckets, table.layout);
        let items = pass.left.1 - pass.left.0;
        let hashes = (pass.keys.1 - pass.keys.0) << self.rules.shape.low_bits();
        let rounds = hashes * self.rules.shape.hash_rounds(TABLE);
        self.phase(items, rounds, &MakeCandidates::<TABLE> { pass, left: table });
        let pool = &self.rules.pool;
        let finish = |worker: &mut Worker| worker.candidates.finish(pool, &mut worker.spare);
        let chains: Vec<Vec<Chain>> = self.workers.iter_mut().map(finish).collect();
        Table::new(table.layout, buckets, chains)
    }

    fn pair<const TABLE: u32, const LAST: bool>(&mut self, pass: &Pass, table: &Table, candidates: &Table) {
        let shape = self.rules.shape;
        let (buckets, parts) = (pass.right.1 - pass.right.0, candidates.parts());
        let apart = buckets < 4 * self.workers.len();
        let items = if apart { buckets * parts } else { buckets };
        let left = (pass.left.1 - pass.left.0) as u64;
        let hashes = (pass.keys.1 - pass.keys.0) * (left << shape.low_bits()) / items as u64;
        let rounds = hashes * shape.hash_rounds(TABLE);
        let parts = apart.then_some(parts);
        self.phase(items, rounds, &Pair::<TABLE, LAST> { pass, right: table, candidates, parts });
    }
}

/// Does an item, compiled for wide registers if this machine has them.
#[allow(unsafe_code)]
fn widest<W: Work>(wide: bool, work: &W, rules: &Rules, worker: &mut Worker, item: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(
            enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt"
        )]
        fn widely<W: Work>(work: &W, rules: &Rules, worker: &mut Worker, item: usize) {
            work.item(rules, worker, item);
        }
        if wide {
            // SAFETY: the machine has the instructions.
            return unsafe { widely(work, rules, worker, item) };
        }
    }
    work.item(rules, worker, item);
}

/// Whether the machine has the registers of 512 bits and the instructions that are used with them.
fn is_wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vbmi")
        && std::is_x86_feature_detected!("avx512vbmi2")
        && std::is_x86_feature_detected!("bmi1")
        && std::is_x86_feature_detected!("bmi2")
        && std::is_x86_feature_detected!("popcnt")
        && std::is_x86_feature_detected!("lzcnt");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}
