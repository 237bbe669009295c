//! Mass Net of 2018: how full its table of pairs is, how little of it an attacker needs, and how its difficulty rule paces
//! blocks. Rules as published in its Go code (`massnetorg/MassNet-miner`, `massnetorg/mass-core`); nothing of it is copied.
//!
//! **Table.** `P(x)` and `F(x, x')` are hashes of `bl` bits. A pair is `x, x'` with `P(x)` the complement of `P(x')`; cell
//! `F(x, x')` holds it. A value has a preimage with odds `1 - 1/e`, so `(1 - 1/e)^2` of all are in a pair, and
//! `1 - exp(-(1 - 1/e)^2) = .329` of the cells are filled.
//!
//! **Compression.** The attacker keeps a bitmap of filled cells, with a count for each block of it, and the upper
//! bits of `x` and `x'` of those. If `a` and `b` bits are missing it computes `P` of `2^a` candidates for `x`, and of
//! candidates for `x'` until one is the complement of one of them: `2^a + 2^b / 2` hashes on average, `2^a + 2^b` at most.
//!
//! **Retarget.** `D += D / 2048 * max(1 - gap / 10, -199)`, `gap` in slots of 3 s, rounded down. D rests where
//! `E[floor(gap / 10)] = 1`: with `q` the odds of an empty slot that is `q^9 + q^10 = 1`, so `q = .92957` and blocks
//! come 14.2 slots apart.

use std::collections::HashMap;

use rand::{Rng, RngCore};
use rand_distr::{Distribution, Exp1};
use sha2::{Digest as _, Sha256};

use super::{AttackError, Findings, Trial};
use crate::{
    report::{Band, Chart, Measurement, Series},
    statistics::{Sample, crossing},
};

const BITS: u32 = 20;
const CELLS: usize = 1 << BITS;
const MASK: u32 = (1 << BITS) - 1;
/// Bytes of a cell on disk: two records of whole bytes.
const CELL_BYTES: usize = 2 * BITS.div_ceil(8) as usize;
/// Cells to a count of those filled before.
const BLOCK_CELLS: usize = 1024;
/// Bits missing of `x` and `x'`.
const MISSING: [(u32, u32); 4] = [(8, 8), (9, 9), (10, 10), (11, 10)];
const ASKED: usize = 300;
const FILLED: &str = "1 - exp(-(1 - 1/e)^2); mass-core has .329 as the ratio of its proofs to Chia's, the table of targets .330";
const SHARE: &str = "bitmap, counts and kept bits of the filled cells, over the file of whole-byte records";
const HASHES: &str = "2^a + 2^b / 2 and what few false pairs cost, a and b bits missing";
const CLAIM: &str = "the laboratory's table, row 12: 16.5 % of the file answers all at 2^11.5 hashes";

/// A plot of v1, its hash replaced by SHA-256.
struct Table {
    key: [u8; 32],
    /// By cell: the pair, if there is one.
    cells: Vec<Option<(u32, u32)>>,
}

impl Table {
    fn hash(&self, parts: &[u32]) -> u32 {
        let mut hasher = Sha256::new_with_prefix(b"MASS");
        hasher.update(self.key);
        parts.iter().for_each(|part| hasher.update(u64::from(*part).to_le_bytes()));
        let digest = hasher.finalize();
        u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) & MASK
    }

    fn new<R: RngCore>(rng: &mut R) -> Self {
        let mut table = Self { key: [0; 32], cells: vec![None; CELLS] };
        rng.fill_bytes(&mut table.key);
        // The last preimage stays, and 0 stands for none, both as in v1.
        let mut preimages = vec![0; CELLS];
        for x in 0..CELLS as u32 {
            preimages[table.hash(&[x]) as usize] = x;
        }
        for y in 0..CELLS as u32 {
            let pair = (preimages[y as usize], preimages[(y ^ MASK) as usize]);
            if pair.0 != 0 && pair.1 != 0 {
                let cell = table.hash(&[pair.0, pair.1]) as usize;
                table.cells[cell] = Some(pair);
            }
        }
        table
    }

    fn filled(&self) -> f64 {
        self.cells.iter().flatten().count() as f64
    }
}

/// What an attacker keeps of a table.
struct Kept {
    missing: (u32, u32),
    bitmap: Vec<u64>,
    counts: Vec<u32>,
    /// Upper bits of the filled cells, in order. A file would pack them.
    upper: Vec<(u32, u32)>,
}

impl Kept {
    fn of(table: &Table, missing: (u32, u32)) -> Self {
        let mut kept = Self { missing, bitmap: vec![0; CELLS / 64], counts: Vec::new(), upper: Vec::new() };
        for (cell, pair) in table.cells.iter().enumerate() {
            if cell % BLOCK_CELLS == 0 {
                kept.counts.push(kept.upper.len() as u32);
            }
            if let Some((x, other)) = pair {
                kept.bitmap[cell / 64] |= 1 << (cell % 64);
                kept.upper.push((x >> missing.0, other >> missing.1));
            }
        }
        kept
    }

    /// Part of the file.
    fn share(&self) -> f64 {
        let bits = (2 * BITS - self.missing.0 - self.missing.1) as usize * self.upper.len();
        let index = CELLS + 32 * self.counts.len();
        (bits + index) as f64 / (8 * CELL_BYTES * CELLS) as f64
    }

    /// The upper bits of a cell, if it is filled.
    fn upper(&self, cell: usize) -> Option<(u32, u32)> {
        let is_filled = |cell: usize| self.bitmap[cell / 64] >> (cell % 64) & 1 == 1;
        let block = cell / BLOCK_CELLS;
        let before = (block * BLOCK_CELLS..cell).filter(|cell| is_filled(*cell)).count();
        is_filled(cell).then(|| self.upper[self.counts[block] as usize + before])
    }

    /// The pair of a cell, and the hashes that it took.
    fn answer(&self, table: &Table, cell: usize) -> Option<((u32, u32), u32)> {
        let (upper, other) = self.upper(cell)?;
        let mut hashes = 0;
        let mut wanted: HashMap<u32, Vec<u32>> = HashMap::new();
        for low in 0..1 << self.missing.0 {
            let x = upper << self.missing.0 | low;
            hashes += 1;
            wanted.entry(table.hash(&[x]) ^ MASK).or_default().push(x);
        }
        for low in 0..1 << self.missing.1 {
            let candidate = other << self.missing.1 | low;
            hashes += 1;
            for x in wanted.get(&table.hash(&[candidate])).into_iter().flatten() {
                hashes += 1;
                if table.hash(&[*x, candidate]) as usize == cell {
                    return Some(((*x, candidate), hashes));
                }
            }
        }
        None
    }
}

/// Hashes for an answer, and the part of filled cells whose answer is a pair of that cell.
fn asked<R: Rng>(table: &Table, kept: &Kept, rng: &mut R) -> (f64, f64) {
    let (mut cost, mut right) = (Sample::default(), Sample::default());
    for _ in 0..ASKED {
        let cell = loop {
            let cell = rng.gen_range(0..CELLS);
            if table.cells[cell].is_some() {
                break cell;
            }
        };
        let answer = kept.answer(table, cell);
        let is_right = answer.is_some_and(|((x, other), _)| {
            table.hash(&[x]) == table.hash(&[other]) ^ MASK && table.hash(&[x, other]) as usize == cell
        });
        right.add(f64::from(u8::from(is_right)));
        cost.add(answer.map_or(f64::NAN, |(_, hashes)| f64::from(hashes)));
    }
    (cost.mean(), right.mean())
}

/// Row 12.
pub(super) fn table(trial: &Trial) -> Result<Findings, AttackError> {
    let mut filled = Sample::default();
    let mut found: [(Sample, Sample, Sample); MISSING.len()] = Default::default();
    for mut rng in trial.streams(0) {
        let table = Table::new(&mut rng);
        filled.add(table.filled() / CELLS as f64);
        for ((share, hashes, answered), missing) in found.iter_mut().zip(MISSING) {
            let kept = Kept::of(&table, missing);
            share.add(kept.share());
            let (cost, right) = asked(&table, &kept, &mut rng);
            hashes.add(cost);
            answered.add(right);
        }
    }
    let part = 1.0 - (-(1.0 - (-1.0f64).exp()).powi(2)).exp();
    let mut measurements = vec![Measurement::sampled(
        "bl = 20",
        "filled share",
        &filled,
        part,
        Band::relative(part, -0.001, 0.001),
        FILLED,
    )];
    let size = |missing: (u32, u32)| {
        let kept = f64::from(2 * BITS - missing.0 - missing.1);
        (part * kept + 1.0 + 32.0 / BLOCK_CELLS as f64) / (8 * CELL_BYTES) as f64
    };
    let mut points = Vec::new();
    for (missing, (share, hashes, answered)) in MISSING.into_iter().zip(&found) {
        let name = format!("{} + {} bits missing", missing.0, missing.1);
        let (first, second) = (f64::from(1 << missing.0), f64::from(1 << missing.1));
        let expected = first + (second + 1.0) / 2.0 + first * second / 2.0 / CELLS as f64 + 1.0;
        let row = |quantity, sample, expected, low, high, source| {
            let band = Band::relative(expected, low, high);
            Measurement::sampled(&name, quantity, sample, expected, band, source)
        };
        measurements.extend([
            row("part of the file", share, size(missing), -0.002, 0.002, SHARE),
            row("hashes an answer", hashes, expected, -0.005, 0.005, HASHES),
            row("answered, of what the table answers", answered, 1.0, 0.0, 0.0, CLAIM),
        ]);
        points.push((share.mean(), hashes.mean().log2()));
    }
    let (share, hashes, _) = &found[2];
    let at_most = |quantity, sample, most: f64| {
        let band = Band::new(0.0, most);
        Measurement::sampled("10 + 10 bits missing", quantity, sample, most, band, CLAIM)
    };
    measurements.push(at_most("part of the file, at most", share, 0.165));
    measurements.push(at_most("hashes, at most", hashes, 2f64.powf(11.5)));
    Ok(Findings {
        measurements,
        page: None,
        notes: vec![
            "The table of targets does not say how it compresses. This way is the least that comes to mind, and stays below both of its \
             figures."
                .to_owned(),
            "v1's own variant of SHA-256 is replaced by SHA-256: the laws ask for any random function.".to_owned(),
        ],
        chart: Chart {
            x: "part of the file that is kept",
            y: "log2 of the hashes for an answer",
            is_x_logarithmic: false,
            series: vec![
                Series { name: "measured".to_owned(), points },
                Series { name: "target".to_owned(), points: vec![(0.165, 11.5)] },
            ],
        },
    })
}

const RULE: &str =
    "D += D / 2048 * max(1 - gap / 10, -199), mass-core, consensus/difficulty; rest where q^9 + q^10 = 1";
const PACE: &str = "the laboratory's table, row 13: 14.2 slots, 42.6 s";
const SLOT_SECONDS: f64 = 3.0;
const BLOCKS: u32 = 400_000;
const START: f64 = 1e9;

/// The mean interval in slots at which the rule rests.
fn rest_interval() -> f64 {
    1.0 / (1.0 - crossing(0.5, 0.9999, |q| q.powi(9) + q.powi(10) - 1.0))
}

/// Slots to the next block of a farm that wins a slot with odds `1 - exp(-1 / needed)`, each slot's difficulty being that of its own
/// gap, as in v1.
fn next_gap<R: Rng>(difficulty: i64, capacity: f64, rng: &mut R) -> i64 {
    let mut hope: f64 = Exp1.sample(rng);
    for decade in 0i64.. {
        let needed = adjusted(difficulty, decade * 10) as f64;
        let slots = if decade == 0 { 9.0 } else { 10.0 };
        let spent = slots * capacity / needed;
        if hope < spent {
            let within = (hope * needed / capacity) as i64;
            return decade * 10 + within + i64::from(decade == 0);
        }
        hope -= spent;
    }
    unreachable!("hope is finite")
}

fn adjusted(difficulty: i64, gap: i64) -> i64 {
    difficulty + difficulty / 2048 * (1 - gap / 10).max(-199)
}

/// Row 13.
pub(super) fn retarget(trial: &Trial) -> Result<Findings, AttackError> {
    let mut interval = Sample::default();
    let mut course = Vec::new();
    for mut rng in trial.streams(0) {
        let capacity = START / 14.2;
        let (mut difficulty, mut slots, mut settled) = (START as i64 / 4, 0, 0);
        for block in 0..BLOCKS {
            let gap = next_gap(difficulty, capacity, &mut rng);
            difficulty = adjusted(difficulty, gap);
            slots += gap;
            // From a quarter of the difficulty it takes some thousand blocks to rest.
            if block == BLOCKS / 10 {
                settled = slots;
            }
            if interval.mean() == 0.0 && block % 200 == 0 && block <= 12_000 {
                course.push((f64::from(block), difficulty as f64 / START));
            }
        }
        interval.add((slots - settled) as f64 / f64::from(BLOCKS - BLOCKS / 10 - 1));
    }
    let rest = rest_interval();
    let name = "Mass Net v1";
    let seconds = (interval.mean() * SLOT_SECONDS, interval.error() * SLOT_SECONDS);
    Ok(Findings {
        measurements: vec![
            Measurement::exact(name, "mean interval in slots, closed form", rest, 14.2, Band::rounded(14.2, 0.1), PACE),
            Measurement::sampled(name, "mean interval in slots", &interval, rest, Band::relative(rest, -0.002, 0.002), RULE),
            Measurement::with_error(name, "mean interval in seconds", seconds, 42.6, Band::rounded(42.6, 0.1), PACE),
        ],
        page: None,
        notes: vec![
            "The rule is that of Ethereum's Homestead with slots for seconds. The difficulty of a block counts its own gap, which \
             changes it by less than a part in a thousand."
                .to_owned(),
        ],
        chart: Chart {
            x: "blocks from a quarter of the difficulty",
            y: "D / D of 14.2 slots",
            is_x_logarithmic: false,
            series: vec![Series { name: "one run".to_owned(), points: course }],
        },
    })
}
