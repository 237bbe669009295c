//! Long ways of the tip in turns: a node serves peers, RPC and its own end between two turns of a reorganisation, or of a run
//! of blocks that have all come (decision 0026).
//!
//! Each turn ends with the commit of a block that was connected or disconnected, so that what is asked between two turns is
//! answered from a chain that is whole, if not the best: the tip is what is executed, and `headers` is what is known of. Who
//! is killed there goes on from there.

use mass_consensus::engine::{Input, Pace};

use crate::{
    chain::{Chain, Notice},
    error::ChainError,
    ledger::NodeLedger,
    node::{Moment, Node},
};

/// Work of one turn: tens of milliseconds for blocks as they are, or one great block.
const PACE: Pace = Pace { blocks: 16, bytes: 256 << 10 };

/// Transactions of blocks that were left which one turn offers to the pool.
const TAKEN_BACK_MAX: usize = 64;

impl<L: NodeLedger> Chain<L> {
    /// A chain that works in turns from now on: what is left of a turn's work is done by [`Self::proceed`].
    #[must_use]
    pub fn in_turns(mut self) -> Self {
        self.pace = Some(PACE);
        self.engine.set_pace(self.pace);
        self
    }

    /// What comes next begins a turn, unless one is to be waited for.
    pub fn begin_turn(&mut self) {
        self.engine.begin_turn();
    }

    /// What comes next finds its place at once, and is executed in the turn after.
    pub(crate) const fn end_turn(&mut self) {
        self.engine.end_turn();
    }

    /// Whether [`Self::proceed`] has something to do. A chain that does not work in turns never has.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.engine.is_moving() || !self.orphaned.is_empty()
    }

    /// Does the work of one turn.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn proceed(&mut self, now: u64) -> Result<Vec<Notice>, ChainError> {
        self.feed(vec![Input::Proceed], now)
    }

    /// What follows when the tip has arrived. On its way, what a left block held may be in one that is to come.
    pub(crate) fn tip_rests(&mut self, now: u64) -> Result<(), ChainError> {
        if self.engine.is_moving() {
            return Ok(());
        }
        self.take_back(self.pace.map_or(usize::MAX, |_| TAKEN_BACK_MAX), now)
    }
}

impl<L: NodeLedger> Node<L> {
    /// Whether the node has work of its own, to be done turn by turn with [`Self::proceed`]. Whoever runs a node asks after
    /// each input, and lets other inputs in between two turns.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.chain().has_work()
    }

    /// Does the work of one turn.
    ///
    /// # Errors
    /// Fatal ones only.
    pub fn proceed(&mut self, now: Moment) -> Result<(), ChainError> {
        let notices = self.chain_mut().proceed(now.unix)?;
        self.notice(notices, now);
        Ok(())
    }
}
