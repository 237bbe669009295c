//! A chain that inherits its beacon: it takes the seeds of its parent's chain, and follows when that changes.

mod farm;

use farm::Farm;
use mass_consensus::{
    beacon::Beacon,
    block::Block,
    engine::{Effect, Engine, Input},
    header::SealedHeader,
    ledger::{BodyCommitment, Carried},
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::HeaderTree,
};
use mass_primitives::{BlockId, BodyRoot, Round, Slot};

const PARENT: BlockId = BlockId::new([1; 32]);
const CHILD: BlockId = BlockId::new([2; 32]);

/// Blocks of the parent from `tip` on; the body tells branches apart.
fn extend(farm: &Farm, tree: &mut HeaderTree, mut tip: BlockId, blocks: usize, body: u8) -> BlockId {
    for _ in 0..blocks {
        let expected = tree.expectation(&tip, Slot::ZERO).unwrap();
        let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
        let sealed = farm.seal(tip, BodyRoot::new([body; 32]), claim);
        tree.link(&ProvenHeader::prove(&farm.spec, sealed).unwrap()).unwrap();
        tip = sealed.id();
    }
    tip
}

fn beacon(tree: &HeaderTree, tip: &BlockId) -> Beacon {
    let mut beacon = Beacon::new(tree);
    beacon.follow(tree, tip);
    beacon
}

fn feed(engine: &mut Engine, farm: &Farm, sealed: SealedHeader) -> Vec<Effect> {
    let commitment = BodyCommitment { root: sealed.header.root, carried: Carried::default() };
    let block = Block::new(sealed, vec![], vec![]).prove(&farm.spec, &commitment).unwrap();
    let mut effects = engine.step(Input::Block(block));
    if effects.iter().any(|effect| matches!(effect, Effect::Connect(_))) {
        effects.extend(engine.step(Input::Connected(sealed.id())));
    }
    effects
}

/// The child's next block in or after a round, with the seed of that round by `beacon`.
fn next(farm: &Farm, engine: &Engine, beacon: &Beacon, round: u64) -> SealedHeader {
    let slot = farm.spec.round_start(Round::new(round));
    let expected = engine.expectation(slot).unwrap();
    let (seed, before) = (*beacon.seed(Round::new(round)).unwrap(), Slot::new(slot.get().saturating_sub(1)));
    let claim = farm.win(expected.height, expected.after.max(before), seed, expected.difficulty);
    farm.seal(*engine.tip(), BodyRoot::new([9; 32]), claim)
}

#[test]
fn a_child_follows_the_seeds_of_its_parent() {
    let farm = Farm::new(8);
    let mut tree = HeaderTree::new(farm.spec.clone(), PARENT);
    let fork = extend(&farm, &mut tree, PARENT, 13, 1);
    let one = extend(&farm, &mut tree, fork, 5, 1);
    let (first, second) = {
        let beacon = beacon(&tree, &one);
        let boundary = tree.ancestry(&one).find(|(_, node)| node.height.get() == 16).unwrap().1;
        let begins = farm.spec.round(boundary.slot).get() + 1;
        assert_eq!(beacon.seed(Round::new(begins)), Some(&boundary.seed));
        assert_eq!(beacon.seed(Round::new(begins - 1)), Some(&farm.spec.rules().seed_initial));
        (begins - 1, begins)
    };

    // The same plots on the child.
    let mut child = farm;
    child.spec = ChainSpec::built_in("dev2").unwrap();
    let mut engine = Engine::new(child.spec.clone(), CHILD);
    engine.step(Input::Tick(Slot::new(1 << 40)));
    assert!(engine.expectation(Slot::ZERO).is_err(), "no parent, no seed");
    let one_seeds = beacon(&tree, &one);
    engine.step(Input::Beacon(one_seeds.clone()));
    let old = next(&child, &engine, &one_seeds, 0);
    assert!(child.spec.round(old.seal.claim.slot).get() <= first, "the farm wins before the period ends");
    feed(&mut engine, &child, old);
    assert_eq!(*engine.tip(), old.id());
    let new = next(&child, &engine, &one_seeds, second);
    feed(&mut engine, &child, new);
    assert_eq!(*engine.tip(), new.id());

    // The parent's chain becomes another one with other seeds: what they do not support is left.
    child.spec = ChainSpec::built_in("dev").unwrap();
    let other = Farm::with_key(8, [8; 32]);
    let two = extend(&other, &mut tree, fork, 8, 2);
    let two_seeds = beacon(&tree, &two);
    assert_ne!(two_seeds, one_seeds);
    let mut followed = one_seeds.clone();
    followed.follow(&tree, &two);
    assert_eq!(followed, two_seeds, "the way does not matter");
    let effects = engine.step(Input::Beacon(two_seeds.clone()));
    assert!(effects.contains(&Effect::Disconnect(new.id())), "{effects:?}");
    assert_eq!((*engine.tip(), engine.reorgs()), (old.id(), 1));
    child.spec = ChainSpec::built_in("dev2").unwrap();
    let effects = feed(&mut engine, &child, new);
    assert!(effects.contains(&Effect::Refuse(new.id(), None)), "nobody is at fault: {effects:?}");

    // And back again, however often: the block is welcome, and no further seal of its slot.
    for _ in 0..3 {
        engine.step(Input::Beacon(one_seeds.clone()));
        feed(&mut engine, &child, new);
        assert_eq!(*engine.tip(), new.id());
        engine.step(Input::Beacon(two_seeds.clone()));
        assert_eq!(*engine.tip(), old.id());
    }
}
