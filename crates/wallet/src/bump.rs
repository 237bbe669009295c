//! A payment that waits too long: paid anew at a higher fee (BIP-125), or drawn along by one that spends it.

use bdk_wallet::{KeychainKind, error::BuildFeeBumpError};
use bitcoin::{FeeRate, OutPoint, Transaction, Txid};
use mass_ledger_utxo::parse_mass;
use mass_primitives::Amount;
use mass_rpc::{HttpClient, PoolClient as _, params::amount_text};

use crate::{
    error::{WalletError, from_call},
    send::{Sent, check_fee_rate, unbuilt},
    wallet::Wallet,
};

/// Times that a child is built: its size, from which its fee follows, is known when it is built.
const CHILD_ROUNDS: usize = 3;

impl Wallet {
    /// Replaces an own payment that waits for a block by one that pays the same at a higher fee rate.
    ///
    /// # Errors
    /// [`WalletError::NoTransaction`], [`WalletError::Confirmed`], [`WalletError::Irreplaceable`],
    /// [`WalletError::FeeTooLow`] if the rate is not above the old one, or the node's refusal.
    pub async fn bump(&mut self, node: &HttpClient, txid: Txid, rate: FeeRate) -> Result<Sent, WalletError> {
        self.check_can_sign()?;
        self.check_node(node).await?;
        let psbt = self.draft_bump(txid, rate)?;
        self.complete(node, psbt).await
    }

    /// The replacement that [`Wallet::bump`] makes, without signatures.
    ///
    /// # Errors
    /// As [`Wallet::bump`].
    pub fn draft_bump(&mut self, txid: Txid, fee_rate: FeeRate) -> Result<bitcoin::Psbt, WalletError> {
        check_fee_rate(fee_rate)?;
        let tx = self.waiting_transaction(txid)?;
        let irreplaceable = |reason: &str| WalletError::Irreplaceable { txid, reason: reason.to_owned() };
        if !self.spends_own(&tx) {
            return Err(irreplaceable("others paid it, or some of it: cpfp draws it along"));
        }
        let foreign = self.foreign_coins();
        let builder = self.bdk.build_fee_bump(txid);
        let mut builder = builder.map_err(|error| match error {
            BuildFeeBumpError::TransactionNotFound(txid) => WalletError::NoTransaction(txid),
            BuildFeeBumpError::TransactionConfirmed(txid) => WalletError::Confirmed(txid),
            other => irreplaceable(&other.to_string()),
        })?;
        builder.fee_rate(fee_rate).unspendable(foreign);
        let psbt = builder.finish().map_err(unbuilt)?;
        self.persist()?;
        Ok(psbt)
    }

    /// Spends the wallet's coins of a transaction that waits for a block, its own or another's, at a fee that brings
    /// both to the rate, and with them what else they wait for.
    ///
    /// # Errors
    /// [`WalletError::NoTransaction`], [`WalletError::Confirmed`], [`WalletError::Funds`] if the coins do not pay
    /// the fee, [`WalletError::FeeTooLow`] if the transaction has the rate already, or the node's refusal.
    pub async fn cpfp(&mut self, node: &HttpClient, txid: Txid, rate: FeeRate) -> Result<Sent, WalletError> {
        self.check_can_sign()?;
        check_fee_rate(rate)?;
        self.waiting_transaction(txid)?;
        self.check_node(node).await?;
        let lacking = lacking(node, txid, rate).await?;
        let psbt = self.draft_child(txid, rate, lacking)?;
        self.complete(node, psbt).await
    }

    /// A child that pays for itself and what its parent lacks, without signatures.
    fn draft_child(
        &mut self,
        txid: Txid,
        fee_rate: FeeRate,
        parent: u64,
    ) -> Result<bitcoin::Psbt, WalletError> {
        let coins: Vec<OutPoint> =
            self.bdk.list_unspent().map(|coin| coin.outpoint).filter(|coin| coin.txid == txid).collect();
        if coins.is_empty() {
            let reason = "it has no coin of this wallet that is not spent".to_owned();
            return Err(WalletError::Irreplaceable { txid, reason });
        }
        self.check_coins(&coins)?;
        if parent == 0 {
            return Err(WalletError::FeeTooLow("it has that rate already".to_owned()));
        }
        let script = self.bdk.next_unused_address(KeychainKind::Internal).address.script_pubkey();
        // The child's size is known when it is built; its fee hardly changes it.
        let (mut fee, mut child) = (parent, None);
        for _ in 0..CHILD_ROUNDS {
            let mut builder = self.bdk.build_tx();
            for coin in &coins {
                builder.add_utxo(*coin).map_err(|_| WalletError::NoCoin(*coin))?;
            }
            builder.manually_selected_only().drain_to(script.clone());
            builder.fee_absolute(bitcoin::Amount::from_sat(fee));
            let psbt = builder.finish().map_err(unbuilt)?;
            let needed = parent.saturating_add(fee_of(fee_rate, self.signed_weight(&psbt)?));
            let is_enough = fee >= needed;
            child = Some(psbt);
            if is_enough {
                break;
            }
            fee = needed;
        }
        self.persist()?;
        child.ok_or_else(|| WalletError::Payment("no child can be made".to_owned()))
    }

    /// What a payment will weigh with its signatures, at the most.
    fn signed_weight(&self, psbt: &bitcoin::Psbt) -> Result<bitcoin::Weight, WalletError> {
        let witness = self.bdk.public_descriptor(KeychainKind::External).max_weight_to_satisfy();
        let witness = witness.map_err(|error| WalletError::Payment(error.to_string()))?;
        let inputs = psbt.unsigned_tx.input.len() as u64;
        // The marker and the flag of a witness.
        Ok(psbt.unsigned_tx.weight() + witness * inputs + bitcoin::Weight::from_wu(2 + inputs))
    }

    fn waiting_transaction(&self, txid: Txid) -> Result<Transaction, WalletError> {
        let found = self.bdk.get_tx(txid).ok_or(WalletError::NoTransaction(txid))?;
        if found.chain_position.is_confirmed() {
            return Err(WalletError::Confirmed(txid));
        }
        Ok((*found.tx_node.tx).clone())
    }

    /// What a payment cost.
    #[must_use]
    pub fn fee_of(&self, txid: Txid) -> Option<Amount> {
        let tx = self.bdk.get_tx(txid)?;
        self.bdk.calculate_fee(&tx.tx_node.tx).ok().map(|fee| Amount::new(fee.to_sat()))
    }
}

/// What a transaction that waits lacks to have the rate, alone or with those that it waits for, by the node's pool: a
/// wallet does not know what others' coins are worth that it was paid from.
async fn lacking(node: &HttpClient, txid: Txid, rate: FeeRate) -> Result<u64, WalletError> {
    const METHOD: &str = "getmempoolentry";
    let entry = node.get_mempool_entry(txid.to_string()).await.map_err(|error| from_call(METHOD, error))?;
    let lacks = |fee: &str, size: &str| {
        let paid = parse_mass(&amount_text(entry.get("fees")?.get(fee)?).ok()?).ok()?;
        let needed = rate.fee_vb(entry.get(size)?.as_u64()?)?;
        Some(needed.to_sat().saturating_sub(paid.get()))
    };
    let lacking = lacks("base", "vsize").zip(lacks("ancestor", "ancestorsize"));
    let reason = || format!("{entry} has no fees and sizes");
    let (alone, together) =
        lacking.ok_or_else(|| WalletError::NodeAnswer { method: METHOD, reason: reason() })?;
    Ok(alone.max(together))
}

fn fee_of(rate: FeeRate, weight: bitcoin::Weight) -> u64 {
    rate.fee_wu(weight).map_or(u64::MAX, |fee| fee.to_sat())
}
