//! Finding and filtering, eight at a time.

use std::arch::x86_64::{
    __mmask8, _mm_add_epi16, _mm_loadu_si128, _mm_maskz_compress_epi16, _mm_set_epi16, _mm_set1_epi16,
    _mm_storeu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_cmpgt_epu32_mask, _mm256_cvtepi32_epi16,
    _mm256_mmask_i32gather_epi32, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_srli_epi32,
    _mm512_cvtepi64_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi64, _mm512_maskz_loadu_epi64,
    _mm512_set1_epi64, _mm512_storeu_si512, _mm512_testn_epi64_mask,
};

use super::{Candidates, Index, Pairs};

impl Pairs {
    /// # Safety
    /// The processor has the instructions; there is room for all pairs that the candidates make and eight more; the
    /// lows are infos of the index.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt")]
    #[inline]
    pub(super) unsafe fn find_avx512<const EXTRA: bool>(
        &mut self,
        candidates: Candidates<'_>,
        index: &Index,
    ) -> usize {
        let mut count = 0;
        let total = candidates.lows.len();
        let one = _mm256_set1_epi32(1);
        let mut places = _mm_set_epi16(7, 6, 5, 4, 3, 2, 1, 0);
        for first in (0..total).step_by(8) {
            let these: __mmask8 = if total - first >= 8 { 0xff } else { (1 << (total - first)) - 1 };
            // SAFETY: no more candidates are read than there are; the starts of an info and of the next one are two
            // neighbours in the index.
            unsafe {
                let lows = _mm512_cvtepi64_epi32(_mm512_maskz_loadu_epi64(
                    these,
                    candidates.lows.as_ptr().add(first).cast(),
                ));
                let metas = _mm512_maskz_loadu_epi64(these, candidates.metas.as_ptr().add(first).cast());
                let none = _mm256_setzero_si256();
                let both = _mm256_mmask_i32gather_epi32::<2>(none, these, lows, index.starts.as_ptr().cast());
                let mut at = _mm256_and_si256(both, _mm256_set1_epi32(0xffff));
                let end = _mm256_srli_epi32::<16>(both);
                let mut more = _mm256_cmpgt_epu32_mask(end, at);
                while more != 0 {
                    let to = self.left.as_mut_ptr().add(count);
                    _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi64(more, metas));
                    let right_at = _mm_maskz_compress_epi16(more, _mm256_cvtepi32_epi16(at));
                    _mm_storeu_si128(self.right_at.as_mut_ptr().add(count).cast(), right_at);
                    if EXTRA {
                        let left_at = _mm_maskz_compress_epi16(more, places);
                        _mm_storeu_si128(self.left_at.as_mut_ptr().add(count).cast(), left_at);
                    }
                    count += more.count_ones() as usize;
                    at = _mm256_add_epi32(at, one);
                    more = _mm256_cmpgt_epu32_mask(end, at);
                }
                places = _mm_add_epi16(places, _mm_set1_epi16(8));
            }
        }
        count
    }

    /// # Safety
    /// The processor has the instructions; there are so many pairs, and room for eight more.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt")]
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
