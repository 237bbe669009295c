//! Bytes are a proof of at most one size, and are what that proof writes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mass_proof_of_space::{PlotSize, Proof};

fuzz_target!(|data: &[u8]| {
    for size in (18..=28).filter_map(|k| PlotSize::new(k).ok()) {
        match Proof::read(size, data) {
            Ok(proof) => {
                let mut bytes = Vec::new();
                proof.write(&mut bytes);
                assert_eq!(bytes, data);
                assert_eq!(Proof::new(size, *proof.x_values()), Ok(proof));
            }
            Err(_) => assert_ne!(data.len(), size.proof_bytes()),
        }
    }
});
