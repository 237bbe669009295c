//! Lock times: absolute (BIP-113) and relative (BIP-68).

use bitcoin::{Sequence, absolute::LockTime};

use super::chain::{Chain, Person, START, unsigned};
use crate::LedgerError;

/// Checks a payment of a coin made at height 1 (median time `START`) in the block at height 4 (median
/// time `START + 300`).
fn check(version: i32, lock_time: u32, sequence: u32) -> Result<(), LedgerError> {
    let mut chain = Chain::new();
    let (outpoint, coin) = chain.faucet().remove(0);
    let first = unsigned(&[outpoint], &[(1_000, Person::new(2).p2tr())]);
    let first = Person::new(1).sign(first, &[coin]);
    let (outpoint, coin) = chain.check(&first).unwrap().creates.remove(0);
    chain.block(1, &[], &[first]).unwrap();
    chain.block(1, &[], &[]).unwrap();
    chain.block(1, &[], &[]).unwrap();
    let mut tx = unsigned(&[outpoint], &[(900, Person::new(3).p2tr())]);
    tx.version.0 = version;
    tx.lock_time = LockTime::from_consensus(lock_time);
    tx.input[0].sequence = Sequence(sequence);
    chain.check(&Person::new(2).sign(tx, &[coin])).map(|_| ())
}

#[test]
fn absolute_locks() {
    let opens = |lock_time, sequence| check(1, lock_time, sequence).is_ok();
    assert!(opens(3, 0) && !opens(4, 0));
    assert!(opens(START + 299, 0) && !opens(START + 300, 0));
    assert!(opens(4, u32::MAX), "final inputs turn the lock off");
}

#[test]
fn relative_locks() {
    let opens = |version, sequence| check(version, 0, sequence).is_ok();
    assert!(opens(2, 3) && !opens(2, 4));
    assert!(opens(1, 4), "version 1 has no relative locks");
    assert!(opens(2, 1 << 31 | 4));
    assert!(opens(2, 1 << 22) && !opens(2, 1 << 22 | 1));
}
