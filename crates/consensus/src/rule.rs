//! The number of the rule that is broken, of each error that a header, block, piece of evidence or chain spec can meet:
//! the rules of `docs/spec/consensus.md`, for who counts or compares. The texts of the errors begin with it, too.

use crate::{
    block::BlockError, evidence::EvidenceError, proven::ProvenError, spec::SpecError, tree::LinkError,
};

/// An error that says which rule is broken.
pub trait Numbered {
    /// The number, such as `PRV-4`.
    fn rule(&self) -> &'static str;
}

impl Numbered for ProvenError {
    fn rule(&self) -> &'static str {
        match self {
            Self::Chain { .. } => "PRV-1",
            Self::Plot { .. } => "PRV-2",
            Self::Index { .. } => "PRV-3",
            Self::Commitment => "PRV-4",
            Self::Time { .. } => "PRV-5",
            Self::Bits { .. } => "PRV-6",
            Self::Difficulty { .. } => "PRV-7",
            Self::Filter => "PRV-8",
            Self::Vrf => "PRV-9",
            Self::Proof(_) => "PRV-10",
            Self::Ticket => "PRV-11",
            Self::Signature => "PRV-12",
        }
    }
}

impl Numbered for LinkError {
    fn rule(&self) -> &'static str {
        match self {
            Self::Parent(_) => "LNK-1",
            // The only number that ends before the others is the height.
            Self::Height { .. } | Self::Exhausted => "LNK-2",
            Self::Slot { .. } => "LNK-3",
            Self::Seed | Self::Beacon => "LNK-4",
            Self::Difficulty { .. } => "LNK-5",
            Self::Checkpoint { .. } => "LNK-6",
            Self::BesideCheckpoint { .. } => "LNK-7",
        }
    }
}

impl Numbered for EvidenceError {
    fn rule(&self) -> &'static str {
        match self {
            Self::Unproven(_) => "EVD-1",
            Self::Farmer | Self::Slot { .. } => "EVD-2",
            Self::Order => "EVD-3",
        }
    }
}

impl Numbered for BlockError {
    fn rule(&self) -> &'static str {
        match self {
            Self::Header(error) => error.rule(),
            Self::Evidence(error) => error.rule(),
            Self::Root { .. } => "BLK-1",
            Self::EvidenceCommitment => "BLK-2",
            Self::EvidenceCount { .. } => "BLK-3",
            Self::EvidenceAge { .. } => "BLK-4",
            Self::EvidenceOrder => "BLK-5",
            Self::Banned { .. } => "BLK-6",
            Self::State { .. } => "BLK-7",
        }
    }
}

impl Numbered for SpecError {
    fn rule(&self) -> &'static str {
        match self {
            Self::Syntax(_) | Self::NotCanonical => "SPEC-1",
            Self::Name => "SPEC-2",
            Self::Zero(_) => "SPEC-3",
            Self::StrengthOrder { .. } | Self::Lag { .. } | Self::Difficulty => "SPEC-4",
            Self::Plot => "POS-1",
            Self::Filter { .. } => "FLT-1",
            Self::Beacon(_) => "SEED-2",
            Self::Checkpoints { .. } => "CKP-1",
        }
    }
}
