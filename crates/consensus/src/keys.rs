//! Farmer keys: sr25519 as in `schnorrkel`, for the lottery's VRF and the seal's signature.
//!
//! Randomness is an argument. A VRF output is unique for key and input; proofs and signatures are not.

use alloc::vec::Vec;

use mass_primitives::{
    BlockId, ChainId, FarmerPublicKey, Round, SealSignature, Seed, Tag, TaggedHasher, VrfOutput, VrfProof,
};
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use schnorrkel::{
    ExpansionMode, Keypair, MiniSecretKey, PublicKey, Signature,
    context::{attach_rng, signing_context},
    verify_batch_rng,
    vrf::{VRFPreOut, VRFProof},
};

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
        let extra = attach_rng(Transcript::new(b"VRF"), rng);
        let (in_out, proof, _) = self.0.vrf_sign_extra(vrf_input(chain, seed, round), extra);
        (VrfOutput::new(in_out.to_preout().to_bytes()), VrfProof::new(proof.to_bytes()))
    }

    /// SIG-1: the signature that seals a block.
    pub fn sign<R: RngCore + CryptoRng>(&self, chain: &ChainId, id: &BlockId, rng: R) -> SealSignature {
        SealSignature::new(self.0.sign(attach_rng(seal_message(chain, id), rng)).to_bytes())
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
    let proof = VRFProof::from_bytes(proof.as_bytes()).map_err(|_| KeyError)?;
    key.vrf_verify(vrf_input(chain, seed, round), &output, &proof).map(drop).map_err(|_| KeyError)
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
    key.verify(seal_message(chain, id), &signature).map_err(|_| KeyError)
}

/// SIG-1 for many at a time, each a key, a block id and a signature: whether all verify. It costs less than one by
/// one; if one does not verify, it does not say which.
///
/// The equations are summed with factors that are drawn from a hash of everything that is checked, the `s` of the
/// signatures too, which the crate's own deterministic batches leave out: two faults made to cancel each other would
/// else be good together and bad alone, and nodes would part.
#[must_use]
pub fn verify_seal_signatures(chain: &ChainId, list: &[(FarmerPublicKey, BlockId, SealSignature)]) -> bool {
    let mut factors = TaggedHasher::new(Tag::SealBatch).chain(chain.as_bytes());
    let (mut keys, mut signatures) = (Vec::new(), Vec::new());
    for (farmer, id, signature) in list {
        factors = factors.chain(farmer.as_bytes()).chain(id.as_bytes()).chain(signature.as_bytes());
        let key = PublicKey::from_bytes(farmer.as_bytes());
        let (Ok(key), Ok(signature)) = (key, Signature::from_bytes(signature.as_bytes())) else {
            return false;
        };
        keys.push(key);
        signatures.push(signature);
    }
    let messages = list.iter().map(|(_, id, _)| seal_message(chain, id));
    let factors = Factors { hash: factors.finish(), drawn: 0 };
    verify_batch_rng(messages, &signatures, &keys, true, factors).is_ok()
}

/// Bytes that follow from a hash.
struct Factors {
    hash: [u8; 32],
    drawn: u64,
}

impl RngCore for Factors {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(32) {
            let hasher = TaggedHasher::new(Tag::SealBatch).chain(self.hash).chain(self.drawn.to_le_bytes());
            self.drawn = self.drawn.wrapping_add(1);
            piece.iter_mut().zip(hasher.finish()).for_each(|(to, from)| *to = from);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Factors {}

fn vrf_input(chain: &ChainId, seed: &Seed, round: Round) -> Transcript {
    let mut input = [0u8; 72];
    let (chain_part, rest) = input.split_at_mut(32);
    let (seed_part, round_part) = rest.split_at_mut(32);
    chain_part.copy_from_slice(chain.as_bytes());
    seed_part.copy_from_slice(seed.as_bytes());
    round_part.copy_from_slice(&round.get().to_le_bytes());
    signing_context(Tag::Vrf.text().as_bytes()).bytes(&input)
}

fn seal_message(chain: &ChainId, id: &BlockId) -> Transcript {
    let mut message = [0u8; 64];
    let (chain_part, id_part) = message.split_at_mut(32);
    chain_part.copy_from_slice(chain.as_bytes());
    id_part.copy_from_slice(id.as_bytes());
    signing_context(Tag::SealSignature.text().as_bytes()).bytes(&message)
}
