//! How far each connected peer has come: it is ready once it named our chain and subscribed to our
//! topics, so that a message published after `PeerConnected` reaches it. Also what it may ask of us, and what speaks for keeping it. Time is an argument.

use super::{
    AGENT_BYTES_MAX, BTreeSet, ConnectionId, ConnectionKind, Duration, HashMap, Instant, IpAddr, Multiaddr,
    PeerDetails, PeerId, Topic, Traffic, search::ip_of,
};
use crate::{
    discovery::{Candidate, Endpoint, Now},
    quota::{Allowance, Quota, Totals},
};

/// Requests that one peer may have open at a time; an answer may be as long as a response.
const REQUESTS_OPEN_MAX: u32 = 8;
/// Requests at once and in each second: a sync of empty blocks asks for some eighty.
const REQUESTS: (f64, f64) = (2000.0, 400.0);
/// Questions for addresses.
const QUESTIONS: (f64, f64) = (2.0, 1.0 / 60.0);

/// Messages of a topic at once and in each second, far above what any chain makes.
const fn gossip(topic: Topic) -> (f64, f64) {
    match topic {
        Topic::Blocks | Topic::Compact => (200.0, 10.0),
        Topic::Transactions => (10_000.0, 500.0),
        Topic::Evidence => (100.0, 5.0),
    }
}

/// Whether a peer may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may.
    Granted,
    /// It waits for too many answers, or all together ask too much.
    Busy,
    /// It asks more than any node has reason to.
    Flood,
}

#[derive(Debug)]
struct Peer {
    since: Instant,
    connections: Vec<ConnectionId>,
    topics: BTreeSet<Topic>,
    identified: bool,
    refused: bool,
    ready: bool,
    ip: Option<IpAddr>,
    listens: Vec<Endpoint>,
    useful: Option<Instant>,
    open: u32,
    requests: Allowance,
    questions: Quota,
    gossip: HashMap<Topic, Allowance>,
    details: PeerDetails,
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub address: Multiaddr,
    pub kind: ConnectionKind,
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
    /// A connection came about. Whether it is the first one to the peer.
    pub fn opened(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        Remote { address, kind }: Remote,
        now: Now,
    ) -> bool {
        let (ip, (sent, received)) = (ip_of(&address), Default::default());
        let (since, agent) = (now.unix, String::new());
        let details = PeerDetails { peer, address, kind, since, agent, ping: None, sent, received };
        let allowance = |limit| Allowance::new(limit, now.instant);
        let state = self.0.entry(peer).or_insert_with(|| Peer {
            since: now.instant,
            connections: Vec::new(),
            topics: BTreeSet::new(),
            identified: false,
            refused: false,
            ready: false,
            ip,
            listens: Vec::new(),
            useful: None,
            open: 0,
            requests: allowance(REQUESTS),
            questions: Quota::new(QUESTIONS, now.instant),
            gossip: Topic::ALL.map(|topic| (topic, allowance(gossip(topic)))).into(),
            details,
        });
        state.connections.push(connection);
        state.connections.len() == 1
    }

    pub fn is_ready(&self, peer: &PeerId) -> bool {
        self.0.get(peer).is_some_and(|state| state.ready)
    }

    /// Where a peer came from.
    pub fn ip(&self, peer: &PeerId) -> Option<IpAddr> {
        self.0.get(peer).and_then(|state| state.ip)
    }

    /// Whether a connection leads there already. Behind one address of the internet we talk with one node.
    pub fn is_connected(&self, endpoint: &Endpoint) -> bool {
        let there = |state: &Peer| {
            state.listens.contains(endpoint) || endpoint.is_global() && state.ip == Some(endpoint.ip())
        };
        self.0.values().any(there)
    }

    /// A peer says where it listens.
    pub fn listens(&mut self, peer: &PeerId, endpoints: &[Endpoint]) {
        if let Some(state) = self.0.get_mut(peer) {
            state.listens = endpoints.to_vec();
        }
    }

    /// The peers at an address.
    pub fn at(&self, ip: IpAddr) -> Vec<PeerId> {
        let there = self.0.iter().filter(|(_, state)| state.ip == Some(ip));
        there.map(|(peer, _)| *peer).collect()
    }

    pub fn ping(&mut self, peer: &PeerId, time: Duration) {
        if let Some(state) = self.0.get_mut(peer) {
            let least = state.details.ping.map_or(time, |least| least.min(time));
            state.details.ping = Some(least);
        }
    }

    /// A peer brought something new that was good.
    pub fn useful(&mut self, peer: &PeerId, now: Instant) {
        if let Some(state) = self.0.get_mut(peer) {
            state.useful = Some(now);
        }
    }

    /// A peer asks.
    pub fn asks(&mut self, peer: &PeerId, totals: &mut Totals, now: Instant) -> Admission {
        let Some(state) = self.0.get_mut(peer) else { return Admission::Busy };
        if !state.requests.take(now) {
            return Admission::Flood;
        }
        if state.open >= REQUESTS_OPEN_MAX || !state.requests.share(&mut totals.requests, now) {
            return Admission::Busy;
        }
        state.open += 1;
        Admission::Granted
    }

    /// A request of a peer's is over.
    pub fn answered(&mut self, peer: &PeerId) {
        if let Some(state) = self.0.get_mut(peer) {
            state.open = state.open.saturating_sub(1);
        }
    }

    /// Whether a peer may ask for addresses again.
    pub fn may_question(&mut self, peer: &PeerId, now: Instant) -> bool {
        self.0.get_mut(peer).is_some_and(|state| state.questions.take(1.0, now))
    }

    pub fn may_gossip(&mut self, peer: &PeerId, topic: Topic, totals: &mut Totals, now: Instant) -> bool {
        let allowance = self.0.get_mut(peer).and_then(|state| state.gossip.get_mut(&topic));
        let Some((allowance, common)) = allowance.zip(totals.of(topic)) else { return false };
        allowance.take(now) && allowance.share(common, now)
    }

    /// Those that came by themselves.
    pub fn incoming(&self, now: Instant) -> Vec<Candidate> {
        let incoming = self.0.iter().filter(|(_, state)| state.details.kind == ConnectionKind::Inbound);
        let candidate = |(peer, state): (&PeerId, &Peer)| Candidate {
            peer: *peer,
            group: Endpoint::new(state.ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()), 0).group(),
            age: now.saturating_duration_since(state.since),
            useful: state.useful.map(|useful| now.saturating_duration_since(useful)),
            ping: state.details.ping,
        };
        incoming.map(candidate).collect()
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
