//! The signing guard: a record on disk of the last slot signed per chain and key.
//!
//! Two seals of one key in one slot of a chain cost the key. So a slot is recorded, and the record is on
//! the disk, before there is a [`Permit`], and only a permit signs here. A slot whose record could not be
//! written is lost, never signed.
//!
//! Beside the record lies a lock file, which stays: the record itself is replaced at each write, so a lock
//! on it would guard a file that is gone. The lock file also remembers that there was a record, so that a
//! record that vanished is not taken for a first start.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use mass_consensus::keys::FarmerSecret;
use mass_primitives::{BlockId, ChainId, FarmerPublicKey, SealSignature, Slot};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};

/// Version of the record's format.
const VERSION: u32 = 1;
const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_DIR: u32 = 0o700;

/// Why there is no permit.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// The path names no file.
    #[error("{} names no file", .0.display())]
    Name(PathBuf),
    /// Somebody else uses the record.
    #[error("the signing record {} is in use by another farmer", .0.display())]
    InUse(PathBuf),
    /// The record was here and is gone.
    #[error("the signing record {} is gone; restore it, or remove {} to start anew", path.display(), lock.display())]
    Missing {
        /// The record.
        path: PathBuf,
        /// The lock file that remembers it.
        lock: PathBuf,
    },
    /// The text is no record. Never repaired by itself.
    #[error("not a signing record: {0}")]
    Corrupt(String),
    /// The record is of another version.
    #[error("signing record of version {expected} expected, got {got}")]
    Version {
        /// The version that is understood.
        expected: u32,
        /// The version of the text.
        got: u32,
    },
    /// The slot is not newer than the last one signed.
    #[error("slot {asked} is not after slot {last}, the last one signed on chain {chain}")]
    NotNewer {
        /// The chain.
        chain: ChainId,
        /// The last slot signed.
        last: Slot,
        /// The slot asked for.
        asked: Slot,
    },
    /// The permit is for another key.
    #[error("the permit is for key {expected}, the secret is of key {got}")]
    Key {
        /// The key of the permit.
        expected: FarmerPublicKey,
        /// The key of the secret.
        got: FarmerPublicKey,
    },
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> GuardError + '_ {
    move |source| GuardError::Io { path: path.to_owned(), source }
}

type Slots = BTreeMap<(ChainId, FarmerPublicKey), Slot>;

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    signed: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    chain: ChainId,
    farmer: FarmerPublicKey,
    slot: Slot,
}

/// The record of what was signed, locked for as long as this lives.
#[derive(Debug)]
pub struct SigningGuard {
    path: PathBuf,
    slots: Slots,
    _lock: File,
}

/// The right to one signature: its slot is on the disk. Neither copied nor made elsewhere.
#[derive(Debug)]
#[must_use = "the slot is used up, whether the permit is used or not"]
pub struct Permit {
    chain: ChainId,
    farmer: FarmerPublicKey,
    slot: Slot,
}

impl SigningGuard {
    /// Free bytes of the file system where the record is, if it tells.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        mass_plot::free_bytes(self.path.parent()?).ok()
    }

    /// Opens a record, or starts one where none has ever been.
    ///
    /// # Errors
    /// [`GuardError`]; a record that is in use, damaged or gone is never replaced by an empty one.
    pub fn open(path: &Path) -> Result<Self, GuardError> {
        let path = resolve(path)?;
        let (lock_path, mut lock) = lock(&path)?;
        let mut memory = Vec::new();
        lock.read_to_end(&mut memory).map_err(io_at(&lock_path))?;
        let slots = match fs::read(&path) {
            Ok(bytes) => {
                let text =
                    String::from_utf8(bytes).map_err(|error| GuardError::Corrupt(error.to_string()))?;
                parse(&text)?
            }
            Err(error) if error.kind() == ErrorKind::NotFound && memory.is_empty() => {
                write(&path, &print(&Slots::new()))?;
                Slots::new()
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(GuardError::Missing { path, lock: lock_path });
            }
            Err(error) => return Err(io_at(&path)(error)),
        };
        if memory.is_empty() {
            lock.write_all(b"in use while a farmer runs; a signing record lies beside\n")
                .map_err(io_at(&lock_path))?;
            lock.sync_all().map_err(io_at(&lock_path))?;
            sync_dir(&path)?;
        }
        Ok(Self { path, slots, _lock: lock })
    }

    /// The last slot signed, or given up.
    #[must_use]
    pub fn last(&self, chain: &ChainId, farmer: &FarmerPublicKey) -> Option<Slot> {
        self.slots.get(&(*chain, *farmer)).copied()
    }

    /// Uses up a slot: when this returns a permit, the slot is on the disk.
    ///
    /// # Errors
    /// [`GuardError::NotNewer`]; [`GuardError::Io`], after which the slot is used up as well.
    pub fn permit(
        &mut self,
        chain: &ChainId,
        farmer: &FarmerPublicKey,
        slot: Slot,
    ) -> Result<Permit, GuardError> {
        if let Some(last) = self.last(chain, farmer).filter(|last| slot <= *last) {
            return Err(GuardError::NotNewer { chain: *chain, last, asked: slot });
        }
        self.raise(chain, farmer, slot)?;
        Ok(Permit { chain: *chain, farmer: *farmer, slot })
    }

    /// Gives up all slots up to one that somebody else may have signed.
    ///
    /// # Errors
    /// [`GuardError::Io`].
    pub fn raise(&mut self, chain: &ChainId, farmer: &FarmerPublicKey, slot: Slot) -> Result<(), GuardError> {
        if self.last(chain, farmer).is_some_and(|last| slot <= last) {
            return Ok(());
        }
        // First in memory: whether a write that failed has reached the disk is unknown.
        self.slots.insert((*chain, *farmer), slot);
        write(&self.path, &print(&self.slots))
    }

    /// The record as text, for another machine.
    #[must_use]
    pub fn export(&self) -> String {
        print(&self.slots)
    }

    /// Takes over a text of [`Self::export`]: slots rise, none falls. Returns how many rose.
    ///
    /// # Errors
    /// [`GuardError`]; if the text is no record, nothing has changed.
    pub fn import(&mut self, text: &str) -> Result<usize, GuardError> {
        let mut raised = 0;
        for (key, slot) in parse(text)? {
            if self.slots.get(&key).is_none_or(|last| *last < slot) {
                self.slots.insert(key, slot);
                raised += 1;
            }
        }
        write(&self.path, &print(&self.slots))?;
        Ok(raised)
    }
}

impl Permit {
    /// The slot that may be signed.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Signs the one block of the slot. That the block is of this slot is the caller's to see to.
    ///
    /// # Errors
    /// [`GuardError::Key`] if the secret is not that of the key that the record names.
    pub fn sign<R: RngCore + CryptoRng>(
        self,
        secret: &FarmerSecret,
        id: &BlockId,
        rng: R,
    ) -> Result<SealSignature, GuardError> {
        let got = secret.public();
        if got != self.farmer {
            return Err(GuardError::Key { expected: self.farmer, got });
        }
        Ok(secret.sign(&self.chain, id, rng))
    }
}

fn parse(text: &str) -> Result<Slots, GuardError> {
    let corrupt = |error: serde_json::Error| GuardError::Corrupt(error.to_string());
    let VersionOnly { version } = serde_json::from_str(text).map_err(corrupt)?;
    if version != VERSION {
        return Err(GuardError::Version { expected: VERSION, got: version });
    }
    let record: Record = serde_json::from_str(text).map_err(corrupt)?;
    let mut slots = Slots::new();
    for Entry { chain, farmer, slot } in record.signed {
        if slots.insert((chain, farmer), slot).is_some() {
            return Err(GuardError::Corrupt(format!("two entries of key {farmer} on chain {chain}")));
        }
    }
    Ok(slots)
}

fn print(slots: &Slots) -> String {
    let signed = slots.iter().map(|(&(chain, farmer), &slot)| Entry { chain, farmer, slot }).collect();
    let text = serde_json::to_string_pretty(&Record { version: VERSION, signed });
    // Numbers and hex under fixed names always make JSON.
    text.unwrap_or_else(|_| unreachable!()) + "\n"
}

/// The file itself, so that two names of it meet at one lock. Makes the directory.
fn resolve(path: &Path) -> Result<PathBuf, GuardError> {
    match fs::canonicalize(path) {
        Ok(path) => return Ok(path),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io_at(path)(error)),
    }
    let name = path.file_name().ok_or_else(|| GuardError::Name(path.to_owned()))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(OWNER_ONLY_DIR).create(dir).map_err(io_at(dir))?;
    Ok(fs::canonicalize(dir).map_err(io_at(dir))?.join(name))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn lock(path: &Path) -> Result<(PathBuf, File), GuardError> {
    let lock_path = beside(path, ".lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY);
    let file = options.open(&lock_path).map_err(io_at(&lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok((lock_path, file)),
        Err(TryLockError::WouldBlock) => Err(GuardError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_at(&lock_path)(error)),
    }
}

/// Replaces the record: all of it or none, and on the disk when this returns.
fn write(path: &Path, text: &str) -> Result<(), GuardError> {
    let unfinished = beside(path, ".tmp");
    prepare(&unfinished, text).map_err(io_at(&unfinished))?;
    fs::rename(&unfinished, path).map_err(io_at(path))?;
    sync_dir(path)
}

/// The first half of a write; what a crash after it leaves is overwritten by the next write.
fn prepare(unfinished: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_dir(path: &Path) -> Result<(), GuardError> {
    let dir = path.parent().ok_or_else(|| GuardError::Name(path.to_owned()))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_at(dir))
}

#[cfg(test)]
mod tests;
