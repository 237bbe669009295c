//! Proofs of many headers on all processors: what a sync and a start wait for.

use std::{num::NonZero, thread};

use mass_consensus::{
    header::SealedHeader,
    proven::{ProvenError, ProvenHeader},
    spec::ChainSpec,
    tree::Restored,
};
use mass_primitives::Decode as _;
use mass_storage::{StoreError, StoredHeader};

use crate::error::ChainError;

/// Fewer headers than this are not worth a thread.
const SHARE_MIN: usize = 32;

/// Headers that are read and proven at one time at the start.
const STORED_AT_ONCE: usize = 4096;

/// Proves headers.
pub(crate) type Prove<'a> = &'a dyn Fn(&[SealedHeader]) -> Vec<Result<ProvenHeader, ProvenError>>;

/// Gives stored headers to `take`, parents first, and says whether each was connected once. They were proven before
/// they were stored; with `prove` they are proven again.
pub(crate) fn read_stored(
    mut stored: impl Iterator<Item = Result<StoredHeader, StoreError>>,
    prove: Option<Prove<'_>>,
    mut take: impl FnMut(&Restored, bool) -> Result<(), ChainError>,
) -> Result<(), ChainError> {
    loop {
        let (mut some, mut connected) = (Vec::new(), Vec::new());
        for header in stored.by_ref().take(STORED_AT_ONCE) {
            let StoredHeader { id, ticket, is_connected, bytes, .. } = header?;
            some.push(Restored { id, ticket, sealed: SealedHeader::from_bytes(&bytes)? });
            connected.push(is_connected);
        }
        if some.is_empty() {
            return Ok(());
        }
        if let Some(prove) = prove {
            check_again(&some, prove)?;
        }
        some.iter().zip(connected).try_for_each(|(header, connected)| take(header, connected))?;
    }
}

fn check_again(headers: &[Restored], prove: Prove<'_>) -> Result<(), ChainError> {
    let sealed: Vec<SealedHeader> = headers.iter().map(|header| header.sealed).collect();
    for (header, proven) in headers.iter().zip(prove(&sealed)) {
        let damaged = |why: String| ChainError::Database(format!("header {}: {why}", header.id));
        let proven = proven.map_err(|error| damaged(error.to_string()))?;
        if Restored::from(&proven) != *header {
            return Err(damaged("its id or its ticket is another".to_owned()));
        }
    }
    Ok(())
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
