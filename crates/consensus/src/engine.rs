//! The engine: one state machine that owns the tree of headers, the blocks on their way, the bans and the
//! choice of the tip. `step(Input) -> Vec<Effect>`; who drives it performs the effects, in order, and
//! reports each [`Effect::Connect`] with [`Input::Connected`] or [`Input::Refused`].
//!
//! Not here: clock, disk, peers, ledger state.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use mass_primitives::{BlockId, FarmerPublicKey, Height, Slot};

use crate::{
    beacon::Beacon,
    block::{Bans, Block, BlockError, Linked, Proven, is_too_old},
    evidence::{Evidence, ProvenEvidence},
    header::SealedHeader,
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::{Expectation, HeaderTree, LinkError},
};

/// How many slots ahead of the clock a header may be before it is held.
const CLOCK_TOLERANCE_SLOTS: u64 = 1;

/// Headers of the future that are held at the most.
const HELD_MAX: usize = 1_024;

/// What happens to an engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// The clock shows a slot.
    Tick(Slot),
    /// A header came.
    Header(ProvenHeader),
    /// A whole block came.
    Block(Block<Proven>),
    /// The parent's chain gives these seeds, for a chain that inherits its beacon.
    Beacon(Beacon),
    /// The ledger took the block of the last [`Effect::Connect`], and it is stored.
    Connected(BlockId),
    /// The ledger refused the block of the last [`Effect::Connect`].
    Refused(BlockId),
}

/// What an engine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep a linked header, so that double seals are found after a restart.
    StoreHeader(Box<SealedHeader>),
    /// Undo the tip, which must be this block.
    Disconnect(BlockId),
    /// Execute a block on the tip and store it.
    Connect(Box<Block<Linked>>),
    /// Ask peers for the contents of these blocks, lowest first.
    Fetch(Vec<BlockId>),
    /// The tip is this block and no better chain waits: tell peers and farmers.
    NewTip(BlockId),
    /// Two seals of one key in one slot: put them into the next block.
    DoubleSeal(Box<Evidence>),
    /// A header or block was refused; `None` stands for a fault that is nobody's, such as an unknown parent.
    Refuse(BlockId, Option<String>),
}

/// The engine of one chain.
#[derive(Clone, Debug)]
pub struct Engine {
    spec: ChainSpec,
    tree: HeaderTree,
    now: Slot,
    tip: BlockId,
    /// Blocks with contents that are not executed yet.
    waiting: BTreeMap<BlockId, Block<Proven>>,
    /// Blocks that were executed once; their contents are in storage.
    executed: BTreeSet<BlockId>,
    invalid: BTreeSet<BlockId>,
    held: BTreeMap<(Slot, BlockId), ProvenHeader>,
    seals: BTreeMap<(FarmerPublicKey, Slot), SealedHeader>,
    double_seals: BTreeMap<FarmerPublicKey, ProvenEvidence>,
    bans: Bans,
    connecting: Option<Connecting>,
    /// The tip that was last told.
    told: BlockId,
    reorgs: u64,
}

/// The block that the ledger has in hand.
#[derive(Clone, Debug)]
struct Connecting {
    id: BlockId,
    banned: Vec<FarmerPublicKey>,
}

impl Engine {
    /// An engine whose tip is the genesis block.
    #[must_use]
    pub fn new(spec: ChainSpec, genesis: BlockId) -> Self {
        Self {
            tree: HeaderTree::new(spec.clone(), genesis),
            spec,
            now: Slot::ZERO,
            tip: genesis,
            waiting: BTreeMap::new(),
            executed: BTreeSet::from([genesis]),
            invalid: BTreeSet::new(),
            held: BTreeMap::new(),
            seals: BTreeMap::new(),
            double_seals: BTreeMap::new(),
            bans: Bans::default(),
            connecting: None,
            told: genesis,
            reorgs: 0,
        }
    }

    /// The tree of headers.
    #[must_use]
    pub const fn tree(&self) -> &HeaderTree {
        &self.tree
    }

    /// The tip of the executed chain.
    #[must_use]
    pub const fn tip(&self) -> &BlockId {
        &self.tip
    }

    /// How often the tip moved to another branch.
    #[must_use]
    pub const fn reorgs(&self) -> u64 {
        self.reorgs
    }

    /// What a block on the tip in a slot must carry.
    ///
    /// # Errors
    /// [`LinkError::Beacon`], [`LinkError::Exhausted`].
    pub fn expectation(&self, slot: Slot) -> Result<Expectation, LinkError> {
        self.tree.expectation(&self.tip, slot)
    }

    /// The block that banned `farmer` on the chain that ends with `tip`, if one did.
    #[must_use]
    pub fn ban(&self, farmer: &FarmerPublicKey, tip: &BlockId) -> Option<BlockId> {
        let blocks = self.bans.blocks(farmer);
        if blocks.is_empty() {
            return None;
        }
        self.tree.ancestry(tip).map(|(id, _)| id).find(|id| blocks.contains(id))
    }

    /// Keys that are banned on some branch.
    pub fn banned(&self) -> impl Iterator<Item = &FarmerPublicKey> {
        self.bans.farmers()
    }

    /// Evidence for a block on the tip, ascending by key.
    #[must_use]
    pub fn evidence_for_next(&self) -> Vec<Evidence> {
        let bound = usize::try_from(self.spec.rules().evidence_per_block_max).unwrap_or(0);
        let height = self.tree.get(&self.tip).map_or(Height::ZERO, |node| node.height);
        let due = self.double_seals.iter().filter(|(farmer, evidence)| {
            self.ban(farmer, &self.tip).is_none() && !is_too_old(&self.spec, evidence.height(), height)
        });
        due.map(|(_, evidence)| *evidence.evidence()).take(bound).collect()
    }

    /// Links a stored header after a restart, parents first. A double seal among them is found again.
    ///
    /// # Errors
    /// [`LinkError`] if storage does not hold a tree of this spec.
    pub fn restore_header(&mut self, header: &ProvenHeader) -> Result<(), LinkError> {
        self.tree.link(header)?;
        if let Some(evidence) = self.note_seal(header) {
            self.double_seals.entry(*evidence.farmer()).or_insert(evidence);
        }
        Ok(())
    }

    /// [`Self::restore_header`] for a block that was executed, with the keys that it bans.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn restore(&mut self, header: &ProvenHeader, banned: &[FarmerPublicKey]) -> Result<(), LinkError> {
        self.restore_header(header)?;
        banned.iter().for_each(|farmer| self.bans.note(*farmer, *header.id()));
        self.executed.insert(*header.id());
        Ok(())
    }

    /// Sets the tip that storage has, after [`Self::restore`].
    pub fn restore_tip(&mut self, tip: BlockId) {
        if self.executed.contains(&tip) {
            (self.tip, self.told) = (tip, tip);
        }
    }

    /// Takes one input.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Tick(slot) => self.tick(slot, &mut effects),
            Input::Header(header) => {
                self.take_header(&header, &mut effects);
            }
            Input::Block(block) => self.take_block(block, &mut effects),
            Input::Beacon(beacon) => self.take_beacon(beacon, &mut effects),
            Input::Connected(id) => self.connected(id),
            Input::Refused(id) => self.refused(id),
        }
        self.advance(&mut effects);
        effects
    }

    fn tick(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        self.now = self.now.max(slot);
        let horizon = self.horizon();
        while let Some(entry) = self.held.first_entry().filter(|entry| entry.key().0 <= horizon) {
            let header = entry.remove();
            self.take_header(&header, effects);
        }
    }

    fn horizon(&self) -> Slot {
        Slot::new(self.now.get().saturating_add(CLOCK_TOLERANCE_SLOTS))
    }

    /// Links a header; whether it is in the tree afterwards.
    fn take_header(&mut self, header: &ProvenHeader, effects: &mut Vec<Effect>) -> bool {
        let id = *header.id();
        if self.tree.get(&id).is_some() {
            return true;
        }
        let slot = header.sealed().seal.claim.slot;
        if slot > self.horizon() {
            if self.held.len() < HELD_MAX {
                self.held.insert((slot, id), header.clone());
            }
            return false;
        }
        if let Some(evidence) = self.note_seal(header) {
            effects.push(Effect::DoubleSeal(Box::new(*evidence.evidence())));
            self.double_seals.entry(*evidence.farmer()).or_insert(evidence);
        }
        match self.tree.link(header) {
            Ok(()) => {
                effects.push(Effect::StoreHeader(Box::new(*header.sealed())));
                if self.invalid.contains(&header.sealed().header.parent) {
                    self.invalid.insert(id);
                }
                true
            }
            Err(LinkError::Parent(_) | LinkError::Beacon) => {
                effects.push(Effect::Refuse(id, None));
                false
            }
            Err(error) => {
                effects.push(Effect::Refuse(id, Some(alloc::format!("{error}"))));
                false
            }
        }
    }

    /// Leaves what the parent's chain no longer supports.
    fn take_beacon(&mut self, beacon: Beacon, effects: &mut Vec<Effect>) {
        if self.tree.beacon() == Some(&beacon) {
            return;
        }
        let chain: Vec<BlockId> = self.tree.ancestry(&self.tip).map(|(id, _)| id).collect();
        let out = self.tree.set_beacon(beacon);
        if out.is_empty() {
            return;
        }
        let leave: Vec<BlockId> = chain.iter().copied().take_while(|id| out.contains(id)).collect();
        if let Some(tip) = chain.get(leave.len()).filter(|_| !leave.is_empty()) {
            effects.extend(leave.iter().map(|id| Effect::Disconnect(*id)));
            self.tip = *tip;
            self.reorgs = self.reorgs.saturating_add(1);
        }
        self.waiting.retain(|id, _| !out.contains(id));
        self.executed.retain(|id| !out.contains(id));
    }

    /// Remembers who sealed which slot; evidence if it is the second time with another id.
    fn note_seal(&mut self, header: &ProvenHeader) -> Option<ProvenEvidence> {
        let sealed = *header.sealed();
        let claim = &sealed.seal.claim;
        let first = *self.seals.entry((*claim.farmer(), claim.slot)).or_insert(sealed);
        ProvenEvidence::prove(&self.spec, Evidence::new(first, sealed)).ok().filter(|_| first != sealed)
    }

    fn take_block(&mut self, block: Block<Proven>, effects: &mut Vec<Effect>) {
        let id = *block.header().id();
        if self.executed.contains(&id) || self.waiting.contains_key(&id) || self.invalid.contains(&id) {
            return;
        }
        if self.take_header(&block.header().clone(), effects) {
            self.waiting.insert(id, block);
        }
    }

    fn connected(&mut self, id: BlockId) {
        let Some(connecting) = self.connecting.take().filter(|connecting| connecting.id == id) else {
            return;
        };
        connecting.banned.iter().for_each(|farmer| self.bans.note(*farmer, id));
        self.waiting.remove(&id);
        self.executed.insert(id);
        self.tip = id;
    }

    fn refused(&mut self, id: BlockId) {
        self.connecting = None;
        self.waiting.remove(&id);
        self.condemn(id);
    }

    /// Marks a block and all that stand on it, which are heavier than it is.
    fn condemn(&mut self, id: BlockId) {
        let height = self.tree.get(&id).map_or(Height::ZERO, |node| node.height);
        let stands_on = |other: &BlockId| {
            let mut below = self.tree.ancestry(other).take_while(|(_, node)| node.height >= height);
            below.any(|(ancestor, _)| ancestor == id)
        };
        let above: Vec<BlockId> = self.tree.better_than(&id).filter(stands_on).collect();
        self.invalid.insert(id);
        self.invalid.extend(above);
    }

    fn has_content(&self, id: &BlockId) -> bool {
        self.executed.contains(id) || self.waiting.contains_key(id)
    }

    /// Steps toward the heaviest chain whose contents are here; asks for those of a heavier one.
    fn advance(&mut self, effects: &mut Vec<Effect>) {
        while self.connecting.is_none() {
            let Some((leave, enter)) = self.target(effects) else {
                if self.told != self.tip {
                    self.told = self.tip;
                    effects.push(Effect::NewTip(self.tip));
                }
                return;
            };
            self.leave(&leave, effects);
            if let Some(next) = enter.first() {
                self.connect(*next, effects);
            }
        }
    }

    /// The way to the heaviest valid chain that beats the tip and misses no content. A heavier chain whose
    /// contents are withheld is asked for and holds up nothing.
    fn target(&self, effects: &mut Vec<Effect>) -> Option<(Vec<BlockId>, Vec<BlockId>)> {
        let mut asked = false;
        for id in self.tree.better_than(&self.tip).filter(|id| !self.invalid.contains(id)) {
            let (leave, enter) = self.tree.path(&self.tip, &id)?;
            let missing: Vec<BlockId> = enter.iter().filter(|id| !self.has_content(id)).copied().collect();
            if missing.is_empty() {
                return Some((leave, enter));
            }
            if !asked {
                effects.push(Effect::Fetch(missing));
                asked = true;
            }
        }
        None
    }

    fn leave(&mut self, leave: &[BlockId], effects: &mut Vec<Effect>) {
        for id in leave {
            effects.push(Effect::Disconnect(*id));
            if let Some(node) = self.tree.get(id) {
                self.tip = node.parent;
            }
        }
        if !leave.is_empty() {
            self.reorgs = self.reorgs.saturating_add(1);
        }
    }

    /// Hands a block to the ledger, or condemns it.
    fn connect(&mut self, id: BlockId, effects: &mut Vec<Effect>) {
        let Some(block) = self.waiting.get(&id).cloned() else {
            // Left in an earlier reorg: its content is in storage, from where it is fetched.
            self.executed.remove(&id);
            return;
        };
        let linked: Result<Block<Linked>, BlockError> = block.link(
            &self.spec,
            |farmer| self.ban(farmer, &self.tip).is_some(),
            self.tree.median_time_past(&self.tip).unwrap_or(0),
        );
        match linked {
            Ok(linked) => {
                self.connecting = Some(Connecting { id, banned: linked.context().banned.clone() });
                effects.push(Effect::Connect(Box::new(linked)));
            }
            Err(error) => {
                effects.push(Effect::Refuse(id, Some(alloc::format!("{error}"))));
                self.condemn(id);
            }
        }
    }
}
