//! Who proves what comes in. Only the engine makes a proven header or block, so whoever stands here can remember what was
//! proven once and hand it out again, and can pretend nothing: many nodes in one process prove a block once.

use mass_consensus::{
    block::{Block, BlockError, Decoded, Proven},
    evidence::{Evidence, ProvenEvidence},
    header::SealedHeader,
    proven::{ProvenError, ProvenHeader},
    spec::ChainSpec,
};

use crate::{chain::refusal, error::ChainError, ledger::NodeLedger, prove::prove_headers};

/// Proves headers, blocks and evidence of one chain.
pub trait Prover<L: NodeLedger>: Send + Sync {
    /// Headers, each by itself.
    fn headers(&self, spec: &ChainSpec, list: &[SealedHeader]) -> Vec<Result<ProvenHeader, ProvenError>> {
        prove_headers(spec, list)
    }

    /// A block.
    ///
    /// # Errors
    /// The rule broken.
    fn block(
        &self,
        spec: &ChainSpec,
        ledger: &L,
        block: Block<Decoded>,
    ) -> Result<Block<Proven>, ChainError> {
        let commitment = ledger.commitment(block.body()).map_err(refusal)?;
        Ok(block.prove(spec, &commitment)?)
    }

    /// Evidence of a double seal.
    ///
    /// # Errors
    /// The rule broken.
    fn evidence(&self, spec: &ChainSpec, evidence: Evidence) -> Result<ProvenEvidence, ChainError> {
        Ok(ProvenEvidence::prove(spec, evidence).map_err(BlockError::from)?)
    }
}

/// Proves all afresh.
#[derive(Clone, Copy, Debug, Default)]
pub struct Afresh;

impl<L: NodeLedger> Prover<L> for Afresh {}
