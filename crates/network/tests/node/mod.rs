//! A network under test, and what one waits for.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::time::Duration;

use mass_network::{Command, Config, Event, Multiaddr, Network, PeerId, peer_id};
use tokio::time::timeout;

/// How long is waited for an event.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Node {
    pub network: Network,
    pub peer: PeerId,
    pub address: Multiaddr,
}

impl Node {
    /// A network that `spawn` makes, once it says where it listens.
    pub async fn start(config: Config, spawn: impl FnOnce(Config) -> Network) -> Self {
        let peer = peer_id(config.seed);
        let mut node = Self { network: spawn(config), peer, address: Multiaddr::empty() };
        node.address = node
            .until(|event| match event {
                Event::Listening(address) => Some(address),
                _ => None,
            })
            .await;
        node
    }

    pub async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.network.1.recv().await.expect("the network runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the event comes in time")
    }

    pub async fn tell(&self, command: Command) {
        self.network.0.send(command).await.expect("the network runs");
    }

    pub async fn connected(&mut self, other: PeerId) {
        self.until(|event| matches!(event, Event::PeerConnected(peer) if peer == other).then_some(())).await;
    }

    pub async fn disconnected(&mut self, other: PeerId) {
        self.until(|event| matches!(event, Event::PeerDisconnected(peer) if peer == other).then_some(()))
            .await;
    }

    pub async fn meets(&mut self, mut wanted: Vec<PeerId>) {
        while !wanted.is_empty() {
            let met = self
                .until(|event| match event {
                    Event::PeerConnected(peer) => Some(peer),
                    _ => None,
                })
                .await;
            wanted.retain(|peer| *peer != met);
        }
    }
}
