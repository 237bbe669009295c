//! Evidence of double seals, EVD-1 to EVD-4: pieces that hold, pieces that break one rule.

use mass_consensus::{
    evidence::{Evidence, ProvenEvidence, evidence_commitment},
    header::SealedHeader,
    spec::ChainSpec,
    tree::HeaderTree,
};
use mass_primitives::{BlockId, BodyRoot, Decode, Encode, Slot};
use serde::{Deserialize, Serialize};

use crate::{farm::Farm, vectors};

const GENESIS: BlockId = BlockId::new([1; 32]);

/// Pieces on the chain `dev`, as hex.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pieces {
    pass: Vec<String>,
    fail: Vec<String>,
}

/// Three headers of one win, in the order of their ids.
fn twins(farm: &Farm) -> [SealedHeader; 3] {
    let tree = HeaderTree::new(farm.spec.clone(), GENESIS);
    let expected = tree.expectation(&GENESIS, Slot::ZERO).unwrap();
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    let mut twins = [5, 6, 7].map(|body| farm.seal(GENESIS, BodyRoot::new([body; 32]), claim));
    twins.sort_by_key(SealedHeader::id);
    twins
}

fn later(farm: &Farm, than: &SealedHeader) -> SealedHeader {
    let claim = than.seal.claim;
    let next = farm.win(claim.height, claim.slot, claim.seed, claim.difficulty);
    farm.seal(GENESIS, BodyRoot::new([5; 32]), next)
}

/// Two headers as they stand, the order not put right.
fn piece(first: &SealedHeader, second: &SealedHeader) -> String {
    hex::encode([first.to_bytes(), second.to_bytes()].concat())
}

fn ordered(one: SealedHeader, other: SealedHeader) -> String {
    hex::encode(Evidence::new(one, other).to_bytes())
}

fn make(rule: &str) -> Pieces {
    let farm = Farm::new(8);
    let [low, middle, high] = twins(&farm);
    let pass = vec![piece(&low, &middle), piece(&low, &high), piece(&middle, &high)];
    let fail = match rule {
        "EVD-1" => {
            let mut forged = high;
            forged.seal.signature = middle.seal.signature;
            vec![piece(&low, &forged)]
        }
        "EVD-2" => {
            let other = Farm::with_key(8, [8; 32]);
            let stranger = twins(&other)[0];
            vec![ordered(low, later(&farm, &low)), ordered(low, stranger)]
        }
        _ => vec![piece(&middle, &low), piece(&low, &low)],
    };
    Pieces { pass, fail }
}

fn read(text: &str) -> Evidence {
    Evidence::from_bytes(&hex::decode(text).unwrap()).unwrap()
}

#[test]
fn evd_1_2_3() {
    let spec = ChainSpec::built_in("dev").unwrap();
    for rule in ["EVD-1", "EVD-2", "EVD-3"] {
        let pieces = vectors(&format!("evidence/{rule}.json"), || make(rule));
        for text in &pieces.pass {
            assert!(ProvenEvidence::prove(&spec, read(text)).is_ok(), "{rule}");
        }
        assert!(!pieces.fail.is_empty());
        for text in &pieces.fail {
            let verdict = ProvenEvidence::prove(&spec, read(text)).unwrap_err().to_string();
            assert!(verdict.starts_with(&format!("{rule}:")), "{rule}: {verdict}");
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Committed {
    pieces: Vec<String>,
    commitment: Option<String>,
}

#[test]
fn evd_4() {
    let commit = |pieces: &[String]| {
        let list: Vec<Evidence> = pieces.iter().map(|text| read(text)).collect();
        evidence_commitment(&list).map(hex::encode)
    };
    let make = || {
        let pieces = make("EVD-3").pass;
        let lists = [vec![], pieces[..1].to_vec(), pieces[1..].to_vec()];
        lists.map(|pieces| Committed { commitment: commit(&pieces), pieces }).into()
    };
    for case in vectors::<Vec<Committed>>("evidence/EVD-4.json", make) {
        assert_eq!(commit(&case.pieces), case.commitment);
    }
}
