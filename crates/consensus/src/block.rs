//! Blocks, whose type changes as trust grows: `Block<Decoded> -> Block<Proven> -> Block<Linked> ->
//! Block<Executed>`. Only this module makes one stage from another, so no stage is skipped (rules BLK-1..7).

use alloc::vec::Vec;
use core::fmt;

use mass_primitives::{
    BlockId, BodyRoot, Decode, DecodeError, Encode, FarmerPublicKey, Height, HeightDelta, Reader, StateHash,
    encoding::{encode_byte_string, encode_list},
};

use crate::{
    evidence::{Evidence, EvidenceError, ProvenEvidence, evidence_commitment},
    header::SealedHeader,
    ledger::{BlockContext, BodyCommitment, StateDelta},
    proven::{ProvenError, ProvenHeader},
    spec::ChainSpec,
};

/// Bytes of a body at the most, whatever the ledger: a full block of Mass Net is below 4,000,000.
pub const BODY_BYTES_MAX: usize = 4 << 20;

/// Pieces of evidence that any chain may allow in a block.
pub const EVIDENCE_MAX: usize = 64;

/// A block at some stage of trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<S> {
    evidence: Vec<Evidence>,
    body: Vec<u8>,
    stage: S,
}

/// Decoded: bounded, canonical, no trailing bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded(SealedHeader);

/// Proven: header and evidence hold by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    header: ProvenHeader,
    evidence: Vec<ProvenEvidence>,
    state: Option<StateHash>,
}

/// Linked: in its place in a chain, its evidence still counts, its farmer may farm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    proven: Proven,
    context: BlockContext,
}

/// Executed: the ledger has taken it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    linked: Linked,
    delta: StateDelta,
}

/// The rule that a block breaks beyond its header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The header is not proven.
    #[error(transparent)]
    Header(#[from] ProvenError),
    /// A piece of evidence does not hold.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// BLK-1.
    #[error("BLK-1: the body has root {got}, the header {expected}")]
    Root {
        /// Root of the header.
        expected: BodyRoot,
        /// Root of the body.
        got: BodyRoot,
    },
    /// BLK-2.
    #[error("BLK-2: the body does not commit to the evidence of the block")]
    EvidenceCommitment,
    /// BLK-3.
    #[error("BLK-3: {got} pieces of evidence, {bound} at the most")]
    EvidenceCount {
        /// Pieces at the most.
        bound: usize,
        /// Pieces found.
        got: usize,
    },
    /// BLK-4.
    #[error("BLK-4: evidence against {farmer} is too old")]
    EvidenceAge {
        /// Key in question.
        farmer: FarmerPublicKey,
    },
    /// BLK-5.
    #[error("BLK-5: evidence must ascend by key and tell of none that is banned already")]
    EvidenceOrder,
    /// BLK-6.
    #[error("BLK-6: farmer {farmer} is banned")]
    Banned {
        /// The sealer.
        farmer: FarmerPublicKey,
    },
    /// BLK-7.
    #[error("BLK-7: the body commits to the state {}, expected {}", Named(got), Named(expected))]
    State {
        /// Hash of the state after the parent, for the first block of a period; nothing for others.
        expected: Option<StateHash>,
        /// What the body commits to.
        got: Option<StateHash>,
    },
}

/// A hash, or that there is none.
struct Named<'a>(&'a Option<StateHash>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(hash) => hash.fmt(f),
            None => f.write_str("nothing"),
        }
    }
}

impl Block<Decoded> {
    /// Puts a block together.
    #[must_use]
    pub const fn new(sealed: SealedHeader, evidence: Vec<Evidence>, body: Vec<u8>) -> Self {
        Self { evidence, body, stage: Decoded(sealed) }
    }

    /// The sealed header.
    #[must_use]
    pub const fn sealed(&self) -> &SealedHeader {
        &self.stage.0
    }

    /// Checks all that needs no chain. `commitment` is what the ledger reads from [`Self::body`].
    ///
    /// # Errors
    /// The first rule broken.
    pub fn prove(self, spec: &ChainSpec, commitment: &BodyCommitment) -> Result<Block<Proven>, BlockError> {
        let expected = self.stage.0.header.root;
        if commitment.root != expected {
            return Err(BlockError::Root { expected, got: commitment.root });
        }
        if evidence_commitment(&self.evidence) != commitment.carried.evidence {
            return Err(BlockError::EvidenceCommitment);
        }
        let bound = usize::try_from(spec.rules().evidence_per_block_max).unwrap_or(EVIDENCE_MAX);
        if self.evidence.len() > bound {
            return Err(BlockError::EvidenceCount { bound, got: self.evidence.len() });
        }
        let header = ProvenHeader::prove(spec, self.stage.0)?;
        let evidence: Result<Vec<_>, _> =
            self.evidence.iter().map(|evidence| ProvenEvidence::prove(spec, *evidence)).collect();
        let stage = Proven { header, evidence: evidence?, state: commitment.carried.state };
        Ok(Block { evidence: self.evidence, body: self.body, stage })
    }
}

impl Block<Proven> {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &ProvenHeader {
        &self.stage.header
    }

    /// The evidence, proven.
    #[must_use]
    pub fn proven_evidence(&self) -> &[ProvenEvidence] {
        &self.stage.evidence
    }

    /// Checks what depends on the chain before it. `is_banned` speaks of the parent's chain;
    /// `median_time_past` is that of the parent.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn link(
        self,
        spec: &ChainSpec,
        is_banned: impl Fn(&FarmerPublicKey) -> bool,
        median_time_past: u32,
    ) -> Result<Block<Linked>, BlockError> {
        let sealed = self.stage.header.sealed();
        let claim = &sealed.seal.claim;
        let mut banned: Vec<FarmerPublicKey> = Vec::new();
        for piece in &self.stage.evidence {
            let farmer = *piece.farmer();
            if is_banned(&farmer) || banned.last().is_some_and(|last| *last >= farmer) {
                return Err(BlockError::EvidenceOrder);
            }
            if is_too_old(spec, piece.height(), claim.height) {
                return Err(BlockError::EvidenceAge { farmer });
            }
            banned.push(farmer);
        }
        let farmer = *claim.farmer();
        if is_banned(&farmer) || banned.contains(&farmer) {
            return Err(BlockError::Banned { farmer });
        }
        let context = BlockContext {
            height: claim.height,
            slot: claim.slot,
            time: sealed.header.time,
            median_time_past,
            farmer,
            banned,
        };
        Ok(Block { evidence: self.evidence, body: self.body, stage: Linked { proven: self.stage, context } })
    }
}

/// BLK-7: whether the block at a height commits to the state before it: the first of each period but the genesis block's.
#[must_use]
pub fn commits_to_state(spec: &ChainSpec, height: Height) -> bool {
    height != Height::ZERO && height.get().checked_rem(spec.rules().period_blocks) == Some(0)
}

/// BLK-4: evidence counts within the window of blocks after the later of its two heights.
#[must_use]
pub fn is_too_old(spec: &ChainSpec, evidence: Height, block: Height) -> bool {
    let window = HeightDelta::new(spec.rules().evidence_window_blocks);
    block.since(evidence).is_some_and(|age| age > window)
}

impl Block<Linked> {
    /// What the ledger may know.
    #[must_use]
    pub const fn context(&self) -> &BlockContext {
        &self.stage.context
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &ProvenHeader {
        &self.stage.proven.header
    }

    /// BLK-7: the first block of a period commits to the state after its parent, whose hash is `before`; others
    /// to none.
    ///
    /// # Errors
    /// [`BlockError::State`].
    pub fn check_state(&self, spec: &ChainSpec, before: &StateHash) -> Result<(), BlockError> {
        let (got, height) = (self.stage.proven.state, self.context().height);
        let expected = commits_to_state(spec, height).then_some(*before);
        if got == expected { Ok(()) } else { Err(BlockError::State { expected, got }) }
    }

    /// The block after the ledger has taken it. `delta` is what [`crate::ledger::Ledger::apply`] returned for
    /// this block.
    #[must_use]
    pub fn executed(self, delta: StateDelta) -> Block<Executed> {
        Block { evidence: self.evidence, body: self.body, stage: Executed { linked: self.stage, delta } }
    }
}

impl Block<Executed> {
    /// The changes of the state.
    #[must_use]
    pub const fn delta(&self) -> &StateDelta {
        &self.stage.delta
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &ProvenHeader {
        &self.stage.linked.proven.header
    }

    /// Keys that the block bans.
    #[must_use]
    pub fn banned(&self) -> &[FarmerPublicKey] {
        &self.stage.linked.context.banned
    }
}

impl<S> Block<S> {
    /// The body, which only the ledger reads.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The evidence.
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// Evidence and body as they are stored and sent beside a header.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode_list(&self.evidence, &mut out);
        encode_byte_string(&self.body, &mut out);
        out
    }
}

impl Encode for Block<Decoded> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.stage.0.encode(out);
        encode_list(&self.evidence, out);
        encode_byte_string(&self.body, out);
    }
}

impl Decode for Block<Decoded> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let sealed = SealedHeader::decode(reader)?;
        let evidence = reader.list(EVIDENCE_MAX)?;
        let body = reader.byte_string(BODY_BYTES_MAX)?.to_vec();
        Ok(Self::new(sealed, evidence, body))
    }
}

/// Where a key is banned: per key the blocks, on any branch, whose evidence bans it.
#[derive(Clone, Debug, Default)]
pub struct Bans(alloc::collections::BTreeMap<FarmerPublicKey, Vec<BlockId>>);

impl Bans {
    /// Notes a ban.
    pub fn note(&mut self, farmer: FarmerPublicKey, block: BlockId) {
        let blocks = self.0.entry(farmer).or_default();
        if !blocks.contains(&block) {
            blocks.push(block);
        }
    }

    /// Blocks that ban `farmer`, on any branch.
    #[must_use]
    pub fn blocks(&self, farmer: &FarmerPublicKey) -> &[BlockId] {
        self.0.get(farmer).map_or(&[], Vec::as_slice)
    }

    /// Keys banned on some branch.
    pub fn farmers(&self) -> impl Iterator<Item = &FarmerPublicKey> {
        self.0.keys()
    }
}
