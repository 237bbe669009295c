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

pub use libp2p::{Multiaddr, PeerId};

pub use config::{Config, DiscoveryConfig, message_id, peer_id};
pub use faults::{Ban, Banned, Fault};
pub use handle::{
    AGENT_BYTES_MAX, Command, ConnectionKind, Event, GossipToken, Network, PeerDetails, RequestFailure,
    ResponseToken, Topic, Traffic, Verdict,
};
pub use swarm::SpawnError;
