//! Lines of the log that tell how far a sync is, and how long it will take.

use std::time::{Duration, Instant};

use mass_primitives::Height;

use crate::{ledger::NodeLedger, node::Node};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// How far a sync was when it was last told.
#[derive(Debug)]
pub(crate) struct SyncProgress {
    told: Instant,
    height: Height,
}

impl SyncProgress {
    pub const fn new(now: Instant) -> Self {
        Self { told: now, height: Height::ZERO }
    }

    /// Tells of a node that is not at the tip of its best chain.
    pub fn look<L: NodeLedger>(&mut self, node: &Node<L>, now: Instant) {
        let lasted = now.duration_since(self.told);
        if lasted < EVERY {
            return;
        }
        let (chain, before) = (node.chain(), self.height);
        (self.told, self.height) = (now, chain.height());
        let tree = chain.engine().tree();
        let best = tree.get(tree.best()).map_or(Height::ZERO, |best| best.height);
        if let Some(join) = &node.join {
            match join.progress() {
                Some((here, parts)) => tracing::info!(here, parts, "fetching a snapshot"),
                None => tracing::info!(headers = %best, "fetching headers, for a snapshot"),
            }
            return;
        }
        let (done, left) =
            (self.height.get().saturating_sub(before.get()), best.get().saturating_sub(self.height.get()));
        // A block or two are not worth a line.
        if left > 2 {
            let eta = (lasted.as_secs() * u64::from(left)).checked_div(u64::from(done));
            let per_second = u64::from(done) / lasted.as_secs().max(1);
            tracing::info!(height = %self.height, headers = %best, per_second, eta_seconds = eta, "syncing");
        }
    }
}
