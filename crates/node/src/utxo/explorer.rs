//! What needs the view beside the loop: Esplora's interface without a socket, for an explorer in the same process, and search by
//! whatever somebody types.

use axum::{Router, body::Body, http::Request};
use bitcoin::Txid;
use mass_ledger_utxo::address;
use mass_primitives::{BlockId, Height};
use mass_rpc::{Methods, RpcModule, RpcResult, errors};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{
    esplora::ANSWER_BYTES_MAX,
    view::{ScriptHash, View},
};
use crate::{api::fault, error::ChainError};

/// Characters that are searched for at the most.
const TEXT_MAX: usize = 200;

/// Who answers.
pub(super) struct Explorer {
    pub(super) view: View,
    /// Esplora's paths.
    pub(super) router: Router,
}

impl Explorer {
    /// `mass_explore PATH`, which answers what `GET PATH` of Esplora's interface answers, and `mass_search TEXT`.
    pub(super) fn methods(self) -> Methods {
        let mut module = RpcModule::new(self);
        let added = module.register_async_method("mass_explore", |params, explorer, _| async move {
            explorer.get(&params.one::<String>()?).await
        });
        added.expect("the method is named once");
        let added = module.register_async_method("mass_search", |params, explorer, _| async move {
            let text: String = params.one()?;
            let found = explorer.view.read(move |view| search(view, text.trim())).await;
            found.unwrap_or_else(|| Err(errors::misc("the search has failed")))
        });
        added.expect("the method is named once");
        module.into()
    }

    async fn get(&self, path: &str) -> RpcResult<Value> {
        let request = Request::get(path).body(Body::empty());
        let request = request.map_err(|error| errors::invalid_parameter(format!("no path: {error}")))?;
        let Ok(answer) = self.router.clone().oneshot(request).await;
        let status = answer.status();
        let is_json = answer.headers().get("content-type").is_some_and(|kind| kind == "application/json");
        let body = axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| errors::misc(error.to_string()))?;
        let text = || String::from_utf8_lossy(&body).into_owned();
        match status.as_u16() {
            200 if is_json => serde_json::from_slice(&body).map_err(|error| errors::misc(error.to_string())),
            200 => Ok(json!(std::str::from_utf8(&body).map_or_else(|_| hex::encode(&body), str::to_owned))),
            400 => Err(errors::invalid_parameter(text())),
            404 => Err(errors::not_found(text())),
            _ => Err(errors::misc(text())),
        }
    }
}

/// All that a text may mean: a height, a block, a transaction, an address.
fn search(view: &View, text: &str) -> RpcResult<Value> {
    let mut found = Vec::new();
    if text.len() <= TEXT_MAX {
        found.extend(block(view, text).map_err(fault)?);
        found.extend(transaction(view, text).map_err(fault)?);
        let chain = view.chain();
        if let Ok(script) = address::decode(&chain.facts().address_prefix, text) {
            let script = hex::encode(ScriptHash::of(&script).as_bytes());
            found.push(json!({ "kind": "address", "address": text, "scripthash": script }));
        }
    }
    Ok(json!({ "found": found }))
}

fn block(view: &View, text: &str) -> Result<Option<Value>, ChainError> {
    let chain = view.chain();
    let by_height =
        text.parse().ok().map(Height::new).map(|height| chain.id_at(height)).transpose()?.flatten();
    let Some(id) = by_height.or_else(|| text.parse::<BlockId>().ok()) else { return Ok(None) };
    let Some(block) = chain.block(&id)? else { return Ok(None) };
    let is_active = chain.id_at(block.height)? == Some(id);
    Ok(Some(json!({ "kind": "block", "hash": id, "height": block.height, "active": is_active })))
}

fn transaction(view: &View, text: &str) -> Result<Option<Value>, ChainError> {
    let Ok(txid) = text.parse::<Txid>() else { return Ok(None) };
    let (chain, waits) = view.look(|pool| pool.get(&txid).is_some());
    let place = chain.tx_place(&txid)?;
    if place.is_none() && !waits {
        return Ok(None);
    }
    let height = place.map(|place| place.height);
    Ok(Some(json!({ "kind": "transaction", "txid": txid, "height": height })))
}
