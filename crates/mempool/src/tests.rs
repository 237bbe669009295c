//! Tests of the pool: one per refusal and per way out, and random histories against an obvious pool beside it.

mod blocks;
mod estimates;
mod model;
mod orphans;
mod packages;
mod prop;
mod records;
mod unit;

use mass_primitives::Amount;

use crate::{Arrival, Entry, EntryId, FeeRate, Limits, Pool};

fn limits() -> Limits {
    Limits {
        memory_bytes_max: 1_000_000,
        min_fee_rate: FeeRate::new(1000),
        incremental_fee_rate: FeeRate::new(1000),
        expiry_seconds: 100,
        ancestors_max: 4,
        ancestors_weight_max: 10_000,
        descendants_max: 4,
        descendants_weight_max: 10_000,
        replaced_max: 100,
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

fn at(seconds: u64) -> Arrival {
    Arrival { seconds, ..Arrival::default() }
}

fn pool(entries: &[Entry]) -> Pool {
    pool_with(limits(), entries)
}

fn pool_with(limits: Limits, entries: &[Entry]) -> Pool {
    let mut pool = Pool::new(limits);
    for entry in entries {
        assert_eq!(pool.admit(entry.clone(), at(0)), Ok(vec![]));
    }
    pool
}

/// Room for so many entries of two coins.
fn room_for(entries: usize) -> Limits {
    Limits { memory_bytes_max: entries * entry(1, &[1], &[2], 0).memory_bytes(), ..limits() }
}
