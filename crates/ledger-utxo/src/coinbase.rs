//! The coinbase: names the height and the script that this block's reward goes to, pays the reward of a
//! much earlier block, and commits to witnesses and evidence.
//!
//! ```text
//! signature script   push(height) push(payout script)     height minimal as in BIP-34; genesis: push(chain id)
//! witness            one reserved value of 32 bytes
//! output 0           the reward that is due, to the script its farmer named; absent if none is due
//! then, once         0 maxwell  OP_RETURN push(aa21a9ed commitment(32))   BIP-141
//! then, at most once 0 maxwell  OP_RETURN push("MSev" commitment(32))     evidence
//! then, at most once 0 maxwell  OP_RETURN push("MSst" hash(32))           the state before, once a period
//! ```

use bitcoin::{
    OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    script::{Builder, PushBytesBuf},
    transaction::Version,
};
use mass_consensus::ledger::Carried;
use mass_primitives::{Amount, Height, StateHash, tag::double_sha256};

use crate::{error::LedgerError, reward::PendingReward, script::is_payout};

/// Weight that a block candidate keeps free for its coinbase and the count of transactions.
pub const COINBASE_WEIGHT_MAX: u64 = 1_300;
const WITNESS_COMMITMENT_HEAD: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
const EVIDENCE_COMMITMENT_HEAD: [u8; 6] = [0x6a, 0x24, b'M', b'S', b'e', b'v'];
const STATE_COMMITMENT_HEAD: [u8; 6] = [0x6a, 0x24, b'M', b'S', b's', b't'];

/// Builds a coinbase. In the genesis block the chain id stands for the payout script.
pub(crate) fn build(
    height: Height,
    payout_script: &Script,
    due: Option<&PendingReward>,
    witness_root: [u8; 32],
    carried: Carried,
) -> Transaction {
    let reserved = [0; 32];
    let payout = due.map(|reward| TxOut {
        value: bitcoin::Amount::from_sat(reward.amount.get()),
        script_pubkey: reward.payout_script.clone(),
    });
    let witness = commitment_script(WITNESS_COMMITMENT_HEAD, witness_commitment(witness_root, reserved));
    let evidence = carried.evidence.map(|hash| commitment_script(EVIDENCE_COMMITMENT_HEAD, hash));
    let state = carried.state.map(|hash| commitment_script(STATE_COMMITMENT_HEAD, hash.get()));
    let commitments = core::iter::once(witness).chain(evidence).chain(state);
    let null_data = |script_pubkey| TxOut { value: bitcoin::Amount::ZERO, script_pubkey };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: signature_script(height, payout_script),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[reserved]),
        }],
        output: payout.into_iter().chain(commitments.map(null_data)).collect(),
    }
}

/// The payout script that the coinbase of the block at `height` names.
pub(crate) fn payout_script(coinbase: &Transaction, height: Height) -> Result<ScriptBuf, LedgerError> {
    let refused = LedgerError::CoinbaseScript { expected: height };
    let script = coinbase.input.first().map(|input| &input.script_sig).ok_or_else(|| refused.clone())?;
    let push = script.instructions().nth(1).and_then(Result::ok);
    let payout = push
        .and_then(|push| push.push_bytes().map(|bytes| ScriptBuf::from_bytes(bytes.as_bytes().to_vec())))
        .filter(|payout| is_payout(payout) && signature_script(height, payout) == *script);
    payout.ok_or(refused)
}

/// Checks that the outputs pay exactly what is due and carry nothing else but commitments.
pub(crate) fn check_outputs(coinbase: &Transaction, due: Option<&PendingReward>) -> Result<(), LedgerError> {
    let amount = |output: &TxOut| Amount::new(output.value.to_sat());
    let got = coinbase.output.first().map(amount).filter(|amount| *amount != Amount::ZERO);
    let expected = due.map(|reward| reward.amount);
    if got != expected {
        return Err(LedgerError::CoinbasePayout { got, expected });
    }
    if let (Some(reward), Some(output)) = (due, coinbase.output.first())
        && reward.payout_script != output.script_pubkey
    {
        return Err(LedgerError::CoinbasePayoutScript);
    }
    for (position, output) in coinbase.output.iter().enumerate().skip(usize::from(due.is_some())) {
        let script = &output.script_pubkey;
        let heads = [WITNESS_COMMITMENT_HEAD, EVIDENCE_COMMITMENT_HEAD, STATE_COMMITMENT_HEAD];
        let is_commitment = heads.into_iter().any(|head| commitment_in(script, head).is_some());
        if !is_commitment || amount(output) != Amount::ZERO {
            return Err(LedgerError::CoinbaseOutput { position });
        }
    }
    Ok(())
}

/// Checks the witness commitment (BIP-141), which here is mandatory.
pub(crate) fn check_witness_commitment(
    coinbase: &Transaction,
    witness_root: [u8; 32],
) -> Result<(), LedgerError> {
    let witness = coinbase.input.first().map(|input| &input.witness);
    let reserved = witness
        .filter(|witness| witness.len() == 1)
        .and_then(|witness| witness.nth(0))
        .and_then(|reserved| <[u8; 32]>::try_from(reserved).ok())
        .ok_or(LedgerError::CoinbaseWitness)?;
    match commitments(coinbase, WITNESS_COMMITMENT_HEAD).as_slice() {
        [found] if *found == witness_commitment(witness_root, reserved) => Ok(()),
        [_] => Err(LedgerError::WitnessCommitment),
        found => Err(LedgerError::WitnessCommitmentCount { got: found.len() }),
    }
}

/// The commitments to the block's evidence and to the state before it, as far as there are any.
pub(crate) fn carried(coinbase: &Transaction) -> Result<Carried, LedgerError> {
    let evidence = match commitments(coinbase, EVIDENCE_COMMITMENT_HEAD).as_slice() {
        [] => None,
        [found] => Some(*found),
        found => return Err(LedgerError::EvidenceCommitmentCount { got: found.len() }),
    };
    let state = match commitments(coinbase, STATE_COMMITMENT_HEAD).as_slice() {
        [] => None,
        [found] => Some(StateHash::new(*found)),
        found => return Err(LedgerError::StateCommitmentCount { got: found.len() }),
    };
    Ok(Carried { evidence, state })
}

fn commitments(coinbase: &Transaction, head: [u8; 6]) -> Vec<[u8; 32]> {
    coinbase.output.iter().filter_map(|output| commitment_in(&output.script_pubkey, head)).collect()
}

fn commitment_in(script: &Script, head: [u8; 6]) -> Option<[u8; 32]> {
    script.as_bytes().strip_prefix(&head).and_then(|hash| hash.try_into().ok())
}

fn commitment_script(head: [u8; 6], hash: [u8; 32]) -> ScriptBuf {
    ScriptBuf::from_bytes([head.as_slice(), &hash].concat())
}

fn witness_commitment(witness_root: [u8; 32], reserved: [u8; 32]) -> [u8; 32] {
    double_sha256(&[witness_root, reserved].concat())
}

fn signature_script(height: Height, payout_script: &Script) -> ScriptBuf {
    // Output scripts have at most 34 bytes; a push of more than 4 GiB does not exist.
    let payout = PushBytesBuf::try_from(payout_script.to_bytes()).unwrap_or_default();
    Builder::new().push_int(i64::from(height.get())).push_slice(payout).into_script()
}
