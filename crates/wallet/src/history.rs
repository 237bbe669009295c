//! What the wallet has, and how it came and went.

use bdk_wallet::chain::ChainPosition;
use bitcoin::{Transaction, Txid};
use mass_primitives::{Amount, Height};

use crate::{coins::CoinState, wallet::Wallet};

/// What the wallet has, each coin in one of the sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// In blocks and free to be spent.
    pub confirmed: Amount,
    /// Block rewards that were paid less than 100 blocks ago.
    pub immature: Amount,
    /// Change of own payments that wait for a block.
    pub change: Amount,
    /// Payments of others that wait for a block.
    pub incoming: Amount,
    /// What of the confirmed coins and of the change is frozen.
    pub frozen: Amount,
}

impl Balance {
    /// What can be spent now: confirmed coins, and change of own payments, but for what is frozen.
    #[must_use]
    pub fn spendable(&self) -> Amount {
        let both = sum(&[self.confirmed, self.change]);
        both.checked_sub(self.frozen).unwrap_or(Amount::ZERO)
    }

    /// What waits for a block.
    #[must_use]
    pub fn unconfirmed(&self) -> Amount {
        sum(&[self.change, self.incoming])
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> Amount {
        sum(&[self.confirmed, self.immature, self.change, self.incoming])
    }
}

fn sum(amounts: &[Amount]) -> Amount {
    // All the money there is fits many times.
    amounts.iter().fold(Amount::ZERO, |sum, amount| sum.checked_add(*amount).unwrap_or(Amount::new(u64::MAX)))
}

/// A transaction that concerns the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub txid: Txid,
    /// What the wallet has more by it, or less, in maxwell; the fee included.
    pub net: i64,
    /// What it costs, if the wallet alone paid for it.
    pub fee: Option<Amount>,
    /// Height of its block, if it is in one.
    pub height: Option<Height>,
    /// Time of its block, or when it was last seen waiting, in unix seconds.
    pub time: Option<u64>,
    /// Whether it pays a block reward.
    pub coinbase: bool,
}

impl Entry {
    /// What it is, in a word: a reward, received or sent.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match (self.coinbase, self.net >= 0) {
            (true, _) => "reward",
            (false, true) => "received",
            (false, false) => "sent",
        }
    }
}

impl Wallet {
    /// What the wallet has, as of the last sync. Frozen coins count in their sums and in `frozen` beside.
    #[must_use]
    pub fn balance(&self) -> Balance {
        let mut balance = Balance::default();
        for coin in self.coins() {
            let place = match coin.state {
                CoinState::Confirmed => &mut balance.confirmed,
                CoinState::Change => &mut balance.change,
                CoinState::Incoming => &mut balance.incoming,
                CoinState::Immature => &mut balance.immature,
            };
            *place = sum(&[*place, coin.amount]);
            if coin.frozen && matches!(coin.state, CoinState::Confirmed | CoinState::Change) {
                balance.frozen = sum(&[balance.frozen, coin.amount]);
            }
        }
        balance
    }

    /// All transactions that concern the wallet, oldest first, those that wait for a block last.
    #[must_use]
    pub fn history(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.bdk.transactions().map(|tx| self.entry(&tx)).collect();
        entries.sort_by_key(|entry| (entry.height.unwrap_or(Height::new(u32::MAX)), entry.time, entry.txid));
        entries
    }

    /// The transaction of that id, if it concerns the wallet and was not refused or replaced.
    #[must_use]
    pub fn transaction(&self, txid: Txid) -> Option<Entry> {
        self.history().into_iter().find(|entry| entry.txid == txid)
    }

    /// Height of the last block that the wallet knows.
    #[must_use]
    pub fn height(&self) -> Height {
        Height::new(self.bdk.latest_checkpoint().height())
    }

    fn entry(&self, canonical: &bdk_wallet::WalletTx<'_>) -> Entry {
        let tx = &canonical.tx_node.tx;
        let (height, time) = match &canonical.chain_position {
            ChainPosition::Confirmed { anchor, .. } => {
                (Some(Height::new(anchor.block_id.height)), Some(anchor.confirmation_time))
            }
            ChainPosition::Unconfirmed { last_seen, .. } => (None, *last_seen),
        };
        let (sent, received) = self.bdk.sent_and_received(tx);
        // Both are at most all the money there is, which fits.
        let net = received.to_signed().unwrap_or_default() - sent.to_signed().unwrap_or_default();
        let own = self.spends_own(tx);
        let fee = if own { self.bdk.calculate_fee(tx).ok() } else { None };
        Entry {
            txid: canonical.tx_node.txid,
            net: net.to_sat(),
            fee: fee.map(|fee| Amount::new(fee.to_sat())),
            height,
            time,
            coinbase: tx.is_coinbase(),
        }
    }

    /// Whether the wallet alone paid for a transaction.
    pub(crate) fn spends_own(&self, tx: &Transaction) -> bool {
        let index = self.bdk.spk_index();
        !tx.is_coinbase() && tx.input.iter().all(|input| index.txout(input.previous_output).is_some())
    }
}
