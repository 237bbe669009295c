//! Tests of the pool: one per refusal and per way out, and properties under random histories.

mod prop;
mod unit;

use mass_primitives::Amount;

use crate::{Entry, EntryId, FeeRate, Limits};

fn limits() -> Limits {
    Limits {
        weight_max: 10_000,
        entries_max: 8,
        min_fee_rate: FeeRate::new(1000),
        expiry_seconds: 100,
        ancestors_max: 3,
    }
}

fn id(number: u8) -> EntryId {
    [number; 32]
}

/// Entry `number` of weight 100; coins are single bytes.
fn entry(number: u8, spends: &[u8], creates: &[u8], fee: u64) -> Entry {
    Entry {
        id: id(number),
        bytes: vec![number],
        spends: spends.iter().map(|key| vec![*key]).collect(),
        creates: creates.iter().map(|key| vec![*key]).collect(),
        fee: Amount::new(fee),
        weight: 100,
    }
}
