//! Evidence: who cannot forge it, replay it, or fill blocks with it.

use mass_consensus::{
    engine::{Effect, Input},
    evidence::{Evidence, EvidenceError, ProvenEvidence},
    proven::{ProvenError, ProvenHeader},
    spec::ChainSpec,
};
use mass_primitives::{BlockId, BodyRoot, Decode as _, Encode as _, Slot};

use crate::{
    driver::{Driver, GENESIS, block, branch, id},
    farm::Farm,
};

/// Two seals of one win, on a parent that nobody knows.
fn loose(farm: &Farm, driver: &Driver) -> [ProvenHeader; 2] {
    let expected = driver.engine.expectation(Slot::ZERO).unwrap();
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    [1, 2].map(|root| {
        let sealed = farm.seal(BlockId::new([9; 32]), BodyRoot::new([root; 32]), claim);
        ProvenHeader::prove(&farm.spec, sealed).unwrap()
    })
}

/// Anybody makes keys, a plot for each, and evidence against them. With one piece to a block, such evidence must not
/// keep out what is against a key that has rewards.
#[test]
fn evidence_against_keys_without_blocks_waits_for_that_against_those_with_blocks() {
    let mut file = Farm::easy(0, [7; 32]).spec.file().clone();
    file.rules.evidence_per_block_max = 1;
    let spec = ChainSpec::new(file).unwrap();
    let mut farms: Vec<Farm> = (10..14).map(|key| Farm::easy(8, [key; 32])).collect();
    farms.iter_mut().for_each(|farm| farm.spec = spec.clone());
    farms.sort_by_key(|farm| farm.secret.public());
    // The one with blocks has the greatest key, so that order alone would put it last.
    let (offender, strangers) = farms.split_last().unwrap();
    let mut driver = Driver::new(offender);
    for stranger in strangers {
        loose(stranger, &driver).into_iter().for_each(|header| driver.feed(Input::Header(header)));
    }
    let kept = |driver: &Driver| {
        driver.log.iter().filter(|effect| matches!(effect, Effect::StoreEvidence(_))).count()
    };
    assert_eq!(kept(&driver), strangers.len());
    for root in [1, 2] {
        let seal = branch(offender, &driver.engine, GENESIS, 1, root).remove(0);
        driver.block(&seal);
    }
    assert_eq!(kept(&driver), strangers.len() + 1);
    let due = driver.engine.evidence_for_next();
    assert_eq!(due.iter().map(Evidence::farmer).collect::<Vec<_>>(), [&offender.secret.public()]);

    // Once it is banned, the others have their turn.
    let honest = &strangers[0];
    let tip = *driver.engine.tip();
    let next = honest.next(tip, driver.engine.expectation(Slot::ZERO).unwrap());
    driver.block(&block(honest, next, due));
    assert_eq!(*driver.engine.tip(), next.id());
    assert_eq!(driver.engine.evidence_for_next().len(), 1);
    assert!(!driver.engine.wants_evidence(&offender.secret.public(), next.seal.claim.height));
}

#[test]
fn evidence_is_of_one_chain_and_cannot_be_made_of_an_honest_farmers_headers() {
    let farm = Farm::easy(8, [7; 32]);
    let driver = Driver::new(&farm);
    let [one, two] = loose(&farm, &driver).map(|header| *header.sealed());
    let evidence = Evidence::new(one, two);
    assert!(ProvenEvidence::prove(&farm.spec, evidence).is_ok());
    let mut file = farm.spec.file().clone();
    file.rules.name = "other".to_owned();
    let refused = ProvenEvidence::prove(&ChainSpec::new(file).unwrap(), evidence);
    assert!(matches!(refused, Err(EvidenceError::Unproven(ProvenError::Chain { .. }))), "{refused:?}");

    // All blocks of an honest farmer, in any pair.
    let honest = branch(&farm, &driver.engine, GENESIS, 4, 1);
    for (at, one) in honest.iter().enumerate() {
        for other in &honest[at..] {
            let pair = Evidence::new(*one.header().sealed(), *other.header().sealed());
            let refused = ProvenEvidence::prove(&farm.spec, pair);
            assert!(matches!(refused, Err(EvidenceError::Slot { .. } | EvidenceError::Order)), "{refused:?}");
        }
    }
    // And no byte of evidence can be another.
    let bytes = evidence.to_bytes();
    for position in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[position] ^= 1 << (position % 8);
        let proven =
            Evidence::from_bytes(&bad).ok().map(|bad| ProvenEvidence::prove(&farm.spec, bad).is_ok());
        assert_ne!(proven, Some(true), "byte {position}");
    }
}

/// A ban is of the chain that has it: when its block is reorganised away, the farmer is as free as on the other.
#[test]
fn a_ban_is_undone_when_its_block_is_left() {
    let (farm, honest) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let third = Farm::easy(8, [9; 32]);
    let mut driver = Driver::new(&farm);
    let rival = branch(&third, &driver.engine, GENESIS, 2, 6);
    let [one, two] = loose(&farm, &driver).map(|header| *header.sealed());
    let next = honest.next(GENESIS, driver.engine.expectation(Slot::ZERO).unwrap());
    let ban = block(&honest, next, vec![Evidence::new(one, two)]);
    driver.block(&ban);
    let farmer = farm.secret.public();
    assert_eq!(driver.engine.ban(&farmer, driver.engine.tip()), Some(id(&ban)));
    rival.iter().for_each(|block| driver.block(block));
    assert_eq!(
        (*driver.engine.tip(), driver.engine.ban(&farmer, driver.engine.tip())),
        (id(&rival[1]), None)
    );
    let free = branch(&farm, &driver.engine, id(&rival[1]), 1, 6).remove(0);
    driver.block(&free);
    assert_eq!(*driver.engine.tip(), id(&free), "his block is taken as any other");
    assert_eq!(driver.engine.evidence_for_next().len(), 1, "until the next block has the proof");
}
