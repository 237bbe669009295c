//! Real plots make a real chain of headers: it links over the end of a period, forks are weighed, and a
//! double seal is shown by two headers alone.

mod farm;

use farm::Farm;
use mass_consensus::{
    evidence::{Evidence, EvidenceError, ProvenEvidence, evidence_commitment},
    header::SealedHeader,
    proven::{ProvenError, ProvenHeader},
    tree::HeaderTree,
};
use mass_primitives::{BlockId, BodyRoot, Decode, Encode, Height, Slot};

fn grow(farm: &Farm, tree: &mut HeaderTree, from: BlockId, blocks: usize) -> BlockId {
    (0..blocks).fold(from, |tip, _| {
        let sealed = farm.next(tip, tree.expectation(&tip, Slot::ZERO).unwrap());
        let proven = ProvenHeader::prove(&farm.spec, sealed).unwrap();
        tree.link(&proven).unwrap();
        *proven.id()
    })
}

#[test]
fn a_farm_makes_a_chain() {
    let farm = Farm::new(8);
    let genesis = BlockId::new([1; 32]);
    let mut tree = HeaderTree::new(farm.spec.clone(), genesis);
    let tip = grow(&farm, &mut tree, genesis, 20);
    let node = tree.get(&tip).unwrap();
    assert_eq!(node.height, Height::new(20));
    assert_ne!(node.seed, farm.spec.rules().seed_initial, "height 20 is in period 1");
    assert_eq!(tree.better_than(&tip).next(), None);

    // A shorter branch from height 18 loses, and the way to it leaves and enters the right blocks.
    let base = tree.ancestry(&tip).find(|(_, node)| node.height == Height::new(18)).unwrap().0;
    let claim = {
        let expected = tree.expectation(&base, Slot::ZERO).unwrap();
        farm.win(expected.height, expected.after, expected.seed, expected.difficulty)
    };
    let other = farm.seal(base, BodyRoot::new([8; 32]), claim);
    let proven = ProvenHeader::prove(&farm.spec, other).unwrap();
    tree.link(&proven).unwrap();
    assert_eq!(tree.better_than(&tip).next(), None);
    let (leave, enter) = tree.path(&tip, proven.id()).unwrap();
    assert_eq!((leave.len(), leave[0], enter), (2, tip, vec![*proven.id()]));
    assert!(tree.median_time_past(&tip).unwrap() < node.time);

    the_double_seal_is_evidence(&farm, &tree, base, other);
}

/// `other` was sealed in the slot of the block that follows `base` on the longer branch.
fn the_double_seal_is_evidence(farm: &Farm, tree: &HeaderTree, base: BlockId, other: SealedHeader) {
    let claim = other.seal.claim;
    let twin = farm.seal(base, BodyRoot::new([9; 32]), claim);
    assert!(tree.get(&twin.id()).is_some(), "the twin is the block of the longer branch");
    let evidence = Evidence::new(other, twin);
    assert_eq!(Evidence::new(twin, other), evidence);
    let proven = ProvenEvidence::prove(&farm.spec, evidence).unwrap();
    assert_eq!(*proven.farmer(), farm.secret.public());
    assert_eq!(Evidence::from_bytes(&evidence.to_bytes()), Ok(evidence));
    assert!(evidence_commitment(&[evidence]).is_some() && evidence_commitment(&[]).is_none());

    let same = Evidence::new(twin, twin);
    assert_eq!(ProvenEvidence::prove(&farm.spec, same), Err(EvidenceError::Order));
    let mut forged = other;
    forged.header.root = BodyRoot::new([7; 32]);
    let refused = ProvenEvidence::prove(&farm.spec, Evidence::new(twin, forged));
    assert_eq!(refused, Err(EvidenceError::Unproven(ProvenError::Signature)));
    let next = tree.expectation(&twin.id(), Slot::ZERO).unwrap();
    let later = farm.next(twin.id(), next);
    let refused = ProvenEvidence::prove(&farm.spec, Evidence::new(twin, later));
    assert!(matches!(refused, Err(EvidenceError::Slot { .. })));
}
