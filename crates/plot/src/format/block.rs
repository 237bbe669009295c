//! A block: the fragments of neighbouring sets, of all plots of the group, with a checksum.
//!
//! | bytes | what |
//! |------:|------|
//! | 4 | checksum of group id, block number (8 bytes) and all that follows |
//! | 2 for each plot | number of fragments |
//! | | lower parts, k - 1 bits each, as one bit string |
//! | | upper parts, each in unary as so many 0 bits and a 1, as one bit string |
//!
//! A fragment is coded as its distance from the one before, less 1, and the first of each plot as its
//! distance from the start of the block. Distances are random with mean 2^k, so that a Golomb-Rice code of k - 1
//! lower bits takes k + 1.54 bits, a tenth of a bit more than there is to know. Bit strings fill bytes
//! from the least significant bit on; padding is zero.

use super::{CHECKSUM_LEN, Layout};

/// Bytes of the number of fragments of a plot.
const COUNT_LEN: usize = 2;

/// Why a block cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// Why a block cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The checksum of a block, given everything behind it.
fn checksum(group_id: &[u8; 32], number: u64, rest: &[u8]) -> u32 {
    let start = crc32c::crc32c_append(crc32c::crc32c(group_id), &number.to_le_bytes());
    crc32c::crc32c_append(start, rest)
}

/// Appends block `number` to `out`; `plots` has the ascending fragments of each plot.
pub(crate) fn encode(
    layout: &Layout,
    group_id: &[u8; 32],
    number: u64,
    plots: &[&[u64]],
    out: &mut Vec<u8>,
) -> Result<(), TooMany> {
    let start = out.len();
    out.extend_from_slice(&[0; CHECKSUM_LEN]);
    for fragments in plots {
        out.extend_from_slice(&u16::try_from(fragments.len()).map_err(|_| TooMany)?.to_le_bytes());
    }
    let low_bits = layout.k() - 1;
    let mut lows = BitWriter::new(out);
    for_each_distance(layout, number, plots, |distance| {
        lows.push(distance & ((1 << low_bits) - 1), low_bits);
    });
    lows.finish();
    let mut highs = BitWriter::new(out);
    for_each_distance(layout, number, plots, |distance| {
        let mut zeros = distance >> low_bits;
        while zeros > 31 {
            highs.push(0, 31);
            zeros -= 31;
        }
        highs.push(1 << zeros, zeros as u32 + 1);
    });
    highs.finish();
    let sum = checksum(group_id, number, &out[start + CHECKSUM_LEN..]);
    out[start..start + CHECKSUM_LEN].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

fn for_each_distance(layout: &Layout, number: u64, plots: &[&[u64]], mut f: impl FnMut(u64)) {
    for fragments in plots {
        let mut next = layout.block_start(number);
        for &fragment in *fragments {
            f(fragment - next);
            next = fragment + 1;
        }
    }
}

/// The length of block `number`, which starts with `bytes` and is sound, and how many fragments it has.
pub(crate) fn measure(
    layout: &Layout,
    group_id: &[u8; 32],
    number: u64,
    bytes: &[u8],
) -> Result<(usize, u64), Damaged> {
    let (length, fragments) = length(layout, bytes)?;
    Block::new(*layout, group_id, number, bytes.get(..length).ok_or(Damaged)?)?;
    Ok((length, fragments))
}

/// The length of the block that starts with `bytes`, whose checksum is not looked at, and how many fragments it has.
pub(crate) fn length(layout: &Layout, bytes: &[u8]) -> Result<(usize, u64), Damaged> {
    let counts_end = CHECKSUM_LEN + COUNT_LEN * usize::from(layout.plots);
    let counts = bytes.get(CHECKSUM_LEN..counts_end).ok_or(Damaged)?.as_chunks().0;
    let fragments = total(counts);
    let highs_start = counts_end + low_bytes(layout, fragments);
    let highs = bytes.get(highs_start..).ok_or(Damaged)?;
    Ok((highs_start + unary_bytes(highs, fragments as u64)?, fragments as u64))
}

/// Bytes that so many numbers take in unary.
fn unary_bytes(bytes: &[u8], numbers: u64) -> Result<usize, Damaged> {
    let mut left = numbers;
    for (taken, word) in bytes.chunks(size_of::<u64>()).enumerate() {
        let (word, before) = (first_word(word), left);
        left = left.saturating_sub(word.count_ones().into());
        if left == 0 {
            let rest = (1..before).fold(word, |word, _| word & word.wrapping_sub(1));
            let bits = if before == 0 { 0 } else { rest.trailing_zeros() + 1 };
            return Ok(taken * size_of::<u64>() + bits.div_ceil(8) as usize);
        }
    }
    if left == 0 { Ok(0) } else { Err(Damaged) }
}

/// Fragments of all plots.
fn total(counts: &[[u8; COUNT_LEN]]) -> usize {
    counts.iter().map(|count| usize::from(u16::from_le_bytes(*count))).sum()
}

/// Bytes of the lower parts.
const fn low_bytes(layout: &Layout, fragments: usize) -> usize {
    (fragments * (layout.k() as usize - 1)).div_ceil(8)
}

/// A checked block.
pub(crate) struct Block<'a> {
    layout: Layout,
    number: u64,
    counts: &'a [[u8; COUNT_LEN]],
    lows: &'a [u8],
    highs: &'a [u8],
}

impl<'a> Block<'a> {
    /// Checks the checksum of `bytes` as block `number`, and finds its parts.
    pub fn new(layout: Layout, group_id: &[u8; 32], number: u64, bytes: &'a [u8]) -> Result<Self, Damaged> {
        let (sum, rest) = bytes.split_first_chunk::<CHECKSUM_LEN>().ok_or(Damaged)?;
        if checksum(group_id, number, rest) != u32::from_le_bytes(*sum) {
            return Err(Damaged);
        }
        let (counts, strings) =
            rest.split_at_checked(COUNT_LEN * usize::from(layout.plots)).ok_or(Damaged)?;
        let counts = counts.as_chunks().0;
        let (lows, highs) = strings.split_at_checked(low_bytes(&layout, total(counts))).ok_or(Damaged)?;
        Ok(Self { layout, number, counts, lows, highs })
    }

    /// Calls `f` with the position of a plot and each of its fragments from `from` to before `to`. Every
    /// fragment is decoded and checked but those of the last plot that are above.
    pub fn fragments(&self, from: u64, to: u64, mut f: impl FnMut(usize, u64)) -> Result<(), Damaged> {
        let k = self.layout.k();
        let end = self.layout.block_start(self.number + 1);
        let mut lows = Lows { bytes: self.lows, width: k - 1, position: 0 };
        let mut highs = Highs::new(self.highs);
        for (plot, count) in self.counts.iter().enumerate() {
            let is_last = plot + 1 == self.counts.len();
            let mut next = self.layout.block_start(self.number);
            for _ in 0..u16::from_le_bytes(*count) {
                // Both are below 2^60: no sum of theirs and `next` overflows.
                let fragment = next + (highs.next().ok_or(Damaged)? << (k - 1) | lows.next());
                if fragment >= end {
                    return Err(Damaged);
                }
                next = fragment + 1;
                if fragment >= to && is_last {
                    return Ok(());
                }
                if fragment >= from && fragment < to {
                    f(plot, fragment);
                }
            }
        }
        Ok(())
    }
}

/// Fixed-width numbers in a bit string that is known to be long enough.
struct Lows<'a> {
    bytes: &'a [u8],
    width: u32,
    position: usize,
}

impl Lows<'_> {
    fn next(&mut self) -> u64 {
        let word = first_word(&self.bytes[self.position / 8..]);
        let number = word >> (self.position % 8) & ((1 << self.width) - 1);
        self.position += self.width as usize;
        number
    }
}

/// Unary numbers in a bit string.
struct Highs<'a> {
    bytes: &'a [u8],
    /// Bytes taken into words.
    taken: usize,
    /// The bits of the last word that are not used yet, and the position of its first.
    word: u64,
    word_start: u64,
    /// Position behind the last 1 used.
    used: u64,
}

impl<'a> Highs<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0, word: 0, word_start: 0, used: 0 }
    }

    fn next(&mut self) -> Option<u64> {
        while self.word == 0 {
            let rest = self.bytes.get(self.taken..).filter(|rest| !rest.is_empty())?;
            self.word_start = 8 * self.taken as u64;
            self.word = first_word(rest);
            self.taken += size_of::<u64>();
        }
        let place = self.word_start + u64::from(self.word.trailing_zeros());
        let zeros = place - self.used;
        self.word &= self.word - 1;
        self.used = place + 1;
        Some(zeros)
    }
}

/// The first eight bytes, or all if there are fewer.
fn first_word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Appends bit strings to bytes.
struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    word: u64,
    filled: u32,
}

impl<'a> BitWriter<'a> {
    const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, word: 0, filled: 0 }
    }

    /// Appends the lowest `width` bits of a number that has no others; at most 32.
    fn push(&mut self, number: u64, width: u32) {
        self.word |= number << self.filled;
        self.filled += width;
        if self.filled >= 32 {
            self.out.extend_from_slice(&(self.word as u32).to_le_bytes());
            self.word >>= 32;
            self.filled -= 32;
        }
    }

    fn finish(self) {
        let bytes = self.filled.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.word.to_le_bytes()[..bytes]);
    }
}

#[cfg(test)]
mod tests {
    use mass_proof_of_space::PlotSize;
    use proptest::prelude::*;

    use super::*;

    const GROUP: [u8; 32] = [9; 32];

    fn block_of(layout: &Layout, number: u64, offsets: &[u64]) -> Vec<u64> {
        let start = layout.block_start(number);
        let mut fragments: Vec<u64> =
            offsets.iter().map(|offset| start + offset % layout.block_start(1)).collect();
        fragments.sort_unstable();
        fragments.dedup();
        fragments
    }

    fn read(layout: Layout, number: u64, bytes: &[u8]) -> Result<Vec<(usize, u64)>, Damaged> {
        let mut found = Vec::new();
        let block = Block::new(layout, &GROUP, number, bytes)?;
        block.fragments(0, u64::MAX, |plot, fragment| found.push((plot, fragment)))?;
        Ok(found)
    }

    proptest! {
        #[test]
        fn blocks_round_trip(
            half_k in 9u8..=14,
            number in 0u64..64,
            plots in proptest::collection::vec(proptest::collection::vec(any::<u64>(), 0..300), 1..5),
        ) {
            let layout = Layout::new(PlotSize::new(2 * half_k).unwrap(), plots.len() as u16);
            let plots: Vec<Vec<u64>> = plots.iter().map(|plot| block_of(&layout, number, plot)).collect();
            let slices: Vec<&[u64]> = plots.iter().map(Vec::as_slice).collect();
            let mut bytes = Vec::new();
            encode(&layout, &GROUP, number, &slices, &mut bytes).unwrap();
            let expected: Vec<(usize, u64)> = plots
                .iter()
                .enumerate()
                .flat_map(|(plot, fragments)| fragments.iter().map(move |fragment| (plot, *fragment)))
                .collect();
            prop_assert_eq!(read(layout, number, &bytes), Ok(expected));
            // As another block, or with another length, it is damaged.
            prop_assert_eq!(read(layout, number + 1, &bytes), Err(Damaged));
            prop_assert_eq!(read(layout, number, &bytes[..bytes.len() - 1]), Err(Damaged));
        }

        /// Bytes with a checksum that is right never crash the reader.
        #[test]
        fn garbage_never_crashes(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), count in 0u16..40) {
            let layout = Layout::new(PlotSize::MIN, 1);
            if let Some(counts) = bytes.get_mut(4..6) {
                counts.copy_from_slice(&count.to_le_bytes());
                let sum = checksum(&GROUP, 3, &bytes[4..]);
                bytes[..4].copy_from_slice(&sum.to_le_bytes());
            }
            let start = layout.block_start(3);
            if let Ok(found) = read(layout, 3, &bytes) {
                prop_assert!(found.is_sorted() && found.iter().all(|(_, fragment)| *fragment >= start));
            }
        }
    }
}
