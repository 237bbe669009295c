//! Transactions that are made to be slow: what they cost is bounded by what is counted, and the verdict is
//! the interpreter's. How long it takes is measured by `cargo xtask bench ledger`, for there is no clock here.

use bitcoin::{
    OutPoint, ScriptBuf, Transaction, TxOut, Txid, Witness, XOnlyPublicKey,
    hashes::Hash,
    secp256k1::Secp256k1,
    taproot::{LeafVersion, TaprootBuilder},
};
use mass_primitives::{Amount, ChainId, Encode, Height};

use super::chain::{Person, State, invalid, unsigned};
use crate::{
    Coin, LedgerError, LedgerParams, ScriptFault, SpendContext, UtxoLedger, coin_key,
    interpreter::Subject,
    sigops,
    witness::{Spending, verify_all},
};

const WEIGHT_MAX: u64 = 4_000_000;
/// The most that Bitcoin's nodes relay.
const RELAYED_WEIGHT_MAX: u64 = 400_000;

/// Inputs with a script that does nothing, and a witness so long that the transaction has this weight.
fn many_small_inputs(inputs: u32, weight: u64) -> (Transaction, TxOut) {
    let nothing = ScriptBuf::from_bytes(vec![0x51]);
    let txid = Txid::from_byte_array([8; 32]);
    let outpoints: Vec<_> = (0..inputs).map(|vout| OutPoint { txid, vout }).collect();
    let mut tx = unsigned(&outpoints, &[(1, Person::new(1).p2tr())]);
    for input in &mut tx.input {
        input.witness = Witness::from_slice(&[nothing.to_bytes()]);
    }
    let left = weight.checked_sub(tx.weight().to_wu()).unwrap();
    let padding = usize::try_from(left).unwrap().saturating_sub(10);
    tx.input[0].witness = Witness::from_slice(&[vec![0; padding], nothing.to_bytes()]);
    let script_pubkey = nothing.to_p2wsh();
    (tx, TxOut { value: bitcoin::Amount::from_sat(2), script_pubkey })
}

fn check(tx: &Transaction, coin: &TxOut) -> Result<(), LedgerError> {
    let params = LedgerParams {
        subsidy_initial: Amount::new(10_240_000_000),
        era_blocks: 13_440,
        reward_delay: 1_820,
        maturity: 100,
        weight_max: WEIGHT_MAX,
        address_prefix: "ms".into(),
        genesis_outputs: Vec::new(),
    };
    let ledger = UtxoLedger::new(params, &ChainId::new([1; 32])).unwrap();
    let coin = Coin {
        amount: Amount::new(coin.value.to_sat()),
        script: coin.script_pubkey.clone(),
        height: Height::ZERO,
        median_time: 0,
        coinbase: false,
    };
    let entry = |input: &bitcoin::TxIn| (coin_key(&input.previous_output), coin.to_bytes());
    let state = State(tx.input.iter().map(entry).collect());
    let context = SpendContext { height: Height::new(9), median_time_past: 9 };
    ledger.check_transaction(&state, tx, context).map(|_| ()).map_err(invalid)
}

#[test]
fn many_small_inputs_in_a_large_transaction_are_refused_before_a_script_runs() {
    let (tx, coin) = many_small_inputs(15_873, WEIGHT_MAX);
    assert!(tx.total_size() > 1_900_000);
    // The interpreter would read 31 GB; the limit is 1 GB, less for what takes more than its bytes.
    let Err(LedgerError::SigopCost { got, bound: 80_000 }) = check(&tx, &coin) else { panic!("accepted") };
    assert!(got > 6_000_000);
}

#[test]
fn what_takes_more_than_its_bytes_counts_more() {
    // Empty elements have one byte each, and take as long as 17.
    let (mut tx, coin) = many_small_inputs(2, 4_000);
    let plain = sigops::cost(&tx, &vec![coin.clone(); 2]);
    assert_eq!(plain, 2);
    tx.input[1].witness = Witness::from_slice(&[[]; 120_000]);
    assert_eq!(sigops::cost(&tx, &vec![coin.clone(); 2]), 2 * 171);
    tx.input[1].witness = Witness::from_slice(&[vec![0; 120_000]]);
    assert_eq!(sigops::cost(&tx, &vec![coin.clone(); 2]), 2 * 11);
    tx.output = vec![tx.output[0].clone(); 1_000];
    assert_eq!(sigops::cost(&tx, &vec![coin; 2]), 2 * 19);
}

#[test]
fn no_transaction_that_is_relayed_and_signed_costs_too_much() {
    // Inputs of as much witness as these have: one key, two of three, a taproot leaf, a hash lock with a key.
    for witness in [vec![72, 35], vec![0, 72, 72, 105], vec![64, 34, 33], vec![72, 32, 75]] {
        let elements: Vec<Vec<u8>> = witness.iter().map(|len| vec![0; *len]).collect();
        let coin = Person::new(1).p2tr();
        let mut tx = unsigned(&[OutPoint::null()], &[(1, coin.clone())]);
        tx.input[0].witness = elements.into();
        let spare = RELAYED_WEIGHT_MAX - tx.weight().to_wu();
        let input = tx.input[0].clone();
        let more = usize::try_from(spare / input.segwit_weight().to_wu()).unwrap();
        tx.input.extend(vec![input; more]);
        let spent = TxOut { value: bitcoin::Amount::from_sat(2), script_pubkey: coin };
        let cost = sigops::cost(&tx, &vec![spent; more + 1]);
        assert!(cost < sigops::cost_max(WEIGHT_MAX), "{witness:?}: {cost}");
        assert!(cost > 30_000, "{witness:?}: {cost}");
    }
}

/// Spends a taproot leaf with this script and stack.
fn leaf(script: Vec<u8>, stack: Vec<Vec<u8>>) -> (Transaction, TxOut) {
    let script = ScriptBuf::from_bytes(script);
    let key: XOnlyPublicKey = Person::new(1).p2tr().as_bytes()[2..].try_into().map(x_only).unwrap();
    let tree = TaprootBuilder::new().add_leaf(0, script.clone()).unwrap();
    let tree = tree.finalize(&Secp256k1::new(), key).unwrap();
    let control = tree.control_block(&(script.clone(), LeafVersion::TapScript)).unwrap().serialize();
    let mut tx = unsigned(&[OutPoint::null()], &[(1, Person::new(1).p2tr())]);
    tx.input[0].witness = stack.into_iter().chain([script.to_bytes(), control]).collect::<Vec<_>>().into();
    let script_pubkey = ScriptBuf::new_p2tr_tweaked(tree.output_key());
    (tx, TxOut { value: bitcoin::Amount::from_sat(2), script_pubkey })
}

fn x_only(bytes: [u8; 32]) -> XOnlyPublicKey {
    XOnlyPublicKey::from_slice(&bytes).unwrap()
}

/// What our door says, which is what the interpreter says.
fn verdict(tx: &Transaction, coin: &TxOut) -> bool {
    let spent = vec![coin.clone()];
    let bare = Subject::new(tx, &spent).unwrap().verify(0);
    let spending = Spending { tx, txid: tx.compute_txid(), spent: spent.clone() };
    let ours = verify_all(&Secp256k1::verification_only(), &[spending]);
    assert_eq!(ours.is_ok(), bare.is_ok());
    ours.is_ok()
}

#[test]
fn slow_tapscripts_end_as_the_interpreter_ends_them() {
    let size = 100_000;
    let repeat = |step: &[u8]| step.repeat(size / step.len());
    let around = |head: &[u8], step: &[u8], tail: &[u8]| [head, &repeat(step), tail].concat();
    // Hashes of 520 bytes, as often as fit.
    let (tx, coin) = leaf(around(&[], &[0x76, 0xa8, 0x75], &[0x75, 0x51]), vec![vec![7; 520]]);
    assert!(verdict(&tx, &coin));
    // The deepest of 999 elements, again and again.
    let (tx, coin) = leaf(around(&[], &[0x02, 0xe6, 0x03, 0x7a], &[]), vec![vec![1]; 999]);
    assert!(!verdict(&tx, &coin), "no clean stack");
    // More than 1,000 elements.
    let (tx, coin) = leaf(around(&[], &[0x51], &[]), vec![]);
    assert!(!verdict(&tx, &coin));
    let (tx, coin) = leaf(around(&[], &[0x51, 0x6b], &[0x51]), vec![]);
    assert!(!verdict(&tx, &coin));
    // Conditions inside of conditions, none of which is met.
    let (tx, coin) = leaf(around(&[0x00], &[0x63], &[]), vec![]);
    assert!(!verdict(&tx, &coin));
    // Signatures beyond the budget that the witness pays for.
    let key = Person::new(1).p2tr().as_bytes()[2..].to_vec();
    let step = [vec![0x6e, 0x20], key, vec![0xba, 0x75]].concat();
    let (tx, coin) = leaf(around(&[], &step, &[0x51]), vec![vec![1; 64], vec![]]);
    assert!(!verdict(&tx, &coin));
}

#[test]
fn a_transaction_of_full_weight_is_checked_once() {
    // One input, 3.9 MB of script: read once, and not once for each of its steps.
    let (tx, coin) = leaf([vec![0x61; 3_900_000], vec![0x51]].concat(), vec![]);
    assert!(tx.weight().to_wu() <= WEIGHT_MAX);
    assert!(verdict(&tx, &coin));
    assert!(check(&tx, &coin).is_ok());
    let spent = vec![coin];
    assert_eq!(sigops::cost(&tx, &spent), 3_900_000 / 12_000 + 1);
    // Legacy scripts of this size were slow for the bytes that each signature hashed: none can be made.
    let mut v0 = tx;
    v0.input[0].witness = Witness::from_slice(&[vec![0xac; 10_001]]);
    let spent =
        TxOut { script_pubkey: ScriptBuf::from_bytes(vec![0xac; 10_001]).to_p2wsh(), ..spent[0].clone() };
    let spending = Spending { tx: &v0, txid: v0.compute_txid(), spent: vec![spent] };
    let refused = verify_all(&Secp256k1::verification_only(), &[spending]).unwrap_err();
    assert!(matches!(refused, LedgerError::Script { fault: ScriptFault::Script, input: 0, .. }));
}
