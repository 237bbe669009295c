//! Versions of the tables, and how a file of one becomes a file of the next.
//!
//! A file says which schema it has. One of an older schema is brought up to the present one when it is opened, a step at a
//! time, each step in one durable transaction that ends by raising the version: a kill leaves the version before or the
//! version after, and the next start goes on. One of a newer schema is refused. A step that is released is never
//! changed, for files of its version are out there; each has its file in `crates/node/tests/stores`.

use mass_consensus::state_sum::{StateEntry, StateSum};
use mass_primitives::{BlockId, Encode as _, FarmerPublicKey};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    Store, StoreError,
    store::{corrupt, decode},
    tables::{
        ACTIVE, BANS, Farmer, HEADERS, Id, META, META_SCHEMA, META_STATE_SUM, META_UNDO_FROM, SCHEMA, STATE,
    },
};

/// Oldest schema from which there is a way.
pub const SCHEMA_OLDEST: u32 = 2;

type Step = fn(&WriteTransaction) -> Result<(), StoreError>;

/// How a file of a schema becomes one of the next: the first of these is that of [`SCHEMA_OLDEST`].
const STEPS: &[Step] = &[sum_up_the_state, may_be_pruned];

const _: () = assert!(STEPS.len() as u32 == SCHEMA - SCHEMA_OLDEST, "each schema but the last has its step");

/// The schema that a file has.
pub(crate) fn read(store: &Store) -> Result<u32, StoreError> {
    let meta = store.begin_read()?.open_table(META)?;
    let schema = meta.get(META_SCHEMA)?.ok_or_else(|| corrupt("no schema"))?;
    decode("schema", schema.value())
}

/// Refuses a file for which there is no way to the present schema.
pub(crate) const fn check(got: u32) -> Result<(), StoreError> {
    match got {
        _ if got > SCHEMA => Err(StoreError::NewerSchema { got, expected: SCHEMA }),
        _ if got < SCHEMA_OLDEST => Err(StoreError::OlderSchema { got, oldest: SCHEMA_OLDEST }),
        _ => Ok(()),
    }
}

/// Brings a file up to the present schema, and says from which.
pub(crate) fn migrate(store: &Store) -> Result<u32, StoreError> {
    let from = read(store)?;
    check(from)?;
    let steps = STEPS.iter().zip(SCHEMA_OLDEST..).filter(|(_, schema)| *schema >= from);
    for (step, schema) in steps {
        store.write(|txn| {
            step(txn)?;
            let next = schema.saturating_add(1).to_bytes();
            txn.open_table(META)?.insert(META_SCHEMA, next.as_slice())?;
            Ok(())
        })?;
    }
    Ok(from)
}

/// 2 to 3: the sum over the state (STA-2).
fn sum_up_the_state(txn: &WriteTransaction) -> Result<(), StoreError> {
    let mut meta = txn.open_table(META)?;
    let mut sum = StateSum::new();
    for entry in txn.open_table(STATE)?.iter()? {
        let (key, value) = entry?;
        sum.add(&StateEntry::Ledger { key: key.value(), value: value.value() });
    }
    add_bans(&mut sum, &txn.open_table(BANS)?, &txn.open_table(HEADERS)?, &txn.open_table(ACTIVE)?)?;
    meta.insert(META_STATE_SUM, sum.to_bytes().as_slice())?;
    Ok(())
}

/// 3 to 4: bodies may be gone below the lowest undo, and what is kept may be counted. A file of schema 3 has neither.
fn may_be_pruned(_: &WriteTransaction) -> Result<(), StoreError> {
    Ok(())
}

/// Adds the bans of the active chain to a sum over the state.
pub(crate) fn add_bans(
    sum: &mut StateSum,
    bans: &impl ReadableTable<(Id, Farmer), ()>,
    headers: &impl ReadableTable<Id, (u32, &'static [u8])>,
    active: &impl ReadableTable<u32, Id>,
) -> Result<(), StoreError> {
    for ban in bans.iter()? {
        let (key, _) = ban?;
        let (id, farmer) = key.value();
        let Some(height) = headers.get(id)?.map(|header| header.value().0) else { continue };
        if active.get(height)?.is_some_and(|found| found.value() == id) {
            let (farmer, block) = (FarmerPublicKey::new(*farmer), BlockId::new(*id));
            sum.add(&StateEntry::Ban { farmer: &farmer, block: &block });
        }
    }
    Ok(())
}

/// The height of the lowest undo that a file should have: zero, unless some were pruned.
pub(crate) fn read_undo_from(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<u32, StoreError> {
    let height = meta.get(META_UNDO_FROM)?.map(|bytes| decode("height of the lowest undo", bytes.value()));
    Ok(height.transpose()?.unwrap_or(0))
}
