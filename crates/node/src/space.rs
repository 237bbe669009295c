//! What a node does when the disk is full, or fails.
//!
//! Nothing that was stored is lost then, for a commit is all or nothing; but the database does nothing more until it is opened
//! anew. On a full disk a node that was running says so once, waits until there is room, and goes on from its last
//! block. What else the disk has to say ends the program, with an exit code by which a supervisor can tell.

use std::{error::Error, path::Path, time::Duration};

use mass_storage::StoreError;

use crate::error::ChainError;

/// Room after which a node tries again: twice what it may have written and not synced.
const ROOM_BYTES: u64 = 64 << 20;

/// How often room is looked for. Once there is some, as long is waited for whoever makes it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Exit code of a program that the disk has no room for: `EX_TEMPFAIL`.
pub const EXIT_FULL: u8 = 75;

/// Exit code of a program whose disk or database fails: `EX_IOERR`.
pub const EXIT_FAILED: u8 = 74;

/// What storage said, if it is at the bottom of an error.
fn of_storage(error: &anyhow::Error) -> Option<&StoreError> {
    // An error that only passes on another one's words hides it from the chain of causes.
    error.chain().find_map(|cause: &(dyn Error + 'static)| match cause.downcast_ref::<ChainError>() {
        Some(ChainError::Store(store)) => Some(store),
        _ => cause.downcast_ref::<StoreError>(),
    })
}

/// The exit code that an error gives a program.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match of_storage(error) {
        Some(error) if error.is_full() => EXIT_FULL,
        Some(error) if error.is_fatal() => EXIT_FAILED,
        _ => 1,
    }
}

/// Whether an error is that of a full disk.
pub(crate) fn is_full(error: &anyhow::Error) -> bool {
    of_storage(error).is_some_and(StoreError::is_full)
}

/// Bytes that the user of the program may still write where `dir` is.
fn room(dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Ready once there is room where `dir` is.
pub(crate) async fn wait(dir: &Path) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if room(dir).is_some_and(|room| room >= ROOM_BYTES) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::error::NodeError;

    #[test]
    fn the_exit_code_tells_a_full_disk_from_a_bad_one_and_from_the_rest() {
        let full = || StoreError::Full(io::ErrorKind::StorageFull.into());
        let failed = |is_full| StoreError::Failed { why: "it broke".to_owned(), is_full };
        let code = |error: StoreError| {
            let started = NodeError::Chain("chain.redb".into(), ChainError::Store(error));
            exit_code(&anyhow::Error::new(started).context("outside"))
        };
        assert_eq!([full(), failed(true), failed(false)].map(code), [EXIT_FULL, EXIT_FULL, EXIT_FAILED]);
        assert_eq!(code(StoreError::Locked), 1);
        assert_eq!(exit_code(&ChainError::Store(full()).into()), EXIT_FULL);
        assert_eq!(exit_code(&anyhow::anyhow!("else")), 1);
        assert!(room(Path::new("/")).is_some());
    }
}
