//! One chain on one machine: engine, ledger, storage and mempool under one owner.
//!
//! Time comes in as slots and seconds; peers and farmers come in as bytes. What the outside has to do is
//! returned as [`Notice`]s.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
};

use mass_consensus::{
    beacon::Beacon,
    block::{Block, Decoded, EVIDENCE_MAX, Linked, Proven, commits_to_state},
    difficulty::compact_target,
    engine::{Effect, Engine, Forgotten, Input, Pace},
    evidence::{Evidence, EvidenceError, ProvenEvidence, evidence_commitment},
    header::{Header, Seal, SealClaim, SealedHeader},
    ledger::{ApplyError, BlockContext, Carried, Ledger},
    proven::ProvenHeader,
    spec::{ChainSpec, Checkpoint},
    tree::{Expectation, LinkError, Restored},
};
use mass_ledger_utxo::UtxoLedger;
use mass_mempool::{CoinKey, Estimator, Pool};
use mass_primitives::{
    BlockId, BodyRoot, Decode, Encode, FarmerPublicKey, Height, Reader, SealSignature, Slot, StateHash,
    Ticket, VrfProof,
};
use mass_storage::{ConnectBlock, NewHeader, Slack, Snapshot, StatePart, Store, StoreError, Tip};

use crate::{
    error::ChainError,
    index,
    ledger::{NextBlock, NodeLedger},
    prove::{Prove, read_stored},
    prover::{Afresh, Prover},
};

/// Headers that wait for their farmer's signature at the most.
const PREPARED_MAX: usize = 64;

/// A node whose tip is so many blocks below the best header is catching up.
const CATCHING_UP_BLOCKS: u32 = 16;

/// What a crash may lose of the blocks that a node gets while it is catching up.
const CATCHING_UP_SLACK: Slack = Slack { commits: 256, bytes: 32 << 20 };

/// What the outside has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There is a new tip: tell farmers and peers.
    NewTip(BlockId),
    /// Ask peers for these blocks, lowest first.
    Fetch(Vec<BlockId>),
    /// A header or block was refused; with a reason if it broke a rule.
    Refused(BlockId, Option<String>),
    /// A farmer sealed twice in one slot; the next block made here will say so.
    DoubleSeal(FarmerPublicKey),
    /// A block was undone, the highest first. Peers whose chain never had it may not know it.
    Left(BlockId),
}

/// What a chain is put together from.
pub struct Parts<L> {
    /// The chain spec.
    pub spec: ChainSpec,
    /// The ledger of the spec: see [`Chain::ledger_of`].
    pub ledger: L,
    /// The database, of this chain.
    pub store: Store,
    /// Who proves what comes in.
    pub prover: Arc<dyn Prover<L>>,
    /// What is known of the parent's seeds, for a chain that inherits its beacon.
    pub beacon: Option<Beacon>,
}

/// A chain with all that it owns.
pub struct Chain<L> {
    spec: ChainSpec,
    prover: Arc<dyn Prover<L>>,
    pub(crate) ledger: L,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) pool: Pool,
    pub(crate) estimator: Estimator,
    prepared: BTreeMap<BlockId, (Header, SealClaim, Vec<Evidence>, Vec<u8>)>,
    /// Transactions of blocks that a reorg left, to be offered to the pool again in this order.
    pub(crate) orphaned: VecDeque<Vec<u8>>,
    /// Coins that went with those blocks.
    pub(crate) gone: Vec<CoinKey>,
    /// Linked headers on their way to storage, parents first.
    unstored: Vec<ProvenHeader>,
    /// Whether many blocks come that can be had again.
    bulk: bool,
    /// What one turn does.
    pub(crate) pace: Option<Pace>,
}

impl<L: NodeLedger> Chain<L> {
    /// Opens the chain at `path`, with the genesis block in a new database. A chain that inherits its beacon
    /// gets what is known of it.
    ///
    /// # Errors
    /// [`ChainError`] if the spec names another ledger, or the database is of another chain or damaged.
    pub fn open(path: &Path, spec: ChainSpec, beacon: Option<Beacon>) -> Result<Self, ChainError> {
        let ledger = Self::ledger_of(&spec)?;
        let store = Store::open(path, spec.id())?;
        Self::with(Parts { spec, ledger, store, prover: Arc::new(Afresh), beacon })
    }

    /// The ledger that runs on a chain.
    ///
    /// # Errors
    /// [`ChainError`] if it is of another kind, or its parameters describe none.
    pub fn ledger_of(spec: &ChainSpec) -> Result<L, ChainError> {
        let got = &spec.rules().ledger.kind;
        if got != L::KIND {
            return Err(ChainError::LedgerKind { got: got.clone(), expected: L::KIND });
        }
        L::open(spec)
    }

    /// Puts a chain together, with the genesis block in an empty database.
    ///
    /// # Errors
    /// [`ChainError`] if the database is damaged.
    pub fn with(parts: Parts<L>) -> Result<Self, ChainError> {
        Self::assemble(parts, false)
    }

    /// [`Self::open`], with all stored headers proven again, for who doubts the disk.
    ///
    /// # Errors
    /// As [`Self::open`], and if a header does not hold.
    pub fn reverify(path: &Path, spec: ChainSpec, beacon: Option<Beacon>) -> Result<Self, ChainError> {
        let ledger = Self::ledger_of(&spec)?;
        let store = Store::open(path, spec.id())?;
        Self::assemble(Parts { spec, ledger, store, prover: Arc::new(Afresh), beacon }, true)
    }

    fn assemble(parts: Parts<L>, reverify: bool) -> Result<Self, ChainError> {
        let Parts { spec, ledger, store, prover, beacon } = parts;
        let spec = match store.base()? {
            Some(base) => spec.with_checkpoints(&[based_on(base)])?,
            None => spec,
        };
        index::drop_unknown::<L>(&store)?;
        let genesis = open_genesis(&spec, &ledger, &store)?;
        let again = |list: &[SealedHeader]| prover.headers(&spec, list);
        let engine = restore((&spec, &ledger), &store, reverify.then_some(&again), genesis, beacon)?;
        let pool = Pool::new(ledger.pool_limits());
        let (prepared, orphaned, gone, unstored) = (BTreeMap::new(), VecDeque::new(), Vec::new(), Vec::new());
        let estimator = Estimator::new();
        let (bulk, pace) = (false, None);
        Ok(Self {
            spec,
            prover,
            ledger,
            store,
            engine,
            pool,
            estimator,
            prepared,
            orphaned,
            gone,
            unstored,
            bulk,
            pace,
        })
    }

    /// Begins with the state after a block of the best chain, `base`, instead of the blocks before it: a chain that has
    /// none but the genesis block. From then on the block is a checkpoint, for there is no way back from it.
    ///
    /// # Errors
    /// The parts are not the state with this hash, or a fatal error.
    pub(crate) fn begin_with(
        &mut self,
        base: Tip,
        hash: &StateHash,
        parts: impl Iterator<Item = Result<StatePart, StoreError>>,
        now: u64,
    ) -> Result<(), ChainError> {
        let tree = self.engine.tree();
        let ids = (1..=base.height.get()).map(|height| tree.ancestor_at(&base.id, Height::new(height)));
        let active = ids.collect::<Option<Vec<_>>>().ok_or(LinkError::Parent(base.id))?;
        self.store.install(&active, hash, parts)?;
        self.spec = self.spec.clone().with_checkpoints(&[based_on(base)])?;
        let (genesis, beacon) = (*tree.genesis(), tree.beacon().cloned());
        let slot = self.engine.horizon();
        self.engine = restore((&self.spec, &self.ledger), &self.store, None, genesis, beacon)?;
        self.engine.set_pace(self.pace);
        // What is to be fetched is said again at the next tick.
        self.feed(vec![Input::Tick(slot)], now).map(drop)
    }

    /// Goes on with the blocks of another, which has the same tip, and keeps pool and evidence.
    ///
    /// # Errors
    /// Fatal ones only.
    pub(crate) fn continue_on(&mut self, other: Self, now: u64) -> Result<(), ChainError> {
        let (evidence, slot) = (self.store.evidence()?, self.engine.horizon());
        (self.spec, self.store, self.engine) = (other.spec, other.store, other.engine);
        self.engine.set_pace(self.pace);
        self.feed(vec![Input::Tick(slot)], now)?;
        for bytes in evidence {
            match self.take_evidence(&bytes, now) {
                Err(error) if error.is_fatal() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The chain spec.
    #[must_use]
    pub const fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The engine, to read.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The storage, to read.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The pool, to read.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What the next block must carry if it is of `slot`.
    ///
    /// # Errors
    /// [`ChainError::Link`] at the end of the chain's numbers, or if the parent's seed is not known.
    pub fn expectation(&self, slot: Slot) -> Result<Expectation, ChainError> {
        Ok(self.engine.expectation(slot)?)
    }

    /// The parent's chain gives these seeds.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn take_beacon(&mut self, beacon: Beacon, now: u64) -> Result<Vec<Notice>, ChainError> {
        self.feed(vec![Input::Beacon(beacon)], now)
    }

    /// The clock shows `slot`.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn tick(&mut self, slot: Slot, now: u64) -> Result<Vec<Notice>, ChainError> {
        self.age_pool(now);
        self.feed(vec![Input::Tick(slot)], now)
    }

    /// Sealed headers came, parents first. Those that are known are not looked at again.
    ///
    /// # Errors
    /// What is wrong with the first bad one; then none is taken.
    pub fn take_headers(&mut self, list: &[Vec<u8>], now: u64) -> Result<Vec<Notice>, ChainError> {
        let sealed =
            list.iter().map(|bytes| SealedHeader::from_bytes(bytes)).collect::<Result<Vec<_>, _>>()?;
        let inputs = self.prove_headers(&sealed)?;
        self.feed(inputs, now)
    }

    /// The header of a block came whose content is on its way: one commit stores both, or the next clock tick the
    /// header if the block stays out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn take_told_header(
        &mut self,
        sealed: &SealedHeader,
        now: u64,
    ) -> Result<Vec<Notice>, ChainError> {
        let inputs = self.prove_headers(&[*sealed])?;
        self.run(inputs, now)
    }

    /// Headers that are not known, proven.
    fn prove_headers(&self, list: &[SealedHeader]) -> Result<Vec<Input>, ChainError> {
        let new = list.iter().filter(|sealed| !self.engine.tree().contains(&sealed.id())).copied();
        let proven = self.prover.headers(&self.spec, &new.collect::<Vec<_>>());
        let proven = proven.into_iter().collect::<Result<Vec<_>, _>>();
        let proven = proven.map_err(mass_consensus::block::BlockError::from)?;
        Ok(proven.into_iter().rev().map(Input::Header).collect())
    }

    /// A whole block came.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take_block(&mut self, bytes: &[u8], now: u64) -> Result<Vec<Notice>, ChainError> {
        let block = Block::<Decoded>::from_bytes(bytes)?;
        if self.engine.has_judged(&block.sealed().id()) {
            return Ok(Vec::new());
        }
        let block = self.prove(block)?;
        self.feed(vec![Input::Block(block)], now)
    }

    /// Evidence of a double seal came; whether it is of use here, and so to others.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take_evidence(&mut self, bytes: &[u8], now: u64) -> Result<bool, ChainError> {
        let evidence = Evidence::from_bytes(bytes)?;
        if !self.engine.wants_evidence(evidence.farmer(), evidence.height()) {
            return Ok(false);
        }
        let proven = self.prover.evidence(&self.spec, evidence)?;
        self.feed(vec![Input::Evidence(Box::new(proven))], now)?;
        Ok(true)
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &L {
        &self.ledger
    }

    /// The body of a stored block, as the ledger wrote it.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn body(&self, id: &BlockId) -> Result<Option<Vec<u8>>, ChainError> {
        let Some(content) = self.store.body(id)? else { return Ok(None) };
        let is_genesis = id == self.engine.tree().genesis();
        Ok(Some(if is_genesis { content } else { read_content(&content)?.1.to_vec() }))
    }

    /// The bytes of a stored block, as peers want it.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn block_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, ChainError> {
        let (Some(header), Some(body)) = (self.store.header(id)?, self.store.body(id)?) else {
            return Ok(None);
        };
        Ok(Some([header.bytes, body].concat()))
    }

    /// A block that peers may ask for: one that was passed on may not be executed yet, and so not stored.
    ///
    /// # Errors
    /// Fatal ones only.
    pub(crate) fn told_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, ChainError> {
        match self.engine.waiting(id) {
            Some(block) => Ok(Some([&**block.header().encoded(), &block.content()].concat())),
            None => self.block_bytes(id),
        }
    }

    /// Makes a block candidate for a claim; the header for its farmer to sign.
    ///
    /// # Errors
    /// [`ChainError::Stale`] if the claim is not for the present tip, [`ChainError::Early`] if its slot has not
    /// come, [`ChainError::Moving`] if the tip is on its way, or why the body cannot be made.
    pub fn prepare(&mut self, claim: SealClaim, payout: &str) -> Result<Header, ChainError> {
        if self.has_work() {
            return Err(ChainError::Moving(self.height()));
        }
        let expected = self.expectation(claim.slot)?;
        let fits = [
            ("the chain", claim.chain == *self.spec.id()),
            ("the height", claim.height == expected.height),
            ("the slot", claim.slot > expected.after),
            ("the seed", claim.seed == expected.seed),
            ("the difficulty", claim.difficulty == expected.difficulty),
        ];
        if let Some((name, _)) = fits.into_iter().find(|(_, fits)| !fits) {
            return Err(ChainError::Stale(name));
        }
        if claim.slot > self.engine.horizon() {
            return Err(ChainError::Early(claim.slot));
        }
        let time = self.spec.slot_time(claim.slot).ok_or(ChainError::Stale("the time"))?;
        let parent = *self.engine.tip();
        let evidence = self.evidence_for(claim.farmer());
        let context = self.context(&claim, time, &evidence);
        let state = self.store.snapshot()?;
        let candidate = self.ledger.build(
            &state,
            &self.pool,
            &context,
            payout,
            self.carried(&state, claim.height, &evidence)?,
        )?;
        self.refuse(candidate.refused);
        let body = candidate.body;
        let root = self.ledger.commitment(&body).map_err(refusal)?.root;
        let (version, nonce) = Header::commitment_fields(&claim.commitment());
        let header = Header { version, parent, root, time, bits: compact_target(claim.difficulty), nonce };
        while self.prepared.len() >= PREPARED_MAX {
            self.prepared.pop_first();
        }
        self.prepared.insert(header.id(), (header, claim, evidence, body));
        Ok(header)
    }

    /// The farmer's signature came: the block, ready for peers, and what follows from it.
    ///
    /// # Errors
    /// [`ChainError::Unprepared`], or the rule that the block breaks.
    pub fn submit(
        &mut self,
        id: &BlockId,
        vrf_proof: VrfProof,
        signature: SealSignature,
        now: u64,
    ) -> Result<(Vec<u8>, Vec<Notice>), ChainError> {
        let prepared = self.prepared.get(id).cloned();
        let (header, claim, evidence, body) = prepared.ok_or(ChainError::Unprepared(*id))?;
        let sealed = SealedHeader { header, seal: Seal { claim, vrf_proof, signature } };
        let block = Block::new(sealed, evidence, body);
        let bytes = block.to_bytes();
        let block = self.prove(block)?;
        // Not before: a bad seal does not cost a farmer the header.
        self.prepared.remove(id);
        let notices = self.feed(vec![Input::Block(block)], now)?;
        // Its farmer cannot seal the slot again, so it is on disk before he hears of it, however far behind the node is.
        self.store.sync()?;
        Ok((bytes, notices))
    }

    fn prove(&self, block: Block<Decoded>) -> Result<Block<Proven>, ChainError> {
        self.prover.block(&self.spec, &self.ledger, block)
    }

    /// Evidence for a block of `sealer`, who cannot include what bans him.
    fn evidence_for(&self, sealer: &FarmerPublicKey) -> Vec<Evidence> {
        let due = self.engine.evidence_for_next().into_iter();
        due.filter(|evidence| evidence.farmer() != sealer).collect()
    }

    /// What the body of a block at `height` on the tip has to carry.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn carried(
        &self,
        state: &Snapshot,
        height: Height,
        evidence: &[Evidence],
    ) -> Result<Carried, ChainError> {
        let is_due = commits_to_state(&self.spec, height);
        let state = is_due.then(|| state.state_hash()).transpose()?;
        Ok(Carried { evidence: evidence_commitment(evidence), state })
    }

    fn context(&self, claim: &SealClaim, time: u32, evidence: &[Evidence]) -> BlockContext {
        BlockContext {
            height: claim.height,
            slot: claim.slot,
            time,
            median_time_past: self.median_time_past(),
            farmer: *claim.farmer(),
            banned: evidence.iter().map(|evidence| *evidence.farmer()).collect(),
        }
    }

    /// Height of the tip.
    #[must_use]
    pub fn height(&self) -> Height {
        self.engine.tree().get(self.engine.tip()).map_or(Height::ZERO, |tip| tip.height)
    }

    /// What is known of the next block.
    pub(crate) fn next_block(&self) -> NextBlock {
        NextBlock {
            height: self.height().next().unwrap_or_default(),
            median_time_past: self.median_time_past(),
        }
    }

    fn median_time_past(&self) -> u32 {
        self.engine.tree().median_time_past(self.engine.tip()).unwrap_or(0)
    }

    /// As [`Self::run`]; headers that came are stored.
    pub(crate) fn feed(&mut self, inputs: Vec<Input>, now: u64) -> Result<Vec<Notice>, ChainError> {
        let notices = self.run(inputs, now)?;
        self.store_headers()?;
        Ok(notices)
    }

    /// Feeds the engine, the last input first, until it rests, performing its effects in order.
    fn run(&mut self, mut inputs: Vec<Input>, now: u64) -> Result<Vec<Notice>, ChainError> {
        let mut notices = Vec::new();
        while let Some(input) = inputs.pop() {
            for effect in self.engine.step(input) {
                self.perform(effect, &mut inputs, &mut notices, now)?;
            }
        }
        self.tip_rests(now)?;
        Ok(notices)
    }

    fn perform(
        &mut self,
        effect: Effect,
        inputs: &mut Vec<Input>,
        notices: &mut Vec<Notice>,
        now: u64,
    ) -> Result<(), ChainError> {
        match effect {
            Effect::StoreHeader(proven) => self.unstored.push(proven),
            Effect::ForgetHeaders(list) => self.forget_headers(&list)?,
            Effect::StoreEvidence(evidence) => {
                self.store.put_evidence(evidence.farmer(), Some(&evidence.to_bytes()))?;
            }
            Effect::ForgetEvidence(farmers) => {
                farmers.iter().try_for_each(|farmer| self.store.put_evidence(farmer, None))?;
            }
            Effect::Disconnect(id) => {
                self.disconnect(id)?;
                notices.push(Notice::Left(id));
            }
            Effect::Connect(block) => inputs.push(self.connect(*block, notices, now)?),
            Effect::Load(id) => inputs.push(Input::Block(self.load(&id)?)),
            Effect::Fetch(ids) => match (self.stored_before(&ids)?, notices.last_mut()) {
                (Some(id), _) => inputs.push(Input::Block(self.load(&id)?)),
                (None, Some(Notice::Fetch(last))) => *last = ids,
                (None, _) => notices.push(Notice::Fetch(ids)),
            },
            Effect::NewTip(id) => notices.push(Notice::NewTip(id)),
            Effect::DoubleSeal(evidence) => notices.push(Notice::DoubleSeal(*evidence.farmer())),
            Effect::Refuse(id, reason) => notices.push(Notice::Refused(id, reason)),
        }
        Ok(())
    }

    /// All headers that came at one time in one commit.
    fn store_headers(&mut self) -> Result<(), ChainError> {
        if self.unstored.is_empty() {
            return Ok(());
        }
        let headers = self.unstored.iter().map(|proven| {
            let (claim, ticket) = (&proven.sealed().seal.claim, *proven.ticket());
            let (id, height, farmer, slot) = (*proven.id(), claim.height, *claim.farmer(), claim.slot);
            NewHeader { id, height, farmer, slot, ticket, bytes: proven.encoded() }
        });
        self.store.put_headers(&headers.collect::<Vec<_>>())?;
        self.unstored.clear();
        Ok(())
    }

    fn forget_headers(&mut self, list: &[Forgotten]) -> Result<(), ChainError> {
        self.store_headers()?;
        let list = list.iter().map(|gone| (gone.id, gone.height, gone.farmer, gone.slot));
        Ok(self.store.forget_headers(&list.collect::<Vec<_>>())?)
    }

    fn connect(
        &mut self,
        block: Block<Linked>,
        notices: &mut Vec<Notice>,
        now: u64,
    ) -> Result<Input, ChainError> {
        let id = *block.header().id();
        // One commit is enough for a header that came with its block.
        let is_alone = matches!(&self.unstored[..], [header] if *header.id() == id);
        if !is_alone {
            self.store_headers()?;
        }
        let state = self.store.snapshot()?;
        if let Err(error) = block.check_state(&self.spec, &state.state_hash()?) {
            notices.push(Notice::Refused(id, Some(error.to_string())));
            return Ok(Input::Refused(id));
        }
        let delta = match self.ledger.apply(&state, block.context(), block.body()) {
            Ok(delta) => delta,
            Err(ApplyError::Invalid(error)) => {
                notices.push(Notice::Refused(id, Some(error.to_string())));
                return Ok(Input::Refused(id));
            }
            Err(ApplyError::State(error)) => return Err(error.into()),
        };
        let height = block.header().sealed().seal.claim.height;
        self.store.set_slack(self.slack(height))?;
        let indexes = index::entries(&self.ledger, &self.store, &state, (height, id, block.body()))?;
        drop(state);
        let block = block.executed(delta);
        let sealed = block.header().sealed();
        self.store.connect(&ConnectBlock {
            id,
            height,
            parent: Some(sealed.header.parent),
            seal: Some((*sealed.seal.claim.farmer(), sealed.seal.claim.slot)),
            ticket: *block.header().ticket(),
            banned: block.banned(),
            header_bytes: block.header().encoded(),
            body: &block.content(),
            delta: block.delta(),
            indexes: &indexes,
        })?;
        if is_alone {
            self.unstored.clear();
        }
        let included = self.ledger.transactions(block.body()).map_err(refusal)?;
        self.confirm(included, sealed.seal.claim.height, now);
        Ok(Input::Connected(id))
    }

    /// What a crash may lose when the block of a height is stored or undone: nothing near the tip, and a little while many blocks come
    /// that peers have.
    fn slack(&self, height: Height) -> Option<Slack> {
        let behind = self.engine.tree().best_height().get().saturating_sub(height.get());
        (self.bulk || behind >= CATCHING_UP_BLOCKS).then_some(CATCHING_UP_SLACK)
    }

    /// Many blocks come that can be had again, as from a file: a crash may lose the last of them. `false` writes all to disk.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn set_bulk(&mut self, bulk: bool) -> Result<(), ChainError> {
        self.bulk = bulk;
        Ok(self.store.set_slack(bulk.then_some(CATCHING_UP_SLACK))?)
    }

    fn disconnect(&mut self, id: BlockId) -> Result<(), ChainError> {
        let height = self.store.tip()?.map_or(Height::ZERO, |tip| tip.height);
        self.store.set_slack(self.slack(height))?;
        // Its body stays.
        index::disconnect_tip(&self.ledger, &self.store)?;
        let content =
            self.store.body(&id)?.ok_or_else(|| ChainError::Database(format!("no body of {id}")))?;
        let (_, body) = read_content(&content)?;
        let included = self.ledger.transactions(body).map_err(refusal)?;
        // The tip goes first, and what it holds may spend what the blocks below hold.
        self.gone.extend(included.iter().flat_map(|tx| tx.creates.iter().cloned()));
        included.into_iter().rev().filter_map(|tx| tx.bytes).for_each(|tx| self.orphaned.push_front(tx));
        Ok(())
    }

    /// The lowest of these, if storage has it: where the beacon is inherited, the parent's chain may take headers
    /// out and bring them back.
    fn stored_before(&self, ids: &[BlockId]) -> Result<Option<BlockId>, ChainError> {
        let Some(id) = ids.first().filter(|_| self.spec.inherits_beacon()) else { return Ok(None) };
        Ok(self.store.body(id)?.map(|_| *id))
    }

    /// A block that was executed once.
    fn load(&self, id: &BlockId) -> Result<Block<Proven>, ChainError> {
        let damaged = |why: String| ChainError::Database(format!("block {id}: {why}"));
        let bytes = self.block_bytes(id)?.ok_or_else(|| damaged("its content is gone".to_owned()))?;
        let block = Block::<Decoded>::from_bytes(&bytes).map_err(|error| damaged(error.to_string()))?;
        self.prove(block).map_err(|error| damaged(error.to_string()))
    }
}

/// The checkpoint that a block is whose state a chain began with.
const fn based_on(base: Tip) -> Checkpoint {
    Checkpoint { height: base.height, id: base.id }
}

/// A rule of the ledger that a body breaks.
pub(crate) fn refusal(error: impl std::error::Error + Send + Sync + 'static) -> ChainError {
    ChainError::Ledger(Box::new(error))
}

fn genesis_header<L: NodeLedger>(spec: &ChainSpec, ledger: &L, body: &[u8]) -> Result<Header, ChainError> {
    let root: BodyRoot = ledger.commitment(body).map_err(refusal)?.root;
    Ok(Header::genesis(spec, root))
}

/// The id of the genesis block of a chain whose headers alone are followed: from a checkpoint of height 0, or from
/// the ledger if that is Mass Net's.
pub(crate) fn genesis_id(spec: &ChainSpec) -> Result<BlockId, ChainError> {
    if let Some(id) = genesis_checkpoint(spec) {
        return Ok(id);
    }
    if spec.rules().ledger.kind != UtxoLedger::KIND {
        return Err(ChainError::NoGenesis(spec.rules().name.clone()));
    }
    let ledger = Chain::<UtxoLedger>::ledger_of(spec)?;
    Ok(genesis_header(spec, &ledger, &ledger.genesis().0)?.id())
}

fn genesis_checkpoint(spec: &ChainSpec) -> Option<BlockId> {
    let checkpoints = spec.hints().checkpoints.iter();
    checkpoints.filter(|checkpoint| checkpoint.height == Height::ZERO).map(|checkpoint| checkpoint.id).next()
}

/// The genesis header, stored with its body if the database is new.
fn open_genesis<L: NodeLedger>(spec: &ChainSpec, ledger: &L, store: &Store) -> Result<BlockId, ChainError> {
    let (body, delta) = ledger.genesis();
    let header = genesis_header(spec, ledger, &body)?;
    let id = header.id();
    if let Some(expected) = genesis_checkpoint(spec).filter(|expected| *expected != id) {
        return Err(ChainError::Genesis { got: id, expected });
    }
    match store.active_id(Height::ZERO)? {
        None => store.connect(&ConnectBlock {
            id,
            height: Height::ZERO,
            parent: None,
            seal: None,
            ticket: Ticket::ZERO,
            banned: &[],
            header_bytes: &header.to_bytes(),
            body: &body,
            delta: &delta,
            indexes: &index::entries(ledger, store, &store.snapshot()?, (Height::ZERO, id, &body))?,
        })?,
        Some(found) if found != id => {
            return Err(ChainError::Database(format!("genesis is {found}, not {id}")));
        }
        Some(_) => {}
    }
    Ok(id)
}

/// An engine as it was when the database was last written.
fn restore<L: NodeLedger>(
    (spec, ledger): (&ChainSpec, &L),
    store: &Store,
    reverify: Option<Prove<'_>>,
    genesis: BlockId,
    beacon: Option<Beacon>,
) -> Result<Engine, ChainError> {
    let mut engine = Engine::new(spec.clone(), genesis);
    if let Some(beacon) = beacon {
        engine.step(Input::Beacon(beacon));
    }
    let mut bans: BTreeMap<BlockId, Vec<FarmerPublicKey>> = BTreeMap::new();
    for (id, farmer) in store.bans()? {
        bans.entry(id).or_default().push(farmer);
    }
    read_stored(store.headers(Height::new(1))?, reverify, |header, is_connected| {
        let banned = bans.get(&header.id).map_or(&[][..], Vec::as_slice);
        restore_header(&mut engine, header, is_connected.then_some(banned))
    })?;
    for bytes in store.evidence()? {
        let damaged = |error: EvidenceError| ChainError::Database(format!("evidence: {error}"));
        let evidence = ProvenEvidence::prove(spec, Evidence::from_bytes(&bytes)?).map_err(damaged)?;
        engine.restore_evidence(&evidence);
    }
    let missed = missed_checkpoint(spec, store)?;
    if let Some((checkpoint, got)) = missed {
        tracing::warn!(
            "the chain kept here has block {got} at height {}, where a checkpoint wants {}: it is left, and the chain \
             with the checkpoint is followed when peers or the disk have it",
            checkpoint.height,
            checkpoint.id
        );
    }
    while let Some(Tip { id, .. }) = store.tip()? {
        if engine.tree().contains(&id) {
            engine.restore_tip(id);
            break;
        }
        index::disconnect_tip(ledger, store)?;
    }
    Ok(engine)
}

/// The oldest checkpoint that the active chain contradicts, and what it has there.
fn missed_checkpoint(spec: &ChainSpec, store: &Store) -> Result<Option<(Checkpoint, BlockId)>, ChainError> {
    let mut missed: Vec<(Checkpoint, BlockId)> = Vec::new();
    for checkpoint in &spec.hints().checkpoints {
        let got = store.active_id(checkpoint.height)?.filter(|got| *got != checkpoint.id);
        missed.extend(got.map(|got| (*checkpoint, got)));
    }
    Ok(missed.into_iter().min_by_key(|(checkpoint, _)| checkpoint.height))
}

/// Whether a header that is stored has no place any more and may be passed over: another parent's chain or another
/// checkpoint holds than when it was stored.
pub(crate) fn is_left_out(spec: &ChainSpec, error: &LinkError) -> bool {
    match error {
        LinkError::Beacon => spec.inherits_beacon(),
        LinkError::Parent(_) => spec.inherits_beacon() || spec.newest_checkpoint().is_some(),
        other => other.is_checkpoint(),
    }
}

/// A stored header, with the keys that its block bans if it was connected once.
fn restore_header(
    engine: &mut Engine,
    header: &Restored,
    banned: Option<&[FarmerPublicKey]>,
) -> Result<(), ChainError> {
    let restored = match banned {
        Some(banned) => engine.restore(header, banned),
        None => engine.restore_header(header),
    };
    match restored {
        Err(error) if is_left_out(engine.tree().spec(), &error) => Ok(()),
        other => Ok(other?),
    }
}

/// The body of a stored block at a height, as the ledger wrote it.
pub(crate) fn read_body(store: &Store, height: Height, id: &BlockId) -> Result<Vec<u8>, ChainError> {
    let content = store.body(id)?.ok_or_else(|| ChainError::Database(format!("no body of {id}")))?;
    // The genesis block's has no evidence beside it.
    Ok(if height == Height::ZERO { content } else { read_content(&content)?.1.to_vec() })
}

pub(crate) fn read_content(content: &[u8]) -> Result<(Vec<Evidence>, &[u8]), ChainError> {
    let mut reader = Reader::new(content);
    let evidence = reader.list(EVIDENCE_MAX)?;
    let body = reader.byte_string(mass_consensus::block::BODY_BYTES_MAX)?;
    reader.finish()?;
    Ok((evidence, body))
}
