//! `--page`: the web page of a node, a farm or a development network, and what it shows.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use mass_consensus::spec::ChainSpec;
use mass_page::{Backend, ChainSource, Page, PageError, Sources};
use mass_wallet::serve::WalletServer;
use tokio::task::JoinSet;

use crate::paths;

/// Where the page listens unless it is told another place.
pub const USUAL: &str = "127.0.0.1:29320";

/// Whether to serve the page.
#[derive(Args)]
pub struct PageArgs {
    /// Serve the web page, of which the address with its token is printed [address if none is given: 127.0.0.1:29320].
    ///
    /// The token is new at each start. With it wallets can be used and things be changed, if the address is one of this
    /// machine alone; on others all is only to be looked at, and the token is wanted for that.
    #[arg(long = "page", value_name = "ADDRESS", num_args = 0..=1, default_missing_value = USUAL)]
    pub address: Option<SocketAddr>,
}

/// What the page is made of. The wallets' keys are locked in time only while it is kept.
#[derive(Default)]
pub struct PageSources {
    sources: Sources,
    locks: JoinSet<()>,
}

/// A page that is served until this is dropped.
pub struct Served {
    page: Page,
    _locks: JoinSet<()>,
}

impl PageSources {
    /// Adds a chain: a node of it, and wallets that ask one.
    pub fn add_chain(&mut self, spec: &ChainSpec, node: Backend, wallets: WalletServer) {
        let wallet = Some(Backend::Here(wallets.methods()));
        self.locks.spawn(async move { wallets.keep_locks().await });
        self.sources.chains.push(ChainSource {
            name: spec.rules().name.clone(),
            chain_id: spec.id().to_string(),
            ticker: "MASS".to_owned(),
            decimals: 7,
            slot_seconds: spec.rules().slot_seconds.into(),
            node,
            wallet,
        });
    }

    /// Adds the farm.
    pub fn set_farm(&mut self, farm: Backend) {
        self.sources.farm = Some(farm);
    }

    /// Serves the page.
    pub async fn serve(self, address: SocketAddr) -> Result<Served, PageError> {
        let page = mass_page::serve(address, self.sources).await?;
        Ok(Served { page, _locks: self.locks })
    }

    /// Serves the page at its usual address, or at any other if somebody is there.
    pub async fn serve_anywhere(self) -> Result<Served, PageError> {
        let usual = USUAL.parse().expect("it is an address");
        let (sources, locks) = (self.sources, self.locks);
        let page = match mass_page::serve(usual, sources.clone()).await {
            Err(PageError::Listen(..)) => mass_page::serve(([127, 0, 0, 1], 0).into(), sources).await?,
            served => served?,
        };
        Ok(Served { page, _locks: locks })
    }
}

impl Served {
    /// What to open in a browser, with the token.
    pub fn url(&self) -> String {
        self.page.url()
    }
}

/// Where a user's wallets of a chain are.
pub fn wallets_dir(spec: &ChainSpec) -> anyhow::Result<PathBuf> {
    Ok(paths::data_dir()?.join("wallets").join(&spec.rules().name))
}
