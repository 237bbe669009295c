//! Who proves what comes in. Only the engine makes a proven header or block, so whoever stands here can remember what was
//! proven once and hand it out again, and can pretend nothing: many nodes in one process prove a block once.

use mass_consensus::{
    block::{Block, BlockError, Decoded, Proven},
    evidence::{Evidence, ProvenEvidence},
    header::SealedHeader,
    ledger::Ledger as _,
    proven::ProvenHeader,
    spec::ChainSpec,
};
use mass_ledger_utxo::UtxoLedger;

use crate::error::ChainError;

/// Proves headers, blocks and evidence of one chain.
pub trait Prover: Send + Sync {
    /// A header.
    ///
    /// # Errors
    /// The rule broken.
    fn header(&self, spec: &ChainSpec, sealed: SealedHeader) -> Result<ProvenHeader, ChainError> {
        Ok(ProvenHeader::prove(spec, sealed).map_err(BlockError::from)?)
    }

    /// A block.
    ///
    /// # Errors
    /// The rule broken.
    fn block(
        &self,
        spec: &ChainSpec,
        ledger: &UtxoLedger,
        block: Block<Decoded>,
    ) -> Result<Block<Proven>, ChainError> {
        let commitment = ledger.commitment(block.body()).map_err(ChainError::Ledger)?;
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

impl Prover for Afresh {}
