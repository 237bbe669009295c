//! One chain on one machine: engine, ledger, storage and mempool under one owner.
//!
//! Time comes in as slots and seconds; peers and farmers come in as bytes. What the outside has to do is
//! returned as [`Notice`]s.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use mass_consensus::{
    beacon::Beacon,
    block::{Block, Decoded, EVIDENCE_MAX, Linked, Proven},
    difficulty::compact_target,
    engine::{Effect, Engine, Input},
    evidence::{Evidence, evidence_commitment},
    header::{Header, Seal, SealClaim, SealedHeader},
    ledger::{ApplyError, BlockContext, Ledger},
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::{Expectation, LinkError},
};
use mass_ledger_utxo::UtxoLedger;
use mass_mempool::{EntryId, Pool};
use mass_primitives::{
    BlockId, BodyRoot, Decode, Encode, FarmerPublicKey, Height, Reader, SealSignature, Slot, VrfProof,
};
use mass_storage::{ConnectBlock, NewHeader, Store, Tip};

use crate::{
    error::ChainError,
    index,
    ledger::{NextBlock, NodeLedger},
    prove::prove_stored,
    prover::{Afresh, Prover},
};

/// Headers that wait for their farmer's signature at the most.
const PREPARED_MAX: usize = 64;

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
    ledger: L,
    store: Store,
    engine: Engine,
    pool: Pool,
    prepared: BTreeMap<BlockId, (Header, SealClaim, Vec<Evidence>, Vec<u8>)>,
    /// Transactions of blocks that a reorg left, to be offered to the pool again in this order.
    orphaned: Vec<Vec<u8>>,
    /// Linked headers on their way to storage, parents first.
    unstored: Vec<SealedHeader>,
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
        let Parts { spec, ledger, store, prover, beacon } = parts;
        index::drop_unknown::<L>(&store)?;
        let genesis = open_genesis(&spec, &ledger, &store)?;
        let engine = restore((&spec, &ledger), &store, &*prover, genesis, beacon)?;
        let pool = Pool::new(ledger.pool_limits());
        let (prepared, orphaned, unstored) = (BTreeMap::new(), Vec::new(), Vec::new());
        Ok(Self { spec, prover, ledger, store, engine, pool, prepared, orphaned, unstored })
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
        self.pool.expire(now);
        self.feed(vec![Input::Tick(slot)], now)
    }

    /// Sealed headers came, parents first. Those that are known are not looked at again.
    ///
    /// # Errors
    /// What is wrong with the first bad one; then none is taken.
    pub fn take_headers(&mut self, list: &[Vec<u8>], now: u64) -> Result<Vec<Notice>, ChainError> {
        let mut new = Vec::new();
        for bytes in list {
            let sealed = SealedHeader::from_bytes(bytes)?;
            if self.engine.tree().get(&sealed.id()).is_none() {
                new.push(sealed);
            }
        }
        let proven = self.prover.headers(&self.spec, &new).into_iter().collect::<Result<Vec<_>, _>>();
        let proven = proven.map_err(mass_consensus::block::BlockError::from)?;
        self.feed(proven.into_iter().rev().map(Input::Header).collect(), now)
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

    /// A transaction came; its id.
    ///
    /// # Errors
    /// Why the pool does not take it.
    pub fn take_transaction(&mut self, bytes: &[u8], now: u64) -> Result<EntryId, ChainError> {
        let next = NextBlock { height: self.next_height(), median_time_past: self.median_time_past() };
        let state = self.store.snapshot()?;
        let entry = self.ledger.admit(&state, &self.pool, next, bytes)?;
        let id = entry.id;
        self.pool.admit(entry, now)?;
        Ok(id)
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

    /// Makes a block candidate for a claim; the header for its farmer to sign.
    ///
    /// # Errors
    /// [`ChainError::Stale`] if the claim is not for the present tip, [`ChainError::Early`] if its slot has not
    /// come, or why the body cannot be made.
    pub fn prepare(&mut self, claim: SealClaim, payout: &str) -> Result<Header, ChainError> {
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
        let candidate =
            self.ledger.build(&state, &self.pool, &context, payout, evidence_commitment(&evidence))?;
        self.pool.refuse(candidate.refused);
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

    fn next_height(&self) -> Height {
        let tip = self.engine.tree().get(self.engine.tip());
        tip.and_then(|tip| tip.height.next()).unwrap_or_default()
    }

    fn median_time_past(&self) -> u32 {
        self.engine.tree().median_time_past(self.engine.tip()).unwrap_or(0)
    }

    /// Feeds the engine, the last input first, until it rests, performing its effects in order.
    fn feed(&mut self, mut inputs: Vec<Input>, now: u64) -> Result<Vec<Notice>, ChainError> {
        let mut notices = Vec::new();
        while let Some(input) = inputs.pop() {
            for effect in self.engine.step(input) {
                self.perform(effect, &mut inputs, &mut notices)?;
            }
        }
        self.store_headers()?;
        for bytes in std::mem::take(&mut self.orphaned) {
            // What the new chain spent or confirmed is refused here, as it should be.
            let _ = self.take_transaction(&bytes, now);
        }
        Ok(notices)
    }

    fn perform(
        &mut self,
        effect: Effect,
        inputs: &mut Vec<Input>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), ChainError> {
        match effect {
            Effect::StoreHeader(sealed) => self.unstored.push(*sealed),
            Effect::Disconnect(id) => self.disconnect(id)?,
            Effect::Connect(block) => inputs.push(self.connect(*block, notices)?),
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
        let bytes: Vec<Vec<u8>> = self.unstored.iter().map(Encode::to_bytes).collect();
        let headers = self.unstored.iter().zip(&bytes).map(|(sealed, bytes)| {
            let claim = &sealed.seal.claim;
            let (id, height, farmer, slot) = (sealed.id(), claim.height, *claim.farmer(), claim.slot);
            NewHeader { id, height, farmer, slot, bytes }
        });
        self.store.put_headers(&headers.collect::<Vec<_>>())?;
        self.unstored.clear();
        Ok(())
    }

    fn connect(&mut self, block: Block<Linked>, notices: &mut Vec<Notice>) -> Result<Input, ChainError> {
        let id = *block.header().id();
        // One commit is enough for a header that came with its block.
        let is_alone = matches!(&self.unstored[..], [header] if header.id() == id);
        if !is_alone {
            self.store_headers()?;
        }
        let state = self.store.snapshot()?;
        let delta = match self.ledger.apply(&state, block.context(), block.body()) {
            Ok(delta) => delta,
            Err(ApplyError::Invalid(error)) => {
                notices.push(Notice::Refused(id, Some(error.to_string())));
                return Ok(Input::Refused(id));
            }
            Err(ApplyError::State(error)) => return Err(error.into()),
        };
        let height = block.header().sealed().seal.claim.height;
        let indexes = index::entries(&self.ledger, &self.store, &state, (height, id, block.body()))?;
        drop(state);
        let block = block.executed(delta);
        let sealed = block.header().sealed();
        self.store.connect(&ConnectBlock {
            id,
            height,
            parent: Some(sealed.header.parent),
            seal: Some((*sealed.seal.claim.farmer(), sealed.seal.claim.slot)),
            header_bytes: &sealed.to_bytes(),
            body: &block.content(),
            delta: block.delta(),
            indexes: &indexes,
        })?;
        if is_alone {
            self.unstored.clear();
        }
        let included = self.ledger.transactions(block.body()).map_err(refusal)?;
        let ids: Vec<_> = included.iter().map(|tx| tx.id).collect();
        let spent: Vec<_> = included.into_iter().flat_map(|tx| tx.spends).collect();
        self.pool.confirm(&ids, &spent);
        Ok(Input::Connected(id))
    }

    fn disconnect(&mut self, id: BlockId) -> Result<(), ChainError> {
        let content =
            self.store.body(&id)?.ok_or_else(|| ChainError::Database(format!("no body of {id}")))?;
        let (_, body) = read_content(&content)?;
        let included = self.ledger.transactions(body).map_err(refusal)?;
        // The tip goes first, and what it holds may spend what the blocks below hold.
        self.orphaned.splice(..0, included.into_iter().filter_map(|tx| tx.bytes));
        index::disconnect_tip(&self.ledger, &self.store)?;
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
    prover: &dyn Prover<L>,
    genesis: BlockId,
    beacon: Option<Beacon>,
) -> Result<Engine, ChainError> {
    let mut engine = Engine::new(spec.clone(), genesis);
    if let Some(beacon) = beacon {
        engine.step(Input::Beacon(beacon));
    }
    let stored = store.headers(Height::new(1))?;
    prove_stored(
        stored,
        |list| prover.headers(spec, list),
        |proven| restore_header(&mut engine, store, proven),
    )?;
    while let Some(Tip { id, .. }) = store.tip()? {
        if engine.tree().get(&id).is_some() {
            engine.restore_tip(id);
            break;
        }
        index::disconnect_tip(ledger, store)?;
    }
    Ok(engine)
}

fn restore_header(engine: &mut Engine, store: &Store, proven: &ProvenHeader) -> Result<(), ChainError> {
    let restored = match store.body(proven.id())? {
        Some(content) => {
            let (evidence, _) = read_content(&content)?;
            engine.restore(proven, &evidence)
        }
        None => engine.restore_header(proven),
    };
    match restored {
        // The parent's chain is another one than when this was stored.
        Err(LinkError::Beacon | LinkError::Parent(_)) if engine.tree().spec().inherits_beacon() => Ok(()),
        other => Ok(other?),
    }
}

/// The body of a stored block at a height, as the ledger wrote it.
pub(crate) fn read_body(store: &Store, height: Height, id: &BlockId) -> Result<Vec<u8>, ChainError> {
    let content = store.body(id)?.ok_or_else(|| ChainError::Database(format!("no body of {id}")))?;
    // The genesis block's has no evidence beside it.
    Ok(if height == Height::ZERO { content } else { read_content(&content)?.1.to_vec() })
}

fn read_content(content: &[u8]) -> Result<(Vec<Evidence>, &[u8]), ChainError> {
    let mut reader = Reader::new(content);
    let evidence = reader.list(EVIDENCE_MAX)?;
    let body = reader.byte_string(mass_consensus::block::BODY_BYTES_MAX)?;
    reader.finish()?;
    Ok((evidence, body))
}
