//! AES rounds on x86-64: AES-NI, and VAES on registers of 256 and 512 bits.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_aesenc_si128, _mm_loadu_si128, _mm_set_epi64x, _mm_storeu_si128,
    _mm_unpackhi_epi64, _mm_unpacklo_epi64, _mm256_aesenc_epi128, _mm256_broadcastsi128_si256,
    _mm256_loadu_si256, _mm256_storeu_si256, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
    _mm512_aesenc_epi128, _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_storeu_si512,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use super::{Backend, Job, Keys, lanes, portable};

pub(super) fn run(backend: Backend, keys: &Keys, job: &mut Job<'_>) {
    // SAFETY: a hasher has a backend of this machine only, and the job has been checked.
    unsafe {
        match backend {
            Backend::Portable => portable::run(keys, job),
            Backend::AesNi => run_aes_ni(keys, job),
            Backend::Vaes256 => run_vaes256(keys, job),
            Backend::Vaes512 => run_vaes512(keys, job),
        }
    }
}

#[target_feature(enable = "aes")]
unsafe fn run_aes_ni(keys: &Keys, job: &mut Job<'_>) {
    // SAFETY: the instructions are enabled, and the caller has checked the job.
    unsafe { lanes::run::<AesNi>(keys, job) }
}

#[target_feature(enable = "vaes,avx2")]
unsafe fn run_vaes256(keys: &Keys, job: &mut Job<'_>) {
    // SAFETY: the instructions are enabled, and the caller has checked the job.
    unsafe { lanes::run::<Vaes256>(keys, job) }
}

#[target_feature(enable = "vaes,avx512f")]
unsafe fn run_vaes512(keys: &Keys, job: &mut Job<'_>) {
    // SAFETY: the instructions are enabled, and the caller has checked the job.
    unsafe { lanes::run::<Vaes512>(keys, job) }
}

/// The operations of a register of one width.
macro_rules! lanes {
    ($name:ident, $register:ty, $words:literal, $load:ident, $store:ident, $spread:expr, $low:ident, $high:ident,
     $round:ident) => {
        struct $name;

        impl lanes::Lanes for $name {
            type Register = $register;
            const WORDS: usize = $words;

            #[inline(always)]
            unsafe fn load(from: *const u64) -> $register {
                // SAFETY: as the caller promises; the load needs no alignment.
                unsafe { $load(from.cast()) }
            }

            #[inline(always)]
            unsafe fn store(to: *mut u64, register: $register) {
                // SAFETY: as the caller promises; the store needs no alignment.
                unsafe { $store(to.cast(), register) }
            }

            #[inline(always)]
            unsafe fn block([low, high]: [u64; 2]) -> $register {
                // SAFETY: the caller has the instructions.
                unsafe { $spread(_mm_set_epi64x(high as i64, low as i64)) }
            }

            #[inline(always)]
            unsafe fn firsts(a: $register, b: $register) -> $register {
                // SAFETY: the caller has the instructions.
                unsafe { $low(a, b) }
            }

            #[inline(always)]
            unsafe fn seconds(a: $register, b: $register) -> $register {
                // SAFETY: the caller has the instructions.
                unsafe { $high(a, b) }
            }

            #[inline(always)]
            unsafe fn round(state: $register, key: $register) -> $register {
                // SAFETY: the caller has the instructions.
                unsafe { $round(state, key) }
            }
        }
    };
}

lanes!(
    AesNi,
    __m128i,
    2,
    _mm_loadu_si128,
    _mm_storeu_si128,
    std::convert::identity,
    _mm_unpacklo_epi64,
    _mm_unpackhi_epi64,
    _mm_aesenc_si128
);
lanes!(
    Vaes256,
    __m256i,
    4,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_broadcastsi128_si256,
    _mm256_unpacklo_epi64,
    _mm256_unpackhi_epi64,
    _mm256_aesenc_epi128
);
lanes!(
    Vaes512,
    __m512i,
    8,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_broadcast_i32x4,
    _mm512_unpacklo_epi64,
    _mm512_unpackhi_epi64,
    _mm512_aesenc_epi128
);
