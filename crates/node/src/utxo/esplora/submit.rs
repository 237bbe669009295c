//! Transactions that clients send.

use axum::{body::Bytes, extract::rejection::BytesRejection};
use bitcoin::{Transaction, consensus::encode::deserialize_hex};
use mass_rpc::ErrorObjectOwned;
use serde_json::{Value, json};

use super::{
    Answer, Shared,
    reply::{Refusal, Reply, respond},
};

/// Transactions of a package at the most.
const PACKAGE_MAX: usize = 25;

/// A request's body as text.
fn text(body: Result<Bytes, BytesRejection>) -> Result<String, Refusal> {
    let body = body.map_err(|error| Refusal::body(error.status(), error.body_text()))?;
    String::from_utf8(body.into()).map_err(|_| Refusal::bad("the body is no text"))
}

fn decode(hex: &str) -> Result<Transaction, Refusal> {
    deserialize_hex(hex.trim())
        .map_err(|_| refused(-22, "TX decode failed. Make sure the tx has at least one input."))
}

/// A refusal as a node behind electrs words it.
fn refused(code: i32, message: &str) -> Refusal {
    Refusal::bad(format!("sendrawtransaction RPC error: {}", json!({ "code": code, "message": message })))
}

fn refusal(error: &ErrorObjectOwned) -> Refusal {
    refused(error.code(), error.message())
}

/// Takes one transaction in hex.
pub(super) async fn one(state: Shared, body: Result<Bytes, BytesRejection>) -> Answer {
    let tx = text(body).and_then(|text| decode(&text));
    let reply = match tx {
        Ok(tx) => state.watcher.offer(&tx).await.map_err(|error| refusal(&error)),
        Err(refusal) => Err(refusal),
    };
    respond(reply.map(|txid| Reply::Text(txid.to_string())))
}

/// Takes a child and its parents in hex, parents first; what becomes of each is told as `submitpackage` does.
pub(super) async fn package(state: Shared, body: Result<Bytes, BytesRejection>) -> Answer {
    respond(submit(&state, body).await.map(Reply::Json))
}

async fn submit(state: &Shared, body: Result<Bytes, BytesRejection>) -> Result<Value, Refusal> {
    let list: Vec<String> = serde_json::from_str(&text(body)?)
        .map_err(|_| Refusal::bad("the body is no list of transactions in hex"))?;
    if list.len() > PACKAGE_MAX {
        return Err(Refusal::bad(format!("Exceeded maximum of {PACKAGE_MAX} transactions")));
    }
    let txs = list.iter().map(|hex| decode(hex)).collect::<Result<Vec<Transaction>, Refusal>>()?;
    state.watcher.offer_package(&txs).await.map_err(|error| {
        Refusal::bad(format!(
            "submitpackage RPC error: {}",
            json!({ "code": error.code(), "message": error.message() })
        ))
    })
}
