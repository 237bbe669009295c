//! Transactions, and when what they wrote is on disk.
//!
//! A commit is all of its transaction or none of it, whatever happens. By itself it is durable too: what is written is on
//! disk when the operation returns. That costs the disk two syncs, which is nothing once in many seconds and most of the
//! time of a first synchronisation. So who writes many blocks that could be had again gives the store [`Slack`]: commits
//! follow each other in memory, seen by all reads at once, until as many or as large ones are waiting, and go to disk
//! together. A crash then loses the tail that was not yet on disk, and the store is the one of some block before.
//!
//! Durable commits have two phases: the single-phase commit of the database trusts a checksum that is not
//! cryptographic, and blocks are bytes that strangers choose.
//!
//! After a fatal error the handle does nothing more, and says what happened.

use std::sync::{MutexGuard, PoisonError};

use redb::{Durability, WriteTransaction};

use crate::{Store, StoreError};

/// What a crash may lose: as many commits, or commits of as many bytes, whichever is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slack {
    /// Commits at the most.
    pub commits: u32,
    /// Bytes at the most, as far as the store knows them.
    pub bytes: usize,
}

/// Commits that are not on disk yet, and how many there may be.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    slack: Option<Slack>,
    commits: u32,
    bytes: usize,
}

impl Unsynced {
    /// Whether one more commit of so many bytes may stay in memory.
    fn has_room(&self, bytes: usize) -> bool {
        let more = |slack: Slack| {
            self.commits.saturating_add(1) < slack.commits && self.bytes.saturating_add(bytes) < slack.bytes
        };
        self.slack.is_some_and(more)
    }
}

/// Why a handle does nothing more.
#[derive(Debug)]
pub(crate) struct Failure {
    why: String,
    is_full: bool,
}

impl Drop for Store {
    fn drop(&mut self) {
        // Who wants to know whether it was written asks before.
        let _ = self.sync();
    }
}

impl Store {
    /// What a crash may lose from now on; `None`, as at the start, for nothing. With less slack than before, what waits is
    /// written to disk before this returns.
    ///
    /// # Errors
    /// A fatal error.
    pub fn set_slack(&self, slack: Option<Slack>) -> Result<(), StoreError> {
        let is_new = std::mem::replace(&mut self.unsynced().slack, slack) != slack;
        if is_new { self.sync() } else { Ok(()) }
    }

    /// Writes to disk what waits for it.
    ///
    /// # Errors
    /// A fatal error.
    pub fn sync(&self) -> Result<(), StoreError> {
        if self.unsynced().commits == 0 { self.check_alive() } else { self.write(|_| Ok(())) }
    }

    /// Commits that a crash would lose now.
    #[must_use]
    pub fn unsynced_commits(&self) -> u32 {
        self.unsynced().commits
    }

    /// Whether the handle is of use.
    ///
    /// # Errors
    /// [`StoreError::Failed`], with what happened.
    pub fn check_alive(&self) -> Result<(), StoreError> {
        match self.failure.get() {
            None => Ok(()),
            Some(Failure { why, is_full }) => Err(StoreError::Failed { why: why.clone(), is_full: *is_full }),
        }
    }

    /// One transaction, on disk when this returns if `change` succeeds, else aborted. A fatal error ends the handle.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transact(None, change)
    }

    /// [`Store::write`] of something that could be had again: as far as there is slack, it may wait in memory.
    pub(crate) fn write_lax<T>(
        &self,
        bytes: usize,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transact(Some(bytes), change)
    }

    fn transact<T>(
        &self,
        lax: Option<usize>,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = self.try_write(lax, change);
        if let Err(error) = &result
            && error.is_fatal()
        {
            let (why, is_full) = (error.to_string(), error.is_full());
            // The first failure is the one that counts.
            let _ = self.failure.set(Failure { why, is_full });
        }
        result
    }

    fn try_write<T>(
        &self,
        lax: Option<usize>,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check_alive()?;
        let mut txn = self.db.begin_write()?;
        // Another thread's write may have failed while this one waited for its turn.
        self.check_alive()?;
        let waits = lax.filter(|bytes| self.unsynced().has_room(*bytes));
        if waits.is_some() {
            txn.set_durability(Durability::None).map_err(redb::Error::from)?;
        } else {
            txn.set_two_phase_commit(true);
        }
        match change(&txn) {
            Ok(value) => {
                txn.commit()?;
                let mut unsynced = self.unsynced();
                (unsynced.commits, unsynced.bytes) = match waits {
                    Some(bytes) => (unsynced.commits + 1, unsynced.bytes + bytes),
                    None => (0, 0),
                };
                Ok(value)
            }
            Err(error) => {
                let aborted = txn.abort();
                // After a fatal error the end of the transaction only says that there was one.
                if !error.is_fatal() {
                    aborted?;
                }
                Err(error)
            }
        }
    }

    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
