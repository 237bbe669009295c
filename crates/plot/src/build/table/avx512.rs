//! Taking parts of records apart, eight at a time.

use std::arch::x86_64::{
    _mm512_and_si512, _mm512_loadu_si512, _mm512_permutex2var_epi8, _mm512_set1_epi64, _mm512_srlv_epi64,
    _mm512_storeu_si512,
};

/// Records that are taken at once.
const AT_ONCE: usize = 8;

/// For each of eight records the word at its start, shifted and masked; and so on.
///
/// # Safety
/// The processor has the instructions; `from` is good for reading [`READ_BYTES`](super::READ_BYTES) from every eighth record on, and
/// `to` for writing `count` words and seven more. Records are at most 16 bytes long.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt"
)]
#[inline]
pub(super) unsafe fn take_words(
    from: *const u8,
    record_bytes: usize,
    count: usize,
    shift: u32,
    mask: u64,
    to: *mut u64,
) {
    let mut places = [0u8; 64];
    for (i, place) in places.iter_mut().enumerate() {
        *place = (i / 8 * record_bytes + i % 8) as u8;
    }
    let (shift, mask) = (_mm512_set1_epi64(shift.into()), _mm512_set1_epi64(mask as i64));
    // SAFETY: as the caller promises.
    unsafe {
        let places = _mm512_loadu_si512(places.as_ptr().cast());
        for i in 0..count.div_ceil(AT_ONCE) {
            let from = from.add(i * AT_ONCE * record_bytes);
            let low = _mm512_loadu_si512(from.cast());
            let high = _mm512_loadu_si512(from.add(64).cast());
            let words = _mm512_permutex2var_epi8(low, places, high);
            let parts = _mm512_and_si512(_mm512_srlv_epi64(words, shift), mask);
            _mm512_storeu_si512(to.add(i * AT_ONCE).cast(), parts);
        }
    }
}
