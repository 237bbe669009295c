//! What the loop does for snapshots at each tick: has one written when it is due, and gets the blocks before the one that
//! the node began with.

use std::path::PathBuf;

use mass_primitives::Height;
use tokio::task::JoinHandle;

use super::{
    join::Join,
    shelf::{Kept, Shelf, ShelfError, export},
};
use crate::{
    error::{ChainError, NodeError},
    history::{self, History},
    ledger::NodeLedger,
    node::{Moment, Node},
    prune::Pruning,
};

/// What is to be done about snapshots.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotConfig {
    /// Where the node keeps its files.
    pub data_dir: PathBuf,
    /// How deep a snapshot's block lies at the least.
    pub depth: u32,
    /// The indexes that the node keeps.
    pub indexes: Option<Vec<String>>,
    /// Whether a node without blocks begins with one.
    pub begins: bool,
    /// How the node prunes.
    pub pruning: Option<Pruning>,
}

/// What the loop has of snapshots.
pub(crate) struct Snapshots {
    config: SnapshotConfig,
    making: Option<JoinHandle<Result<Kept, ShelfError>>>,
    /// A block whose snapshot could not be written, so that it is not tried again.
    failed: Option<Height>,
}

impl Snapshots {
    /// Opens the shelf, and sets the node on its way to a snapshot if it has no blocks and is to begin with one.
    pub fn begin<L: NodeLedger>(node: &mut Node<L>, config: &SnapshotConfig) -> Result<Self, NodeError> {
        if let Some(finding) = history::finding(&config.data_dir) {
            return Err(NodeError::Finding(finding));
        }
        let fault = |error| NodeError::Chain(config.data_dir.clone(), error);
        let dir = config.data_dir.join("snapshots");
        node.shelf = Some(Shelf::open(dir.clone()).map_err(|error| NodeError::DataDir(dir, error))?);
        if config.begins && node.chain().height() == Height::ZERO {
            node.join = Some(Join::new(config.data_dir.join("snapshot-in"), config.depth));
        } else if node.chain().store().base().map_err(ChainError::from).map_err(fault)?.is_none() {
            history::forget(&config.data_dir).map_err(fault)?;
        }
        Ok(Self { config: config.clone(), making: None, failed: None })
    }

    /// Takes the next steps.
    pub async fn tend<L: NodeLedger>(&mut self, node: &mut Node<L>, now: Moment) -> Result<(), ChainError> {
        self.tend_shelf(node).await?;
        let (dir, indexes) = (&self.config.data_dir, self.config.indexes.as_deref());
        if node.history.is_none()
            && let Some(base) = node.chain().store().base()?
        {
            let keeps = (indexes, self.config.pruning);
            node.history = Some(History::start(dir, node.chain(), base, keeps, now)?);
        }
        node.drive_history(dir, now)
    }

    /// Ends what is done beside the loop.
    pub fn end<L: NodeLedger>(&mut self, node: &mut Node<L>) {
        if let Some(history) = node.history.take() {
            history.stop();
        }
    }

    /// Has the snapshot written that is due, beside the loop, once the node is at the tip of the best chain.
    async fn tend_shelf<L: NodeLedger>(&mut self, node: &mut Node<L>) -> Result<(), ChainError> {
        if let Some(making) = self.making.take_if(|making| making.is_finished()) {
            let (Ok(made), Some(shelf)) = (making.await, &mut node.shelf) else { return Ok(()) };
            match made.map(|kept| (kept.height(), shelf.put(kept))) {
                Ok((height, Ok(()))) => {
                    self.failed = None;
                    tracing::info!(%height, "snapshot written");
                }
                Ok((_, Err(error))) => tracing::warn!(%error, "an old snapshot is not removed"),
                Err(error) => tracing::warn!(%error, "no snapshot is written"),
            }
        }
        let chain = node.chain();
        let is_synced = chain.engine().tip() == chain.engine().tree().best();
        let (Some(shelf), None, true) = (&node.shelf, &self.making, is_synced) else { return Ok(()) };
        let is_new = |height| self.failed != Some(height);
        let due = chain.snapshot_due(self.config.depth)?;
        let Some(due) = due.filter(|(base, _)| !shelf.has(base) && is_new(base.height)) else {
            return Ok(());
        };
        let (snapshot, dir) = (chain.store().snapshot()?, shelf.dir().to_path_buf());
        self.failed = Some(due.0.height);
        self.making = Some(tokio::task::spawn_blocking(move || export(&snapshot, due, &dir)));
        Ok(())
    }
}
