//! Calls about keys: addresses, descriptors, passphrases.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bdk_wallet::KeychainKind;
use mass_consensus::spec::ChainSpec;
use mass_rpc::{RpcResult, errors as core};
use serde_json::{Value, json};

use super::{Call, Method, UNLOCKED_SECONDS_MAX, args::Args, errors, loading::secret, method};
use crate::{
    foreign::script_of,
    sync::unix_now,
    vault::Passphrase,
    wallet::{Origin, Wallet},
};

pub(super) const METHODS: &[Method] = &[
    method("getnewaddress", &["label", "address_type"]),
    method("getrawchangeaddress", &["address_type"]),
    method("getaddressinfo", &["address"]),
    method("setlabel", &["address", "label"]),
    method("listdescriptors", &["private"]),
    method("importdescriptors", &["requests"]),
    method("walletpassphrase", &["passphrase", "timeout"]),
    method("walletlock", &[]),
    method("walletpassphrasechange", &["oldpassphrase", "newpassphrase"]),
    method("encryptwallet", &["passphrase"]),
];

#[allow(clippy::unused_async, reason = "all groups of calls are run alike")]
pub(super) async fn run(method: &str, mut call: Call<'_>) -> RpcResult<Value> {
    match method {
        "getnewaddress" => new_address(&mut call),
        "getrawchangeaddress" => {
            let script = call.wallet.bdk.reveal_next_address(KeychainKind::Internal).address.script_pubkey();
            call.wallet.persist().map_err(errors::of)?;
            Ok(json!(call.wallet.address_of(&script)))
        }
        "getaddressinfo" => address_info(&call),
        "setlabel" => {
            let address = call.args.needed("address")?;
            script_of(&call.wallet.chain.address_prefix, address).map_err(errors::of)?;
            call.wallet.set_label("addr", address, call.args.needed("label")?).map_err(errors::of)?;
            Ok(Value::Null)
        }
        "listdescriptors" => descriptors(&call),
        "importdescriptors" => {
            let refusal = json!({ "success": false, "error": { "code": -4, "message":
                "This wallet has its descriptors: import into one made by createwallet with blank=true" } });
            Ok(call.args.list("requests")?.iter().map(|_| refusal.clone()).collect())
        }
        "walletpassphrase" => unlock(&mut call),
        "walletlock" => {
            if !call.wallet.lock() {
                return Err(unencrypted("walletlock"));
            }
            *call.lock_at = None;
            Ok(Value::Null)
        }
        "walletpassphrasechange" => change_passphrase(&mut call),
        _ => encrypt(&mut call),
    }
}

fn unencrypted(method: &str) -> mass_rpc::ErrorObjectOwned {
    errors::wrong_enc_state(format!("Error: running with an unencrypted wallet, but {method} was called."))
}

fn new_address(call: &mut Call<'_>) -> RpcResult<Value> {
    let (descriptor, _) = call.wallet.descriptors();
    let own = if descriptor.starts_with("tr(") { "bech32m" } else { "bech32" };
    match call.args.text("address_type")? {
        Some("bech32" | "bech32m") | None => {}
        Some("legacy" | "p2sh-segwit") => {
            return Err(core::not_found("Error: this chain has no legacy addresses"));
        }
        Some(other) => return Err(core::not_found(format!("Unknown address type '{other}'"))),
    }
    if call.args.text("address_type")?.is_some_and(|asked| asked != own) {
        return Err(errors::wallet(format!("Error: this wallet has addresses of type {own} only")));
    }
    let label = call.args.text("label")?.unwrap_or_default().to_owned();
    let address = call.wallet.new_address().map_err(errors::of)?;
    if !label.is_empty() {
        call.wallet.set_label("addr", &address, &label).map_err(errors::of)?;
    }
    Ok(address.into())
}

fn address_info(call: &Call<'_>) -> RpcResult<Value> {
    let (wallet, address) = (&call.wallet, call.args.needed("address")?);
    let script = script_of(&wallet.chain.address_prefix, address).map_err(errors::of)?;
    let place = wallet.bdk.derivation_of_spk(script.clone());
    let version = script.witness_version().map(|version| version.to_num());
    let mut value = json!({
        "address": address, "scriptPubKey": script.to_hex_string(), "ismine": place.is_some(),
        "iswatchonly": false, "solvable": place.is_some(), "isscript": script.is_p2wsh() || script.is_p2tr(),
        "ischange": matches!(place, Some((KeychainKind::Internal, _))), "iswitness": true,
        "witness_version": version, "witness_program": hex::encode(script.as_bytes().get(2..).unwrap_or_default()),
        "labels": wallet.label("addr", address).into_iter().collect::<Vec<_>>(),
    });
    if let Some((keychain, index)) = place {
        let parent = wallet.bdk.public_descriptor(keychain);
        value["parent_desc"] = parent.to_string().into();
        if let Ok(own) = parent.at_derivation_index(index) {
            value["desc"] = own.to_string().into();
        }
    }
    Ok(value)
}

fn descriptors(call: &Call<'_>) -> RpcResult<Value> {
    if call.args.flag("private", false)? {
        return Err(errors::wallet("Secret keys are not told over RPC: the phrase is on paper"));
    }
    let entry = |keychain: KeychainKind| {
        let next = call.wallet.bdk.next_derivation_index(keychain);
        json!({ "desc": call.wallet.bdk.public_descriptor(keychain).to_string(), "timestamp": 0, "active": true,
            "internal": keychain == KeychainKind::Internal, "range": [0, next + 99], "next": next, "next_index": next })
    };
    let keychains = call.wallet.bdk.keychains().map(|(keychain, _)| entry(keychain));
    Ok(json!({ "wallet_name": call.name, "descriptors": keychains.collect::<Value>() }))
}

/// Descriptors come into a wallet that was made blank; with them it is made on the disk.
pub(super) fn import_into_blank(
    spec: &ChainSpec,
    dir: &Path,
    args: &Args,
) -> RpcResult<(Value, Option<Wallet>)> {
    let requests = args.list("requests")?;
    let (mut external, mut internal) = (None, None);
    for request in &requests {
        let Value::Object(map) = request else { return Err(errors::wrong_type("a request is an object")) };
        let request = Args::of(map.clone());
        let text = secret(request.needed("desc")?);
        if !text.contains('#') {
            return Err(core::not_found("Missing checksum"));
        }
        let place = if request.flag("internal", false)? { &mut internal } else { &mut external };
        if place.replace(text).is_some() {
            return Err(errors::wallet("one descriptor of addresses and one of change make a wallet"));
        }
    }
    let Some(text) = external else {
        return Err(core::invalid_parameter("a descriptor of addresses is needed"));
    };
    let made = Wallet::make(dir, spec, Origin::Descriptors { text, change: internal, seed: None }, None);
    let result = |value: Value| requests.iter().map(|_| value.clone()).collect::<Value>();
    match made {
        Ok(wallet) => Ok((result(json!({ "success": true })), Some(wallet))),
        Err(problem) => {
            let refusal = errors::of(problem);
            let error = json!({ "code": refusal.code(), "message": refusal.message() });
            Ok((result(json!({ "success": false, "error": error })), None))
        }
    }
}

fn unlock(call: &mut Call<'_>) -> RpcResult<Value> {
    if !call.wallet.is_encrypted() {
        return Err(unencrypted("walletpassphrase"));
    }
    let seconds = call.args.number("timeout")?.ok_or_else(|| core::misc("timeout is needed"))?;
    let seconds = seconds.min(UNLOCKED_SECONDS_MAX);
    let passphrase = Passphrase::new(call.args.needed("passphrase")?).map_err(errors::of)?;
    call.wallet.unlock(&passphrase).map_err(errors::of)?;
    let until = unix_now().saturating_add(seconds);
    *call.lock_at = Instant::now().checked_add(Duration::from_secs(seconds)).map(|at| (at, until));
    Ok(Value::Null)
}

fn change_passphrase(call: &mut Call<'_>) -> RpcResult<Value> {
    if !call.wallet.is_encrypted() {
        return Err(unencrypted("walletpassphrasechange"));
    }
    let was_locked = call.wallet.is_locked();
    let old = Passphrase::new(call.args.needed("oldpassphrase")?).map_err(errors::of)?;
    let new = Passphrase::new(call.args.needed("newpassphrase")?).map_err(errors::of)?;
    call.wallet.unlock(&old).map_err(errors::of)?;
    let changed = call.wallet.change_passphrase(Some(&new));
    if was_locked {
        call.wallet.lock();
    }
    changed.map(|()| Value::Null).map_err(errors::of)
}

fn encrypt(call: &mut Call<'_>) -> RpcResult<Value> {
    if call.wallet.is_encrypted() {
        let text = "Error: running with an encrypted wallet, but encryptwallet was called.";
        return Err(errors::wrong_enc_state(text));
    }
    let passphrase = Passphrase::new(call.args.needed("passphrase")?).map_err(errors::of)?;
    call.wallet.change_passphrase(Some(&passphrase)).map_err(errors::of)?;
    call.wallet.lock();
    Ok("wallet encrypted".into())
}
