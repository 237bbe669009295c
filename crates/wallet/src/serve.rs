//! Wallets over RPC, with the names, shapes and codes of Bitcoin Core's wallet calls, so that its tools work.
//!
//! Several wallets of one chain may be loaded. A call goes to the wallet that the path names, `/wallet/<name>`, or to
//! the only one that is loaded. Before a call that needs the chain the wallet is brought up to date from the node.
//! Amounts are MASS, written as Bitcoin Core writes them. Loading an encrypted wallet needs its passphrase, for all its
//! files are encrypted; its keys are locked then, until `walletpassphrase`. Wallets are served by a process of their own,
//! or by a node beside its own methods.
//!
//! Deliberately not here: accounts, legacy (BDB) wallets, `importprivkey` and other calls that Core keeps for these.

mod answers;
mod args;
mod decode;
mod errors;
mod keys;
mod loading;
mod pay;
mod view;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use mass_consensus::spec::ChainSpec;
use mass_rpc::{
    ClientError, ErrorObjectOwned, HttpClient, JsonRawValue, Methods, RpcModule, RpcResult, UriPath,
    decimals, errors as core,
};
use serde_json::Value;
use tokio::sync::Mutex;

use self::args::Args;
use crate::wallet::Wallet;

/// Wallets of one chain, to be served.
#[derive(Clone)]
pub struct WalletServer(Arc<Shared>);

struct Shared {
    spec: ChainSpec,
    /// Where wallets are, one directory each.
    dir: PathBuf,
    /// Where the chain is asked, once that is known.
    node: OnceLock<HttpClient>,
    open: Mutex<BTreeMap<String, Loaded>>,
}

/// A wallet that is loaded.
enum Loaded {
    /// One that was made blank and waits for its descriptors.
    Blank,
    /// One that works.
    Open(Box<OpenWallet>),
}

struct OpenWallet {
    wallet: Wallet,
    /// When the keys are to be locked, by this machine's clock and as unix time.
    lock_at: Option<(Instant, u64)>,
}

/// What a call on a wallet gets.
struct Call<'a> {
    name: &'a str,
    wallet: &'a mut Wallet,
    lock_at: &'a mut Option<(Instant, u64)>,
    node: &'a HttpClient,
    args: Args,
}

/// Seconds that keys may stay unlocked at the most, as in Bitcoin Core.
const UNLOCKED_SECONDS_MAX: u64 = 100_000_000;

impl WalletServer {
    /// A server of the wallets in `dir`, each of which is a directory there, on a node.
    #[must_use]
    pub fn new(spec: ChainSpec, dir: PathBuf, node: HttpClient) -> Self {
        let server = Self::unconnected(spec, dir);
        server.connect(node);
        server
    }

    /// The same before there is a node: until [`Self::connect`] calls that need one are refused.
    #[must_use]
    pub fn unconnected(spec: ChainSpec, dir: PathBuf) -> Self {
        Self(Arc::new(Shared { spec, dir, node: OnceLock::new(), open: Mutex::default() }))
    }

    /// From now on this node is asked; the first that is named stays.
    pub fn connect(&self, node: HttpClient) {
        let _ = self.0.node.set(node);
    }

    fn node(&self) -> RpcResult<&HttpClient> {
        self.0.node.get().ok_or_else(|| core::warming_up("the node is starting"))
    }

    /// Takes a wallet that is open; its keys are locked if they can be.
    pub async fn add(&self, name: String, mut wallet: Wallet) {
        wallet.lock();
        let open = OpenWallet { wallet, lock_at: None };
        self.0.open.lock().await.insert(name, Loaded::Open(Box::new(open)));
    }

    /// The methods, and those of the chain that are passed on to the node.
    ///
    /// # Panics
    /// Never: each method has a name of its own.
    #[must_use]
    pub fn methods(&self) -> Methods {
        let mut module = RpcModule::new(self.clone());
        for name in FORWARDED {
            let added = module.register_async_method(name, move |raw, server, _| async move {
                mass_rpc::pass_on(server.node()?, name, raw.as_str()).await.map_err(|error| match error {
                    ClientError::Call(refusal) => refusal,
                    error => core::misc(format!("the node does not answer: {error}")),
                })
            });
            added.expect("the method is named once");
        }
        let mut methods = self.own_methods();
        methods.merge(module).expect("the methods are named once");
        methods
    }

    /// The methods of wallets alone, for a node that answers for the chain itself.
    ///
    /// # Panics
    /// Never: each method has a name of its own.
    #[must_use]
    pub fn own_methods(&self) -> Methods {
        let mut module = RpcModule::new(self.clone());
        for method in loading::METHODS {
            let (name, params) = (method.name, method.params);
            let added = module.register_async_method(name, move |raw, server, _| async move {
                let args = Args::read(raw.as_str(), params)?;
                written(loading::run(name, &server, args).await)
            });
            added.expect("the method is named once");
        }
        for method in keys::METHODS.iter().chain(view::METHODS).chain(pay::METHODS).chain(decode::METHODS) {
            let (name, params) = (method.name, method.params);
            let added = module.register_async_method(name, move |raw, server, extensions| async move {
                let args = Args::read(raw.as_str(), params)?;
                let path = extensions.get::<UriPath>().map(|path| path.0.clone());
                written(server.call(name, path, args).await)
            });
            added.expect("the method is named once");
        }
        module.into()
    }

    /// A call on one wallet.
    async fn call(&self, method: &'static str, path: Option<String>, args: Args) -> RpcResult<Value> {
        let mut open = self.0.open.lock().await;
        let name = chosen(&open, path.as_deref())?;
        let loaded = open.get_mut(&name).ok_or_else(errors::no_wallet)?;
        let Loaded::Open(loaded) = loaded else {
            if method == "importdescriptors" {
                let (answer, wallet) = keys::import_into_blank(&self.0.spec, &self.0.dir.join(&name), &args)?;
                if let Some(wallet) = wallet {
                    let made = OpenWallet { wallet, lock_at: None };
                    open.insert(name, Loaded::Open(Box::new(made)));
                }
                return Ok(answer);
            }
            return Err(errors::wallet("This wallet is blank: import descriptors first"));
        };
        if loaded.lock_at.is_some_and(|(at, _)| at <= Instant::now()) {
            loaded.wallet.lock();
            loaded.lock_at = None;
        }
        let OpenWallet { wallet, lock_at } = &mut **loaded;
        let call = Call { name: &name, wallet, lock_at, node: self.node()?, args };
        if keys::METHODS.iter().any(|known| known.name == method) {
            keys::run(method, call).await
        } else if view::METHODS.iter().any(|known| known.name == method) {
            view::run(method, call).await
        } else if pay::METHODS.iter().any(|known| known.name == method) {
            pay::run(method, call).await
        } else {
            decode::run(method, &call)
        }
    }

    /// Locks what is due, until the server is dropped.
    pub async fn keep_locks(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for loaded in self.0.open.lock().await.values_mut() {
                if let Loaded::Open(open) = loaded
                    && open.lock_at.is_some_and(|(at, _)| at <= Instant::now())
                {
                    open.wallet.lock();
                    open.lock_at = None;
                }
            }
        }
    }
}

/// An answer with its amounts in the decimals of Bitcoin Core.
fn written(answer: RpcResult<Value>) -> RpcResult<Box<JsonRawValue>> {
    answer.map(|value| decimals::raw(&value))
}

/// The wallet that a call goes to.
fn chosen(open: &BTreeMap<String, Loaded>, path: Option<&str>) -> Result<String, ErrorObjectOwned> {
    if let Some(name) = path.and_then(|path| path.strip_prefix("/wallet/")) {
        return open.contains_key(name).then(|| name.to_owned()).ok_or_else(errors::not_loaded);
    }
    let mut names = open.keys();
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(name.clone()),
        (None, _) => Err(errors::no_wallet()),
        (Some(_), Some(_)) => Err(errors::not_specified()),
    }
}

/// What a wallet's tools ask of the chain, which the node answers.
const FORWARDED: &[&str] = &[
    "getblockchaininfo",
    "getnetworkinfo",
    "getpeerinfo",
    "getmininginfo",
    "getmempoolinfo",
    "getblockcount",
    "getbestblockhash",
    "getblockhash",
    "getblock",
    "getblockheader",
    "getblockfilter",
    "getrawtransaction",
    "getrawmempool",
    "getmempoolentry",
    "decoderawtransaction",
    "sendrawtransaction",
    "testmempoolaccept",
    "submitpackage",
    "gettxout",
    "gettxoutproof",
    "verifytxoutproof",
    "gettxoutsetinfo",
    "scantxoutset",
    "estimatesmartfee",
];

/// A method: its name, and those of its parameters in their order.
struct Method {
    name: &'static str,
    params: &'static [&'static str],
}

const fn method(name: &'static str, params: &'static [&'static str]) -> Method {
    Method { name, params }
}
