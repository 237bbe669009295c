//! Who sealed which slot, and the evidence against those who did so twice.
//!
//! One win can be sealed without end, each time as another block that is as good as the first. The first two
//! are enough to ban the key; further ones are taken only once somebody else's block stands on them.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use mass_primitives::{BlockId, Decode as _, FarmerPublicKey, Height, Slot};

use crate::{
    block::is_too_old,
    evidence::{Evidence, ProvenEvidence},
    header::SealedHeader,
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::Removed,
};

/// Seals of one key and slot that are linked before anything stands on them.
const SAME_SLOT_MAX: usize = 2;

/// Seals remembered of headers that have no place in the tree.
const LOOSE_MAX: usize = 4_096;

/// Headers beyond [`SAME_SLOT_MAX`] that wait for a block on them.
const PARKED_MAX: usize = 256;

/// Pieces of evidence that are kept.
pub(super) const EVIDENCE_KEPT_MAX: usize = 1_024;

/// The newest seal of a key that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastSeal {
    /// Slot that it sealed.
    pub slot: Slot,
    /// Height that it gave.
    pub height: Height,
    /// Id of the block.
    pub id: BlockId,
}

/// Linked headers of one key and slot.
#[derive(Clone, Debug)]
struct Sealed {
    /// The encoding of the first, in which it takes the least room.
    first: Arc<[u8]>,
    linked: Vec<BlockId>,
}

/// What became of a piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adopted {
    /// It is kept; another had to go if the room was all taken.
    Kept(Option<FarmerPublicKey>),
    /// What is kept is as good or better.
    Known,
}

/// Seals, and double seals.
#[derive(Clone, Debug, Default)]
pub(super) struct Seals {
    linked: BTreeMap<(Slot, FarmerPublicKey), Sealed>,
    /// The newest seal of each key in `linked`.
    newest: BTreeMap<FarmerPublicKey, LastSeal>,
    loose: BTreeMap<(Slot, FarmerPublicKey), ProvenHeader>,
    parked: BTreeMap<BlockId, ProvenHeader>,
    double: BTreeMap<FarmerPublicKey, ProvenEvidence>,
    /// Seals of slots before this one are forgotten.
    floor: Slot,
}

fn slot_and_key(sealed: &SealedHeader) -> (Slot, FarmerPublicKey) {
    (sealed.seal.claim.slot, *sealed.seal.claim.farmer())
}

impl Seals {
    /// Remembers the seal of a linked header; evidence if it is the second of its slot.
    pub fn note(
        &mut self,
        spec: &ChainSpec,
        id: &BlockId,
        sealed: &SealedHeader,
        encoded: impl FnOnce() -> Arc<[u8]>,
    ) -> Option<ProvenEvidence> {
        let key = slot_and_key(sealed);
        if key.0 < self.floor {
            return None;
        }
        let known = self.known(&key);
        let first = || Sealed { first: encoded(), linked: Vec::with_capacity(1) };
        let entry = self.linked.entry(key).or_insert_with(first);
        if !entry.linked.contains(id) {
            entry.linked.push(*id);
        }
        let last = LastSeal { slot: key.0, height: sealed.seal.claim.height, id: *id };
        let newest = self.newest.entry(key.1).or_insert(last);
        if newest.slot < last.slot {
            *newest = last;
        }
        self.loose.remove(&key);
        pair(spec, known?, id, sealed)
    }

    /// Remembers the seal of a header that has no place in the tree; evidence if it is the second of its slot.
    pub fn note_loose(&mut self, spec: &ChainSpec, header: &ProvenHeader) -> Option<ProvenEvidence> {
        let key = slot_and_key(header.sealed());
        if key.0 < self.floor {
            return None;
        }
        let Some(known) = self.known(&key) else {
            if self.loose.len() >= LOOSE_MAX {
                self.loose.pop_first();
            }
            self.loose.insert(key, header.clone());
            return None;
        };
        pair(spec, known, header.id(), header.sealed())
    }

    /// The header of this slot and key that came first.
    fn known(&self, key: &(Slot, FarmerPublicKey)) -> Option<SealedHeader> {
        match self.linked.get(key) {
            Some(seal) => SealedHeader::from_bytes(&seal.first).ok(),
            None => self.loose.get(key).map(|header| *header.sealed()),
        }
    }

    /// The newest seal of a key that is linked and not forgotten.
    pub fn last(&self, farmer: &FarmerPublicKey) -> Option<LastSeal> {
        self.newest.get(farmer).copied()
    }

    /// Keeps evidence, the youngest for each key: a height in it is what its farmer wrote there, and older
    /// evidence counts for a shorter time. If all room is taken, keys that sealed nothing which is linked come last,
    /// for anybody can make such keys, and evidence against them, without end.
    pub fn adopt(&mut self, evidence: &ProvenEvidence) -> Adopted {
        let farmer = *evidence.farmer();
        if self.double.get(&farmer).is_some_and(|kept| kept.height() >= evidence.height()) {
            return Adopted::Known;
        }
        let mut dropped = None;
        if !self.double.contains_key(&farmer) && self.double.len() >= EVIDENCE_KEPT_MAX {
            let worth = |evidence: &ProvenEvidence| (self.is_linked(evidence.farmer()), evidence.height());
            let least = self.double.values().min_by_key(|kept| worth(kept));
            let Some(least) = least.filter(|least| worth(least) < worth(evidence)) else {
                return Adopted::Known;
            };
            dropped = Some(*least.farmer());
        }
        if let Some(farmer) = &dropped {
            self.double.remove(farmer);
        }
        self.double.insert(farmer, evidence.clone());
        Adopted::Kept(dropped)
    }

    /// Whether a key sealed a header that is linked and not forgotten.
    pub fn is_linked(&self, farmer: &FarmerPublicKey) -> bool {
        self.newest.contains_key(farmer)
    }

    /// Whether evidence against a key that has none would be kept.
    pub fn has_room(&self, farmer: &FarmerPublicKey) -> bool {
        self.double.len() < EVIDENCE_KEPT_MAX || self.is_linked(farmer)
    }

    /// Evidence that counts in a block of this height, ascending by key.
    pub fn evidence_at<'a>(
        &'a self,
        spec: &'a ChainSpec,
        height: Height,
    ) -> impl Iterator<Item = &'a Evidence> {
        let counts = move |evidence: &&ProvenEvidence| !is_too_old(spec, evidence.height(), height);
        self.double.values().filter(counts).map(ProvenEvidence::evidence)
    }

    /// Puts a header aside if its slot has enough seals already; whether it did.
    pub fn park(&mut self, header: &ProvenHeader) -> bool {
        let is_surplus = self
            .linked
            .get(&slot_and_key(header.sealed()))
            .is_some_and(|seal| seal.linked.len() >= SAME_SLOT_MAX && !seal.linked.contains(header.id()));
        if is_surplus {
            if self.parked.len() >= PARKED_MAX {
                self.parked.pop_first();
            }
            self.parked.insert(*header.id(), header.clone());
        }
        is_surplus
    }

    /// The headers put aside on which `header` stands, lowest first.
    pub fn unpark(&mut self, header: &ProvenHeader) -> Vec<ProvenHeader> {
        let (mut found, mut parent) = (Vec::new(), header.sealed().header.parent);
        while let Some(parked) = self.parked.remove(&parent) {
            parent = parked.sealed().header.parent;
            found.push(parked);
        }
        found.reverse();
        found
    }

    /// Forgets the seals of slots before this one, and evidence that is too old for a block of this height; the
    /// keys that it was against.
    pub fn forget_before(&mut self, spec: &ChainSpec, slot: Slot, next: Height) -> Vec<FarmerPublicKey> {
        let lowest = (slot, FarmerPublicKey::ZERO);
        self.floor = self.floor.max(slot);
        self.linked = self.linked.split_off(&lowest);
        self.loose = self.loose.split_off(&lowest);
        self.newest.retain(|_, newest| newest.slot >= slot);
        self.double
            .extract_if(.., |_, kept| is_too_old(spec, kept.height(), next))
            .map(|(farmer, _)| farmer)
            .collect()
    }

    /// Forgets the seals of headers that left because there were too many.
    pub fn forget(&mut self, out: &Removed) {
        for (id, node) in out {
            let Some(key) = node.farmer.map(|farmer| (node.slot, farmer)) else { continue };
            let Some(seal) = self.linked.get_mut(&key) else { continue };
            seal.linked.retain(|linked| linked != id);
            if seal.linked.is_empty() {
                self.linked.remove(&key);
            }
            if self.newest.get(&key.1).is_some_and(|newest| newest.id == *id) {
                self.newest.remove(&key.1);
            }
        }
    }
}

fn pair(
    spec: &ChainSpec,
    known: SealedHeader,
    id: &BlockId,
    sealed: &SealedHeader,
) -> Option<ProvenEvidence> {
    if known.id() == *id {
        return None;
    }
    ProvenEvidence::prove(spec, Evidence::new(known, *sealed)).ok()
}

#[cfg(test)]
mod tests {
    use mass_primitives::{BodyRoot, Encode as _, HeightDelta};

    use super::*;
    use crate::tree::synthetic;

    /// Two headers of key number `key` at a height, which nobody checked.
    fn double(spec: &ChainSpec, key: u16, height: u32) -> ProvenEvidence {
        let mut header = synthetic(spec, key);
        header.seal.claim.height = Height::new(height);
        let other = SealedHeader {
            header: crate::header::Header { root: BodyRoot::new([9; 32]), ..header.header },
            ..header
        };
        ProvenEvidence::believed(Evidence::new(header, other))
    }

    /// Evidence against keys that cost nothing takes bounded room, and none that matters is lost to it.
    #[test]
    fn evidence_without_end_takes_bounded_room() {
        let spec = ChainSpec::built_in("dev").unwrap();
        let mut seals = Seals::default();
        let known = synthetic(&spec, 60_000);
        seals.note(&spec, &known.id(), &known, || known.to_bytes().into());
        let farmer = *known.seal.claim.farmer();
        for key in 0..u16::try_from(EVIDENCE_KEPT_MAX).unwrap() {
            assert_eq!(seals.adopt(&double(&spec, key, 5)), Adopted::Kept(None));
        }
        let stranger = double(&spec, 50_000, 5);
        assert_eq!(seals.adopt(&stranger), Adopted::Known, "it is worth no more than what is there");
        assert!(!seals.has_room(stranger.farmer()) && seals.has_room(&farmer));
        let against_known = double(&spec, 60_000, 1);
        assert!(
            matches!(seals.adopt(&against_known), Adopted::Kept(Some(_))),
            "its key sealed what is linked"
        );
        assert!(matches!(seals.adopt(&double(&spec, 50_000, 6)), Adopted::Kept(Some(_))), "it is younger");
        assert_eq!(seals.double.len(), EVIDENCE_KEPT_MAX);
        assert!(seals.double.contains_key(&farmer));

        // And what no block can carry any more goes, with the seals of its time.
        let window = HeightDelta::new(spec.rules().evidence_window_blocks);
        let next = Height::new(6).checked_add(window).unwrap();
        let gone = seals.forget_before(&spec, Slot::new(u64::MAX), next);
        assert_eq!((gone.len(), seals.double.len(), seals.linked.len()), (EVIDENCE_KEPT_MAX - 1, 1, 0));
        assert_eq!(seals.note(&spec, &known.id(), &known, || known.to_bytes().into()), None);
        assert!(seals.linked.is_empty(), "what is as old as that takes no room again");
    }

    /// What is dropped because there is too much of it takes its seals along.
    #[test]
    fn seals_of_dropped_headers_are_dropped() {
        let spec = ChainSpec::built_in("dev").unwrap();
        let (one, mut seals) = (synthetic(&spec, 1), Seals::default());
        seals.note(&spec, &one.id(), &one, || one.to_bytes().into());
        let tree = crate::tree::HeaderTree::new(spec.clone(), BlockId::ZERO);
        let mut node = tree.get(&BlockId::ZERO).unwrap();
        (node.farmer, node.slot) = (Some(*one.seal.claim.farmer()), one.seal.claim.slot);
        seals.forget(&Removed::from([(one.id(), node)]));
        assert!(seals.linked.is_empty() && seals.newest.is_empty());
    }
}
