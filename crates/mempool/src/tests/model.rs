//! An obvious pool: one list, every rule looked up in it anew, in the words of the rules.

use std::collections::BTreeSet;

use crate::{CoinKey, Entry, EntryId, FeeRate, Limits, PACKAGE_MAX, Rate};

#[derive(Clone)]
pub struct Waiter {
    pub entry: Entry,
    pub seconds: u64,
    pub number: u64,
    pub delta: i64,
    was_in_block: bool,
}

impl Waiter {
    fn fee(&self) -> u64 {
        self.entry.fee.get().saturating_add_signed(self.delta)
    }
}

pub struct Model {
    pub limits: Limits,
    pub list: Vec<Waiter>,
    pub deltas: Vec<(EntryId, i64)>,
    number: u64,
}

type Ids = BTreeSet<EntryId>;

fn shares(one: &[CoinKey], other: &[CoinKey]) -> bool {
    one.iter().any(|key| other.contains(key))
}

impl Model {
    pub fn new(limits: Limits) -> Self {
        Self { limits, list: vec![], deltas: vec![], number: 0 }
    }

    pub fn ids(&self) -> Ids {
        self.list.iter().map(|one| one.entry.id).collect()
    }

    fn get(&self, id: &EntryId) -> &Waiter {
        self.list.iter().find(|one| one.entry.id == *id).unwrap()
    }

    pub fn delta(&self, id: &EntryId) -> i64 {
        self.deltas.iter().find(|(of, _)| of == id).map_or(0, |(_, delta)| *delta)
    }

    /// The ids of those that `entry` stands on, itself left out.
    pub fn above(&self, entry: &Entry) -> Ids {
        self.closure(entry, |next, other| shares(&next.spends, &other.creates))
    }

    /// The ids of those that stand on `entry`, itself left out.
    pub fn below(&self, entry: &Entry) -> Ids {
        self.closure(entry, |next, other| shares(&next.creates, &other.spends))
    }

    fn closure(&self, entry: &Entry, is_next: impl Fn(&Entry, &Entry) -> bool) -> Ids {
        let mut found = Ids::new();
        let mut todo = vec![entry];
        while let Some(next) = todo.pop() {
            for other in self.list.iter().map(|one| &one.entry).filter(|other| is_next(next, other)) {
                if other.id != entry.id && found.insert(other.id) {
                    todo.push(other);
                }
            }
        }
        found
    }

    fn families(&self, ids: &Ids) -> Ids {
        ids.iter().flat_map(|id| self.below(&self.get(id).entry)).chain(ids.iter().copied()).collect()
    }

    fn sum(&self, ids: &Ids) -> (u64, u64) {
        let fees = ids.iter().map(|id| self.get(id).fee()).sum();
        (fees, ids.iter().map(|id| self.get(id).entry.weight).sum())
    }

    fn keeping_rate(&self, one: &Waiter) -> Rate {
        let (fee, weight) = self.sum(&self.below(&one.entry));
        let alone = Rate::new(one.fee(), one.entry.weight);
        alone.max(Rate::new(fee + one.fee(), weight + one.entry.weight))
    }

    fn memory(&self, ids: &Ids) -> usize {
        ids.iter().map(|id| self.get(id).entry.memory_bytes()).sum()
    }

    /// Removes these, and then whoever is left below the minimum and is not `paid` for.
    pub fn remove(&mut self, ids: &Ids, paid: &Ids) -> Ids {
        let mut left = Ids::new();
        let mut leaving = ids.clone();
        while !leaving.is_empty() {
            let above: Ids = leaving.iter().flat_map(|id| self.above(&self.get(id).entry)).collect();
            self.list.retain(|one| !leaving.contains(&one.entry.id));
            left.extend(&leaving);
            let unpaid = |one: &&Waiter| {
                let min = self.limits.min_fee_rate;
                above.contains(&one.entry.id)
                    && !paid.contains(&one.entry.id)
                    && !one.was_in_block
                    && !self.keeping_rate(one).meets(min)
            };
            leaving = self.families(&self.list.iter().filter(unpaid).map(|one| one.entry.id).collect());
        }
        left
    }

    pub fn remove_families(&mut self, ids: &Ids) -> Ids {
        let families = self.families(ids);
        self.remove(&families, &Ids::new())
    }

    fn put(&mut self, entry: Entry, seconds: u64, was_in_block: bool) {
        self.number += 1;
        let (number, delta) = (self.number, self.delta(&entry.id));
        self.list.push(Waiter { entry, seconds, number, delta, was_in_block });
    }

    fn pays(&self, fee: u64, weight: u64, rolling: FeeRate) -> bool {
        fee >= self.limits.min_fee_rate.fee(weight).get() && fee >= rolling.fee(weight).get()
    }

    /// Who leaves if the entry comes in; `None` if it may not.
    pub fn admit(&mut self, entry: Entry, now: u64, rolling: FeeRate, was_in_block: bool) -> Option<Ids> {
        let keys: Vec<&CoinKey> = entry.spends.iter().chain(&entry.creates).collect();
        let fee = entry.fee.get().saturating_add_signed(self.delta(&entry.id));
        let is_good = !self.ids().contains(&entry.id)
            && keys.len() == keys.iter().collect::<BTreeSet<_>>().len()
            && (was_in_block || self.pays(fee, entry.weight, rolling));
        if !is_good {
            return None;
        }
        let above = self.above(&entry);
        let mut leaving = self.replaced(&entry, fee, &above)?;
        let below: Ids = self.below(&entry).difference(&leaving).copied().collect();
        if !below.is_disjoint(&above) {
            return None;
        }
        self.room(entry.memory_bytes(), Rate::new(fee, entry.weight), &above, &mut leaving).then_some(())?;
        // The limits are looked at in the pool as it would be, but for those who leave for want of room.
        let replaced = self.replaced(&entry, fee, &above)?;
        let mut after = Self { limits: self.limits, list: self.list.clone(), deltas: vec![], number: 0 };
        after.list.retain(|one| !replaced.contains(&one.entry.id));
        after.put(entry.clone(), now, false);
        after.keeps_limits(&entry).then_some(())?;
        let left = self.remove(&leaving, &above);
        self.put(entry, now, was_in_block);
        Some(left)
    }

    fn replaced(&self, entry: &Entry, fee: u64, above: &Ids) -> Option<Ids> {
        let conflicts = |one: &&Waiter| {
            shares(&one.entry.spends, &entry.spends) || shares(&one.entry.creates, &entry.creates)
        };
        let direct: Vec<&Waiter> = self.list.iter().filter(conflicts).collect();
        if direct.is_empty() {
            return Some(Ids::new());
        }
        let replaced = self.families(&direct.iter().map(|one| one.entry.id).collect());
        let (old, _) = self.sum(&replaced);
        let relay = self.limits.incremental_fee_rate.fee(entry.weight).get().max(1);
        let brought = self.sum(above);
        let rate = Rate::new(fee, entry.weight);
        let together = Rate::new(fee + brought.0, entry.weight + brought.1);
        let is_better = direct.iter().all(|one| {
            let theirs = Rate::new(one.fee(), one.entry.weight);
            rate > theirs && together > theirs
        });
        let is_good = replaced.is_disjoint(above)
            && replaced.len() <= self.limits.replaced_max
            && fee >= old + relay
            && is_better;
        is_good.then_some(replaced)
    }

    /// Whether all near a newcomer that is in the list keep the limits.
    fn keeps_limits(&self, entry: &Entry) -> bool {
        let limits = &self.limits;
        let near = self.above(entry).into_iter().chain(self.below(entry)).chain([entry.id]);
        near.collect::<Ids>().iter().map(|id| &self.get(id).entry).all(|near| {
            let sizes = |mut ids: Ids| {
                ids.insert(near.id);
                (ids.len(), self.sum(&ids).1)
            };
            let (above, below) = (sizes(self.above(near)), sizes(self.below(near)));
            // A newcomer changes the ancestors of those below it alone, and the descendants of those above.
            let is_above = self.above(entry).contains(&near.id);
            let is_below = self.below(entry).contains(&near.id);
            (is_above || above.0 <= limits.ancestors_max && above.1 <= limits.ancestors_weight_max)
                && (is_below || below.0 <= limits.descendants_max && below.1 <= limits.descendants_weight_max)
        })
    }

    fn room(&self, memory: usize, rate: Rate, stay: &Ids, leaving: &mut Ids) -> bool {
        let mut order: Vec<&Waiter> = self.list.iter().collect();
        order.sort_by_key(|one| (self.keeping_rate(one), std::cmp::Reverse(one.number)));
        let mut order = order.into_iter();
        loop {
            let used = self.memory(&self.ids()) - self.memory(leaving);
            if used + memory <= self.limits.memory_bytes_max {
                return true;
            }
            let Some(one) = order.next() else { return false };
            if leaving.contains(&one.entry.id) || stay.contains(&one.entry.id) {
                continue;
            }
            if self.keeping_rate(one) >= rate {
                return false;
            }
            leaving.extend(self.families(&Ids::from([one.entry.id])));
        }
    }

    /// Who leaves if the package comes in; `None` if it may not.
    pub fn admit_package(&mut self, entries: Vec<Entry>, now: u64, rolling: FeeRate) -> Option<Ids> {
        let (child, parents) = entries.split_last()?;
        let keys = |of: fn(&Entry) -> &Vec<CoinKey>| entries.iter().flat_map(of).collect::<Vec<_>>();
        let are_distinct = |keys: Vec<&CoinKey>| keys.iter().collect::<BTreeSet<_>>().len() == keys.len();
        let in_pool = |entry: &Entry| {
            let mut others = self.list.iter().map(|one| &one.entry);
            others.any(|other| other.id == entry.id || shares(&other.spends, &entry.creates))
        };
        let own = |entry: &Entry| {
            let keys: Vec<&CoinKey> = entry.spends.iter().chain(&entry.creates).collect();
            keys.len() == keys.iter().collect::<BTreeSet<_>>().len()
        };
        let fee = |entry: &Entry| entry.fee.get().saturating_add_signed(self.delta(&entry.id));
        let (fees, weight): (u64, u64) =
            (entries.iter().map(fee).sum(), entries.iter().map(|entry| entry.weight).sum());
        let is_good = entries.len() <= PACKAGE_MAX
            && parents.iter().all(|parent| shares(&parent.creates, &child.spends))
            && !parents.iter().any(|one| parents.iter().any(|other| shares(&one.spends, &other.creates)))
            && are_distinct(keys(|entry| &entry.spends))
            && are_distinct(keys(|entry| &entry.creates))
            && entries.iter().map(|entry| entry.id).collect::<Ids>().len() == entries.len()
            && entries.iter().all(own)
            && !entries.iter().any(in_pool)
            && self.pays(fees, weight, rolling);
        if !is_good {
            return None;
        }
        let above: Ids = entries.iter().flat_map(|entry| self.above(entry)).collect();
        let limits = &self.limits;
        let fits = |count: usize, weight: u64| {
            count <= limits.descendants_max && weight <= limits.descendants_weight_max
        };
        let families = above.iter().all(|id| {
            let below = self.families(&Ids::from([*id]));
            fits(below.len() + entries.len(), self.sum(&below).1 + weight)
        });
        let is_short = above.len() + entries.len() <= limits.ancestors_max
            && self.sum(&above).1 + weight <= limits.ancestors_weight_max
            && fits(entries.len(), weight);
        let memory = entries.iter().map(Entry::memory_bytes).sum();
        let mut leaving = self.replaced_by_package(&entries, (fees, weight), &above)?;
        if !families || !is_short || !self.room(memory, Rate::new(fees, weight), &above, &mut leaving) {
            return None;
        }
        let left = self.remove(&leaving, &above);
        entries.into_iter().for_each(|entry| self.put(entry, now, false));
        Some(left)
    }

    /// What a package of these fees and this weight replaces: a child and one parent may that stand on nothing else.
    fn replaced_by_package(&self, entries: &[Entry], (fees, weight): (u64, u64), above: &Ids) -> Option<Ids> {
        let conflicts = |one: &&Waiter| {
            let other = &one.entry;
            let meets = |entry: &Entry| {
                shares(&other.spends, &entry.spends) || shares(&other.creates, &entry.creates)
            };
            entries.iter().any(meets)
        };
        let direct: Vec<&Waiter> = self.list.iter().filter(conflicts).collect();
        if direct.is_empty() {
            return Some(Ids::new());
        }
        let [parent, _] = entries else { return None };
        let replaced = self.families(&direct.iter().map(|one| one.entry.id).collect());
        let (old, _) = self.sum(&replaced);
        let relay = self.limits.incremental_fee_rate.fee(weight).get().max(1);
        let rate = Rate::new(fees, weight);
        let alone = Rate::new(parent.fee.get().saturating_add_signed(self.delta(&parent.id)), parent.weight);
        let is_good = above.is_empty()
            && replaced.len() <= self.limits.replaced_max
            && fees >= old + relay
            && rate > alone
            && direct.iter().all(|one| rate > Rate::new(one.fee(), one.entry.weight));
        is_good.then_some(replaced)
    }
}
