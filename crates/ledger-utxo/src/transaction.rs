//! The rules of one transaction that is no coinbase, all but its scripts. Blocks and memory pool ask the
//! same function.

use std::collections::BTreeSet;

use bitcoin::{OutPoint, Transaction, TxOut, Txid, absolute::LOCK_TIME_THRESHOLD};
use mass_consensus::ledger::{ApplyError, StateRead};
use mass_primitives::{Amount, Height, HeightDelta};

use crate::{
    body::looks_like_node,
    coin::{Coin, read_coin},
    error::{LedgerError, Sum},
    params::{LedgerParams, MONEY_MAX, within_range_of},
    script::{is_null_data, is_spendable},
    sigops,
    witness::Spending,
};

/// Seconds of one unit of a relative lock by time (BIP-68).
const RELATIVE_TIME_SECONDS: u64 = 512;
/// Bit of a sequence that turns its relative lock off (BIP-68).
const RELATIVE_LOCK_OFF: u32 = 1 << 31;
/// Bit of a sequence that makes its relative lock count time (BIP-68).
const RELATIVE_LOCK_TIME: u32 = 1 << 22;
/// Bits of a sequence that carry its relative lock (BIP-68).
const RELATIVE_LOCK_MASK: u32 = 0xffff;

/// The block that a transaction is to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendContext {
    /// Height of the block.
    pub height: Height,
    /// Median time of the eleven blocks before (BIP-113).
    pub median_time_past: u32,
}

/// What a valid transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxSummary {
    /// Inputs less outputs.
    pub fee: Amount,
    /// Weight in BIP-141 units.
    pub weight: u64,
    /// Cost of its scripts in signature operations, of which a block has a limit as it has of weight.
    pub sigop_cost: u64,
    /// The coins that go.
    pub spends: Vec<(OutPoint, Coin)>,
    /// The coins that come.
    pub creates: Vec<(OutPoint, Coin)>,
}

/// Checks one transaction against the state: what it does, and what is left to verify.
pub(crate) fn check<'a>(
    params: &LedgerParams,
    state: &dyn StateRead,
    tx: &'a Transaction,
    txid: Txid,
    context: SpendContext,
) -> Result<(TxSummary, Spending<'a>), ApplyError<LedgerError>> {
    let weight = check_shape(params, tx).map_err(ApplyError::Invalid)?;
    let spends = read_inputs(state, tx)?;
    let fee = check_spends(params, tx, &spends, context).map_err(ApplyError::Invalid)?;
    let spent: Vec<TxOut> = spends.iter().map(|(_, coin)| coin.to_output()).collect();
    let sigop_cost = sigops::cost(tx, &spent);
    check_sigop_cost(params, sigop_cost).map_err(ApplyError::Invalid)?;
    let creates = created_coins(tx, txid, context, false);
    Ok((TxSummary { fee, weight, sigop_cost, spends, creates }, Spending { tx, txid, spent }))
}

/// Checks what the scripts of a block or of one of its transactions cost.
pub(crate) fn check_sigop_cost(params: &LedgerParams, got: u64) -> Result<(), LedgerError> {
    let bound = sigops::cost_max(params.weight_max);
    if got > bound { Err(LedgerError::SigopCost { got, bound }) } else { Ok(()) }
}

/// The coins that a transaction creates.
pub(crate) fn created_coins(
    tx: &Transaction,
    txid: Txid,
    context: SpendContext,
    coinbase: bool,
) -> Vec<(OutPoint, Coin)> {
    let coins = (0u32..).zip(&tx.output).filter(|(_, output)| is_spendable(&output.script_pubkey));
    coins
        .map(|(vout, output)| {
            let coin = Coin {
                amount: Amount::new(output.value.to_sat()),
                script: output.script_pubkey.clone(),
                height: context.height,
                median_time: context.median_time_past,
                coinbase,
            };
            (OutPoint { txid, vout }, coin)
        })
        .collect()
}

/// Checks the lock time (BIP-113).
pub(crate) fn check_lock_time(tx: &Transaction, context: SpendContext) -> Result<(), LedgerError> {
    let lock_time = tx.lock_time.to_consensus_u32();
    let now = if lock_time < LOCK_TIME_THRESHOLD { context.height.get() } else { context.median_time_past };
    if lock_time < now || lock_time == 0 || tx.input.iter().all(|input| input.sequence.is_final()) {
        return Ok(());
    }
    Err(LedgerError::LockTime { lock_time, height: context.height, median_time: context.median_time_past })
}

/// What can be said of a transaction without state.
fn check_shape(params: &LedgerParams, tx: &Transaction) -> Result<u64, LedgerError> {
    if !(1..=3).contains(&tx.version.0) {
        return Err(LedgerError::Version { got: tx.version.0 });
    }
    if tx.input.is_empty() || tx.output.is_empty() {
        return Err(LedgerError::TransactionEmpty { inputs: tx.input.len(), outputs: tx.output.len() });
    }
    let weight = tx.weight().to_wu();
    if weight > params.weight_max {
        return Err(LedgerError::Weight { got: weight, bound: params.weight_max });
    }
    check_outputs(tx)?;
    // No block could hold it.
    if looks_like_node(tx) {
        return Err(LedgerError::TransactionLooksLikeNode(tx.compute_txid()));
    }
    let mut seen = BTreeSet::new();
    if let Some(input) = tx.input.iter().find(|input| !seen.insert(input.previous_output)) {
        return Err(LedgerError::InputTwice(input.previous_output));
    }
    Ok(weight)
}

/// Checks amounts and scripts of the outputs.
fn check_outputs(tx: &Transaction) -> Result<(), LedgerError> {
    for (position, output) in tx.output.iter().enumerate() {
        let got = Amount::new(output.value.to_sat());
        if i64::try_from(got.get()).is_err() {
            return Err(LedgerError::AmountNegative { position });
        }
        if got > MONEY_MAX {
            return Err(LedgerError::AmountTooLarge { position, got, bound: MONEY_MAX });
        }
        if is_null_data(&output.script_pubkey) {
            if got != Amount::ZERO {
                return Err(LedgerError::NullDataValue { position, got });
            }
        } else if !is_spendable(&output.script_pubkey) {
            return Err(LedgerError::OutputScript { position });
        }
    }
    sum(Sum::Outputs, tx.output.iter().map(|output| Amount::new(output.value.to_sat()))).map(|_| ())
}

fn read_inputs(
    state: &dyn StateRead,
    tx: &Transaction,
) -> Result<Vec<(OutPoint, Coin)>, ApplyError<LedgerError>> {
    let read = |outpoint| {
        let coin = read_coin(state, &outpoint)?;
        let coin = coin.ok_or(ApplyError::Invalid(LedgerError::MissingCoin(outpoint)))?;
        Ok((outpoint, coin))
    };
    tx.input.iter().map(|input| read(input.previous_output)).collect()
}

/// Checks maturity, locks and amounts; the fee.
fn check_spends(
    params: &LedgerParams,
    tx: &Transaction,
    spends: &[(OutPoint, Coin)],
    context: SpendContext,
) -> Result<Amount, LedgerError> {
    check_lock_time(tx, context)?;
    for ((outpoint, coin), input) in spends.iter().zip(&tx.input) {
        check_maturity(params, *outpoint, coin, context)?;
        check_relative_lock(tx, input.sequence.0, *outpoint, coin, context)?;
    }
    let expected = sum(Sum::Inputs, spends.iter().map(|(_, coin)| coin.amount))?;
    let got = sum(Sum::Outputs, tx.output.iter().map(|output| Amount::new(output.value.to_sat())))?;
    expected.checked_sub(got).ok_or(LedgerError::Overspent { got, expected })
}

/// The sum of amounts, each and all within range.
pub(crate) fn sum(what: Sum, mut amounts: impl Iterator<Item = Amount>) -> Result<Amount, LedgerError> {
    amounts.try_fold(Amount::ZERO, |sum, amount| within_range_of(what, sum.checked_add(amount)))
}

fn check_maturity(
    params: &LedgerParams,
    outpoint: OutPoint,
    coin: &Coin,
    context: SpendContext,
) -> Result<(), LedgerError> {
    let expected =
        coin.height.checked_add(HeightDelta::new(params.maturity)).unwrap_or(Height::new(u32::MAX));
    if coin.coinbase && context.height < expected {
        return Err(LedgerError::Immature { outpoint, got: context.height, expected });
    }
    Ok(())
}

/// Checks the relative lock of one input (BIP-68).
fn check_relative_lock(
    tx: &Transaction,
    sequence: u32,
    outpoint: OutPoint,
    coin: &Coin,
    context: SpendContext,
) -> Result<(), LedgerError> {
    if tx.version.0 < 2 || sequence & RELATIVE_LOCK_OFF != 0 {
        return Ok(());
    }
    let units = u64::from(sequence & RELATIVE_LOCK_MASK);
    let (since, units, got) = if sequence & RELATIVE_LOCK_TIME == 0 {
        (coin.height.get(), units, context.height.get())
    } else {
        (coin.median_time, units.saturating_mul(RELATIVE_TIME_SECONDS), context.median_time_past)
    };
    let (got, expected) = (u64::from(got), u64::from(since).saturating_add(units));
    if got < expected { Err(LedgerError::RelativeLock { outpoint, got, expected }) } else { Ok(()) }
}
