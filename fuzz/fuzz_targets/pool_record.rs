//! What a node reads back about its pool: the file is refused, or is the one encoding of what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mass_mempool::{Estimator, PoolRecord};
use mass_primitives::{ChainId, Decode, Encode, tag::double_sha256};

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let chain = ChainId::new([7; 32]);
    match which % 3 {
        0 => drop(PoolRecord::read(bytes, &chain)),
        1 => {
            // Behind a good beginning and with a good checksum.
            let mut good = [&b"MASSPOOL\x01\0\0\0"[..], chain.as_bytes(), bytes].concat();
            let checksum = double_sha256(&good);
            good.extend_from_slice(&checksum);
            if let Ok(record) = PoolRecord::read(&good, &chain) {
                assert_eq!(record.write(&chain), good);
            }
        }
        _ => {
            // An empty record with changes: a good one is longer than inputs are.
            let mut good = Estimator::new().to_bytes();
            for change in bytes.chunks_exact(4) {
                let at =
                    usize::from(u16::from_le_bytes([change[0], change[1]])) * 4 + usize::from(change[2] % 4);
                if let Some(byte) = good.get_mut(at) {
                    *byte ^= change[3];
                }
            }
            if let Ok(estimator) = Estimator::from_bytes(&good) {
                assert_eq!(estimator.to_bytes(), good);
                let _ = estimator.estimate(2, true);
            }
        }
    }
});
