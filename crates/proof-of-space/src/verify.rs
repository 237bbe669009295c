//! Plot identity and verification (rules POS-1 to POS-5).
//!
//! The chain is checked before the tables: it costs 16 hashes and refuses nearly everything that is
//! not meant as an answer to the challenge.

use mass_primitives::{Challenge, GroupId, PlotId, PlotIndex};
use sha2::{Digest, Sha256};

use crate::{
    chain,
    fragment::FragmentCipher,
    hash::PlotHash,
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
    /// The bytes have another length than a proof of this size (POS-3).
    #[error("a proof has {expected} bytes, got {got}")]
    Length {
        /// Bytes of a proof.
        expected: usize,
        /// Bytes there are.
        got: usize,
    },
    /// An x-value has more than k bits.
    #[error("x-value {position} has more than {k} bits")]
    XValue {
        /// Which one.
        position: usize,
        /// k of the proof.
        k: u8,
    },
    /// Plots of this strength have no proofs (POS-1).
    #[error("a plot of k={k} and strength {strength} has no proofs")]
    Strength {
        /// k of the plot.
        k: u8,
        /// Strength of the plot.
        strength: u8,
    },
    /// The links are not in the sets of the challenge in turn (POS-12, POS-13): as a rule a proof for another challenge,
    /// of another plot, or in another order.
    #[error("the links are not those that the challenge asks for")]
    Sets,
    /// The running hash does not pass the filter (POS-14, POS-15).
    #[error("the chain breaks at link {link}")]
    Chain {
        /// The first link where it does not.
        link: usize,
    },
    /// Two entries do not match or make no entry (POS-6 to POS-9).
    #[error("the x-values make no entries of table {table}")]
    Table {
        /// The table that lacks the entry.
        table: u8,
    },
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
        return Err(ProofError::Strength { k: params.size.get(), strength: params.strength.get() });
    }
    let plot_id = plot_id(&params.group_id, params.index);
    let cipher = FragmentCipher::new(&plot_id, params.size);
    let mut links = [0; QUALITY_LINKS];
    for (link, xs) in links.iter_mut().zip(proof.x_values().as_chunks().0) {
        *link = cipher.fragment(xs);
    }
    let hash = PlotHash::new(&plot_id);
    chain::check(params, &plot_id, &hash, challenge, &links)?;
    Tables::new(params, &hash).check(proof.x_values())?;
    Ok(QualityChain::new(links))
}

/// POS-1: whether a match target of at least one bit is left beside section and match key.
fn has_plots(params: &PlotParams) -> bool {
    u32::from(params.strength.get()).saturating_add(SECTION_BITS) < u32::from(params.size.get())
}
