//! One node to a data directory: a second one would take the first one's cookie.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use crate::NodeError;

/// Held for as long as the node runs. The system lets it go when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirLock(#[expect(dead_code, reason = "it is held")] File);

impl DirLock {
    /// Takes the directory for this node alone.
    pub(crate) fn take(dir: &Path) -> Result<Self, NodeError> {
        let path = dir.join("lock");
        let fault = |error: io::Error| NodeError::DataDir(path.clone(), error);
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(NodeError::Locked(dir.to_owned())),
            Err(TryLockError::Error(error)) => Err(fault(error)),
        }
    }
}
