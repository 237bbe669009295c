//! The methods of the pool: transactions that wait for a block, and what it costs not to wait. Named and shaped as in
//! Bitcoin Core; amounts are in MASS, fee rates in MASS per 1000 virtual bytes.

use jsonrpsee::proc_macros::rpc;
use serde_json::Value;

/// What programs call of the methods of the pool; the node's table of methods answers them.
#[rpc(client)]
pub trait Pool {
    /// Offers a transaction in hex to the pool and to peers; returns its id. One that pays more than `maxfeerate`
    /// (default 0.10, 0 for any) or burns more than `maxburnamount` (default 0) is refused.
    #[method(name = "sendrawtransaction")]
    async fn send_raw_transaction(
        &self,
        hexstring: String,
        maxfeerate: Option<Value>,
        maxburnamount: Option<Value>,
    ) -> RpcResult<String>;

    /// Whether the pool would take transactions in hex, which may spend from those before them; nothing is changed.
    #[method(name = "testmempoolaccept")]
    async fn test_mempool_accept(&self, rawtxs: Vec<String>, maxfeerate: Option<Value>) -> RpcResult<Value>;

    /// Offers a child together with the parents that it pays for, parents first.
    #[method(name = "submitpackage")]
    async fn submit_package(
        &self,
        package: Vec<String>,
        maxfeerate: Option<Value>,
        maxburnamount: Option<Value>,
    ) -> RpcResult<Value>;

    /// How full the pool is, and what it asks for.
    #[method(name = "getmempoolinfo")]
    async fn get_mempool_info(&self) -> RpcResult<Value>;

    /// Ids of the transactions that wait, or with `verbose` what is known of each; with `mempool_sequence` a list and
    /// the number of changes of the pool so far.
    #[method(name = "getrawmempool")]
    async fn get_raw_mempool(
        &self,
        verbose: Option<bool>,
        mempool_sequence: Option<bool>,
    ) -> RpcResult<Value>;

    /// What is known of a transaction that waits.
    #[method(name = "getmempoolentry")]
    async fn get_mempool_entry(&self, txid: String) -> RpcResult<Value>;

    /// Those that a transaction stands on and that wait, too.
    #[method(name = "getmempoolancestors")]
    async fn get_mempool_ancestors(&self, txid: String, verbose: Option<bool>) -> RpcResult<Value>;

    /// Those that wait for a transaction.
    #[method(name = "getmempooldescendants")]
    async fn get_mempool_descendants(&self, txid: String, verbose: Option<bool>) -> RpcResult<Value>;

    /// Writes the pool down now; it is also written at times and when the node ends.
    #[method(name = "savemempool")]
    async fn save_mempool(&self) -> RpcResult<Value>;

    /// Adds `fee_delta` maxwell to the fee by which this node orders a transaction; `dummy` is null or 0.
    #[method(name = "prioritisetransaction")]
    async fn prioritise_transaction(
        &self,
        txid: String,
        dummy: Option<Value>,
        fee_delta: i64,
    ) -> RpcResult<bool>;

    /// What was added to fees by `prioritisetransaction`.
    #[method(name = "getprioritisedtransactions")]
    async fn get_prioritised_transactions(&self) -> RpcResult<Value>;

    /// A fee rate for a transaction that is to be in one of the next `conf_target` blocks. `estimate_mode` is
    /// `economical` (default) or `conservative`.
    #[method(name = "estimatesmartfee")]
    async fn estimate_smart_fee(&self, conf_target: u32, estimate_mode: Option<String>) -> RpcResult<Value>;
}
