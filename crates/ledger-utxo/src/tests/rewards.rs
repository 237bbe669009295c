//! Late rewards, maturity, bans.

use bitcoin::OutPoint;
use mass_primitives::{Amount, Height};

use super::chain::{Chain, DELAY, MATURITY, Person, farmer, unsigned};
use crate::{
    LedgerError,
    body::Body,
    read_coin,
    reward::{pending_of, read_pending},
};

#[test]
fn rewards_are_paid_late_to_the_script_that_the_block_named() {
    let mut chain = Chain::new();
    let farmers = [1u8, 2, 2, 3, 1, 2, 3, 3, 1, 2, 1, 3];
    for (position, by) in farmers.into_iter().enumerate() {
        let reward = chain.ledger.params().subsidy(Height::new(chain.height + 1));
        let body = chain.body(by, &[], &[]).unwrap();
        let coinbase = Body::decode(&body, 40_000).unwrap().coinbase().clone();
        chain.apply(by, &[], &body).unwrap();
        assert_eq!(read_pending(&chain.state, Height::new(chain.height)).unwrap().unwrap().amount, reward);
        let Some(earned) = position.checked_sub(DELAY as usize) else {
            assert_eq!(coinbase.output.len(), 1);
            continue;
        };
        let outpoint = OutPoint { txid: coinbase.compute_txid(), vout: 0 };
        let coin = read_coin(&chain.state, &outpoint).unwrap().unwrap();
        assert_eq!(coin.script, Person::new(farmers[earned]).p2wpkh());
        let height = Height::new(u32::try_from(earned).unwrap() + 1);
        assert_eq!(coin.amount, chain.ledger.params().subsidy(height));
        assert_eq!(read_pending(&chain.state, height).unwrap(), None);
    }
    while chain.height > 0 {
        chain.pop();
    }
}

#[test]
fn a_coinbase_pays_what_is_due_and_nothing_else() {
    let mut chain = Chain::new();
    for _ in 0..DELAY {
        chain.block(1, &[], &[]).unwrap();
    }
    let body = chain.body(2, &[], &[]).unwrap();
    let check = |change: &dyn Fn(&mut bitcoin::Transaction)| {
        let mut coinbase = Body::decode(&body, 40_000).unwrap().coinbase().clone();
        change(&mut coinbase);
        let body = crate::body::encode_body(&coinbase, &[]);
        let context = chain.context(2, &[]);
        let applied = mass_consensus::ledger::Ledger::apply(&chain.ledger, &chain.state, &context, &body);
        super::chain::invalid(applied.unwrap_err())
    };
    let more = check(&|tx| tx.output[0].value += bitcoin::Amount::ONE_SAT);
    assert!(matches!(more, LedgerError::CoinbasePayout { got: Some(_), expected: Some(_) }));
    let other = check(&|tx| tx.output[0].script_pubkey = Person::new(2).p2wpkh());
    assert_eq!(other, LedgerError::CoinbasePayoutScript);
    let none = check(&|tx| drop(tx.output.remove(0)));
    assert!(matches!(none, LedgerError::CoinbasePayout { got: None, expected: Some(_) }));
    let twice = check(&|tx| tx.output.push(tx.output[0].clone()));
    assert_eq!(twice, LedgerError::CoinbaseOutput { position: 2 });
    let height = check(&|tx| tx.input[0].script_sig = bitcoin::ScriptBuf::from_bytes(vec![0x51, 0x51]));
    assert_eq!(height, LedgerError::CoinbaseScript { expected: Height::new(DELAY + 1) });
}

#[test]
fn a_coinbase_matures() {
    let mut chain = Chain::new();
    for _ in 0..DELAY {
        chain.block(1, &[], &[]).unwrap();
    }
    let body = chain.body(1, &[], &[]).unwrap();
    let txid = Body::decode(&body, 40_000).unwrap().coinbase().compute_txid();
    chain.apply(1, &[], &body).unwrap();
    let made = chain.height;
    let outpoint = OutPoint { txid, vout: 0 };
    let coin = read_coin(&chain.state, &outpoint).unwrap().unwrap();
    let tx = Person::new(1).sign(unsigned(&[outpoint], &[(1_000, Person::new(2).p2tr())]), &[coin]);
    for _ in 1..MATURITY {
        let expected = LedgerError::Immature {
            outpoint,
            got: Height::new(chain.height + 1),
            expected: Height::new(made + MATURITY),
        };
        assert_eq!(chain.block(1, &[], std::slice::from_ref(&tx)), Err(expected));
        chain.block(1, &[], &[]).unwrap();
    }
    chain.block(1, &[], &[tx]).unwrap();
}

#[test]
fn a_ban_takes_what_is_pending_and_burns_seven_eighths() {
    let mut chain = Chain::new();
    for by in [2, 3, 2, 3, 2] {
        chain.block(by, &[], &[]).unwrap();
    }
    // Block 1 is paid; blocks 3 and 5 of farmer 2 are pending, block 2 of farmer 3 is due next.
    let lost = pending_of(&chain.state, &farmer(2)).unwrap().get();
    assert_eq!(lost, 2 * 10_240_000_003);
    assert_eq!(chain.block(2, &[2], &[]), Err(LedgerError::BannedFarmer(farmer(2))));
    chain.block(4, &[2, 2, 7], &[]).unwrap();
    assert_eq!(pending_of(&chain.state, &farmer(2)).unwrap(), Amount::ZERO);
    let reward = read_pending(&chain.state, Height::new(6)).unwrap().unwrap().amount.get();
    assert_eq!(reward, 10_240_000_003 + lost / 8);
    assert_eq!(chain.supply().burned.get(), lost - lost / 8);
    let coins = chain.state.audit().coins;
    chain.block(4, &[], &[]).unwrap();
    assert_eq!(chain.state.audit().coins, coins, "block 3 is never paid");
    // Farmer 3 is banned in the very block that would pay block 4.
    chain.block(4, &[3], &[]).unwrap();
    assert_eq!(chain.state.audit().coins, coins);
    assert_eq!(pending_of(&chain.state, &farmer(3)).unwrap(), Amount::ZERO);
    while chain.height > 0 {
        chain.pop();
    }
}

#[test]
fn after_the_last_era_fees_alone_are_paid() {
    let mut chain = Chain::new();
    chain.height = 1_000_000;
    chain.block(1, &[], &[]).unwrap();
    assert_eq!(read_pending(&chain.state, Height::new(chain.height)).unwrap(), None);
}
