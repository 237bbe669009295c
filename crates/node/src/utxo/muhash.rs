//! MuHash3072, the hash of a set that Bitcoin Core makes of all coins: the product modulo `2^3072 - 1103717` of one
//! number for each element, so that the order does not matter. An element's number is the ChaCha20 stream whose key is the
//! SHA-256 of its bytes.

use bitcoin::hashes::{Hash as _, sha256};
use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use ruint::Uint;

/// Bytes of a number.
const NUMBER_BYTES: usize = 384;
/// What the modulus lacks to the power of two.
const GAP: u64 = 1_103_717;

type Number = Uint<3072, 48>;

/// The hash of a set.
#[derive(Clone, Debug)]
pub(super) struct MuHash(Number);

fn modulus() -> Number {
    Number::MAX - Number::from(GAP - 1)
}

fn number(element: &[u8]) -> Number {
    let key = sha256::Hash::hash(element).to_byte_array();
    let mut bytes = [0; NUMBER_BYTES];
    ChaCha20::new(&key.into(), &[0; 12].into()).apply_keystream(&mut bytes);
    Number::from_le_slice(&bytes)
}

impl MuHash {
    /// The hash of the empty set.
    pub(super) const fn new() -> Self {
        Self(Number::ONE)
    }

    /// Adds an element.
    pub(super) fn insert(&mut self, element: &[u8]) {
        self.0 = self.0.mul_mod(number(element), modulus());
    }

    /// The hash in Bitcoin Core's order of digits.
    pub(super) fn finish(&self) -> String {
        let bytes: [u8; NUMBER_BYTES] = self.0.to_le_bytes();
        sha256::Hash::hash(&bytes).to_byte_array().iter().rev().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answer of Bitcoin Core's own test: two elements in, one out.
    #[test]
    fn the_hash_is_bitcoin_cores() {
        let element = |number: u8| {
            let mut bytes = [0; 32];
            bytes[0] = number;
            bytes
        };
        let mut hash = MuHash::new();
        hash.insert(&element(0));
        hash.insert(&element(1));
        let inverse = number(&element(2)).inv_mod(modulus()).unwrap();
        hash.0 = hash.0.mul_mod(inverse, modulus());
        assert_eq!(hash.finish(), "10d312b100cbd32ada024a6646e40d3482fcff103668d2625f10002a607d5863");
    }
}
