//! Two Lightning nodes over the Esplora server: open a channel, pay, close it together; open another and close it by
//! force.
//!
//! The nodes are unpatched and have regtest's genesis block built in, which the server gives them for height 0. Their
//! wallets look for it until the ten newest blocks, which they ask for at once, do not reach down to it.

use std::net::TcpListener;

use ldk_node::{
    Builder, Event, Node,
    bitcoin::Network as BitcoinNetwork,
    config::{Config, EsploraSyncConfig},
    lightning_invoice::{Bolt11InvoiceDescription, Description},
};
use mass_clients::{Network, eventually};

const REGTEST_GENESIS: &str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

/// A Lightning node, stopped when it is dropped.
struct Peer(Node);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.stop();
    }
}

impl Peer {
    fn start(network: &Network, name: &str) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = Config {
            network: BitcoinNetwork::Regtest,
            storage_dir_path: network.path(name),
            listening_addresses: Some(vec![format!("127.0.0.1:{port}").parse().expect("it is an address")]),
            ..Config::default()
        };
        let mut builder = Builder::from_config(config);
        let sync = EsploraSyncConfig { background_sync_config: None };
        builder.set_chain_source_esplora(network.esplora.clone(), Some(sync));
        let node = builder.build()?;
        node.start()?;
        Ok(Self(node))
    }

    /// Waits for an event of the kind that `wanted` knows, looking at the chain all the while; others are let go.
    fn event<T>(
        &self,
        others: &[&Self],
        what: &str,
        wanted: impl Fn(&Event) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut found = None;
        eventually(what, || {
            for peer in others {
                peer.0.sync_wallets()?;
            }
            self.0.sync_wallets()?;
            while let Some(event) = self.0.next_event() {
                found = wanted(&event);
                self.0.event_handled()?;
                if found.is_some() {
                    break;
                }
            }
            Ok(found.is_some())
        })?;
        found.ok_or_else(|| anyhow::anyhow!("no event"))
    }

    fn fund(&self, network: &Network, maxwell: u64) -> anyhow::Result<()> {
        network.pay(&self.0.onchain_payment().new_address()?, maxwell)?;
        eventually("a Lightning node has its coins", || {
            self.0.sync_wallets()?;
            Ok(self.0.list_balances().spendable_onchain_balance_sats >= maxwell)
        })
    }
}

fn is_ready(event: &Event) -> Option<()> {
    matches!(event, Event::ChannelReady { .. }).then_some(())
}

fn is_closed(event: &Event) -> Option<String> {
    match event {
        Event::ChannelClosed { reason, .. } => Some(format!("{reason:?}")),
        _ => None,
    }
}

/// Opens a channel of 1,000,000 with 200,000 on the other side, and pays 50,000 through it.
fn open_and_pay(alice: &Peer, bob: &Peer) -> anyhow::Result<ldk_node::UserChannelId> {
    let address = bob.0.listening_addresses().and_then(|list| list.first().cloned()).expect("it listens");
    let channel = alice.0.open_channel(bob.0.node_id(), address, 1_000_000, Some(200_000_000), None)?;
    alice.event(&[bob], "the channel is ready", is_ready)?;
    bob.event(&[alice], "the channel is ready on the other side", is_ready)?;

    let description = Bolt11InvoiceDescription::Direct(Description::new("a test".to_owned())?);
    let invoice = bob.0.bolt11_payment().receive(50_000_000, &description, 3600)?;
    alice.0.bolt11_payment().send(&invoice, None)?;
    alice.event(&[], "the payment went", |event| match event {
        Event::PaymentSuccessful { .. } => Some(()),
        Event::PaymentFailed { reason, .. } => panic!("the payment failed: {reason:?}"),
        _ => None,
    })?;
    let amount = bob.event(&[], "the payment came", |event| match event {
        Event::PaymentReceived { amount_msat, .. } => Some(*amount_msat),
        _ => None,
    })?;
    assert_eq!(amount, 50_000_000);
    Ok(channel)
}

#[test]
#[ignore = "slow: cargo xtask slow clients"]
fn two_lightning_nodes_pay_and_close_together_and_by_force() -> anyhow::Result<()> {
    let network = Network::start(&["--esplora-genesis", REGTEST_GENESIS])?;
    network.reaches(11)?;
    let (alice, bob) = (Peer::start(&network, "alice")?, Peer::start(&network, "bob")?);
    alice.fund(&network, 5_000_000)?;
    bob.fund(&network, 1_000_000)?;

    let channel = open_and_pay(&alice, &bob)?;
    alice.0.close_channel(&channel, bob.0.node_id())?;
    alice.event(&[&bob], "the channel is closed", is_closed)?;
    bob.event(&[&alice], "the channel is closed on the other side", is_closed)?;
    eventually("the closed channel's coins are Bob's", || {
        alice.0.sync_wallets()?;
        bob.0.sync_wallets()?;
        Ok(bob.0.list_balances().spendable_onchain_balance_sats >= 1_250_000)
    })?;

    let channel = open_and_pay(&alice, &bob)?;
    alice.0.force_close_channel(&channel, bob.0.node_id(), Some("a test".to_owned()))?;
    let reason = alice.event(&[&bob], "the channel is closed by force", is_closed)?;
    assert!(reason.contains("HolderForceClosed"), "{reason}");
    // The other side of a channel with anchors may sweep its coins one block after the commitment transaction.
    eventually("the coins of the channel that was closed by force are Bob's", || {
        alice.0.sync_wallets()?;
        bob.0.sync_wallets()?;
        Ok(bob.0.list_balances().spendable_onchain_balance_sats >= 1_490_000)
    })?;
    // Alice's own wait until 144 blocks stand on it.
    assert!(alice.0.list_balances().total_lightning_balance_sats >= 740_000);
    Ok(())
}
