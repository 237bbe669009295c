//! Picking the few hashes that count out of many, eight at a time where the processor can.
//!
//! Each function has a plain form and one for AVX-512, which do the same. Which hashes count is the caller's.

#![allow(unsafe_code)]

mod buckets;

pub(crate) use self::buckets::{Buckets, Found};

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm_cvtsi64_si128, _mm512_add_epi64, _mm512_and_si512, _mm512_i64gather_epi64, _mm512_loadu_si512,
    _mm512_maskz_compress_epi64, _mm512_or_si512, _mm512_set1_epi64, _mm512_setr_epi64, _mm512_sll_epi64,
    _mm512_srl_epi64, _mm512_srlv_epi64, _mm512_storeu_si512, _mm512_test_epi64_mask,
    _mm512_testn_epi64_mask,
};

/// Words of a register.
const LANES: usize = 8;
/// Words that a word of flags is for.
const FLAGS: usize = u64::BITS as usize;

/// Whether the processor has what the wide forms need.
fn is_wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Writes each word, with the bits of `mask` flipped, to `out`, which is as long.
pub(crate) fn flip(words: &[u64], mask: u64, out: &mut [u64]) {
    match is_wide() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has AVX-512.
        true => unsafe { flip_wide(words, mask, out) },
        _ => flip_plain(words, mask, out),
    }
}

#[inline(always)]
fn flip_plain(words: &[u64], mask: u64, out: &mut [u64]) {
    out.iter_mut().zip(words).for_each(|(out, word)| *out = word ^ mask);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn flip_wide(words: &[u64], mask: u64, out: &mut [u64]) {
    flip_plain(words, mask, out);
}

/// Calls `f` with the position of each word whose bits under `mask` are all zero, in order.
pub(crate) fn for_each_zero(words: &[u64], mask: u64, mut f: impl FnMut(usize)) {
    let (whole, rest) = words.as_chunks::<FLAGS>();
    let is_wide = is_wide();
    for (at, some) in whole.iter().enumerate() {
        let mut flags = match is_wide {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has AVX-512.
            true => unsafe { zeros_wide(some, mask) },
            _ => zeros_plain(some, mask),
        };
        while flags != 0 {
            f(at * FLAGS + flags.trailing_zeros() as usize);
            flags &= flags - 1;
        }
    }
    let first = words.len() - rest.len();
    rest.iter().enumerate().filter(|(_, word)| **word & mask == 0).for_each(|(at, _)| f(first + at));
}

fn zeros_plain(words: &[u64; FLAGS], mask: u64) -> u64 {
    words.iter().enumerate().fold(0, |flags, (at, word)| flags | u64::from(word & mask == 0) << at)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn zeros_wide(words: &[u64; FLAGS], mask: u64) -> u64 {
    let mask = _mm512_set1_epi64(mask as i64);
    words.as_chunks::<LANES>().0.iter().enumerate().fold(0, |flags, (at, eight)| {
        // SAFETY: eight words are read, and the load needs no alignment.
        let eight = unsafe { _mm512_loadu_si512(eight.as_ptr().cast()) };
        flags | u64::from(_mm512_testn_epi64_mask(eight, mask)) << (at * LANES)
    })
}

/// A set of numbers of up to 32 bits that may say yes to what it does not have.
///
/// A word belongs to an interval of numbers, and each number sets two of its bits: one by its lowest six bits, one by
/// the highest six that it does not share with the whole interval. Where an interval has 64 numbers both are the same
/// bit, and the filter is exact.
pub(crate) struct Filter {
    words: Vec<u64>,
    /// What shifts a number to that of its word.
    shift: u32,
    /// What keeps the number of a hash.
    mask: u64,
}

impl Filter {
    /// An empty set of numbers of `bits` bits, with about `2^words_log2` words.
    pub fn new(bits: u32, words_log2: u32) -> Self {
        let words_log2 = words_log2.min(bits - u64::BITS.ilog2());
        Self { words: vec![0; 1 << words_log2], shift: bits - words_log2, mask: (1 << bits) - 1 }
    }

    /// Adds a number.
    pub fn add(&mut self, number: u32) {
        let bits = self.bits(number.into());
        self.words[(number >> self.shift) as usize] |= bits;
    }

    const fn bits(&self, number: u64) -> u64 {
        1 << (number & 63) | 1 << (number >> (self.shift - 6) & 63)
    }

    /// Of hashes numbered from `first`, puts those whose lowest bits may be in the set at the start of `out`, as
    /// number of `bits` bits in the upper 32 and number of the hash in the lower; returns how many. A multiple of
    /// eight hashes, and `out` has room for all and eight more.
    pub fn sift(&self, first: u32, hashes: &[u64], out: &mut [u64]) -> usize {
        assert!(hashes.len().is_multiple_of(LANES) && out.len() >= hashes.len() + LANES);
        match is_wide() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has AVX-512, and `out` has the room.
            true => unsafe { self.sift_wide(first, hashes, out) },
            _ => self.sift_plain(first, hashes, out),
        }
    }

    fn sift_plain(&self, first: u32, hashes: &[u64], out: &mut [u64]) -> usize {
        let mut count = 0;
        for (hash, at) in hashes.iter().zip(u64::from(first)..) {
            let number = hash & self.mask;
            out[count] = number << 32 | at;
            let bits = self.bits(number);
            count += usize::from(self.words[(number >> self.shift) as usize] & bits == bits);
        }
        count
    }

    /// # Safety
    /// `out` has room for the hashes and eight more.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    unsafe fn sift_wide(&self, first: u32, hashes: &[u64], out: &mut [u64]) -> usize {
        let mask = _mm512_set1_epi64(self.mask as i64);
        let (one, six_bits) = (_mm512_set1_epi64(1), _mm512_set1_epi64(63));
        let (shift, shift_high) =
            (_mm_cvtsi64_si128(self.shift.into()), _mm_cvtsi64_si128((self.shift - 6).into()));
        let (up, step) = (_mm_cvtsi64_si128(32), _mm512_set1_epi64(LANES as i64));
        let mut at =
            _mm512_add_epi64(_mm512_set1_epi64(first.into()), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
        let mut count = 0;
        for eight in hashes.as_chunks::<LANES>().0 {
            // SAFETY: eight words are read, and the load needs no alignment.
            let hashes = unsafe { _mm512_loadu_si512(eight.as_ptr().cast()) };
            let numbers = _mm512_and_si512(hashes, mask);
            // SAFETY: a number has as many bits as the mask, so that the places are within the words.
            let words = unsafe {
                _mm512_i64gather_epi64::<8>(_mm512_srl_epi64(numbers, shift), self.words.as_ptr().cast())
            };
            let low = _mm512_srlv_epi64(words, _mm512_and_si512(numbers, six_bits));
            let high =
                _mm512_srlv_epi64(words, _mm512_and_si512(_mm512_srl_epi64(numbers, shift_high), six_bits));
            let found = _mm512_test_epi64_mask(_mm512_and_si512(low, high), one);
            let both = _mm512_or_si512(_mm512_sll_epi64(numbers, up), at);
            // SAFETY: `count` is at most the number of hashes before these, so that there is room for eight more.
            unsafe {
                let to = out.as_mut_ptr().add(count);
                _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi64(found, both));
            }
            count += found.count_ones() as usize;
            at = _mm512_add_epi64(at, step);
        }
        count
    }
}

/// Asks for the memory behind a reference to come near, without waiting for it.
#[inline]
fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, and every such processor has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn zeros_are_found(words in proptest::collection::vec(0u64..16, 0..300), mask in 0u64..8) {
            let expected: Vec<usize> = (0..words.len()).filter(|at| words[*at] & mask == 0).collect();
            let mut found = Vec::new();
            for_each_zero(&words, mask, |at| found.push(at));
            prop_assert_eq!(found, expected);
        }

        /// Both forms agree, nothing in the set is lost, and little else is kept.
        #[test]
        fn filters_keep_what_they_have(
            words_log2 in 4u32..16,
            numbers in proptest::collection::vec(0u32..1 << 18, 1..64),
            mut hashes in proptest::collection::vec(any::<u64>(), 256),
        ) {
            let mut filter = Filter::new(18, words_log2);
            numbers.iter().for_each(|number| filter.add(*number));
            let places = hashes.iter_mut().step_by(3);
            places.zip(&numbers).for_each(|(hash, number)| *hash = *hash >> 18 << 18 | u64::from(*number));
            let (mut plain, mut either) = (vec![0; 264], vec![0; 264]);
            plain.truncate(264);
            let kept = filter.sift_plain(7, &hashes, &mut plain);
            prop_assert_eq!(filter.sift(7, &hashes, &mut either), kept);
            prop_assert_eq!(&plain[..kept], &either[..kept]);
            let number = |at: usize| (hashes[at] & 0x3_ffff) as u32;
            let all: Vec<u64> = (0..256)
                .filter(|at| numbers.contains(&number(*at)))
                .map(|at| u64::from(number(at)) << 32 | (at as u64 + 7))
                .collect();
            prop_assert!(all.iter().all(|wanted| plain[..kept].contains(wanted)));
            if words_log2 >= 12 {
                prop_assert_eq!(all.len(), kept);
            }
        }
    }
}
