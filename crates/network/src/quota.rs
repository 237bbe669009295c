//! How much each peer may ask of us: a bucket of tokens that fills again with time. Time is an argument.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::handle::Topic;

/// A bucket of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    room: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Quota {
    /// A full one: so much at once and in each second.
    pub fn new((room, per_second): (f64, f64), now: Instant) -> Self {
        Self { room, per_second, tokens: room, at: now }
    }

    /// Takes tokens; whether there were enough.
    pub fn take(&mut self, tokens: f64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = self.per_second.mul_add(passed, self.tokens).min(self.room);
        self.at = now;
        let enough = self.tokens >= tokens;
        if enough {
            self.tokens -= tokens;
        }
        enough
    }
}

/// The part of what one peer may do that others cannot take from it.
const RESERVED: f64 = 0.05;

/// What one peer may do of a kind.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    limit: Quota,
    reserve: Quota,
}

impl Allowance {
    /// So much at once and in each second.
    pub fn new(limit: (f64, f64), now: Instant) -> Self {
        let reserve = (limit.0 * RESERVED, limit.1 * RESERVED);
        Self { limit: Quota::new(limit, now), reserve: Quota::new(reserve, now) }
    }

    /// Takes one of the peer's own; whether it had it.
    pub fn take(&mut self, now: Instant) -> bool {
        self.limit.take(1.0, now)
    }

    /// Takes one of what all may do together. Who does little does it whatever others do.
    pub fn share(&mut self, common: &mut Quota, now: Instant) -> bool {
        self.reserve.take(1.0, now) || common.take(1.0, now)
    }
}

/// What all peers together may do: many peers, each within its own quota, must not take all of a node's time.
#[derive(Debug)]
pub(crate) struct Totals {
    /// Requests.
    pub requests: Quota,
    gossip: HashMap<Topic, Quota>,
}

impl Totals {
    /// So many requests in each second of all peers together; the others are refused, and may be asked again.
    const REQUESTS: (f64, f64) = (10_000.0, 2_000.0);

    /// Messages of a topic at once and in each second.
    const fn gossip(topic: Topic) -> (f64, f64) {
        match topic {
            Topic::Blocks | Topic::Compact => (1_000.0, 100.0),
            Topic::Transactions => (40_000.0, 2_000.0),
            Topic::Evidence => (500.0, 50.0),
        }
    }

    pub fn new(now: Instant) -> Self {
        let gossip = Topic::ALL.map(|topic| (topic, Quota::new(Self::gossip(topic), now))).into();
        Self { requests: Quota::new(Self::REQUESTS, now), gossip }
    }

    /// Messages of a topic.
    pub fn of(&mut self, topic: Topic) -> Option<&mut Quota> {
        self.gossip.get_mut(&topic)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn all_together_have_a_bound_and_a_flood_of_one_kind_takes_nothing_from_another() {
        let now = Instant::now();
        let mut totals = Totals::new(now);
        let mut may = |topic, now| totals.of(topic).unwrap().take(1.0, now);
        assert_eq!((0..50_000).filter(|_| may(Topic::Transactions, now)).count(), 40_000);
        assert!(may(Topic::Compact, now));
        assert!(may(Topic::Transactions, now + Duration::from_secs(1)));
        assert!(totals.requests.take(1.0, now));
    }

    #[test]
    fn who_does_little_does_it_whatever_many_others_do() {
        let now = Instant::now();
        let mut common = Quota::new((1_000.0, 100.0), now);
        let mut many = vec![Allowance::new((200.0, 10.0), now); 12];
        let mut one = many[0].clone();
        let mut may = |peer: &mut Allowance, now| peer.take(now) && peer.share(&mut common, now);
        let flood = many.iter_mut().map(|peer| (0..500).filter(|_| may(peer, now)).count()).sum::<usize>();
        assert_eq!(flood, 1_000 + 12 * 10, "what all have in common, and what each has for itself");
        assert!((0..10).all(|_| may(&mut one, now)) && !may(&mut one, now));
        assert!(may(&mut one, now + Duration::from_secs(2)));
    }

    #[test]
    fn what_was_taken_comes_back_with_time_and_no_more() {
        let now = Instant::now();
        let mut quota = Quota::new((10.0, 2.0), now);
        assert!(quota.take(10.0, now) && !quota.take(1.0, now));
        assert!(!quota.take(3.0, now + Duration::from_secs(1)));
        assert!(quota.take(2.0, now + Duration::from_secs(1)));
        let later = now + Duration::from_secs(500);
        assert!(quota.take(10.0, later) && !quota.take(0.5, later));
    }
}
