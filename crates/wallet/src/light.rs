//! A wallet that trusts no node: it proves and links every header, checks the chain of filters, and reads the blocks
//! that its scripts match.
//!
//! ```text
//! headers   from each node those that are new: proof of space, VRF, seal, signature (PRV-1..12), then height, slot,
//!           seed, difficulty and checkpoint (LNK-1..); of all that hold the heaviest chain counts (FRK-1)
//! filters   from each node that is on that chain: the filter headers that they give must follow from the filters;
//!           where two nodes differ, the block and the transactions that it spends decide who lied
//! blocks    those whose filters match: every byte is what the header commits to
//! ```
//!
//! What one node alone can get away with, and what cannot:
//!
//! - It can withhold its newest blocks. That shows as [`Lie::Stale`] by the clock and the slots, which cannot tell a
//!   liar from a halt of the chain; against a second node it is [`Lie::Behind`].
//! - It can leave scripts out of a filter. Of each batch of filters some blocks that nobody can foresee are read and
//!   their filters made anew, so that a node that forges one filter is found by chance, and one that forges many nearly
//!   surely. A second honest node finds each.
//! - It can say what it likes of payments that no block holds. They count as incoming, and are never spent.
//! - Who has the plots for it can make a heavy chain of headers over bodies that break the ledger's rules. Headers do
//!   not show that; full nodes refuse such blocks, so a second node is on another chain then.
//!
//! The newest headers are kept in the file `light`, so that the next sync goes on from there.

mod file;
mod filters;
mod headers;
mod source;
mod sync;

use std::fmt;

use mass_consensus::{proven::ProvenError, tree::LinkError};
use mass_primitives::{BlockId, Height, Slot};
use mass_rpc::HttpClient;

pub use source::Source;

/// What is wrong with what a node told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// It does not answer, or with something that is no answer.
    #[error("does not answer: {0}")]
    Silent(String),
    /// It follows another chain.
    #[error("follows another chain: {0}")]
    OtherChain(String),
    /// It says that it has headers and does not give them.
    #[error("says that its tip is at height {tip}, and withholds the header of height {missing}")]
    WithheldHeader {
        /// Height that it tells.
        tip: Height,
        /// Height of the header that it does not give.
        missing: Height,
    },
    /// A header that does not decode.
    #[error("forges the header of height {0}: it does not decode")]
    HeaderForm(Height),
    /// A header that breaks a rule by itself.
    #[error("forges the header of height {0}: {1}")]
    HeaderForged(Height, ProvenError),
    /// A header that breaks a rule in its place.
    #[error("forges the header of height {0}: {1}")]
    HeaderMisplaced(Height, LinkError),
    /// A header of a slot that has not come.
    #[error("gives a header of slot {got}, and the clock shows slot {now}")]
    Future {
        /// Slot of the header.
        got: Slot,
        /// Slot by the clock.
        now: Slot,
    },
    /// Filters that do not follow from each other, or are none.
    #[error("forges the filter of height {0}: {1}")]
    FilterForm(Height, &'static str),
    /// A filter that is not that of the block.
    #[error("forges the filter of height {0}: the block has another one")]
    FilterForged(Height),
    /// A filter that it does not give.
    #[error("withholds the filter of height {0}")]
    WithheldFilter(Height),
    /// A block that it does not give.
    #[error("withholds block {1} of height {0}")]
    WithheldBlock(Height, BlockId),
    /// A block that is not the one asked for, or none.
    #[error("forges block {1} of height {0}: {2}")]
    BlockForged(Height, BlockId, String),
    /// Transactions that the header does not commit to.
    #[error("forges the merkle tree of block {1} of height {0}: the header commits to other transactions")]
    MerkleForged(Height, BlockId),
    /// Transactions that are not those that a block spends.
    #[error("forges a transaction that block {1} of height {0} spends")]
    SpentForged(Height, BlockId),
    /// The newest blocks are missing. Nobody's lie for sure.
    #[error("lacks or withholds the newest {missing} blocks: it ends at height {height}")]
    Behind {
        /// Height of its last block.
        height: Height,
        /// Blocks that others have above.
        missing: u32,
    },
    /// No node has a block of the last time. Nobody's lie for sure.
    #[error(
        "has nothing newer than slot {slot}, {silent} slots ago, where a block is expected every {interval}: it \
         withholds blocks, or the chain stands still"
    )]
    Stale {
        /// Slot of the last block.
        slot: Slot,
        /// Slots since then.
        silent: u64,
        /// Slots between blocks on average.
        interval: u64,
    },
}

impl Lie {
    /// Its name for scripts.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Silent(_) => "silent",
            Self::OtherChain(_) => "other-chain",
            Self::WithheldHeader { .. } => "withheld-header",
            Self::HeaderForm(_) => "header-form",
            Self::HeaderForged(..) => "header-forged",
            Self::HeaderMisplaced(..) => "header-misplaced",
            Self::Future { .. } => "header-future",
            Self::FilterForm(..) => "filter-form",
            Self::FilterForged(_) => "filter-forged",
            Self::WithheldFilter(_) => "withheld-filter",
            Self::WithheldBlock(..) => "withheld-block",
            Self::BlockForged(..) => "block-forged",
            Self::MerkleForged(..) => "merkle-forged",
            Self::SpentForged(..) => "spent-forged",
            Self::Behind { .. } => "behind",
            Self::Stale { .. } => "stale",
        }
    }

    /// Whether it is a lie for sure. An honest node may be silent or behind, and may have no filters or no longer have a
    /// block.
    #[must_use]
    pub const fn is_lie(&self) -> bool {
        !matches!(
            self,
            Self::Silent(_)
                | Self::OtherChain(_)
                | Self::WithheldFilter(_)
                | Self::WithheldBlock(..)
                | Self::Behind { .. }
                | Self::Stale { .. }
        )
    }
}

/// What was found of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The node.
    pub node: String,
    /// What it did.
    pub what: Lie,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} {}", self.node, self.what)
    }
}

/// Why a light sync does not complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// The chain takes its seeds from another chain.
    #[error(
        "the chain inherits its beacon: a light wallet would have to follow the parent's chain too, and does not"
    )]
    InheritedBeacon,
    /// There is no node left that can be believed.
    #[error("no honest node is left: {}", list(.0))]
    NoHonestNode(Vec<Finding>),
    /// Nodes differ on a filter, and none gives what would settle it.
    #[error("nodes differ on the filter of height {height}, and none gives what would settle it: {}", list(.findings))]
    Unsettled {
        /// The height.
        height: Height,
        /// What was found.
        findings: Vec<Finding>,
    },
    /// The chain changes faster than it can be read.
    #[error("the nodes' chain changed again and again while it was read: try again")]
    Unsteady,
}

fn list(findings: &[Finding]) -> String {
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "none was named".to_owned() } else { texts.join("; ") }
}

/// What a light sync did.
#[derive(Clone, Debug)]
pub struct LightSynced {
    /// Height of the last block.
    pub height: Height,
    /// Its id.
    pub tip: BlockId,
    /// Headers that were proven.
    pub headers: u32,
    /// Filters that were checked.
    pub filters: u32,
    /// Blocks that were read.
    pub blocks: u32,
    /// What was found of the nodes.
    pub lies: Vec<Finding>,
    /// A node of which nothing bad was found.
    pub node: HttpClient,
}
