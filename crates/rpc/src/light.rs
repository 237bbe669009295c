//! What wallets ask that check everything themselves: sealed headers, filters of blocks, and what a block spends.

use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use mass_primitives::{BlockId, Height};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Headers in one answer at the most.
pub const HEADERS_MAX: u32 = 2_000;
/// Filters in one answer at the most. An answer has fewer if they are long.
pub const FILTERS_MAX: u32 = 1_000;

/// Sealed headers of the best chain, in the order of their heights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers {
    /// Height of the tip.
    pub tip: Height,
    /// The headers with their seals, canonical encodings in hex.
    pub headers: Vec<String>,
}

/// Filters of blocks of the best chain, in the order of their heights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// The filter header before the first one, all zeros before block 0.
    pub previous: String,
    /// The filters.
    pub filters: Vec<Filter>,
}

/// A filter of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The block.
    pub hash: BlockId,
    /// The filter in hex.
    pub filter: String,
}

/// The methods.
#[rpc(server, client)]
pub trait Light {
    /// Sealed headers from a height on, from 1: block 0 has no seal.
    #[method(name = "mass_headers")]
    async fn headers(&self, from: Height, count: u32) -> RpcResult<Headers>;

    /// Basic filters (BIP-158) from a height on.
    #[method(name = "mass_filters")]
    async fn filters(&self, from: Height, count: u32) -> RpcResult<Filters>;

    /// The transactions in hex whose outputs a block spends, each once: with them anybody makes its filter himself.
    #[method(name = "mass_spentTransactions")]
    async fn spent_transactions(&self, hash: BlockId) -> RpcResult<Vec<String>>;

    /// The filter of a block and its filter header (BIP-157).
    #[method(name = "getblockfilter")]
    async fn get_block_filter(&self, hash: BlockId, filter_type: Option<String>) -> RpcResult<Value>;
}
