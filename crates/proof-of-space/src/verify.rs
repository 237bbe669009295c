//! The seam: plot identity and verification, backed by the crate `chia-pos2` until our own replaces it.

use mass_primitives::{Challenge, GroupId, PlotId, PlotIndex};

use crate::{
    params::{META_GROUP, PlotParams},
    proof::{Proof, QualityChain},
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

/// The identity of the plot at `index` of a group.
#[must_use]
pub fn plot_id(group_id: &GroupId, index: PlotIndex) -> PlotId {
    let bytes = chia_pos2::plot_id_for_index(group_id.as_bytes(), index.get(), META_GROUP);
    PlotId::new(bytes.expect("both pointers are given, which is all that can fail"))
}

/// Checks that `proof` answers `challenge` from the plot `params`, and says with which quality chain.
///
/// # Errors
/// [`ProofError`] if it does not.
pub fn verify(params: &PlotParams, challenge: &Challenge, proof: &Proof) -> Result<QualityChain, ProofError> {
    if proof.size() != params.size {
        return Err(ProofError::Size { expected: params.size.get(), got: proof.size().get() });
    }
    let mut bytes = Vec::with_capacity(params.size.proof_bytes());
    proof.write(&mut bytes);
    chia_pos2::validate_proof_v2(
        params.group_id.as_bytes(),
        params.index.get(),
        params.size.get(),
        params.strength.get(),
        META_GROUP,
        challenge.as_bytes(),
        &bytes,
    )
    .map(|chain| QualityChain::new(chain.chain_links))
    .ok_or(ProofError::Invalid)
}
