//! Farmer keys: sr25519 as in `schnorrkel`, for the lottery's VRF and the seal's signature.
//!
//! Randomness is an argument. A VRF output is unique for key and input; proofs and signatures are not.

mod batch;

use mass_primitives::{
    BlockId, ChainId, FarmerPublicKey, Round, SealSignature, Seed, Tag, VrfOutput, VrfProof,
};
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use schnorrkel::{
    ExpansionMode, Keypair, MiniSecretKey, PublicKey, Signature,
    context::{attach_rng, signing_context},
    vrf::{KUSAMA_VRF, VRFPreOut, VRFProofBatchable},
};

pub use batch::{Sealing, verify_together};

/// The bytes are not a public key, signature, VRF output or VRF proof, or do not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not verify")]
pub struct KeyError;

/// A farmer's secret key. Zeroized when dropped, never printed.
pub struct FarmerSecret(Keypair);

impl FarmerSecret {
    /// The key of a 32-byte secret seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mini = MiniSecretKey::from_bytes(seed);
        // Every 32-byte string is a mini secret key; the length is the only thing checked.
        Self(mini.unwrap_or_else(|_| unreachable!()).expand_to_keypair(ExpansionMode::Ed25519))
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> FarmerPublicKey {
        FarmerPublicKey::new(self.0.public.to_bytes())
    }

    /// VRF-1: output and proof for a round of a chain.
    pub fn evaluate<R: RngCore + CryptoRng>(
        &self,
        chain: &ChainId,
        seed: &Seed,
        round: Round,
        rng: R,
    ) -> (VrfOutput, VrfProof) {
        let extra = attach_rng(vrf_transcript(), rng);
        let input = in_context(Tag::Vrf, &vrf_input(chain, seed, round));
        let (in_out, _, proof) = self.0.vrf_sign_extra(input, extra);
        (VrfOutput::new(in_out.to_preout().to_bytes()), VrfProof::new(proof.to_bytes()))
    }

    /// SIG-1: the signature that seals a block.
    pub fn sign<R: RngCore + CryptoRng>(&self, chain: &ChainId, id: &BlockId, rng: R) -> SealSignature {
        SealSignature::new(
            self.0.sign(attach_rng(in_context(Tag::SealSignature, &seal_message(chain, id)), rng)).to_bytes(),
        )
    }
}

/// VRF-1: checks an output against its proof.
///
/// # Errors
/// [`KeyError`] if it does not verify.
pub fn verify_vrf(
    farmer: &FarmerPublicKey,
    chain: &ChainId,
    seed: &Seed,
    round: Round,
    output: &VrfOutput,
    proof: &VrfProof,
) -> Result<(), KeyError> {
    let key = PublicKey::from_bytes(farmer.as_bytes()).map_err(|_| KeyError)?;
    let output = VRFPreOut::from_bytes(output.as_bytes()).map_err(|_| KeyError)?;
    let proof = VRFProofBatchable::from_bytes(proof.as_bytes()).map_err(|_| KeyError)?;
    let input = in_context(Tag::Vrf, &vrf_input(chain, seed, round));
    let in_out = output.attach_input_hash(&key, input).map_err(|_| KeyError)?;
    let short = proof.shorten_dleq(vrf_transcript(), &key, &in_out, KUSAMA_VRF);
    match key.dleq_verify(vrf_transcript(), &in_out, &short, KUSAMA_VRF) {
        Ok(found) if found == proof => Ok(()),
        _ => Err(KeyError),
    }
}

/// SIG-1: checks a seal's signature.
///
/// # Errors
/// [`KeyError`] if it does not verify.
pub fn verify_seal_signature(
    farmer: &FarmerPublicKey,
    chain: &ChainId,
    id: &BlockId,
    signature: &SealSignature,
) -> Result<(), KeyError> {
    let key = PublicKey::from_bytes(farmer.as_bytes()).map_err(|_| KeyError)?;
    let signature = Signature::from_bytes(signature.as_bytes()).map_err(|_| KeyError)?;
    key.verify(in_context(Tag::SealSignature, &seal_message(chain, id)), &signature).map_err(|_| KeyError)
}

fn vrf_transcript() -> Transcript {
    Transcript::new(b"VRF")
}

fn in_context(tag: Tag, message: &[u8]) -> Transcript {
    signing_context(tag.text().as_bytes()).bytes(message)
}

fn vrf_input(chain: &ChainId, seed: &Seed, round: Round) -> [u8; 72] {
    let mut input = [0u8; 72];
    let (chain_part, rest) = input.split_at_mut(32);
    let (seed_part, round_part) = rest.split_at_mut(32);
    chain_part.copy_from_slice(chain.as_bytes());
    seed_part.copy_from_slice(seed.as_bytes());
    round_part.copy_from_slice(&round.get().to_le_bytes());
    input
}

fn seal_message(chain: &ChainId, id: &BlockId) -> [u8; 64] {
    let mut message = [0u8; 64];
    let (chain_part, id_part) = message.split_at_mut(32);
    chain_part.copy_from_slice(chain.as_bytes());
    id_part.copy_from_slice(id.as_bytes());
    message
}
