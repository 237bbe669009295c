//! The self-challenge: a made-up winning challenge, driven through a disk, the solver, the key and the
//! verifier. Nothing is sealed and nothing is sent: what is signed is for a chain that does not exist.

use std::{sync::Arc, time::Instant};

use mass_consensus::keys::{FarmerSecret, verify_seal_signature};
use mass_plot::{Plot, SolveOptions};
use mass_primitives::{BlockId, ChainId, Challenge, PlotIndex};
use mass_proof_of_space::{QualityChain, verify};
use mass_rpc::farm::Trial;
use rand_core::{OsRng, RngCore};

/// A good plot answers none of so many challenges with odds of about `2^-64`.
const CHALLENGES_MAX: u32 = 64;

/// Tries a plot of a disk out.
pub(crate) fn try_out(disk: String, plot: &Arc<Plot>, secret: &FarmerSecret) -> Trial {
    let start = Instant::now();
    let failure = seal(plot, secret).err();
    let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Trial { disk, failure, milliseconds }
}

/// The error says at which step, and why.
fn seal(plot: &Plot, secret: &FarmerSecret) -> Result<(), String> {
    let at = |step: &'static str| move |error: String| format!("{step} {}: {error}", plot.path().display());
    let (challenge, index, chain) = find(plot).map_err(at("look-up in"))?;
    let proof = plot
        .solve_of(index, &chain, &SolveOptions::default())
        .map_err(|error| at("solving a proof of")(error.to_string()))?;
    let params = plot.params_of(index).ok_or_else(|| at("look-up in")("it has no such plot".to_owned()))?;
    let verified = verify(params, &challenge, &proof);
    let verified = verified.map_err(|error| at("verifying a proof of")(error.to_string()))?;
    if verified != chain {
        return Err(at("verifying a proof of")("it is of another quality chain".to_owned()));
    }
    let id = BlockId::new(random());
    let signature = secret.sign(&ChainId::ZERO, &id, OsRng);
    verify_seal_signature(&plot.identity().farmer, &ChainId::ZERO, &id, &signature)
        .map_err(|_| at("signing for")("the key is not the one that the plot is bound to".to_owned()))
}

/// A challenge that the plot answers, and an answer.
fn find(plot: &Plot) -> Result<(Challenge, PlotIndex, QualityChain), String> {
    for _ in 0..CHALLENGES_MAX {
        let challenge = Challenge::new(random());
        let chains = plot.group_qualities(&challenge).map_err(|error| error.to_string())?;
        if let Some((index, chain)) = chains.into_iter().next() {
            return Ok((challenge, index, chain));
        }
    }
    Err(format!("no answer to {CHALLENGES_MAX} challenges"))
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}
