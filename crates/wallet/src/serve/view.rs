//! Calls that look: balances, coins, transactions.

use bdk_wallet::{KeychainKind, WalletTx, chain::ChainPosition};
use bitcoin::{Transaction, Txid};
use mass_primitives::Amount;
use mass_rpc::{BitcoinClient as _, HttpClient, RpcResult, errors as core};
use serde_json::{Value, json};

use super::{
    Call, Method,
    answers::{mass, signed, transaction_hex},
    errors, method,
};
use crate::{
    coins::{Coin, CoinState, parse_coin},
    error::from_call,
    ledger_chain::block_id,
    wallet::Wallet,
};

pub(super) const METHODS: &[Method] = &[
    method("getwalletinfo", &[]),
    method("getbalance", &["dummy", "minconf", "include_watchonly", "avoid_reuse"]),
    method("getbalances", &[]),
    method("listunspent", &["minconf", "maxconf", "addresses", "include_unsafe", "query_options"]),
    method("lockunspent", &["unlock", "transactions", "persistent"]),
    method("listlockunspent", &[]),
    method("listtransactions", &["label", "count", "skip", "include_watchonly"]),
    method("gettransaction", &["txid", "include_watchonly", "verbose"]),
    method("rescanblockchain", &["start_height", "stop_height"]),
];

pub(super) async fn run(method: &str, mut call: Call<'_>) -> RpcResult<Value> {
    if method == "rescanblockchain" {
        check_rescan(call.node).await?;
        call.wallet.forget().map_err(errors::of)?;
    }
    call.wallet.sync(call.node).await.map_err(errors::of)?;
    match method {
        "getwalletinfo" => Ok(info(&call)),
        "getbalance" => balance(&call),
        "getbalances" => Ok(balances(call.wallet)),
        "listunspent" => unspent(&call),
        "lockunspent" => lock_unspent(&mut call),
        "listlockunspent" => {
            let frozen = call.wallet.bdk.list_locked_outpoints();
            Ok(frozen.map(|coin| json!({ "txid": coin.txid.to_string(), "vout": coin.vout })).collect())
        }
        "listtransactions" => transactions(&call),
        "gettransaction" => transaction(&call),
        _ => Ok(json!({ "start_height": 0, "stop_height": call.wallet.height() })),
    }
}

/// A node that has pruned blocks cannot tell again what was in them, so nothing is forgotten.
async fn check_rescan(node: &HttpClient) -> RpcResult<()> {
    let info = node
        .get_blockchain_info()
        .await
        .map_err(|error| errors::of(from_call("getblockchaininfo", error)))?;
    match info["pruneheight"].as_u64() {
        Some(height) if height > 1 => Err(core::misc(format!(
            "Can't rescan beyond pruned data: the node has no blocks below height {height}"
        ))),
        _ => Ok(()),
    }
}

fn last_block(wallet: &Wallet) -> Value {
    let tip = wallet.bdk.latest_checkpoint();
    json!({ "hash": block_id(tip.hash()), "height": tip.height() })
}

fn info(call: &Call<'_>) -> Value {
    let wallet = &call.wallet;
    let mut value = json!({
        "walletname": call.name, "walletversion": 169_900, "format": "sqlite",
        "txcount": wallet.bdk.transactions().count(), "keypoolsize": 100, "keypoolsize_hd_internal": 100,
        "private_keys_enabled": !wallet.is_watch_only(), "avoid_reuse": false, "scanning": false,
        "descriptors": true, "external_signer": false, "blank": false, "birthtime": 0,
        "flags": ["descriptor_wallet"], "lastprocessedblock": last_block(wallet),
    });
    if wallet.is_encrypted() {
        value["unlocked_until"] = call.lock_at.map_or(0, |(_, until)| until).into();
    }
    value
}

fn confirmations(wallet: &Wallet, height: Option<u32>) -> i64 {
    height.map_or(0, |height| i64::from(wallet.height().get()) - i64::from(height) + 1)
}

fn sum(coins: impl Iterator<Item = Amount>) -> Value {
    mass(Amount::new(coins.map(Amount::get).sum()))
}

fn balance(call: &Call<'_>) -> RpcResult<Value> {
    if call.args.text("dummy")?.is_some_and(|dummy| dummy != "*") {
        return Err(core::invalid_parameter("dummy first argument must be excluded or set to \"*\"."));
    }
    let least = call.args.number("minconf")?.unwrap_or(0) as i64;
    let is_counted = |coin: &Coin| {
        let trusted = matches!(coin.state, CoinState::Confirmed | CoinState::Change);
        trusted && confirmations(call.wallet, coin.height.map(|height| height.get())) >= least
    };
    let coins = call.wallet.coins();
    Ok(sum(coins.iter().filter(|coin| is_counted(coin)).map(|coin| coin.amount)))
}

fn balances(wallet: &Wallet) -> Value {
    let coins = wallet.coins();
    let of = |states: &[CoinState]| {
        sum(coins.iter().filter(|coin| states.contains(&coin.state)).map(|coin| coin.amount))
    };
    json!({
        "mine": { "trusted": of(&[CoinState::Confirmed, CoinState::Change]),
            "untrusted_pending": of(&[CoinState::Incoming]), "immature": of(&[CoinState::Immature]) },
        "lastprocessedblock": last_block(wallet),
    })
}

fn unspent(call: &Call<'_>) -> RpcResult<Value> {
    let least = call.args.number("minconf")?.unwrap_or(1) as i64;
    let most = call.args.number("maxconf")?.unwrap_or(9_999_999) as i64;
    let include_unsafe = call.args.flag("include_unsafe", true)?;
    let wanted = call.args.list("addresses")?;
    let wallet = &call.wallet;
    let mut found = Vec::new();
    for coin in wallet.coins() {
        let depth = confirmations(wallet, coin.height.map(|height| height.get()));
        let is_safe = coin.state != CoinState::Incoming;
        let is_wanted = wanted.is_empty() || wanted.contains(&json!(coin.address));
        let spendable = !coin.frozen && coin.state != CoinState::Immature;
        if !spendable || !(least..=most).contains(&depth) || !is_wanted || !is_safe && !include_unsafe {
            continue;
        }
        let mut value = json!({
            "txid": coin.outpoint.txid.to_string(), "vout": coin.outpoint.vout, "address": coin.address,
            "scriptPubKey": coin.script.to_hex_string(), "amount": mass(coin.amount), "confirmations": depth,
            "spendable": !wallet.is_watch_only(), "solvable": true, "safe": is_safe,
            "label": wallet.label("addr", &coin.address).unwrap_or_default(),
        });
        if let Some((keychain, index)) = wallet.bdk.derivation_of_spk(coin.script.clone()) {
            let parent = wallet.bdk.public_descriptor(keychain);
            value["parent_descs"] = json!([parent.to_string()]);
            value["desc"] = parent.at_derivation_index(index).map(|own| own.to_string()).ok().into();
        }
        found.push(value);
    }
    Ok(found.into())
}

fn lock_unspent(call: &mut Call<'_>) -> RpcResult<Value> {
    let unlock = call.args.flag("unlock", false)?;
    let list = call.args.list("transactions")?;
    if list.is_empty() && unlock {
        let frozen: Vec<_> = call.wallet.bdk.list_locked_outpoints().collect();
        for coin in frozen {
            call.wallet.freeze(coin, false).map_err(errors::of)?;
        }
    }
    for coin in &list {
        let text = format!("{}:{}", coin["txid"].as_str().unwrap_or_default(), coin["vout"]);
        let coin = parse_coin(&text).map_err(errors::of)?;
        call.wallet.freeze(coin, !unlock).map_err(errors::of)?;
    }
    Ok(true.into())
}

/// What every answer about a transaction has.
fn common(wallet: &Wallet, tx: &WalletTx<'_>) -> Value {
    let txid = tx.tx_node.txid;
    let mut value = json!({
        "txid": txid.to_string(), "wtxid": tx.tx_node.tx.compute_wtxid().to_string(), "walletconflicts": [],
        "mempoolconflicts": [], "bip125-replaceable": "no",
    });
    match &tx.chain_position {
        ChainPosition::Confirmed { anchor, .. } => {
            let height = anchor.block_id.height;
            value["confirmations"] = confirmations(wallet, Some(height)).into();
            value["blockhash"] = json!(block_id(anchor.block_id.hash));
            value["blockheight"] = height.into();
            value["blocktime"] = anchor.confirmation_time.into();
            value["time"] = anchor.confirmation_time.into();
            value["timereceived"] = anchor.confirmation_time.into();
            if tx.tx_node.tx.is_coinbase() {
                value["generated"] = true.into();
            }
        }
        ChainPosition::Unconfirmed { last_seen, first_seen } => {
            let seen = first_seen.or(*last_seen).unwrap_or(0);
            value["confirmations"] = 0.into();
            value["trusted"] = wallet.spends_own(&tx.tx_node.tx).into();
            value["time"] = seen.into();
            value["timereceived"] = seen.into();
            let replaceable = tx.tx_node.tx.input.iter().any(|input| input.sequence.is_rbf());
            value["bip125-replaceable"] = if replaceable { "yes" } else { "no" }.into();
        }
    }
    if let Some(label) = wallet.label("tx", &txid.to_string()) {
        value["comment"] = label.into();
    }
    value
}

/// What a transaction sent and received, output by output.
fn details(wallet: &Wallet, tx: &Transaction, depth: i64) -> Vec<Value> {
    let fee = if wallet.spends_own(tx) { wallet.bdk.calculate_fee(tx).ok() } else { None };
    let (sent, _) = wallet.bdk.sent_and_received(tx);
    let mut found = Vec::new();
    for (number, output) in tx.output.iter().enumerate() {
        let place = wallet.bdk.derivation_of_spk(output.script_pubkey.clone());
        let address = wallet.address_of(&output.script_pubkey);
        let label = address.as_deref().and_then(|address| wallet.label("addr", address)).unwrap_or_default();
        let amount = output.value.to_sat() as i64;
        let entry = |category: &str, amount: i64| {
            json!({ "address": address.clone().unwrap_or_default(), "category": category, "amount": signed(amount),
                "vout": number, "label": label, "abandoned": false })
        };
        let is_change = sent.to_sat() > 0 && matches!(place, Some((KeychainKind::Internal, _)));
        if sent.to_sat() > 0 && !is_change {
            let mut value = entry("send", -amount);
            if let Some(fee) = fee {
                value["fee"] = signed(-(fee.to_sat() as i64));
            }
            found.push(value);
        }
        if place.is_some() && !is_change {
            let category = match (tx.is_coinbase(), depth < 100) {
                (true, true) => "immature",
                (true, false) => "generate",
                _ => "receive",
            };
            let mut value = entry(category, amount);
            value["parent_descs"] = place
                .map(|(keychain, _)| json!([wallet.bdk.public_descriptor(keychain).to_string()]))
                .unwrap_or_default();
            found.push(value);
        }
    }
    found
}

fn transactions(call: &Call<'_>) -> RpcResult<Value> {
    let wanted = call.args.text("label")?.filter(|label| *label != "*");
    let count = call.args.number("count")?.unwrap_or(10) as usize;
    let skip = call.args.number("skip")?.unwrap_or(0) as usize;
    let wallet = &call.wallet;
    let mut entries = Vec::new();
    for entry in wallet.history() {
        let Some(tx) = wallet.bdk.get_tx(entry.txid) else { continue };
        let common = common(wallet, &tx);
        let depth = common["confirmations"].as_i64().unwrap_or(0);
        for mut value in details(wallet, &tx.tx_node.tx, depth) {
            if let (Value::Object(value), Value::Object(common)) = (&mut value, &common) {
                value.extend(common.clone());
            }
            entries.push(value);
        }
    }
    entries.retain(|entry| wanted.is_none_or(|label| entry["label"] == label));
    let end = entries.len().saturating_sub(skip);
    let begin = end.saturating_sub(count);
    Ok(entries.get(begin..end).unwrap_or_default().to_vec().into())
}

fn transaction(call: &Call<'_>) -> RpcResult<Value> {
    let txid: Txid = call
        .args
        .needed("txid")?
        .parse()
        .map_err(|_| core::invalid_parameter("txid must be of length 64 and hexadecimal"))?;
    let wallet = &call.wallet;
    let missing = || core::not_found("Invalid or non-wallet transaction id");
    let found = wallet.bdk.get_tx(txid).ok_or_else(missing)?;
    let tx = &found.tx_node.tx;
    let mut value = common(wallet, &found);
    let depth = value["confirmations"].as_i64().unwrap_or(0);
    let (sent, received) = wallet.bdk.sent_and_received(tx);
    let mut net = received.to_sat() as i64 - sent.to_sat() as i64;
    if let Some(fee) = wallet.bdk.calculate_fee(tx).ok().filter(|_| wallet.spends_own(tx)) {
        let fee = fee.to_sat() as i64;
        value["fee"] = signed(-fee);
        net += fee;
    }
    value["amount"] = signed(net);
    value["details"] = details(wallet, tx, depth).into();
    value["hex"] = transaction_hex(tx).into();
    value["lastprocessedblock"] = last_block(wallet);
    if call.args.flag("verbose", false)? {
        value["decoded"] = super::answers::transaction(wallet, tx);
    }
    Ok(value)
}
