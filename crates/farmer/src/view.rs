//! What a farm tells who looks at it, and the making of plots, over RPC.

use std::{path::PathBuf, sync::Arc, time::Duration};

use mass_primitives::FarmerPublicKey;
use mass_rpc::{
    RpcResult, async_trait, errors,
    farm_view::{FarmLuck, FarmRounds, FarmViewServer, PlotOrder, PlottingStatus},
};
use tokio::sync::mpsc;

use crate::{
    api::{Query, ask},
    chain::ChainConfig,
    plotting::Plotting,
};

/// Rounds that are told of if nobody says how many.
const ROUNDS: u32 = 100;
/// How long a disk may take to say what is made there.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answers.
pub(crate) struct View {
    queries: mpsc::Sender<Query>,
    /// Without a chain nobody knows which plots to make.
    plotting: Option<Arc<Plotting>>,
}

impl View {
    /// A view of the farm that `queries` lead to.
    pub fn new(
        queries: mpsc::Sender<Query>,
        farmer: FarmerPublicKey,
        chains: &[ChainConfig],
        directories: &[PathBuf],
    ) -> Self {
        let specs = chains.iter().filter(|chain| chain.enabled).map(|chain| &chain.spec);
        let plotting = Plotting::new(farmer, specs, directories.to_vec()).map(Arc::new);
        Self { queries, plotting }
    }

    /// Asks the disks: one that hangs is waited for no longer than it is of use.
    async fn disks<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Arc<Plotting>) -> RpcResult<T> + Send + 'static,
    ) -> RpcResult<T> {
        let plotting = self.plotting.clone().ok_or_else(|| errors::misc("no chain is farmed"))?;
        let read = tokio::task::spawn_blocking(move || read(&plotting));
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(read) => read.unwrap_or_else(|error| Err(errors::misc(error.to_string()))),
            Err(_) => {
                Err(errors::misc(format!("a disk does not answer within {} seconds", PATIENCE.as_secs())))
            }
        }
    }
}

#[async_trait]
impl FarmViewServer for View {
    async fn farm_rounds(&self, count: Option<u32>) -> RpcResult<FarmRounds> {
        let mut all = ask(&self.queries, Query::Rounds).await?;
        let skipped = all.rounds.len().saturating_sub(count.unwrap_or(ROUNDS) as usize);
        all.rounds.drain(..skipped);
        Ok(all)
    }

    async fn farm_luck(&self) -> RpcResult<FarmLuck> {
        ask(&self.queries, Query::Luck).await
    }

    async fn farm_plotting(&self) -> RpcResult<Vec<PlottingStatus>> {
        self.disks(|plotting| Ok(plotting.status())).await
    }

    async fn farm_plot(&self, order: PlotOrder) -> RpcResult<()> {
        self.disks(move |plotting| plotting.begin(&order)).await
    }

    async fn farm_plot_pause(&self, disk: String) -> RpcResult<bool> {
        self.disks(move |plotting| plotting.set_paused(&disk, true)).await
    }

    async fn farm_plot_resume(&self, disk: String) -> RpcResult<bool> {
        self.disks(move |plotting| plotting.set_paused(&disk, false)).await
    }

    async fn farm_plot_stop(&self, disk: String) -> RpcResult<bool> {
        self.disks(move |plotting| plotting.end(&disk)).await
    }
}
