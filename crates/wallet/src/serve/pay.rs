//! Calls that pay.

use bitcoin::{FeeRate, OutPoint, Txid};
use mass_primitives::Amount;
use mass_rpc::{RpcResult, errors as core};
use serde_json::{Map, Value, json};

use super::{
    Call, Method,
    answers::{mass, transaction_hex},
    args::{Args, amount},
    errors, method,
};
use crate::{
    coins::parse_coin,
    psbt::{finalize, parse_psbt},
    send::{FEE_RATE_DEFAULT, Payment, Value as Worth, parse_fee_rate},
};

pub(super) const METHODS: &[Method] = &[
    method(
        "sendtoaddress",
        &[
            "address",
            "amount",
            "comment",
            "comment_to",
            "subtractfeefromamount",
            "replaceable",
            "conf_target",
            "estimate_mode",
            "avoid_reuse",
            "fee_rate",
            "verbose",
        ],
    ),
    method(
        "sendmany",
        &[
            "dummy",
            "amounts",
            "minconf",
            "comment",
            "subtractfeefrom",
            "replaceable",
            "conf_target",
            "estimate_mode",
            "fee_rate",
            "verbose",
        ],
    ),
    method("bumpfee", &["txid", "options"]),
    method("walletcreatefundedpsbt", &["inputs", "outputs", "locktime", "options", "bip32derivs"]),
    method("walletprocesspsbt", &["psbt", "sign", "sighashtype", "bip32derivs", "finalize"]),
];

pub(super) async fn run(method: &str, call: Call<'_>) -> RpcResult<Value> {
    call.wallet.sync(call.node).await.map_err(errors::of)?;
    match method {
        "sendtoaddress" => send(call).await,
        "sendmany" => send_many(call).await,
        "bumpfee" => bump(call).await,
        "walletcreatefundedpsbt" => create(call).await,
        _ => process(&call),
    }
}

/// The fee rate that a call names by `fee_rate` (maxwell per vbyte) or by `conf_target`.
async fn fee_rate(call: &Call<'_>, args: &Args) -> RpcResult<FeeRate> {
    if let Some(rate) = args.get("fee_rate") {
        let text = rate.as_str().map_or_else(|| rate.to_string(), str::to_owned);
        let text = text.strip_suffix(".0").unwrap_or(&text);
        return parse_fee_rate(text).map_err(errors::of);
    }
    let Some(blocks) = args.number("conf_target")? else { return Ok(FEE_RATE_DEFAULT) };
    let blocks = u16::try_from(blocks).ok().filter(|blocks| (1..=1008).contains(blocks));
    let blocks =
        blocks.ok_or_else(|| core::invalid_parameter("Invalid conf_target, must be between 1 and 1008"))?;
    let rate = call.wallet.estimate_fee_rate(call.node, blocks).await.map_err(errors::of)?;
    Ok(rate.unwrap_or(FEE_RATE_DEFAULT))
}

async fn pay(call: Call<'_>, payment: &Payment) -> RpcResult<Value> {
    let sent = call.wallet.pay(call.node, payment).await.map_err(errors::of)?;
    let txid = sent.txid.to_string();
    if let Some(comment) = call.args.text("comment")?.filter(|comment| !comment.is_empty()) {
        call.wallet.set_label("tx", &txid, comment).map_err(errors::of)?;
    }
    if call.args.flag("verbose", false)? {
        return Ok(json!({ "txid": txid, "fee_reason": "Fallback fee" }));
    }
    Ok(txid.into())
}

async fn send(call: Call<'_>) -> RpcResult<Value> {
    let value = amount(call.args.get("amount").unwrap_or(&Value::Null))?;
    if value == Amount::ZERO {
        return Err(errors::wrong_type("Invalid amount for send"));
    }
    let rate = fee_rate(&call, &call.args).await?;
    let worth = if call.args.flag("subtractfeefromamount", false)? {
        if value != call.wallet.balance().spendable() {
            return Err(core::invalid_parameter(
                "subtractfeefromamount is for the whole balance here: other amounts are sent as they are",
            ));
        }
        Worth::Max
    } else {
        Worth::Exact(value)
    };
    let payment = Payment::new(call.args.needed("address")?, worth, rate);
    pay(call, &payment).await
}

async fn send_many(call: Call<'_>) -> RpcResult<Value> {
    let Some(Value::Object(map)) = call.args.get("amounts") else {
        return Err(errors::wrong_type("amounts is an object of addresses and amounts"));
    };
    let recipients = recipients(map)?;
    let fee_rate = fee_rate(&call, &call.args).await?;
    pay(call, &Payment { recipients, fee_rate, coins: Vec::new(), older: None, after: None }).await
}

fn recipients(map: &Map<String, Value>) -> RpcResult<Vec<(String, Worth)>> {
    map.iter().map(|(address, value)| Ok((address.clone(), Worth::Exact(amount(value)?)))).collect()
}

async fn bump(call: Call<'_>) -> RpcResult<Value> {
    let txid: Txid =
        call.args.needed("txid")?.parse().map_err(|_| core::invalid_parameter("txid is no id"))?;
    let options = call.args.within("options")?;
    let old =
        call.wallet.fee_of(txid).ok_or_else(|| core::not_found("Invalid or non-wallet transaction id"))?;
    let rate = fee_rate(&call, &options).await?;
    let sent = call.wallet.bump(call.node, txid, rate).await.map_err(errors::of)?;
    Ok(json!({ "txid": sent.txid.to_string(), "origfee": mass(old), "fee": mass(sent.fee), "errors": [] }))
}

fn inputs(list: &[Value]) -> RpcResult<Vec<OutPoint>> {
    let read = |input: &Value| {
        let text = format!("{}:{}", input["txid"].as_str().unwrap_or_default(), input["vout"]);
        parse_coin(&text).map_err(errors::of)
    };
    list.iter().map(read).collect()
}

/// Outputs as a list of objects with one address each, or as one object.
fn outputs(args: &Args) -> RpcResult<Vec<(String, Worth)>> {
    let list = match args.get("outputs") {
        Some(Value::Object(map)) => vec![map.clone()],
        Some(Value::Array(list)) => {
            let maps = list.iter().map(|output| output.as_object().cloned());
            maps.collect::<Option<_>>().ok_or_else(|| errors::wrong_type("an output is an object"))?
        }
        _ => return Err(errors::wrong_type("outputs are a list of objects")),
    };
    let mut found = Vec::new();
    for map in &list {
        if map.contains_key("data") {
            return Err(core::invalid_parameter("outputs with data are not made by this wallet"));
        }
        found.extend(recipients(map)?);
    }
    Ok(found)
}

async fn create(call: Call<'_>) -> RpcResult<Value> {
    let options = call.args.within("options")?;
    let chosen = inputs(&call.args.list("inputs")?)?;
    let rate = match options.get("feeRate") {
        // MASS per 1,000 vbytes.
        Some(rate) => FeeRate::from_sat_per_kwu(amount(rate)?.get().div_ceil(4)),
        None => fee_rate(&call, &options).await?,
    };
    let lock = call.args.number("locktime")?.unwrap_or(0);
    let after = u32::try_from(lock)
        .map_err(|_| core::invalid_parameter("Invalid parameter, locktime out of range"))?;
    let after = Some(after).filter(|after| *after > 0);
    let payment =
        Payment { recipients: outputs(&call.args)?, fee_rate: rate, coins: chosen, older: None, after };
    let psbt = call.wallet.draft(&payment).map_err(errors::of)?;
    if options.flag("lockUnspents", false)? {
        for input in &psbt.unsigned_tx.input {
            call.wallet.freeze(input.previous_output, true).map_err(errors::of)?;
        }
    }
    let is_paid = |script: &bitcoin::Script| {
        let address = call.wallet.address_of(script);
        payment
            .recipients
            .iter()
            .any(|(paid, _)| address.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(paid)))
    };
    let change = psbt.unsigned_tx.output.iter().position(|output| !is_paid(&output.script_pubkey));
    let fee = psbt.fee().map_err(|error| errors::wallet(error.to_string()))?;
    Ok(json!({ "psbt": psbt.to_string(), "fee": mass(Amount::new(fee.to_sat())),
        "changepos": change.map_or(-1, |position| position as i64) }))
}

fn process(call: &Call<'_>) -> RpcResult<Value> {
    let mut psbt = parse_psbt(call.args.needed("psbt")?.as_bytes()).map_err(errors::of)?;
    if call.args.text("sighashtype")?.is_some_and(|kind| !["DEFAULT", "ALL"].contains(&kind)) {
        return Err(core::invalid_parameter("this wallet signs whole payments only: ALL or DEFAULT"));
    }
    if call.args.flag("sign", true)? && !call.wallet.is_watch_only() {
        call.wallet.sign_psbt(&mut psbt).map_err(errors::of)?;
    }
    let mut done = psbt.clone();
    let complete = finalize(&mut done).is_ok();
    let mut value = json!({ "complete": complete });
    if complete && call.args.flag("finalize", true)? {
        value["psbt"] = done.to_string().into();
        let tx = done.extract_tx().map_err(|error| errors::wallet(error.to_string()))?;
        value["hex"] = transaction_hex(&tx).into();
    } else {
        value["psbt"] = psbt.to_string().into();
    }
    Ok(value)
}
