//! Data directories with real blocks of the past, for nodes that start in the middle of a chain.

#[path = "../../../consensus/tests/farm/mod.rs"]
mod farm;

use std::{fs, path::Path};

use farm::Farm;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{Chain, export::database};
use mass_primitives::{BlockId, Slot};

use crate::processes::payout;

/// Fills a data directory with so many blocks of farmers with these keys and eight plots each, of which in turn the one
/// seals who wins first; the tip.
pub fn farmed(dir: &Path, keys: &[[u8; 32]], blocks: u32) -> BlockId {
    fs::create_dir_all(dir).unwrap();
    let farms: Vec<Farm> = keys.iter().map(|key| Farm::with_key(8, *key)).collect();
    let spec = &farms[0].spec;
    let mut chain = Chain::<UtxoLedger>::open(&database(dir), spec.clone(), None).unwrap();
    chain.set_bulk(true).unwrap();
    for _ in 0..blocks {
        let expected = chain.expectation(Slot::ZERO).unwrap();
        let wins = farms.iter().map(|farm| {
            (farm, farm.win(expected.height, expected.after, expected.seed, expected.difficulty))
        });
        let (farm, claim) = wins.min_by_key(|(_, claim)| claim.slot).unwrap();
        let unix = spec.slot_time(claim.slot).unwrap().into();
        chain.tick(claim.slot, unix).unwrap();
        let header = chain.prepare(claim, &payout(1)).unwrap();
        let seal = farm.sign(header, claim).seal;
        chain.submit(&header.id(), seal.vrf_proof, seal.signature, unix).unwrap();
    }
    chain.set_bulk(false).unwrap();
    *chain.engine().tip()
}
