//! The stage **proven**: what a sealed header must show by itself, with no chain at hand (rules PRV-1..12).

use alloc::{sync::Arc, vec::Vec};

use mass_primitives::{BlockId, ChainId, Difficulty, Encode as _, Slot, Ticket};
use mass_proof_of_space::{ProofError, verify};

use crate::{
    difficulty::{DIFFICULTY_MAX, compact_target},
    header::{Header, SealClaim, SealedHeader},
    keys::{Sealing, verify_seal_signature, verify_together, verify_vrf},
    lottery::{challenge, is_asked, lottery_weight, ticket, wins},
    spec::ChainSpec,
};

/// The rule that a sealed header breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvenError {
    /// PRV-1.
    #[error("PRV-1: sealed for chain {got}, this is chain {expected}")]
    Chain {
        /// This chain.
        expected: ChainId,
        /// Chain of the seal.
        got: ChainId,
    },
    /// PRV-2.
    #[error("PRV-2: plots of k={k} and strength {strength} do not count on this chain")]
    Plot {
        /// Size of the plot.
        k: u8,
        /// Strength of the plot.
        strength: u8,
    },
    /// PRV-3.
    #[error("PRV-3: plot index {got} is not below {bound}")]
    Index {
        /// Plots of a group at the most.
        bound: u16,
        /// Index of the seal.
        got: u16,
    },
    /// PRV-4.
    #[error("PRV-4: version and nonce do not carry the seal's commitment")]
    Commitment,
    /// PRV-5.
    #[error("PRV-5: time is {got}, slot {slot} starts at {expected:?}")]
    Time {
        /// Slot of the seal.
        slot: Slot,
        /// Start of the slot, if it has one.
        expected: Option<u32>,
        /// Time of the header.
        got: u32,
    },
    /// PRV-6.
    #[error("PRV-6: bits are {got:08x}, the difficulty's are {expected:08x}")]
    Bits {
        /// Compact target of the difficulty.
        expected: u32,
        /// Bits of the header.
        got: u32,
    },
    /// PRV-7.
    #[error("PRV-7: difficulty {got} is outside the bounds of the chain")]
    Difficulty {
        /// Difficulty of the seal.
        got: Difficulty,
    },
    /// PRV-8.
    #[error("PRV-8: the group is not asked in the round of this slot")]
    Filter,
    /// PRV-9.
    #[error("PRV-9: the VRF output is not proven")]
    Vrf,
    /// PRV-10.
    #[error("PRV-10: {0}")]
    Proof(#[from] ProofError),
    /// PRV-11.
    #[error("PRV-11: the ticket does not win")]
    Ticket,
    /// PRV-12.
    #[error("PRV-12: the signature over the id does not verify")]
    Signature,
}

/// A sealed header that is proven. Copies share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenHeader {
    sealed: Arc<SealedHeader>,
    encoded: Arc<[u8]>,
    id: BlockId,
    ticket: Ticket,
}

impl ProvenHeader {
    /// Checks all rules of the stage, cheap ones first.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn prove(spec: &ChainSpec, sealed: SealedHeader) -> Result<Self, ProvenError> {
        check_cheap(spec, &sealed)?;
        check_vrf(spec, &sealed)?;
        let proven = Self::won(spec, sealed)?;
        proven.check_signature()?;
        Ok(proven)
    }

    /// [`Self::prove`] for each of these, with the VRF proofs and signatures checked together, which is faster. If one of
    /// them does not hold, all are checked one by one.
    #[must_use]
    pub fn prove_all(spec: &ChainSpec, list: &[SealedHeader]) -> Vec<Result<Self, ProvenError>> {
        let keyless: Vec<_> = list.iter().map(|sealed| Self::prove_keyless(spec, *sealed)).collect();
        let sealings: Vec<_> = keyless.iter().flatten().map(|header| header.sealing(spec)).collect();
        if verify_together(spec.id(), &sealings) {
            return keyless;
        }
        let check = |header: Self| {
            check_vrf(spec, &header.sealed)?;
            header.check_signature()?;
            Ok(header)
        };
        keyless.into_iter().map(|header| header.and_then(check)).collect()
    }

    /// All rules but PRV-9 and PRV-12, unless another one is broken: then it is the first of all.
    fn prove_keyless(spec: &ChainSpec, sealed: SealedHeader) -> Result<Self, ProvenError> {
        check_cheap(spec, &sealed)?;
        Self::won(spec, sealed).map_err(|error| check_vrf(spec, &sealed).err().unwrap_or(error))
    }

    /// PRV-10 and PRV-11.
    fn won(spec: &ChainSpec, sealed: SealedHeader) -> Result<Self, ProvenError> {
        let ticket = check_win(spec, &sealed)?;
        let id = sealed.id();
        Ok(Self { encoded: sealed.to_bytes().into(), sealed: Arc::new(sealed), id, ticket })
    }

    fn sealing(&self, spec: &ChainSpec) -> Sealing {
        let (claim, seal) = (&self.sealed.seal.claim, &self.sealed.seal);
        Sealing {
            farmer: *claim.farmer(),
            seed: claim.seed,
            round: spec.round(claim.slot),
            output: claim.vrf_output,
            proof: seal.vrf_proof,
            id: self.id,
            signature: seal.signature,
        }
    }

    /// PRV-12.
    fn check_signature(&self) -> Result<(), ProvenError> {
        let (claim, signature) = (&self.sealed.seal.claim, &self.sealed.seal.signature);
        verify_seal_signature(claim.farmer(), &claim.chain, &self.id, signature)
            .map_err(|_| ProvenError::Signature)
    }

    /// The header and seal.
    #[must_use]
    pub fn sealed(&self) -> &SealedHeader {
        &self.sealed
    }

    /// The encoding of header and seal. Copies share it.
    #[must_use]
    pub const fn encoded(&self) -> &Arc<[u8]> {
        &self.encoded
    }

    /// Id of the block.
    #[must_use]
    pub const fn id(&self) -> &BlockId {
        &self.id
    }

    /// The winning ticket.
    #[must_use]
    pub const fn ticket(&self) -> &Ticket {
        &self.ticket
    }
}

/// PRV-1 to PRV-8, which need neither the curve nor the plot's hash.
fn check_cheap(spec: &ChainSpec, sealed: &SealedHeader) -> Result<(), ProvenError> {
    check_claim(spec, sealed)?;
    check_header(spec, sealed)?;
    check_filter(spec, &sealed.seal.claim)
}

fn check_claim(spec: &ChainSpec, sealed: &SealedHeader) -> Result<(), ProvenError> {
    let claim = &sealed.seal.claim;
    if claim.chain != *spec.id() {
        return Err(ProvenError::Chain { expected: *spec.id(), got: claim.chain });
    }
    if claim.group.size != spec.plot_size() || !spec.allows_strength(claim.group.strength) {
        return Err(ProvenError::Plot { k: claim.group.size.get(), strength: claim.group.strength.get() });
    }
    let bound = spec.rules().group_plots_max;
    if claim.index.get() >= bound {
        return Err(ProvenError::Index { bound, got: claim.index.get() });
    }
    if claim.difficulty < spec.difficulty_min() || claim.difficulty > DIFFICULTY_MAX {
        return Err(ProvenError::Difficulty { got: claim.difficulty });
    }
    Ok(())
}

fn check_header(spec: &ChainSpec, sealed: &SealedHeader) -> Result<(), ProvenError> {
    let (header, claim) = (&sealed.header, &sealed.seal.claim);
    if Header::commitment_fields(&claim.commitment()) != (header.version, header.nonce) {
        return Err(ProvenError::Commitment);
    }
    let expected = spec.slot_time(claim.slot);
    if expected != Some(header.time) {
        return Err(ProvenError::Time { slot: claim.slot, expected, got: header.time });
    }
    let expected = compact_target(claim.difficulty);
    if header.bits != expected {
        return Err(ProvenError::Bits { expected, got: header.bits });
    }
    Ok(())
}

fn check_filter(spec: &ChainSpec, claim: &SealClaim) -> Result<(), ProvenError> {
    let (group, round) = (&claim.group, spec.round(claim.slot));
    if is_asked(spec.beacon_id(), &claim.seed, &group.group_id(), spec.filter(group.strength), round) {
        Ok(())
    } else {
        Err(ProvenError::Filter)
    }
}

fn check_vrf(spec: &ChainSpec, sealed: &SealedHeader) -> Result<(), ProvenError> {
    let (claim, proof) = (&sealed.seal.claim, &sealed.seal.vrf_proof);
    let round = spec.round(claim.slot);
    verify_vrf(claim.farmer(), &claim.chain, &claim.seed, round, &claim.vrf_output, proof)
        .map_err(|_| ProvenError::Vrf)
}

fn check_win(spec: &ChainSpec, sealed: &SealedHeader) -> Result<Ticket, ProvenError> {
    let claim = &sealed.seal.claim;
    let (plot, round) = (claim.plot(), spec.round(claim.slot));
    let chain = verify(&plot, &challenge(spec.beacon_id(), &claim.seed, round), &claim.proof)?;
    let plot_id = mass_proof_of_space::plot_id(&plot.group_id, plot.index);
    let quality = chain.quality(&plot_id, plot.strength);
    let ticket = ticket(&claim.chain, &claim.seed, claim.slot, &quality, &claim.vrf_output);
    if wins(&ticket, lottery_weight(spec, plot.strength), claim.difficulty) {
        Ok(ticket)
    } else {
        Err(ProvenError::Ticket)
    }
}
