//! The door between engine and ledger: a pure function over key-value state that returns a sorted
//! [`StateDelta`]. Whoever stores the state derives the undo from the delta, so a ledger never writes
//! and never rolls back.

use alloc::{collections::BTreeMap, vec::Vec};

use mass_primitives::{BodyRoot, FarmerPublicKey, Height, Slot, StateHash};

/// The state could not be read. This is a fault of the machine, never of the block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state cannot be read: {0}")]
pub struct StateReadError(pub alloc::string::String);

/// Read access to ordered key-value state.
pub trait StateRead {
    /// The value at `key`.
    ///
    /// # Errors
    /// [`StateReadError`] if the medium fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateReadError>;
}

/// Changes of one block, sorted by key. `None` removes the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDelta(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl StateDelta {
    /// No change.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, Some(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }

    /// What this delta says of a key: `None` if it is silent, `Some(None)` if it removes it.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.0.get(key).map(Option::as_deref)
    }

    /// The changes in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Number of keys that change.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// State seen through changes that are not yet stored: a block's later transactions see what its earlier ones did.
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

/// What a ledger may know of the block that it applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockContext {
    /// Height of the block.
    pub height: Height,
    /// Slot of the block.
    pub slot: Slot,
    /// Start of the slot in unix seconds.
    pub time: u32,
    /// Median time of the eleven blocks before (BIP-113).
    pub median_time_past: u32,
    /// Key that sealed the block.
    pub farmer: FarmerPublicKey,
    /// Keys that the block's evidence bans, in order. Their pending rewards are forfeited.
    pub banned: Vec<FarmerPublicKey>,
}

/// What a body commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyCommitment {
    /// The root that the header carries.
    pub root: BodyRoot,
    /// What it carries for the engine.
    pub carried: Carried,
}

/// What a body carries for the engine, which the ledger neither makes nor understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Hash of the block's evidence list (EVD-4); `None` if there is no evidence.
    pub evidence: Option<[u8; 32]>,
    /// Hash of the state after the block's parent (BLK-7); `None` if the block is not the first of a period.
    pub state: Option<StateHash>,
}

/// Why a ledger did not apply a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError<E> {
    /// The body breaks a rule of the ledger.
    #[error(transparent)]
    Invalid(E),
    /// The state could not be read; the block may be good.
    #[error(transparent)]
    State(#[from] StateReadError),
}

/// The rules of a ledger.
pub trait Ledger {
    /// A broken rule.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Body of the genesis block and the state after it.
    fn genesis(&self) -> (Vec<u8>, StateDelta);

    /// What `body` commits to, without looking at any state.
    ///
    /// # Errors
    /// The ledger's error if the body is malformed.
    fn commitment(&self, body: &[u8]) -> Result<BodyCommitment, Self::Error>;

    /// The changes that `body` makes to `state`.
    ///
    /// # Errors
    /// [`ApplyError`] if the body breaks a rule or the state cannot be read.
    fn apply(
        &self,
        state: &dyn StateRead,
        context: &BlockContext,
        body: &[u8],
    ) -> Result<StateDelta, ApplyError<Self::Error>>;
}
