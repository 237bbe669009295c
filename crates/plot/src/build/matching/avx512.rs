//! Finding and filtering, many at a time.

use std::arch::x86_64::{
    __mmask8, __mmask16, _mm_loadu_si128, _mm_maskz_compress_epi16, _mm_storeu_si128, _mm256_add_epi16,
    _mm256_cmplt_epu16_mask, _mm256_loadu_si256, _mm256_maskz_compress_epi16, _mm256_set1_epi16,
    _mm256_storeu_si256, _mm512_cvtepi32_epi16, _mm512_loadu_si512, _mm512_maskz_compress_epi64,
    _mm512_maskz_loadu_epi32, _mm512_set1_epi64, _mm512_srli_epi32, _mm512_storeu_si512,
    _mm512_testn_epi64_mask,
};

use super::{FOUND_AT_ONCE, Pairs};

/// Matches of a candidate that are looked for without asking whether there are any. Few have more.
const ROUNDS: usize = 3;

/// The places of the first candidates.
static PLACES: [u16; FOUND_AT_ONCE] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

impl Pairs {
    /// Writes the places of candidates and entries that match.
    ///
    /// # Safety
    /// The processor has the instructions; there is room for all pairs that the spans make and [`FOUND_AT_ONCE`] more.
    #[target_feature(
        enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt"
    )]
    #[inline]
    pub(super) unsafe fn find_avx512(&mut self, spans: &[u32]) -> usize {
        let mut count = 0;
        let (one, step) = (_mm256_set1_epi16(1), _mm256_set1_epi16(FOUND_AT_ONCE as i16));
        // SAFETY: there are so many places.
        let mut places = unsafe { _mm256_loadu_si256(PLACES.as_ptr().cast()) };
        for first in (0..spans.len()).step_by(FOUND_AT_ONCE) {
            let rest = spans.len() - first;
            let these: __mmask16 = if rest >= FOUND_AT_ONCE { 0xffff } else { (1 << rest) - 1 };
            // SAFETY: no more spans are read than there are, and there is room for what is written.
            unsafe {
                let both = _mm512_maskz_loadu_epi32(these, spans.as_ptr().add(first).cast());
                let mut at = _mm512_cvtepi32_epi16(both);
                let end = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(both));
                let mut more = _mm256_cmplt_epu16_mask(at, end);
                let mut round = 0;
                while round < ROUNDS || more != 0 {
                    let right_at = _mm256_maskz_compress_epi16(more, at);
                    _mm256_storeu_si256(self.right_at.as_mut_ptr().add(count).cast(), right_at);
                    let left_at = _mm256_maskz_compress_epi16(more, places);
                    _mm256_storeu_si256(self.left_at.as_mut_ptr().add(count).cast(), left_at);
                    count += more.count_ones() as usize;
                    at = _mm256_add_epi16(at, one);
                    more = _mm256_cmplt_epu16_mask(at, end);
                    round += 1;
                }
                places = _mm256_add_epi16(places, step);
            }
        }
        count
    }

    /// # Safety
    /// The processor has the instructions; there are so many pairs, and room for eight more.
    #[target_feature(
        enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt"
    )]
    #[inline]
    pub(super) unsafe fn filter_avx512<const EXTRA: bool>(&mut self, found: usize, filter: u32) -> usize {
        let mut passing = 0;
        let filter = _mm512_set1_epi64((u64::from(filter) << 32) as i64);
        for first in (0..found).step_by(8) {
            let these: __mmask8 = if found - first >= 8 { 0xff } else { (1 << (found - first)) - 1 };
            // SAFETY: the lists have room for eight more than there are pairs.
            unsafe {
                let high = _mm512_loadu_si512(self.hash_high.as_ptr().add(first).cast());
                let passes = _mm512_testn_epi64_mask(high, filter) & these;
                let pack = |list: &mut [u64]| {
                    let words = _mm512_loadu_si512(list.as_ptr().add(first).cast());
                    let packed = _mm512_maskz_compress_epi64(passes, words);
                    _mm512_storeu_si512(list.as_mut_ptr().add(passing).cast(), packed);
                };
                let pack_places = |list: &mut [u16]| {
                    let words = _mm_loadu_si128(list.as_ptr().add(first).cast());
                    let packed = _mm_maskz_compress_epi16(passes, words);
                    _mm_storeu_si128(list.as_mut_ptr().add(passing).cast(), packed);
                };
                if EXTRA {
                    pack_places(&mut self.left_at[..]);
                    pack_places(&mut self.right_at[..]);
                } else {
                    pack(&mut self.left[..]);
                    pack(&mut self.right[..]);
                    pack(&mut self.hash_low[..]);
                    pack(&mut self.hash_high[..]);
                }
                passing += passes.count_ones() as usize;
            }
        }
        passing
    }
}
