//! Which wallets there are, and loading them.

use std::{fs, path::PathBuf};

use mass_rpc::{RpcResult, errors as core};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Loaded, Method, OpenWallet, WalletServer, args::Args, errors, method};
use crate::{
    keys::{Account, Seed, Words},
    vault::Passphrase,
    wallet::{Origin, Wallet},
};

pub(super) const METHODS: &[Method] = &[
    method("listwallets", &[]),
    method("listwalletdir", &[]),
    method(
        "createwallet",
        &[
            "wallet_name",
            "disable_private_keys",
            "blank",
            "passphrase",
            "avoid_reuse",
            "descriptors",
            "load_on_startup",
            "external_signer",
        ],
    ),
    method("loadwallet", &["filename", "load_on_startup", "passphrase"]),
    method("unloadwallet", &["wallet_name", "load_on_startup"]),
];

pub(super) async fn run(method: &str, server: &WalletServer, args: Args) -> RpcResult<Value> {
    match method {
        "listwallets" => Ok(server.0.open.lock().await.keys().cloned().collect()),
        "listwalletdir" => Ok(
            json!({ "wallets": names(server).iter().map(|name| json!({ "name": name })).collect::<Value>() }),
        ),
        "createwallet" => create(server, &args).await,
        "loadwallet" => load(server, &args).await,
        _ => unload(server, &args).await,
    }
}

fn names(server: &WalletServer) -> Vec<String> {
    let entries = fs::read_dir(&server.0.dir).into_iter().flatten().flatten();
    let found = entries.filter(|entry| Wallet::is_in(&entry.path()));
    let mut names: Vec<String> = found.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The directory of a name, which must not lead out of that of all wallets.
fn directory(server: &WalletServer, name: &str) -> RpcResult<PathBuf> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.bytes().all(is_good) {
        return Err(core::invalid_parameter("the name of a wallet is 1 to 64 letters, digits and -_."));
    }
    Ok(server.0.dir.join(name))
}

fn passphrase(args: &Args) -> RpcResult<Option<Passphrase>> {
    let text = args.text("passphrase")?.filter(|text| !text.is_empty());
    text.map(Passphrase::new).transpose().map_err(errors::of)
}

async fn create(server: &WalletServer, args: &Args) -> RpcResult<Value> {
    let name = args.needed("wallet_name")?;
    let dir = directory(server, name)?;
    let mut open = server.0.open.lock().await;
    if open.contains_key(name) {
        return Err(errors::already_loaded(name));
    }
    if Wallet::is_in(&dir) {
        return Err(errors::of(crate::WalletError::Exists(dir)));
    }
    if !args.flag("descriptors", true)? {
        return Err(errors::wallet("Legacy wallets are not supported"));
    }
    let passphrase = passphrase(args)?;
    let is_blank = args.flag("blank", false)? || args.flag("disable_private_keys", false)?;
    if is_blank && passphrase.is_some() {
        return Err(errors::wallet("A blank wallet is encrypted once it has descriptors: see encryptwallet"));
    }
    let mut warnings = Vec::new();
    let loaded = if is_blank {
        warnings.push("The wallet is kept once it has descriptors: see importdescriptors.");
        Loaded::Blank
    } else {
        if passphrase.is_none() {
            warnings.push("The wallet is not encrypted.");
        }
        let seed = Seed::generate(Words::TwentyFour, "").map_err(errors::of)?;
        let origin = Origin::Account(seed, Account::default());
        let wallet = Wallet::make(&dir, &server.0.spec, origin, passphrase.as_ref());
        let mut wallet = wallet.map_err(errors::of)?;
        wallet.lock();
        Loaded::Open(Box::new(OpenWallet { wallet, lock_at: None }))
    };
    open.insert(name.to_owned(), loaded);
    Ok(json!({ "name": name, "warnings": warnings }))
}

async fn load(server: &WalletServer, args: &Args) -> RpcResult<Value> {
    let name = args.needed("filename")?;
    let dir = directory(server, name)?;
    let mut open = server.0.open.lock().await;
    if open.contains_key(name) {
        return Err(errors::already_loaded(name));
    }
    let wallet = Wallet::open_with(&dir, &server.0.spec, passphrase(args)?.as_ref());
    let mut wallet = wallet.map_err(errors::of)?;
    wallet.lock();
    open.insert(name.to_owned(), Loaded::Open(Box::new(OpenWallet { wallet, lock_at: None })));
    Ok(json!({ "name": name }))
}

async fn unload(server: &WalletServer, args: &Args) -> RpcResult<Value> {
    let mut open = server.0.open.lock().await;
    let name = match args.text("wallet_name")? {
        Some(name) => name.to_owned(),
        None => super::chosen(&open, None)?,
    };
    open.remove(&name).map(|_| json!({})).ok_or_else(errors::not_loaded)
}

/// A text that may be secret.
pub(super) fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}
