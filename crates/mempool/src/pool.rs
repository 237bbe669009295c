//! The pool: its indexes, the questions it answers, and how residents come in and leave.
//!
//! Residents sit on numbered seats and name each other by them. Each keeps the sums over its ancestors and over its
//! descendants, itself included, so that order and limits are looked up and never searched for.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use mass_primitives::Amount;

use crate::{
    entry::{Arrival, CoinKey, Entry, EntryId, Family, Rate},
    floor::Floor,
    limits::Limits,
    refusal::AdmitError,
};

/// Transactions that are not here and whose fees were changed by the operator, at the most.
const DELTAS_MAX: usize = 10_000;

/// Where a resident sits: its place in a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat(u32);

impl Seat {
    fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Why an entry may stay below the least fee rate, with nobody who pays for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grace {
    /// It may not.
    None,
    /// It was in a block of a branch that was left.
    WasInBlock,
    /// It is one of many that come back, until all are here.
    Restored,
}

/// What the pool knows of an entry.
#[derive(Clone, Debug)]
pub struct Resident {
    pub(crate) entry: Entry,
    pub(crate) arrival: Arrival,
    /// Later ones have greater numbers.
    pub(crate) number: u64,
    /// Its fee with what the operator added.
    pub(crate) fee: u64,
    pub(crate) grace: Grace,
    pub(crate) parents: Vec<Seat>,
    pub(crate) children: Vec<Seat>,
    pub(crate) ancestors: Family,
    pub(crate) descendants: Family,
}

impl Resident {
    /// The entry.
    #[must_use]
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// When it came.
    #[must_use]
    pub const fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// Its fee, with what the operator added to it for the order of mining.
    #[must_use]
    pub const fn modified_fee(&self) -> Amount {
        Amount::new(self.fee)
    }

    /// Sums over it and its ancestors.
    #[must_use]
    pub const fn ancestors(&self) -> Family {
        self.ancestors
    }

    /// Sums over it and its descendants.
    #[must_use]
    pub const fn descendants(&self) -> Family {
        self.descendants
    }

    pub(crate) const fn rate(&self) -> Rate {
        Rate::new(self.fee, self.entry.weight)
    }

    /// What a block gains by it at the least: its own rate, or that with all it needs if that is lower.
    pub(crate) fn mining_rate(&self) -> Rate {
        self.rate().min(self.ancestors.rate())
    }

    /// What its eviction costs: its own rate, or that with all that leave with it if that is higher.
    pub(crate) fn keeping_rate(&self) -> Rate {
        self.rate().max(self.descendants.rate())
    }
}

/// An order of residents by rate; equal ones by their numbers.
pub(crate) type Best = (Reverse<Rate>, u64, Seat);
pub(crate) type Worst = (Rate, Reverse<u64>, Seat);

/// Transactions that wait for a block.
#[derive(Clone, Debug)]
pub struct Pool {
    limits: Limits,
    pub(crate) floor: Floor,
    seats: Vec<Option<Resident>>,
    free: Vec<Seat>,
    ids: BTreeMap<EntryId, Seat>,
    spenders: BTreeMap<CoinKey, Seat>,
    creators: BTreeMap<CoinKey, Seat>,
    best: BTreeSet<Best>,
    worst: BTreeSet<Worst>,
    arrivals: BTreeSet<(u64, Seat)>,
    /// What the operator adds to fees, also of transactions that are still to come.
    pub(crate) deltas: BTreeMap<EntryId, i64>,
    totals: Family,
    fees: u128,
    memory_bytes: usize,
    number: u64,
    changes: u64,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            floor: Floor::NONE,
            seats: Vec::new(),
            free: Vec::new(),
            ids: BTreeMap::new(),
            spenders: BTreeMap::new(),
            creators: BTreeMap::new(),
            best: BTreeSet::new(),
            worst: BTreeSet::new(),
            arrivals: BTreeSet::new(),
            deltas: BTreeMap::new(),
            totals: Family { count: 0, weight: 0, fee: 0 },
            fees: 0,
            memory_bytes: 0,
            number: 0,
            changes: 0,
        }
    }

    /// The limits it was made with.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The entry with this id.
    #[must_use]
    pub fn get(&self, id: &EntryId) -> Option<&Entry> {
        self.resident(id).map(Resident::entry)
    }

    /// What is known of the entry with this id.
    #[must_use]
    pub fn resident(&self, id: &EntryId) -> Option<&Resident> {
        self.seat(id).and_then(|seat| self.at(seat))
    }

    /// Whether an entry with this id is here.
    #[must_use]
    pub fn contains(&self, id: &EntryId) -> bool {
        self.ids.contains_key(id)
    }

    /// The entry that creates this coin.
    #[must_use]
    pub fn created(&self, coin_key: &[u8]) -> Option<&Entry> {
        self.creator_seat(coin_key).and_then(|seat| self.at(seat)).map(Resident::entry)
    }

    /// The entry that spends this coin.
    #[must_use]
    pub fn spent(&self, coin_key: &[u8]) -> Option<&Entry> {
        self.spender_seat(coin_key).and_then(|seat| self.at(seat)).map(Resident::entry)
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// All ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.ids.keys().copied()
    }

    /// All that is known, by id.
    pub fn residents(&self) -> impl Iterator<Item = &Resident> + '_ {
        self.ids.values().filter_map(|seat| self.at(*seat))
    }

    /// All that is known, parents before children.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Resident> {
        let mut all: Vec<&Resident> = self.residents().collect();
        // An ancestor has fewer ancestors than its descendant.
        all.sort_by_key(|resident| (resident.ancestors.count, resident.number));
        all
    }

    /// Sum of the weights.
    #[must_use]
    pub const fn weight(&self) -> u128 {
        self.totals.weight
    }

    /// Sum of the fees, without what the operator added.
    #[must_use]
    pub const fn fees(&self) -> u128 {
        self.fees
    }

    /// Memory in use, by [`Entry::memory_bytes`].
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Number of entries that came or left for another reason than a block.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Direct parents and children of an entry, by id.
    #[must_use]
    pub fn relatives(&self, resident: &Resident) -> [Vec<EntryId>; 2] {
        [&resident.parents, &resident.children].map(|seats| self.ids_at(seats))
    }

    /// Ids of all ancestors of an entry, without it.
    #[must_use]
    pub fn ancestors(&self, id: &EntryId) -> Vec<EntryId> {
        self.others(id, |alone| self.with_ancestors(alone, usize::MAX))
    }

    /// Ids of all descendants of an entry, without it.
    #[must_use]
    pub fn descendants(&self, id: &EntryId) -> Vec<EntryId> {
        self.others(id, |alone| self.with_descendants(alone, usize::MAX))
    }

    fn others(&self, id: &EntryId, walk: impl Fn(&BTreeSet<Seat>) -> BTreeSet<Seat>) -> Vec<EntryId> {
        let alone: BTreeSet<Seat> = self.seat(id).into_iter().collect();
        let family = walk(&alone);
        self.ids_at(family.difference(&alone))
    }

    /// A block was connected: it holds the transactions `ids` and spends the coins `spent`. Removes
    /// the confirmed, whose descendants stay, then whatever spends one of the coins, with its
    /// descendants. Returns the latter.
    pub fn confirm(&mut self, ids: &[EntryId], spent: &[CoinKey], now: u64) -> Vec<EntryId> {
        let before = self.changes;
        for id in ids {
            self.deltas.remove(id);
        }
        self.remove(&ids.iter().filter_map(|id| self.seat(id)).collect(), &BTreeSet::new());
        self.changes = before;
        let conflicting: BTreeSet<Seat> = spent.iter().filter_map(|key| self.spender_seat(key)).collect();
        self.begin_decay(now);
        self.remove_families(&conflicting)
    }

    /// Removes entries that the ledger takes no more, as after a reorg, with their descendants, and returns them.
    pub fn refuse(&mut self, ids: impl IntoIterator<Item = EntryId>) -> Vec<EntryId> {
        let seats = ids.into_iter().filter_map(|id| self.seat(&id)).collect();
        self.remove_families(&seats)
    }

    /// Removes the entries whose age has reached the limit, with their descendants, and returns them.
    /// An entry from after `now` has age 0.
    pub fn expire(&mut self, now: u64) -> Vec<EntryId> {
        let is_old = |arrived: u64| now.saturating_sub(arrived) >= self.limits.expiry_seconds;
        let old = self.arrivals.iter().take_while(|(arrived, _)| is_old(*arrived));
        let old: BTreeSet<Seat> = old.map(|(_, seat)| *seat).collect();
        self.remove_families(&old)
    }

    /// Adds `delta` to the fee by which a transaction is ordered, whether it is here or still to come. A fee never
    /// falls below zero.
    ///
    /// # Errors
    /// [`AdmitError::TooManyDeltas`] if too many are kept in mind that are not here.
    pub fn prioritise(&mut self, id: EntryId, delta: i64) -> Result<(), AdmitError> {
        let is_new = !self.deltas.contains_key(&id) && !self.contains(&id);
        if is_new && self.deltas.len() >= self.len().saturating_add(DELTAS_MAX) {
            return Err(AdmitError::TooManyDeltas { max: DELTAS_MAX });
        }
        let sum = self.delta(&id).saturating_add(delta);
        if sum == 0 {
            self.deltas.remove(&id);
        } else {
            self.deltas.insert(id, sum);
        }
        let Some(seat) = self.seat(&id) else { return Ok(()) };
        let before = self.at(seat).map_or(0, |resident| resident.fee);
        self.change(seat, |resident| resident.fee = modified(&resident.entry, sum));
        let after = self.at(seat).map_or(0, |resident| resident.fee);
        self.totals.fee = self.totals.fee.saturating_sub(before.into()).saturating_add(after.into());
        let alone = BTreeSet::from([seat]);
        let mut touched = self.with_ancestors(&alone, usize::MAX);
        touched.extend(self.with_descendants(&alone, usize::MAX));
        self.recount(&touched);
        Ok(())
    }

    /// What the operator added to fees.
    pub fn deltas(&self) -> impl Iterator<Item = (&EntryId, i64)> + '_ {
        self.deltas.iter().map(|(id, delta)| (id, *delta))
    }

    pub(crate) fn delta(&self, id: &EntryId) -> i64 {
        self.deltas.get(id).copied().unwrap_or(0)
    }

    pub(crate) fn seat(&self, id: &EntryId) -> Option<Seat> {
        self.ids.get(id).copied()
    }

    pub(crate) fn at(&self, seat: Seat) -> Option<&Resident> {
        self.seats.get(seat.index()).and_then(Option::as_ref)
    }

    pub(crate) fn creator_seat(&self, coin_key: &[u8]) -> Option<Seat> {
        self.creators.get(coin_key).copied()
    }

    pub(crate) fn spender_seat(&self, coin_key: &[u8]) -> Option<Seat> {
        self.spenders.get(coin_key).copied()
    }

    pub(crate) fn ids_at<'a>(&self, seats: impl IntoIterator<Item = &'a Seat>) -> Vec<EntryId> {
        seats.into_iter().filter_map(|seat| self.at(*seat)).map(|resident| resident.entry.id).collect()
    }

    /// Residents in the order in which blocks take them.
    pub(crate) fn best_first(&self) -> impl Iterator<Item = Best> + '_ {
        self.best.iter().copied()
    }

    /// Residents in the order in which they are evicted.
    pub(crate) fn worst_first(&self) -> impl Iterator<Item = Worst> + '_ {
        self.worst.iter().copied()
    }

    /// Puts an entry in that has passed admission.
    pub(crate) fn insert(&mut self, entry: Entry, arrival: Arrival, grace: Grace) {
        let seat = self.free.pop().unwrap_or_else(|| {
            let seat = Seat(u32::try_from(self.seats.len()).unwrap_or(u32::MAX));
            self.seats.push(None);
            seat
        });
        let (parents, children) = (self.parents_of(&entry), self.children_of(&entry));
        let fee = modified(&entry, self.delta(&entry.id));
        let alone = Family::default().with(entry.weight, fee);
        self.number = self.number.saturating_add(1);
        self.changes = self.changes.saturating_add(1);
        self.ids.insert(entry.id, seat);
        self.spenders.extend(entry.spends.iter().map(|key| (key.clone(), seat)));
        self.creators.extend(entry.creates.iter().map(|key| (key.clone(), seat)));
        self.arrivals.insert((arrival.seconds, seat));
        self.totals = self.totals.with(entry.weight, fee);
        self.fees = self.fees.saturating_add(entry.fee.get().into());
        self.memory_bytes = self.memory_bytes.saturating_add(entry.memory_bytes());
        for parent in &parents {
            self.change(*parent, |resident| resident.children.push(seat));
        }
        for child in &children {
            self.change(*child, |resident| resident.parents.push(seat));
        }
        let resident = Resident {
            entry,
            arrival,
            number: self.number,
            fee,
            grace,
            parents: parents.into_iter().collect(),
            children: children.iter().copied().collect(),
            ancestors: alone,
            descendants: alone,
        };
        self.rank(&resident, seat);
        if let Some(place) = self.seats.get_mut(seat.index()) {
            *place = Some(resident);
        }
        self.count_in(seat, !children.is_empty());
    }

    /// Adds a newcomer to the sums of its family.
    fn count_in(&mut self, seat: Seat, has_children: bool) {
        let alone = BTreeSet::from([seat]);
        let ancestors = self.with_ancestors(&alone, usize::MAX);
        if has_children {
            let descendants = self.with_descendants(&alone, usize::MAX);
            self.recount(&ancestors.union(&descendants).copied().collect());
            return;
        }
        let sums = self.sums(&ancestors);
        let Some((weight, fee)) = self.at(seat).map(|resident| (resident.entry.weight, resident.fee)) else {
            return;
        };
        self.change(seat, |resident| resident.ancestors = sums);
        for ancestor in ancestors.difference(&alone) {
            self.change(*ancestor, |resident| resident.descendants = resident.descendants.with(weight, fee));
        }
    }

    /// Takes these out, and those who stayed below the least fee rate for a descendant that goes, unless they are
    /// `paid` for by one that comes.
    pub(crate) fn remove(&mut self, seats: &BTreeSet<Seat>, paid: &BTreeSet<Seat>) -> Vec<EntryId> {
        let mut left = Vec::new();
        let mut leaving = seats.clone();
        while !leaving.is_empty() {
            let above = self.with_ancestors(&leaving, usize::MAX);
            let below = self.with_descendants(&leaving, usize::MAX);
            left.extend(leaving.iter().filter_map(|seat| self.take_out(*seat)));
            let touched: BTreeSet<Seat> = above.union(&below).copied().collect();
            self.recount(&touched.difference(&leaving).copied().collect());
            let unpaid =
                above.difference(&leaving).filter(|seat| !paid.contains(seat) && self.is_unpaid(**seat));
            leaving = self.with_descendants(&unpaid.copied().collect(), usize::MAX);
        }
        left
    }

    fn is_unpaid(&self, seat: Seat) -> bool {
        let is_low = |resident: &Resident| {
            resident.grace == Grace::None && !resident.keeping_rate().meets(self.limits.min_fee_rate)
        };
        self.at(seat).is_some_and(is_low)
    }

    /// All are here again that were to be restored: whoever pays too little and is not paid for leaves. Returns those.
    pub fn end_restoring(&mut self) -> Vec<EntryId> {
        let restored = |seat: &Seat| self.at(*seat).is_some_and(|resident| resident.grace == Grace::Restored);
        let restored: Vec<Seat> = self.ids.values().copied().filter(restored).collect();
        for seat in &restored {
            self.change(*seat, |resident| resident.grace = Grace::None);
        }
        let unpaid = restored.into_iter().filter(|seat| self.is_unpaid(*seat)).collect();
        self.remove_families(&unpaid)
    }

    fn take_out(&mut self, seat: Seat) -> Option<EntryId> {
        let resident = self.seats.get_mut(seat.index())?.take()?;
        self.unrank(&resident, seat);
        self.free.push(seat);
        let entry = &resident.entry;
        self.ids.remove(&entry.id);
        for key in &entry.spends {
            self.spenders.remove(key);
        }
        for key in &entry.creates {
            self.creators.remove(key);
        }
        self.arrivals.remove(&(resident.arrival.seconds, seat));
        self.changes = self.changes.saturating_add(1);
        self.totals = self.totals.without(entry.weight, resident.fee);
        self.fees = self.fees.saturating_sub(entry.fee.get().into());
        self.memory_bytes = self.memory_bytes.saturating_sub(entry.memory_bytes());
        for parent in &resident.parents {
            self.change(*parent, |other| other.children.retain(|child| *child != seat));
        }
        for child in &resident.children {
            self.change(*child, |other| other.parents.retain(|parent| *parent != seat));
        }
        Some(entry.id)
    }

    fn remove_families(&mut self, seats: &BTreeSet<Seat>) -> Vec<EntryId> {
        let families = self.with_descendants(seats, usize::MAX);
        self.remove(&families, &BTreeSet::new())
    }

    /// Changes what is known of a resident, and its places in the orders with it.
    pub(crate) fn change(&mut self, seat: Seat, change: impl FnOnce(&mut Resident)) {
        let Some(mut resident) = self.seats.get_mut(seat.index()).and_then(Option::take) else { return };
        self.unrank(&resident, seat);
        change(&mut resident);
        self.rank(&resident, seat);
        if let Some(place) = self.seats.get_mut(seat.index()) {
            *place = Some(resident);
        }
    }

    fn rank(&mut self, resident: &Resident, seat: Seat) {
        self.best.insert((Reverse(resident.mining_rate()), resident.number, seat));
        self.worst.insert((resident.keeping_rate(), Reverse(resident.number), seat));
    }

    fn unrank(&mut self, resident: &Resident, seat: Seat) {
        self.best.remove(&(Reverse(resident.mining_rate()), resident.number, seat));
        self.worst.remove(&(resident.keeping_rate(), Reverse(resident.number), seat));
    }
}

/// A fee with what the operator added to it.
pub(crate) const fn modified(entry: &Entry, delta: i64) -> u64 {
    entry.fee.get().saturating_add_signed(delta)
}
