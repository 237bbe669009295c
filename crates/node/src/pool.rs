//! What a chain does with transactions that wait: it takes them in from users and peers, follows blocks as they come
//! and go, and counts how long a fee rate has to wait.
//!
//! Whether a transaction is good is the ledger's word; whether there is room for it, the pool's.

use mass_consensus::ledger::StateRead as _;
use mass_mempool::{
    AdmitError, Arrival, CoinKey, Entry, EntryId, Estimator, FeeRate, PACKAGE_MAX, Pool, Rate, Waiting,
};
use mass_primitives::Height;

use crate::{
    chain::Chain,
    error::ChainError,
    ledger::{Included, NodeLedger},
};

/// A transaction that the pool has taken in, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The transaction.
    pub entry: Entry,
    /// Those that left for it.
    pub left: Vec<EntryId>,
}

/// What became of one transaction of a package.
#[derive(Debug)]
pub enum PackageVerdict {
    /// It waits here already.
    Known(Entry),
    /// It was taken in, at this rate, which may be that of the package.
    Taken(Entry, Rate),
    /// It was refused.
    Refused(ChainError),
}

/// What became of a package.
#[derive(Debug)]
pub struct PackageVerdicts {
    /// Of each transaction, in their order.
    pub verdicts: Vec<PackageVerdict>,
    /// Ids of those whose fees were judged together.
    pub together: Vec<EntryId>,
    /// Those that left for them.
    pub left: Vec<EntryId>,
}

impl<L: NodeLedger> Chain<L> {
    /// How long fee rates wait.
    #[must_use]
    pub const fn estimator(&self) -> &Estimator {
        &self.estimator
    }

    /// Goes on with what was known of waiting times when the node ended.
    pub fn restore_estimates(&mut self, estimator: Estimator) {
        self.estimator = estimator;
    }

    /// The node ends: what waits says nothing any more.
    pub fn end_estimates(&mut self) {
        self.estimator.leave_all();
    }

    /// Adds to the fee by which a transaction is ordered.
    ///
    /// # Errors
    /// Fees of too many transactions that are not here were changed.
    pub fn prioritise(&mut self, id: EntryId, delta: i64) -> Result<(), AdmitError> {
        self.pool.prioritise(id, delta)
    }

    /// A transaction came; what left for it.
    ///
    /// # Errors
    /// Why the pool does not take it.
    pub fn take_transaction(&mut self, bytes: &[u8], now: u64) -> Result<Admitted, ChainError> {
        self.refuse_known(bytes)?;
        // The dear part of the judgement comes last.
        let preview = self.preview_transaction(bytes, &[])?;
        if let Err(error) = self.pool.consider(&preview, now) {
            // A full pool takes note of who found no room.
            if error == AdmitError::Full {
                let _ = self.pool.admit(preview, self.arrival(now));
            }
            return Err(error.into());
        }
        let entry = self.judge_transaction(bytes, &[])?;
        let left = self.pool.admit(entry.clone(), self.arrival(now))?;
        self.note_left(&left);
        if self.is_current() && self.pool.ancestors(&entry.id).is_empty() {
            let rate = Rate::new(entry.fee.get(), entry.weight).per_1000();
            self.estimator.enter(entry.id, rate, self.height());
        }
        Ok(Admitted { entry, left })
    }

    /// A transaction that waited before the node ended, since `seconds`. It says nothing of waiting times.
    ///
    /// # Errors
    /// Why the pool does not take it.
    pub fn restore_transaction(&mut self, bytes: &[u8], seconds: u64) -> Result<EntryId, ChainError> {
        self.refuse_known(bytes)?;
        let entry = self.judge_transaction(bytes, &[])?;
        let id = entry.id;
        let arrival = Arrival { seconds, height: self.height() };
        let left = self.pool.restore(entry, arrival)?;
        self.note_left(&left);
        Ok(id)
    }

    /// All were offered again that waited before the node ended.
    pub fn end_restoring(&mut self) {
        let left = self.pool.end_restoring();
        self.note_left(&left);
    }

    /// Whether the pool would take a transaction, and what would leave for it; those `before` it come first.
    ///
    /// # Errors
    /// Why not.
    pub fn consider_transaction(
        &self,
        bytes: &[u8],
        before: &[Entry],
        now: u64,
    ) -> Result<Admitted, ChainError> {
        self.refuse_known(bytes)?;
        let entry = self.judge_transaction(bytes, before)?;
        let left = self.pool.consider_after(before, &entry, now)?;
        Ok(Admitted { entry, left })
    }

    /// A child came with the parents that it pays for. Whoever can come in alone does; the others together.
    ///
    /// # Errors
    /// The package has no such shape, or a fatal error.
    pub fn take_package(&mut self, list: &[Vec<u8>], now: u64) -> Result<PackageVerdicts, ChainError> {
        let mut verdicts = PackageVerdicts { verdicts: Vec::new(), together: Vec::new(), left: Vec::new() };
        let mut poor: Vec<Entry> = Vec::new();
        for bytes in list.iter().take(PACKAGE_MAX) {
            let verdict = self.take_of_package(bytes, &mut poor, &mut verdicts.left, now);
            verdicts.verdicts.push(match verdict {
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => PackageVerdict::Refused(error),
                Ok(verdict) => verdict,
            });
        }
        let is_whole = !verdicts.verdicts.iter().any(|one| {
            matches!(one, PackageVerdict::Refused(error) if !matches!(error, ChainError::Pool(why) if why.is_for_fees()))
        });
        if is_whole && poor.len() > 1 {
            self.take_together(poor, &mut verdicts, now);
        }
        Ok(verdicts)
    }

    /// One of a package, alone if that is possible. Who pays too little, or needs one who does, is put to the `poor`.
    fn take_of_package(
        &mut self,
        bytes: &[u8],
        poor: &mut Vec<Entry>,
        left: &mut Vec<EntryId>,
        now: u64,
    ) -> Result<PackageVerdict, ChainError> {
        let id = self.ledger.transaction_id(bytes)?;
        if let Some(entry) = self.pool.get(&id) {
            return Ok(PackageVerdict::Known(entry.clone()));
        }
        let entry = self.judge_transaction(bytes, poor)?;
        let rate = Rate::new(entry.fee.get(), entry.weight);
        let needs = |parent: &Entry| parent.creates.iter().any(|key| entry.spends.contains(key));
        if poor.iter().any(needs) {
            poor.push(entry);
            // To be overwritten once the package has been judged.
            return Err(AdmitError::Full.into());
        }
        match self.pool.admit(entry.clone(), self.arrival(now)) {
            Ok(gone) => {
                self.note_left(&gone);
                left.extend(gone);
                Ok(PackageVerdict::Taken(entry, rate))
            }
            Err(error) => {
                if error.is_for_fees() {
                    poor.push(entry);
                }
                Err(error.into())
            }
        }
    }

    /// Those who cannot come in alone, the child last.
    fn take_together(&mut self, poor: Vec<Entry>, verdicts: &mut PackageVerdicts, now: u64) {
        let sums = poor.iter().fold((0u64, 0u64), |(fee, weight), entry| {
            (fee.saturating_add(entry.fee.get()), weight.saturating_add(entry.weight))
        });
        let rate = Rate::new(sums.0, sums.1);
        let result = self.pool.admit_package(poor.clone(), self.arrival(now));
        if let Ok(left) = &result {
            self.note_left(left);
            verdicts.left.extend(left);
            verdicts.together = poor.iter().map(|entry| entry.id).collect();
        }
        let mut poor = poor.into_iter();
        for verdict in &mut verdicts.verdicts {
            if matches!(verdict, PackageVerdict::Refused(_))
                && let Some(entry) = poor.next()
            {
                *verdict = match &result {
                    Ok(_) => PackageVerdict::Taken(entry, rate),
                    Err(error) => PackageVerdict::Refused((*error).into()),
                };
            }
        }
    }

    /// Those of the coins that the state after the tip has.
    pub(crate) fn known_coins<'a>(
        &self,
        coins: impl Iterator<Item = &'a CoinKey>,
    ) -> Result<Vec<CoinKey>, ChainError> {
        let state = self.store.snapshot()?;
        let mut known = Vec::new();
        for coin in coins {
            if state.get(coin)?.is_some() {
                known.push(coin.clone());
            }
        }
        Ok(known)
    }

    /// Whether a transaction is in the chain, as far as coins of it are left.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn is_in_chain(&self, bytes: &[u8]) -> Result<bool, ChainError> {
        Ok(!self.known_coins(self.ledger.coins_of(bytes).iter())?.is_empty())
    }

    /// What a transaction would pay, for what weight, if it is good.
    ///
    /// # Errors
    /// What is wrong with it, its scripts not looked at.
    pub fn preview_transaction(&self, bytes: &[u8], before: &[Entry]) -> Result<Entry, ChainError> {
        let state = self.store.snapshot()?;
        self.ledger.preview(&state, &Waiting::new(&self.pool, before), self.next_block(), bytes)
    }

    /// Whoever is here is not checked again.
    fn refuse_known(&self, bytes: &[u8]) -> Result<(), ChainError> {
        let id = self.ledger.transaction_id(bytes)?;
        if self.pool.contains(&id) { Err(AdmitError::Duplicate.into()) } else { Ok(()) }
    }

    fn judge_transaction(&self, bytes: &[u8], before: &[Entry]) -> Result<Entry, ChainError> {
        let state = self.store.snapshot()?;
        self.ledger.admit(&state, &Waiting::new(&self.pool, before), self.next_block(), bytes)
    }

    fn arrival(&self, now: u64) -> Arrival {
        Arrival { seconds: now, height: self.height() }
    }

    /// Whether the tip is the best block that is known of.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.engine.tree().better_than(self.engine.tip()).next().is_none()
    }

    fn note_left(&mut self, left: &[EntryId]) {
        left.iter().for_each(|id| self.estimator.leave(id));
    }

    /// Time passes in the pool.
    pub(crate) fn age_pool(&mut self, now: u64) {
        let left = self.pool.expire(now);
        self.note_left(&left);
        self.pool.settle(now);
    }

    /// The ledger takes these no more.
    pub(crate) fn refuse(&mut self, ids: Vec<EntryId>) {
        let left = self.pool.refuse(ids);
        self.note_left(&left);
    }

    /// A block of this height was connected.
    pub(crate) fn confirm(&mut self, included: Vec<Included>, height: Height, now: u64) {
        let rate = |pool: &Pool, id: &EntryId| -> Option<FeeRate> {
            let entry = pool.get(id)?;
            Some(Rate::new(entry.fee.get(), entry.weight).per_1000())
        };
        let ids: Vec<EntryId> = included.iter().map(|tx| tx.id).collect();
        let rates = ids.iter().filter_map(|id| Some((*id, rate(&self.pool, id)?)));
        let rates: Vec<(EntryId, FeeRate)> = rates.collect();
        self.estimator.connect(height, &rates);
        let spent: Vec<CoinKey> = included.into_iter().flat_map(|tx| tx.spends).collect();
        let left = self.pool.confirm(&ids, &spent, now);
        self.note_left(&left);
    }

    /// After a reorg: transactions of blocks that were left come back, and what spends coins that are gone for good
    /// leaves. What the new chain spent or confirmed is refused here, as it should be. `max` of them are looked at.
    pub(crate) fn take_back(&mut self, max: usize, now: u64) -> Result<(), ChainError> {
        let many = self.orphaned.len().min(max);
        for bytes in self.orphaned.drain(..many).collect::<Vec<_>>() {
            match self.judge_transaction(&bytes, &[]) {
                Ok(entry) => {
                    let left = self.pool.readmit(entry, self.arrival(now)).unwrap_or_default();
                    self.note_left(&left);
                }
                Err(error) if error.is_fatal() => return Err(error),
                Err(_) => {}
            }
        }
        if !self.orphaned.is_empty() {
            return Ok(());
        }
        for coin in std::mem::take(&mut self.gone) {
            let spender = self.pool.spent(&coin).filter(|_| self.pool.created(&coin).is_none());
            let Some((id, bytes)) = spender.map(|entry| (entry.id, entry.bytes.clone())) else { continue };
            match self.judge_transaction(&bytes, &[]) {
                Ok(_) => {}
                Err(error) if error.is_fatal() => return Err(error),
                Err(_) => self.refuse(vec![id]),
            }
        }
        Ok(())
    }
}
