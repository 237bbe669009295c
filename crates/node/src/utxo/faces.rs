//! Foreign protocols beside the node's own RPC: where they listen, and what they need.

use std::{io, net::SocketAddr};

use axum::http::HeaderValue;
use clap::Args;
use mass_ledger_utxo::UtxoLedger;
use mass_primitives::BlockId;
use mass_rpc::ErrorObjectOwned;
use tokio::task::JoinHandle;

use super::{
    electrum, esplora,
    index::{ADDRESS, SPEND, TX},
    view::Watcher,
};
use crate::{queries::Queries, run::NodeConfig};

/// Which foreign protocols a node serves.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "For wallets of other makers")]
pub struct FaceArgs {
    /// Serve wallets by the Electrum protocol, in plain TCP [address if none is given: 127.0.0.1:50001].
    ///
    /// The node then keeps all indexes. It asks for no password and tells what is public: other machines may be let in,
    /// best through a proxy that adds TLS. Port 0 takes any.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:50001")]
    pub electrum: Option<SocketAddr>,
    /// Serve wallets and Lightning nodes by the REST interface of Esplora [address if none is given: 127.0.0.1:3000].
    ///
    /// As with --electrum.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:3000")]
    pub esplora: Option<SocketAddr>,
    /// Let pages of this origin read what --esplora answers, as in https://wallet.example, or * for all.
    #[arg(long, value_name = "ORIGIN", requires = "esplora")]
    pub esplora_origin: Option<HeaderValue>,
    /// The id to give for the block of height 0 instead of the chain's own, for clients that have another network's
    /// genesis block built in and cannot be told of this one.
    ///
    /// An unpatched ldk-node on its network "regtest" wants
    /// 0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206.
    #[arg(long, value_name = "ID", requires = "esplora")]
    pub esplora_genesis: Option<BlockId>,
}

/// Why a protocol is not served.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// The system refuses the address.
    #[error("{name} cannot listen on {addr}")]
    Listen {
        /// The protocol.
        name: &'static str,
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Old transactions are asked for by these protocols, and the node is to prune them.
    #[error("--electrum and --esplora serve all blocks from genesis on: leave --prune out, or them")]
    Pruned,
    /// The node does not answer.
    #[error("the node does not answer: {}", .0.message())]
    Node(ErrorObjectOwned),
}

/// Servers of foreign protocols, which end when this is dropped.
#[derive(Debug, Default)]
pub struct Faces {
    /// Each protocol's name and where it listens.
    pub listen: Vec<(&'static str, SocketAddr)>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Faces {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl FaceArgs {
    const fn is_empty(&self) -> bool {
        self.electrum.is_none() && self.esplora.is_none()
    }

    /// Adds to a node's config what the servers need: all indexes, and all blocks.
    ///
    /// # Errors
    /// [`FaceError::Pruned`].
    pub fn prepare(&self, config: &mut NodeConfig) -> Result<(), FaceError> {
        if !self.is_empty() {
            if config.prune.is_some() {
                return Err(FaceError::Pruned);
            }
            config.indexes = Some([TX, ADDRESS, SPEND].map(str::to_owned).to_vec());
        }
        Ok(())
    }

    /// Starts the servers of a node.
    ///
    /// # Errors
    /// [`FaceError`].
    pub async fn start(&self, queries: Queries<UtxoLedger>) -> Result<Faces, FaceError> {
        let mut faces = Faces::default();
        if self.is_empty() {
            return Ok(faces);
        }
        let (view, watcher, task) = Watcher::start(queries).await.map_err(FaceError::Node)?;
        faces.tasks.push(task);
        let refused = |name, addr| move |source| FaceError::Listen { name, addr, source };
        if let Some(addr) = self.electrum {
            let served = electrum::serve(addr, view.clone(), watcher.clone()).await;
            faces.add("electrum", served.map_err(refused("electrum", addr))?);
        }
        if let Some(addr) = self.esplora {
            let (genesis, origin) = (self.esplora_genesis, self.esplora_origin.clone());
            let served = esplora::serve(addr, view, watcher, esplora::Options { genesis, origin }).await;
            faces.add("esplora", served.map_err(refused("esplora", addr))?);
        }
        Ok(faces)
    }
}

impl Faces {
    fn add(&mut self, name: &'static str, (addr, task): (SocketAddr, JoinHandle<()>)) {
        self.listen.push((name, addr));
        self.tasks.push(task);
    }
}
