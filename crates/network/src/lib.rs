//! Peers, gossip and the messages of headers-first sync.
//!
//! A [`Network`] is a pair of channels: [`Command`]s go in, [`Event`]s come out. [`swarm::spawn`] makes
//! one over TCP with libp2p, [`memory::Hub::join`] one inside the process that behaves the same, for
//! tests and simulation. Every protocol name and gossip topic carries the chain id, and a peer that
//! names another chain is sent away, so chains never mix.
//!
//! Blocks, headers and transactions are opaque bytes here. Which block to ask for, what is valid and
//! who deserves no second chance is decided by the caller.
//!
//! **Invariant:** nothing a peer sends is allocated, forwarded or answered beyond the bounds of [`wire`].

mod behaviour;
mod codec;
mod config;
mod discovery;
mod faults;
mod handle;
pub mod memory;
mod outbox;
mod proxy;
mod quota;
mod redial;
pub mod swarm;
pub mod wire;

/// For the fuzzers: whether bytes of the exchange of addresses are refused, or the one encoding of what they say.
#[must_use]
pub fn addresses_are_canonical(bytes: &[u8]) -> bool {
    use discovery::exchange::{Answer, Question};
    use mass_primitives::{Decode as _, Encode as _};
    Question::from_bytes(bytes).ok().is_none_or(|question| question.to_bytes() == bytes)
        && Answer::from_bytes(bytes).ok().is_none_or(|answer| answer.to_bytes() == bytes)
}

pub use libp2p::{Multiaddr, PeerId};

pub use config::{Config, Deadlines, DiscoveryConfig, message_id, peer_id};
pub use faults::{Ban, Banned, Fault};
pub use handle::{
    AGENT_BYTES_MAX, Command, ConnectionKind, Event, GossipToken, Network, PeerDetails, RequestFailure,
    ResponseToken, Topic, Traffic, Verdict,
};
pub use swarm::SpawnError;
