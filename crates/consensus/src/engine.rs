//! The engine: one state machine that owns the tree of headers, the blocks on their way, the bans and the
//! choice of the tip. `step(Input) -> Vec<Effect>`; who drives it performs the effects, in order, and
//! reports each [`Effect::Connect`] with [`Input::Connected`] or [`Input::Refused`], and each [`Effect::Load`]
//! with the block.
//!
//! Not here: clock, disk, peers, ledger state.

mod route;
mod seals;
mod turn;
mod waiting;

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};

use mass_primitives::{BlockId, Encode as _, FarmerPublicKey, Height, HeightDelta, Slot};

use self::{
    route::{Route, content_came},
    seals::{Adopted, Seals},
    turn::Turn,
    waiting::Waiting,
};
pub use self::{seals::LastSeal, turn::Pace};
use crate::{
    beacon::Beacon,
    block::{Bans, Block, BlockError, Linked, Proven, is_too_old},
    evidence::{Evidence, ProvenEvidence},
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::{Expectation, HeaderTree, LinkError, Removed, Restored},
};

/// How many slots ahead of the clock a header may be before it is held.
const CLOCK_TOLERANCE_SLOTS: u64 = 1;

/// Headers of the future that are held at the most.
const HELD_MAX: usize = 1_024;

/// Contents that were never executed are kept so many blocks below the tip, unless they are on the way to the
/// best header. Peers have them still if they should be needed.
const STALE_DEPTH: HeightDelta = HeightDelta::new(64);

/// With bodies of so many bytes waiting to be executed, contents are asked for one at a time. The lowest that is missing always
/// is, so that what waits above it does not wait for ever.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// After so many blocks, seals too old to count are forgotten, and what is as deep in the best chain is settled.
pub const SETTLE_EVERY: u32 = 4_096;

/// Headers that stand beside the best chain at the most, but for those of the tip's chain and of the strongest branch.
pub const BESIDE_MAX: usize = 16_384;

/// What happens to an engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// The clock shows a slot.
    Tick(Slot),
    /// Evidence of a double seal came by itself.
    Evidence(Box<ProvenEvidence>),
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
    /// The next turn begins: see [`Engine::set_pace`].
    Proceed,
}

/// What an engine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep a linked header, so that double seals are found after a restart.
    StoreHeader(ProvenHeader),
    /// There are too many headers: forget these, with contents and seals, until they come again.
    ForgetHeaders(Vec<Forgotten>),
    /// Keep this evidence instead of any other against the same key, until it is to be forgotten.
    StoreEvidence(Box<Evidence>),
    /// Forget the evidence against these keys.
    ForgetEvidence(Vec<FarmerPublicKey>),
    /// Undo the tip, which must be this block.
    Disconnect(BlockId),
    /// Execute a block on the tip and store it.
    Connect(Box<Block<Linked>>),
    /// Feed this block from storage: it was executed once, and a reorg left it.
    Load(BlockId),
    /// Ask peers for the contents of these blocks, lowest first.
    Fetch(Vec<BlockId>),
    /// The tip is this block and no better chain waits: tell peers and farmers.
    NewTip(BlockId),
    /// Two seals of one key in one slot: put them into the next block.
    DoubleSeal(Box<Evidence>),
    /// A header or block was refused; `None` stands for a fault that is nobody's, such as an unknown parent.
    Refuse(BlockId, Option<String>),
}

/// A header to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Id of the block.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Its slot.
    pub slot: Slot,
    /// Who sealed it.
    pub farmer: FarmerPublicKey,
}

/// The engine of one chain.
#[derive(Clone, Debug)]
pub struct Engine {
    spec: ChainSpec,
    tree: HeaderTree,
    now: Slot,
    tip: BlockId,
    /// Blocks with contents that are not executed yet.
    waiting: Waiting,
    held: BTreeMap<(Slot, BlockId), ProvenHeader>,
    seals: Seals,
    bans: Bans,
    route: Route,
    connecting: Option<Connecting>,
    loading: Option<BlockId>,
    /// The tip that was last told.
    told: BlockId,
    reorgs: u64,
    /// Whether the last move of the tip was down.
    is_leaving: bool,
    turn: Turn,
    /// Headers beside the best chain when they were last looked at.
    beside: usize,
    /// Height of the best header when the tree was last settled.
    settled_at: u32,
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
        let tree = HeaderTree::new(spec.clone(), genesis);
        Self {
            route: Route::new(&tree),
            tree,
            spec,
            now: Slot::ZERO,
            tip: genesis,
            waiting: Waiting::default(),
            held: BTreeMap::new(),
            seals: Seals::default(),
            bans: Bans::default(),
            connecting: None,
            loading: None,
            told: genesis,
            reorgs: 0,
            is_leaving: false,
            turn: Turn::default(),
            beside: 0,
            settled_at: 0,
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
        let is_below = |id: &&BlockId| {
            self.tree.get(id).is_some_and(|node| self.tree.ancestor_at(tip, node.height) == Some(**id))
        };
        blocks.iter().find(is_below).copied()
    }

    /// Keys that are banned on some branch.
    pub fn banned(&self) -> impl Iterator<Item = &FarmerPublicKey> {
        self.bans.farmers()
    }

    /// A header of the newest slot that a key has sealed, on whatever branch, unless it is too old for evidence.
    #[must_use]
    pub fn last_seal(&self, farmer: &FarmerPublicKey) -> Option<LastSeal> {
        self.seals.last(farmer)
    }

    /// Evidence for a block on the tip, ascending by key. Against keys that sealed what is linked it comes first: such
    /// keys may have rewards pending, others are made without end to fill blocks.
    #[must_use]
    pub fn evidence_for_next(&self) -> Vec<Evidence> {
        let bound = usize::try_from(self.spec.rules().evidence_per_block_max).unwrap_or(0);
        let next = self.tree.get(&self.tip).and_then(|tip| tip.height.next());
        let Some(height) = next else { return Vec::new() };
        let counts = self.seals.evidence_at(&self.spec, height);
        let mut due: Vec<Evidence> =
            counts.filter(|evidence| self.ban(evidence.farmer(), &self.tip).is_none()).copied().collect();
        due.sort_by_key(|evidence| !self.seals.is_linked(evidence.farmer()));
        due.truncate(bound);
        due.sort_by_key(|evidence| *evidence.farmer());
        due
    }

    /// Whether evidence against a key would change anything: the next block could carry it, and none is known that
    /// does the same.
    #[must_use]
    pub fn wants_evidence(&self, farmer: &FarmerPublicKey, evidence: Height) -> bool {
        let next = self.tree.get(&self.tip).and_then(|tip| tip.height.next());
        next.is_some_and(|next| {
            !is_too_old(&self.spec, evidence, next)
                && self.seals.has_room(farmer)
                && self.ban(farmer, &self.tip).is_none()
                && !self.seals.evidence_at(&self.spec, next).any(|known| known.farmer() == farmer)
        })
    }

    /// Whether the content of a block was taken or refused before, so that it need not be looked at again.
    #[must_use]
    pub fn has_judged(&self, id: &BlockId) -> bool {
        self.has_content(id) || self.tree.is_condemned(id)
    }

    /// The last slot whose headers are not held.
    #[must_use]
    pub fn horizon(&self) -> Slot {
        Slot::new(self.now.get().saturating_add(CLOCK_TOLERANCE_SLOTS))
    }

    /// Links a stored header after a restart, parents first. A double seal among them is found again.
    ///
    /// # Errors
    /// [`LinkError`] if storage does not hold a tree of this spec.
    pub fn restore_header(&mut self, header: &Restored) -> Result<(), LinkError> {
        let out = self.tree.restore(header)?;
        self.leave_removed(&out, &mut Vec::new());
        let (id, sealed) = (&header.id, &header.sealed);
        if let Some(evidence) = self.seals.note(&self.spec, id, sealed, || sealed.to_bytes().into()) {
            self.seals.adopt(&evidence);
        }
        self.settle(&mut Vec::new());
        Ok(())
    }

    /// [`Self::restore_header`] for a block that was executed, with the keys that it bans.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn restore(&mut self, header: &Restored, banned: &[FarmerPublicKey]) -> Result<(), LinkError> {
        self.restore_header(header)?;
        banned.iter().for_each(|farmer| self.bans.note(*farmer, header.id));
        self.tree.mark_executed(&header.id);
        Ok(())
    }

    /// Evidence that storage has. What is too old by now is forgotten with the next that becomes so.
    pub fn restore_evidence(&mut self, evidence: &ProvenEvidence) {
        self.seals.adopt(evidence);
    }

    /// Sets the tip that storage has, after [`Self::restore`].
    pub fn restore_tip(&mut self, tip: BlockId) {
        if self.tree.is_executed(&tip) {
            (self.tip, self.told) = (tip, tip);
        }
    }

    /// Bounds what one turn does; `None`, as at the start, for no bound. Once a turn is used up, the tip stays where it is,
    /// whatever comes, until [`Input::Proceed`]. All else goes on.
    pub fn set_pace(&mut self, pace: Option<Pace>) {
        self.turn.set_pace(pace);
    }

    /// A turn begins with what comes next, unless the tip waits on its way.
    pub fn begin_turn(&mut self) {
        if !self.turn.is_over {
            self.turn.begin();
        }
    }

    /// The tip stays where it is until [`Input::Proceed`] or the next turn; without a bound it moves as ever.
    pub const fn end_turn(&mut self) {
        self.turn.end();
    }

    /// Whether the tip waits for [`Input::Proceed`] on its way to a better block.
    #[must_use]
    pub const fn is_moving(&self) -> bool {
        self.turn.is_over
    }

    /// A block with its content that has not been executed yet.
    #[must_use]
    pub fn waiting(&self, id: &BlockId) -> Option<&Block<Proven>> {
        self.waiting.get(id)
    }

    /// Takes one input.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let is_tick = matches!(input, Input::Tick(_));
        match input {
            Input::Tick(slot) => self.tick(slot, &mut effects),
            Input::Evidence(evidence) => self.adopt(&evidence, &mut effects),
            Input::Header(header) => {
                self.take_header(&header, &mut effects);
            }
            Input::Block(block) => self.take_block(block, &mut effects),
            Input::Beacon(beacon) => self.take_beacon(beacon, &mut effects),
            Input::Connected(id) => self.connected(id),
            Input::Refused(id) => self.refused(id),
            Input::Proceed => self.turn.begin(),
        }
        self.advance(is_tick, &mut effects);
        effects
    }

    /// A clock that was set back counts: else one wrong hour would let in the blocks of that hour's future.
    fn tick(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        self.now = slot;
        self.prune(BESIDE_MAX, effects);
        let horizon = self.horizon();
        while let Some(entry) = self.held.first_entry().filter(|entry| entry.key().0 <= horizon) {
            let header = entry.remove();
            self.take_header(&header, effects);
        }
    }

    /// Links a header; whether it is in the tree afterwards.
    fn take_header(&mut self, header: &ProvenHeader, effects: &mut Vec<Effect>) -> bool {
        let id = *header.id();
        if self.tree.contains(&id) {
            return true;
        }
        if header.sealed().seal.claim.slot > self.horizon() {
            self.hold(header);
            return false;
        }
        if self.seals.park(header) {
            effects.push(Effect::Refuse(id, None));
            return false;
        }
        for parked in self.seals.unpark(header) {
            self.link(&parked, effects);
        }
        self.link(header, effects)
    }

    /// Leaves what the parent's chain no longer supports.
    fn take_beacon(&mut self, beacon: Beacon, effects: &mut Vec<Effect>) {
        if self.tree.beacon() == Some(&beacon) {
            return;
        }
        let out = self.tree.set_beacon(beacon);
        self.leave_removed(&out, effects);
    }

    /// Follows the tree after headers left it: they may be the tip's.
    fn leave_removed(&mut self, out: &Removed, effects: &mut Vec<Effect>) {
        if out.is_empty() {
            return;
        }
        let before = self.tip;
        while let Some(node) = out.get(&self.tip) {
            effects.push(Effect::Disconnect(self.tip));
            self.tip = node.parent;
        }
        if self.tip != before {
            self.reorgs = self.reorgs.saturating_add(1);
        }
        out.keys().for_each(|id| self.waiting.remove(id));
        self.loading = self.loading.filter(|id| !out.contains_key(id));
        self.route.reset(&self.tree);
    }

    /// Forgets what is deep in the best chain or too old to count.
    fn settle(&mut self, effects: &mut Vec<Effect>) {
        let window = self.spec.rules().evidence_window_blocks;
        let best = *self.tree.best();
        let height = self.tree.get(&best).map_or(Height::ZERO, |node| node.height);
        // A shorter chain may be the heavier one.
        self.settled_at = self.settled_at.min(height.get());
        let batch = window.clamp(1, SETTLE_EVERY);
        if height.get().saturating_sub(self.settled_at) < batch {
            return;
        }
        self.settled_at = height.get();
        self.tree.settle(window, batch);
        let floor = height.checked_sub(HeightDelta::new(window));
        let floor = floor.and_then(|height| self.tree.ancestor_at(&best, height));
        let (Some(floor), Some(next)) = (floor.and_then(|id| self.tree.get(&id)), height.next()) else {
            return;
        };
        let out = self.seals.forget_before(&self.spec, floor.slot, next);
        if !out.is_empty() {
            effects.push(Effect::ForgetEvidence(out));
        }
    }

    /// Lets the weakest branches go if there are too many headers beside the best chain.
    fn prune(&mut self, max: usize, effects: &mut Vec<Effect>) {
        // What stays for its strength is not looked at again before as much has come anew.
        if self.tree.beside() <= max.max(self.beside.saturating_add(max >> 2)) {
            return;
        }
        let out = self.tree.prune(&self.tip, max);
        self.beside = self.tree.beside();
        self.seals.forget(&out);
        self.leave_removed(&out, effects);
        let gone = out.iter().filter_map(|(id, node)| {
            let (height, slot, farmer) = (node.height, node.slot, node.farmer?);
            Some(Forgotten { id: *id, height, slot, farmer })
        });
        let gone: Vec<Forgotten> = gone.collect();
        if !gone.is_empty() {
            effects.push(Effect::ForgetHeaders(gone));
        }
    }

    /// Keeps evidence.
    fn adopt(&mut self, evidence: &ProvenEvidence, effects: &mut Vec<Effect>) {
        let Adopted::Kept(dropped) = self.seals.adopt(evidence) else { return };
        effects.extend(dropped.map(|farmer| Effect::ForgetEvidence(Vec::from([farmer]))));
        effects.push(Effect::StoreEvidence(Box::new(*evidence.evidence())));
    }

    /// Keeps a header for its slot. Those that come soonest have the room.
    fn hold(&mut self, header: &ProvenHeader) {
        self.held.insert((header.sealed().seal.claim.slot, *header.id()), header.clone());
        if self.held.len() > HELD_MAX {
            self.held.pop_last();
        }
    }

    fn link(&mut self, header: &ProvenHeader, effects: &mut Vec<Effect>) -> bool {
        let linked = self.tree.link(header);
        match &linked {
            Ok(out) => {
                effects.push(Effect::StoreHeader(header.clone()));
                self.leave_removed(out, effects);
            }
            Err(LinkError::Parent(_) | LinkError::Beacon) => {
                effects.push(Effect::Refuse(*header.id(), None));
            }
            Err(error) => effects.push(Effect::Refuse(*header.id(), Some(alloc::format!("{error}")))),
        }
        let double = if linked.is_ok() {
            self.seals.note(&self.spec, header.id(), header.sealed(), || header.encoded().clone())
        } else {
            self.seals.note_loose(&self.spec, header)
        };
        if let Some(evidence) = double {
            self.adopt(&evidence, effects);
            effects.push(Effect::DoubleSeal(Box::new(*evidence.evidence())));
        }
        self.settle(effects);
        if self.tree.beside() > 2 * BESIDE_MAX {
            self.prune(BESIDE_MAX, effects);
        }
        linked.is_ok()
    }

    fn take_block(&mut self, block: Block<Proven>, effects: &mut Vec<Effect>) {
        let id = *block.header().id();
        if self.loading == Some(id) {
            self.loading = None;
            self.waiting.insert(id, block);
            return;
        }
        if self.has_judged(&id) || !self.take_header(&block.header().clone(), effects) {
            return;
        }
        // This ban may outlast the block: a reorg takes the block away and not the proof.
        block.proven_evidence().iter().for_each(|evidence| self.adopt(evidence, effects));
        self.waiting.insert(id, block);
        let waiting = &self.waiting;
        content_came(&mut self.tree, id, |id| waiting.contains(id));
    }

    fn connected(&mut self, id: BlockId) {
        let Some(connecting) = self.connecting.take().filter(|connecting| connecting.id == id) else {
            return;
        };
        connecting.banned.iter().for_each(|farmer| self.bans.note(*farmer, id));
        self.waiting.remove(&id);
        self.tree.mark_executed(&id);
        self.tip = id;
        self.drop_stale();
    }

    fn refused(&mut self, id: BlockId) {
        self.connecting = None;
        self.condemn(id);
    }

    /// Marks a block and all that stand on it.
    fn condemn(&mut self, id: BlockId) {
        let gone = self.tree.condemn(&id);
        gone.iter().for_each(|id| self.waiting.remove(id));
        self.route.reset(&self.tree);
    }

    /// Drops contents of branches that fell behind.
    fn drop_stale(&mut self) {
        let height = |id: &BlockId| self.tree.get(id).map_or(Height::ZERO, |node| node.height);
        let Some(floor) = height(&self.tip).checked_sub(STALE_DEPTH) else { return };
        let mut stale: BTreeMap<BlockId, Height> = BTreeMap::new();
        stale.extend(self.waiting.ids().map(|id| (*id, height(id))).filter(|(_, height)| *height < floor));
        let Some(lowest) = stale.values().min().copied() else { return };
        for (id, _) in self.tree.ancestry(self.tree.best()).take_while(|(_, node)| node.height >= lowest) {
            stale.remove(&id);
        }
        for id in stale.keys() {
            self.waiting.remove(id);
            let above = self.tree.with_descendants(id);
            self.tree.unmark_ready(&above);
            self.route.reset(&self.tree);
        }
    }

    fn has_content(&self, id: &BlockId) -> bool {
        self.waiting.contains(id) || self.tree.is_executed(id)
    }

    /// Steps toward the heaviest chain whose contents are here; asks for those of a heavier one, which hold up
    /// nothing if they are withheld.
    fn advance(&mut self, is_tick: bool, effects: &mut Vec<Effect>) {
        while self.connecting.is_none() && self.loading.is_none() {
            let best = self.tree.best_ready().filter(|best| Some(**best) > self.tree.rank(&self.tip));
            let best = best.map(|(.., id)| id.0);
            let Some((leave, enter)) = best.and_then(|best| self.tree.path(&self.tip, &best)) else {
                (self.turn.is_over, self.is_leaving) = (false, false);
                if self.told != self.tip {
                    self.told = self.tip;
                    effects.push(Effect::NewTip(self.tip));
                }
                return self.ask(is_tick, effects);
            };
            let room = self.turn.room();
            if room == 0 {
                self.turn.is_over = true;
                return self.ask(is_tick, effects);
            }
            if !leave.is_empty() {
                self.leave(leave.iter().take(room), effects);
            } else if let Some(next) = enter.first() {
                self.connect(*next, effects);
            }
        }
    }

    fn ask(&mut self, is_tick: bool, effects: &mut Vec<Effect>) {
        let (waiting, tree) = (&self.waiting, &self.tree);
        let has_content = |id: &BlockId| waiting.contains(id) || tree.is_executed(id);
        let room = if waiting.bytes() < WAITING_BYTES_MAX { usize::MAX } else { 1 };
        let mut missing = self.route.missing(&self.tree, has_content);
        missing.truncate(room);
        if is_tick {
            let beside = self.route.missing_beside(&self.tree, &self.tip, has_content);
            missing.extend(beside.into_iter().take(room));
        }
        if !missing.is_empty() {
            effects.push(Effect::Fetch(missing));
        }
    }

    fn leave<'a>(&mut self, leave: impl Iterator<Item = &'a BlockId>, effects: &mut Vec<Effect>) {
        if !self.is_leaving {
            self.reorgs = self.reorgs.saturating_add(1);
        }
        self.is_leaving = true;
        for id in leave {
            effects.push(Effect::Disconnect(*id));
            self.turn.spend(0);
            if let Some(node) = self.tree.get(id) {
                self.tip = node.parent;
            }
        }
    }

    /// Hands a block to the ledger, or condemns it.
    fn connect(&mut self, id: BlockId, effects: &mut Vec<Effect>) {
        let Some(block) = self.waiting.get(&id).cloned() else {
            self.loading = Some(id);
            effects.push(Effect::Load(id));
            return;
        };
        let linked: Result<Block<Linked>, BlockError> = block.link(
            &self.spec,
            |farmer| self.ban(farmer, &self.tip).is_some(),
            self.tree.median_time_past(&self.tip).unwrap_or(0),
        );
        match linked {
            Ok(linked) => {
                self.is_leaving = false;
                self.turn.spend(linked.body().len());
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
