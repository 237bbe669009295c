//! `mass node run --wallet`: wallets that a node serves with its own RPC, as Bitcoin Core does.
//!
//! Their calls are those of `mass wallet serve`. A process that holds keys then also faces the network: decision 0016 says
//! when to prefer the one or the other.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use clap::Args;
use mass_consensus::spec::ChainSpec;
use mass_node::{NodeConfig, NodeHandle};
use mass_wallet::{Wallet, serve::WalletServer};
use tokio::task::JoinHandle;

use super::{
    advise,
    place::{Secret, check_name},
};
use crate::page;

/// Which wallets a node serves.
#[derive(Args)]
#[command(next_help_heading = "Wallets")]
pub struct WalletArgs {
    /// Serve wallet calls (getnewaddress, sendtoaddress, walletprocesspsbt, ...) by the node's own RPC, and load the
    /// wallets of these names; may be given several times, and without a name: clients then load or create them.
    ///
    /// The wallets are those of `mass wallet` in the user's data directory. An encrypted one opens with
    /// --passphrase-file or MASS_WALLET_PASSPHRASE, and its keys stay locked until `walletpassphrase`. Without this
    /// flag a node has no wallet calls and never touches a key: `mass wallet serve` offers the same calls from a process
    /// of its own, which is safer for more than pocket money.
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    wallet: Option<Vec<String>>,
    #[command(flatten)]
    secret: Secret,
}

/// Wallets that are open and wait for their node, which may be started again.
pub struct Waiting {
    server: WalletServer,
    /// Those that the server does not have yet.
    wallets: Mutex<Vec<(String, Wallet)>>,
}

/// Wallets that are served; their keys are locked in time for as long as this is kept.
pub struct Served(JoinHandle<()>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl WalletArgs {
    /// Opens the wallets, and adds their calls to a node's.
    pub fn prepare(&self, config: &mut NodeConfig) -> anyhow::Result<Option<Waiting>> {
        let Some(names) = &self.wallet else { return Ok(None) };
        let dir = page::wallets_dir(&config.spec)?;
        let open = |name: &String| Ok((name.clone(), self.open(&config.spec, &dir, name)?));
        let wallets = Mutex::new(names.iter().map(open).collect::<anyhow::Result<_>>()?);
        let server = WalletServer::unconnected(config.spec.clone(), dir);
        config.guests = server.own_methods();
        Ok(Some(Waiting { server, wallets }))
    }

    fn open(&self, spec: &ChainSpec, dir: &Path, name: &str) -> anyhow::Result<Wallet> {
        check_name(name)?;
        let dir = dir.join(name);
        let is_encrypted = Wallet::needs_passphrase(&dir).map_err(advise)?;
        let passphrase = if is_encrypted { self.secret.given()? } else { None };
        Wallet::open_with(&dir, spec, passphrase.as_ref()).map_err(advise)
    }
}

impl Waiting {
    /// Who answers for the wallets.
    pub fn server(&self) -> WalletServer {
        self.server.clone()
    }

    /// The node listens: calls are answered from now on.
    pub async fn start(&self, node: &NodeHandle) -> anyhow::Result<Served> {
        self.server.connect(mass_rpc::client(&format!("http://{}", node.rpc))?);
        let wallets = std::mem::take(&mut *self.wallets.lock().unwrap_or_else(PoisonError::into_inner));
        for (name, wallet) in wallets {
            self.server.add(name, wallet).await;
        }
        let server = self.server.clone();
        Ok(Served(tokio::spawn(async move { server.keep_locks().await })))
    }
}
