//! One prover for all nodes: what one node had proven by the real rules, the next one takes from here.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use mass_consensus::{
    block::{Block, Decoded, Proven},
    evidence::{Evidence, ProvenEvidence},
    header::SealedHeader,
    proven::{ProvenError, ProvenHeader},
    spec::ChainSpec,
};
use mass_ledger_utxo::UtxoLedger;
use mass_node::{Afresh, ChainError, Prover, prove_headers};
use mass_primitives::BlockId;

/// Things by the id of a block; several, for a seal can be changed without changing the id.
struct Known<T>(RwLock<HashMap<BlockId, Vec<T>>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T: Clone> Known<T> {
    fn find(&self, id: &BlockId, is_same: impl Fn(&T) -> bool) -> Option<T> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(id)?.iter().find(|known| is_same(known)).cloned()
    }

    fn keep(&self, id: BlockId, proven: &T) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().push(proven.clone());
    }
}

/// Remembers all that was proven. What was refused is looked at again each time.
#[derive(Default)]
pub struct Remembering {
    headers: Known<ProvenHeader>,
    blocks: Known<Block<Proven>>,
    evidence: RwLock<Vec<ProvenEvidence>>,
}

impl Prover<UtxoLedger> for Remembering {
    fn headers(&self, spec: &ChainSpec, list: &[SealedHeader]) -> Vec<Result<ProvenHeader, ProvenError>> {
        let find = |sealed: &SealedHeader| self.headers.find(&sealed.id(), |known| known.sealed() == sealed);
        let known: Vec<Option<ProvenHeader>> = list.iter().map(find).collect();
        let new = list.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(sealed, _)| *sealed);
        let afresh = prove_headers(spec, &new.collect::<Vec<_>>());
        afresh.iter().flatten().for_each(|proven| self.headers.keep(*proven.id(), proven));
        let mut afresh = afresh.into_iter();
        known.into_iter().filter_map(|known| known.map(Ok).or_else(|| afresh.next())).collect()
    }

    fn block(
        &self,
        spec: &ChainSpec,
        ledger: &UtxoLedger,
        block: Block<Decoded>,
    ) -> Result<Block<Proven>, ChainError> {
        let id = block.sealed().id();
        let is_same = |known: &Block<Proven>| {
            known.header().sealed() == block.sealed()
                && known.body() == block.body()
                && known.evidence() == block.evidence()
        };
        if let Some(proven) = self.blocks.find(&id, is_same) {
            return Ok(proven);
        }
        let proven = Afresh.block(spec, ledger, block)?;
        self.headers.keep(id, proven.header());
        self.blocks.keep(id, &proven);
        Ok(proven)
    }

    fn evidence(&self, spec: &ChainSpec, evidence: Evidence) -> Result<ProvenEvidence, ChainError> {
        let known = self.evidence.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(proven) = known.iter().find(|proven| *proven.evidence() == evidence) {
            return Ok(proven.clone());
        }
        drop(known);
        let proven = Prover::<UtxoLedger>::evidence(&Afresh, spec, evidence)?;
        self.evidence.write().unwrap_or_else(PoisonError::into_inner).push(proven.clone());
        Ok(proven)
    }
}
