//! When to dial the configured peers again: at once at first, then with a delay that doubles up to a
//! minute and starts over when a peer turned out to be of our chain. Time is an argument.

use std::time::Duration;

use libp2p::{Multiaddr, swarm::ConnectionId};
use tokio::time::Instant;

const DELAY_MIN: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum State {
    Idle { until: Instant },
    Busy(ConnectionId),
}

#[derive(Debug)]
struct Entry {
    address: Multiaddr,
    state: State,
    delay: Duration,
}

/// The configured peers and their connections.
#[derive(Debug)]
pub(crate) struct Redial(Vec<Entry>);

impl Redial {
    pub fn new(addresses: Vec<Multiaddr>, now: Instant) -> Self {
        let entry = |address| Entry { address, state: State::Idle { until: now }, delay: DELAY_MIN };
        Self(addresses.into_iter().map(entry).collect())
    }

    /// Adds an address, unless it is there.
    pub fn keep(&mut self, address: Multiaddr, now: Instant) {
        if !self.0.iter().any(|entry| entry.address == address) {
            self.0.push(Entry { address, state: State::Idle { until: now }, delay: DELAY_MIN });
        }
    }

    /// Takes an address out.
    pub fn forget(&mut self, address: &Multiaddr) {
        self.0.retain(|entry| entry.address != *address);
    }

    /// When the next peer is due.
    pub fn next(&self) -> Option<Instant> {
        let until = |entry: &Entry| match entry.state {
            State::Idle { until } => Some(until),
            State::Busy(_) => None,
        };
        self.0.iter().filter_map(until).min()
    }

    /// Hands the address of every peer that is due to `dial`, which starts a connection or fails.
    pub fn dial_due(&mut self, now: Instant, mut dial: impl FnMut(&Multiaddr) -> Option<ConnectionId>) {
        for entry in &mut self.0 {
            if !matches!(entry.state, State::Idle { until } if until <= now) {
                continue;
            }
            match dial(&entry.address) {
                Some(connection) => entry.state = State::Busy(connection),
                None => entry.wait(now),
            }
        }
    }

    /// A connection failed or ended.
    pub fn ended(&mut self, connection: ConnectionId, now: Instant) {
        self.of(connection).for_each(|entry| entry.wait(now));
    }

    /// A connection leads to a peer of our chain.
    pub fn settled(&mut self, connection: ConnectionId) {
        self.of(connection).for_each(|entry| entry.delay = DELAY_MIN);
    }

    /// All peers that wait are due now.
    pub fn hurry(&mut self, now: Instant) {
        for entry in &mut self.0 {
            entry.delay = DELAY_MIN;
            if let State::Idle { until } = &mut entry.state {
                *until = now;
            }
        }
    }

    fn of(&mut self, connection: ConnectionId) -> impl Iterator<Item = &mut Entry> {
        self.0.iter_mut().filter(move |entry| matches!(entry.state, State::Busy(own) if own == connection))
    }
}

impl Entry {
    fn wait(&mut self, now: Instant) {
        self.state = State::Idle { until: now + self.delay };
        self.delay = (self.delay * 2).min(DELAY_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_to_a_bound_and_starts_over_when_settled() {
        let mut now = Instant::now();
        let mut redial = Redial::new(vec!["/memory/1".parse().expect("a valid address")], now);
        let mut delays = Vec::new();
        for _ in 0..10 {
            let connection = ConnectionId::new_unchecked(7);
            redial.dial_due(now, |_| Some(connection));
            assert_eq!(redial.next(), None);
            redial.ended(connection, now);
            let next = redial.next().expect("one peer waits");
            delays.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
        redial.dial_due(now, |_| Some(ConnectionId::new_unchecked(8)));
        redial.settled(ConnectionId::new_unchecked(8));
        redial.ended(ConnectionId::new_unchecked(8), now);
        assert_eq!(redial.next(), Some(now + DELAY_MIN));
    }
}
