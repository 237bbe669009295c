//! Who sealed which slot, and the evidence against those who did so twice.
//!
//! One win can be sealed without end, each time as another block that is as good as the first. The first two
//! are enough to ban the key; further ones are taken only once somebody else's block stands on them.

use alloc::{collections::BTreeMap, vec::Vec};

use mass_primitives::{BlockId, FarmerPublicKey, Height, Slot};

use crate::{
    block::is_too_old,
    evidence::{Evidence, ProvenEvidence},
    header::SealedHeader,
    proven::ProvenHeader,
    spec::ChainSpec,
};

/// Seals of one key and slot that are linked before anything stands on them.
const SAME_SLOT_MAX: usize = 2;

/// Seals remembered of headers that have no place in the tree.
const LOOSE_MAX: usize = 4_096;

/// Headers beyond [`SAME_SLOT_MAX`] that wait for a block on them.
const PARKED_MAX: usize = 256;

#[derive(Clone, Debug)]
struct Sealed {
    first: ProvenHeader,
    linked: Vec<BlockId>,
}

/// Seals, and double seals.
#[derive(Clone, Debug, Default)]
pub(super) struct Seals {
    linked: BTreeMap<(Slot, FarmerPublicKey), Sealed>,
    /// The newest slot of each key in `linked`.
    newest: BTreeMap<FarmerPublicKey, Slot>,
    loose: BTreeMap<(Slot, FarmerPublicKey), ProvenHeader>,
    parked: BTreeMap<BlockId, ProvenHeader>,
    double: BTreeMap<FarmerPublicKey, ProvenEvidence>,
}

impl Seals {
    /// Remembers a seal; evidence if it is the second of its slot.
    pub fn note(&mut self, spec: &ChainSpec, header: &ProvenHeader, is_linked: bool) -> Option<Evidence> {
        let claim = &header.sealed().seal.claim;
        let key = (claim.slot, *claim.farmer());
        let known = self.linked.get(&key).map(|seal| &seal.first).or_else(|| self.loose.get(&key)).cloned();
        if is_linked {
            let entry = self
                .linked
                .entry(key)
                .or_insert_with(|| Sealed { first: header.clone(), linked: Vec::with_capacity(1) });
            if !entry.linked.contains(header.id()) {
                entry.linked.push(*header.id());
            }
            let newest = self.newest.entry(key.1).or_insert(key.0);
            *newest = key.0.max(*newest);
            self.loose.remove(&key);
        } else if known.is_none() {
            if self.loose.len() >= LOOSE_MAX {
                self.loose.pop_first();
            }
            self.loose.insert(key, header.clone());
        }
        let known = known.filter(|known| known.id() != header.id())?;
        let evidence = Evidence::new(*known.sealed(), *header.sealed());
        let evidence = ProvenEvidence::prove(spec, evidence).ok()?;
        self.adopt(&evidence);
        Some(*evidence.evidence())
    }

    /// The first linked header of the newest slot that a key sealed and that is not forgotten.
    pub fn last(&self, farmer: &FarmerPublicKey) -> Option<&SealedHeader> {
        let slot = self.newest.get(farmer)?;
        self.linked.get(&(*slot, *farmer)).map(|seal| seal.first.sealed())
    }

    /// Keeps evidence, the youngest for each key: a height in it is what its farmer wrote there, and older
    /// evidence counts for a shorter time.
    pub fn adopt(&mut self, evidence: &ProvenEvidence) {
        let kept = self.double.entry(*evidence.farmer()).or_insert_with(|| evidence.clone());
        if kept.height() < evidence.height() {
            *kept = evidence.clone();
        }
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
        let claim = &header.sealed().seal.claim;
        let is_surplus = self
            .linked
            .get(&(claim.slot, *claim.farmer()))
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

    /// Forgets the seals of slots before this one.
    pub fn forget_before(&mut self, slot: Slot) {
        let lowest = (slot, FarmerPublicKey::ZERO);
        self.linked = self.linked.split_off(&lowest);
        self.loose = self.loose.split_off(&lowest);
        self.newest.retain(|_, newest| *newest >= slot);
    }
}
