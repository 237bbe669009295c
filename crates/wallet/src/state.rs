//! The state file: what BDK learned from the chain, as a journal of changes.
//!
//! ```text
//! file    "mass-wallet state 1\n"  entry*
//! entry   length u32 le | SHA-256 of the body 32 | body: one change as JSON
//! ```
//!
//! In a wallet with a passphrase the head is `mass-wallet state 2` and a body is sealed under the wallet's key, bound
//! to its place in the file.
//!
//! An entry is made durable before anything relies on it. Whatever is torn or damaged ends the journal there:
//! the entries before it are what the wallet knew at some earlier time, and the next sync goes on from there.
//! So nothing in here is precious, and a fault costs time only. (BDK's own journal, `bdk_file_store`, has no
//! checksums and does not sync; a database is more than a list of changes needs.)
//!
//! Many entries are folded into one when the file is opened; the new file takes the place of the old one at
//! once. The file `lock` beside it keeps other programs away from the whole wallet.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use bdk_wallet::{ChangeSet, chain::Merge as _};
use bitcoin::hashes::{Hash as _, sha256};

use crate::{error::WalletError, vault::Key};

const HEAD: &[u8] = b"mass-wallet state 1\n";
const HEAD_SEALED: &[u8] = b"mass-wallet state 2\n";
const HASH_BYTES: usize = 32;

/// Number of entries from which they are folded into one when the file is opened.
const FOLD_FROM: u32 = 256;

/// The open state file.
pub(crate) struct StateFile {
    path: PathBuf,
    file: File,
    /// Where the next entry goes.
    end: u64,
    key: Option<Key>,
    _lock: File,
}

/// What a journal holds.
struct Journal {
    changes: ChangeSet,
    entries: u32,
    /// Length of the part that is sound.
    end: usize,
}

impl StateFile {
    /// Opens the state file of the wallet in `dir`, whose lock the caller took, or makes it; with what it knows, and
    /// whether a part of it was damaged.
    pub(crate) fn open(
        dir: &Path,
        lock: File,
        key: Option<Key>,
    ) -> Result<(Self, ChangeSet, bool), WalletError> {
        let head = head(key.as_ref());
        let path = dir.join("state");
        let at = |error| WalletError::File(path.clone(), error);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                write_whole(&path, head).map_err(at)?;
                head.to_vec()
            }
            other => other.map_err(at)?,
        };
        let journal = read(&bytes, key.as_ref());
        let file = OpenOptions::new().write(true).open(&path).map_err(at)?;
        let mut state = Self { path, file, end: journal.end as u64, key, _lock: lock };
        let damaged = journal.end < bytes.len().max(head.len());
        if damaged || journal.entries >= FOLD_FROM {
            state.replace(&journal.changes)?;
        }
        Ok((state, journal.changes, damaged))
    }

    /// Adds changes and makes them durable.
    pub(crate) fn append(&mut self, changes: &ChangeSet) -> Result<(), WalletError> {
        let entry = entry(changes, self.key.as_ref(), self.end)?;
        // At a fixed place: what a failed write left is overwritten by the next one.
        let written = self.file.write_all_at(&entry, self.end).and_then(|()| self.file.sync_data());
        written.map_err(|error| WalletError::File(self.path.clone(), error))?;
        self.end += entry.len() as u64;
        Ok(())
    }

    /// Puts these changes in the place of all others.
    pub(crate) fn replace(&mut self, changes: &ChangeSet) -> Result<(), WalletError> {
        let (key, head) = (self.key.as_ref(), head(self.key.as_ref()));
        let bytes = if changes.is_empty() {
            head.to_vec()
        } else {
            [head, &entry(changes, key, head.len() as u64)?].concat()
        };
        let at = |error| WalletError::File(self.path.clone(), error);
        write_whole(&self.path, &bytes).map_err(at)?;
        self.file = OpenOptions::new().write(true).open(&self.path).map_err(at)?;
        self.end = bytes.len() as u64;
        Ok(())
    }
}

impl StateFile {
    /// Writes all anew under another key, or under none.
    pub(crate) fn rekey(&mut self, key: Option<Key>, changes: &ChangeSet) -> Result<(), WalletError> {
        self.key = key;
        self.replace(changes)
    }

    /// What the file knows.
    pub(crate) fn changes(&self) -> Result<ChangeSet, WalletError> {
        let bytes = fs::read(&self.path).map_err(|error| WalletError::File(self.path.clone(), error))?;
        Ok(read(&bytes, self.key.as_ref()).changes)
    }
}

fn head(key: Option<&Key>) -> &'static [u8] {
    if key.is_some() { HEAD_SEALED } else { HEAD }
}

/// Takes the lock of the wallet in `dir`, which keeps other programs away from all of it.
pub(crate) fn lock(dir: &Path) -> Result<File, WalletError> {
    let path = dir.join("lock");
    let at = |error| WalletError::File(path.clone(), error);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(at)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WalletError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(at(error)),
    }
}

fn entry(changes: &ChangeSet, key: Option<&Key>, at: u64) -> Result<Vec<u8>, WalletError> {
    let text = serde_json::to_vec(changes).expect("changes have text keys only");
    let body = match key {
        Some(key) => key.seal(&text, &at.to_le_bytes())?,
        None => text,
    };
    let length = u32::try_from(body.len()).expect("changes are far below 4 GiB");
    Ok([&length.to_le_bytes(), sha256::Hash::hash(&body).as_byte_array().as_slice(), &body].concat())
}

/// All sound entries from the beginning.
fn read(bytes: &[u8], key: Option<&Key>) -> Journal {
    let mut journal = Journal { changes: ChangeSet::default(), entries: 0, end: 0 };
    let Some(mut rest) = bytes.strip_prefix(head(key)) else { return journal };
    while let Some((changes, behind)) = read_entry(rest, key, (bytes.len() - rest.len()) as u64) {
        journal.changes.merge(changes);
        journal.entries = journal.entries.saturating_add(1);
        rest = behind;
    }
    journal.end = bytes.len() - rest.len();
    journal
}

fn read_entry<'a>(bytes: &'a [u8], key: Option<&Key>, at: u64) -> Option<(ChangeSet, &'a [u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (hash, rest) = rest.split_first_chunk::<HASH_BYTES>()?;
    let (body, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    if sha256::Hash::hash(body).as_byte_array() != hash {
        return None;
    }
    let changes = match key {
        Some(key) => serde_json::from_slice(&key.open(body, &at.to_le_bytes())?),
        None => serde_json::from_slice(body),
    };
    Some((changes.ok()?, rest))
}

/// Writes a file that appears complete or not at all, for its owner alone.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = path.with_extension("tmp");
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&staged, path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    let written = write();
    if written.is_err() {
        // Half a file is none; the error that led here matters more than one of tidying up.
        let _ = fs::remove_file(&staged);
    }
    written
}
