//! The 80-byte header in Bitcoin's layout and the seal that travels beside it (rules HDR-1..7, SEAL-1..2).

use alloc::vec::Vec;

use mass_primitives::{
    BlockId, BodyRoot, ChainId, Decode, DecodeError, Difficulty, Encode, FarmerPublicKey, Height, PlotIndex,
    Reader, SealCommitment, SealSignature, Seed, Slot, Tag, TaggedHasher, VrfOutput, VrfProof,
    tag::double_sha256,
};
use mass_proof_of_space::{GroupIdentity, PlotParams, Proof};

use crate::{difficulty::compact_target, spec::ChainSpec};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 80;

/// A header: `version 4 | parent 32 | root 32 | time 4 | bits 4 | nonce 4`, integers little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// First four bytes of the seal commitment.
    pub version: u32,
    /// Id of the parent.
    pub parent: BlockId,
    /// The ledger's commitment to the body.
    pub root: BodyRoot,
    /// Start of the slot in unix seconds.
    pub time: u32,
    /// Compact target.
    pub bits: u32,
    /// Next four bytes of the seal commitment.
    pub nonce: u32,
}

impl Header {
    /// HDR-1: the id is the double SHA-256 of the 80 bytes.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId::new(double_sha256(&self.to_bytes()))
    }

    /// HDR-7: the header of the genesis block, which no farmer sealed, over the ledger's genesis body.
    #[must_use]
    pub fn genesis(spec: &ChainSpec, root: BodyRoot) -> Self {
        let bits = compact_target(spec.difficulty_initial());
        Self { version: 0, parent: BlockId::ZERO, root, time: spec.rules().genesis_time, bits, nonce: 0 }
    }

    /// Version and nonce that carry a commitment's first 64 bits.
    #[must_use]
    pub fn commitment_fields(commitment: &SealCommitment) -> (u32, u32) {
        let [a, b, c, d, e, f, g, h, ..] = commitment.get();
        (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
    }
}

impl Encode for Header {
    fn encode(&self, out: &mut Vec<u8>) {
        self.version.encode(out);
        self.parent.encode(out);
        self.root.encode(out);
        self.time.encode(out);
        self.bits.encode(out);
        self.nonce.encode(out);
    }
}

impl Decode for Header {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: u32::decode(reader)?,
            parent: BlockId::decode(reader)?,
            root: BodyRoot::decode(reader)?,
            time: u32::decode(reader)?,
            bits: u32::decode(reader)?,
            nonce: u32::decode(reader)?,
        })
    }
}

/// The part of a seal to which the header commits. Every field is fixed by plot, key, slot and chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealClaim {
    /// Chain that the block is for.
    pub chain: ChainId,
    /// Height of the block.
    pub height: Height,
    /// Slot that was won.
    pub slot: Slot,
    /// Difficulty at which it was won.
    pub difficulty: Difficulty,
    /// Seed of the period.
    pub seed: Seed,
    /// Group of the winning plot, with the farmer key.
    pub group: GroupIdentity,
    /// Plot in the group.
    pub index: PlotIndex,
    /// The full proof.
    pub proof: Proof,
    /// VRF output of the round.
    pub vrf_output: VrfOutput,
}

impl SealClaim {
    /// HDR-4: `H("seal", canonical encoding)`.
    #[must_use]
    pub fn commitment(&self) -> SealCommitment {
        SealCommitment::new(TaggedHasher::new(Tag::Seal).chain(self.to_bytes()).finish())
    }

    /// The key that sealed.
    #[must_use]
    pub const fn farmer(&self) -> &FarmerPublicKey {
        &self.group.farmer
    }

    /// The winning plot.
    #[must_use]
    pub fn plot(&self) -> PlotParams {
        PlotParams {
            group_id: self.group.group_id(),
            index: self.index,
            size: self.group.size,
            strength: self.group.strength,
        }
    }
}

impl Encode for SealClaim {
    fn encode(&self, out: &mut Vec<u8>) {
        self.chain.encode(out);
        self.height.encode(out);
        self.slot.encode(out);
        self.difficulty.encode(out);
        self.seed.encode(out);
        self.group.encode(out);
        self.index.encode(out);
        self.proof.write(out);
        self.vrf_output.encode(out);
    }
}

impl Decode for SealClaim {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let chain = ChainId::decode(reader)?;
        let height = Height::decode(reader)?;
        let slot = Slot::decode(reader)?;
        let difficulty = Difficulty::decode(reader)?;
        let seed = Seed::decode(reader)?;
        let group = GroupIdentity::decode(reader)?;
        let index = PlotIndex::decode(reader)?;
        let proof = reader.take(group.size.proof_bytes())?;
        let proof =
            Proof::read(group.size, proof).map_err(|_| DecodeError::Invalid("a proof of another size"))?;
        let vrf_output = VrfOutput::decode(reader)?;
        Ok(Self { chain, height, slot, difficulty, seed, group, index, proof, vrf_output })
    }
}

/// What travels beside a header: the claim, and outside the commitment the proof of its VRF output and the
/// signature over the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The committed part.
    pub claim: SealClaim,
    /// Proof of the VRF output.
    pub vrf_proof: VrfProof,
    /// Signature over the block id.
    pub signature: SealSignature,
}

/// A header with its seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedHeader {
    /// The header.
    pub header: Header,
    /// The seal.
    pub seal: Seal,
}

impl SealedHeader {
    /// Bytes of the encoding at the most (k = 28).
    pub const BYTES_MAX: usize = 1024;

    /// Id of the block.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.header.id()
    }
}

impl Encode for SealedHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        self.seal.claim.encode(out);
        self.seal.vrf_proof.encode(out);
        self.seal.signature.encode(out);
    }
}

impl Decode for SealedHeader {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Header::decode(reader)?;
        let claim = SealClaim::decode(reader)?;
        let vrf_proof = VrfProof::decode(reader)?;
        let signature = SealSignature::decode(reader)?;
        Ok(Self { header, seal: Seal { claim, vrf_proof, signature } })
    }
}
