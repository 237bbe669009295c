//! Plot identity and verification (rules POS-1 to POS-5).
//!
//! The chain is checked before the tables: it costs 16 hashes and refuses nearly everything that is
//! not meant as an answer to the challenge.

use core::array;

use mass_primitives::{Challenge, GroupId, PlotId, PlotIndex};
use sha2::{Digest, Sha256};

use crate::{
    chain,
    fragment::FragmentCipher,
    hash::{LANES, Lanes, PlotHash},
    params::{META_GROUP, PlotParams},
    proof::{Proof, QUALITY_LINKS, QualityChain},
    tables::{SECTION_BITS, Tables},
};

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The proof is of another plot size.
    #[error("the proof is for k={got}, the plot has k={expected}")]
    Size {
        /// k of the plot.
        expected: u8,
        /// k of the proof.
        got: u8,
    },
    /// The x-values do not answer the challenge from this plot.
    #[error("the x-values do not answer the challenge from this plot")]
    Invalid,
}

/// POS-2: the identity of the plot at `index` of a group.
#[must_use]
pub fn plot_id(group_id: &GroupId, index: PlotIndex) -> PlotId {
    let hasher = Sha256::new().chain_update(group_id.as_bytes()).chain_update(index.get().to_be_bytes());
    PlotId::new(hasher.chain_update([META_GROUP]).finalize().into())
}

/// POS-5: checks that `proof` answers `challenge` from the plot `params`, and says with which quality chain.
///
/// # Errors
/// [`ProofError`] if it does not.
pub fn verify(params: &PlotParams, challenge: &Challenge, proof: &Proof) -> Result<QualityChain, ProofError> {
    if proof.size() != params.size {
        return Err(ProofError::Size { expected: params.size.get(), got: proof.size().get() });
    }
    if !has_plots(params) {
        return Err(ProofError::Invalid);
    }
    let plot_id = plot_id(&params.group_id, params.index);
    let cipher = FragmentCipher::new(&plot_id, params.size);
    let mut links = [0; QUALITY_LINKS];
    for (link, xs) in links.iter_mut().zip(proof.x_values().as_chunks().0) {
        *link = cipher.fragment(xs);
    }
    let hash = PlotHash::new(&plot_id);
    let tables = Tables::new(params, &hash);
    let eights = proof.x_values().as_chunks::<{ 8 * LANES }>().0;
    let valid = chain::answers(params, &plot_id, &hash, challenge, &links)
        && eights.iter().all(|eight| tables.hold(&columns(eight)));
    if valid { Ok(QualityChain::new(links)) } else { Err(ProofError::Invalid) }
}

/// POS-1: whether a match target of at least one bit is left beside section and match key.
fn has_plots(params: &PlotParams) -> bool {
    u32::from(params.strength.get()).saturating_add(SECTION_BITS) < u32::from(params.size.get())
}

/// The x-values of eight links, those of each position side by side.
fn columns(eight: &[u32; 8 * LANES]) -> [Lanes<u32>; 8] {
    array::from_fn(|position| {
        let mut column = eight.iter().skip(position).step_by(8).copied();
        array::from_fn(|_| column.next().unwrap_or_default())
    })
}
