//! Snapshots of the state, `docs/snapshots.md`: those that a node gives to peers, and the one that it may begin with.
//!
//! A snapshot is the state after a block that is so deep that no reorg is to be expected, and after which the next block
//! commits to that state (BLK-7). Nodes choose the same heights, so that a state comes from many of them at once.

mod join;
mod shelf;
mod tend;

use mass_consensus::block::commits_to_state;
use mass_network::wire::{StateRequest, StateResponse};
use mass_primitives::{Height, StateHash};
use mass_storage::Tip;

pub(crate) use self::{
    join::Join,
    shelf::Shelf,
    tend::{SnapshotConfig, Snapshots},
};
use crate::{
    chain::{Chain, read_body, refusal},
    error::ChainError,
    ledger::NodeLedger,
};

/// How deep a snapshot's block lies at the least: 477 blocks are enough against 40 % of the space that knows all wins
/// and picks its moment (`docs/security.md`).
pub const SNAPSHOT_DEPTH_BLOCKS: u32 = 480;

/// What a node without snapshots answers.
pub(crate) const fn nothing(request: &StateRequest) -> StateResponse {
    match request {
        StateRequest::Offers => StateResponse::Offers(Vec::new()),
        StateRequest::Sums { .. } => StateResponse::Sums(Vec::new()),
        StateRequest::Part { .. } => StateResponse::Part(None),
    }
}

/// The height of the newest snapshot of a chain whose tip is at `tip`: it is at least `depth` deep, and the distance of
/// two is the least number of periods that is not below `depth`.
pub(crate) fn snapshot_height(period: u32, depth: u32, tip: Height) -> Option<Height> {
    let step = depth.div_ceil(period).max(1).checked_mul(period)?;
    let deep = tip.get().checked_sub(depth)?.checked_add(1)?;
    let first = deep.checked_sub(deep.checked_rem(step)?)?;
    first.checked_sub(1).map(Height::new)
}

/// How far below the tip a snapshot lies at the most, with the blocks that are needed to write it.
pub(crate) const fn snapshot_reach(period: u32, depth: u32) -> u32 {
    let step = match depth.checked_div(period) {
        Some(periods) => periods.saturating_add(1).saturating_mul(period),
        None => 0,
    };
    depth.saturating_add(step)
}

impl<L: NodeLedger> Chain<L> {
    /// The block whose state is the newest snapshot, with the hash that the next block commits to; `None` if there is
    /// none, or the way back to it is not known here.
    ///
    /// # Errors
    /// Fatal ones only.
    pub(crate) fn snapshot_due(&self, depth: u32) -> Result<Option<(Tip, StateHash)>, ChainError> {
        let due = snapshot_height(self.spec().rules().period_blocks, depth, self.height());
        let from = self.store().undo_from()?;
        let due = due.filter(|height| *height > Height::ZERO);
        let due = due.and_then(|height| Some((height, height.next()?))).filter(|(_, next)| *next >= from);
        let Some((height, next)) = due else { return Ok(None) };
        let Some(id) = self.store().active_id(height)? else { return Ok(None) };
        let Some(above) = self.store().active_id(next)?.filter(|_| commits_to_state(self.spec(), next))
        else {
            return Ok(None);
        };
        let body = read_body(self.store(), next, &above)?;
        let committed = self.ledger().commitment(&body).map_err(refusal)?.carried.state;
        Ok(committed.map(|hash| (Tip { height, id }, hash)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_deep_and_all_nodes_choose_the_same() {
        let height = |tip| snapshot_height(128, 480, Height::new(tip)).map(Height::get);
        assert_eq!([height(0), height(479), height(990)], [None; 3]);
        assert_eq!([height(991), height(1502), height(1503)], [Some(511), Some(511), Some(1023)]);
        assert_eq!(snapshot_height(16, 0, Height::new(16)), Some(Height::new(15)));
        for (period, depth) in [(128, 480), (16, 16), (16, 0), (128, 512)] {
            let deepest = (0..5_000)
                .filter_map(|tip| Some(tip - snapshot_height(period, depth, Height::new(tip))?.get()));
            assert!(deepest.max().unwrap() <= snapshot_reach(period, depth), "{period} {depth}");
        }
    }
}
