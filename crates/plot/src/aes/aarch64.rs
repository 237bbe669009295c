//! AES rounds on ARMv8 with the cryptography extension.
//!
//! AESE adds the key before it substitutes and AESENC after it mixes, so the key of AESE is zero here and the
//! real one is added last.

#![allow(unsafe_code)]

use std::arch::aarch64::{
    uint64x2_t, vaeseq_u8, vaesmcq_u8, vdupq_n_u8, veorq_u64, vld1q_u64, vreinterpretq_u8_u64,
    vreinterpretq_u64_u8, vst1q_u64, vzip1q_u64, vzip2q_u64,
};

use super::{Job, Keys, lanes};

pub(super) fn run(keys: &Keys, job: &mut Job<'_>) {
    // SAFETY: a hasher has a backend of this machine only, and the job has been checked.
    unsafe { run_armv8(keys, job) }
}

#[target_feature(enable = "neon,aes")]
unsafe fn run_armv8(keys: &Keys, job: &mut Job<'_>) {
    // SAFETY: the instructions are enabled, and the caller has checked the job.
    unsafe { lanes::run::<Armv8>(keys, job) }
}

struct Armv8;

impl lanes::Lanes for Armv8 {
    type Register = uint64x2_t;
    const WORDS: usize = 2;

    #[inline(always)]
    unsafe fn load(from: *const u64) -> uint64x2_t {
        // SAFETY: as the caller promises.
        unsafe { vld1q_u64(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u64, register: uint64x2_t) {
        // SAFETY: as the caller promises.
        unsafe { vst1q_u64(to, register) }
    }

    #[inline(always)]
    unsafe fn block(block: [u64; 2]) -> uint64x2_t {
        // SAFETY: the block is two words.
        unsafe { vld1q_u64(block.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn firsts(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t {
        // SAFETY: the caller has the instructions.
        unsafe { vzip1q_u64(a, b) }
    }

    #[inline(always)]
    unsafe fn seconds(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t {
        // SAFETY: the caller has the instructions.
        unsafe { vzip2q_u64(a, b) }
    }

    #[inline(always)]
    unsafe fn round(state: uint64x2_t, key: uint64x2_t) -> uint64x2_t {
        // SAFETY: the caller has the instructions.
        unsafe {
            let mixed = vaesmcq_u8(vaeseq_u8(vreinterpretq_u8_u64(state), vdupq_n_u8(0)));
            veorq_u64(vreinterpretq_u64_u8(mixed), key)
        }
    }
}
