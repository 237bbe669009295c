//! The order of work, and the memory that it takes.
//!
//! The tables are made section by section, since a section that was both left and right is not needed any more.
//! What there is at once is then about a table and a quarter, and the candidates of a pass. If that is more than is
//! allowed, the left section is cut into slices: the candidates of a slice are fewer, but every slice reads and
//! orders all the right entries again.

use super::{
    pool::LINE_BYTES,
    shape::{Layout, Shape},
};

/// Each section and the one that its entries match to their right, in the order in which they are taken. Each
/// section but the first is given back in the step after it was first used.
const STEPS: [(u64, u64); 4] = [(3, 0), (0, 2), (2, 1), (1, 3)];

/// Slices of a section, and whether all match keys are done for a slice before the next one.
type Cut = (usize, bool);

/// The first that fits is taken; each costs more than the one before.
const CUTS: [Cut; 9] = [
    (1, false),
    (2, false),
    (2, true),
    (4, false),
    (4, true),
    (8, false),
    (8, true),
    (16, false),
    (16, true),
];

/// Tables vary in size; this is far more, in parts of a thousand.
const MARGIN_PERMILLE: u64 = 3;

/// Least bytes of a chunk: with smaller ones, it takes more time to find the next one than to fill it.
const CHUNK_BYTES_MIN: usize = 1024;

/// Bytes that a chunk takes beside its own.
const LINK_BYTES: u64 = 4;

/// Bytes of a process beside all that is counted.
const PROCESS_BYTES: u64 = 12 << 20;

/// One pass for a table: a slice of a section, some match keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
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

/// What is decided beforehand.
#[derive(Debug)]
pub(super) struct Plan {
    /// How each step for each table is cut.
    cuts: [[Cut; STEPS.len()]; 3],
    /// Bytes of a chunk of memory.
    pub chunk_bytes: usize,
    /// Bytes of tables at most.
    pub pool_bytes: u64,
    /// Bytes of everything at most.
    pub memory_bytes: u64,
}

impl Plan {
    /// The fastest plan that takes no more memory than this, or the one that takes the least.
    pub(super) fn new(shape: &Shape, threads: usize, memory_bytes: Option<u64>) -> Self {
        let limit = memory_bytes.unwrap_or(u64::MAX);
        let most = shape.chunk_bytes(threads);
        let mut plans: Vec<Self> = [most, most / 2, most / 4]
            .into_iter()
            .filter(|chunk_bytes| *chunk_bytes >= CHUNK_BYTES_MIN)
            .map(|chunk_bytes| Self::with_chunks(shape, threads, chunk_bytes, limit))
            .collect();
        let fits = plans.iter().position(|plan| plan.memory_bytes <= limit);
        let least = (0..plans.len()).min_by_key(|plan| plans[*plan].memory_bytes).unwrap_or(0);
        plans.swap_remove(fits.unwrap_or(least))
    }

    /// All passes for a table, in order.
    pub(super) fn passes(&self, shape: Shape, table: u32) -> impl Iterator<Item = Pass> + use<> {
        let cuts = self.cuts[table as usize - 1].into_iter().enumerate();
        cuts.flat_map(move |(step, cut)| step_passes(shape, table, step, cut))
    }

    fn with_chunks(shape: &Shape, threads: usize, chunk_bytes: usize, limit: u64) -> Self {
        let overhead = overhead_bytes(shape, threads);
        // Beside each chunk there is its link.
        let chunk = chunk_bytes as u64;
        let limit = limit.saturating_sub(overhead) / (chunk + LINK_BYTES) * chunk;
        let mut peak = 0u64;
        let cuts = [1, 2, 3].map(|table| {
            let mut level = Level::new(shape, threads, chunk_bytes, table);
            let cuts = [0, 1, 2, 3].map(|step| level.step(step, limit));
            peak = peak.max(level.peak);
            cuts
        });
        let peak: u64 = peak.next_multiple_of(chunk);
        let links = peak / chunk * LINK_BYTES;
        Self { cuts, chunk_bytes, pool_bytes: peak, memory_bytes: peak + links + overhead }
    }
}

/// Bytes that threads have for themselves and tables beside their records.
fn overhead_bytes(shape: &Shape, threads: usize) -> u64 {
    let (buckets, entries) = (shape.buckets() as u64, 1 << shape.low_bits());
    let stages = 2 * buckets * (LINE_BYTES as u64 + 32);
    let (index, deliver) = (32 * entries, 64 * entries);
    PROCESS_BYTES + threads as u64 * (stages + index + deliver + (1 << 20) + 24 * buckets)
}

/// What is in memory while a table is made.
struct Level<'a> {
    shape: &'a Shape,
    table: u32,
    /// Bytes of a section of the table before, of a section of this one, and of a section's candidates for a key.
    section_in: u64,
    section_out: u64,
    /// Bytes that chunks take in excess, for each bucket.
    slack: u64,
    now: u64,
    peak: u64,
}

impl<'a> Level<'a> {
    fn new(shape: &'a Shape, threads: usize, chunk_bytes: usize, table: u32) -> Self {
        let out = if table == 3 { shape.fragment_layout() } else { shape.layout(table) };
        let bytes = |layout: Layout| {
            let records = (layout.record_bytes() as u64) << (shape.k - 2);
            records + records * MARGIN_PERMILLE / 1000
        };
        let slack = (threads * chunk_bytes / 2) as u64;
        let section_in = bytes(shape.layout(table - 1));
        let now = 4 * section_in + 2 * slack * shape.buckets() as u64;
        Self { shape, table, section_in, section_out: bytes(out), slack, now, peak: now }
    }

    /// The cut of a step that fits, or the one that takes the least.
    fn step(&mut self, step: usize, limit: u64) -> Cut {
        let mut best = CUTS[0];
        let mut end = self.walk(step, best);
        for cut in CUTS.into_iter().skip(1) {
            if end.1 <= limit {
                break;
            }
            let other = self.walk(step, cut);
            if other.1 < end.1 {
                (best, end) = (cut, other);
            }
        }
        (self.now, self.peak) = end;
        best
    }

    /// Bytes in memory after a step, and the most until then.
    fn walk(&self, step: usize, cut: Cut) -> (u64, u64) {
        let (mut now, mut peak) = (self.now, self.peak);
        let section = self.shape.section_buckets() as u64;
        let keys = 1u64 << self.shape.key_bits(self.table);
        for pass in step_passes(*self.shape, self.table, step, cut) {
            let left = (pass.left.1 - pass.left.0) as u64;
            let right = (pass.right.1 - pass.right.0) as u64;
            let keys_here = pass.keys.1 - pass.keys.0;
            let candidates = self.section_in * left / section * keys_here + self.slack * right;
            let freed = if pass.left_is_last { self.section_in * left / section } else { 0 };
            peak = peak.max(now + candidates);
            now -= freed;
            now += self.section_out * left / section * keys_here / keys;
            if pass.right_is_last {
                now -= self.section_in * right / section;
            }
            peak = peak.max(now);
        }
        (now, peak)
    }
}

/// The passes of a step.
fn step_passes(
    shape: Shape,
    table: u32,
    step: usize,
    (slices, slice_by_slice): Cut,
) -> impl Iterator<Item = Pass> + use<> {
    let groups = 1 << (shape.key_bits(table) - shape.keys_together_bits(table));
    (0..slices * groups).map(move |i| {
        let (slice, group) = if slice_by_slice { (i / groups, i % groups) } else { (i % slices, i / slices) };
        pass(shape, table, step, (slice, slices), (group as u64, groups as u64))
    })
}

fn pass(
    shape: Shape,
    table: u32,
    step: usize,
    (slice, slices): (usize, usize),
    (group, groups): (u64, u64),
) -> Pass {
    let (left, right_section) = STEPS[step];
    let together = 1 << shape.keys_together_bits(table);
    let keys = (group * together, (group + 1) * together);
    let infos =
        shape.first_info(table, right_section, keys.0)..shape.first_info(table, right_section, keys.1);
    let bucket = |info: u64| (info >> shape.low_bits()) as usize;
    let right = (bucket(infos.start), bucket(infos.end - 1) + 1);
    let covers = infos.end == (right.1 as u64) << shape.low_bits();
    let (section, slice_buckets) = (shape.section_buckets(), shape.section_buckets() / slices);
    let first = left as usize * section + slice * slice_buckets;
    Pass {
        left: (first, first + slice_buckets),
        right_section,
        keys,
        right,
        left_is_last: step > 0 && group + 1 == groups,
        right_is_last: step + 1 == STEPS.len() && slice + 1 == slices && covers,
    }
}
