//! The two channels through which a program and its network speak: commands go in, events come out.
//! The real network and the in-memory twin understand the same ones.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};

use crate::{
    faults::{Ban, Banned, Fault},
    wire::{Request, Response},
};

/// Commands in, events out. Dropping either end stops the network.
pub type Network = (mpsc::Sender<Command>, mpsc::Receiver<Event>);

/// What is gossiped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// New blocks as they are: those of which no part waits in pools.
    Blocks,
    /// New blocks told by what their receivers lack: [`crate::wire::CompactBlock`].
    Compact,
    /// New transactions.
    Transactions,
    /// Evidence of double seals.
    Evidence,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 4] = [Self::Blocks, Self::Compact, Self::Transactions, Self::Evidence];
}

/// What the receiver of a gossip message found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid: pass it on.
    Accept,
    /// Invalid: drop it, and its sender is at fault.
    Reject,
    /// Neither: drop it, nobody is at fault.
    Ignore,
}

/// Names a gossip message that waits for its [`Verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GossipToken {
    pub(crate) id: [u8; 32],
    pub(crate) from: PeerId,
}

impl GossipToken {
    /// The token of a message that a peer passed on, for who stands in for the network. `id` names the message.
    #[must_use]
    pub const fn new(id: [u8; 32], from: PeerId) -> Self {
        Self { id, from }
    }

    /// The name of the message.
    #[must_use]
    pub const fn id(&self) -> &[u8; 32] {
        &self.id
    }
}

/// Names a request that waits for its response.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResponseToken(pub(crate) u64);

impl ResponseToken {
    /// The token of a request, for who stands in for the network.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number that it was made from.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.0
    }
}

/// What the network is told to do.
#[derive(Debug)]
pub enum Command {
    /// Connect once.
    Dial(Multiaddr),
    /// Hold a connection to this address, as to those of the configuration.
    Keep(Multiaddr),
    /// Hold no connection to this address any more. One that is open stays.
    Forget(Multiaddr),
    /// Gossip `bytes` to all peers.
    Publish {
        /// Where it belongs.
        topic: Topic,
        /// The message, at most [`crate::wire::BLOCK_BYTES_MAX`] bytes.
        bytes: Vec<u8>,
    },
    /// Ask a connected peer; the answer is [`Event::Response`] or [`Event::RequestFailed`] with this `id`.
    Request {
        /// Who is asked.
        peer: PeerId,
        /// What is asked.
        request: Request,
        /// The caller's name for the request.
        id: u64,
    },
    /// Answer a peer's request.
    Respond {
        /// From [`Event::Request`].
        token: ResponseToken,
        /// The answer. One beyond the bounds of the wire is dropped, and the peer sees a refusal.
        response: Response,
    },
    /// Judge a gossip message. Nothing is passed on before it is accepted.
    Report {
        /// From [`Event::Gossip`].
        token: GossipToken,
        /// The judgement.
        verdict: Verdict,
    },
    /// `false` drops all connections and refuses new ones in both directions, `true` ends that.
    SetActive(bool),
    /// Drop all connections to a peer. A configured peer is dialed again later.
    Disconnect(PeerId),
    /// A peer did what no honest node does. It may be banned for it, and is sent away in any case.
    Fault {
        /// Who.
        peer: PeerId,
        /// What.
        fault: Fault,
    },
    /// Keep somebody out, and send away who is there.
    Ban(Ban),
    /// End a ban. The answer is whether there was one.
    Unban(Banned, oneshot::Sender<bool>),
    /// The bans that hold.
    Bans(oneshot::Sender<Vec<Ban>>),
    /// The peers connected now.
    Peers(oneshot::Sender<Vec<PeerDetails>>),
    /// End.
    Stop,
}

/// How a connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKind {
    /// The peer connected.
    Inbound,
    /// We were told to: by configuration, by hand, or by the list to begin with.
    Manual,
    /// Of our own choice, to be kept.
    Chosen,
    /// To see who is there.
    Feeler,
}

impl ConnectionKind {
    /// Its name among users of Bitcoin Core.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Manual => "manual",
            Self::Chosen => "outbound-full-relay",
            Self::Feeler => "feeler",
        }
    }
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDetails {
    /// The peer.
    pub peer: PeerId,
    /// Where it is, as seen from here.
    pub address: Multiaddr,
    /// How the connection came about.
    pub kind: ConnectionKind,
    /// When it connected, in unix seconds.
    pub since: u64,
    /// What program it says it is; at most [`AGENT_BYTES_MAX`] bytes.
    pub agent: String,
    /// The shortest time that a message took there and back, once one was measured.
    pub ping: Option<Duration>,
    /// What was sent to it.
    pub sent: Traffic,
    /// What came from it.
    pub received: Traffic,
}

/// Longest name of a program that is kept, in bytes.
pub const AGENT_BYTES_MAX: usize = 128;

/// Messages in one direction: requests, responses and gossip, without what the protocols below add. What is passed on for
/// others is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of the messages.
    pub bytes: u64,
    /// When the last one went, in unix seconds; zero if none has.
    pub last: u64,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The network can be reached at this address, which ends with our peer id.
    Listening(Multiaddr),
    /// A peer of our chain is connected and can be asked and gossiped to.
    PeerConnected(PeerId),
    /// The last connection to a connected peer is gone. Requests to it have failed before this.
    PeerDisconnected(PeerId),
    /// A peer of another chain was sent away. Either end may be the one that notices first.
    PeerRefused(PeerId),
    /// A gossip message that waits for [`Command::Report`].
    Gossip {
        /// Where it belongs.
        topic: Topic,
        /// Who passed it on to us.
        from: PeerId,
        /// For [`Command::Report`].
        token: GossipToken,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A peer asks and waits for [`Command::Respond`]. May come shortly before its `PeerConnected`.
    Request {
        /// Who asks.
        peer: PeerId,
        /// What is asked.
        request: Request,
        /// For [`Command::Respond`].
        token: ResponseToken,
    },
    /// The answer to [`Command::Request`].
    Response {
        /// The caller's name for the request.
        id: u64,
        /// Who answered.
        peer: PeerId,
        /// The answer.
        response: Response,
    },
    /// There will be no answer to [`Command::Request`].
    RequestFailed {
        /// The caller's name for the request.
        id: u64,
        /// Who was asked.
        peer: PeerId,
        /// Why.
        reason: RequestFailure,
    },
}

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    /// The peer is not connected.
    #[error("the peer is not connected")]
    NotConnected,
    /// Our request exceeds the bounds of the wire: our own fault.
    #[error("the request exceeds the bounds of the wire")]
    TooLarge,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection ended first.
    #[error("the connection ended first")]
    ConnectionClosed,
    /// The peer ended the request without an answer.
    #[error("the peer gave no answer")]
    Refused,
    /// The peer's answer is no response within the bounds of the wire: the peer's fault.
    #[error("the answer is malformed: {0}")]
    Malformed(String),
    /// The stream failed.
    #[error("the stream failed: {0}")]
    Io(String),
}

impl RequestFailure {
    /// Whether the peer broke the protocol.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        matches!(self, Self::Malformed(_))
    }

    /// Whether asking again, or another peer, may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::TooLarge)
    }
}
