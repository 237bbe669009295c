//! Blocks and the clock (rules TIM-1 and TIM-2): what is of the future waits, and is as good as any in its slot.

use mass_consensus::engine::{Effect, Engine, Input};
use mass_primitives::Slot;

use crate::{
    driver::{Driver, GENESIS, branch, id},
    farm::Farm,
};

#[test]
fn one_slot_ahead_is_taken_at_once_and_two_are_held() {
    let farm = Farm::easy(8, [7; 32]);
    let mut engine = Engine::new(farm.spec.clone(), GENESIS);
    let block = branch(&farm, &engine, GENESIS, 1, 5).remove(0);
    let slot = block.header().sealed().seal.claim.slot.get();
    assert!(slot >= 2);
    engine.step(Input::Tick(Slot::new(slot - 2)));
    assert!(engine.step(Input::Header(block.header().clone())).is_empty());
    assert!(!engine.tree().contains(&id(&block)));
    engine.step(Input::Tick(Slot::new(slot - 1)));
    assert!(engine.tree().contains(&id(&block)), "held, and linked one slot before its own");
}

/// A whole block comes too early, more than once: none of it is refused, and in its slot it becomes the tip, with the content
/// asked for or sent again.
#[test]
fn an_early_block_is_never_refused_for_good() {
    let farm = Farm::easy(8, [7; 32]);
    let mut driver = Driver::new(&farm);
    let block = branch(&farm, &driver.engine, GENESIS, 1, 5).remove(0);
    let slot = block.header().sealed().seal.claim.slot;
    driver.feed(Input::Tick(Slot::ZERO));
    driver.log.clear();
    for _ in 0..3 {
        driver.block(&block);
    }
    assert!(driver.log.is_empty(), "{:?}", driver.log);
    assert!(!driver.engine.has_judged(&id(&block)));
    driver.feed(Input::Tick(slot));
    assert!(driver.log.contains(&Effect::Fetch(vec![id(&block)])));
    driver.block(&block);
    assert_eq!(*driver.engine.tip(), id(&block));
}

/// Held headers take bounded room: the latest go, and come again.
#[test]
fn held_headers_are_bounded_and_the_soonest_stay() {
    let farm = Farm::easy(8, [7; 32]);
    let mut driver = Driver::new(&farm);
    let first = branch(&farm, &driver.engine, GENESIS, 1, 0).remove(0);
    let claim = first.header().sealed().seal.claim;
    driver.feed(Input::Tick(Slot::ZERO));
    let soon = first.header().clone();
    let late: Vec<_> = (0..8u8)
        .map(|root| {
            let later = farm.win(claim.height, Slot::new(claim.slot.get() + 1), claim.seed, claim.difficulty);
            let sealed = farm.seal(GENESIS, mass_primitives::BodyRoot::new([root; 32]), later);
            mass_consensus::proven::ProvenHeader::prove(&farm.spec, sealed).unwrap()
        })
        .collect();
    late.iter().cloned().for_each(|header| driver.feed(Input::Header(header)));
    driver.feed(Input::Header(soon.clone()));
    driver.feed(Input::Tick(claim.slot));
    assert!(driver.engine.tree().contains(soon.id()));
    driver.feed(Input::Tick(late[0].sealed().seal.claim.slot));
    let linked = late.iter().filter(|header| driver.engine.tree().contains(header.id())).count();
    assert_eq!(linked, 2, "of one win no more than two are linked");
}
