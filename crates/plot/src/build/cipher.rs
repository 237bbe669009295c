//! The cipher of rules POS-10 and POS-11 on many blocks at once.
//!
//! A word of k bits fits into 32, and a loop over arrays of them is what a compiler makes vector code of.

use mass_primitives::PlotId;
use mass_proof_of_space::{FragmentCipher, PlotSize};

/// Blocks that are enciphered at once.
pub(super) const BLOCKS: usize = 256;

/// The left or right halves of blocks.
pub(super) type Halves = [u32; BLOCKS];

#[derive(Clone, Debug)]
pub(super) struct Cipher {
    k: u32,
    keys: [[u32; 3]; 4],
}

impl Cipher {
    pub(super) fn new(plot_id: &PlotId, size: PlotSize) -> Self {
        let keys = FragmentCipher::new(plot_id, size).round_keys().map(|key| key.map(|word| word as u32));
        Self { k: size.get().into(), keys }
    }

    /// Enciphers the blocks that these halves make.
    #[inline(always)]
    pub(super) fn encipher(&self, left: &mut Halves, right: &mut Halves) {
        let mask = (1 << self.k) - 1;
        for key in self.keys {
            for (left, right) in left.iter_mut().zip(right.iter_mut()) {
                (*left, *right) = (*right, *left ^ mix(*right, key, self.k, mask));
            }
        }
    }
}

/// POS-11: the round function.
#[inline(always)]
const fn mix(word: u32, [b, c, d]: [u32; 3], k: u32, mask: u32) -> u32 {
    let a = word.wrapping_add(b) & mask;
    let d = rotate(d ^ a, 16, k, mask);
    let c = c.wrapping_add(d) & mask;
    let b = rotate(b ^ c, 12, k, mask);
    let a = a.wrapping_add(b) & mask;
    let d = rotate(d ^ a, 8, k, mask);
    let c = c.wrapping_add(d) & mask;
    rotate(b ^ c, 7, k, mask)
}

#[inline(always)]
const fn rotate(word: u32, by: u32, k: u32, mask: u32) -> u32 {
    (word << by) & mask | word >> (k - by)
}
