//! Paying: coin selection, signature, broadcast.
//!
//! Only coins that cannot be taken back are spent: mature ones of the chain, and change of own payments that
//! still wait. What others sent and no block holds yet is left alone.

use bdk_wallet::{KeychainKind, SignOptions, error::CreateTxError};
use bitcoin::{FeeRate, OutPoint, ScriptBuf, Transaction, Txid};
use mass_ledger_utxo::address;
use mass_primitives::Amount;
use mass_rpc::HttpClient;

use crate::{
    error::WalletError,
    sync::{broadcast, unix_now},
    wallet::Wallet,
};

/// The least fee rate that nodes relay: 1 maxwell per vbyte.
pub const FEE_RATE_MIN: FeeRate = FeeRate::from_sat_per_vb_u32(1);
/// The fee rate for who does not know better: twice the least.
pub const FEE_RATE_DEFAULT: FeeRate = FeeRate::from_sat_per_vb_u32(2);
/// A fee rate beyond this one is taken for a mistake.
pub const FEE_RATE_MAX: FeeRate = FeeRate::from_sat_per_vb_u32(10_000);

/// A payment that the node took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub txid: Txid,
    /// What it costs, on top of the amount.
    pub fee: Amount,
}

impl Wallet {
    /// Pays `amount` to `address` and gives the payment to the node.
    ///
    /// # Errors
    /// [`WalletError::Address`], [`WalletError::Funds`], [`WalletError::Dust`], [`WalletError::FeeRate`], or
    /// the node's refusal. If the node's answer is lost, the next sync shows whether it took the payment.
    pub async fn send(
        &mut self,
        node: &HttpClient,
        address: &str,
        amount: Amount,
        fee_rate: FeeRate,
    ) -> Result<Sent, WalletError> {
        let script = self.check_payment(address, amount, fee_rate)?;
        self.check_node(node).await?;
        let (tx, fee) = self.build(script, amount, fee_rate)?;
        // The change address counts as used from now on, whatever becomes of the payment.
        self.persist()?;
        broadcast(node, &tx).await?;
        let txid = tx.compute_txid();
        self.bdk.apply_unconfirmed_txs([(tx, unix_now())]);
        // It is paid, whether that can be written down or not; the next sync finds it in any case.
        let _ = self.persist();
        Ok(Sent { txid, fee })
    }

    fn check_payment(
        &self,
        address: &str,
        amount: Amount,
        fee_rate: FeeRate,
    ) -> Result<ScriptBuf, WalletError> {
        let script = address::decode(&self.chain.address_prefix, address)?;
        if !(FEE_RATE_MIN..=FEE_RATE_MAX).contains(&fee_rate) {
            return Err(WalletError::FeeRate { got: fee_rate, least: FEE_RATE_MIN, most: FEE_RATE_MAX });
        }
        let least = Amount::new(script.minimal_non_dust().to_sat());
        if amount < least {
            return Err(WalletError::Dust { got: amount, least });
        }
        let available = self.balance().spendable();
        if amount > available {
            return Err(WalletError::Funds { needed: amount, available });
        }
        Ok(script)
    }

    pub(crate) fn build(
        &mut self,
        script: ScriptBuf,
        amount: Amount,
        fee_rate: FeeRate,
    ) -> Result<(Transaction, Amount), WalletError> {
        let foreign = self.foreign_coins();
        let mut builder = self.bdk.build_tx();
        builder
            .add_recipient(script, bitcoin::Amount::from_sat(amount.get()))
            .fee_rate(fee_rate)
            .unspendable(foreign);
        let mut psbt = builder.finish().map_err(|error| match error {
            CreateTxError::CoinSelection(funds) => WalletError::Funds {
                needed: Amount::new(funds.needed.to_sat()),
                available: Amount::new(funds.available.to_sat()),
            },
            other => WalletError::Payment(other.to_string()),
        })?;
        let payment = |error: &dyn std::fmt::Display| WalletError::Payment(error.to_string());
        self.seed.sign(&mut psbt, self.bdk.secp_ctx()).map_err(WalletError::Payment)?;
        let finalized = self.bdk.finalize_psbt(&mut psbt, SignOptions::default());
        if !finalized.map_err(|error| payment(&error))? {
            return Err(WalletError::Payment("a signature is missing".to_owned()));
        }
        let fee = psbt.fee().map_err(|error| payment(&error))?;
        let tx = psbt.extract_tx().map_err(|error| payment(&error))?;
        Ok((tx, Amount::new(fee.to_sat())))
    }

    /// Coins that others sent and no block holds yet.
    fn foreign_coins(&self) -> Vec<OutPoint> {
        let coins = self.bdk.list_unspent();
        let foreign = coins
            .filter(|coin| coin.keychain == KeychainKind::External && coin.chain_position.is_unconfirmed());
        foreign.map(|coin| coin.outpoint).collect()
    }
}
