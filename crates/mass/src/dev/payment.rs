//! One payment from the faucet of the dev chain to a second wallet, watched until it is in a block.

use anyhow::Context;
use mass_consensus::spec::ChainSpec;
use mass_primitives::{Amount, Height};
use mass_rpc::{HttpClient, Status};
use mass_wallet::{DEV_FAUCET_PHRASE, FEE_RATE_DEFAULT, Txid, Wallet, Words};

use super::place::Place;

/// What is paid, in maxwell: 25 MASS.
const AMOUNT: Amount = Amount::new(250_000_000);

/// A payment and its two wallets.
pub struct Payment {
    faucet: Wallet,
    friend: Wallet,
    txid: Option<Txid>,
    confirmed: Option<Height>,
}

impl Payment {
    /// Opens the wallets, or makes them.
    pub fn open(place: &Place, spec: &ChainSpec) -> anyhow::Result<Self> {
        let dir = place.wallet("faucet");
        let faucet = if dir.exists() {
            Wallet::open(&dir, spec)
        } else {
            Wallet::restore(&dir, spec, DEV_FAUCET_PHRASE)
        };
        let faucet = faucet.context("the faucet's wallet")?;
        Ok(Self { faucet, friend: wallet(place, spec, "friend")?, txid: None, confirmed: None })
    }

    /// Where the farmer's rewards go: a wallet of its own.
    pub fn payout(place: &Place, spec: &ChainSpec) -> anyhow::Result<String> {
        Ok(wallet(place, spec, "farmer")?.unused_address()?)
    }

    /// Pays once the nodes know each other, then looks whether a block has it.
    pub async fn step(&mut self, node: &HttpClient, statuses: &[Status]) -> anyhow::Result<()> {
        let Some(txid) = self.txid else {
            if statuses.len() == 1 || statuses.iter().all(|status| status.peers > 0) {
                self.pay(node).await.context("the payment")?;
            }
            return Ok(());
        };
        if self.confirmed.is_none() {
            self.look(node, txid).await?;
        }
        Ok(())
    }

    async fn pay(&mut self, node: &HttpClient) -> anyhow::Result<()> {
        self.faucet.sync(node).await?;
        let address = self.friend.new_address()?;
        let sent = self.faucet.send(node, &address, AMOUNT, FEE_RATE_DEFAULT).await?;
        self.txid = Some(sent.txid);
        Ok(())
    }

    /// Asks the wallet that was paid for the block that has the payment. A reorg may have moved it.
    async fn look(&mut self, node: &HttpClient, txid: Txid) -> anyhow::Result<()> {
        self.friend.sync(node).await.context("the wallet that is paid")?;
        self.confirmed = self.friend.transaction(txid).and_then(|entry| entry.height);
        Ok(())
    }

    /// Where the payment is in the end.
    pub async fn settle(&mut self, node: &HttpClient) -> anyhow::Result<(Option<Txid>, Option<Height>)> {
        if let Some(txid) = self.txid {
            self.look(node, txid).await?;
        }
        Ok((self.txid, self.confirmed))
    }

    /// Whether a block has it.
    pub const fn is_confirmed(&self) -> bool {
        self.confirmed.is_some()
    }

    /// How it fares, for people.
    pub fn state(&self) -> String {
        match (self.txid, self.confirmed) {
            (None, _) => "nothing paid yet".to_owned(),
            (Some(_), None) => "payment sent".to_owned(),
            (Some(_), Some(height)) => format!("payment in block {height}"),
        }
    }
}

fn wallet(place: &Place, spec: &ChainSpec, name: &str) -> anyhow::Result<Wallet> {
    let dir = place.wallet(name);
    let wallet = if dir.exists() {
        Wallet::open(&dir, spec)
    } else {
        Wallet::create(&dir, spec, Words::Twelve).map(|(wallet, _)| wallet)
    };
    wallet.with_context(|| format!("wallet {name}"))
}
