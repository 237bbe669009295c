//! VRF-1 and SIG-1 for many headers at a time, as one sum of points. It costs a third of one by one; if the sum is not
//! zero, it does not say whose fault that is.
//!
//! Each header has three equations, in which the hashes `c` and `k` are as in one by one:
//!
//! ```text
//! VRF-1   s G + c P - R = 0      SIG-1   s' G - k P - R' = 0
//!         s h + c y - H = 0
//! ```
//!
//! Each is multiplied by a factor of 128 bits of its own and all are summed. The group has prime order, and bytes of a
//! point that are not canonical are refused, so a sum of zero means that each equation holds, but for one chance in
//! `2^128`. The factors are drawn from a hash of everything that is checked: on each machine a batch says the same,
//! and two faults cannot be made to cancel each other.

use alloc::{collections::BTreeMap, vec::Vec};
use core::mem;

use curve25519_dalek::{
    constants::RISTRETTO_BASEPOINT_POINT,
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
    traits::{IsIdentity as _, VartimeMultiscalarMul as _},
};
use mass_primitives::{
    BlockId, ChainId, FarmerPublicKey, Round, SealSignature, Seed, Tag, TaggedHasher, VrfOutput, VrfProof,
};
use schnorrkel::{
    PublicKey,
    context::{SigningContext, SigningTranscript as _, signing_context},
    vrf::{KUSAMA_VRF, VRFPreOut, VRFProofBatchable},
};

use super::{seal_message, vrf_input, vrf_transcript};

/// What the key of one sealed header answers for.
#[derive(Clone, Copy, Debug)]
pub struct Sealing {
    /// The key.
    pub farmer: FarmerPublicKey,
    /// Seed of the period.
    pub seed: Seed,
    /// Round that was won.
    pub round: Round,
    /// VRF output of the round.
    pub output: VrfOutput,
    /// Its proof.
    pub proof: VrfProof,
    /// The block that is signed.
    pub id: BlockId,
    /// Signature over the id.
    pub signature: SealSignature,
}

/// Whether VRF-1 and SIG-1 hold for all of these.
#[must_use]
pub fn verify_together(chain: &ChainId, list: &[Sealing]) -> bool {
    let mut factors = Factors::of(chain, list);
    let contexts = [Tag::Vrf, Tag::SealSignature].map(|tag| signing_context(tag.text().as_bytes()));
    let mut sum = Sum::default();
    let all_are_read = list.iter().try_for_each(|sealing| sum.add(&contexts, chain, sealing, &mut factors));
    all_are_read.is_some() && sum.comes_to_zero()
}

/// A sum of multiples of points. The base point and a key that comes more than once stand in it once.
#[derive(Default)]
struct Sum {
    base: Scalar,
    keys: BTreeMap<FarmerPublicKey, (PublicKey, Scalar)>,
    scalars: Vec<Scalar>,
    points: Vec<RistrettoPoint>,
}

impl Sum {
    /// Adds the three equations of a header, the other way round: `R` and the like are then multiplied by a factor as
    /// short as it is. `None` if there are bytes that stand for no point or scalar.
    #[allow(clippy::arithmetic_side_effects, reason = "scalars are modulo the order of the group")]
    fn add(
        &mut self,
        [vrf, signing]: &[SigningContext; 2],
        chain: &ChainId,
        sealing: &Sealing,
        factors: &mut Factors,
    ) -> Option<()> {
        let key = self.key(&sealing.farmer)?;
        let output = VRFPreOut::from_bytes(sealing.output.as_bytes()).ok()?;
        let input = vrf.bytes(&vrf_input(chain, &sealing.seed, sealing.round));
        let in_out = output.attach_input_hash(&key, input).ok()?;
        let [r, h_r, s] = thirds(sealing.proof.as_bytes());
        let proof = VRFProofBatchable::from_bytes(sealing.proof.as_bytes()).ok()?;
        let short = proof.shorten_dleq(vrf_transcript(), &key, &in_out, KUSAMA_VRF).to_bytes();
        let ([c, _], s) = (halves(&short), scalar(s)?);
        let c = scalar(c)?;
        let (r_signed, s_signed) = read_signature(&sealing.signature)?;
        let mut transcript = signing.bytes(&seal_message(chain, &sealing.id));
        transcript.proto_name(b"Schnorr-sig");
        transcript.commit_point(b"sign:pk", key.as_compressed());
        transcript.commit_point(b"sign:R", &r_signed);
        let k: Scalar = transcript.challenge_scalar(b"sign:c");

        let [z, z_input, z_signed] = [factors.draw(), factors.draw(), factors.draw()];
        self.base -= z * s + z_signed * s_signed;
        if let Some((_, multiple)) = self.keys.get_mut(&sealing.farmer) {
            *multiple += z_signed * k - z * c;
        }
        self.term(z, CompressedRistretto(r).decompress()?);
        self.term(z_input, CompressedRistretto(h_r).decompress()?);
        self.term(z_signed, r_signed.decompress()?);
        self.term(-(z_input * s), *in_out.input.as_point());
        self.term(-(z_input * c), *in_out.output.as_point());
        Some(())
    }

    fn key(&mut self, farmer: &FarmerPublicKey) -> Option<PublicKey> {
        if let Some((key, _)) = self.keys.get(farmer) {
            return Some(*key);
        }
        let key = PublicKey::from_bytes(farmer.as_bytes()).ok()?;
        self.keys.insert(*farmer, (key, Scalar::ZERO));
        Some(key)
    }

    fn term(&mut self, scalar: Scalar, point: RistrettoPoint) {
        self.scalars.push(scalar);
        self.points.push(point);
    }

    fn comes_to_zero(mut self) -> bool {
        self.term(self.base, RISTRETTO_BASEPOINT_POINT);
        for (key, multiple) in mem::take(&mut self.keys).into_values() {
            self.term(multiple, *key.as_point());
        }
        RistrettoPoint::vartime_multiscalar_mul(self.scalars, self.points).is_identity()
    }
}

/// The point and the scalar of a signature, whose highest bit must be set as a mark.
fn read_signature(signature: &SealSignature) -> Option<(CompressedRistretto, Scalar)> {
    let [point, mut marked] = halves(signature.as_bytes());
    let last = marked.last_mut()?;
    let is_marked = *last & 0x80 != 0;
    *last &= 0x7f;
    is_marked.then_some((CompressedRistretto(point), scalar(marked)?))
}

fn scalar(bytes: [u8; 32]) -> Option<Scalar> {
    Scalar::from_canonical_bytes(bytes).into_option()
}

fn halves(bytes: &[u8; 64]) -> [[u8; 32]; 2] {
    let (parts, _) = bytes.as_chunks();
    parts.try_into().unwrap_or_default()
}

fn thirds(bytes: &[u8; 96]) -> [[u8; 32]; 3] {
    let (parts, _) = bytes.as_chunks();
    parts.try_into().unwrap_or_default()
}

/// Factors that follow from a hash.
struct Factors {
    hash: [u8; 32],
    drawn: u64,
}

impl Factors {
    fn of(chain: &ChainId, list: &[Sealing]) -> Self {
        let start = TaggedHasher::new(Tag::SealBatch).chain(chain.as_bytes());
        let hash = list.iter().fold(start, |hasher, sealing| {
            let hasher = hasher.chain(sealing.farmer.as_bytes()).chain(sealing.seed.as_bytes());
            let hasher = hasher.chain(sealing.round.get().to_le_bytes()).chain(sealing.output.as_bytes());
            let hasher = hasher.chain(sealing.proof.as_bytes()).chain(sealing.id.as_bytes());
            hasher.chain(sealing.signature.as_bytes())
        });
        Self { hash: hash.finish(), drawn: 0 }
    }

    fn draw(&mut self) -> Scalar {
        let hasher = TaggedHasher::new(Tag::SealBatch).chain(self.hash).chain(self.drawn.to_le_bytes());
        self.drawn = self.drawn.wrapping_add(1);
        let hash = hasher.finish();
        Scalar::from(u128::from_le_bytes(*hash.first_chunk().unwrap_or(&[0; 16])))
    }
}
