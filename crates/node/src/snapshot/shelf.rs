//! The snapshots that a node gives to others: files, so that peers who fetch one neither hold up the loop nor keep the
//! database from using its space again, and so that they outlive a restart.
//!
//! A snapshot is a directory with the sums of its parts in `sums`, and the parts, by number. It is written beside the
//! loop, from a snapshot of the database, and gets its name when it is complete and has the hash that the chain has.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use mass_consensus::state_sum::{STATE_SUM_BYTES, StateSum};
use mass_network::wire::{SUMS_BYTES_MAX, StateOffer, StateRequest, StateResponse};
use mass_primitives::{Encode as _, Height, StateHash, tag::double_sha256};
use mass_storage::{PART_BYTES_MAX, Snapshot, StoreError, Tip};

use super::nothing;

/// Snapshots that are kept: the newest, and the one before, which peers may be fetching.
const KEPT: usize = 2;

/// Name of the file of sums.
pub(super) const SUMS: &str = "sums";

/// Why a snapshot is not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShelfError {
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an entry makes a part of {0} bytes, too long for a message")]
    Entry(usize),
    #[error("the state has hash {got}, but the chain has {expected}: the database is damaged")]
    Hash { got: StateHash, expected: StateHash },
}

/// A snapshot on disk.
#[derive(Debug)]
pub(crate) struct Kept {
    dir: PathBuf,
    offer: StateOffer,
    sums: Vec<u8>,
}

impl Kept {
    pub const fn height(&self) -> Height {
        self.offer.height
    }

    fn open(dir: PathBuf) -> Option<Self> {
        let (height, id) = dir.file_name()?.to_str()?.split_once('-')?;
        let (height, base) = (Height::new(height.parse().ok()?), id.parse().ok()?);
        let sums = fs::read(dir.join(SUMS)).ok()?;
        let parts = u32::try_from(sums.len() / STATE_SUM_BYTES).ok()?;
        Some(Self { dir, offer: StateOffer { height, base, parts, list: double_sha256(&sums) }, sums })
    }
}

/// The snapshots of a node.
#[derive(Debug)]
pub(crate) struct Shelf {
    dir: PathBuf,
    /// Ascending by height.
    kept: Vec<Kept>,
}

impl Shelf {
    /// Opens the directory; what is not complete is removed.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            match Kept::open(path.clone()) {
                Some(found) => kept.push(found),
                None => fs::remove_dir_all(path)?,
            }
        }
        kept.sort_by_key(|kept| kept.offer);
        Ok(Self { dir, kept })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn has(&self, base: &Tip) -> bool {
        self.kept.iter().any(|kept| kept.offer.base == base.id)
    }

    /// Takes a snapshot in and lets the oldest go.
    pub fn put(&mut self, kept: Kept) -> io::Result<()> {
        self.kept.push(kept);
        self.kept.sort_by_key(|kept| kept.offer);
        while self.kept.len() > KEPT {
            fs::remove_dir_all(self.kept.remove(0).dir)?;
        }
        Ok(())
    }

    /// Answers a peer. A file that cannot be read is as good as none.
    pub fn answer(&self, request: &StateRequest) -> StateResponse {
        let find = |base| self.kept.iter().find(|kept| kept.offer.base == base);
        match *request {
            StateRequest::Offers => StateResponse::Offers(self.kept.iter().map(|kept| kept.offer).collect()),
            StateRequest::Sums { base, from } => {
                let from = usize::try_from(from).unwrap_or(usize::MAX).saturating_mul(STATE_SUM_BYTES);
                let rest = find(base).and_then(|kept| kept.sums.get(from..)).unwrap_or_default();
                StateResponse::Sums(rest.iter().take(SUMS_BYTES_MAX).copied().collect())
            }
            StateRequest::Part { base, index } => match find(base).filter(|kept| index < kept.offer.parts) {
                Some(kept) => StateResponse::Part(fs::read(kept.dir.join(index.to_string())).ok()),
                None => nothing(request),
            },
        }
    }
}

/// Writes the state after a block into `dir`.
pub(crate) fn export(
    snapshot: &Snapshot,
    (base, expected): (Tip, StateHash),
    dir: &Path,
) -> Result<Kept, ShelfError> {
    let fault = |path: &Path| {
        let path = path.to_path_buf();
        move |error| ShelfError::File(path, error)
    };
    let path = dir.join(format!("{}-{}", base.height, base.id));
    let unfinished = path.with_extension("tmp");
    fs::create_dir_all(&unfinished).map_err(fault(&unfinished))?;
    let (mut sums, mut whole, mut index) = (Vec::new(), StateSum::new(), 0u32);
    snapshot.parts_at(base.height, |part| {
        let (bytes, sum) = (part.to_bytes(), part.sum());
        if bytes.len() > PART_BYTES_MAX {
            return Err(ShelfError::Entry(bytes.len()));
        }
        let file = unfinished.join(index.to_string());
        fs::write(&file, bytes).map_err(fault(&file))?;
        whole.merge(&sum);
        sum.encode(&mut sums);
        index += 1;
        Ok(())
    })?;
    if whole.hash() != expected {
        return Err(ShelfError::Hash { got: whole.hash(), expected });
    }
    fs::write(unfinished.join(SUMS), &sums).map_err(fault(&unfinished))?;
    fs::rename(&unfinished, &path).map_err(fault(&path))?;
    Kept::open(path.clone()).ok_or_else(|| ShelfError::File(path, io::ErrorKind::InvalidData.into()))
}
