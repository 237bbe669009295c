//! How much of the past a node keeps, and the pruning of what is older (decision 0025).
//!
//! Between the node's other work a step removes the oldest blocks, each step one commit, as long as what is kept is larger than the
//! target. What stays whatever the target: the blocks that a reorganisation or a snapshot for peers may need
//! ([`Pruning::keep_blocks`]), those that an index does not have yet, and all as long as the node stands on a snapshot whose past is
//! being validated. That past is pruned while it is validated, in a database of its own.
//!
//! Headers, the active chain, state, undo of what stays and indexes are not touched: validation and the choice of a branch are as before.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use mass_primitives::Height;
use mass_storage::PruneStep;

use crate::{
    chain::Chain,
    error::ChainError,
    index,
    ledger::NodeLedger,
    node::{Moment, Node},
    snapshot::snapshot_reach,
};

/// Blocks below the tip that are never pruned: two days of Mass Net, as in Bitcoin Core. A branch that leaves the chain below
/// could not be followed; 477 blocks are enough against 40 % of the space (`docs/security.md`).
pub const PRUNE_KEEP_BLOCKS: u32 = 3_840;

/// What one commit removes or counts at the most, so that the loop goes on after some milliseconds.
const STEP: PruneStep = PruneStep { blocks: 256, bytes: 8 << 20 };
/// Time between two lines of the log.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How much of the past a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruning {
    /// Bytes of blocks and their undo with which the node is content; `None` to prune only when `pruneblockchain` is called.
    pub target_bytes: Option<u64>,
    /// Blocks below the tip that stay, whatever the target.
    pub keep_blocks: u32,
}

impl Pruning {
    /// With what must stay for the snapshots of a chain with such periods.
    pub(crate) fn with_snapshots(self, period_blocks: u32, depth: u32) -> Self {
        Self { keep_blocks: self.keep_blocks.max(snapshot_reach(period_blocks, depth)), ..self }
    }
}

/// What `--prune` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneSetting {
    /// Keep all.
    Off,
    /// Prune when it is asked for.
    Manual,
    /// Aim at so many bytes.
    Target(u64),
}

impl PruneSetting {
    /// What a node does with it.
    #[must_use]
    pub const fn pruning(self) -> Option<Pruning> {
        let target_bytes = match self {
            Self::Off => return None,
            Self::Manual => None,
            Self::Target(bytes) => Some(bytes),
        };
        Some(Pruning { target_bytes, keep_blocks: PRUNE_KEEP_BLOCKS })
    }
}

impl FromStr for PruneSetting {
    type Err = String;

    /// As in Bitcoin Core: 0 for off, 1 or "manual" for by hand, another number for MiB; or a size with a unit.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        let wrong = || {
            "not off, manual, a number of MiB, or a size such as 5GB (MB, GB, TB are powers of 1000, MiB, GiB, TiB of 1024)"
                .to_owned()
        };
        match (number, unit) {
            ("0", "") | ("", "off") => return Ok(Self::Off),
            ("1", "") | ("", "manual") => return Ok(Self::Manual),
            _ => {}
        }
        let bytes_each: u64 = match unit {
            "" | "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(bytes_each).filter(|bytes| *bytes > 0).map(Self::Target).ok_or_else(wrong)
    }
}

/// Refuses to start on a database that lacks what is asked for.
///
/// # Errors
/// [`ChainError::WasPruned`], [`ChainError::PrunedIndex`], or a fatal error.
pub(crate) fn check_start<L: NodeLedger>(
    chain: &Chain<L>,
    pruning: Option<&Pruning>,
    indexes: Option<&[String]>,
) -> Result<(), ChainError> {
    let Some(below) = chain.store().pruned_below()? else { return Ok(()) };
    if pruning.is_none() {
        return Err(ChainError::WasPruned(below));
    }
    let states = chain.store().indexes()?;
    for kind in index::chosen::<L>(indexes)? {
        let is_there = states
            .iter()
            .any(|state| state.name == kind.name && state.version == kind.version && state.next >= below);
        if !is_there {
            return Err(ChainError::PrunedIndex { name: kind.name, below });
        }
    }
    Ok(())
}

impl<L: NodeLedger> Chain<L> {
    /// Height of the lowest block that has to stay.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn prunable_below(&self, pruning: &Pruning) -> Result<Height, ChainError> {
        let store = self.store();
        // What is above the base is wanted to validate what is below.
        if store.base()?.is_some() {
            return Ok(store.undo_from()?);
        }
        let tip = store.tip()?.map_or(0, |tip| tip.height.get());
        let by_depth = Height::new(tip.saturating_sub(pruning.keep_blocks));
        let by_indexes = store.indexes()?.into_iter().map(|state| state.next).min();
        Ok(by_indexes.map_or(by_depth, |next| next.min(by_depth)))
    }

    /// Takes one step towards the target; whether more is to be done.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn prune(&self, pruning: &Pruning) -> Result<bool, ChainError> {
        let Some(target) = pruning.target_bytes else { return Ok(false) };
        let store = self.store();
        let (kept, line) = (store.count_kept(target, STEP)?, store.undo_from()?);
        if kept.bytes <= target {
            return Ok(kept.from > line.max(Height::new(1)));
        }
        let below = self.prunable_below(pruning)?;
        Ok(line < below && store.prune(below, Some(target), STEP)? > line)
    }

    /// Takes one step towards a height below which nothing is kept; whether more is to be done.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn prune_to(&self, pruning: &Pruning, below: Height) -> Result<bool, ChainError> {
        let (store, below) = (self.store(), below.min(self.prunable_below(pruning)?));
        Ok(store.undo_from()? < below && store.prune(below, None, STEP)? < below)
    }
}

/// The pruning of a node, and what was told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pruner {
    pub pruning: Pruning,
    /// Since when it goes on without rest, and where it began.
    begun: Option<(Instant, Height)>,
    told: Option<Instant>,
}

impl Pruner {
    pub const fn new(pruning: Pruning) -> Self {
        Self { pruning, begun: None, told: None }
    }

    /// Tells how far a long work is, and its end.
    fn tell(&mut self, is_busy: bool, line: Height, now: Instant) {
        let (since, from) = *self.begun.get_or_insert((now, line));
        let told = self.told.unwrap_or(since);
        if is_busy && now.duration_since(told) >= TELL_EVERY {
            self.told = Some(now);
            tracing::info!(below = %line, "pruning: old blocks are counted and removed");
        }
        if !is_busy {
            if self.told.is_some() && line > from {
                tracing::info!(below = %line, "old blocks are pruned: mass node db compact makes the file smaller");
            }
            (self.begun, self.told) = (None, None);
        }
    }
}

impl<L: NodeLedger> Node<L> {
    /// How the node prunes, if it does.
    #[must_use]
    pub fn pruning(&self) -> Option<Pruning> {
        self.pruner.map(|pruner| pruner.pruning)
    }

    /// Height of the lowest block that is wanted and that no connected peer has.
    pub(crate) fn lacking(&self) -> Option<Height> {
        let is_synced = self.chain.engine().tip() == self.chain.engine().tree().best();
        self.sync.lacking().filter(|_| !is_synced)
    }

    /// The same for the blocks before a snapshot, which are validated in the background.
    pub(crate) fn lacking_past(&self) -> Option<Height> {
        let past = self.history_progress().filter(|progress| progress.validated < progress.base)?;
        past.validated.next().filter(|height| self.sync.nobody_has(*height))
    }

    /// Prunes from now on.
    pub fn set_pruning(&mut self, pruning: Option<Pruning>) {
        self.pruner = pruning.map(Pruner::new);
    }

    /// Takes one step of pruning; whether more is to be done.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn prune(&mut self, now: Moment) -> Result<bool, ChainError> {
        let Some(pruner) = &mut self.pruner else { return Ok(false) };
        let is_busy = self.chain.prune(&pruner.pruning)?;
        pruner.tell(is_busy, self.chain.store().undo_from()?, now.instant);
        Ok(is_busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_read_as_in_bitcoin_core_and_with_units() {
        use PruneSetting::{Manual, Off, Target};
        for (text, expected) in [
            ("0", Off),
            ("off", Off),
            ("1", Manual),
            ("manual", Manual),
            ("550", Target(550 << 20)),
            ("2MiB", Target(2 << 20)),
            ("5GB", Target(5_000_000_000)),
            ("5 gib", Target(5 << 30)),
            ("1TB", Target(1_000_000_000_000)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in
            ["", "GB", "-1", "0GB", "5 blocks", "1.5GB", "99999999999TB", "99999999999999999999", "all"]
        {
            assert!(text.parse::<PruneSetting>().unwrap_err().contains("5GB"), "{text}");
        }
    }
}
