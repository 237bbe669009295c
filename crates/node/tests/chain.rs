//! From an empty disk to blocks: real plots make real blocks in one database, a second one follows, both
//! survive being reopened, and the heavier side wins after a partition.

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;

use std::path::Path;

use bitcoin::{ScriptBuf, WPubkeyHash, hashes::Hash};
use farm::{Counter, Farm};
use mass_ledger_utxo::{Supply, address};
use mass_node::{Chain, ChainError, Notice};
use mass_primitives::{Amount, BlockId, Height, Slot};

const NOW: u64 = 2_000_000_000;

fn open(farm: &Farm, path: &Path) -> Chain {
    let mut chain = Chain::open(path, farm.spec.clone(), None).unwrap();
    chain.tick(Slot::new(1 << 30), NOW).unwrap();
    chain
}

fn payout(byte: u8) -> String {
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([byte; 20]));
    address::encode("dms", &script).unwrap()
}

/// Farms one block as the farmer does: claim, header from the node, signature.
fn mine(farm: &Farm, chain: &mut Chain, payee: u8) -> Vec<u8> {
    let expected = chain.expectation(Slot::ZERO).unwrap();
    let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
    let header = chain.prepare(claim, &payout(payee)).unwrap();
    let seal = farm.sign(header, claim).seal;
    let (bytes, notices) = chain.submit(&header.id(), seal.vrf_proof, seal.signature, NOW).unwrap();
    assert_eq!(notices, vec![Notice::NewTip(header.id())]);
    bytes
}

fn tip(chain: &Chain) -> BlockId {
    *chain.engine().tip()
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
    for position in (0..good.len()).step_by(7) {
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
    let stale = mass_consensus::header::SealClaim { height: Height::new(2), ..claim };
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
