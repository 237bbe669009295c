//! The self-challenge: a made-up winning challenge, driven from a disk through the solver, the key and the
//! verifier. Nothing is sealed and nothing is sent: what is signed is for a chain that does not exist.

use mass_consensus::keys::{FarmerSecret, verify_seal_signature};
use mass_plot::SolveOptions;
use mass_primitives::{BlockId, ChainId};
use mass_proof_of_space::{PlotParams, verify};
use rand_core::{OsRng, RngCore};

use crate::shelf::Sample;

/// Makes a seal of what a disk has found. The error says at which step it fails, and why.
pub(crate) fn seal(sample: &Sample, secret: &FarmerSecret) -> Result<(), String> {
    let Sample { identity, index, challenge, chain } = sample;
    let group_id = identity.group_id();
    let at = |step: &str, error: String| format!("{step} of plot {index} of group {group_id}: {error}");
    let params = PlotParams { group_id, index: *index, size: identity.size, strength: identity.strength };
    let proof = mass_plot::solve(&params, chain, &SolveOptions::default())
        .map_err(|error| at("solving a proof", error.to_string()))?;
    let verified =
        verify(&params, challenge, &proof).map_err(|error| at("verifying a proof", error.to_string()))?;
    if verified != *chain {
        return Err(at("verifying a proof", "it is of another quality chain".to_owned()));
    }
    let mut id = [0; 32];
    OsRng.fill_bytes(&mut id);
    let id = BlockId::new(id);
    let signature = secret.sign(&ChainId::ZERO, &id, OsRng);
    verify_seal_signature(&identity.farmer, &ChainId::ZERO, &id, &signature)
        .map_err(|_| at("signing a seal", "the key is not the one that the plot is bound to".to_owned()))
}
