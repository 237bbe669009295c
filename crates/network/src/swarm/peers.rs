//! How far each connected peer has come: it is ready once it named our chain and subscribed to our
//! topics, so that a message published after `PeerConnected` reaches it. Time is an argument.

use super::{BTreeSet, ConnectionId, Duration, HashMap, Instant, PeerId, Topic};

#[derive(Debug)]
struct Peer {
    since: Instant,
    connections: Vec<ConnectionId>,
    topics: BTreeSet<Topic>,
    identified: bool,
    refused: bool,
    ready: bool,
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
    pub fn opened(&mut self, peer: PeerId, connection: ConnectionId, now: Instant) {
        let fresh = || Peer {
            since: now,
            connections: Vec::new(),
            topics: BTreeSet::new(),
            identified: false,
            refused: false,
            ready: false,
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

    pub fn ready(&self) -> Vec<PeerId> {
        let mut ready: Vec<_> =
            self.0.iter().filter(|(_, state)| state.ready).map(|(peer, _)| *peer).collect();
        ready.sort_unstable();
        ready
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

impl Peer {
    const fn waits(&self) -> bool {
        !self.ready && !self.refused
    }
}
