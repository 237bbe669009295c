//! From an empty disk to blocks: real plots make real blocks in one database, a second one follows, both
//! survive being reopened, and the heavier side wins after a partition.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;
mod payer;

use bitcoin::OutPoint;
use farm::{Counter, Farm};
use mass_consensus::{
    block::Block,
    header::SealClaim,
    ledger::{BlockContext, Carried, Ledger},
};
use mass_ledger_utxo::{LedgerParams, Supply, UtxoLedger};
use mass_node::{ChainError, Notice};
use mass_primitives::{Amount, BlockId, Encode, Height, SealSignature, Slot};
use payer::{Chain, NOW, Payer, coin_of, mine, open, payout, send, tip};

fn supply(chain: &Chain) -> Supply {
    Supply::read(&chain.store().snapshot().unwrap()).unwrap()
}

#[test]
fn blocks_are_made_followed_and_kept() {
    let (farm, dir) = (Farm::new(8), tempfile::tempdir().unwrap());
    let (here, there) = (dir.path().join("here.redb"), dir.path().join("there.redb"));
    let (mut one, mut two) = (open(&farm, &here), open(&farm, &there));
    for _ in 0..6 {
        let bytes = mine(&farm, &mut one, 1);
        two.take_block(&bytes, NOW).unwrap();
        assert_eq!(tip(&one), tip(&two));
    }
    let supply = Supply::read(&one.store().snapshot().unwrap()).unwrap();
    assert_eq!(supply.issued, Amount::new(6 * 10_240_000_000));

    // Partitioned, each side goes on; the heavier one wins on both.
    let own = mine(&farm, &mut two, 2);
    let longer: Vec<_> = (0..2).map(|_| mine(&farm, &mut one, 1)).collect();
    longer.iter().for_each(|bytes| drop(two.take_block(bytes, NOW).unwrap()));
    one.take_block(&own, NOW).unwrap();
    assert_eq!((tip(&one), two.engine().reorgs(), one.engine().reorgs()), (tip(&two), 1, 0));

    let before = tip(&one);
    drop((one, two));
    let mut one = open(&farm, &here);
    assert_eq!(tip(&one), before);
    assert_eq!(one.engine().tree().get(&before).unwrap().height, Height::new(8));
    mine(&farm, &mut one, 1);
}

#[test]
fn bad_bytes_are_refused_and_nothing_is_lost() {
    let (farm, dir) = (Farm::new(8), tempfile::tempdir().unwrap());
    let mut chain = open(&farm, &dir.path().join("chain.redb"));
    let mut other = open(&farm, &dir.path().join("other.redb"));
    let good = mine(&farm, &mut other, 1);
    let genesis = tip(&chain);
    assert!(matches!(chain.take_block(b"garbage", NOW), Err(ChainError::Decode(_))));
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1;
        let refused = chain.take_block(&bad, NOW);
        let held = refused.as_ref().is_ok_and(|notices| matches!(notices[..], [Notice::Refused(..)]));
        assert!(held || refused.is_err(), "byte {position}: {refused:?}");
        assert_eq!(tip(&chain), genesis);
    }
    assert!(matches!(chain.take_transaction(b"garbage", NOW), Err(ChainError::Transaction(_))));
    chain.take_block(&good, NOW).unwrap();
    assert_eq!(tip(&chain), tip(&other), "the faults condemned no id");
}

#[test]
fn a_claim_for_another_tip_and_a_foreign_address_are_refused() {
    let (farm, dir) = (Farm::new(8), tempfile::tempdir().unwrap());
    let mut chain = open(&farm, &dir.path().join("chain.redb"));
    let expected = chain.expectation(Slot::ZERO).unwrap();
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    assert!(matches!(chain.prepare(claim, "ms1nonsense"), Err(ChainError::Address(_))));
    let stale = SealClaim { height: Height::new(2), ..claim };
    assert!(matches!(chain.prepare(stale, &payout(1)), Err(ChainError::Stale("the height"))));
    let seal = farm.seal(tip(&chain), mass_primitives::BodyRoot::ZERO, claim);
    let signature = farm.secret.sign(farm.spec.id(), &seal.id(), Counter(0));
    let refused = chain.submit(&seal.id(), seal.seal.vrf_proof, signature, NOW);
    assert!(matches!(refused, Err(ChainError::Unprepared(_))));
}

/// One key on two sides without a common guard: both sides find it, the next honest block bans it, and what
/// it had pending is gone.
#[test]
fn who_seals_twice_is_banned_and_loses_what_is_pending() {
    let (farm, honest) = (Farm::new(8), Farm::with_key(8, [8; 32]));
    let dir = tempfile::tempdir().unwrap();
    let mut one = open(&farm, &dir.path().join("one.redb"));
    let mut two = open(&farm, &dir.path().join("two.redb"));
    let first = mine(&farm, &mut one, 1);
    let second = mine(&farm, &mut two, 2);
    let notices = one.take_block(&second, NOW).unwrap();
    assert!(notices.contains(&Notice::DoubleSeal(farm.secret.public())), "{notices:?}");
    two.take_block(&first, NOW).unwrap();
    assert_eq!(tip(&one), tip(&two));

    let ban = mine(&honest, &mut one, 3);
    two.take_block(&ban, NOW).unwrap();
    for chain in [&one, &two] {
        assert_eq!(chain.engine().ban(&farm.secret.public(), &tip(chain)), Some(tip(&one)));
        let supply = Supply::read(&chain.store().snapshot().unwrap()).unwrap();
        let forfeit = 10_240_000_000u64;
        assert_eq!(supply.burned, Amount::new(forfeit - forfeit / 8));
    }
    let expected = one.expectation(Slot::ZERO).unwrap();
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    let header = one.prepare(claim, &payout(1)).unwrap();
    let seal = farm.sign(header, claim).seal;
    let (_, notices) = one.submit(&header.id(), seal.vrf_proof, seal.signature, NOW).unwrap();
    assert!(
        matches!(&notices[..], [Notice::Refused(_, Some(reason))] if reason.starts_with("BLK-6")),
        "{notices:?}"
    );
}

/// A payment in the pool spent what a reorg took away. Before, it went into every block that the node made, and
/// the ledger refused them all.
#[test]
fn a_reorg_leaves_no_payment_in_the_pool_that_spoils_blocks() {
    let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
    let (farm, other) = (payer.farm(7), payer.farm(8));
    let dir = tempfile::tempdir().unwrap();
    let mut one = open(&farm, &dir.path().join("one.redb"));
    let mut two = open(&farm, &dir.path().join("two.redb"));
    let coin = Payer::coin(&one);
    let here = payer.pay(coin, 1_000_000, 1_000);
    send(&mut one, &here);
    mine(&farm, &mut one, 1);
    send(&mut one, &payer.pay(coin_of(&here), 999_000, 1_000));

    send(&mut two, &payer.pay(coin, 1_000_000, 2_000));
    for _ in 0..2 {
        let bytes = mine(&other, &mut two, 2);
        one.take_block(&bytes, NOW).unwrap();
    }
    assert_eq!((tip(&one), one.engine().reorgs()), (tip(&two), 1));
    mine(&farm, &mut one, 1);
    assert!(one.pool().is_empty());
}

/// Payments of several blocks that a reorg left come back to the pool, those that spend others too.
#[test]
fn payments_of_a_reorg_come_back_in_their_order() {
    let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
    let (farm, other) = (payer.farm(7), payer.farm(8));
    let dir = tempfile::tempdir().unwrap();
    let mut one = open(&farm, &dir.path().join("one.redb"));
    let mut two = open(&farm, &dir.path().join("two.redb"));
    let first = payer.pay(Payer::coin(&one), 1_000_000, 1_000);
    let second = payer.pay(coin_of(&first), 999_000, 1_000);
    for tx in [&first, &second] {
        send(&mut one, tx);
        mine(&farm, &mut one, 1);
    }
    assert!(one.pool().is_empty());
    for _ in 0..3 {
        let bytes = mine(&other, &mut two, 2);
        one.take_block(&bytes, NOW).unwrap();
    }
    assert_eq!((tip(&one), one.pool().len()), (tip(&two), 2));
    mine(&farm, &mut one, 1);
    assert!(one.pool().is_empty());
}

/// Who made or sent a block that the ledger refuses is told why; before, nobody was.
#[test]
fn a_block_that_the_ledger_refuses_is_told_and_its_chain_is_left() {
    let payer = Payer::new(&Farm::easy(0, [7; 32]).spec);
    let (farm, dir) = (payer.farm(7), tempfile::tempdir().unwrap());
    let path = dir.path().join("chain.redb");
    let mut chain = open(&farm, &path);
    let genesis = tip(&chain);
    let expected = chain.expectation(Slot::ZERO).unwrap();
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    let params = LedgerParams::from_json(farm.spec.rules().ledger.params.clone()).unwrap();
    let ledger = UtxoLedger::new(params, farm.spec.id()).unwrap();
    let context = BlockContext {
        height: claim.height,
        slot: claim.slot,
        time: farm.spec.slot_time(claim.slot).unwrap(),
        median_time_past: 0,
        farmer: *claim.farmer(),
        banned: vec![],
    };
    let nothing = payer.pay(OutPoint { vout: 7, ..Payer::coin(&chain) }, 1_000_000, 1_000);
    let state = chain.store().snapshot().unwrap();
    let payee = Payer::script(&payer.key);
    let body = ledger.build_body(&state, &context, &payee, Carried::default(), &[nothing]).unwrap();
    let sealed = farm.seal(genesis, ledger.commitment(&body).unwrap().root, claim);
    let notices = chain.take_block(&Block::new(sealed, vec![], body).to_bytes(), NOW).unwrap();
    let told = |notice: &Notice| matches!(notice, Notice::Refused(id, Some(_)) if *id == sealed.id());
    assert!(notices.iter().any(told), "{notices:?}");
    assert!(chain.engine().has_judged(&sealed.id()));
    assert_eq!((tip(&chain), *chain.engine().tree().best()), (genesis, genesis));
    drop(chain);
    assert_eq!(tip(&open(&farm, &path)), genesis);
}

#[test]
fn a_bad_seal_costs_no_header_and_a_slot_to_come_is_not_sealed() {
    let (farm, dir) = (Farm::easy(8, [7; 32]), tempfile::tempdir().unwrap());
    let mut chain = open(&farm, &dir.path().join("chain.redb"));
    let expected = chain.expectation(Slot::ZERO).unwrap();
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    let header = chain.prepare(claim, &payout(1)).unwrap();
    let seal = farm.sign(header, claim).seal;
    let bad = chain.submit(&header.id(), seal.vrf_proof, SealSignature::ZERO, NOW);
    assert!(matches!(bad, Err(ChainError::Block(_))));
    chain.tick(Slot::ZERO, NOW).unwrap();
    let early = chain.prepare(SealClaim { slot: Slot::new(2), ..claim }, &payout(1));
    assert!(matches!(early, Err(ChainError::Early(_))), "{early:?}");
    chain.tick(claim.slot, NOW).unwrap();
    chain.submit(&header.id(), seal.vrf_proof, seal.signature, NOW).unwrap();
    assert_eq!(tip(&chain), header.id());
}

/// A crash between two steps of a reorg leaves a tip below both branches; the next start goes on to the heavier.
#[test]
fn a_reorg_that_a_crash_cut_short_is_finished() {
    let (farm, other) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here.redb"), dir.path().join("there.redb"));
    let (mut one, mut two) = (open(&farm, &here), open(&farm, &there));
    for _ in 0..3 {
        mine(&farm, &mut one, 1);
    }
    for _ in 0..2 {
        one.take_block(&mine(&other, &mut two, 2), NOW).unwrap();
    }
    let before = tip(&one);
    for _ in 0..2 {
        one.store().disconnect_tip(&[]).unwrap();
    }
    drop(one);
    let mut one = Chain::open(&here, farm.spec.clone(), None).unwrap();
    assert_ne!(tip(&one), before);
    one.tick(Slot::new(1 << 30), NOW).unwrap();
    assert_eq!(tip(&one), before);
    mine(&farm, &mut one, 1);
}

/// The node that saw both headers may have no farmer who could include them, so evidence travels by itself.
#[test]
fn evidence_that_comes_by_itself_bans() {
    let (farm, honest) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let dir = tempfile::tempdir().unwrap();
    let mut one = open(&farm, &dir.path().join("one.redb"));
    let mut two = open(&farm, &dir.path().join("two.redb"));
    let mut three = open(&farm, &dir.path().join("three.redb"));
    let first = mine(&farm, &mut one, 1);
    mine(&farm, &mut two, 2);
    two.take_block(&first, NOW).unwrap();
    let evidence = two.engine().evidence_for_next()[0].to_bytes();
    assert!(three.take_evidence(&evidence, NOW).unwrap());
    assert!(!three.take_evidence(&evidence, NOW).unwrap(), "known");
    let mut bad = evidence.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert!(matches!(one.take_evidence(&bad, NOW), Err(ChainError::Block(_))));
    assert!(matches!(one.take_evidence(&evidence[1..], NOW), Err(ChainError::Decode(_))));
    mine(&honest, &mut three, 3);
    let farmer = farm.secret.public();
    assert_eq!(three.engine().ban(&farmer, &tip(&three)), Some(tip(&three)));
    assert!(!three.take_evidence(&evidence, NOW).unwrap(), "done");
}

/// One header has no place here: neither is in a block, and nobody tells of it again after a restart.
#[test]
fn evidence_of_a_header_without_a_place_survives_a_restart() {
    let (farm, honest) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.redb");
    let mut one = open(&farm, &path);
    mine(&farm, &mut one, 1);
    let node = one.engine().tree().get(&tip(&one)).unwrap();
    let claim = farm.win(node.height, Slot::ZERO, node.seed, node.difficulty);
    assert_eq!(claim.slot, node.slot);
    let loose = farm.seal(BlockId::new([9; 32]), mass_primitives::BodyRoot::ZERO, claim);
    let notices = one.take_headers(&[loose.to_bytes()], NOW).unwrap();
    assert!(notices.contains(&Notice::DoubleSeal(farm.secret.public())), "{notices:?}");
    assert!(one.engine().tree().get(&loose.id()).is_none());
    let evidence = one.engine().evidence_for_next();
    drop(one);

    let mut one = open(&farm, &path);
    assert_eq!((evidence.len(), one.engine().evidence_for_next()), (1, evidence));
    mine(&honest, &mut one, 2);
    assert_eq!(one.engine().ban(&farm.secret.public(), &tip(&one)), Some(tip(&one)));
    assert!(one.engine().evidence_for_next().is_empty());
    drop(one);
    let one = open(&farm, &path);
    assert_eq!(one.engine().ban(&farm.secret.public(), &tip(&one)), Some(tip(&one)), "the ban survives, too");
}

/// The block that bans is reorganised away, over a restart: pending rewards are as if it had never been, and exact again
/// when the next block bans.
#[test]
fn a_ban_is_undone_with_its_block_and_comes_again() {
    let (farm, honest) = (Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32]));
    let third = Farm::easy(8, [9; 32]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.redb");
    let (mut one, mut two) = (open(&farm, &path), open(&farm, &dir.path().join("two.redb")));
    let first = mine(&farm, &mut one, 1);
    let second = mine(&farm, &mut two, 2);
    let mut rival = open(&farm, &dir.path().join("rival.redb"));
    rival.take_block(&first, NOW).unwrap();
    one.take_block(&second, NOW).unwrap();
    // Both sides of the double seal weigh the same; the rival is to stand on the one that won.
    if tip(&one) != tip(&rival) {
        rival = open(&farm, &dir.path().join("other.redb"));
        rival.take_block(&second, NOW).unwrap();
    }
    let before = supply(&one);
    let farmer = farm.secret.public();
    let reward = 10_240_000_000u64;
    mine(&honest, &mut one, 3);
    assert!(one.engine().ban(&farmer, &tip(&one)).is_some());
    assert_eq!(supply(&one).burned, Amount::new(reward - reward / 8));

    // Two blocks beside the ban, which know of no evidence.
    for _ in 0..2 {
        one.take_block(&mine(&third, &mut rival, 4), NOW).unwrap();
    }
    assert_eq!((tip(&one), one.engine().ban(&farmer, &tip(&one))), (tip(&rival), None));
    assert_eq!(supply(&one), supply(&rival));
    assert_eq!((supply(&one).burned, before.burned), (Amount::ZERO, Amount::ZERO));
    drop(one);

    let mut one = open(&farm, &path);
    assert_eq!(one.engine().ban(&farmer, &tip(&one)), None);
    assert_eq!(one.engine().evidence_for_next().len(), 1, "the proof outlasts the block");
    // Not by him who had it before: he has sealed the slot that is his next win.
    mine(&Farm::easy(8, [10; 32]), &mut one, 3);
    assert_eq!(one.engine().ban(&farmer, &tip(&one)), Some(tip(&one)));
    let after = supply(&one);
    assert_eq!(after.burned, Amount::new(reward - reward / 8));
    assert_eq!(after.issued, Amount::new(4 * reward));
    let left = 4 * reward - (reward - reward / 8);
    let outstanding = after.outstanding().and_then(|all| all.checked_sub(after.genesis));
    assert_eq!(outstanding, Some(Amount::new(left)), "the share is the includer's");
}

/// What was proven before it was stored is not proven again, unless it is asked for.
#[test]
fn a_stored_header_that_rotted_is_found_when_it_is_proven_again() {
    let (farm, dir) = (Farm::easy(8, [7; 32]), tempfile::tempdir().unwrap());
    let path = dir.path().join("chain.redb");
    let mut chain = open(&farm, &path);
    for _ in 0..3 {
        mine(&farm, &mut chain, 1);
    }
    let claim = {
        let expected = chain.expectation(Slot::ZERO).unwrap();
        farm.win(expected.height, expected.after, expected.seed, expected.difficulty)
    };
    let mut rotten = farm.seal(tip(&chain), mass_primitives::BodyRoot::ZERO, claim);
    rotten.seal.signature = SealSignature::ZERO;
    let header = mass_storage::NewHeader {
        id: rotten.id(),
        height: claim.height,
        farmer: *claim.farmer(),
        slot: claim.slot,
        ticket: mass_primitives::Ticket::ZERO,
        bytes: &rotten.to_bytes(),
    };
    chain.store().put_headers(&[header]).unwrap();
    drop(chain);
    assert_eq!(open(&farm, &path).engine().tree().len(), 5);
    let Err(ChainError::Database(why)) = Chain::reverify(&path, farm.spec.clone(), None) else {
        panic!("it was found")
    };
    assert!(why.contains("PRV-12"), "{why}");
}
