//! Double-seal evidence: two proven headers of one farmer, chain and slot with different ids
//! (rules EVD-1..4). A key that is shown to have sealed twice is banned.

use alloc::vec::Vec;

use mass_primitives::{
    BlockId, Decode, DecodeError, Encode, FarmerPublicKey, Height, Reader, Slot, Tag, TaggedHasher,
    encoding::encode_list,
};

use crate::{
    header::SealedHeader,
    proven::{ProvenError, ProvenHeader},
    spec::ChainSpec,
};

/// Two sealed headers as they came, the one with the lower id first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    first: SealedHeader,
    second: SealedHeader,
}

/// Why two headers are no evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// EVD-1: a header is not proven.
    #[error("EVD-1: {0}")]
    Unproven(#[from] ProvenError),
    /// EVD-2: the headers are of different farmers.
    #[error("EVD-2: sealed by two farmers")]
    Farmer,
    /// EVD-2: the headers are of different slots.
    #[error("EVD-2: sealed in slots {first} and {second}")]
    Slot {
        /// Slot of the first.
        first: Slot,
        /// Slot of the second.
        second: Slot,
    },
    /// EVD-3: the ids are equal or in the wrong order.
    #[error("EVD-3: the ids must differ and ascend")]
    Order,
}

impl Evidence {
    /// Puts two headers in order. Says nothing about their truth: see [`ProvenEvidence::prove`].
    #[must_use]
    pub fn new(one: SealedHeader, other: SealedHeader) -> Self {
        if one.id() <= other.id() {
            Self { first: one, second: other }
        } else {
            Self { first: other, second: one }
        }
    }
}

impl Evidence {
    /// The key that the first header names.
    #[must_use]
    pub const fn farmer(&self) -> &FarmerPublicKey {
        self.first.seal.claim.farmer()
    }

    /// The greater of the two heights, from which the window counts.
    #[must_use]
    pub fn height(&self) -> Height {
        self.first.seal.claim.height.max(self.second.seal.claim.height)
    }
}

impl Encode for Evidence {
    fn encode(&self, out: &mut Vec<u8>) {
        self.first.encode(out);
        self.second.encode(out);
    }
}

impl Decode for Evidence {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { first: SealedHeader::decode(reader)?, second: SealedHeader::decode(reader)? })
    }
}

/// Evidence that holds by itself. Whether it still counts in a block depends on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenEvidence {
    evidence: Evidence,
}

impl ProvenEvidence {
    /// Checks EVD-1..3.
    ///
    /// # Errors
    /// The rule broken.
    pub fn prove(spec: &ChainSpec, evidence: Evidence) -> Result<Self, EvidenceError> {
        let (first, second) = (&evidence.first.seal.claim, &evidence.second.seal.claim);
        if first.farmer() != second.farmer() {
            return Err(EvidenceError::Farmer);
        }
        if first.slot != second.slot {
            return Err(EvidenceError::Slot { first: first.slot, second: second.slot });
        }
        if evidence.first.id() >= evidence.second.id() {
            return Err(EvidenceError::Order);
        }
        ProvenHeader::prove(spec, evidence.first)?;
        ProvenHeader::prove(spec, evidence.second)?;
        Ok(Self { evidence })
    }

    /// Evidence that nobody checked.
    #[cfg(test)]
    pub(crate) const fn believed(evidence: Evidence) -> Self {
        Self { evidence }
    }

    /// The two headers.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The key that sealed twice.
    #[must_use]
    pub const fn farmer(&self) -> &FarmerPublicKey {
        self.evidence.farmer()
    }

    /// Ids of the two blocks.
    #[must_use]
    pub fn ids(&self) -> [BlockId; 2] {
        [self.evidence.first.id(), self.evidence.second.id()]
    }

    /// The greater of the two heights, from which the window counts.
    #[must_use]
    pub fn height(&self) -> Height {
        self.evidence.height()
    }
}

/// EVD-4: what a body commits to for the evidence of its block, `H("evidence", list)`; `None` for no evidence.
#[must_use]
pub fn evidence_commitment(list: &[Evidence]) -> Option<[u8; 32]> {
    let mut bytes = Vec::new();
    encode_list(list, &mut bytes);
    (!list.is_empty()).then(|| TaggedHasher::new(Tag::Evidence).chain(bytes).finish())
}
