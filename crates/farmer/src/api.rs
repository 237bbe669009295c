//! The farm's answers to RPC.

use std::{sync::Arc, time::Duration};

use mass_consensus::keys::FarmerSecret;
use mass_plot::Plot;
use mass_rpc::{
    RpcResult, async_trait, errors,
    farm::{Diagnosis, FarmReads, FarmServer, FarmStatus, Trial},
    metrics::{Page, Render},
};
use tokio::sync::{mpsc, oneshot};

use crate::{doctor::diagnose, trial::try_out};

/// How long a trial may take: look-up and proof of the largest plot on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A plot of each disk to try out.
type Samples = Vec<(String, Arc<Plot>)>;

/// What the loop is asked.
pub(crate) enum Query {
    /// How all parts fare, and a plot of each disk to try out.
    Status(oneshot::Sender<(FarmStatus, Samples)>),
    /// When the disks will be read.
    Reads(oneshot::Sender<FarmReads>),
}

/// The RPC of a farm.
pub(crate) struct Api {
    pub queries: mpsc::Sender<Query>,
    pub secret: Arc<FarmerSecret>,
}

/// Asks the loop.
async fn ask<T>(queries: &mpsc::Sender<Query>, query: fn(oneshot::Sender<T>) -> Query) -> RpcResult<T> {
    let (reply, answer) = oneshot::channel();
    let gone = || errors::misc("the farm is stopping");
    queries.send(query(reply)).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())
}

/// The metrics of a farm. Their names are stable.
pub(crate) fn metrics(queries: mpsc::Sender<Query>) -> Render {
    Arc::new(move || {
        let queries = queries.clone();
        Box::pin(async move {
            let mut page = Page::default();
            if let Ok((status, _)) = ask(&queries, Query::Status).await {
                fill(&mut page, &status);
            }
            page
        })
    })
}

fn fill(page: &mut Page, status: &FarmStatus) {
    for disk in &status.disks {
        let labels = [("disk", disk.path.as_str())];
        let seconds = |time: Option<f64>| time.unwrap_or(0.0) / 1_000.0;
        let up = f64::from(u8::from(!disk.hangs && disk.faults.is_empty()));
        page.gauge("mass_farm_disk_up", "Whether the disk answers and has no fault", &labels, up);
        page.gauge("mass_farm_plots", "Plots that are farmed", &labels, disk.plots as f64);
        page.gauge("mass_farm_plot_bytes", "Bytes of the plot files", &labels, disk.bytes as f64);
        if let Some(free) = disk.free_bytes {
            page.gauge("mass_farm_free_bytes", "Free bytes", &labels, free as f64);
        }
        let help = "Groups that are begun and that nobody is making";
        page.gauge("mass_farm_unfinished_groups", help, &labels, disk.unfinished.len() as f64);
        let help = "Time within which half of the last look-ups were answered";
        page.gauge("mass_farm_lookup_p50_seconds", help, &labels, seconds(disk.p50_milliseconds));
        let help = "Time within which 99 of 100 of the last look-ups were answered";
        page.gauge("mass_farm_lookup_p99_seconds", help, &labels, seconds(disk.p99_milliseconds));
        page.counter("mass_farm_missed", "Challenges that the disk missed", &labels, disk.missed);
    }
    for chain in &status.chains {
        let labels = [("chain", chain.name.as_str())];
        let up = f64::from(u8::from(chain.connected && chain.banned.is_none()));
        page.gauge("mass_farm_chain_up", "Whether the node gives work and the key may farm", &labels, up);
        let help = "Blocks that this much space wins on average in the time that the node gave work";
        page.gauge("mass_farm_expected_wins", help, &labels, chain.expected_wins);
        if let Some(pending) = chain.pending {
            let help = "Rewards earned and not paid yet, in the chain's smallest unit";
            page.gauge("mass_farm_pending_amount", help, &labels, pending.amount.get() as f64);
        }
        page.counter("mass_farm_wins", "Blocks that the node took", &labels, chain.wins);
        page.counter("mass_farm_lost", "Slots won and not sealed", &labels, chain.lost);
    }
    if let Some(free) = status.record_free_bytes {
        let help = "Free bytes where the record of signed slots is";
        page.gauge("mass_farm_record_free_bytes", help, &[], free as f64);
    }
    let labels = [("version", status.version.as_str())];
    page.gauge("mass_farm_build", "Always 1; the label says which version runs", &labels, 1.0);
    page.counter("mass_farm_rounds", "Challenges that all plots have answered", &[], status.rounds);
    page.counter("mass_farm_reads", "Short reads made", &[], status.reads);
    page.counter("mass_farm_qualities", "Qualities found", &[], status.qualities);
    page.counter("mass_farm_proofs", "Proofs solved", &[], status.proofs);
}

#[async_trait]
impl FarmServer for Api {
    async fn farm_status(&self) -> RpcResult<FarmStatus> {
        Ok(ask(&self.queries, Query::Status).await?.0)
    }

    async fn farm_reads(&self) -> RpcResult<FarmReads> {
        ask(&self.queries, Query::Reads).await
    }

    async fn farm_doctor(&self) -> RpcResult<Diagnosis> {
        let (status, plots) = ask(&self.queries, Query::Status).await?;
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
