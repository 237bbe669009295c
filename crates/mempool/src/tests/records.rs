//! What outlives the node.

use mass_primitives::ChainId;
use proptest::{collection::vec, prelude::*};

use crate::record::{PoolRecord, RecordError, Saved};

const CHAIN: ChainId = ChainId::new([7; 32]);

fn any_record() -> impl Strategy<Value = PoolRecord> {
    let saved = (vec(any::<u8>(), 0..40), any::<u64>()).prop_map(|(bytes, seconds)| Saved { bytes, seconds });
    (vec(saved, 0..5), vec((any::<[u8; 32]>(), any::<i64>()), 0..3), vec(any::<[u8; 32]>(), 0..3))
        .prop_map(|(transactions, deltas, own)| PoolRecord { transactions, deltas, own })
}

proptest! {
    #[test]
    fn records_round_trip_and_any_change_is_found(record in any_record(), at in any::<prop::sample::Index>()) {
        let bytes = record.write(&CHAIN);
        prop_assert_eq!(PoolRecord::read(&bytes, &CHAIN), Ok(record));
        let mut changed = bytes.clone();
        let at = at.index(bytes.len());
        changed[at] ^= 1;
        prop_assert!(PoolRecord::read(&changed, &CHAIN).is_err());
        prop_assert!(PoolRecord::read(&bytes[..at], &CHAIN).is_err());
    }

    #[test]
    fn no_input_panics(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(PoolRecord::read(&bytes, &CHAIN).is_err());
    }
}

#[test]
fn what_is_wrong_is_named() {
    let bytes = PoolRecord::default().write(&CHAIN);
    let other = ChainId::new([8; 32]);
    assert_eq!(PoolRecord::read(&bytes, &other), Err(RecordError::Chain { got: CHAIN, expected: other }));
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert_eq!(PoolRecord::read(&newer, &CHAIN), Err(RecordError::Version { got: 2 }));
    assert_eq!(PoolRecord::read(b"garbage", &CHAIN), Err(RecordError::Magic));
    assert_eq!(PoolRecord::read(&bytes[..bytes.len() - 1], &CHAIN), Err(RecordError::Checksum));
}
