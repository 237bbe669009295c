//! What a network is made from, and the names that bind it to one chain.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use libp2p::{Multiaddr, PeerId, identity::Keypair};
use mass_primitives::ChainId;
use sha2::{Digest, Sha256};

use crate::handle::Topic;

/// Commands that wait in their channel at the most.
pub(crate) const COMMANDS_LEN: usize = 256;
/// Events that wait in their channel at the most: few, for one may carry a whole block.
pub(crate) const EVENTS_LEN: usize = 16;

/// What a network is made from.
#[derive(Clone)]
pub struct Config {
    /// The chain; peers of another one are sent away.
    pub chain_id: ChainId,
    /// Addresses to listen on; port 0 lets the system choose. The memory twin chooses its own.
    pub listen: Vec<Multiaddr>,
    /// Secret seed of the ed25519 key that is our identity among peers.
    pub seed: [u8; 32],
    /// Peers that are dialed again whenever they are gone.
    pub peers: Vec<Multiaddr>,
    /// Connections at the most, in both directions together.
    pub max_connections: u32,
    /// Where addresses of peers and bans are remembered; nothing outlives the process without.
    pub memory: Option<PathBuf>,
    /// A SOCKS5 proxy through which all outgoing connections go.
    pub proxy: Option<SocketAddr>,
    /// How others are found; without, only configured peers are dialed. The memory twin finds nobody.
    pub discovery: Option<DiscoveryConfig>,
}

/// How long a peer may take, before it loses its connection. Each is a bound on the whole and not on the time between two bytes,
/// so that nobody buys time with a byte now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To agree on encryption and on the sharing of the connection.
    pub handshake: Duration,
    /// To say of which chain it is and what it listens to.
    pub greeting: Duration,
    /// To send one question, to its last byte.
    pub question: Duration,
    /// Between two pings.
    pub ping_every: Duration,
    /// To answer a ping; it may miss one.
    pub pong: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let [handshake, greeting, question, ping_every, pong] = [10, 20, 10, 30, 60].map(Duration::from_secs);
        Self { handshake, greeting, question, ping_every, pong }
    }
}

/// How others are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Connections of our own choice, each to another network.
    pub outbound: usize,
    /// Where to begin: peers by address or by name (`/dns4/seed.example/tcp/29330`).
    pub bootstrap: Vec<Multiaddr>,
}

impl DiscoveryConfig {
    /// Connections of our own choice that are enough to be hard to surround.
    pub const OUTBOUND: usize = 8;
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("chain_id", &self.chain_id)
            .field("listen", &self.listen)
            .field("peers", &self.peers)
            .field("max_connections", &self.max_connections)
            .field("memory", &self.memory)
            .field("proxy", &self.proxy)
            .field("discovery", &self.discovery)
            .finish_non_exhaustive()
    }
}

pub(crate) fn keypair(mut seed: [u8; 32]) -> Keypair {
    Keypair::ed25519_from_bytes(&mut seed).expect("any 32 bytes are an ed25519 seed")
}

/// The identity that belongs to a seed.
#[must_use]
pub fn peer_id(seed: [u8; 32]) -> PeerId {
    keypair(seed).public().to_peer_id()
}

/// The SHA-256 of a message.
#[must_use]
pub fn message_id(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The names that carry the chain id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names(pub ChainId);

impl Names {
    pub fn identity(self) -> String {
        format!("/mass/{}/1", self.0)
    }

    pub fn gossip(self) -> String {
        format!("/mass/{}/gossip", self.0)
    }

    pub fn sync(self) -> String {
        format!("/mass/{}/sync/2", self.0)
    }

    pub fn exchange(self) -> String {
        format!("/mass/{}/addresses/1", self.0)
    }

    pub fn topic(self, topic: Topic) -> String {
        let name = match topic {
            Topic::Blocks => "blocks",
            Topic::Compact => "compact",
            Topic::Transactions => "transactions",
            Topic::Evidence => "evidence",
        };
        format!("/mass/{}/{name}/1", self.0)
    }
}
