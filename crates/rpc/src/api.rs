//! The methods.

use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use mass_primitives::{BlockId, FarmerPublicKey, Height, SealSignature, VrfProof};
use serde_json::Value;

use crate::answers::{Ban, LastSeal, Pending, Status, Supply, Work};

/// The methods of any node, whatever ledger it runs. Refusals carry the codes of [`errors`](crate::errors).
#[rpc(server, client)]
pub trait Mass {
    /// What the next block must carry; with a farmer key also what it has sealed, as `mass_lastSeal` has it.
    ///
    /// With an earlier answer the node waits until it has another one, five seconds at the most.
    #[method(name = "mass_work")]
    async fn work(&self, farmer: Option<FarmerPublicKey>, known: Option<Work>) -> RpcResult<Work>;

    /// Builds the block for a won slot and returns the hex of the 80-byte header to sign.
    ///
    /// `claim` is the hex of the canonical seal claim, `payout` the address for the reward.
    #[method(name = "mass_prepareBlock")]
    async fn prepare_block(&self, claim: String, payout: String) -> RpcResult<String>;

    /// Completes a prepared block, names it by its header in hex, and publishes it.
    #[method(name = "mass_submitSeal")]
    async fn submit_seal(
        &self,
        header: String,
        vrf_proof: VrfProof,
        signature: SealSignature,
    ) -> RpcResult<BlockId>;

    /// How the node fares.
    #[method(name = "mass_status")]
    async fn status(&self) -> RpcResult<Status>;

    /// Farmer keys that may not seal any more.
    #[method(name = "mass_bans")]
    async fn bans(&self) -> RpcResult<Vec<Ban>>;

    /// The newest slot that a farmer key has sealed on any branch, or null; what is too old for evidence is forgotten.
    #[method(name = "mass_lastSeal")]
    async fn last_seal(&self, farmer: FarmerPublicKey) -> RpcResult<Option<LastSeal>>;

    /// Blocks of the best chain from a height on, 1 at the least, in hex as peers send them, with seals and evidence:
    /// at most `max`, fewer if they are large, none above the tip.
    #[method(name = "mass_blocks")]
    async fn blocks(&self, from: Height, max: u32) -> RpcResult<Vec<String>>;
}

/// What a node of a ledger of coins answers beside [`Mass`].
#[rpc(server, client)]
pub trait Coins {
    /// Where all the money is.
    #[method(name = "mass_supply")]
    async fn supply(&self) -> RpcResult<Supply>;

    /// Rewards on their way to a farmer.
    #[method(name = "mass_pending")]
    async fn pending(&self, farmer: FarmerPublicKey) -> RpcResult<Vec<Pending>>;

    /// Rewards on their way to these addresses, 1,000 at the most, whoever earned them.
    #[method(name = "mass_pendingTo")]
    async fn pending_to(&self, addresses: Vec<String>) -> RpcResult<Vec<Pending>>;
}

/// What our own programs call of the methods that are named as in Bitcoin Core. There are more; the node's table of
/// methods answers them, and `help` lists them.
#[rpc(client)]
pub trait Bitcoin {
    /// Height of the tip.
    #[method(name = "getblockcount")]
    async fn get_block_count(&self) -> RpcResult<Height>;

    /// The tip.
    #[method(name = "getbestblockhash")]
    async fn get_best_block_hash(&self) -> RpcResult<BlockId>;

    /// The block at a height of the best chain.
    #[method(name = "getblockhash")]
    async fn get_block_hash(&self, height: Height) -> RpcResult<BlockId>;

    /// A block: with `verbosity` 0 the hex of its 80-byte header and body, else (by default) an object; on chains of
    /// coins 2 has the transactions in full and 3 also what they spend.
    #[method(name = "getblock")]
    async fn get_block(&self, hash: BlockId, verbosity: Option<u8>) -> RpcResult<Value>;

    /// A header: with `verbose` false the hex of its 80 bytes, else (by default) an object.
    #[method(name = "getblockheader")]
    async fn get_block_header(&self, hash: BlockId, verbose: Option<bool>) -> RpcResult<Value>;

    /// State of the chain.
    #[method(name = "getblockchaininfo")]
    async fn get_blockchain_info(&self) -> RpcResult<Value>;

    /// The hex of a transaction. What is in a block is found by the index, if the node keeps it.
    #[method(name = "getrawtransaction")]
    async fn get_raw_transaction(&self, txid: String, verbosity: Option<u8>) -> RpcResult<String>;

    /// Number of connected peers.
    #[method(name = "getconnectioncount")]
    async fn get_connection_count(&self) -> RpcResult<u32>;

    /// The connected peers.
    #[method(name = "getpeerinfo")]
    async fn get_peer_info(&self) -> RpcResult<Value>;

    /// Connects to a peer: `command` is `add`, `remove` or `onetry`.
    #[method(name = "addnode")]
    async fn add_node(&self, address: String, command: String) -> RpcResult<()>;

    /// Switches the network on or off; returns what holds now.
    #[method(name = "setnetworkactive")]
    async fn set_network_active(&self, state: bool) -> RpcResult<bool>;

    /// Asks the node to shut down.
    #[method(name = "stop")]
    async fn stop(&self) -> RpcResult<String>;
    /// An unspent output, or null.
    #[method(name = "gettxout")]
    async fn get_tx_out(&self, txid: String, n: u32, include_mempool: Option<bool>) -> RpcResult<Value>;
}
