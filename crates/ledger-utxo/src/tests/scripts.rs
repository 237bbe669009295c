//! Script paths: P2WSH, taproot leaves, annexes, anchors, time locks in scripts, and what it all may cost.

use bitcoin::{
    EcdsaSighashType, OutPoint, ScriptBuf, Sequence, TapSighashType, Transaction, TxOut, Witness,
    WitnessProgram, WitnessVersion,
    absolute::LockTime,
    ecdsa,
    hashes::Hash,
    key::{Keypair, UntweakedPublicKey},
    opcodes::all::*,
    script::Builder,
    secp256k1::{Message, Secp256k1},
    sighash::{Annex, Prevouts, SighashCache},
    taproot::{LeafVersion, TaprootBuilder, TaprootSpendInfo},
};
use mass_primitives::{Amount, Height};
use proptest::prelude::*;

use super::chain::{Chain, Person, START, unsigned};
use crate::{Coin, LedgerError, ScriptFault, interpreter::Subject, sigops, witness::Spending};

const AMOUNT: u64 = 50_000;

fn pair(number: u8) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[number; 32]).unwrap()
}

/// A chain with one coin of this script, made at height 1.
fn chain_with(script: ScriptBuf) -> (Chain, OutPoint, Coin) {
    let mut chain = Chain::new();
    let (outpoint, coin) = chain.faucet().remove(0);
    let tx =
        Person::new(1).sign(unsigned(&[outpoint], &[(AMOUNT, script), (9, Person::new(1).p2tr())]), &[coin]);
    let (outpoint, coin) = chain.check(&tx).unwrap().creates.remove(0);
    chain.block(1, &[], &[tx]).unwrap();
    (chain, outpoint, coin)
}

/// Spends the coin with what `witness` makes of the transaction; what the check and a block say.
fn spend(
    script: &ScriptBuf,
    change: impl Fn(&mut Transaction),
    witness: impl Fn(&Transaction, &TxOut) -> Vec<Vec<u8>>,
) -> Result<(), ScriptFault> {
    let (mut chain, outpoint, coin) = chain_with(script.clone());
    for _ in 0..4 {
        chain.block(1, &[], &[]).unwrap();
    }
    let mut tx = unsigned(&[outpoint], &[(AMOUNT - 500, Person::new(2).p2tr())]);
    change(&mut tx);
    tx.input[0].witness = witness(&tx, &coin.to_output()).into();
    let fresh = Chain::new().ledger;
    let checked = chain.check(&tx).map(|_| ());
    // Another ledger has not verified it before, and sees it in a block first.
    chain.ledger = fresh;
    let context = chain.context(1, &[]);
    let due = chain.body(1, &[], &[]).unwrap();
    let coinbase = crate::body::Body::decode(&due, 40_000).unwrap().coinbase().clone();
    let root = crate::body::witness_root(&[tx.compute_wtxid()]).unwrap();
    let body = crate::body::encode_body(&with_root(coinbase, root), std::slice::from_ref(&tx));
    let applied = mass_consensus::ledger::Ledger::apply(&chain.ledger, &chain.state, &context, &body);
    assert_eq!(applied.map(|_| ()).map_err(super::chain::invalid), checked);
    checked.map_err(|error| match error {
        LedgerError::Script { txid, input: 0, fault } if txid == tx.compute_txid() => fault,
        other => panic!("{other}"),
    })
}

/// The coinbase with another commitment to witnesses.
fn with_root(mut coinbase: Transaction, root: [u8; 32]) -> Transaction {
    let commitment = mass_primitives::tag::double_sha256(&[root, [0; 32]].concat());
    let output = coinbase.output.iter_mut().find(|output| output.script_pubkey.is_op_return()).unwrap();
    output.script_pubkey =
        ScriptBuf::from_bytes([&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed], commitment.as_slice()].concat());
    coinbase
}

fn sign_v0(tx: &Transaction, spent: &TxOut, script: &ScriptBuf, by: u8, kind: EcdsaSighashType) -> Vec<u8> {
    let digest = SighashCache::new(tx).p2wsh_signature_hash(0, script, spent.value, kind).unwrap();
    let message = Message::from_digest(digest.to_byte_array());
    let signature = Secp256k1::new().sign_ecdsa(&message, &pair(by).secret_key());
    ecdsa::Signature { signature, sighash_type: kind }.to_vec()
}

fn multisig(needed: i64, keys: &[u8]) -> ScriptBuf {
    let keys: Vec<_> = keys.iter().map(|key| bitcoin::PublicKey::new(pair(*key).public_key())).collect();
    let builder = Builder::new().push_int(needed);
    let builder = keys.iter().fold(builder, |builder, key| builder.push_key(key));
    builder.push_int(i64::try_from(keys.len()).unwrap()).push_opcode(OP_CHECKMULTISIG).into_script()
}

#[test]
fn two_of_three_sign() {
    let script = multisig(2, &[1, 2, 3]);
    let check = |signers: &[u8], kind| {
        spend(
            &script.to_p2wsh(),
            |_| {},
            |tx, spent| {
                let signatures = signers.iter().map(|by| sign_v0(tx, spent, &script, *by, kind));
                std::iter::once(Vec::new()).chain(signatures).chain([script.to_bytes()]).collect()
            },
        )
    };
    check(&[1, 3], EcdsaSighashType::All).unwrap();
    check(&[2, 3], EcdsaSighashType::SinglePlusAnyoneCanPay).unwrap();
    check(&[1, 2], EcdsaSighashType::None).unwrap();
    assert_eq!(check(&[3, 1], EcdsaSighashType::All), Err(ScriptFault::Script), "out of order");
    assert_eq!(check(&[1, 4], EcdsaSighashType::All), Err(ScriptFault::Script), "a stranger");
    assert_eq!(check(&[1], EcdsaSighashType::All), Err(ScriptFault::Script), "too few");
}

#[test]
fn faults_around_a_witness_script_are_named() {
    let script = Builder::new().push_opcode(OP_PUSHNUM_1).into_script();
    let check = |witness: Vec<Vec<u8>>| spend(&script.to_p2wsh(), |_| {}, |_, _| witness.clone());
    check(vec![script.to_bytes()]).unwrap();
    assert_eq!(check(vec![]), Err(ScriptFault::WitnessEmpty));
    assert_eq!(check(vec![vec![0x52]]), Err(ScriptFault::ProgramMismatch));
    assert_eq!(check(vec![vec![1], script.to_bytes()]), Err(ScriptFault::Script), "no clean stack");
    let with_script_sig = spend(
        &script.to_p2wsh(),
        |tx| tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51]),
        |_, _| vec![script.to_bytes()],
    );
    assert_eq!(with_script_sig, Err(ScriptFault::SignatureScript));
}

#[test]
fn scripts_wait_for_height_and_age() {
    let absolute = |number| Builder::new().push_int(number).push_opcode(OP_CLTV).into_script();
    let relative = |number| Builder::new().push_int(number).push_opcode(OP_CSV).into_script();
    let check = |script: ScriptBuf, lock_time, sequence| {
        let lock = |tx: &mut Transaction| {
            tx.lock_time = LockTime::from_consensus(lock_time);
            tx.input[0].sequence = Sequence(sequence);
        };
        spend(&script.to_p2wsh(), lock, |_, _| vec![script.to_bytes()])
    };
    check(absolute(5), 5, 0).unwrap();
    check(absolute(i64::from(START)), START, 0).unwrap();
    assert_eq!(check(absolute(5), 4, 0), Err(ScriptFault::Script));
    assert_eq!(check(absolute(5), 5, u32::MAX), Err(ScriptFault::Script), "a final input has no lock");
    assert_eq!(check(absolute(i64::from(START)), 5, 0), Err(ScriptFault::Script), "time is no height");
    check(relative(3), 0, 3).unwrap();
    assert_eq!(check(relative(3), 0, 2), Err(ScriptFault::Script));
    assert_eq!(check(relative(3), 0, 1 << 22), Err(ScriptFault::Script), "time is no height");
}

fn leaf() -> ScriptBuf {
    Builder::new().push_x_only_key(&pair(5).x_only_public_key().0).push_opcode(OP_CHECKSIG).into_script()
}

/// Two leaves under the key of person 6: the key of 5, and whatever `other` says.
fn tree(other: &ScriptBuf, version: LeafVersion) -> TaprootSpendInfo {
    let key: UntweakedPublicKey = pair(6).x_only_public_key().0;
    let builder = TaprootBuilder::new().add_leaf(1, leaf()).unwrap();
    let builder = builder.add_leaf_with_ver(1, other.clone(), version).unwrap();
    builder.finalize(&Secp256k1::new(), key).unwrap()
}

fn control(tree: &TaprootSpendInfo, script: &ScriptBuf, version: LeafVersion) -> Vec<u8> {
    tree.control_block(&(script.clone(), version)).unwrap().serialize()
}

#[test]
fn a_taproot_leaf_is_spent_by_its_key() {
    let other = Builder::new().push_opcode(OP_RETURN).into_script();
    let tree = tree(&other, LeafVersion::TapScript);
    let output = ScriptBuf::new_p2tr_tweaked(tree.output_key());
    let check = |by: u8, annex: Option<Vec<u8>>, shown: Option<Vec<u8>>| {
        spend(
            &output,
            |_| {},
            |tx, spent| {
                let hash = bitcoin::TapLeafHash::from_script(&leaf(), LeafVersion::TapScript);
                let digest = SighashCache::new(tx).taproot_signature_hash(
                    0,
                    &Prevouts::All(std::slice::from_ref(spent)),
                    annex.as_deref().map(|annex| Annex::new(annex).unwrap()),
                    Some((hash, u32::MAX)),
                    TapSighashType::Default,
                );
                let message = Message::from_digest(digest.unwrap().to_byte_array());
                let signature = Secp256k1::new().sign_schnorr_no_aux_rand(&message, &pair(by));
                let mut witness = vec![signature.serialize().to_vec(), leaf().to_bytes()];
                witness.push(control(&tree, &leaf(), LeafVersion::TapScript));
                witness.extend(shown.clone());
                witness
            },
        )
    };
    check(5, None, None).unwrap();
    assert_eq!(check(6, None, None), Err(ScriptFault::Script));
    let annex = vec![0x50, 1, 2];
    check(5, Some(annex.clone()), Some(annex.clone())).unwrap();
    assert_eq!(check(5, None, Some(annex)), Err(ScriptFault::Script), "signed without the annex");
    let failing =
        spend(&output, |_| {}, |_, _| vec![other.to_bytes(), control(&tree, &other, LeafVersion::TapScript)]);
    assert_eq!(failing, Err(ScriptFault::Script));
    let short = spend(&output, |_| {}, |_, _| vec![leaf().to_bytes(), vec![0xc0; 34]]);
    assert_eq!(short, Err(ScriptFault::ControlSize));
}

#[test]
fn what_taproot_keeps_for_later_anybody_may_spend() {
    let later = LeafVersion::from_consensus(0xc2).unwrap();
    let success = ScriptBuf::from_bytes(vec![0x50]);
    for (script, version) in [(success, LeafVersion::TapScript), (ScriptBuf::from_bytes(vec![0x6a]), later)] {
        let tree = tree(&script, version);
        let output = ScriptBuf::new_p2tr_tweaked(tree.output_key());
        spend(&output, |_| {}, |_, _| vec![script.to_bytes(), control(&tree, &script, version)]).unwrap();
    }
}

#[test]
fn an_anchor_is_anybodys_and_has_no_witness() {
    let anchor = ScriptBuf::from_bytes(vec![0x51, 2, 0x4e, 0x73]);
    spend(&anchor, |_| {}, |_, _| vec![]).unwrap();
    assert_eq!(spend(&anchor, |_| {}, |_, _| vec![vec![1]]), Err(ScriptFault::AnchorWitness));
    let address = crate::address::encode("ms", &anchor).unwrap();
    assert_eq!(crate::address::decode("ms", &address).unwrap(), anchor);
}

#[test]
fn versions_without_rules_are_not_created() {
    for version in 1..=16u8 {
        let version = WitnessVersion::try_from(version).unwrap();
        let lens = [2usize, 20, 32, 33, 40];
        for len in lens.into_iter().filter(|len| (version, *len) != (WitnessVersion::V1, 32)) {
            let program = WitnessProgram::new(version, &vec![7; len]).unwrap();
            let chain = Chain::new();
            let (outpoint, coin) = chain.faucet().remove(0);
            let tx = unsigned(&[outpoint], &[(AMOUNT, ScriptBuf::new_witness_program(&program))]);
            let tx = Person::new(1).sign(tx, &[coin]);
            assert_eq!(chain.check(&tx), Err(LedgerError::OutputScript { position: 0 }));
        }
    }
}

fn output(script: ScriptBuf) -> TxOut {
    TxOut { value: bitcoin::Amount::from_sat(AMOUNT), script_pubkey: script }
}

#[test]
fn signature_operations_are_counted_as_bitcoin_counts_them() {
    let count = |script: ScriptBuf| {
        let mut tx = unsigned(&[OutPoint::null()], &[(1, Person::new(1).p2tr())]);
        tx.input[0].witness = Witness::from_slice(&[script.to_bytes()]);
        // One more for the transaction that the interpreter reads.
        sigops::cost(&tx, &[output(script.to_p2wsh())]) - 1
    };
    assert_eq!(count(multisig(1, &[1, 2, 3])), 3);
    assert_eq!(count(ScriptBuf::from_bytes(vec![0xac, 0xad, 0x60, 0xae, 0xaf])), 1 + 1 + 16 + 20);
    assert_eq!(count(ScriptBuf::from_bytes(vec![0x52, 0xac, 0xae])), 1 + 20);
    assert_eq!(count(ScriptBuf::from_bytes(vec![0xac, 0x05, 0xac])), 1, "up to what cannot be parsed");
    let person = Person::new(1);
    let tx = unsigned(&[OutPoint::null()], &[(1, ScriptBuf::from_bytes(vec![0x6a, 0xac]))]);
    assert_eq!(sigops::cost(&tx, &[output(person.p2wpkh())]), 1 + 4);
    assert_eq!(sigops::cost(&tx, &[output(person.p2tr())]), 4);
}

#[test]
fn a_block_has_room_for_so_many_signature_operations() {
    // The tests' weight limit allows 800.
    let script = ScriptBuf::from_bytes([vec![0x51, 0x63, 0x51, 0x67], vec![0xac; 390], vec![0x68]].concat());
    let script_pubkey = script.to_p2wsh();
    let (mut chain, outpoint, _) = chain_with(script_pubkey.clone());
    let mut tx = unsigned(&[outpoint], &[(AMOUNT - 10, script_pubkey.clone())]);
    tx.input[0].witness = Witness::from_slice(&[script.to_bytes()]);
    // The interpreter refuses more than 201 operations, so nothing is counted that could be spent twice as often.
    assert!(matches!(chain.check(&tx), Err(LedgerError::Script { fault: ScriptFault::Script, .. })));
    let script = ScriptBuf::from_bytes([vec![0x51, 0x63, 0x51, 0x67], vec![0xac; 190], vec![0x68]].concat());
    let (chain_two, mut outpoint, _) = chain_with(script.to_p2wsh());
    chain = chain_two;
    let mut txs = Vec::new();
    for step in 1..=5u64 {
        let mut tx = unsigned(&[outpoint], &[(AMOUNT - 10 * step, script.to_p2wsh())]);
        tx.input[0].witness = Witness::from_slice(&[script.to_bytes()]);
        outpoint = OutPoint { txid: tx.compute_txid(), vout: 0 };
        txs.push(tx);
    }
    assert_eq!(chain.block(1, &[], &txs), Err(LedgerError::SigopCost { got: 5 * 191, bound: 800 }));
    chain.block(1, &[], &txs[..4]).unwrap();
}

/// Whether the interpreter takes an input.
fn interpreted(tx: &Transaction, spent: &[TxOut], input: usize) -> bool {
    Subject::new(tx, spent).unwrap().verify(input).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// What is checked without the interpreter, the interpreter takes too; and what it refuses is refused.
    #[test]
    fn usual_spends_agree_with_the_interpreter(
        taproot: bool, position in 0usize..256, bit in 0u8..8, damage: bool, kind in 0usize..6,
    ) {
        let ecdsa = [EcdsaSighashType::All, EcdsaSighashType::None, EcdsaSighashType::Single,
            EcdsaSighashType::AllPlusAnyoneCanPay, EcdsaSighashType::NonePlusAnyoneCanPay,
            EcdsaSighashType::SinglePlusAnyoneCanPay][kind];
        let tap = [TapSighashType::Default, TapSighashType::None, TapSighashType::Single,
            TapSighashType::AllPlusAnyoneCanPay, TapSighashType::NonePlusAnyoneCanPay,
            TapSighashType::SinglePlusAnyoneCanPay][kind];
        let person = Person::new(1);
        let script = if taproot { person.p2tr() } else { person.p2wpkh() };
        let mut tx = unsigned(&[OutPoint::null()], &[(1, person.p2tr())]);
        let spent = vec![output(script)];
        person.sign_as(&mut tx, 0, &spent, ecdsa, tap);
        if damage {
            let mut elements = tx.input[0].witness.to_vec();
            let element = position % elements.len();
            let byte = position % elements[element].len();
            elements[element][byte] ^= 1 << bit;
            tx.input[0].witness = elements.into();
        }
        let spending = Spending { tx: &tx, txid: tx.compute_txid(), spent: spent.clone() };
        let secp = Secp256k1::verification_only();
        let ours = crate::witness::verify_all(&secp, &[spending]).is_ok();
        let theirs = interpreted(&tx, &spent, 0);
        prop_assert!(!ours || theirs);
        prop_assert!(damage || ours);
        // A changed sighash type without a name is the one thing that the interpreter might take.
        prop_assert!(ours == theirs || damage);
    }
}

#[test]
fn the_first_failing_input_is_named_however_many_fail() {
    let mut chain = Chain::new();
    let (outpoint, coin) = chain.faucet().remove(0);
    let person = Person::new(1);
    let outputs = vec![(1_000, person.p2tr()); 150];
    let tx = person.sign(unsigned(&[outpoint], &outputs), &[coin]);
    let (outpoints, coins): (Vec<_>, Vec<_>) = chain.check(&tx).unwrap().creates.into_iter().unzip();
    chain.block(1, &[], &[tx]).unwrap();
    assert_eq!(coins[0].amount, Amount::new(1_000));
    assert_eq!(coins[0].height, Height::new(1));
    let good = person.sign(unsigned(&outpoints, &[(10, person.p2tr())]), &coins);
    chain.check(&good).unwrap();
    for first in [0usize, 31, 32, 33, 100, 149] {
        let mut bad = good.clone();
        for input in (first..150).step_by(7).chain([149]) {
            bad.input[input].witness = Witness::from_slice(&[[1u8; 64]]);
        }
        let expected =
            LedgerError::Script { txid: bad.compute_txid(), input: first, fault: ScriptFault::Schnorr };
        assert_eq!(chain.check(&bad), Err(expected));
    }
}
