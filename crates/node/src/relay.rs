//! Transactions between a node and its peers: what waits for parents, what was refused of late, and what was sent from
//! here and is announced again until a block has it.
//!
//! Everything is bounded. Nobody else's transaction is ever announced by us again: whoever sent it does that.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use mass_mempool::{CoinKey, EntryId, OrphanLimits, Orphans, Saved};
use mass_network::{PeerId, message_id};

/// How soon an own transaction is announced again, and how long it takes at the most as it gets older.
const AGAIN_FIRST: Duration = Duration::from_secs(2 * 60);
const AGAIN_MAX: Duration = Duration::from_secs(30 * 60);

/// Announcements of own transactions at one time.
const ANNOUNCED_MAX: usize = 20;

/// Own transactions that are kept in mind.
const OWN_MAX: usize = 10_000;

/// Refused transactions that are kept in mind, so that they are not checked again.
const REFUSED_MAX: usize = 4096;

/// When an own transaction is announced next.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    wait: Duration,
}

/// What a node keeps in mind of transactions that are not in its pool, or that it sent.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) orphans: Orphans<PeerId>,
    refused: BTreeSet<[u8; 32]>,
    refused_in_order: VecDeque<[u8; 32]>,
    own: BTreeMap<EntryId, Due>,
    /// What the pool held before the node was started, still to be checked.
    pub(crate) to_restore: VecDeque<Saved>,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            orphans: Orphans::new(OrphanLimits::DEFAULT),
            refused: BTreeSet::new(),
            refused_in_order: VecDeque::new(),
            own: BTreeMap::new(),
            to_restore: VecDeque::new(),
        }
    }
}

impl Relay {
    /// Whether these bytes were refused since the last block.
    pub(crate) fn was_refused(&self, bytes: &[u8]) -> bool {
        self.refused.contains(&message_id(bytes))
    }

    /// Keeps in mind that these bytes are not to be checked again before the next block.
    pub(crate) fn refuse(&mut self, bytes: &[u8]) {
        let hash = message_id(bytes);
        if self.refused.insert(hash) {
            self.refused_in_order.push_back(hash);
        }
        while self.refused_in_order.len() > REFUSED_MAX {
            let oldest = self.refused_in_order.pop_front();
            oldest.map(|hash| self.refused.remove(&hash));
        }
    }

    /// A block came: what was refused may be good now.
    pub(crate) fn forget_refused(&mut self) {
        self.refused.clear();
        self.refused_in_order.clear();
    }

    /// A transaction was sent from here, and announced if there was somebody to hear it.
    pub(crate) fn own(&mut self, id: EntryId, now: Instant, is_heard: bool) {
        if self.own.len() < OWN_MAX || self.own.contains_key(&id) {
            let at = if is_heard { now + AGAIN_FIRST } else { now };
            self.own.insert(id, Due { at, wait: AGAIN_FIRST });
        }
    }

    /// Ids of own transactions.
    pub(crate) fn own_ids(&self) -> impl ExactSizeIterator<Item = &EntryId> {
        self.own.keys()
    }

    pub(crate) fn is_own(&self, id: &EntryId) -> bool {
        self.own.contains_key(id)
    }

    /// Own transactions that are to be announced now, of those that still wait.
    pub(crate) fn due(&mut self, now: Instant, waits: impl Fn(&EntryId) -> bool) -> Vec<EntryId> {
        let restoring = !self.to_restore.is_empty();
        self.own.retain(|id, _| restoring || waits(id));
        let due = self.own.iter_mut().filter(|(id, due)| due.at <= now && waits(id)).take(ANNOUNCED_MAX);
        let again = |(id, due): (&EntryId, &mut Due)| {
            due.at = now + due.wait;
            due.wait = (due.wait * 2).min(AGAIN_MAX);
            *id
        };
        due.map(again).collect()
    }

    /// Coins that orphans wait for.
    pub(crate) fn missing(&self) -> Vec<CoinKey> {
        self.orphans.missing().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_transactions_are_announced_ever_more_seldom_while_they_wait() {
        let (mut relay, start) = (Relay::default(), Instant::now());
        relay.own([1; 32], start, false);
        relay.own([2; 32], start, true);
        assert_eq!(relay.due(start, |_| true), [[1; 32]], "nobody has heard of it yet");
        assert!(relay.due(start, |_| true).is_empty());
        let day: u64 = 24 * 3600;
        let times = (1..day).filter(|second| relay.due(start + Duration::from_secs(*second), |_| true).contains(&[1; 32]));
        assert!((48..60).contains(&times.count()));
        assert!(relay.due(start + 2 * AGAIN_MAX * 50, |id| *id == [2; 32]).contains(&[2; 32]));
        assert_eq!(relay.own_ids().collect::<Vec<_>>(), [&[2; 32]], "what left the pool is forgotten");
    }

    #[test]
    fn storms_are_bounded() {
        let (mut relay, now) = (Relay::default(), Instant::now());
        for number in 0..20_000u32 {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_le_bytes());
            relay.own(id, now, false);
            relay.refuse(&id);
        }
        assert_eq!((relay.own_ids().len(), relay.due(now, |_| true).len()), (OWN_MAX, ANNOUNCED_MAX));
        assert!(relay.was_refused(&[&19_999u32.to_le_bytes()[..], &[0; 28]].concat()));
        assert!(!relay.was_refused(&[0; 32]));
        assert_eq!(relay.refused.len(), REFUSED_MAX);
        relay.forget_refused();
        assert!(!relay.was_refused(&[&19_999u32.to_le_bytes()[..], &[0; 28]].concat()));
    }
}
