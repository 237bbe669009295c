//! The address book: where nodes of the chain are said to be, and where they were found.
//!
//! ```text
//! new    256 buckets of 64 places   what others told us; the bucket follows from the teller's group and the
//!                                   address's, so that one network can fill 64 buckets at the most
//! tried   64 buckets of 64 places   where we found a node; the bucket follows from the address, and the addresses
//!                                   of one network come into 8 buckets at the most
//! ```
//!
//! Place and bucket follow from a secret key of the node's, so nobody can aim. A tried address is displaced only
//! after it was asked and did not answer. (Heilman et al., "Eclipse Attacks on Bitcoin's Peer-to-Peer Network",
//! USENIX Security 2015, countermeasures 1, 2, 3 and 7.)
//!
//! Time is an argument, in unix seconds; so is randomness. Not here: connections, files.

use std::collections::{BTreeMap, btree_map::Entry as MapEntry};

use mass_primitives::{
    Decode, DecodeError, Encode, Reader,
    encoding::{encode_byte_string, encode_list},
};
use rand::{Rng, RngCore};
use sha2::{Digest, Sha256};

use super::endpoint::{Endpoint, Group};

const NEW_BUCKETS: u64 = 256;
const TRIED_BUCKETS: u64 = 64;
const PLACES: u64 = 64;
/// Buckets that one teller's network can reach.
const NEW_BUCKETS_PER_SOURCE: u64 = 64;
/// Buckets that the addresses of one network can reach.
const TRIED_BUCKETS_PER_GROUP: u64 = 8;
/// Greatest number of addresses.
const ENTRIES_MAX: usize = ((NEW_BUCKETS + TRIED_BUCKETS) * PLACES) as usize;
const GROUP_BYTES_MAX: usize = 32;
/// Tried addresses that are doubted at one time.
const DOUBTS_MAX: usize = 16;
/// An address that nobody spoke of for so long is forgotten first.
const STALE_SECONDS: u64 = 30 * 24 * 3600;
/// Failures after which an address that never answered is forgotten.
const FAILURES_MAX: u32 = 3;
/// Failures after which one that did answer is, if it has not for a week.
const FAILURES_ONCE_GOOD_MAX: u32 = 10;
const GOOD_FOR_SECONDS: u64 = 7 * 24 * 3600;
/// An address is not asked again so soon.
const RETRY_SECONDS: u64 = 60;
/// Addresses that are told of a small book.
const TOLD_MIN: usize = 16;
/// A tried address that answered so lately is not doubted.
const SURE_SECONDS: u64 = 4 * 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    New { bucket: u64, place: u64 },
    Tried { bucket: u64, place: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// The network of who told us.
    source: Group,
    /// When somebody last spoke of it, or we found it.
    seen: u64,
    /// When we last tried; 0 for never.
    asked: u64,
    /// When it last was a node of our chain; 0 for never.
    good: u64,
    failures: u32,
    tried: bool,
}

impl Entry {
    /// Whether it is the first to make room.
    fn is_terrible(&self, now: u64) -> bool {
        if now.saturating_sub(self.asked) < RETRY_SECONDS {
            return false;
        }
        now.saturating_sub(self.seen) > STALE_SECONDS
            || (self.good == 0 && self.failures >= FAILURES_MAX)
            || (now.saturating_sub(self.good) > GOOD_FOR_SECONDS && self.failures >= FAILURES_ONCE_GOOD_MAX)
    }
}

/// Where nodes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Book {
    key: [u8; 32],
    entries: BTreeMap<Endpoint, Entry>,
    places: BTreeMap<Place, Endpoint>,
    /// Tried addresses that stand where another good one would: to be asked.
    doubts: BTreeMap<Endpoint, Endpoint>,
}

impl Book {
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key, entries: BTreeMap::new(), places: BTreeMap::new(), doubts: BTreeMap::new() }
    }

    /// A node that starts may dial at once whom it dialed shortly before, unless they did not answer.
    pub fn start(&mut self) {
        self.entries.values_mut().filter(|entry| entry.failures == 0).for_each(|entry| entry.asked = 0);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Somebody in the network `source` says that a node is there. Whether that is news.
    pub fn learn(&mut self, endpoint: Endpoint, source: &Group, now: u64) -> bool {
        if let Some(entry) = self.entries.get_mut(&endpoint) {
            entry.seen = entry.seen.max(now);
            return false;
        }
        let place = self.new_place(&endpoint, source);
        if let Some(resident) = self.places.get(&place).copied() {
            if !self.entries.get(&resident).is_none_or(|entry| entry.is_terrible(now)) {
                return false;
            }
            self.forget(&resident);
        }
        let entry = Entry { source: source.clone(), seen: now, asked: 0, good: 0, failures: 0, tried: false };
        self.entries.insert(endpoint, entry);
        self.places.insert(place, endpoint);
        true
    }

    /// We dial it now.
    pub fn asked(&mut self, endpoint: &Endpoint, now: u64) {
        if let Some(entry) = self.entries.get_mut(endpoint) {
            entry.asked = now;
        }
    }

    /// It did not answer.
    pub fn failed(&mut self, endpoint: &Endpoint, now: u64) {
        let Some(entry) = self.entries.get_mut(endpoint) else { return };
        entry.failures = entry.failures.saturating_add(1);
        let is_terrible = entry.good == 0 && entry.failures >= FAILURES_MAX;
        if let Some(newcomer) = self.doubts.remove(endpoint) {
            self.displace(endpoint, &newcomer, now);
        } else if is_terrible {
            self.forget(endpoint);
        }
    }

    /// We found a node of our chain there.
    pub fn found(&mut self, endpoint: Endpoint, now: u64) {
        self.doubts.remove(&endpoint);
        if !self.entries.contains_key(&endpoint) {
            self.learn(endpoint, &endpoint.group(), now);
        }
        let place = self.tried_place(&endpoint);
        let Some(entry) = self.entries.get_mut(&endpoint) else { return };
        (entry.seen, entry.asked, entry.good, entry.failures) = (now, now, now, 0);
        if entry.tried {
            return;
        }
        match self.places.get(&place).copied() {
            None => self.promote(endpoint, place),
            Some(resident) if self.is_sure(&resident, now) => {}
            Some(resident) if self.doubts.len() < DOUBTS_MAX => {
                self.doubts.insert(resident, endpoint);
            }
            Some(_) => {}
        }
    }

    /// It is no node of our chain.
    pub fn forget(&mut self, endpoint: &Endpoint) {
        if let Some(entry) = self.entries.remove(endpoint) {
            self.places.remove(&self.place(endpoint, &entry));
        }
        self.doubts.retain(|resident, newcomer| resident != endpoint && newcomer != endpoint);
    }

    /// An address to dial that `is_free` allows. Old friends and strangers have the same chance, and so has each
    /// bucket, however many addresses stand in it.
    pub fn pick(
        &self,
        rng: &mut impl RngCore,
        now: u64,
        is_free: impl Fn(&Endpoint) -> bool,
    ) -> Option<Endpoint> {
        let tried_first = rng.gen_bool(0.5);
        self.pick_from(tried_first, rng, now, &is_free)
            .or_else(|| self.pick_from(!tried_first, rng, now, &is_free))
    }

    /// An address to see whether anybody is there: one that is doubted, else one that was never asked.
    pub fn pick_untried(
        &self,
        rng: &mut impl RngCore,
        now: u64,
        is_free: impl Fn(&Endpoint) -> bool,
    ) -> Option<Endpoint> {
        let doubted = self.doubts.keys().find(|endpoint| is_free(endpoint)).copied();
        doubted.or_else(|| self.pick_from(false, rng, now, &is_free))
    }

    /// Addresses to tell others: a random quarter, or a few of a small book, `max` at the most, none that is terrible.
    pub fn sample(
        &self,
        rng: &mut impl RngCore,
        max: usize,
        now: u64,
        is_told: impl Fn(&Endpoint) -> bool,
    ) -> Vec<Endpoint> {
        let good = |entry: &Entry| !entry.is_terrible(now);
        let mut told: Vec<Endpoint> = self
            .entries
            .iter()
            .filter(|(endpoint, entry)| good(entry) && is_told(endpoint))
            .map(|(endpoint, _)| *endpoint)
            .collect();
        let count = told.len().div_ceil(4).max(TOLD_MIN).min(told.len()).min(max);
        for position in 0..count {
            let other = rng.gen_range(position..told.len());
            told.swap(position, other);
        }
        told.truncate(count);
        told
    }

    fn pick_from(
        &self,
        tried: bool,
        rng: &mut impl RngCore,
        now: u64,
        is_free: &impl Fn(&Endpoint) -> bool,
    ) -> Option<Endpoint> {
        let mut buckets: BTreeMap<u64, Vec<Endpoint>> = BTreeMap::new();
        for (place, endpoint) in &self.places {
            let bucket = match place {
                Place::New { bucket, .. } if !tried => *bucket,
                Place::Tried { bucket, .. } if tried => *bucket,
                _ => continue,
            };
            let waits =
                |entry: &Entry| now.saturating_sub(entry.asked) < RETRY_SECONDS << entry.failures.min(10);
            if self.entries.get(endpoint).is_some_and(|entry| !waits(entry)) && is_free(endpoint) {
                buckets.entry(bucket).or_default().push(*endpoint);
            }
        }
        let bucket = rng.gen_range(0..buckets.len().max(1));
        let bucket = buckets.into_values().nth(bucket)?;
        bucket.get(rng.gen_range(0..bucket.len())).copied()
    }

    fn is_sure(&self, endpoint: &Endpoint, now: u64) -> bool {
        self.entries.get(endpoint).is_some_and(|entry| now.saturating_sub(entry.good) < SURE_SECONDS)
    }

    /// A tried address goes back among the new ones, if there is room, and another one takes its place.
    fn displace(&mut self, resident: &Endpoint, newcomer: &Endpoint, now: u64) {
        let Some(entry) = self.entries.get(resident).cloned() else { return };
        self.forget(resident);
        self.learn(*resident, &entry.source, now);
        let place = self.tried_place(newcomer);
        if self.entries.contains_key(newcomer) && !self.places.contains_key(&place) {
            self.promote(*newcomer, place);
        }
    }

    fn promote(&mut self, endpoint: Endpoint, place: Place) {
        let Some(entry) = self.entries.get(&endpoint).cloned() else { return };
        self.places.remove(&self.place(&endpoint, &entry));
        self.entries.insert(endpoint, Entry { tried: true, ..entry });
        self.places.insert(place, endpoint);
    }

    fn place(&self, endpoint: &Endpoint, entry: &Entry) -> Place {
        if entry.tried { self.tried_place(endpoint) } else { self.new_place(endpoint, &entry.source) }
    }

    fn new_place(&self, endpoint: &Endpoint, source: &Group) -> Place {
        let group = endpoint.group();
        let lane = self.draw(b"new lane", &[group.as_bytes(), source.as_bytes()], NEW_BUCKETS_PER_SOURCE);
        let bucket = self.draw(b"new", &[source.as_bytes(), &lane.to_le_bytes()], NEW_BUCKETS);
        let place = self.draw(b"new place", &[&bucket.to_le_bytes(), &endpoint.to_bytes()], PLACES);
        Place::New { bucket, place }
    }

    fn tried_place(&self, endpoint: &Endpoint) -> Place {
        let bytes = endpoint.to_bytes();
        let lane = self.draw(b"tried lane", &[&bytes], TRIED_BUCKETS_PER_GROUP);
        let bucket = self.draw(b"tried", &[endpoint.group().as_bytes(), &lane.to_le_bytes()], TRIED_BUCKETS);
        let place = self.draw(b"tried place", &[&bucket.to_le_bytes(), &bytes], PLACES);
        Place::Tried { bucket, place }
    }

    /// A number below `bound` that nobody knows who lacks the key.
    fn draw(&self, what: &[u8], parts: &[&[u8]], bound: u64) -> u64 {
        let mut hash = Sha256::new_with_prefix(self.key);
        for part in [what].iter().chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) % bound
    }
}

impl Encode for Book {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key);
        let entries: Vec<_> =
            self.entries.iter().map(|(endpoint, entry)| Line(*endpoint, entry.clone())).collect();
        encode_list(&entries, out);
    }
}

impl Decode for Book {
    /// An address whose place another one has is left out, as when the tables' sizes change.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut book = Self::new(reader.array()?);
        let mut last = None;
        for Line(endpoint, entry) in reader.list(ENTRIES_MAX)? {
            if last.is_some_and(|last| last >= endpoint) {
                return Err(DecodeError::Invalid("addresses are in order, each once"));
            }
            last = Some(endpoint);
            let place = book.place(&endpoint, &entry);
            if let MapEntry::Vacant(vacant) = book.places.entry(place) {
                vacant.insert(endpoint);
                book.entries.insert(endpoint, entry);
            }
        }
        Ok(book)
    }
}

struct Line(Endpoint, Entry);

impl Encode for Line {
    fn encode(&self, out: &mut Vec<u8>) {
        let Self(endpoint, entry) = self;
        endpoint.encode(out);
        encode_byte_string(entry.source.as_bytes(), out);
        [entry.seen, entry.asked, entry.good].iter().for_each(|time| time.encode(out));
        entry.failures.encode(out);
        u8::from(entry.tried).encode(out);
    }
}

impl Decode for Line {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let endpoint = Endpoint::decode(reader)?;
        let source = Group::from_bytes(reader.byte_string(GROUP_BYTES_MAX)?);
        let [seen, asked, good] = [u64::decode(reader)?, u64::decode(reader)?, u64::decode(reader)?];
        let failures = u32::decode(reader)?;
        let tried = match u8::decode(reader)? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Invalid("a flag is 0 or 1")),
        };
        Ok(Self(endpoint, Entry { source, seen, asked, good, failures, tried }))
    }
}

#[cfg(test)]
mod tests;
