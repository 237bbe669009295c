//! Bodies as bytes: what a third party may have changed.

use bitcoin::{Transaction, absolute::LockTime, consensus::encode::serialize};
use mass_consensus::ledger::{Carried, Ledger};
use mass_primitives::StateHash;
use proptest::prelude::*;

use super::chain::{Chain, Person, unsigned};
use crate::{
    LedgerError,
    body::{Body, encode_body},
};

const WEIGHT_MAX: u64 = 40_000;

fn body_with_payment() -> (Chain, Vec<u8>, Transaction) {
    let chain = Chain::new();
    let (outpoint, coin) = chain.faucet().remove(1);
    let tx = Person::new(1).sign(unsigned(&[outpoint], &[(1_000, Person::new(2).p2tr())]), &[coin]);
    let body = chain.body(1, &[], std::slice::from_ref(&tx)).unwrap();
    (chain, body, tx)
}

#[test]
fn a_changed_body_is_refused_before_any_state() {
    let (chain, body, tx) = body_with_payment();
    let read = Body::decode(&body, WEIGHT_MAX).unwrap();
    assert_eq!(encode_body(read.coinbase(), read.payments()), body);
    let check = |bytes: &[u8], expected| assert_eq!(chain.ledger.commitment(bytes), Err(expected));
    let mut long = body.clone();
    long.push(0);
    check(&long, LedgerError::BodyTrailing { left: 1 });
    check(&[0], LedgerError::BodyEmpty);
    check(&[], LedgerError::BodyEmpty);
    check(&body[..body.len() - 1], LedgerError::BodyMalformed { position: 1 });
    check(&vec![0; 40_001], LedgerError::BodyTooLong { got: 40_001, bound: 40_000 });
    let coinbase = read.coinbase();
    check(&[vec![1], serialize(&tx)].concat(), LedgerError::CoinbasePosition { position: 0, expected: true });
    check(
        &encode_body(coinbase, std::slice::from_ref(coinbase)),
        LedgerError::CoinbasePosition { position: 1, expected: false },
    );
    let mut unsigned = tx.clone();
    unsigned.input[0].witness.clear();
    check(&encode_body(coinbase, &[unsigned]), LedgerError::WitnessCommitment);
    check(&encode_body(coinbase, &[tx.clone(), tx.clone(), tx]), LedgerError::MerkleMalleated);
    let mut bare = coinbase.clone();
    bare.output.truncate(0);
    bare.output.push(bitcoin::TxOut { value: bitcoin::Amount::ZERO, script_pubkey: vec![0x6a].into() });
    check(&encode_body(&bare, &[]), LedgerError::WitnessCommitmentCount { got: 0 });
    let mut bare = coinbase.clone();
    bare.input[0].witness.push([0; 32]);
    check(&encode_body(&bare, &[]), LedgerError::CoinbaseWitness);
}

#[test]
fn no_transaction_looks_like_a_node_of_the_tree() {
    let (chain, _, mut tx) = body_with_payment();
    tx.output[0].script_pubkey = vec![0x6a, 2, 1, 1].into();
    tx.output[0].value = bitcoin::Amount::ZERO;
    assert_eq!(tx.base_size(), 64);
    let expected = LedgerError::TransactionLooksLikeNode(tx.compute_txid());
    // The pool asks the same, or one such transaction in it would keep its node from making blocks.
    assert_eq!(chain.check(&tx), Err(expected.clone()));
    assert_eq!(chain.body(1, &[], &[tx]), Err(expected));
}

#[test]
fn evidence_and_state_are_committed_to() {
    let chain = Chain::new();
    let context = chain.context(1, &[]);
    let script = Person::new(1).p2tr();
    let build = |carried| chain.ledger.build_body(&chain.state, &context, &script, carried, &[]).unwrap();
    let all = Carried { evidence: Some([7; 32]), state: Some(StateHash::new([8; 32])) };
    let (without, with) = (build(Carried::default()), build(all));
    assert_eq!(chain.ledger.commitment(&without).unwrap().carried, Carried::default());
    assert_eq!(chain.ledger.commitment(&with).unwrap().carried, all);
    chain.ledger.apply(&chain.state, &context, &with).unwrap();
    assert!(with.len() * 4 <= usize::try_from(crate::COINBASE_WEIGHT_MAX).unwrap());
    let coinbase = Body::decode(&with, WEIGHT_MAX).unwrap().coinbase().clone();
    let twice = |position: usize| {
        let mut coinbase = coinbase.clone();
        coinbase.output.push(coinbase.output[position].clone());
        chain.ledger.commitment(&encode_body(&coinbase, &[]))
    };
    assert_eq!(twice(1), Err(LedgerError::EvidenceCommitmentCount { got: 2 }));
    assert_eq!(twice(2), Err(LedgerError::StateCommitmentCount { got: 2 }));
}

#[test]
fn heavy_bodies_are_refused() {
    let (chain, _, tx) = body_with_payment();
    let another = |number| Transaction { lock_time: LockTime::from_consensus(number), ..tx.clone() };
    let txs: Vec<_> = (0..99).map(another).collect();
    let error = chain.body(1, &[], &txs).unwrap_err();
    assert!(matches!(error, LedgerError::Weight { bound: 40_000, .. }), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Body::decode(&bytes, WEIGHT_MAX);
    }

    #[test]
    fn a_changed_byte_changes_the_commitment_or_is_refused(position in 0usize..400, bits in 1u8..) {
        let (chain, mut body, _) = body_with_payment();
        let before = chain.ledger.commitment(&body).unwrap();
        let position = position % body.len();
        body[position] ^= bits;
        if let Ok(after) = chain.ledger.commitment(&body) {
            prop_assert_ne!(after.root, before.root);
            let _ = chain.ledger.apply(&chain.state, &chain.context(1, &[]), &body);
        }
    }
}
