//! What the methods of our own answer with.

use mass_primitives::{Amount, BlockId, ChainId, FarmerPublicKey, Height, Seed, Slot};
use serde::{Deserialize, Serialize};

/// What the next block must carry, for who looks for a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Identity of the chain.
    pub chain: ChainId,
    /// The block to build on.
    pub tip: BlockId,
    /// Height of the next block.
    pub height: Height,
    /// The slot that the next block must come after.
    pub after: Slot,
    /// Seed of its period.
    pub seed: Seed,
    /// Its difficulty, a 128-bit number in decimal.
    pub difficulty: String,
    /// The slot by the node's clock.
    pub now: Slot,
    /// The newest seal of the farmer key that was asked for.
    pub sealed: Option<LastSeal>,
}

/// How a node fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the node's program; a node that is older than this field does not tell.
    #[serde(default)]
    pub version: Option<String>,
    /// Name of the chain.
    pub name: String,
    /// Identity of the chain.
    pub chain: ChainId,
    /// Height of the tip.
    pub height: Height,
    /// The tip.
    pub tip: BlockId,
    /// Connected peers.
    pub peers: u32,
    /// Reorganisations since the start.
    pub reorgs: u64,
    /// Transactions that wait for a block.
    pub mempool: u64,
    /// Estimate of the space that farms the chain, in bytes, in decimal.
    pub netspace_bytes: String,
    /// Whether the node has caught up with its peers.
    pub synced: bool,
    /// Addresses at which peers reach the node.
    pub listen: Vec<String>,
    /// Farmer keys that are banned.
    pub banned: u64,
    /// The newest checkpoint, of the chain spec or of the node's operator.
    #[serde(default)]
    pub checkpoint: Option<CheckpointStatus>,
}

/// A block that must be in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointStatus {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// Whether its header is known; until then the node has not caught up.
    pub reached: bool,
}

/// Where all the money is, in maxwell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supply {
    /// Issued as block rewards.
    pub issued: Amount,
    /// Burned.
    pub burned: Amount,
    /// Allotted by the genesis block.
    pub genesis: Amount,
    /// Earned but not yet paid out.
    pub pending: Amount,
}

/// A farmer key that may not seal any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// The key.
    pub farmer: FarmerPublicKey,
    /// Height of the block with the evidence.
    pub height: Height,
}

/// The newest slot that a farmer key has sealed, as far as a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeal {
    /// The slot.
    pub slot: Slot,
    /// Height of a block that was sealed in it, on whatever branch.
    pub height: Height,
    /// Id of that block.
    pub id: BlockId,
}

/// A reward on its way to a farmer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Height of the block that earned it.
    pub height: Height,
    /// Its amount in maxwell.
    pub amount: Amount,
    /// Where it will be paid.
    pub address: String,
}
