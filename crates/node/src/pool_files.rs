//! Where the pool and its estimates outlive the node: two files in the data directory, written whole and then renamed.
//!
//! Nothing in them is precious. What cannot be read is told and left behind.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mass_mempool::{Estimator, PoolRecord};
use mass_primitives::{ChainId, Decode as _, Encode as _};

use crate::{ledger::NodeLedger, node::Node};

/// How often the files are written.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// Bytes of a file of estimates at the most.
const ESTIMATES_BYTES_MAX: u64 = 16_000_000;

/// Room in a file of a pool for what stands beside its transactions.
const FRAME_BYTES: u64 = 256_000_000;

/// The files, and when they are written next.
#[derive(Debug)]
pub(crate) struct PoolFiles {
    pool: PathBuf,
    estimates: PathBuf,
    due: Instant,
    /// One writes at a time.
    writing: Arc<Mutex<()>>,
}

/// What is to be written, so that the disk need not be waited for.
#[derive(Debug)]
pub(crate) struct Write {
    /// The file of the pool.
    pub(crate) path: PathBuf,
    pool: Vec<u8>,
    estimates: (PathBuf, Vec<u8>),
    writing: Arc<Mutex<()>>,
}

impl PoolFiles {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let [pool, estimates] = ["pool.dat", "fee_estimates.dat"].map(|name| data_dir.join(name));
        Self { pool, estimates, due: Instant::now() + EVERY, writing: Arc::default() }
    }

    /// Gives the node what it knew before it ended.
    pub(crate) fn load<L: NodeLedger>(&self, node: &mut Node<L>) {
        let chain = *node.chain().spec().id();
        let room = node.chain().pool().limits().memory_bytes_max as u64 + FRAME_BYTES;
        let found = read(&self.pool, room).map(|bytes| bytes.map(|bytes| PoolRecord::read(&bytes, &chain)));
        match found {
            Ok(None) => node.restore_pool(PoolRecord::default()),
            Ok(Some(Ok(record))) => node.restore_pool(record),
            Ok(Some(Err(error))) => self.give_up(node, &self.pool, &error),
            Err(error) => self.give_up(node, &self.pool, &error),
        }
        match read(&self.estimates, ESTIMATES_BYTES_MAX) {
            Ok(None) => {}
            Ok(Some(bytes)) => match read_estimates(&bytes, &chain) {
                Some(estimator) => node.chain_mut().restore_estimates(estimator),
                None => tracing::warn!(file = %self.estimates.display(), "no fee estimates of this chain"),
            },
            Err(error) => tracing::warn!(file = %self.estimates.display(), %error, "fee estimates not read"),
        }
    }

    fn give_up<L: NodeLedger>(&self, node: &mut Node<L>, path: &Path, error: &dyn std::error::Error) {
        tracing::warn!(file = %path.display(), %error, "the pool of before cannot be read");
        node.restore_pool(PoolRecord::default());
    }

    /// Whether it is time to write.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// What is to be written now.
    pub(crate) fn prepare<L: NodeLedger>(&mut self, node: &Node<L>, now: Instant) -> Write {
        self.due = now + EVERY;
        let chain = node.chain().spec().id();
        let estimates = [&chain.to_bytes()[..], &node.chain().estimator().to_bytes()].concat();
        Write {
            path: self.pool.clone(),
            pool: node.pool_record().write(chain),
            estimates: (self.estimates.clone(), estimates),
            writing: Arc::clone(&self.writing),
        }
    }
}

fn read_estimates(bytes: &[u8], chain: &ChainId) -> Option<Estimator> {
    let estimates = bytes.strip_prefix(chain.as_bytes())?;
    Estimator::from_bytes(estimates).ok()
}

impl Write {
    /// Writes both files.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn perform(&self) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        write(&self.path, &self.pool)?;
        write(&self.estimates.0, &self.estimates.1)
    }
}

/// The content of a file of at most `max` bytes; `None` if there is none.
fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("longer than {max} bytes")));
    }
    Ok(Some(bytes))
}

/// The file is whole or as it was, whenever the machine ends, and for its owner alone.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = path.with_extension("tmp");
    // What a killed run left there; if it cannot be removed, the next line fails.
    let _ = fs::remove_file(&staged);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_whole_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pool.dat");
        assert!(read(&path, 4).unwrap().is_none());
        for bytes in [&b"four"[..], b"two"] {
            write(&path, bytes).unwrap();
            assert_eq!(read(&path, 4).unwrap().unwrap(), bytes);
        }
        write(&path, b"fives").unwrap();
        assert!(read(&path, 4).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn estimates_of_another_chain_are_not_taken() {
        let (one, other) = (ChainId::new([1; 32]), ChainId::new([2; 32]));
        let bytes = [&one.to_bytes()[..], &Estimator::new().to_bytes()].concat();
        assert!(read_estimates(&bytes, &one).is_some() && read_estimates(&bytes, &other).is_none());
        assert!(read_estimates(&bytes[..40], &one).is_none());
    }
}
