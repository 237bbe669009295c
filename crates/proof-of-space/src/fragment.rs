//! From x-values to the links of a chain: a cipher over halves of x-values (rules POS-10 and POS-11).
//!
//! The cipher scatters neighbouring entries of table 3 over the whole range, so that a challenge, which
//! picks ranges of fragments, picks entries that no one can foresee.

use mass_primitives::PlotId;
use sha2::{Digest, Sha256};

use crate::{hash::low_bits, params::PlotSize};

/// Rounds of the cipher.
const ROUNDS: usize = 4;

/// Bits of each of the three words in a round key as derived; k of them are used.
const KEY_WORD_BITS: u32 = 28;

/// Follows the previous key in the derivation of round keys. The spelling is the reference's.
const KEY_SALT: &[u8; 15] = b"ChiaPos2Fesitel";

/// A Feistel network over 2k bits, keyed with the plot id.
#[derive(Clone, Debug)]
pub struct FragmentCipher {
    k: u32,
    keys: [[u64; 3]; ROUNDS],
}

impl FragmentCipher {
    /// The cipher of a plot.
    #[must_use]
    pub fn new(plot_id: &PlotId, size: PlotSize) -> Self {
        let k = u32::from(size.get());
        let mut keys = [[0; 3]; ROUNDS];
        let mut digest = plot_id.get();
        for (key, round) in keys.iter_mut().zip(1u8..) {
            digest = Sha256::new()
                .chain_update(digest)
                .chain_update(KEY_SALT)
                .chain_update([round])
                .finalize()
                .into();
            *key = key_words(&digest).map(|word| low_bits(word, k));
        }
        Self { k, keys }
    }

    /// The words `b`, `c` and `d` of each round, of k bits, for those who encipher many blocks at once.
    #[must_use]
    pub const fn round_keys(&self) -> &[[u64; 3]; 4] {
        &self.keys
    }

    /// POS-10: the fragment of eight x-values: the upper halves of the first of each pair, enciphered.
    #[must_use]
    pub fn fragment(&self, xs: &[u32; 8]) -> u64 {
        let [a, _, b, _, c, _, d, _] = xs.map(u64::from);
        let half = self.k / 2;
        let join = |l: u64, r: u64| l.unbounded_shr(half).unbounded_shl(half) | r.unbounded_shr(half);
        let (left, right) = self
            .keys
            .iter()
            .fold((join(a, b), join(c, d)), |(left, right), key| (right, left ^ self.mix(right, key)));
        left.unbounded_shl(self.k) | right
    }

    /// The upper halves of the first, third, fifth and seventh x-value behind a fragment; `None` if it has more
    /// than 2k bits.
    #[must_use]
    pub fn upper_halves(&self, fragment: u64) -> Option<[u32; 4]> {
        let (left, right) = (fragment.unbounded_shr(self.k), low_bits(fragment, self.k));
        if left.unbounded_shr(self.k) != 0 {
            return None;
        }
        let (left, right) = self
            .keys
            .iter()
            .rev()
            .fold((left, right), |(left, right), key| (right ^ self.mix(left, key), left));
        let half = self.k / 2;
        let split = |word: u64| [word.unbounded_shr(half) as u32, low_bits(word, half) as u32];
        let ([a, b], [c, d]) = (split(left), split(right));
        Some([a, b, c, d])
    }

    /// POS-11: the round function, on words of k bits.
    fn mix(&self, word: u64, key: &[u64; 3]) -> u64 {
        let add = |l: u64, r: u64| low_bits(l.wrapping_add(r), self.k);
        let rotate = |word: u64, by: u32| {
            low_bits(word.unbounded_shl(by), self.k) | word.unbounded_shr(self.k.saturating_sub(by))
        };
        let [b, c, d] = *key;
        let a = add(word, b);
        let d = rotate(d ^ a, 16);
        let c = add(c, d);
        let b = rotate(b ^ c, 12);
        let a = add(a, b);
        let d = rotate(d ^ a, 8);
        let c = add(c, d);
        rotate(b ^ c, 7)
    }
}

/// The first 84 bits of a digest, read from the highest bit of its first byte, as three words.
fn key_words(digest: &[u8; 32]) -> [u64; 3] {
    let high = digest.iter().take(16).fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    [100, 72, 44].map(|at| low_bits((high >> at) as u64, KEY_WORD_BITS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn upper_halves_come_back(id in any::<[u8; 32]>(), half_k in 9u8..=14, xs in any::<[u32; 8]>()) {
            let size = PlotSize::new(2 * half_k).unwrap();
            let cipher = FragmentCipher::new(&PlotId::new(id), size);
            let xs = xs.map(|x| x & ((1 << size.get()) - 1));
            let fragment = cipher.fragment(&xs);
            prop_assert_eq!(cipher.upper_halves(fragment), Some([0, 2, 4, 6].map(|at| xs[at] >> half_k)));
            prop_assert_eq!(cipher.upper_halves(fragment | 1 << (2 * size.get())), None);
        }
    }
}
