//! A tree that goes on from kept headers judges what comes as the whole tree does.

mod farm;

use farm::Farm;
use mass_consensus::{
    proven::ProvenHeader,
    tree::{HeaderTree, TrailHeader},
};
use mass_primitives::{BlockId, Decode as _, Encode as _, Height, Slot};

#[test]
fn a_resumed_tree_goes_on_as_the_whole_one() {
    let farm = Farm::easy(2, [7; 32]);
    let genesis = BlockId::new([1; 32]);
    let mut whole = HeaderTree::new(farm.spec.clone(), genesis);
    let (mut parent, mut list) = (genesis, Vec::new());
    let period = farm.spec.rules().period_blocks;
    for _ in 0..2 * period + 20 {
        let sealed = farm.next(parent, whole.expectation(&parent, Slot::ZERO).unwrap());
        let proven = ProvenHeader::prove(&farm.spec, sealed).unwrap();
        whole.link(&proven).unwrap();
        parent = *proven.id();
        list.push(proven);
    }
    // From the middle of a period to somewhere in the next, so that a new seed is needed behind it.
    let kept = &list[period as usize / 2..period as usize + 30];
    let kept: Vec<TrailHeader> = kept.iter().map(|header| whole.trail_header(header.id()).unwrap()).collect();
    let kept: Vec<TrailHeader> =
        kept.iter().map(|header| TrailHeader::from_bytes(&header.to_bytes()).unwrap()).collect();
    let mut resumed = HeaderTree::resumed(farm.spec.clone(), &kept).unwrap();
    assert_eq!(resumed.best(), kept.last().unwrap().id());
    let lowest = kept[0].height().get() + farm.spec.rules().seed_lag_blocks + 1;
    assert_eq!(resumed.judges_from(), Height::new(lowest));
    assert_eq!(whole.judges_from(), Height::ZERO);
    for header in &list[period as usize + 30..] {
        let below = header.sealed().header.parent;
        let expected = whole.expectation(&below, Slot::ZERO).unwrap();
        assert_eq!(resumed.expectation(&below, Slot::ZERO).unwrap(), expected);
        resumed.link(header).unwrap();
    }
    assert_eq!(resumed.best(), whole.best());
    let weight = |tree: &HeaderTree| tree.get(tree.best()).unwrap().weight;
    assert_eq!(weight(&resumed), weight(&whole));

    assert!(HeaderTree::resumed(farm.spec.clone(), &[]).is_none());
    assert!(HeaderTree::resumed(farm.spec.clone(), &[kept[0], kept[2]]).is_none());
}
