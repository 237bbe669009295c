//! What is deep in the chain is settled, and nothing about blocks and evidence changes by it.

use mass_consensus::{
    engine::{Effect, Engine, Input},
    spec::ChainSpec,
    tree::Restored,
};
use mass_primitives::{BlockId, Height, Slot};

use crate::{
    driver::{Driver, GENESIS, branch, branch_on, id},
    farm::Farm,
};

/// Two farms on a chain where evidence counts, and headers stay whole, for four blocks.
fn farms() -> (Farm, Farm) {
    let mut file = Farm::easy(0, [7; 32]).spec.file().clone();
    file.rules.evidence_window_blocks = 4;
    let spec = ChainSpec::new(file).unwrap();
    let (mut farm, mut other) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    (farm.spec, other.spec) = (spec.clone(), spec);
    (farm, other)
}

/// Reorgs below what is settled, in both directions, with contents from the disk.
#[test]
fn a_reorg_goes_below_what_is_settled() {
    let (farm, other) = farms();
    let mut driver = Driver::new(&farm);
    let short = branch(&farm, &driver.engine, GENESIS, 12, 5);
    let long = branch(&other, &driver.engine, GENESIS, 18, 6);
    let more = branch_on(&farm, &short, 12);
    short.iter().for_each(|block| driver.block(block));
    assert_eq!(*driver.engine.tip(), id(&short[11]));
    long.iter().for_each(|block| driver.feed(Input::Header(block.header().clone())));
    long.iter().rev().for_each(|block| driver.block(block));
    assert_eq!((*driver.engine.tip(), driver.engine.reorgs()), (id(&long[17]), 1));
    driver.log.clear();
    more.iter().for_each(|block| driver.block(block));
    assert_eq!((*driver.engine.tip(), driver.engine.reorgs()), (id(&more[11]), 2));
    let loaded: Vec<BlockId> = driver.log.iter().filter_map(loaded).collect();
    assert_eq!(loaded, short.iter().map(id).collect::<Vec<_>>(), "each from the disk, once");
    for (height, block) in (1..).zip(short.iter().chain(&more)) {
        assert_eq!(driver.engine.tree().get(&id(block)).unwrap().height, Height::new(height));
    }
}

fn loaded(effect: &Effect) -> Option<BlockId> {
    match effect {
        Effect::Load(id) => Some(*id),
        _ => None,
    }
}

/// A block is refused that the trunk holds: its headers ran ahead of the contents. The best chain is then what stands
/// beside it.
#[test]
fn a_settled_header_may_be_refused() {
    let (farm, other) = farms();
    let mut driver = Driver::new(&farm);
    let good = branch(&other, &driver.engine, GENESIS, 3, 5);
    let bad = branch(&farm, &driver.engine, GENESIS, 15, 6);
    driver.poison.push(id(&bad[1]));
    bad.iter().for_each(|block| driver.feed(Input::Header(block.header().clone())));
    good.iter().for_each(|block| driver.block(block));
    assert_eq!((*driver.engine.tip(), driver.engine.tree().best()), (id(&good[2]), &id(&bad[14])));
    bad.iter().rev().for_each(|block| driver.block(block));
    assert_eq!((*driver.engine.tip(), driver.engine.tree().best()), (id(&good[2]), &id(&good[2])));
    let tree = driver.engine.tree();
    assert!(bad[1..].iter().all(|block| tree.is_condemned(&id(block))) && !tree.is_condemned(&id(&bad[0])));
}

/// Evidence within the window is found however much is settled; a restart restores the same engine.
#[test]
fn double_seals_within_the_window_are_found_after_settling_and_restart() {
    let (farm, other) = farms();
    let mut driver = Driver::new(&farm);
    let chain = branch(&farm, &driver.engine, GENESIS, 14, 5);
    chain.iter().for_each(|block| driver.block(block));
    let twin = |height: usize| {
        let mut claim = chain[height - 1].header().sealed().seal.claim;
        claim.height = Height::new(height as u32);
        let sealed = farm.seal(id(&chain[height - 2]), mass_primitives::BodyRoot::new([9; 32]), claim);
        mass_consensus::proven::ProvenHeader::prove(&farm.spec, sealed).unwrap()
    };
    let mut restored = Engine::new(farm.spec.clone(), GENESIS);
    for block in &chain {
        restored.restore(&Restored::from(block.header()), &[]).unwrap();
    }
    restored.restore_tip(id(&chain[13]));
    restored.step(Input::Tick(Slot::new(1 << 40)));
    for engine in [&mut driver.engine, &mut restored] {
        assert_eq!((engine.tip(), engine.tree().len()), (&id(&chain[13]), 15));
        let found =
            |effects: Vec<Effect>| effects.iter().any(|effect| matches!(effect, Effect::DoubleSeal(_)));
        assert!(!found(engine.step(Input::Header(twin(3)))), "too old to count");
        assert!(engine.evidence_for_next().is_empty());
        assert!(found(engine.step(Input::Header(twin(12)))));
        assert_eq!(engine.evidence_for_next().len(), 1);
        assert_eq!(engine.last_seal(&farm.secret.public()).unwrap().id, id(&chain[13]));
    }
    let next = other.next(id(&chain[13]), driver.engine.expectation(Slot::ZERO).unwrap());
    assert_eq!(next.seal.claim.height, Height::new(15));
}
