//! Mass Net's bodies and coins: bytes are refused, or are the one encoding of what they say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mass_ledger_utxo::{Coin, PendingReward, Supply, body::Body};
use mass_primitives::{Decode, Encode};

fn canonical<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 4 {
        0 => canonical::<Coin>(bytes),
        1 => canonical::<PendingReward>(bytes),
        2 => canonical::<Supply>(bytes),
        _ => drop(Body::decode(bytes, 4_000_000)),
    }
});
