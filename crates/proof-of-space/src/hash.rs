//! The hash of a plot: AES rounds keyed with the two halves of the plot id (rule POS-4).
//!
//! It is a permutation of 128 bits that a processor with AES instructions makes in some hundred
//! cycles, nearly all of them spent waiting. So [`PlotHash::many`] makes the rounds of many inputs in turn.

use aes::{
    Block,
    hazmat::{Block8, cipher_round, cipher_round_par},
};
use mass_primitives::PlotId;

/// Inputs of one group of [`PlotHash::many`].
pub(crate) const LANES: usize = 8;

/// A value for each input of a group.
pub(crate) type Lanes<T> = [T; LANES];

/// Pairs of AES rounds of a hash that is not made dearer by the strength.
pub const ROUND_PAIRS: u32 = 16;

/// The AES round keys of a plot.
pub(crate) struct PlotHash {
    keys: [Block; 2],
    lane_keys: [Block8; 2],
}

impl PlotHash {
    pub(crate) fn new(plot_id: &PlotId) -> Self {
        let mut keys = [Block::default(); 2];
        let key_bytes = keys.iter_mut().flat_map(|key| key.iter_mut());
        key_bytes.zip(plot_id.as_bytes()).for_each(|(to, from)| *to = *from);
        Self { keys, lane_keys: keys.map(|key| Block8::from([key; LANES])) }
    }

    /// `round_pairs` times: an AES round with the first key, then one with the second.
    pub(crate) fn one(&self, input: u128, round_pairs: u32) -> u128 {
        let mut block = Block::from(input.to_le_bytes());
        for _ in 0..round_pairs {
            self.keys.iter().for_each(|key| cipher_round(&mut block, key));
        }
        u128::from_le_bytes(block.into())
    }

    /// [`Self::one`] of each input.
    pub(crate) fn many<const GROUPS: usize>(
        &self,
        inputs: &[Lanes<u128>; GROUPS],
        round_pairs: u32,
    ) -> [Lanes<u128>; GROUPS] {
        let mut groups =
            inputs.each_ref().map(|group| Block8::from(group.map(|input| Block::from(input.to_le_bytes()))));
        for _ in 0..round_pairs {
            for keys in &self.lane_keys {
                groups.iter_mut().for_each(|group| cipher_round_par(group, keys));
            }
        }
        groups.map(|group| <Lanes<Block>>::from(group).map(|block| u128::from_le_bytes(block.into())))
    }
}

/// The lowest `bits` of a number.
pub(crate) const fn low_bits(value: u64, bits: u32) -> u64 {
    value & !u64::MAX.unbounded_shl(bits)
}
