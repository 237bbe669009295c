//! Headers, seals, blocks, evidence, identities: bytes are refused, or are the one encoding of what they say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mass_consensus::{
    block::{Block, Decoded},
    evidence::Evidence,
    header::{Header, SealClaim, SealedHeader},
    spec::ChainSpec,
};
use mass_primitives::{Decode, Encode};
use mass_proof_of_space::GroupIdentity;

fn canonical<T: Decode + Encode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 7 {
        0 => canonical::<Header>(bytes),
        1 => canonical::<SealClaim>(bytes),
        2 => canonical::<SealedHeader>(bytes),
        3 => canonical::<Evidence>(bytes),
        4 => canonical::<GroupIdentity>(bytes),
        5 => drop(Block::<Decoded>::from_bytes(bytes)),
        _ => drop(std::str::from_utf8(bytes).map(ChainSpec::from_json)),
    }
});
