//! Checkpoints: a heavier branch without one is never chosen (rules LNK-6, LNK-7, FRK-2, FRK-3).

use mass_consensus::{
    engine::{Effect, Engine, Input},
    spec::Checkpoint,
    tree::LinkError,
};
use mass_primitives::{BlockId, Height, Slot};

use crate::{
    driver::{Driver, GENESIS, branch, branch_on, id},
    farm::Farm,
};

/// Two farms, and an engine of the same chain that wants `checkpoint`.
fn farms() -> (Farm, Farm) {
    (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]))
}

fn guarded(farm: &Farm, height: u32, id: BlockId) -> Driver {
    let checkpoint = Checkpoint { height: Height::new(height), id };
    Driver::of(farm.spec.clone().with_checkpoints(&[checkpoint]).unwrap())
}

#[test]
fn a_heavier_branch_without_the_checkpoint_is_left_when_the_checkpoint_comes() {
    let (farm, other) = farms();
    let plain = Driver::new(&farm);
    let common = branch(&farm, &plain.engine, GENESIS, 2, 1);
    let right = branch_on(&farm, &common, 3);
    let wrong = branch_on(&other, &common, 6);
    let mut driver = guarded(&farm, 4, id(&right[1]));
    common.iter().for_each(|block| driver.block(block));

    // The checkpoint is above all that is known: the chain goes by weight, but not past its height.
    wrong.iter().for_each(|block| driver.block(block));
    assert_eq!((*driver.engine.tip(), driver.engine.tree().reached()), (id(&wrong[0]), None));
    let refused =
        |effect: &Effect| matches!(effect, Effect::Refuse(_, Some(why)) if why.starts_with("LNK-6"));
    assert_eq!(driver.log.iter().filter(|effect| refused(effect)).count(), 1);

    // The right branch takes over with its checkpoint.
    right[..1].iter().for_each(|block| driver.block(block));
    right[1..2].iter().for_each(|block| driver.feed(Input::Header(block.header().clone())));
    let tree = driver.engine.tree();
    assert_eq!(tree.reached().map(|checkpoint| checkpoint.id), Some(id(&right[1])));
    assert!(tree.get(&id(&wrong[0])).is_none(), "what stands beside a checkpoint is forgotten");
    right[1..].iter().for_each(|block| driver.block(block));
    assert_eq!(*driver.engine.tip(), id(&right[2]));

    // And the other comes no more, however heavy.
    driver.log.clear();
    wrong.iter().for_each(|block| driver.block(block));
    assert!(
        matches!(&driver.log[0], Effect::Refuse(_, Some(why)) if why.starts_with("LNK-7")),
        "{:?}",
        driver.log[0]
    );
    assert_eq!((*driver.engine.tip(), driver.engine.tree().len()), (id(&right[2]), 6));
}

/// The executed chain may be the one that has to go, before any content of the right one is here.
#[test]
fn a_chain_beside_the_checkpoint_is_undone_at_once() {
    let (farm, other) = farms();
    let plain = Driver::new(&farm);
    let right = branch(&farm, &plain.engine, GENESIS, 2, 1);
    let wrong = branch(&other, &plain.engine, GENESIS, 1, 2);
    let mut driver = guarded(&farm, 2, id(&right[1]));
    driver.block(&wrong[0]);
    assert_eq!(*driver.engine.tip(), id(&wrong[0]));
    driver.log.clear();
    right.iter().for_each(|block| driver.feed(Input::Header(block.header().clone())));
    assert!(driver.log.contains(&Effect::Disconnect(id(&wrong[0]))));
    assert_eq!((*driver.engine.tip(), driver.engine.reorgs()), (GENESIS, 1));
    right.iter().for_each(|block| driver.block(block));
    assert_eq!(*driver.engine.tip(), id(&right[1]));
}

/// A node that was on the wrong branch and is given the checkpoint at its next start.
#[test]
fn a_restart_with_a_checkpoint_restores_the_right_branch_only() {
    let (farm, other) = farms();
    let plain = Driver::new(&farm);
    let right = branch(&farm, &plain.engine, GENESIS, 2, 1);
    let wrong = branch(&other, &plain.engine, GENESIS, 5, 2);
    let mut engine: Engine = guarded(&farm, 2, id(&right[1])).engine;
    let mut all: Vec<_> = wrong.iter().chain(&right).collect();
    all.sort_by_key(|block| (block.header().sealed().seal.claim.height, id(block)));
    let refused: Vec<LinkError> =
        all.iter().filter_map(|block| engine.restore(&block.header().into(), &[]).err()).collect();
    let reasons = refused.iter().map(|error| error.is_checkpoint() || matches!(error, LinkError::Parent(_)));
    assert!(reasons.clone().all(|reason| reason), "{refused:?}");
    engine.restore_tip(id(&right[1]));
    engine.step(Input::Tick(Slot::new(1 << 40)));
    assert_eq!((*engine.tip(), engine.tree().len()), (id(&right[1]), 3));
}
