//! The farm's answers to RPC.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use mass_consensus::keys::FarmerSecret;
use mass_rpc::{
    RpcResult, async_trait, errors,
    farm::{Diagnosis, FarmReads, FarmServer, FarmStatus, PairingCode, Trial},
    farm_view::{FarmLuck, FarmRounds},
    metrics::{Page, Render},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    disk::{Give, Job, Sampled},
    doctor::diagnose,
    harvest::Harbour,
    trial,
};

/// How long a disk may take for a trial: it may have to wake up.
const SAMPLE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a proof may take: the largest plot on a slow machine.
const SEAL_PATIENCE: Duration = Duration::from_secs(60);

/// How long a pairing code is good.
const CODE_GOOD: Duration = Duration::from_secs(600);

/// The ways to disks that can be tried out, by their names.
type Ways = Vec<(String, Give)>;

/// What the loop is asked.
pub(crate) enum Query {
    /// How all parts fare, and the disks to try out.
    Status(oneshot::Sender<(FarmStatus, Ways)>),
    /// How the last rounds went.
    Rounds(oneshot::Sender<FarmRounds>),
    /// What the chains give, and what was to be expected.
    Luck(oneshot::Sender<FarmLuck>),
    /// When the disks will be read.
    Reads(oneshot::Sender<FarmReads>),
}

/// The RPC of a farm.
pub(crate) struct Api {
    pub queries: mpsc::Sender<Query>,
    pub secret: Arc<FarmerSecret>,
    /// Where harvesters come to, if they may.
    pub harbour: Option<Arc<Harbour>>,
}

/// Asks the loop.
pub(crate) async fn ask<T>(
    queries: &mpsc::Sender<Query>,
    query: fn(oneshot::Sender<T>) -> Query,
) -> RpcResult<T> {
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
            match ask(&queries, Query::Status).await {
                Ok((status, _)) => fill(&mut page, &status),
                Err(_) => page.is_down("the farm is stopping"),
            }
            page
        })
    })
}

fn fill(page: &mut Page, status: &FarmStatus) {
    for disk in &status.disks {
        let labels = [("disk", disk.path.as_str())];
        let seconds = |time: Option<f64>| time.unwrap_or(0.0) / 1_000.0;
        let up = f64::from(u8::from(!disk.hangs && !disk.away && disk.faults.is_empty()));
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
    for harvester in &status.harvesters {
        let labels = [("harvester", harvester.name.as_str())];
        let up = f64::from(u8::from(harvester.connected));
        page.gauge("mass_farm_harvester_up", "Whether the harvester is connected", &labels, up);
    }
    for chain in &status.chains {
        let labels = [("chain", chain.name.as_str())];
        let up = chain.connected && chain.banned.is_none() && chain.other_farmer.is_none();
        page.gauge(
            "mass_farm_chain_up",
            "Whether the node gives work and the key may farm",
            &labels,
            f64::from(u8::from(up)),
        );
        let help = "Blocks that this much space wins on average in the time that the node gave work";
        page.gauge("mass_farm_expected_wins", help, &labels, chain.expected_wins);
        if let Some(pending) = chain.pending {
            let help = "Rewards earned and not paid yet, in the chain's smallest unit";
            page.gauge("mass_farm_pending_amount", help, &labels, pending.amount.get() as f64);
        }
        if !up {
            page.is_not_ready(&format!("chain {} is not farmed", chain.name));
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
        let (status, ways) = ask(&self.queries, Query::Status).await?;
        let samples = join_all(ways.into_iter().map(|(disk, give)| sample(disk, give))).await;
        let mut trials = Vec::new();
        for (disk, sample, taken) in samples {
            trials.push(try_out(disk, sample, taken, Arc::clone(&self.secret)).await);
        }
        Ok(diagnose(status, trials))
    }

    async fn farm_pair(&self) -> RpcResult<PairingCode> {
        let harbour = self.harbour()?;
        let (code, address) = (harbour.new_code(CODE_GOOD), harbour.address().to_string());
        Ok(PairingCode { code, address, seconds: CODE_GOOD.as_secs() })
    }

    async fn farm_unpair(&self, name: String) -> RpcResult<()> {
        self.harbour()?.remove(&name).map_err(|error| errors::misc(error.to_string()))
    }
}

impl Api {
    fn harbour(&self) -> RpcResult<&Harbour> {
        let reason = "this farm takes no harvesters: start it with --harvesters ADDRESS";
        self.harbour.as_deref().ok_or_else(|| errors::misc(reason))
    }
}

/// Has a disk find a made-up challenge that it answers; how long that took.
async fn sample(disk: String, give: Give) -> (String, Sampled, Duration) {
    let start = Instant::now();
    let (reply, sample) = oneshot::channel();
    give(Job::Sample(reply));
    let sample = match tokio::time::timeout(SAMPLE_PATIENCE, sample).await {
        Ok(sample) => sample.unwrap_or_else(|_| Err("the disk is gone".to_owned())),
        Err(_) => Err(format!("no answer within {} seconds", SAMPLE_PATIENCE.as_secs())),
    };
    (disk, sample, start.elapsed())
}

/// Drives what a disk has found through the solver, the verifier and the key.
async fn try_out(disk: String, sample: Sampled, taken: Duration, secret: Arc<FarmerSecret>) -> Trial {
    let start = Instant::now();
    let seal = tokio::task::spawn_blocking(move || trial::seal(&sample?, &secret));
    let failure = match tokio::time::timeout(SEAL_PATIENCE, seal).await {
        Ok(Ok(sealed)) => sealed.err(),
        Ok(Err(error)) => Some(format!("the solver has stopped: {error}")),
        Err(_) => Some(format!("no proof within {} seconds", SEAL_PATIENCE.as_secs())),
    };
    let milliseconds = u64::try_from((taken + start.elapsed()).as_millis()).unwrap_or(u64::MAX);
    Trial { disk, failure, milliseconds }
}
