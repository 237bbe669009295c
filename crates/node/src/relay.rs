//! Transactions between a node and its peers: what waits for parents, what was refused of late, and what was sent from
//! here and is announced again until a block has it.
//!
//! Everything is bounded. Nobody else's transaction is ever announced by us again: whoever sent it does that.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use mass_mempool::{AdmitError, CoinKey, EntryId, OrphanLimits, Orphans, PoolRecord, Saved};
use mass_network::{Command, Fault, PeerId, Topic, Verdict, message_id};

use crate::{
    error::ChainError,
    ledger::NodeLedger,
    node::{Moment, Node},
    pool::{PackageVerdict, PackageVerdicts},
};

/// How soon an own transaction is announced again, and how long it takes at the most as it gets older.
const AGAIN_FIRST: Duration = Duration::from_secs(2 * 60);
const AGAIN_MAX: Duration = Duration::from_secs(30 * 60);

/// Announcements of own transactions at one time.
const ANNOUNCED_MAX: usize = 20;

/// Own transactions that are kept in mind.
const OWN_MAX: usize = 10_000;

/// Refused transactions that are kept in mind, so that they are not checked again.
const REFUSED_MAX: usize = 4096;

/// Transactions of before the start that are checked at one time.
const RESTORED_MAX: usize = 200;

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
    to_restore: VecDeque<Saved>,
    is_restored: bool,
    /// A block came, after which transactions that were not good may be.
    pub(crate) reconsiders: bool,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            orphans: Orphans::new(OrphanLimits::DEFAULT),
            refused: BTreeSet::new(),
            refused_in_order: VecDeque::new(),
            own: BTreeMap::new(),
            to_restore: VecDeque::new(),
            is_restored: true,
            reconsiders: false,
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
        let is_restored = self.is_restored;
        self.own.retain(|id, _| !is_restored || waits(id));
        let due = self.own.iter_mut().filter(|(id, due)| due.at <= now && waits(id)).take(ANNOUNCED_MAX);
        let again = |(id, due): (&EntryId, &mut Due)| {
            due.at = now + due.wait;
            due.wait = (due.wait * 2).min(AGAIN_MAX);
            *id
        };
        due.map(again).collect()
    }

    /// Whether all is checked that the pool held before the start.
    pub(crate) const fn is_restored(&self) -> bool {
        self.is_restored
    }
}

impl<L: NodeLedger> Node<L> {
    /// Transactions that wait for their parents.
    #[must_use]
    pub fn orphans(&self) -> usize {
        self.relay.orphans.len()
    }

    /// A transaction came from a user; its id. One that waits already is announced again.
    ///
    /// # Errors
    /// Why the pool does not take it.
    pub fn pay(&mut self, bytes: Vec<u8>, now: Moment) -> Result<EntryId, ChainError> {
        let id = match self.chain_mut().take_transaction(&bytes, now.unix) {
            Ok(admitted) => {
                self.coins_came(admitted.entry.creates, now)?;
                admitted.entry.id
            }
            Err(ChainError::Pool(AdmitError::Duplicate)) => self.chain().ledger().transaction_id(&bytes)?,
            Err(error) => return Err(error),
        };
        self.announce(id, bytes, now);
        Ok(id)
    }

    /// A child came from a user with the parents that it pays for.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn pay_package(&mut self, list: &[Vec<u8>], now: Moment) -> Result<PackageVerdicts, ChainError> {
        let verdicts = self.chain_mut().take_package(list, now.unix)?;
        for verdict in &verdicts.verdicts {
            if let PackageVerdict::Known(entry) | PackageVerdict::Taken(entry, _) = verdict {
                self.announce(entry.id, entry.bytes.clone(), now);
            }
        }
        Ok(verdicts)
    }

    fn announce(&mut self, id: EntryId, bytes: Vec<u8>, now: Moment) {
        let is_heard = self.peers().len() > 0;
        self.relay.own(id, now.instant, is_heard);
        self.send(Command::Publish { topic: Topic::Transactions, bytes });
    }

    /// A peer passed a transaction on. What is no transaction at all is its fault; anything else may be good elsewhere.
    pub(crate) fn gossiped_transaction(
        &mut self,
        from: PeerId,
        bytes: &[u8],
        now: Moment,
    ) -> Result<Verdict, ChainError> {
        if self.relay.was_refused(bytes) {
            return Ok(Verdict::Ignore);
        }
        match self.chain_mut().take_transaction(bytes, now.unix) {
            Ok(admitted) => {
                self.coins_came(admitted.entry.creates, now)?;
                Ok(Verdict::Accept)
            }
            Err(error) if error.is_fatal() => Err(error),
            Err(ChainError::Transaction(_)) => {
                self.send(Command::Fault { peer: from, fault: Fault::Malformed });
                Ok(Verdict::Reject)
            }
            Err(error) => {
                self.put_off(bytes, error, from, now);
                Ok(Verdict::Ignore)
            }
        }
    }

    /// Keeps in mind what was not taken: until its parents come, or the next block.
    fn put_off(&mut self, bytes: &[u8], error: ChainError, from: PeerId, now: Moment) {
        match error {
            ChainError::MissingCoin { coin, .. } => {
                self.relay.orphans.keep(bytes.to_vec(), coin, from, now.unix);
            }
            ChainError::Pool(AdmitError::Duplicate) => {}
            _ => self.relay.refuse(bytes),
        }
    }

    /// Who waited for these coins is offered to the pool again, and then passed on.
    fn coins_came(&mut self, coins: Vec<CoinKey>, now: Moment) -> Result<(), ChainError> {
        let mut coins = coins;
        loop {
            let ready = self.relay.orphans.ready(&coins);
            if ready.is_empty() {
                return Ok(());
            }
            coins.clear();
            for (bytes, from) in ready {
                match self.chain_mut().take_transaction(&bytes, now.unix) {
                    Ok(admitted) => {
                        coins.extend(admitted.entry.creates);
                        self.send(Command::Publish { topic: Topic::Transactions, bytes });
                    }
                    Err(error) if error.is_fatal() => return Err(error),
                    Err(error) => self.put_off(&bytes, error, from, now),
                }
            }
        }
    }

    /// What time brings: own transactions are announced again, and those of before the start come back.
    pub(crate) fn tend_transactions(&mut self, now: Moment) -> Result<(), ChainError> {
        self.relay.orphans.expire(now.unix);
        self.restore_some()?;
        if std::mem::take(&mut self.relay.reconsiders) {
            self.relay.forget_refused();
            self.coins_came(self.coins_of_blocks()?, now)?;
        }
        if self.peers().len() == 0 {
            return Ok(());
        }
        let pool = self.chain().pool();
        let waiting = |id: &EntryId| pool.contains(id);
        let own: Vec<EntryId> = self.relay.own_ids().copied().filter(waiting).collect();
        for id in self.relay.due(now.instant, |id| own.binary_search(id).is_ok()) {
            if let Some(bytes) = self.chain().pool().get(&id).map(|entry| entry.bytes.clone()) {
                self.send(Command::Publish { topic: Topic::Transactions, bytes });
            }
        }
        Ok(())
    }

    /// Coins that orphans wait for and that blocks have brought.
    fn coins_of_blocks(&self) -> Result<Vec<CoinKey>, ChainError> {
        if self.relay.orphans.is_empty() {
            return Ok(Vec::new());
        }
        self.chain().known_coins(self.relay.orphans.missing())
    }

    /// The node knew these transactions before it ended. They are checked bit by bit, for the chain goes first.
    pub(crate) fn restore_pool(&mut self, record: PoolRecord) {
        for (id, delta) in record.deltas {
            let _ = self.chain_mut().prioritise(id, delta);
        }
        let now = Instant::now();
        record.own.into_iter().for_each(|id| self.relay.own(id, now, false));
        self.relay.is_restored = record.transactions.is_empty();
        self.relay.to_restore = record.transactions.into();
    }

    fn restore_some(&mut self) -> Result<(), ChainError> {
        if self.relay.is_restored {
            return Ok(());
        }
        for _ in 0..RESTORED_MAX {
            let Some(saved) = self.relay.to_restore.pop_front() else { break };
            match self.chain_mut().restore_transaction(&saved.bytes, saved.seconds) {
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => tracing::debug!(%error, "not restored"),
                Ok(_) => {}
            }
        }
        if self.relay.to_restore.is_empty() {
            self.chain_mut().end_restoring();
            self.relay.is_restored = true;
            tracing::info!(transactions = self.chain().pool().len(), "the pool is restored");
        }
        Ok(())
    }

    /// The pool as it is to be written down.
    pub(crate) fn pool_record(&self) -> PoolRecord {
        let pool = self.chain().pool();
        let saved = pool.in_order().into_iter().map(|resident| Saved {
            bytes: resident.entry().bytes.clone(),
            seconds: resident.arrival().seconds,
        });
        PoolRecord {
            transactions: saved.chain(self.relay.to_restore.iter().cloned()).collect(),
            deltas: pool.deltas().map(|(id, delta)| (*id, delta)).collect(),
            own: self.relay.own_ids().copied().collect(),
        }
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
        let times = (1..day)
            .filter(|second| relay.due(start + Duration::from_secs(*second), |_| true).contains(&[1; 32]));
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
        assert_eq!(relay.own_ids().len(), OWN_MAX);
        assert_eq!(relay.due(now, |_| true).len(), ANNOUNCED_MAX);
        assert!(relay.was_refused(&[&19_999u32.to_le_bytes()[..], &[0; 28]].concat()));
        assert!(!relay.was_refused(&[0; 32]));
        assert_eq!(relay.refused.len(), REFUSED_MAX);
        relay.forget_refused();
        assert!(!relay.was_refused(&[&19_999u32.to_le_bytes()[..], &[0; 28]].concat()));
    }
}
