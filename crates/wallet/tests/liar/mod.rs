//! A node that lies: a proxy before a real one, which changes some of its answers.

use std::sync::Arc;

use mass_rpc::{
    ClientError, ErrorObjectOwned, HttpClient, RpcModule, RpcResult, ServerHandle, errors,
    metrics::{Page, Render},
};
use serde_json::Value;

/// Changes the answer to a method with these parameters.
pub type Change = Arc<dyn Fn(&str, &[Value], Value) -> RpcResult<Value> + Send + Sync>;

const METHODS: [&str; 10] = [
    "mass_status",
    "getblockhash",
    "getblockcount",
    "getrawmempool",
    "getrawtransaction",
    "sendrawtransaction",
    "getblock",
    "mass_headers",
    "mass_filters",
    "mass_spentTransactions",
];

/// Starts the proxy; its server, and a client of it.
pub async fn liar(node: &HttpClient, change: Change) -> (ServerHandle, HttpClient) {
    let mut module = RpcModule::new((node.clone(), change));
    for method in METHODS {
        let added = module.register_async_method(method, move |params, context, _| async move {
            let (node, change) = &*context;
            let params: Vec<Value> = params.parse().unwrap_or_default();
            match mass_rpc::call(node, method, params.clone()).await {
                Ok(answer) => change(method, &params, answer),
                Err(ClientError::Call(refusal)) => Err::<Value, ErrorObjectOwned>(refusal),
                Err(error) => Err(errors::misc(error.to_string())),
            }
        });
        added.unwrap();
    }
    let metrics: Render = Arc::new(|| Box::pin(async { Page::default() }));
    let (address, server) =
        mass_rpc::serve("127.0.0.1:0".parse().unwrap(), module, metrics, mass_rpc::Access::default())
            .await
            .unwrap();
    (server, mass_rpc::client(&format!("http://{address}")).unwrap())
}
