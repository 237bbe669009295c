//! The ledger behind the engine's port: genesis, commitment, one pure `apply`, and block candidates.

use std::sync::Arc;

use bitcoin::{
    OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime,
    hashes::Hash,
    secp256k1::{Secp256k1, VerifyOnly},
    transaction::Version,
};
use mass_consensus::ledger::{
    ApplyError, BlockContext, BodyCommitment, Carried, Ledger, Overlay, StateDelta, StateRead, StateReadError,
};
use mass_primitives::{Amount, ChainId, Encode, Height, HeightDelta, Tag, TaggedHasher};

use crate::{
    audit::keeps_balance,
    body::{Body, encode_body, witness_root},
    coin::{SUPPLY_KEY, coin_key},
    coinbase,
    error::{LedgerError, ParamsError, Sum},
    params::{LedgerParams, within_range},
    reward::{self, PendingReward, Supply},
    script::is_payout,
    sigops,
    transaction::{self, SpendContext, TxSummary, created_coins},
    verified::{Key, Verified},
    witness::verify_all,
};

/// Mass Net's ledger.
#[derive(Clone, Debug)]
pub struct UtxoLedger {
    params: LedgerParams,
    secp: Secp256k1<VerifyOnly>,
    /// Shared by all clones: what the pool has verified, a block need not.
    verified: Arc<Verified>,
    genesis: (Vec<u8>, StateDelta),
}

/// What a block does to the rewards before it pays its own.
struct Settled {
    /// The reward that the coinbase pays.
    due: Option<PendingReward>,
    /// Part of what banned farmers lose, for this block's farmer.
    share: Amount,
    /// The rest of it, for nobody.
    burned: Amount,
}

impl UtxoLedger {
    /// The ledger of `chain`, with these parameters. The genesis block carries the chain's id, so that two
    /// chains never share a genesis block or a coin.
    ///
    /// # Errors
    /// [`ParamsError`] if they describe no ledger.
    pub fn new(params: LedgerParams, chain: &ChainId) -> Result<Self, ParamsError> {
        params.validate()?;
        let genesis = build_genesis(&params, chain)?;
        Ok(Self { params, secp: Secp256k1::verification_only(), verified: Arc::default(), genesis })
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &LedgerParams {
        &self.params
    }

    /// Checks a transaction for a block to come. `state` may be an [`Overlay`] with other transactions
    /// that wait for the same block.
    ///
    /// # Errors
    /// [`ApplyError`] if it breaks a rule or the state cannot be read.
    pub fn check_transaction(
        &self,
        state: &dyn StateRead,
        tx: &Transaction,
        context: SpendContext,
    ) -> Result<TxSummary, ApplyError<LedgerError>> {
        let (summary, spending) = transaction::check(&self.params, state, tx, tx.compute_txid(), context)?;
        let key = Key::new(tx.compute_wtxid(), &spending);
        if !self.verified.contains(&key) {
            verify_all(&self.secp, core::slice::from_ref(&spending)).map_err(ApplyError::Invalid)?;
            self.verified.insert(key);
        }
        Ok(summary)
    }

    /// The same without the scripts, which cost most. Nothing may be built on it alone.
    ///
    /// # Errors
    /// [`ApplyError`] if it breaks another rule or the state cannot be read.
    pub fn check_spends(
        &self,
        state: &dyn StateRead,
        tx: &Transaction,
        context: SpendContext,
    ) -> Result<TxSummary, ApplyError<LedgerError>> {
        transaction::check(&self.params, state, tx, tx.compute_txid(), context).map(|(summary, _)| summary)
    }

    /// The body of a block candidate. `txs` must be valid in this order, which the pool knows; they may
    /// weigh [`COINBASE_WEIGHT_MAX`](crate::COINBASE_WEIGHT_MAX) less than the limit.
    ///
    /// # Errors
    /// [`ApplyError`] if the payout script cannot receive a reward, the farmer is banned by the block's
    /// own evidence, the body is too heavy, or the state cannot be read.
    pub fn build_body(
        &self,
        state: &dyn StateRead,
        context: &BlockContext,
        payout_script: &Script,
        carried: Carried,
        txs: &[Transaction],
    ) -> Result<Vec<u8>, ApplyError<LedgerError>> {
        if !is_payout(payout_script) || context.height == Height::ZERO {
            return Err(ApplyError::Invalid(LedgerError::CoinbaseScript { expected: context.height }));
        }
        let due = self.settle(&mut Overlay::new(state), context)?.due;
        let wtxids: Vec<_> = txs.iter().map(Transaction::compute_wtxid).collect();
        let root = witness_root(&wtxids).map_err(ApplyError::Invalid)?;
        let coinbase = coinbase::build(context.height, payout_script, due.as_ref(), root, carried);
        let bytes = encode_body(&coinbase, txs);
        Body::decode(&bytes, self.params.weight_max).map_err(ApplyError::Invalid)?;
        Ok(bytes)
    }

    /// Takes what banned farmers lose, then what this block pays.
    fn settle(
        &self,
        state: &mut Overlay<'_>,
        context: &BlockContext,
    ) -> Result<Settled, ApplyError<LedgerError>> {
        if context.banned.contains(&context.farmer) {
            return Err(ApplyError::Invalid(LedgerError::BannedFarmer(context.farmer)));
        }
        let (share, burned) = reward::forfeit(state, &context.banned)?;
        let delay = HeightDelta::new(self.params.reward_delay);
        let due = reward::take_due(state, context.height, delay)?;
        Ok(Settled { due, share, burned })
    }

    /// Applies all transactions but the coinbase; the sum of their fees. Scripts come last and together.
    fn apply_payments(
        &self,
        state: &mut Overlay<'_>,
        body: &Body,
        context: SpendContext,
    ) -> Result<Amount, ApplyError<LedgerError>> {
        let mut fees = Amount::ZERO;
        let mut cost = sigops::cost(body.coinbase(), &[]);
        let mut unverified = Vec::new();
        for (tx, txid, wtxid) in body.identified() {
            let (summary, spending) = transaction::check(&self.params, state, tx, txid, context)
                .map_err(|error| name_double_spend(state, error))?;
            for (outpoint, _) in &summary.spends {
                state.delete(coin_key(outpoint));
            }
            put_coins(state, summary.creates);
            fees = within_range(fees.checked_add(summary.fee)).map_err(ApplyError::Invalid)?;
            cost = cost.saturating_add(summary.sigop_cost);
            transaction::check_sigop_cost(&self.params, cost).map_err(ApplyError::Invalid)?;
            if !self.verified.contains(&Key::new(wtxid, &spending)) {
                unverified.push(spending);
            }
        }
        verify_all(&self.secp, &unverified).map_err(ApplyError::Invalid)?;
        Ok(fees)
    }
}

impl Ledger for UtxoLedger {
    type Error = LedgerError;

    fn genesis(&self) -> (Vec<u8>, StateDelta) {
        self.genesis.clone()
    }

    fn commitment(&self, body: &[u8]) -> Result<BodyCommitment, LedgerError> {
        Body::decode(body, self.params.weight_max).map(|body| body.commitment())
    }

    fn apply(
        &self,
        stored: &dyn StateRead,
        context: &BlockContext,
        body: &[u8],
    ) -> Result<StateDelta, ApplyError<LedgerError>> {
        let body = Body::decode(body, self.params.weight_max).map_err(ApplyError::Invalid)?;
        let spend_context =
            SpendContext { height: context.height, median_time_past: context.median_time_past };
        let coinbase = body.coinbase();
        let payout_script = coinbase::payout_script(coinbase, context.height).map_err(ApplyError::Invalid)?;
        transaction::check_lock_time(coinbase, spend_context).map_err(ApplyError::Invalid)?;

        let mut state = Overlay::new(stored);
        let settled = self.settle(&mut state, context)?;
        coinbase::check_outputs(coinbase, settled.due.as_ref()).map_err(ApplyError::Invalid)?;
        let fees = self.apply_payments(&mut state, &body, spend_context)?;
        // The coinbase comes last: nothing in its own block could spend it anyway.
        let txid = body.coinbase_txid().ok_or(ApplyError::Invalid(LedgerError::BodyEmpty))?;
        put_coins(&mut state, created_coins(coinbase, txid, spend_context, true));

        let subsidy = self.params.subsidy(context.height);
        let reward = transaction::sum(Sum::Rewards, [subsidy, fees, settled.share].into_iter());
        let reward = reward.map_err(ApplyError::Invalid)?;
        reward::add_pending(&mut state, context.height, reward, context.farmer, payout_script)?;
        let supply = Supply::read(&state)?;
        let books = Supply {
            issued: within_range(supply.issued.checked_add(subsidy)).map_err(ApplyError::Invalid)?,
            burned: within_range(supply.burned.checked_add(settled.burned)).map_err(ApplyError::Invalid)?,
            ..supply
        };
        if books != supply {
            state.put(SUPPLY_KEY.to_vec(), books.to_bytes());
        }
        let delta = state.into_delta();
        debug_assert!(keeps_balance(stored, &delta), "coins, rewards and books do not fit at {context:?}");
        Ok(delta)
    }
}

fn put_coins(state: &mut Overlay<'_>, coins: Vec<(OutPoint, crate::coin::Coin)>) {
    for (outpoint, coin) in coins {
        state.put(coin_key(&outpoint), coin.to_bytes());
    }
}

/// Within a block, a missing coin may be one that the block has spent before.
fn name_double_spend(state: &Overlay<'_>, error: ApplyError<LedgerError>) -> ApplyError<LedgerError> {
    match error {
        ApplyError::Invalid(LedgerError::MissingCoin(outpoint))
            if state.delta().get(&coin_key(&outpoint)) == Some(None) =>
        {
            ApplyError::Invalid(LedgerError::DoubleSpend(outpoint))
        }
        other => other,
    }
}

/// The outpoint from which the coins of a chain's genesis block come. No transaction has this id.
fn faucet_outpoint(chain: &ChainId) -> OutPoint {
    let txid = Txid::from_byte_array(TaggedHasher::new(Tag::Faucet).chain(chain.as_bytes()).finish());
    OutPoint { txid, vout: 0 }
}

/// The genesis block's faucet transaction, which is no coinbase, so that its coins need not mature.
fn build_faucet(params: &LedgerParams, chain: &ChainId) -> Result<Option<Transaction>, ParamsError> {
    if params.genesis_outputs.is_empty() {
        return Ok(None);
    }
    let output = |(script_pubkey, output): (ScriptBuf, &crate::params::GenesisOutput)| TxOut {
        value: bitcoin::Amount::from_sat(output.amount.get()),
        script_pubkey,
    };
    let scripts = params.genesis_scripts()?;
    Ok(Some(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: faucet_outpoint(chain),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: scripts.into_iter().zip(&params.genesis_outputs).map(output).collect(),
    }))
}

fn build_genesis(params: &LedgerParams, chain: &ChainId) -> Result<(Vec<u8>, StateDelta), ParamsError> {
    let faucet: Vec<_> = build_faucet(params, chain)?.into_iter().collect();
    let wtxids: Vec<_> = faucet.iter().map(Transaction::compute_wtxid).collect();
    let root = witness_root(&wtxids).map_err(|error| ParamsError::Format(error.to_string()))?;
    let coinbase =
        coinbase::build(Height::ZERO, Script::from_bytes(chain.as_bytes()), None, root, Carried::default());
    let body = encode_body(&coinbase, &faucet);
    Body::decode(&body, params.weight_max).map_err(|error| ParamsError::Format(error.to_string()))?;
    let mut state = Overlay::new(&Nothing);
    let context = SpendContext { height: Height::ZERO, median_time_past: 0 };
    for tx in &faucet {
        put_coins(&mut state, created_coins(tx, tx.compute_txid(), context, false));
    }
    let genesis = params.genesis_amount().unwrap_or(Amount::ZERO);
    state.put(SUPPLY_KEY.to_vec(), Supply { genesis, ..Supply::default() }.to_bytes());
    Ok((body, state.into_delta()))
}

/// The state before the genesis block.
struct Nothing;

impl StateRead for Nothing {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StateReadError> {
        Ok(None)
    }
}
