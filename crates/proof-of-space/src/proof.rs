//! Quality chains and proofs, and their bytes.

use mass_primitives::{PlotId, Quality, Tag, TaggedHasher};

use crate::{
    hash::low_bits,
    params::{PlotSize, Strength},
    verify::ProofError,
};

/// Links of a quality chain.
pub const QUALITY_LINKS: usize = 16;

/// X-values of a proof: eight for each link.
pub const PROOF_X_VALUES: usize = 8 * QUALITY_LINKS;

/// What a plot answers to a challenge: 16 proof fragments of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QualityChain([u64; QUALITY_LINKS]);

impl QualityChain {
    /// Wraps the links.
    #[must_use]
    pub const fn new(links: [u64; QUALITY_LINKS]) -> Self {
        Self(links)
    }

    /// The links in order.
    #[must_use]
    pub const fn links(&self) -> &[u64; QUALITY_LINKS] {
        &self.0
    }

    /// The hash under which the chain draws in the lottery:
    /// `H("quality", plot_id, strength u8, links as 16 little-endian u64)`.
    #[must_use]
    pub fn quality(&self, plot_id: &PlotId, strength: Strength) -> Quality {
        let start = TaggedHasher::new(Tag::Quality).chain(plot_id.as_bytes()).chain([strength.get()]);
        Quality::new(self.0.iter().fold(start, |hasher, link| hasher.chain(link.to_le_bytes())).finish())
    }
}

/// A proof: 128 x-values of k bits, in the order of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proof {
    size: PlotSize,
    x_values: [u32; PROOF_X_VALUES],
}

impl Proof {
    /// Wraps x-values.
    ///
    /// # Errors
    /// [`ProofError::XValue`] if one of them has more than k bits.
    pub fn new(size: PlotSize, x_values: [u32; PROOF_X_VALUES]) -> Result<Self, ProofError> {
        let k = size.get();
        match x_values.iter().position(|x| x.unbounded_shr(k.into()) != 0) {
            Some(position) => Err(ProofError::XValue { position, k }),
            None => Ok(Self { size, x_values }),
        }
    }

    /// The plot size that the proof is for.
    #[must_use]
    pub const fn size(&self) -> PlotSize {
        self.size
    }

    /// The x-values.
    #[must_use]
    pub const fn x_values(&self) -> &[u32; PROOF_X_VALUES] {
        &self.x_values
    }

    /// Writes the x-values as one big-endian bit string of `128 * k` bits, which fills its bytes exactly.
    pub fn write(&self, out: &mut impl Extend<u8>) {
        let width = u32::from(self.size.get());
        let (mut buffer, mut filled) = (0u64, 0u32);
        for x in self.x_values {
            buffer = (buffer << width) | u64::from(x);
            filled = filled.saturating_add(width);
            while filled >= 8 {
                filled = filled.saturating_sub(8);
                out.extend([(buffer >> filled) as u8]);
            }
        }
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`ProofError::Length`] unless the length is exactly right.
    pub fn read(size: PlotSize, bytes: &[u8]) -> Result<Self, ProofError> {
        let length = ProofError::Length { expected: size.proof_bytes(), got: bytes.len() };
        if bytes.len() != size.proof_bytes() {
            return Err(length);
        }
        let width = u32::from(size.get());
        let (mut buffer, mut filled) = (0u64, 0u32);
        let mut bytes = bytes.iter();
        let mut x_values = [0u32; PROOF_X_VALUES];
        for x in &mut x_values {
            while filled < width {
                buffer = (buffer << 8) | u64::from(*bytes.next().ok_or(length)?);
                filled = filled.saturating_add(8);
            }
            filled = filled.saturating_sub(width);
            *x = low_bits(buffer.unbounded_shr(filled), width) as u32;
        }
        Ok(Self { size, x_values })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn proofs_round_trip(half_k in 9u8..=14, seed in proptest::collection::vec(any::<u32>(), PROOF_X_VALUES)) {
            let size = PlotSize::new(2 * half_k).unwrap();
            let x_values = core::array::from_fn(|i| seed[i] & ((1 << size.get()) - 1));
            let proof = Proof::new(size, x_values).unwrap();
            let mut bytes = Vec::new();
            proof.write(&mut bytes);
            prop_assert_eq!(bytes.len(), size.proof_bytes());
            prop_assert_eq!(Proof::read(size, &bytes), Ok(proof));
            let length = ProofError::Length { expected: bytes.len(), got: bytes.len() - 1 };
            prop_assert_eq!(Proof::read(size, &bytes[1..]), Err(length));
            let mut wide = x_values;
            wide[77] |= 1 << size.get();
            let error = ProofError::XValue { position: 77, k: size.get() };
            prop_assert_eq!(Proof::new(size, wide), Err(error));
        }
    }
}
