//! Numbers with names, found sixteen at a time.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm_cvtsi64_si128, _mm512_and_si512, _mm512_loadu_si512, _mm512_mask_cmpeq_epi32_mask,
    _mm512_maskz_compress_epi32, _mm512_set1_epi32, _mm512_srl_epi32, _mm512_storeu_si512,
};

use super::{is_wide, prefetch};

/// Entries of a register.
const LANES: usize = 16;

/// Numbers, each with a name, in buckets by their upper bits. What the bucket does not say of the number stands above
/// the name in 32 bits.
pub(crate) struct Buckets {
    /// Behind the last there is a register of nothing.
    entries: Vec<u32>,
    /// Where each bucket starts, and after the last where it ends.
    starts: Vec<u32>,
    /// What shifts a number to that of its bucket.
    shift: u32,
    name_bits: u32,
}

/// Names and what they were found for, side by side.
#[derive(Default)]
pub(crate) struct Found {
    names: Vec<u32>,
    askers: Vec<u32>,
    count: usize,
}

impl Found {
    /// The name and the asker of all.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.names.iter().zip(&self.askers).take(self.count).map(|(name, asker)| (*name, *asker))
    }

    pub const fn clear(&mut self) {
        self.count = 0;
    }

    /// Makes room for so many more.
    fn reserve(&mut self, more: usize) {
        if self.names.len() < self.count + more {
            let len = (self.count + more).next_power_of_two();
            self.names.resize(len, 0);
            self.askers.resize(len, 0);
        }
    }
}

impl Buckets {
    /// Sorts numbers of `bits` bits, in the upper 32 of each word, with names of `name_bits` bits, in the lower, into
    /// `2^buckets_log2` buckets. A name and what a bucket does not say of a number have 32 bits together.
    pub fn new(bits: u32, buckets_log2: u32, name_bits: u32, parts: &[Vec<u64>]) -> Self {
        let shift = bits - buckets_log2.min(bits);
        assert!(shift + name_bits <= u32::BITS, "entries have 32 bits");
        let bucket = |target: u64| (target >> (32 + shift)) as usize;
        let mut starts = vec![0u32; (1 << (bits - shift)) + 1];
        for target in parts.iter().flatten() {
            starts[bucket(*target)] += 1;
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        let rest = (1u64 << shift) - 1;
        let mut entries = vec![0; end as usize + LANES];
        for target in parts.iter().flatten() {
            let start = &mut starts[bucket(*target)];
            *start -= 1;
            entries[*start as usize] = ((target >> 32 & rest) << name_bits) as u32 | *target as u32;
        }
        Self { entries, starts, shift, name_bits }
    }

    /// For each asker, with a number in its upper 32 bits, adds its lower 32 bits to `found` with each name that the
    /// number has.
    pub fn find(&self, askers: &[u64], found: &mut Found) {
        let bucket = |asker: u64| (asker >> (32 + self.shift)) as usize;
        askers.iter().for_each(|asker| prefetch(&self.starts[bucket(*asker)]));
        for asker in askers {
            let start = self.starts[bucket(*asker)] as usize;
            prefetch(&self.entries[start]);
            prefetch(&self.entries[start + LANES - 1]);
        }
        match is_wide() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has AVX-512.
            true => unsafe { self.find_wide(askers, found) },
            _ => self.find_plain(askers, found),
        }
    }

    fn bucket(&self, asker: u64) -> (usize, usize, u32) {
        let number = (asker >> 32) as u32;
        let bucket = (number >> self.shift) as usize;
        let rest = number & ((1 << self.shift) - 1);
        (self.starts[bucket] as usize, self.starts[bucket + 1] as usize, rest)
    }

    fn find_plain(&self, askers: &[u64], found: &mut Found) {
        for asker in askers {
            let (start, end, rest) = self.bucket(*asker);
            found.reserve(end - start);
            for entry in &self.entries[start..end] {
                found.names[found.count] = entry & ((1 << self.name_bits) - 1);
                found.askers[found.count] = *asker as u32;
                found.count += usize::from(entry >> self.name_bits == rest);
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,popcnt")]
    fn find_wide(&self, askers: &[u64], found: &mut Found) {
        let name_bits = _mm_cvtsi64_si128(self.name_bits.into());
        let name = _mm512_set1_epi32((1 << self.name_bits) - 1);
        for asker in askers {
            let (mut start, end, rest) = self.bucket(*asker);
            let (rest, who) = (_mm512_set1_epi32(rest as i32), _mm512_set1_epi32(*asker as u32 as i32));
            while start < end {
                found.reserve(LANES);
                let within = u16::MAX >> (LANES - (end - start).min(LANES));
                let entries = &self.entries[start..start + LANES];
                // SAFETY: sixteen entries are read, and the load needs no alignment.
                let entries = unsafe { _mm512_loadu_si512(entries.as_ptr().cast()) };
                let equal = _mm512_mask_cmpeq_epi32_mask(within, _mm512_srl_epi32(entries, name_bits), rest);
                let names = _mm512_maskz_compress_epi32(equal, _mm512_and_si512(entries, name));
                // SAFETY: there is room for sixteen more of both.
                unsafe {
                    _mm512_storeu_si512(found.names.as_mut_ptr().add(found.count).cast(), names);
                    _mm512_storeu_si512(found.askers.as_mut_ptr().add(found.count).cast(), who);
                }
                found.count += equal.count_ones() as usize;
                start += LANES;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_names_are_found(
            buckets_log2 in 0u32..14,
            numbers in proptest::collection::vec(0u64..1 << 14, 1..400),
            askers in proptest::collection::vec(0u64..1 << 14, 0..100),
        ) {
            // Numbers from a small range, so that buckets are longer than a register.
            let narrow = |number: u64| number >> 3 << 3;
            let named: Vec<u64> = numbers.iter().zip(0..).map(|(n, name)| narrow(*n) << 32 | name).collect();
            let buckets = Buckets::new(14, buckets_log2, 18, &[named.clone(), Vec::new()]);
            let askers: Vec<u64> = askers.iter().zip(7..).map(|(n, who)| narrow(*n) << 32 | who).collect();
            let mut expected: Vec<(u32, u32)> = Vec::new();
            for asker in &askers {
                let same = named.iter().filter(|one| *one >> 32 == asker >> 32);
                expected.extend(same.map(|one| (*one as u32, *asker as u32)));
            }
            expected.sort_unstable();
            let (mut plain, mut either) = (Found::default(), Found::default());
            buckets.find_plain(&askers, &mut plain);
            buckets.find(&askers, &mut either);
            for found in [plain, either] {
                let mut found: Vec<(u32, u32)> = found.iter().collect();
                found.sort_unstable();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
