//! Sealed headers that are well formed, and bytes that are none: SEAL-1 and SEAL-2.

use mass_consensus::{header::SealedHeader, tree::HeaderTree};
use mass_primitives::{BlockId, Decode, Encode, Slot};
use serde::{Deserialize, Serialize};

use crate::{farm::Farm, vectors};

const GENESIS: BlockId = BlockId::new([1; 32]);

/// Where the group identity stands in a sealed header: version, k, strength.
const GROUP: usize = 80 + 92;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encodings {
    pass: Vec<Encoded>,
    fail: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    bytes: String,
    id: BlockId,
    /// Of the claim, all 32 bytes.
    commitment: String,
}

fn describe(bytes: &[u8]) -> Encoded {
    let sealed = SealedHeader::from_bytes(bytes).unwrap();
    assert_eq!(sealed.to_bytes(), bytes);
    Encoded {
        bytes: hex::encode(bytes),
        id: sealed.id(),
        commitment: sealed.seal.claim.commitment().to_string(),
    }
}

fn make() -> Encodings {
    let farm = Farm::new(8);
    let tree = HeaderTree::new(farm.spec.clone(), GENESIS);
    let good = farm.next(GENESIS, tree.expectation(&GENESIS, Slot::ZERO).unwrap()).to_bytes();
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    // A proof for k = 28 is longer by 160 bytes; a strength without plots at k = 18 is still well formed.
    let mut longer = with(GROUP + 1, 28);
    let at = GROUP + 67 + 2;
    longer.splice(at..at, [0xa5; 160]);
    let pass = [good.clone(), longer, with(GROUP + 2, 17)].map(|bytes| describe(&bytes)).into();
    let fail = [
        with(GROUP, 0),
        with(GROUP, 2),
        with(GROUP + 1, 16),
        with(GROUP + 1, 19),
        with(GROUP + 1, 20),
        with(GROUP + 1, 30),
        with(GROUP + 2, 1),
        with(GROUP + 2, 18),
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0]].concat(),
        vec![],
    ];
    Encodings { pass, fail: fail.map(hex::encode).into() }
}

#[test]
fn seal_1() {
    let file: Encodings = vectors("encoding/SEAL-1.json", make);
    for case in &file.pass {
        let got = describe(&hex::decode(&case.bytes).unwrap());
        assert_eq!((got.id, &got.commitment), (case.id, &case.commitment));
    }
    for text in &file.fail {
        assert!(SealedHeader::from_bytes(&hex::decode(text).unwrap()).is_err(), "{text}");
    }
}
