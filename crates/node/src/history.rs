//! The blocks before a snapshot, validated in the background.
//!
//! A node that began with a snapshot trusts, until this is done, that so many farmers built so many blocks on a right state.
//! Here every block from genesis on is fetched and executed, by a second chain in a database of its own, in a thread of its own.
//! The block after the snapshot commits to its state, so that executing it tells whether all of the history leads to the
//! state that the node began with. Then the second chain goes on to the tip and takes the place of the first: from
//! then on the node is as one that never saw a snapshot, with all blocks, undos and indexes.
//!
//! What a peer sends is held against the header that is proven here, so that a block which the ledger then refuses is a
//! finding about the chain, and the node ends. Memory is bounded by [`WINDOW`] blocks between network and thread. A node that prunes
//! prunes the second chain behind its tip, and the first one not at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mass_consensus::{
    block::{Block, Decoded},
    evidence::evidence_commitment,
    spec::ChainSpec,
};
use mass_network::{
    Command, Fault, PeerId,
    wire::{Request, Response},
};
use mass_primitives::{BlockId, Decode as _, Height};
use mass_storage::Tip;

use crate::{
    chain::{Chain, Notice},
    error::ChainError,
    export::database,
    ledger::NodeLedger,
    node::{Moment, Node},
    prune::{self, Pruning},
};

/// Blocks that are asked for, or here and not executed, at the most.
const WINDOW: u32 = 512;
/// Bytes of blocks that are here with which no more are asked for, and requests on their way at the most.
const HELD_BYTES: usize = 64 << 20;
const REQUESTS_MAX: usize = 4;
/// Blocks of one request.
const BATCH: usize = 64;
/// How long an answer is waited for, and how long a peer rests that had none.
const PATIENCE: Duration = Duration::from_secs(20);
/// Blocks that go on to the thread in one turn at the most.
const TURN: usize = 256;
/// Blocks below the tip at which the thread is done: what is above may be another's by then, and is taken when the chains
/// are exchanged.
const LAST: u32 = 32;
/// Time between two warnings.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A name beside the database, as long as the history is not validated.
const DATABASE: &str = "history.redb";
/// What is written if it does not lead to the state that the node began with.
const FINDING: &str = "history.refused";

/// The history on its way.
pub(crate) struct History<L> {
    /// The last block that is executed.
    done: Arc<AtomicU32>,
    thread: Option<JoinHandle<Result<Chain<L>, ChainError>>>,
    blocks: Option<SyncSender<Vec<u8>>>,
    /// Height of the next block for the thread.
    next: u32,
    /// Blocks for the thread that are here, by height.
    here: BTreeMap<u32, Vec<u8>>,
    pending: BTreeMap<u64, (PeerId, Vec<u32>, Instant)>,
    resting: BTreeMap<PeerId, Instant>,
    turn: usize,
    told: Instant,
}

/// How far the history is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Height of the snapshot.
    pub base: Height,
    /// Height up to which the history is validated.
    pub validated: Height,
}

impl<L: NodeLedger> History<L> {
    /// Opens the second chain, or goes on with it.
    pub fn start(
        data_dir: &Path,
        first: &Chain<L>,
        base: Tip,
        (indexes, pruning): (Option<&[String]>, Option<Pruning>),
        now: Moment,
    ) -> Result<Self, ChainError> {
        // The base is what is to be shown, not what is taken for granted.
        let mut spec = first.spec().file().clone();
        spec.hints.checkpoints.retain(|checkpoint| checkpoint.id != base.id);
        let spec = ChainSpec::new(spec)?;
        let open = || Chain::<L>::open(&data_dir.join(DATABASE), spec.clone(), None);
        let mut chain = open()?;
        if first.store().active_id(chain.height())?.is_some_and(|id| id != *chain.engine().tip()) {
            tracing::warn!(
                "the blocks before the snapshot are validated anew: what was here is of another branch"
            );
            drop(chain);
            forget(data_dir)?;
            chain = open()?;
        }
        if let Err(error) = prune::check_start(&chain, pruning.as_ref(), indexes) {
            tracing::warn!(%error, "the blocks before the snapshot are validated anew");
            drop(chain);
            forget(data_dir)?;
            chain = open()?;
        }
        chain.keep_indexes(indexes)?;
        chain.tick(chain.spec().slot_at(now.unix).unwrap_or_default(), now.unix)?;
        let height = chain.height().get();
        let (done, (blocks, received)) = (Arc::new(AtomicU32::new(height)), sync_channel(TURN));
        let executed = Arc::clone(&done);
        let thread = thread::Builder::new().name("history".to_owned());
        let thread = thread.spawn(move || execute(chain, &received, &executed, (now.unix, pruning)));
        let thread =
            thread.map_err(|error| ChainError::Database(format!("no thread for the history: {error}")))?;
        tracing::info!(from = height, "the blocks before the snapshot are validated in the background");
        Ok(Self {
            done,
            thread: Some(thread),
            blocks: Some(blocks),
            next: height + 1,
            here: BTreeMap::new(),
            pending: BTreeMap::new(),
            resting: BTreeMap::new(),
            turn: 0,
            told: now.instant,
        })
    }

    /// Ends the thread; the next start goes on.
    pub fn stop(mut self) {
        self.blocks = None;
        if let Some(thread) = self.thread.take() {
            // What it may have found it finds again.
            drop(thread.join());
        }
    }

    /// Height up to which blocks are executed.
    pub fn height(&self) -> Height {
        Height::new(self.done.load(Ordering::Acquire))
    }

    /// Hands blocks to the thread, as far as it takes them.
    fn hand_over(&mut self) {
        let Some(blocks) = &self.blocks else { return };
        for _ in 0..TURN {
            let Some(bytes) = self.here.remove(&self.next) else { return };
            match blocks.try_send(bytes) {
                Ok(()) => self.next += 1,
                // The thread tells why it ended when it is joined.
                Err(TrySendError::Full(bytes) | TrySendError::Disconnected(bytes)) => {
                    self.here.insert(self.next, bytes);
                    return;
                }
            }
        }
    }

    /// Heights below `end` that are to be asked for.
    fn missing(&self, end: u32) -> Vec<u32> {
        let asked: BTreeSet<u32> =
            self.pending.values().flat_map(|(_, heights, _)| heights).copied().collect();
        if self.here.values().map(Vec::len).sum::<usize>() >= HELD_BYTES || self.pending.len() >= REQUESTS_MAX
        {
            return Vec::new();
        }
        let window = self.next..end.min(self.height().get().saturating_add(WINDOW));
        window.filter(|height| !self.here.contains_key(height) && !asked.contains(height)).collect()
    }

    /// A peer that is asked for nothing and may be.
    fn free_peer(&mut self, peers: &[PeerId], now: Instant) -> Option<PeerId> {
        let busy = |peer: &PeerId| self.pending.values().filter(|(asked, ..)| asked == peer).count() >= 2;
        let rests = |peer: &PeerId| self.resting.get(peer).is_some_and(|until| *until > now);
        let free: Vec<PeerId> = peers.iter().filter(|peer| !busy(peer) && !rests(peer)).copied().collect();
        self.turn += 1;
        free.get(self.turn.checked_rem(free.len())?).copied()
    }

    /// Warns now and then as long as nobody has the next block.
    fn tell_lack(&mut self, base: Height, is_lacking: bool, now: Instant) {
        let height = self.height();
        if is_lacking && height < base && now.duration_since(self.told) >= TELL_EVERY {
            self.told = now;
            tracing::warn!(
                %height,
                "no connected peer has the blocks before the snapshot from here on: an archive node is needed"
            );
        }
    }
}

/// Executes blocks in their order until there are no more.
fn execute<L: NodeLedger>(
    mut chain: Chain<L>,
    blocks: &Receiver<Vec<u8>>,
    done: &AtomicU32,
    (unix, pruning): (u64, Option<Pruning>),
) -> Result<Chain<L>, ChainError> {
    // What a crash loses is fetched again.
    chain.set_bulk(true)?;
    while let Ok(bytes) = blocks.recv() {
        take(&mut chain, &bytes, unix)?;
        if let Some(pruning) = &pruning {
            chain.prune(pruning)?;
        }
        done.store(chain.height().get(), Ordering::Release);
    }
    Ok(chain)
}

/// Takes the next block. The node has its header in its best chain and its content is what the header says, so that it
/// becomes the tip, or the chain is not what the node took it for.
fn take<L: NodeLedger>(chain: &mut Chain<L>, bytes: &[u8], unix: u64) -> Result<(), ChainError> {
    let height = chain.height().next().unwrap_or_default();
    let finding = |why: String| ChainError::History { height, why };
    let id = crate::node::block_id(bytes).ok_or_else(|| finding("it is none".to_owned()))?;
    let notices = match chain.take_block(bytes, unix) {
        Err(error) if error.is_fatal() => return Err(error),
        Err(error) => return Err(finding(error.to_string())),
        Ok(notices) => notices,
    };
    if *chain.engine().tip() == id {
        return Ok(());
    }
    let reason = notices.into_iter().find_map(|notice| match notice {
        Notice::Refused(refused, reason) if refused == id => reason,
        _ => None,
    });
    Err(finding(reason.unwrap_or_else(|| "it does not become the tip".to_owned())))
}

/// Removes what is left of a validation that nobody waits for: the chain that it was for was put together anew.
pub(crate) fn forget(data_dir: &Path) -> Result<(), ChainError> {
    match fs::remove_file(data_dir.join(DATABASE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ChainError::Database(format!("{DATABASE}: {error}")))
        }
        _ => Ok(()),
    }
}

/// Whether an earlier run found that the history does not lead to the state that the node began with.
pub(crate) fn finding(data_dir: &Path) -> Option<String> {
    fs::read_to_string(data_dir.join(FINDING)).ok()
}

impl<L: NodeLedger> Node<L> {
    /// How far the history is, if the node began with a snapshot.
    pub(crate) fn history_progress(&self) -> Option<Progress> {
        let base = self.chain.store().base().ok().flatten()?.height;
        let validated = self.history.as_ref().map_or(Height::ZERO, |history| history.height().min(base));
        Some(Progress { base, validated })
    }

    /// Takes the next steps with the history; in the end it takes the place of the chain.
    ///
    /// # Errors
    /// [`ChainError::History`] if a block breaks a rule, or a fatal error.
    pub(crate) fn drive_history(&mut self, data_dir: &Path, now: Moment) -> Result<(), ChainError> {
        let Some(base) = self.chain.store().base()? else { return Ok(()) };
        if self.chain.engine().tip() != self.chain.engine().tree().best() {
            return Ok(());
        }
        let Some(history) = &mut self.history else { return Ok(()) };
        if history.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            return self.end_history(data_dir, now);
        }
        let next = history.height().next().unwrap_or_default();
        history.tell_lack(base.height, self.sync.nobody_has(next), now.instant);
        history.pending.retain(|_, (peer, _, since)| {
            let is_late = now.instant.duration_since(*since) >= PATIENCE;
            if is_late {
                history.resting.insert(*peer, now.instant + PATIENCE);
            }
            !is_late
        });
        // What lies above the base is in the database.
        let goal = self.chain.height().get().saturating_sub(LAST).max(base.height.get() + 1);
        let above = history.missing(goal + 1).into_iter().filter(|height| *height > base.height.get());
        for height in above.take(BATCH) {
            let id = self.chain.store().active_id(Height::new(height))?;
            let bytes = id.map(|id| self.chain.block_bytes(&id)).transpose()?.flatten();
            history.here.extend(bytes.map(|bytes| (height, bytes)));
        }
        history.hand_over();
        if history.height().get() >= goal {
            // No more comes: the thread ends, and gives the chain back.
            history.blocks = None;
            return Ok(());
        }
        self.ask_history(base, now)
    }

    /// Asks for blocks, as far as there is room for them.
    fn ask_history(&mut self, base: Tip, now: Moment) -> Result<(), ChainError> {
        let peers: Vec<PeerId> = self.sync.peers().copied().collect();
        let Some(history) = &mut self.history else { return Ok(()) };
        let missing = history.missing(base.height.get().saturating_add(1));
        let mut requests = Vec::new();
        for heights in missing.chunks(BATCH).take(REQUESTS_MAX.saturating_sub(history.pending.len())) {
            let lowest = heights.first().copied().map_or(Height::ZERO, Height::new);
            let having: Vec<PeerId> =
                peers.iter().filter(|peer| self.sync.has(peer, lowest)).copied().collect();
            let Some(peer) = history.free_peer(&having, now.instant) else { break };
            let ids = heights.iter().map(|height| self.chain.store().active_id(Height::new(*height)));
            let ids: Vec<BlockId> = ids.collect::<Result<Option<_>, _>>()?.unwrap_or_default();
            let id = self.sync.number();
            history.pending.insert(id, (peer, heights.to_vec(), now.instant));
            requests.push(Command::Request { peer, request: Request::Blocks { ids }, id });
        }
        requests.into_iter().for_each(|request| self.send(request));
        Ok(())
    }

    /// Blocks of the history came; whether they were such.
    pub(crate) fn history_answered(
        &mut self,
        id: u64,
        response: &Response,
        now: Moment,
    ) -> Result<bool, ChainError> {
        let Some(history) = &mut self.history else { return Ok(false) };
        let Some((peer, heights, _)) = history.pending.remove(&id) else { return Ok(false) };
        let Response::Blocks(blocks) = response else {
            self.send(Command::Fault { peer, fault: Fault::Malformed });
            return Ok(true);
        };
        let (mut good, mut is_liar) = (Vec::new(), false);
        for (height, bytes) in heights.into_iter().zip(blocks) {
            let Some(bytes) = bytes else { break };
            match self.history_block(height, bytes)? {
                Some(bytes) => good.push((height, bytes)),
                None => is_liar = true,
            }
        }
        if let Some(history) = &mut self.history {
            if good.is_empty() {
                history.resting.insert(peer, now.instant + PATIENCE);
            }
            history.here.extend(good);
            history.hand_over();
        }
        if is_liar {
            tracing::warn!(%peer, "blocks that are not those asked for");
            self.send(Command::Fault { peer, fault: Fault::Malformed });
        }
        if let Some(base) = self.chain.store().base()? {
            self.ask_history(base, now)?;
        }
        Ok(true)
    }

    /// A question for blocks of the history was not answered.
    pub(crate) fn history_failed(&mut self, id: u64, now: Moment) {
        let Some(history) = &mut self.history else { return };
        if let Some((peer, ..)) = history.pending.remove(&id) {
            history.resting.insert(peer, now.instant + PATIENCE);
        }
    }

    /// The header that is here with the content that came, if that is the header's.
    fn history_block(&self, height: u32, bytes: &[u8]) -> Result<Option<Vec<u8>>, ChainError> {
        let Ok(block) = Block::<Decoded>::from_bytes(bytes) else { return Ok(None) };
        let id = block.sealed().id();
        if self.chain.store().active_id(Height::new(height))? != Some(id) {
            return Ok(None);
        }
        let fits = self.chain.ledger().commitment(block.body()).is_ok_and(|found| {
            found.root == block.sealed().header.root
                && found.carried.evidence == evidence_commitment(block.evidence())
        });
        let Some(header) = self.chain.store().header(&id)?.filter(|_| fits) else { return Ok(None) };
        Ok(Some([header.bytes, block.content()].concat()))
    }

    /// The thread ended: its chain takes the place of the one that began with the snapshot.
    fn end_history(&mut self, data_dir: &Path, now: Moment) -> Result<(), ChainError> {
        let ended = self.history.take().and_then(|mut history| history.thread.take());
        let Some(thread) = ended else { return Ok(()) };
        let ended =
            thread.join().map_err(|_| ChainError::Database("the history's thread panicked".to_owned()))?;
        let mut second = ended.inspect_err(|error| note_finding(data_dir, error))?;
        if self.chain.store().active_id(second.height())? != Some(*second.engine().tip()) {
            tracing::warn!("a deep reorg: the blocks before the snapshot are validated anew");
            drop(second);
            return forget(data_dir);
        }
        while second.height() < self.chain.height() {
            let next = second.height().next().unwrap_or_default();
            let id = self.chain.store().active_id(next)?;
            let Some(bytes) = id.map(|id| self.chain.block_bytes(&id)).transpose()?.flatten() else { break };
            take(&mut second, &bytes, now.unix).inspect_err(|error| note_finding(data_dir, error))?;
        }
        let (hash, height) = (second.store().snapshot()?.state_hash()?, second.height());
        let expected = self.chain.store().snapshot()?.state_hash()?;
        if hash != expected {
            let error = ChainError::History { height, why: format!("the state is {hash}, not {expected}") };
            note_finding(data_dir, &error);
            return Err(error);
        }
        second.set_bulk(false)?;
        let moved = fs::rename(data_dir.join(DATABASE), database(data_dir));
        moved.map_err(|error: io::Error| ChainError::Database(format!("{DATABASE}: {error}")))?;
        self.chain.continue_on(second, now.unix)?;
        tracing::info!(%height, state = %hash, "all blocks before the snapshot are validated: the same state");
        Ok(())
    }
}

/// Leaves word for the next start.
fn note_finding(data_dir: &Path, error: &ChainError) {
    if matches!(error, ChainError::History { .. }) {
        tracing::error!(%error, "THE CHAIN THAT THIS NODE FOLLOWED IS NOT VALID");
        let path: PathBuf = data_dir.join(FINDING);
        if let Err(failure) = fs::write(&path, error.to_string()) {
            tracing::error!(file = %path.display(), %failure, "the finding is not written down");
        }
    }
}
