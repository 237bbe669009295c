//! The loop that all backends share: words into blocks, rounds, blocks into words.
//!
//! It is written once over [`Lanes`], the few operations on a register, and inlined into one function for each
//! backend, which is compiled for the processors that have it.

#![allow(unsafe_code)]

use super::{Job, Keys, Words};

/// Blocks of one register.
pub(super) trait Lanes {
    /// A register.
    type Register: Copy;
    /// Words of 64 bits in a register: two for each block.
    const WORDS: usize;

    /// # Safety
    /// The processor has the instructions; `from` is good for reading [`Self::WORDS`] words.
    unsafe fn load(from: *const u64) -> Self::Register;
    /// # Safety
    /// The processor has the instructions; `to` is good for writing [`Self::WORDS`] words.
    unsafe fn store(to: *mut u64, register: Self::Register);
    /// One block everywhere.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn block(block: [u64; 2]) -> Self::Register;
    /// The first word of each block of `a`, each followed by that of `b`.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn firsts(a: Self::Register, b: Self::Register) -> Self::Register;
    /// The second word of each block of `a`, each followed by that of `b`.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn seconds(a: Self::Register, b: Self::Register) -> Self::Register;
    /// An AES round.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn round(state: Self::Register, key: Self::Register) -> Self::Register;
}

/// Registers of words taken at once. Each makes two registers of blocks, whose rounds overlap.
const DEPTH: usize = 4;

/// Words of a turn in the widest backend.
const TURN_WORDS_MAX: usize = DEPTH * 8;

/// Does the job.
///
/// # Safety
/// The processor has the instructions of `L`, and the slices of the job have one length.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(keys: &Keys, job: &mut Job<'_>) {
    let turn = DEPTH * L::WORDS;
    let whole = job.out_low.len() / turn * turn;
    for at in (0..whole).step_by(turn) {
        // SAFETY: a whole turn of words follows `at` in every slice.
        unsafe {
            let low = source(job.low, at);
            let high = source(job.high, at);
            let out_low = job.out_low.as_mut_ptr().add(at);
            let out_high = job.out_high.as_mut().map(|out| out.as_mut_ptr().add(at));
            take_turn::<L>(keys, [low, high], [Some(out_low), out_high], job.round_pairs);
        }
    }
    let rest = job.out_low.len() - whole;
    if rest > 0 {
        // SAFETY: `rest` words follow `whole` in every slice, and the buffers hold a whole turn of any backend.
        unsafe { take_rest::<L>(keys, job, whole, rest) };
    }
}

/// Where words come from: a place that is read, or a word.
type Source = Result<*const u64, u64>;

/// # Safety
/// `at` is within the words.
#[inline(always)]
unsafe fn source(words: Words<'_>, at: usize) -> Source {
    match words {
        // SAFETY: as the caller promises.
        Words::Each(words) => Ok(unsafe { words.as_ptr().add(at) }),
        Words::Same(word) => Err(word),
    }
}

/// The last words, fewer than a turn, through buffers.
///
/// # Safety
/// The processor has the instructions of `L`; `rest` words, fewer than a turn, follow `at` in every slice.
#[inline(always)]
unsafe fn take_rest<L: Lanes>(keys: &Keys, job: &mut Job<'_>, at: usize, rest: usize) {
    let mut words = [[0u64; TURN_WORDS_MAX]; 2];
    for (buffer, from) in words.iter_mut().zip([job.low, job.high]) {
        match from {
            Words::Each(from) => buffer[..rest].copy_from_slice(&from[at..at + rest]),
            Words::Same(word) => buffer.fill(word),
        }
    }
    let mut out = [[0u64; TURN_WORDS_MAX]; 2];
    let [out_low, out_high] = &mut out;
    let places = [Some(out_low.as_mut_ptr()), Some(out_high.as_mut_ptr())];
    // SAFETY: the buffers hold a whole turn.
    unsafe {
        take_turn::<L>(keys, [Ok(words[0].as_ptr()), Ok(words[1].as_ptr())], places, job.round_pairs);
    }
    job.out_low[at..].copy_from_slice(&out_low[..rest]);
    if let Some(to) = &mut job.out_high {
        to[at..].copy_from_slice(&out_high[..rest]);
    }
}

/// # Safety
/// The processor has the instructions of `L`; the places are good for [`DEPTH`] registers.
#[inline(always)]
unsafe fn take_turn<L: Lanes>(
    keys: &Keys,
    [low, high]: [Source; 2],
    [out_low, out_high]: [Option<*mut u64>; 2],
    round_pairs: u32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let [first, second] = [L::block(keys[0]), L::block(keys[1])];
        let mut states = [first; 2 * DEPTH];
        for i in 0..DEPTH {
            let l = register::<L>(low, i);
            let h = register::<L>(high, i);
            states[2 * i] = L::firsts(l, h);
            states[2 * i + 1] = L::seconds(l, h);
        }
        for _ in 0..round_pairs {
            for state in &mut states {
                *state = L::round(*state, first);
            }
            for state in &mut states {
                *state = L::round(*state, second);
            }
        }
        for i in 0..DEPTH {
            if let Some(to) = out_low {
                L::store(to.add(i * L::WORDS), L::firsts(states[2 * i], states[2 * i + 1]));
            }
            if let Some(to) = out_high {
                L::store(to.add(i * L::WORDS), L::seconds(states[2 * i], states[2 * i + 1]));
            }
        }
    }
}

/// # Safety
/// The processor has the instructions of `L`; a place has more than `i` registers of words.
#[inline(always)]
unsafe fn register<L: Lanes>(from: Source, i: usize) -> L::Register {
    // SAFETY: as the caller promises.
    unsafe {
        match from {
            Ok(place) => L::load(place.add(i * L::WORDS)),
            Err(word) => L::block([word; 2]),
        }
    }
}
