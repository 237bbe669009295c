//! How a node finds others and keeps connections that no single party can own: which addresses to dial and when.
//!
//! ```text
//! outbound   a few connections of our own choice, each to another network, old friends and strangers alike
//! anchors    the two oldest of them, written down, so that a restart does not hand us to whoever fills the book
//! feeler     every two minutes one address is dialed just to see who is there, so that the tried part of the
//!            book grows and those in doubt are asked
//! questions  each peer of our choice is asked for addresses once it is there, and some peer every ten minutes
//! bootstrap  the chain's list, by address or by name, while the book is nearly empty or nobody answers
//! ```
//!
//! Time and randomness are arguments. Not here: sockets (in `swarm`), configured peers (in `redial`).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use libp2p::{PeerId, swarm::ConnectionId};
use rand_chacha::ChaCha12Rng;
use tokio::time::Instant;

mod book;
mod endpoint;
mod evict;
pub(crate) mod exchange;
mod file;

pub(crate) use book::Book;
pub(crate) use endpoint::{Endpoint, Group, is_global};
pub(crate) use evict::{Candidate, select};
pub(crate) use file::{Memory, encode, load, save};

/// How soon after one dial the next may follow.
const DIAL_EVERY: Duration = Duration::from_millis(500);
/// How often is looked whether a connection is missing, if there was nobody to dial.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const FEELER_EVERY: Duration = Duration::from_secs(120);
/// How soon after the start a peer is asked for addresses, for two that met a third at one time know nothing of each
/// other; each wait is twice the one before, up to the longest.
const QUESTION_FIRST: Duration = Duration::from_secs(5);
const QUESTION_EVERY: Duration = Duration::from_secs(600);
/// How often the bootstrap list is asked, if it must be.
const BOOTSTRAP_EVERY: Duration = Duration::from_secs(60);
/// With fewer addresses in the book the bootstrap list is asked.
const BOOK_SMALL: usize = 4;
/// Outbound connections that are written down.
const ANCHORS: usize = 2;

/// What a dialed address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A connection to keep.
    Keep,
    /// To see who is there.
    Feel,
}

#[derive(Debug)]
struct Dialed {
    endpoint: Endpoint,
    purpose: Purpose,
    since: Instant,
    /// Whether it led to a node of our chain.
    found: bool,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Dial, and say which connection it became.
    Dial(Endpoint, Purpose),
    /// Ask some peer for addresses.
    Ask,
    /// Look at the bootstrap list.
    Bootstrap,
}

/// Clocks of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub instant: Instant,
    /// Unix time in seconds.
    pub unix: u64,
}

/// The book, the connections of our choice, and when what is due.
#[derive(Debug)]
pub(crate) struct Discovery {
    book: Book,
    rng: ChaCha12Rng,
    target: usize,
    has_bootstrap: bool,
    dialed: BTreeMap<ConnectionId, Dialed>,
    anchors: Vec<Endpoint>,
    own: BTreeSet<Endpoint>,
    dial_at: Instant,
    feeler_at: Instant,
    question_at: Instant,
    question_wait: Duration,
    bootstrap_at: Instant,
}

impl Discovery {
    pub fn new(
        memory: (Book, Vec<Endpoint>),
        target: usize,
        has_bootstrap: bool,
        rng: ChaCha12Rng,
        now: Instant,
    ) -> Self {
        let (mut book, anchors) = memory;
        book.start();
        Self {
            book,
            rng,
            target,
            has_bootstrap,
            dialed: BTreeMap::new(),
            anchors,
            own: BTreeSet::new(),
            dial_at: now,
            feeler_at: now + FEELER_EVERY,
            question_at: now + QUESTION_FIRST,
            question_wait: QUESTION_FIRST,
            bootstrap_at: now,
        }
    }

    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// When something is due.
    pub fn next(&self) -> Instant {
        self.dial_at.min(self.feeler_at).min(self.question_at)
    }

    /// What is due now. `is_free` says of an address that we have no connection to it and nothing against it.
    pub fn due(&mut self, now: Now, is_free: impl Fn(&Endpoint) -> bool) -> Vec<Errand> {
        let mut errands = Vec::new();
        if self.dial_at <= now.instant {
            let endpoint = self.wanted(now, &is_free);
            self.dial_at = now.instant + if endpoint.is_some() { DIAL_EVERY } else { LOOK_EVERY };
            errands.extend(endpoint.map(|endpoint| Errand::Dial(endpoint, Purpose::Keep)));
            if self.wants_bootstrap() && self.bootstrap_at <= now.instant {
                self.bootstrap_at = now.instant + BOOTSTRAP_EVERY;
                errands.push(Errand::Bootstrap);
            }
        }
        if self.feeler_at <= now.instant {
            self.feeler_at = now.instant + FEELER_EVERY;
            let own = &self.own;
            let free = |endpoint: &Endpoint| is_free(endpoint) && !own.contains(endpoint);
            let endpoint = self.book.pick_untried(&mut self.rng, now.unix, free);
            errands.extend(endpoint.map(|endpoint| Errand::Dial(endpoint, Purpose::Feel)));
        }
        if self.question_at <= now.instant {
            self.question_wait = (self.question_wait * 2).min(QUESTION_EVERY);
            self.question_at = now.instant + self.question_wait;
            errands.push(Errand::Ask);
        }
        errands
    }

    /// An address for a connection that is missing: anchors first, then by the book, in a network where we have none.
    fn wanted(&mut self, now: Now, is_free: impl Fn(&Endpoint) -> bool) -> Option<Endpoint> {
        let kept: Vec<&Dialed> = self.kept().collect();
        if kept.len() >= self.target {
            return None;
        }
        let groups: BTreeSet<Group> = kept.iter().map(|dialed| dialed.endpoint.group()).collect();
        let own = &self.own;
        let free = |endpoint: &Endpoint| {
            is_free(endpoint) && !groups.contains(&endpoint.group()) && !own.contains(endpoint)
        };
        while let Some(anchor) = self.anchors.pop() {
            if free(&anchor) {
                return Some(anchor);
            }
        }
        self.book.pick(&mut self.rng, now.unix, free)
    }

    fn wants_bootstrap(&self) -> bool {
        let is_alone = !self.kept().any(|dialed| dialed.found);
        self.has_bootstrap && (self.book.len() < BOOK_SMALL || is_alone)
    }

    fn kept(&self) -> impl Iterator<Item = &Dialed> {
        self.dialed.values().filter(|dialed| dialed.purpose == Purpose::Keep)
    }

    /// An address is dialed over this connection.
    pub fn dialed(&mut self, connection: ConnectionId, endpoint: Endpoint, purpose: Purpose, now: Now) {
        self.book.asked(&endpoint, now.unix);
        let dialed = Dialed { endpoint, purpose, since: now.instant, found: false };
        self.dialed.insert(connection, dialed);
    }

    /// What a connection was dialed for; `None` if not by us.
    pub fn purpose(&self, connection: ConnectionId) -> Option<Purpose> {
        self.dialed.get(&connection).map(|dialed| dialed.purpose)
    }

    /// A connection led to a node of our chain.
    pub fn found(&mut self, connection: ConnectionId, now: Now) {
        if let Some(dialed) = self.dialed.get_mut(&connection) {
            dialed.found = true;
            self.book.found(dialed.endpoint, now.unix);
        }
    }

    /// A connection led to a node that we were connected with already.
    pub fn redundant(&mut self, connection: ConnectionId) {
        self.dialed.remove(&connection);
    }

    /// A connection could not be made, or ended.
    pub fn ended(&mut self, connection: ConnectionId, now: Now) {
        if let Some(dialed) = self.dialed.remove(&connection)
            && !dialed.found
        {
            self.book.failed(&dialed.endpoint, now.unix);
        }
    }

    /// A connection led to a node of another chain.
    pub fn strange(&mut self, connection: ConnectionId) {
        if let Some(dialed) = self.dialed.remove(&connection) {
            self.book.forget(&dialed.endpoint);
        }
    }

    /// A connection led to ourselves.
    pub fn own(&mut self, endpoint: Endpoint) {
        self.book.forget(&endpoint);
        self.own.insert(endpoint);
    }

    /// Somebody in the network `source` says that nodes are there.
    pub fn learn(&mut self, endpoints: impl IntoIterator<Item = Endpoint>, source: &Group, now: Now) {
        for endpoint in endpoints {
            let news = !self.own.contains(&endpoint) && self.book.learn(endpoint, source, now.unix);
            if news && self.kept().count() < self.target {
                self.dial_at = self.dial_at.min(now.instant + DIAL_EVERY);
            }
        }
    }

    /// Addresses to tell a peer. Those of a network of one's own are told only within.
    pub fn tell(&mut self, to_global: bool, now: Now) -> Vec<Endpoint> {
        let told = |endpoint: &Endpoint| endpoint.is_global() || !to_global;
        self.book.sample(&mut self.rng, exchange::ADDRESSES_MAX, now.unix, told)
    }

    /// One of some peers.
    pub fn any(&mut self, peers: &[PeerId]) -> Option<PeerId> {
        use rand::seq::SliceRandom as _;
        peers.choose(&mut self.rng).copied()
    }

    /// The oldest connections of our choice, to be written down.
    pub fn anchors(&self) -> Vec<Endpoint> {
        let mut found: Vec<&Dialed> = self.kept().filter(|dialed| dialed.found).collect();
        found.sort_by_key(|dialed| dialed.since);
        found.into_iter().take(ANCHORS).map(|dialed| dialed.endpoint).collect()
    }
}

#[cfg(test)]
mod tests;
