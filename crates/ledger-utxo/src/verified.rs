//! The transactions whose scripts were found good, remembered from the memory pool to the block.
//!
//! A key commits to all that the verdict depends on: the transaction with its witnesses, what it spends,
//! and the rules. So the cache changes how long a block takes and never whether it is valid. Only good
//! verdicts are kept: what is bad is refused and forgotten.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bitcoin::{
    Wtxid,
    consensus::Encodable,
    hashes::{Hash, HashEngine, sha256},
};

use crate::{interpreter::FLAGS, witness::Spending};

/// Entries of one generation, of which there are two: 8 MiB of keys and tree in all, and never less than
/// the newest of these.
const GENERATION: usize = 65_536;

/// Transactions whose scripts are good.
#[derive(Debug, Default)]
pub(crate) struct Verified(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: BTreeSet<Key>,
    old: BTreeSet<Key>,
}

/// All that a verdict depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The key of a transaction under the rules that hold.
    pub(crate) fn new(wtxid: Wtxid, spending: &Spending<'_>) -> Self {
        let mut engine = sha256::Hash::engine();
        engine.input(b"MASS/verified/v1");
        engine.input(&FLAGS.to_le_bytes());
        engine.input(wtxid.as_byte_array());
        for output in &spending.spent {
            // An engine takes all that it is given.
            let _ = output.consensus_encode(&mut engine);
        }
        Self(sha256::Hash::from_engine(engine).to_byte_array())
    }
}

impl Verified {
    /// Whether the scripts are known to be good.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        let generations = self.lock();
        generations.young.contains(key) || generations.old.contains(key)
    }

    /// Remembers good scripts.
    pub(crate) fn insert(&self, key: Key) {
        let mut generations = self.lock();
        if generations.young.len() >= GENERATION {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert(key);
    }

    /// Every entry is right by itself, so a thread that died while it held the lock left nothing half done.
    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
