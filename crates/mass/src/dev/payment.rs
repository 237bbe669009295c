//! One payment from the faucet of the dev chain to a second wallet, watched until it is in a block.

use anyhow::Context;
use mass_consensus::spec::ChainSpec;
use mass_primitives::{Amount, Height};
use mass_rpc::{HttpClient, Status};
use mass_wallet::{DEV_FAUCET_PHRASE, FEE_RATE_DEFAULT, Txid, WalletError};

use super::place::Place;

/// What is paid, in maxwell: 25 MASS.
const AMOUNT: Amount = Amount::new(250_000_000);

/// A payment. Its wallets are open only while they are needed: a person may want to look into them.
pub struct Payment<'a> {
    place: &'a Place,
    spec: &'a ChainSpec,
    txid: Option<Txid>,
    confirmed: Option<Height>,
}

impl<'a> Payment<'a> {
    /// Nothing is paid yet.
    pub const fn new(place: &'a Place, spec: &'a ChainSpec) -> Self {
        Self { place, spec, txid: None, confirmed: None }
    }

    /// Pays once the nodes know each other, then looks whether a block has it. While somebody uses the wallets, on the page
    /// or by a command, it is waited for.
    pub async fn step(&mut self, node: &HttpClient, statuses: &[Status]) -> anyhow::Result<()> {
        unless_in_use(self.go_on(node, statuses).await)
    }

    async fn go_on(&mut self, node: &HttpClient, statuses: &[Status]) -> anyhow::Result<()> {
        match self.txid {
            Some(_) if self.is_confirmed() => Ok(()),
            Some(txid) => self.look(node, txid).await,
            None if statuses.len() > 1 && statuses.iter().any(|status| status.peers == 0) => Ok(()),
            None => self.pay(node).await.context("the payment"),
        }
    }

    async fn pay(&mut self, node: &HttpClient) -> anyhow::Result<()> {
        let mut faucet = self.place.open_wallet(self.spec, "faucet", Some(DEV_FAUCET_PHRASE))?;
        faucet.sync(node).await?;
        let address = self.place.open_wallet(self.spec, "friend", None)?.new_address()?;
        let sent = faucet.send(node, &address, AMOUNT, FEE_RATE_DEFAULT).await?;
        self.txid = Some(sent.txid);
        Ok(())
    }

    /// Asks the wallet that was paid for the block that has the payment. A reorg may have moved it.
    async fn look(&mut self, node: &HttpClient, txid: Txid) -> anyhow::Result<()> {
        let mut friend = self.place.open_wallet(self.spec, "friend", None)?;
        friend.sync(node).await.context("the wallet that is paid")?;
        self.confirmed = friend.transaction(txid).and_then(|entry| entry.height);
        Ok(())
    }

    /// Where the payment is in the end.
    pub async fn settle(&mut self, node: &HttpClient) -> anyhow::Result<(Option<Txid>, Option<Height>)> {
        if let Some(txid) = self.txid {
            unless_in_use(self.look(node, txid).await)?;
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

/// What went wrong, unless it is that another has the wallet open.
fn unless_in_use(outcome: anyhow::Result<()>) -> anyhow::Result<()> {
    match outcome {
        Err(error) if matches!(error.downcast_ref(), Some(WalletError::InUse(_))) => Ok(()),
        outcome => outcome,
    }
}
