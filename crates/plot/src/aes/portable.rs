//! AES rounds without instructions for them, through the well-known table of SubBytes and MixColumns together.
//!
//! Its timing depends on the plot id, which is no secret.

#![allow(unsafe_code)]

use super::{Job, Keys, lanes};

pub(super) fn run(keys: &Keys, job: &mut Job<'_>) {
    // SAFETY: no instructions are needed, and the job has been checked.
    unsafe { lanes::run::<Portable>(keys, job) }
}

struct Portable;

impl lanes::Lanes for Portable {
    type Register = [u64; 2];
    const WORDS: usize = 2;

    #[inline(always)]
    unsafe fn load(from: *const u64) -> [u64; 2] {
        // SAFETY: as the caller promises.
        unsafe { from.cast::<[u64; 2]>().read() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u64, register: [u64; 2]) {
        // SAFETY: as the caller promises.
        unsafe { to.cast::<[u64; 2]>().write(register) }
    }

    #[inline(always)]
    unsafe fn block(block: [u64; 2]) -> [u64; 2] {
        block
    }

    #[inline(always)]
    unsafe fn firsts(a: [u64; 2], b: [u64; 2]) -> [u64; 2] {
        [a[0], b[0]]
    }

    #[inline(always)]
    unsafe fn seconds(a: [u64; 2], b: [u64; 2]) -> [u64; 2] {
        [a[1], b[1]]
    }

    #[inline(always)]
    unsafe fn round(state: [u64; 2], key: [u64; 2]) -> [u64; 2] {
        round(state, key)
    }
}

/// A column is what SubBytes, ShiftRows and MixColumns make of one byte from each of four columns.
#[inline(always)]
fn round([low, high]: [u64; 2], [key_low, key_high]: [u64; 2]) -> [u64; 2] {
    let columns = [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32];
    let column = |at: usize| {
        let byte = |row: usize| (columns[(at + row) % 4] >> (8 * row)) as u8;
        let part = |row: usize| MIXED[usize::from(byte(row))].rotate_left(8 * row as u32);
        u64::from(part(0) ^ part(1) ^ part(2) ^ part(3))
    };
    [(column(0) | column(1) << 32) ^ key_low, (column(2) | column(3) << 32) ^ key_high]
}

/// For each byte of the first row, the column that it becomes.
static MIXED: [u32; 256] = mixed();

const fn mixed() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let s = substituted(byte as u8);
        let double = doubled(s);
        table[byte] = u32::from_le_bytes([double, s, s, double ^ s]);
        byte += 1;
    }
    table
}

/// SubBytes of FIPS 197: the inverse in GF(2^8), then an affine map.
const fn substituted(byte: u8) -> u8 {
    // The inverse is the 254th power, and 254 is 2 + 4 + .. + 128.
    let (mut inverse, mut square, mut bit) = (1, byte, 1);
    while bit < 8 {
        square = product(square, square);
        inverse = product(inverse, square);
        bit += 1;
    }
    let b = inverse;
    b ^ b.rotate_left(1) ^ b.rotate_left(2) ^ b.rotate_left(3) ^ b.rotate_left(4) ^ 0x63
}

const fn product(a: u8, b: u8) -> u8 {
    let (mut sum, mut power, mut bit) = (0, a, 0);
    while bit < 8 {
        if b >> bit & 1 == 1 {
            sum ^= power;
        }
        power = doubled(power);
        bit += 1;
    }
    sum
}

const fn doubled(byte: u8) -> u8 {
    byte << 1 ^ if byte >> 7 == 1 { 0x1b } else { 0 }
}
