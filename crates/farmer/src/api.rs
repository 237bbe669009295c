//! The farm's answers to RPC.

use std::{sync::Arc, time::Duration};

use mass_consensus::keys::FarmerSecret;
use mass_plot::Plot;
use mass_rpc::{
    RpcResult, async_trait, errors,
    farm::{Diagnosis, FarmServer, FarmStatus, Trial},
};
use tokio::sync::{mpsc, oneshot};

use crate::{doctor::diagnose, trial::try_out};

/// How long a trial may take: look-up and proof of the largest plot on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the loop is asked: how all parts fare, and a plot of each disk to try out.
pub(crate) type Query = oneshot::Sender<(FarmStatus, Vec<(String, Arc<Plot>)>)>;

/// The RPC of a farm.
pub(crate) struct Api {
    pub queries: mpsc::Sender<Query>,
    pub secret: Arc<FarmerSecret>,
}

impl Api {
    async fn ask(&self) -> RpcResult<(FarmStatus, Vec<(String, Arc<Plot>)>)> {
        let (reply, answer) = oneshot::channel();
        let gone = || errors::misc("the farm is stopping");
        self.queries.send(reply).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

#[async_trait]
impl FarmServer for Api {
    async fn farm_status(&self) -> RpcResult<FarmStatus> {
        Ok(self.ask().await?.0)
    }

    async fn farm_doctor(&self) -> RpcResult<Diagnosis> {
        let (status, plots) = self.ask().await?;
        let mut trials = Vec::new();
        for (disk, plot) in plots {
            let (name, secret) = (disk.clone(), Arc::clone(&self.secret));
            let trial = tokio::task::spawn_blocking(move || try_out(name, &plot, &secret));
            let late = || Trial {
                disk,
                failure: Some(format!("no proof within {} seconds", PATIENCE.as_secs())),
                milliseconds: PATIENCE.as_secs() * 1000,
            };
            let trial = tokio::time::timeout(PATIENCE, trial).await;
            trials.push(trial.ok().and_then(Result::ok).unwrap_or_else(late));
        }
        Ok(diagnose(status, trials))
    }
}
