//! Engines fed with real blocks: they follow the heaviest chain whose contents are there, ban who seals
//! twice, and hold a block of the future until its slot.

mod checkpoints;
mod clock;
mod driver;
mod evidence;
#[path = "../farm/mod.rs"]
mod farm;
mod pace;
mod settled;

use driver::{Driver, GENESIS, block, branch, branch_on, id};
use farm::{Counter, Farm};
use mass_consensus::{
    engine::{Effect, Engine, Input},
    evidence::{Evidence, ProvenEvidence},
    header::Header,
    proven::ProvenHeader,
    spec::ChainSpec,
};
use mass_primitives::{BlockId, BodyRoot, Height, Slot};

#[test]
fn engines_follow_the_heaviest_chain_there_is_content_for() {
    let farm = Farm::new(8);
    let mut driver = Driver::new(&farm);
    let short = branch(&farm, &driver.engine, GENESIS, 2, 5);
    let long = branch(&farm, &driver.engine, GENESIS, 4, 6);
    short.iter().for_each(|block| driver.block(block));
    assert_eq!(*driver.engine.tip(), id(&short[1]));

    // Headers of a heavier chain whose contents are withheld hold up nothing.
    for block in &long {
        driver.feed(Input::Header(block.header().clone()));
    }
    assert!(driver.log.iter().any(|effect| matches!(effect, Effect::Fetch(ids) if ids.len() == 4)));
    let third = branch(&farm, &driver.engine, id(&short[1]), 1, 5).remove(0);
    driver.block(&third);
    assert_eq!(*driver.engine.tip(), id(&third));

    // With its contents, in any order, the heavier chain takes over.
    long.iter().rev().for_each(|block| driver.block(block));
    assert_eq!((*driver.engine.tip(), driver.engine.reorgs()), (id(&long[3]), 1));

    // And back again: contents of blocks once executed come from storage.
    let more = branch(&farm, &driver.engine, id(&third), 3, 5);
    more.iter().for_each(|block| driver.block(block));
    assert_eq!((*driver.engine.tip(), driver.engine.reorgs()), (id(&more[2]), 2));
    assert_eq!(driver.log.last(), Some(&Effect::NewTip(id(&more[2]))));
}

#[test]
fn a_refused_block_condemns_what_stands_on_it() {
    let farm = Farm::new(8);
    let mut driver = Driver::new(&farm);
    let good = branch(&farm, &driver.engine, GENESIS, 1, 5);
    let bad = branch(&farm, &driver.engine, GENESIS, 3, 6);
    driver.poison.push(id(&bad[1]));
    driver.block(&good[0]);
    bad.iter().for_each(|block| driver.block(block));
    assert!([id(&good[0]), id(&bad[0])].contains(driver.engine.tip()));
}

#[test]
fn a_double_seal_bans_the_key_from_the_block_that_shows_it() {
    let farm = Farm::new(8);
    let honest = Farm::with_key(8, [8; 32]);
    let mut driver = Driver::new(&farm);
    let one = branch(&farm, &driver.engine, GENESIS, 1, 5).remove(0);
    let two = branch(&farm, &driver.engine, GENESIS, 1, 6).remove(0);
    driver.block(&one);
    driver.block(&two);
    assert!(driver.log.iter().any(|effect| matches!(effect, Effect::DoubleSeal(_))));
    let evidence = driver.engine.evidence_for_next();
    assert_eq!(evidence.len(), 1);

    // The offender cannot include it himself.
    let tip = *driver.engine.tip();
    let own = block(&farm, farm.next(tip, driver.engine.expectation(Slot::ZERO).unwrap()), evidence.clone());
    driver.block(&own);
    assert_eq!(*driver.engine.tip(), tip);

    let next = honest.next(tip, driver.engine.expectation(Slot::ZERO).unwrap());
    driver.block(&block(&honest, next, evidence.clone()));
    assert_eq!(*driver.engine.tip(), next.id());
    assert_eq!(driver.engine.ban(&farm.secret.public(), &next.id()), Some(next.id()));
    assert_eq!(driver.engine.ban(&farm.secret.public(), &tip), None, "before that block there is no ban");
    assert!(driver.engine.evidence_for_next().is_empty());

    let refused = branch(&farm, &driver.engine, next.id(), 1, 5).remove(0);
    driver.block(&refused);
    assert_eq!(*driver.engine.tip(), next.id());
    let again = honest.next(next.id(), driver.engine.expectation(Slot::ZERO).unwrap());
    driver.block(&block(&honest, again, evidence));
    assert_eq!(*driver.engine.tip(), next.id(), "evidence against a banned key fills no block");
}

#[test]
fn the_last_seal_of_a_key_is_found_on_every_branch_and_after_a_restart() {
    let farm = Farm::new(8);
    let mut driver = Driver::new(&farm);
    assert_eq!(driver.engine.last_seal(&farm.secret.public()), None);
    let lone = branch(&farm, &driver.engine, GENESIS, 3, 6);
    let long = branch(&farm, &driver.engine, GENESIS, 4, 5);
    // Headers alone, on what is no branch of the tip; what comes later in an older slot changes nothing.
    driver.feed(Input::Header(long[0].header().clone()));
    lone.iter().for_each(|block| driver.feed(Input::Header(block.header().clone())));
    driver.feed(Input::Header(long[1].header().clone()));
    assert_eq!(*driver.engine.tip(), GENESIS);
    let last = |engine: &Engine| engine.last_seal(&farm.secret.public()).map(|seal| seal.id);
    assert_eq!(last(&driver.engine), Some(id(&lone[2])));
    assert_eq!(driver.engine.last_seal(&Farm::with_key(8, [8; 32]).secret.public()), None);

    let mut restored = Engine::new(farm.spec.clone(), GENESIS);
    lone.iter().for_each(|block| restored.restore_header(&block.header().into()).unwrap());
    assert_eq!(last(&restored), Some(id(&lone[2])));
}

#[test]
fn a_block_of_the_future_is_held_until_its_slot() {
    let farm = Farm::new(8);
    let mut engine = Engine::new(farm.spec.clone(), GENESIS);
    let block = branch(&farm, &engine, GENESIS, 1, 5).remove(0);
    let slot = block.header().sealed().seal.claim.slot;
    engine.step(Input::Tick(Slot::new(slot.get().saturating_sub(2))));
    assert_eq!(engine.step(Input::Header(block.header().clone())), vec![]);
    let effects = engine.step(Input::Tick(slot));
    assert_eq!(effects, vec![Effect::StoreHeader(block.header().clone()), Effect::Fetch(vec![id(&block)])]);
}

#[test]
fn a_seal_by_another_key_is_refused() {
    let farm = Farm::new(8);
    let mut sealed =
        farm.next(GENESIS, Engine::new(farm.spec.clone(), GENESIS).expectation(Slot::ZERO).unwrap());
    let thief = mass_consensus::keys::FarmerSecret::from_seed(&[9; 32]);
    sealed.seal.signature = thief.sign(farm.spec.id(), &sealed.id(), Counter(3));
    assert!(ProvenHeader::prove(&farm.spec, sealed).is_err());
    let mut claim = sealed.seal.claim;
    claim.group.farmer = thief.public();
    let (version, nonce) = Header::commitment_fields(&claim.commitment());
    sealed.header = Header { version, nonce, ..sealed.header };
    sealed.seal.claim = claim;
    sealed.seal.signature = thief.sign(farm.spec.id(), &sealed.id(), Counter(3));
    assert!(ProvenHeader::prove(&farm.spec, sealed).is_err(), "a plot is bound to its farmer's key");
}

/// Before, each header or block that came walked the way from the tip to every better header, and a reorg into
/// storage loaded the whole branch again for each of its blocks.
#[test]
fn a_step_costs_the_same_however_far_behind() {
    let (farm, other) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let mut driver = Driver::new(&farm);
    let long = branch(&farm, &driver.engine, GENESIS, 600, 5);
    let short = branch(&other, &driver.engine, GENESIS, 300, 6);
    let more = branch_on(&other, &short, 400);
    let start = std::time::Instant::now();
    short.iter().for_each(|block| driver.block(block));
    long.iter().for_each(|block| driver.feed(Input::Header(block.header().clone())));
    let asked = driver.log.iter().rev().find_map(|effect| match effect {
        Effect::Fetch(ids) => Some(ids.clone()),
        _ => None,
    });
    assert_eq!(asked.unwrap().first(), Some(&id(&long[0])));
    long.iter().rev().for_each(|block| driver.block(block));
    assert_eq!(*driver.engine.tip(), id(&long[599]));
    driver.log.clear();
    more.iter().for_each(|block| driver.block(block));
    assert_eq!((*driver.engine.tip(), driver.engine.reorgs()), (id(&more[399]), 2));
    let loaded = driver.log.iter().filter(|effect| matches!(effect, Effect::Load(_))).count();
    assert_eq!(loaded, 300, "each block is loaded once");
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// The headers of the heaviest chain may be all that its farmer shows.
#[test]
fn withheld_contents_do_not_keep_a_node_from_the_next_best_chain() {
    let (farm, other) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let mut driver = Driver::new(&farm);
    let withheld = branch(&farm, &driver.engine, GENESIS, 4, 5);
    let shown = branch(&other, &driver.engine, GENESIS, 3, 6);
    for block in withheld.iter().chain(&shown) {
        driver.feed(Input::Header(block.header().clone()));
    }
    driver.log.clear();
    driver.feed(Input::Tick(Slot::new(1 << 40)));
    let all: Vec<BlockId> = withheld.iter().chain(&shown).map(id).collect();
    assert_eq!(driver.log, vec![Effect::Fetch(all)]);
}

/// One won slot can be sealed without end. Before, each seal was linked and stored on every node, and the lower
/// of two ids moved every node's tip.
#[test]
fn a_third_seal_of_a_slot_waits_for_a_block_on_it() {
    let (farm, honest) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let mut driver = Driver::new(&farm);
    let seals: Vec<_> =
        (0..9).map(|root| branch(&farm, &driver.engine, GENESIS, 1, root).remove(0)).collect();
    seals.iter().for_each(|block| driver.block(block));
    assert_eq!(driver.engine.tree().len(), 3);
    let next = branch_on(&honest, &seals[8..], 1).remove(0);
    driver.block(&next);
    assert!(driver.engine.tree().get(&id(&next)).is_some(), "a chain on it is followed all the same");
    driver.block(&seals[8]);
    assert_eq!(*driver.engine.tip(), id(&next));
}

/// A farmer could first send evidence against himself that was too old to count: it took the place of what
/// counts. Heights in headers without a place are what he likes.
#[test]
fn old_evidence_does_not_hide_young_evidence() {
    let mut file = Farm::easy(0, [7; 32]).spec.file().clone();
    file.rules.evidence_window_blocks = 2;
    let spec = ChainSpec::new(file).unwrap();
    let (mut farm, mut honest) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    (farm.spec, honest.spec) = (spec.clone(), spec);
    let mut driver = Driver::new(&farm);
    let expected = driver.engine.expectation(Slot::ZERO).unwrap();
    let claim = farm.win(Height::ZERO, Slot::new(500), expected.seed, expected.difficulty);
    for root in [1, 2] {
        let sealed = farm.seal(BlockId::new([9; 32]), BodyRoot::new([root; 32]), claim);
        driver.feed(Input::Header(ProvenHeader::prove(&farm.spec, sealed).unwrap()));
    }
    assert_eq!(driver.engine.evidence_for_next().len(), 1, "it counts in block 1");
    branch(&honest, &driver.engine, GENESIS, 2, 1).iter().for_each(|block| driver.block(block));
    assert!(driver.engine.evidence_for_next().is_empty(), "block 3 is one too far from height 0");
    let tip = *driver.engine.tip();
    for root in [3, 4] {
        let second = branch(&farm, &driver.engine, tip, 1, root).remove(0);
        driver.block(&second);
    }
    assert_eq!(driver.engine.evidence_for_next().len(), 1);
}

/// A reorg takes away the block that banned; the proof stays, even where the two headers were never seen.
#[test]
fn evidence_outlasts_the_block_that_brought_it() {
    let (farm, honest) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let third = Farm::easy(8, [9; 32]);
    let mut driver = Driver::new(&farm);
    let seals = [1, 2].map(|root| branch(&farm, &driver.engine, GENESIS, 1, root).remove(0));
    let evidence = Evidence::new(*seals[0].header().sealed(), *seals[1].header().sealed());
    let next = honest.next(GENESIS, driver.engine.expectation(Slot::ZERO).unwrap());
    let heavier = branch(&third, &driver.engine, GENESIS, 2, 6);
    driver.block(&block(&honest, next, vec![evidence]));
    assert!(driver.engine.evidence_for_next().is_empty());
    heavier.iter().for_each(|block| driver.block(block));
    assert_eq!(*driver.engine.tip(), id(&heavier[1]));
    assert_eq!(driver.engine.evidence_for_next(), vec![evidence]);

    // As after a restart.
    let mut again = Engine::new(farm.spec.clone(), GENESIS);
    again.restore(&(&ProvenHeader::prove(&farm.spec, next).unwrap()).into(), &[*evidence.farmer()]).unwrap();
    again.restore_evidence(&ProvenEvidence::prove(&farm.spec, evidence).unwrap());
    assert_eq!(again.evidence_for_next(), vec![evidence]);
}

#[test]
fn a_clock_that_was_wrong_and_is_set_back_holds_blocks_again() {
    let farm = Farm::easy(8, [7; 32]);
    let mut engine = Engine::new(farm.spec.clone(), GENESIS);
    let block = branch(&farm, &engine, GENESIS, 1, 5).remove(0);
    engine.step(Input::Tick(Slot::new(1 << 40)));
    engine.step(Input::Tick(Slot::ZERO));
    let slot = block.header().sealed().seal.claim.slot;
    assert!(slot > Slot::new(1));
    assert_eq!(engine.step(Input::Header(block.header().clone())), vec![]);
    assert!(engine.tree().get(&id(&block)).is_none());
}
