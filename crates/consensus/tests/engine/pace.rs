//! A long way is gone in turns: in between the tip is a block of one branch or the other, and a better branch that comes is
//! taken up.

use mass_consensus::engine::{Effect, Input, Pace};

use super::*;

/// Moves of the tip among effects.
fn moves(log: &[Effect]) -> usize {
    log.iter().filter(|effect| matches!(effect, Effect::Connect(_) | Effect::Disconnect(_))).count()
}

#[test]
fn a_long_way_is_gone_in_turns_and_a_better_branch_is_taken_up() {
    let farm = Farm::new(8);
    let mut driver = Driver::new(&farm);
    let short = branch(&farm, &driver.engine, GENESIS, 7, 5);
    let long = branch(&farm, &driver.engine, GENESIS, 9, 7);
    let longest = branch_on(&farm, &long[..2], 12);
    short.iter().for_each(|block| driver.block(block));
    assert!(!driver.engine.is_moving(), "without a pace there is one turn");

    driver.engine.set_pace(Some(Pace { blocks: 3, bytes: 1 << 20 }));
    driver.log.clear();
    long.iter().for_each(|block| driver.block(block));
    assert!(driver.engine.is_moving());
    assert_eq!((moves(&driver.log), *driver.engine.tip()), (3, id(&short[3])));
    // What comes meanwhile moves nothing, nor does a turn that would begin with it.
    driver.engine.begin_turn();
    driver.feed(Input::Tick(Slot::new(1 << 40)));
    longest.iter().for_each(|block| driver.feed(Input::Header(block.header().clone())));
    assert_eq!((moves(&driver.log), *driver.engine.tip()), (3, id(&short[3])));
    assert!(driver.log.iter().any(|effect| matches!(effect, Effect::Fetch(ids) if ids.len() == 12)));

    let heights = |driver: &Driver| driver.engine.tree().get(driver.engine.tip()).unwrap().height.get();
    let mut seen = vec![];
    for _ in 0..3 {
        driver.feed(Input::Proceed);
        seen.push(heights(&driver));
    }
    assert_eq!((seen, driver.engine.is_moving()), (vec![1, 2, 5], true));
    // A better branch comes: what was entered of the other is left.
    longest.iter().for_each(|block| driver.block(block));
    while driver.engine.is_moving() {
        assert!(!driver.log.iter().any(|effect| matches!(effect, Effect::NewTip(_))), "it is no end");
        driver.feed(Input::Proceed);
    }
    assert_eq!(*driver.engine.tip(), id(longest.last().unwrap()));
    assert_eq!(driver.engine.reorgs(), 2, "a branch that is left in several turns is left once");
    assert_eq!(driver.log.last(), Some(&Effect::NewTip(id(longest.last().unwrap()))));
}

#[test]
fn a_turn_ends_with_its_bytes_and_not_before_there_is_more_to_do() {
    let farm = Farm::new(8);
    let mut driver = Driver::new(&farm);
    driver.engine.set_pace(Some(Pace { blocks: 64, bytes: 0 }));
    let blocks = branch(&farm, &driver.engine, GENESIS, 2, 5);
    driver.block(&blocks[0]);
    assert!(driver.engine.is_moving(), "no byte is allowed");
    driver.engine.set_pace(Some(Pace { blocks: 1, bytes: 1 }));
    driver.feed(Input::Proceed);
    assert!(!driver.engine.is_moving(), "the turn is used up, and nothing waits");
    assert_eq!(driver.log.last(), Some(&Effect::NewTip(id(&blocks[0]))));
    driver.block(&blocks[1]);
    assert!(driver.engine.is_moving());
    driver.feed(Input::Proceed);
    assert_eq!((*driver.engine.tip(), driver.engine.is_moving()), (id(&blocks[1]), false));
}
