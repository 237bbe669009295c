//! The coins of a wallet, one by one: which there are, which can be spent, and which are frozen.

use bdk_wallet::{LocalOutput, chain::ChainPosition};
use bitcoin::OutPoint;
use mass_primitives::{Amount, Height};

use crate::{error::WalletError, wallet::Wallet};

/// Confirmations from which a block reward can be spent, in a block after.
const MATURITY: u32 = bitcoin::blockdata::constants::COINBASE_MATURITY;

/// What keeps a coin from being spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoinState {
    /// Nothing: it is in a block.
    Confirmed,
    /// Nothing: it is change of an own payment that waits for a block.
    Change,
    /// It came from others and no block holds it yet.
    Incoming,
    /// It is a block reward of less than 100 blocks ago.
    Immature,
}

/// An unspent coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Which one.
    pub outpoint: OutPoint,
    /// Its amount.
    pub amount: Amount,
    /// The address that holds it.
    pub address: String,
    /// Its script.
    pub script: bitcoin::ScriptBuf,
    /// Height of its block.
    pub height: Option<Height>,
    /// Whether it can be spent.
    pub state: CoinState,
    /// Whether its owner has frozen it.
    pub frozen: bool,
}

/// Reads a coin, `TXID:N`.
///
/// # Errors
/// [`WalletError::CoinForm`].
pub fn parse_coin(text: &str) -> Result<OutPoint, WalletError> {
    text.parse().map_err(|_| WalletError::CoinForm(text.chars().take(100).collect()))
}

impl Wallet {
    /// All unspent coins, the oldest first.
    #[must_use]
    pub fn coins(&self) -> Vec<Coin> {
        let mut coins: Vec<Coin> = self.bdk.list_unspent().map(|coin| self.coin(&coin)).collect();
        coins.sort_by_key(|coin| (coin.height.unwrap_or(Height::new(u32::MAX)), coin.outpoint));
        coins
    }

    fn coin(&self, coin: &LocalOutput) -> Coin {
        let height = match &coin.chain_position {
            ChainPosition::Confirmed { anchor, .. } => Some(anchor.block_id.height),
            ChainPosition::Unconfirmed { .. } => None,
        };
        Coin {
            outpoint: coin.outpoint,
            amount: Amount::new(coin.txout.value.to_sat()),
            address: self.address_of(&coin.txout.script_pubkey).unwrap_or_default(),
            script: coin.txout.script_pubkey.clone(),
            height: height.map(Height::new),
            state: self.coin_state(coin, height),
            frozen: self.bdk.is_outpoint_locked(coin.outpoint),
        }
    }

    fn coin_state(&self, coin: &LocalOutput, height: Option<u32>) -> CoinState {
        let tx = self.bdk.tx_graph().get_tx(coin.outpoint.txid);
        let Some(height) = height else {
            let own = tx.is_some_and(|tx| self.spends_own(&tx));
            return if own { CoinState::Change } else { CoinState::Incoming };
        };
        let age = self.height().get().saturating_sub(height).saturating_add(1);
        let is_young = age < MATURITY && tx.is_some_and(|tx| tx.is_coinbase());
        if is_young { CoinState::Immature } else { CoinState::Confirmed }
    }

    /// Coins that others sent and no block holds yet.
    pub(crate) fn foreign_coins(&self) -> Vec<OutPoint> {
        let waiting = self.bdk.list_unspent().filter(|coin| coin.chain_position.is_unconfirmed());
        let foreign = waiting.filter(|coin| self.coin_state(coin, None) == CoinState::Incoming);
        foreign.map(|coin| coin.outpoint).collect()
    }

    /// Checks that the coins are ours, unspent and not frozen.
    pub(crate) fn check_coins(&self, coins: &[OutPoint]) -> Result<(), WalletError> {
        for coin in coins {
            if self.bdk.get_utxo(*coin).is_none() {
                return Err(WalletError::NoCoin(*coin));
            }
            if self.bdk.is_outpoint_locked(*coin) {
                return Err(WalletError::Frozen(*coin));
            }
        }
        Ok(())
    }

    /// Freezes a coin, so that no payment spends it, or sets it free again.
    ///
    /// # Errors
    /// [`WalletError::NoCoin`] if a coin to be frozen is not ours or is spent, or the state cannot be written.
    pub fn freeze(&mut self, coin: OutPoint, frozen: bool) -> Result<(), WalletError> {
        if frozen {
            if self.bdk.get_utxo(coin).is_none() {
                return Err(WalletError::NoCoin(coin));
            }
            self.bdk.lock_outpoint(coin);
        } else {
            self.bdk.unlock_outpoint(coin);
        }
        self.persist()
    }
}
