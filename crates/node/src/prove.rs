//! Proofs of many headers on all processors: what a sync and a start wait for.

use std::{num::NonZero, thread};

use mass_consensus::{
    header::SealedHeader,
    proven::{ProvenError, ProvenHeader},
    spec::ChainSpec,
};
use mass_primitives::Decode as _;
use mass_storage::{StoreError, StoredHeader};

use crate::error::ChainError;

/// Fewer headers than this are not worth a thread.
const SHARE_MIN: usize = 32;

/// Headers that are read and proven at one time at the start.
const STORED_AT_ONCE: usize = 4096;

/// Has stored headers proven and gives them to `take`, parents first.
pub(crate) fn prove_stored(
    mut stored: impl Iterator<Item = Result<StoredHeader, StoreError>>,
    prove: impl Fn(&[SealedHeader]) -> Vec<Result<ProvenHeader, ProvenError>>,
    mut take: impl FnMut(&ProvenHeader) -> Result<(), ChainError>,
) -> Result<(), ChainError> {
    loop {
        let mut some = Vec::new();
        for header in stored.by_ref().take(STORED_AT_ONCE) {
            some.push(SealedHeader::from_bytes(&header?.bytes)?);
        }
        if some.is_empty() {
            return Ok(());
        }
        for proven in prove(&some) {
            take(&proven.map_err(|error| ChainError::Database(error.to_string()))?)?;
        }
    }
}

/// Proves headers, each by itself, with as many threads as the machine has processors.
pub fn prove_headers(spec: &ChainSpec, list: &[SealedHeader]) -> Vec<Result<ProvenHeader, ProvenError>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = list.len().div_ceil(threads).max(SHARE_MIN);
    if list.len() <= share {
        return ProvenHeader::prove_all(spec, list);
    }
    thread::scope(|scope| {
        let prove = |list| scope.spawn(move || ProvenHeader::prove_all(spec, list));
        let workers: Vec<_> = list.chunks(share).map(prove).collect();
        let proven = workers.into_iter().map(|worker| worker.join().expect("proving does not panic"));
        proven.flatten().collect()
    })
}
