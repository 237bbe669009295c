//! Payments: signatures, double spends, scripts, amounts.

use bitcoin::{
    EcdsaSighashType, OutPoint, ScriptBuf, TapSighashType, Transaction, Txid, ecdsa, hashes::Hash,
    secp256k1::SecretKey,
};

use super::chain::{Chain, FAUCET_AMOUNT, Person, unsigned};
use crate::{Coin, LedgerError, ScriptFault, read_coin};

/// A payment of both faucet coins with a fee of 100.
fn payment(chain: &Chain) -> (Transaction, Vec<Coin>) {
    let (outpoints, coins): (Vec<_>, Vec<_>) = chain.faucet().into_iter().unzip();
    let other = Person::new(2);
    let outputs = [(FAUCET_AMOUNT, other.p2wpkh()), (FAUCET_AMOUNT - 100, other.p2tr())];
    (unsigned(&outpoints, &outputs), coins)
}

/// The error of an input of `tx`.
fn fault(tx: &Transaction, input: usize, fault: ScriptFault) -> LedgerError {
    LedgerError::Script { txid: tx.compute_txid(), input, fault }
}

#[test]
fn both_kinds_of_coin_are_paid_and_paid_on() {
    let mut chain = Chain::new();
    let (tx, coins) = payment(&chain);
    let tx = Person::new(1).sign(tx, &coins);
    let summary = chain.check(&tx).unwrap();
    assert_eq!((summary.fee.get(), summary.weight), (100, tx.weight().to_wu()));
    let created: Vec<_> = summary.creates.iter().map(|(_, coin)| coin.clone()).collect();
    let inputs: Vec<_> = summary.creates.iter().map(|(outpoint, _)| *outpoint).collect();
    // Spent in the very block that creates them.
    let next = unsigned(&inputs, &[(FAUCET_AMOUNT, Person::new(3).p2wpkh())]);
    let next = Person::new(2).sign(next, &created);
    chain.block(1, &[], &[tx, next.clone()]).unwrap();
    assert_eq!(read_coin(&chain.state, &inputs[0]).unwrap(), None);
    let left = OutPoint { txid: next.compute_txid(), vout: 0 };
    assert_eq!(read_coin(&chain.state, &left).unwrap().unwrap().amount.get(), FAUCET_AMOUNT);
    chain.pop();
    assert_eq!(read_coin(&chain.state, &left).unwrap(), None);
}

#[test]
fn every_sighash_type_verifies() {
    let chain = Chain::new();
    let ecdsa = [
        EcdsaSighashType::All,
        EcdsaSighashType::None,
        EcdsaSighashType::Single,
        EcdsaSighashType::AllPlusAnyoneCanPay,
        EcdsaSighashType::NonePlusAnyoneCanPay,
        EcdsaSighashType::SinglePlusAnyoneCanPay,
    ];
    let tap = [
        TapSighashType::Default,
        TapSighashType::None,
        TapSighashType::Single,
        TapSighashType::AllPlusAnyoneCanPay,
        TapSighashType::NonePlusAnyoneCanPay,
        TapSighashType::All,
    ];
    for (ecdsa, tap) in ecdsa.into_iter().zip(tap) {
        let (mut tx, coins) = payment(&chain);
        let spent: Vec<_> = coins.iter().map(Coin::to_output).collect();
        for input in 0..2 {
            Person::new(1).sign_as(&mut tx, input, &spent, ecdsa, tap);
        }
        chain.check(&tx).unwrap();
    }
}

#[test]
fn wrong_signatures_are_refused() {
    let chain = Chain::new();
    let (unsigned_tx, coins) = payment(&chain);
    let good = Person::new(1).sign(unsigned_tx.clone(), &coins);
    let check = |input: usize, change: &dyn Fn(&mut Transaction), expected: ScriptFault| {
        let mut tx = good.clone();
        change(&mut tx);
        assert_eq!(chain.check(&tx), Err(fault(&tx, input, expected)));
    };
    let witness = |tx: &mut Transaction, input: usize, change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut elements = tx.input[input].witness.to_vec();
        change(&mut elements);
        tx.input[input].witness = elements.into();
    };
    check(0, &|tx| tx.output[0].value -= bitcoin::Amount::ONE_SAT, ScriptFault::Signature);
    check(0, &|tx| witness(tx, 0, &|e| *e[0].last_mut().unwrap() = 4), ScriptFault::SighashType);
    check(0, &|tx| witness(tx, 0, &|e| e[0][2] = 9), ScriptFault::SignatureEncoding);
    check(0, &|tx| witness(tx, 0, &|e| e[0].clear()), ScriptFault::EvalFalse);
    check(0, &|tx| witness(tx, 0, &|e| e[1][4] ^= 1), ScriptFault::KeyHash);
    check(0, &|tx| witness(tx, 0, &|e| e.push(vec![1])), ScriptFault::ProgramMismatch);
    check(0, &|tx| tx.input[0].witness.clear(), ScriptFault::ProgramMismatch);
    check(0, &|tx| tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51]), ScriptFault::SignatureScript);
    check(1, &|tx| witness(tx, 1, &|e| e[0][5] ^= 1), ScriptFault::Schnorr);
    check(1, &|tx| witness(tx, 1, &|e| e[0].push(0)), ScriptFault::SchnorrSighashType);
    check(1, &|tx| witness(tx, 1, &|e| e[0].push(4)), ScriptFault::SchnorrSighashType);
    check(1, &|tx| witness(tx, 1, &|e| e[0].truncate(63)), ScriptFault::SchnorrSize);
    check(1, &|tx| witness(tx, 1, &|e| e.push(vec![0x50])), ScriptFault::Script);
    check(1, &|tx| witness(tx, 1, &|e| e.push(vec![0xc0; 34])), ScriptFault::ControlSize);
    check(1, &|tx| tx.input[1].witness.clear(), ScriptFault::WitnessEmpty);
    let stranger = Person::new(9).sign(unsigned_tx, &coins);
    assert_eq!(chain.check(&stranger), Err(fault(&stranger, 0, ScriptFault::KeyHash)));
}

#[test]
fn a_signature_has_one_form() {
    let chain = Chain::new();
    let (tx, coins) = payment(&chain);
    let mut tx = Person::new(1).sign(tx, &coins);
    let mut elements = tx.input[0].witness.to_vec();
    let mut signature = ecdsa::Signature::from_slice(&elements[0]).unwrap();
    let mut compact = signature.signature.serialize_compact();
    let high = SecretKey::from_slice(&compact[32..]).unwrap().negate();
    compact[32..].copy_from_slice(&high.secret_bytes());
    signature.signature = bitcoin::secp256k1::ecdsa::Signature::from_compact(&compact).unwrap();
    elements[0] = signature.to_vec();
    tx.input[0].witness = elements.into();
    assert_eq!(chain.check(&tx), Err(fault(&tx, 0, ScriptFault::HighS)));
}

#[test]
fn no_coin_is_spent_twice() {
    let mut chain = Chain::new();
    let (tx, coins) = payment(&chain);
    let first = Person::new(1).sign(tx.clone(), &coins);
    let mut second = tx.clone();
    second.output.pop();
    let second = Person::new(1).sign(second, &coins);
    let spent = tx.input[0].previous_output;
    let both = [first.clone(), second.clone()];
    assert_eq!(chain.block(1, &[], &both), Err(LedgerError::DoubleSpend(spent)));
    chain.block(1, &[], &[first]).unwrap();
    assert_eq!(chain.check(&second), Err(LedgerError::MissingCoin(spent)));
    let mut twice = tx;
    twice.input[1] = twice.input[0].clone();
    assert_eq!(chain.check(&twice), Err(LedgerError::InputTwice(spent)));
}

#[test]
fn shapes_and_amounts_are_checked() {
    let chain = Chain::new();
    let check = |change: &dyn Fn(&mut Transaction), expected: LedgerError| {
        let (mut tx, _) = payment(&chain);
        change(&mut tx);
        assert_eq!(chain.check(&tx), Err(expected));
    };
    let null_data = |len: usize| {
        let mut script = vec![0x6a, 0x4c, u8::try_from(len).unwrap()];
        script.resize(len + 3, 7);
        ScriptBuf::from_bytes(script)
    };
    let nowhere = OutPoint { txid: Txid::from_byte_array([9; 32]), vout: 0 };
    check(&|tx| tx.version.0 = 0, LedgerError::Version { got: 0 });
    check(&|tx| tx.output.clear(), LedgerError::TransactionEmpty { inputs: 2, outputs: 0 });
    check(&|tx| tx.input[1].previous_output = nowhere, LedgerError::MissingCoin(nowhere));
    check(
        &|tx| tx.output[1].script_pubkey = ScriptBuf::from_bytes(vec![0x51]),
        LedgerError::OutputScript { position: 1 },
    );
    check(&|tx| tx.output[1].script_pubkey = null_data(81), LedgerError::OutputScript { position: 1 });
    check(
        &|tx| tx.output[1].script_pubkey = null_data(80),
        LedgerError::NullDataValue { position: 1, got: mass_primitives::Amount::new(FAUCET_AMOUNT - 100) },
    );
    check(
        &|tx| tx.output[0].value = bitcoin::Amount::from_sat(u64::MAX),
        LedgerError::AmountNegative { position: 0 },
    );
    check(
        &|tx| tx.output[1].value = bitcoin::Amount::from_sat(crate::MONEY_MAX.get() + 1),
        LedgerError::AmountTooLarge {
            position: 1,
            got: mass_primitives::Amount::new(crate::MONEY_MAX.get() + 1),
            bound: crate::MONEY_MAX,
        },
    );
    check(
        &|tx| tx.output[1].value = bitcoin::Amount::from_sat(crate::MONEY_MAX.get()),
        LedgerError::AmountRange { what: crate::Sum::Outputs, bound: crate::MONEY_MAX },
    );
    let (mut tx, coins) = payment(&chain);
    tx.output[1].value += bitcoin::Amount::from_sat(101);
    assert!(matches!(chain.check(&tx), Err(LedgerError::Overspent { .. })));
    tx.output[1].value = bitcoin::Amount::ZERO;
    tx.output[1].script_pubkey = null_data(80);
    chain.check(&Person::new(1).sign(tx, &coins)).unwrap();
}
