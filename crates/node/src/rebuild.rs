//! A chain put together anew from what is sound in a damaged store, in a file of its own that takes the place of the damaged
//! one, which is kept.
//!
//! Nothing in the damaged file is believed: each header and body is proven and executed as if a peer had sent it, so what
//! comes out is what a node would have from peers who know as much. What cannot be read is passed over, and asked
//! of peers when the node runs. State, undo, seals and indexes are made by the blocks. Killed at any moment, a rebuild
//! goes on where it was when it is started again.

use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use mass_consensus::spec::ChainSpec;
use mass_primitives::{BlockId, Height};
use mass_storage::{
    Store, StoreError, StoredHeader, Tip,
    check::{Mend, Progress, Report},
};

use crate::{Chain, ChainError, NodeLedger};

/// Headers that are proven at one time.
const HEADERS_AT_ONCE: usize = 512;

/// What became of a damaged store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// The tip that the damaged store says it had.
    pub before: Option<Tip>,
    /// The block whose state the damaged store began with, and the new one does not: the state is of the tip, and the way
    /// back to it is not in the blocks.
    pub base: Option<Tip>,
    /// The tip now.
    pub tip: Option<Tip>,
    /// Height of the best header: what is above the tip is asked of peers.
    pub best: Height,
    /// Headers that could not be read or are not good.
    pub headers_lost: u64,
    /// Bodies of the best chain that are missing, could not be read or are not good, up to the first of which the chain goes.
    pub bodies_lost: u64,
    /// Height below which the damaged store says that blocks were pruned, so that nothing could be executed again.
    pub pruned_below: Option<Height>,
    /// Where the damaged file is now.
    pub kept: PathBuf,
}

/// Why nothing was mended.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The new file cannot be made or does not take what is sound.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A file cannot be moved.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
}

/// Mends in place what storage derives from the rest: indexes are dropped, for the node to build them again, and seals are
/// listed again. Whether that was enough.
///
/// # Errors
/// Fatal ones only.
pub fn mend(store: &Store, report: &Report) -> Result<bool, ChainError> {
    let worst = report.faults.iter().map(|fault| fault.part.mend()).max();
    if worst.is_none_or(|worst| worst == Mend::Rebuild) || report.faults_count > report.faults.len() as u64 {
        return Ok(worst.is_none());
    }
    if report.faults.iter().any(|fault| fault.part.mend() == Mend::Reindex) {
        store.set_indexes(&[])?;
    }
    if worst == Some(Mend::Reseal) {
        store.reseal()?;
    }
    Ok(true)
}

/// Puts the chain of the store at `path` together anew. `unix` is the time.
///
/// # Errors
/// [`RebuildError`]; then the file at `path` is as it was.
pub fn rebuild<L: NodeLedger>(
    path: &Path,
    spec: &ChainSpec,
    unix: u64,
    progress: Progress<'_>,
) -> Result<Rebuilt, RebuildError> {
    let mut done = Rebuilt::default();
    let part = beside(path, "rebuilt");
    let damaged = open_damaged(path, spec)?;
    let mut chain = Chain::<L>::open(&part, spec.clone(), None)?;
    chain.tick(spec.slot_at(unix).unwrap_or_default(), unix)?;
    chain.set_bulk(true)?;
    // One that does not even open has nothing to give.
    if let Some(store) = &damaged {
        fill(&mut chain, store, unix, &mut done, progress)?;
    }
    chain.set_bulk(false)?;
    done.tip = chain.store().tip().map_err(ChainError::from)?;
    done.best = chain.engine().tree().best_height();
    drop((chain, damaged));
    done.kept = publish(&part, path).map_err(|error| RebuildError::File(path.to_owned(), error))?;
    Ok(done)
}

/// The damaged store, if it opens. One that is in use, or of another chain or version, is not damaged and stays where it is.
fn open_damaged(path: &Path, spec: &ChainSpec) -> Result<Option<Store>, ChainError> {
    // What is said of a file is believed only if its pages are what was written.
    match catch_unwind(|| Store::open_verified(path, spec.id(), |_| ())) {
        Ok(Ok(store)) => Ok(Some(store)),
        Ok(Err(error)) if !error.is_fatal() || error.is_full() => Err(error.into()),
        _ => Ok(attempt(|| Store::open(path, spec.id()))),
    }
}

/// What reading gives, unless it fails or panics: the database does not promise to read damage without.
fn attempt<T>(read: impl FnOnce() -> Result<T, StoreError>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()?.ok()
}

/// Gives a chain all that is sound in a store.
fn fill<L: NodeLedger>(
    chain: &mut Chain<L>,
    store: &Store,
    unix: u64,
    done: &mut Rebuilt,
    progress: Progress<'_>,
) -> Result<(), ChainError> {
    done.before = attempt(|| store.tip()).flatten();
    done.pruned_below = attempt(|| store.pruned_below()).flatten();
    done.base = attempt(|| store.base()).flatten();
    let tip = done.before.map_or(0, |tip| tip.height.get());
    let last = attempt(|| store.last_header()).flatten().map_or(tip, |last| last.get().max(tip));
    let mut some = Vec::new();
    for height in 1..=last {
        let found = attempt(|| store.headers_at(Height::new(height)));
        done.headers_lost += u64::from(found.is_none());
        some.extend(found.into_iter().flatten());
        if some.len() >= HEADERS_AT_ONCE || height == last {
            take_headers(chain, std::mem::take(&mut some), unix, done)?;
            progress("headers", height.into(), last.into());
        }
    }
    for evidence in attempt(|| store.evidence()).into_iter().flatten() {
        forgive(chain.take_evidence(&evidence, unix).map(drop))?;
    }
    let best = *chain.engine().tree().best();
    let end = chain.engine().tree().best_height().get();
    for height in 1..=end {
        let Some(id) = chain.engine().tree().ancestor_at(&best, Height::new(height)) else { break };
        if !take_body(chain, store, &id, unix)? {
            // What stands on it waits for it.
            done.bodies_lost = u64::from(height <= tip && done.base.is_none());
            break;
        }
        progress("blocks", height.into(), end.into());
    }
    Ok(())
}

fn take_headers<L: NodeLedger>(
    chain: &mut Chain<L>,
    headers: Vec<StoredHeader>,
    unix: u64,
    done: &mut Rebuilt,
) -> Result<(), ChainError> {
    let bytes: Vec<Vec<u8>> = headers.into_iter().map(|header| header.bytes).collect();
    if forgive(chain.take_headers(&bytes, unix).map(drop))? {
        return Ok(());
    }
    // One of them is bad.
    for bytes in bytes {
        done.headers_lost += u64::from(!forgive(chain.take_headers(&[bytes], unix).map(drop))?);
    }
    Ok(())
}

/// Gives the chain the body of a block; whether the block is in the chain now.
fn take_body<L: NodeLedger>(
    chain: &mut Chain<L>,
    store: &Store,
    id: &BlockId,
    unix: u64,
) -> Result<bool, ChainError> {
    if chain.store().body(id)?.is_some() {
        return Ok(true);
    }
    let (Some(header), Some(Some(body))) = (chain.store().header(id)?, attempt(|| store.body(id))) else {
        return Ok(false);
    };
    let taken = chain.take_block(&[header.bytes, body].concat(), unix);
    Ok(forgive(taken.map(drop))? && chain.store().body(id)?.is_some())
}

/// Whether something was taken. Only a fault of the machine is an error.
fn forgive(taken: Result<(), ChainError>) -> Result<bool, ChainError> {
    match taken {
        Ok(()) => Ok(true),
        Err(error) if error.is_fatal() => Err(error),
        Err(_) => Ok(false),
    }
}

/// A file beside another.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Puts the new file in the place of the damaged one, which gets the first name that is free. At no moment is there none.
fn publish(part: &Path, path: &Path) -> io::Result<PathBuf> {
    let kept = (1..).map(|number: u32| beside(path, &format!("damaged-{number}")));
    let kept = { kept }.find(|kept| !kept.exists()).ok_or(io::ErrorKind::AlreadyExists)?;
    fs::hard_link(path, &kept)?;
    fs::rename(part, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(kept)
}
