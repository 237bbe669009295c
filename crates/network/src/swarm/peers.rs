//! How far each connected peer has come: it is ready once it named our chain and subscribed to our
//! topics, so that a message published after `PeerConnected` reaches it. Time is an argument.

use super::{
    AGENT_BYTES_MAX, BTreeSet, ConnectionId, Duration, HashMap, Instant, Multiaddr, PeerDetails, PeerId,
    Topic, Traffic,
};

#[derive(Debug)]
struct Peer {
    since: Instant,
    connections: Vec<ConnectionId>,
    topics: BTreeSet<Topic>,
    identified: bool,
    refused: bool,
    ready: bool,
    details: PeerDetails,
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub address: Multiaddr,
    pub is_inbound: bool,
}

/// The connected peers.
#[derive(Debug, Default)]
pub(super) struct Peers(HashMap<PeerId, Peer>);

/// What a step of the greeting led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The peer became ready, over these connections.
    Ready(Vec<ConnectionId>),
    /// Nothing new.
    None,
}

impl Peers {
    /// `unix` is the time in unix seconds.
    pub fn opened(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        Remote { address, is_inbound }: Remote,
        (now, unix): (Instant, u64),
    ) {
        let (sent, received) = (Traffic::default(), Traffic::default());
        let details =
            PeerDetails { peer, address, is_inbound, since: unix, agent: String::new(), sent, received };
        let fresh = || Peer {
            since: now,
            connections: Vec::new(),
            topics: BTreeSet::new(),
            identified: false,
            refused: false,
            ready: false,
            details,
        };
        self.0.entry(peer).or_insert_with(fresh).connections.push(connection);
    }

    /// Whether the peer was ready and is gone now.
    pub fn closed(&mut self, peer: PeerId, connection: ConnectionId) -> bool {
        let Some(state) = self.0.get_mut(&peer) else { return false };
        state.connections.retain(|own| *own != connection);
        let gone = state.connections.is_empty();
        gone && self.0.remove(&peer).is_some_and(|state| state.ready)
    }

    pub fn identified(&mut self, peer: PeerId) -> Progress {
        self.step(peer, |state| state.identified = true)
    }

    pub fn subscribed(&mut self, peer: PeerId, topic: Topic) -> Progress {
        self.step(peer, |state| {
            state.topics.insert(topic);
        })
    }

    /// Whether the peer is refused for the first time on its connections.
    pub fn refuse(&mut self, peer: PeerId) -> bool {
        self.0.get_mut(&peer).is_some_and(|state| !std::mem::replace(&mut state.refused, true))
    }

    pub fn ready(&self) -> Vec<PeerDetails> {
        let ready = self.0.values().filter(|state| state.ready);
        let mut ready: Vec<_> = ready.map(|state| state.details.clone()).collect();
        ready.sort_unstable_by_key(|details| details.peer);
        ready
    }

    /// What the peer says that it is.
    pub fn named(&mut self, peer: PeerId, agent: &str) {
        if let Some(state) = self.0.get_mut(&peer) {
            let end = agent.floor_char_boundary(AGENT_BYTES_MAX);
            state.details.agent = agent.get(..end).unwrap_or_default().to_owned();
        }
    }

    pub fn sent(&mut self, peer: PeerId, bytes: usize, unix: u64) {
        self.0.get_mut(&peer).into_iter().for_each(|state| count(&mut state.details.sent, bytes, unix));
    }

    /// What goes to all peers.
    pub fn sent_to_all(&mut self, bytes: usize, unix: u64) {
        let ready = self.0.values_mut().filter(|state| state.ready);
        ready.for_each(|state| count(&mut state.details.sent, bytes, unix));
    }

    pub fn received(&mut self, peer: PeerId, bytes: usize, unix: u64) {
        self.0.get_mut(&peer).into_iter().for_each(|state| count(&mut state.details.received, bytes, unix));
    }

    pub fn next_deadline(&self, timeout: Duration) -> Option<Instant> {
        self.0.values().filter(|state| state.waits()).map(|state| state.since + timeout).min()
    }

    /// The peers that took too long, each named once.
    pub fn expire(&mut self, now: Instant, timeout: Duration) -> Vec<PeerId> {
        let late = |state: &Peer| state.waits() && state.since + timeout <= now;
        let expired = self.0.iter_mut().filter(|(_, state)| late(state));
        expired
            .map(|(peer, state)| {
                state.refused = true;
                *peer
            })
            .collect()
    }

    fn step(&mut self, peer: PeerId, change: impl FnOnce(&mut Peer)) -> Progress {
        let Some(state) = self.0.get_mut(&peer) else { return Progress::None };
        change(state);
        if !state.waits() || !state.identified || state.topics.len() < Topic::ALL.len() {
            return Progress::None;
        }
        state.ready = true;
        Progress::Ready(state.connections.clone())
    }
}

fn count(traffic: &mut Traffic, bytes: usize, unix: u64) {
    traffic.bytes = traffic.bytes.saturating_add(bytes as u64);
    traffic.last = unix;
}

impl Peer {
    const fn waits(&self) -> bool {
        !self.ready && !self.refused
    }
}
