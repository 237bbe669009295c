//! State with changes on top: a block's later transactions see what its earlier ones did.

use mass_consensus::ledger::{StateDelta, StateRead, StateReadError};

/// State seen through changes that are not yet stored.
pub struct Overlay<'a> {
    base: &'a dyn StateRead,
    delta: StateDelta,
}

impl<'a> Overlay<'a> {
    /// No changes on top of `base`.
    #[must_use]
    pub const fn new(base: &'a dyn StateRead) -> Self {
        Self { base, delta: StateDelta::new() }
    }

    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.delta.put(key, value);
    }

    /// Removes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.delta.delete(key);
    }

    /// The changes so far.
    #[must_use]
    pub const fn delta(&self) -> &StateDelta {
        &self.delta
    }

    /// The changes.
    #[must_use]
    pub fn into_delta(self) -> StateDelta {
        self.delta
    }
}

impl StateRead for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateReadError> {
        match self.delta.get(key) {
            Some(change) => Ok(change.map(<[u8]>::to_vec)),
            None => self.base.get(key),
        }
    }
}
