//! Paying: to whom, from which coins, at which fee; coin selection, signature, broadcast.
//!
//! Only coins that cannot be taken back are spent: mature ones of the chain, and change of own payments that
//! still wait. What others sent and no block holds yet is left alone, unless the owner names the coin. Every payment
//! says that it may be replaced (BIP-125).

use bdk_wallet::{TxBuilder, descriptor::policy::Condition, error::CreateTxError};
use bitcoin::{FeeRate, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, Txid, absolute::LockTime};
use mass_ledger_utxo::MONEY_MAX;
use mass_primitives::Amount;
use mass_rpc::{ClientError, HttpClient};
use serde_json::json;

use crate::{
    error::{WalletError, from_call},
    foreign::script_of,
    psbt::finalize,
    sync::{broadcast, unix_now},
    wallet::Wallet,
};

/// The least fee rate that nodes relay: 1 maxwell per vbyte.
pub const FEE_RATE_MIN: FeeRate = FeeRate::from_sat_per_vb_u32(1);
/// The fee rate for who does not know better: twice the least.
pub const FEE_RATE_DEFAULT: FeeRate = FeeRate::from_sat_per_vb_u32(2);
/// A fee rate beyond this one is taken for a mistake.
pub const FEE_RATE_MAX: FeeRate = FeeRate::from_sat_per_vb_u32(10_000);
/// Recipients of one payment at the most: what nodes relay has no room for more.
pub const RECIPIENTS_MAX: usize = 2_000;

/// How much a recipient gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// This much.
    Exact(Amount),
    /// All that the coins hold, less what others get and the fee.
    Max,
}

/// A payment to be made.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Addresses, and what each gets. One at the most gets [`Value::Max`].
    pub recipients: Vec<(String, Value)>,
    /// The fee rate.
    pub fee_rate: FeeRate,
    /// The coins to spend; without any, the wallet chooses.
    pub coins: Vec<OutPoint>,
    /// For scripts with several ways to be spent: coins older than so many blocks (`older`).
    pub older: Option<u32>,
    /// For scripts with several ways to be spent: not in a block before this height or time (`after`).
    pub after: Option<u32>,
}

impl Payment {
    /// To one recipient.
    #[must_use]
    pub fn new(address: &str, value: Value, fee_rate: FeeRate) -> Self {
        let recipients = vec![(address.to_owned(), value)];
        Self { recipients, fee_rate, coins: Vec::new(), older: None, after: None }
    }
}

/// A payment that the node took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub txid: Txid,
    /// What it costs, on top of the amounts.
    pub fee: Amount,
    /// What the recipients get.
    pub amount: Amount,
}

impl Wallet {
    /// Pays `amount` to `address` and gives the payment to the node.
    ///
    /// # Errors
    /// As [`Wallet::pay`].
    pub async fn send(
        &mut self,
        node: &HttpClient,
        address: &str,
        amount: Amount,
        fee_rate: FeeRate,
    ) -> Result<Sent, WalletError> {
        self.pay(node, &Payment::new(address, Value::Exact(amount), fee_rate)).await
    }

    /// Makes a payment and gives it to the node.
    ///
    /// # Errors
    /// [`WalletError::Address`], [`WalletError::Funds`], [`WalletError::Dust`], [`WalletError::FeeRate`],
    /// [`WalletError::WatchOnly`], [`WalletError::Locked`], or the node's refusal. If the node's answer is lost, the
    /// next sync shows whether it took the payment.
    pub async fn pay(&mut self, node: &HttpClient, payment: &Payment) -> Result<Sent, WalletError> {
        self.check_payment(payment)?;
        self.check_can_sign()?;
        self.check_node(node).await?;
        let psbt = self.draft(payment)?;
        self.complete(node, psbt).await
    }

    pub(crate) fn check_can_sign(&self) -> Result<(), WalletError> {
        match (self.is_watch_only(), self.is_locked()) {
            (true, _) => Err(WalletError::WatchOnly),
            (_, true) => Err(WalletError::Locked),
            _ => Ok(()),
        }
    }

    /// Signs, finalizes and broadcasts.
    pub(crate) async fn complete(&mut self, node: &HttpClient, mut psbt: Psbt) -> Result<Sent, WalletError> {
        self.add_signatures(&mut psbt)?;
        let (tx, fee) = extract(psbt)?;
        self.submit(node, tx, fee).await
    }

    pub(crate) async fn submit(
        &mut self,
        node: &HttpClient,
        tx: Transaction,
        fee: Amount,
    ) -> Result<Sent, WalletError> {
        broadcast(node, &tx).await?;
        let txid = tx.compute_txid();
        let foreign = tx.output.iter().filter(|output| !self.bdk.is_mine(output.script_pubkey.clone()));
        let amount = Amount::new(foreign.map(|output| output.value.to_sat()).sum());
        // A replacement is to win over what it replaces, even in the same second.
        let replaced = tx.input.iter().flat_map(|input| self.spenders(&input.previous_output));
        let seen = replaced.max().map_or(0, |seen| seen.saturating_add(1)).max(unix_now());
        self.bdk.apply_unconfirmed_txs([(tx, seen)]);
        // It is paid, whether that can be written down or not; the next sync finds it in any case.
        let _ = self.persist();
        Ok(Sent { txid, fee, amount })
    }

    /// When transactions that spend a coin were last seen.
    fn spenders(&self, coin: &OutPoint) -> Vec<u64> {
        let graph = self.bdk.tx_graph();
        let seen = graph.outspends(*coin).iter().filter_map(|txid| graph.get_tx_node(*txid)?.last_seen);
        seen.collect()
    }

    /// Builds a payment, without signatures.
    ///
    /// # Errors
    /// As [`Wallet::pay`], but for those of keys and the node.
    pub fn draft(&mut self, payment: &Payment) -> Result<Psbt, WalletError> {
        let recipients = self.check_payment(payment)?;
        let foreign = self.foreign_coins();
        let mut builder = self.bdk.build_tx();
        builder.fee_rate(payment.fee_rate).unspendable(foreign);
        for (script, value) in recipients {
            match value {
                Value::Exact(amount) => {
                    builder.add_recipient(script, bitcoin::Amount::from_sat(amount.get()));
                }
                Value::Max => {
                    builder.drain_to(script);
                    if payment.coins.is_empty() {
                        builder.drain_wallet();
                    }
                }
            }
        }
        choose(&mut builder, &payment.coins)?;
        if payment.older.is_some() || payment.after.is_some() {
            let csv = payment.older.map(Sequence::from_consensus);
            let timelock = payment.after.map(LockTime::from_consensus);
            builder.set_condition(Condition { csv, timelock });
        }
        let psbt = builder.finish().map_err(unbuilt)?;
        // The change address counts as used from now on, whatever becomes of the payment.
        self.persist()?;
        Ok(psbt)
    }

    /// Checks what can be said of a payment before it is built; the scripts that it pays.
    fn check_payment(&self, payment: &Payment) -> Result<Vec<(ScriptBuf, Value)>, WalletError> {
        check_fee_rate(payment.fee_rate)?;
        let unwanted = |reason: String| Err(WalletError::Payment(reason));
        if payment.recipients.is_empty() || payment.recipients.len() > RECIPIENTS_MAX {
            let got = payment.recipients.len();
            return unwanted(format!("it has {got} recipients, not 1 to {RECIPIENTS_MAX}"));
        }
        let (mut scripts, mut sum) = (Vec::new(), Amount::ZERO);
        for (address, value) in &payment.recipients {
            let script = script_of(&self.chain.address_prefix, address)?;
            if let Value::Exact(amount) = *value {
                let least = Amount::new(script.minimal_non_dust().to_sat());
                if amount < least {
                    return Err(WalletError::Dust { got: amount, least });
                }
                sum = sum.checked_add(amount).unwrap_or(Amount::new(u64::MAX));
            } else if scripts.iter().any(|(_, value)| *value == Value::Max) {
                return unwanted("one recipient alone can get all the rest".to_owned());
            }
            scripts.push((script, *value));
        }
        self.check_coins(&payment.coins)?;
        let available = self.available(&payment.coins);
        if sum > available || sum > MONEY_MAX {
            return Err(WalletError::Funds { needed: sum, available });
        }
        Ok(scripts)
    }

    /// What a payment can spend.
    fn available(&self, coins: &[OutPoint]) -> Amount {
        if coins.is_empty() {
            return self.balance().spendable();
        }
        let values = coins.iter().filter_map(|coin| self.bdk.get_utxo(*coin));
        Amount::new(values.map(|coin| coin.txout.value.to_sat()).sum())
    }

    /// The fee rate at which the node expects a payment to be in a block within `blocks`; `None` if it does not know.
    ///
    /// # Errors
    /// [`WalletError::NoNode`], or an answer that makes no sense.
    pub async fn estimate_fee_rate(
        &self,
        node: &HttpClient,
        blocks: u16,
    ) -> Result<Option<FeeRate>, WalletError> {
        const METHOD: &str = "estimatesmartfee";
        const METHOD_NOT_FOUND: i32 = -32601;
        let answer = match mass_rpc::call(node, METHOD, vec![json!(blocks)]).await {
            Ok(answer) => answer,
            Err(ClientError::Call(refusal)) if refusal.code() == METHOD_NOT_FOUND => return Ok(None),
            Err(error) => return Err(from_call(METHOD, error)),
        };
        let Some(rate) = answer.get("feerate") else { return Ok(None) };
        // MASS per 1,000 vbytes; the least rates have few digits, and no more is asked of an estimate.
        let rate =
            rate.as_f64().map(|rate| (rate * 1e7 / 4.0).ceil()).filter(|rate| (1.0..1e15).contains(rate));
        let reason =
            || WalletError::NodeAnswer { method: METHOD, reason: format!("{answer} has no fee rate") };
        let rate = FeeRate::from_sat_per_kwu(rate.ok_or_else(reason)? as u64);
        Ok(Some(rate.clamp(FEE_RATE_MIN, FEE_RATE_MAX)))
    }
}

/// Reads a fee rate in maxwell per vbyte, such as `2` or `1.25`; three decimals at the most.
///
/// # Errors
/// [`WalletError::Payment`] if the text is none.
pub fn parse_fee_rate(text: &str) -> Result<FeeRate, WalletError> {
    let wrong = || WalletError::Payment(format!("{text:?} is no fee rate: a number of maxwell per vbyte"));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 3 || whole.len() > 12 {
        return Err(wrong());
    }
    let per_kvb: u64 = format!("{whole}{fraction:0<3}").parse().map_err(|_| wrong())?;
    // Below the least rate it is not rounded up to it, nor above the greatest one down.
    check_fee_rate(FeeRate::from_sat_per_kwu(per_kvb / 4))?;
    let rate = FeeRate::from_sat_per_kwu(per_kvb.div_ceil(4));
    check_fee_rate(rate).map(|()| rate)
}

pub(crate) fn check_fee_rate(fee_rate: FeeRate) -> Result<(), WalletError> {
    if (FEE_RATE_MIN..=FEE_RATE_MAX).contains(&fee_rate) {
        return Ok(());
    }
    Err(WalletError::FeeRate { got: fee_rate, least: FEE_RATE_MIN, most: FEE_RATE_MAX })
}

/// Spends these coins and no others; without any, lets coin selection choose.
fn choose<C>(builder: &mut TxBuilder<'_, C>, coins: &[OutPoint]) -> Result<(), WalletError> {
    if coins.is_empty() {
        return Ok(());
    }
    for coin in coins {
        builder.add_utxo(*coin).map_err(|_| WalletError::NoCoin(*coin))?;
    }
    builder.manually_selected_only();
    Ok(())
}

/// The transaction of a PSBT that has all its signatures, and its fee.
pub(crate) fn extract(mut psbt: Psbt) -> Result<(Transaction, Amount), WalletError> {
    finalize(&mut psbt)?;
    let fee = psbt.fee().map_err(|error| WalletError::Psbt(error.to_string()))?;
    let tx = psbt.extract_tx().map_err(|error| WalletError::Psbt(error.to_string()))?;
    Ok((tx, Amount::new(fee.to_sat())))
}

/// Why BDK does not build a payment.
pub(crate) fn unbuilt(error: CreateTxError) -> WalletError {
    match error {
        CreateTxError::CoinSelection(funds) => WalletError::Funds {
            needed: Amount::new(funds.needed.to_sat()),
            available: Amount::new(funds.available.to_sat()),
        },
        CreateTxError::FeeTooLow { required } => WalletError::FeeTooLow(format!(
            "{} MASS are needed at least",
            mass_ledger_utxo::format_mass(Amount::new(required.to_sat()))
        )),
        CreateTxError::FeeRateTooLow { required } => WalletError::FeeTooLow(format!(
            "{} maxwell per vbyte are needed at least",
            required.to_sat_per_vb_ceil()
        )),
        CreateTxError::SpendingPolicyRequired(_) => WalletError::Payment(
            "its coins can be spent in several ways: say which by the coins' age (older) or the time (after)"
                .into(),
        ),
        CreateTxError::OutputBelowDustLimit(_) | CreateTxError::NoUtxosSelected => {
            WalletError::Payment("nothing is left to send after the fee".to_owned())
        }
        other => WalletError::Payment(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fee_rates_are_read_to_three_decimals() {
        for (text, per_kwu) in [("1", 250), ("2", 500), ("1.5", 375), ("1.001", 251), ("10000", 2_500_000)] {
            assert_eq!(parse_fee_rate(text).unwrap(), FeeRate::from_sat_per_kwu(per_kwu), "{text}");
        }
        for text in ["", "0", "0.999", "-1", "1e3", "10000.001", "1.0001", "99999999999999999999", "1,5"] {
            assert!(parse_fee_rate(text).is_err(), "{text}");
        }
    }
}
