//! A farm that is one of several in a cluster: it stands by, farms while it is the active one, and stands by again.

use std::sync::Arc;

use futures::FutureExt as _;
use mass_farmer::{
    ChainConfig, Totals,
    bus::{BusConfig, BusError},
    cluster::Cluster,
};
use serde_json::json;

use super::{RunArgs, configure, farm, settings, webhook::Webhooks};
use crate::{harvester::machine_name, output::Output};

/// Farms whenever no other farmer of the cluster does, until `stop` is ready.
pub async fn run(
    args: &RunArgs,
    chains: &[ChainConfig],
    bus: &BusConfig,
    webhooks: &Arc<Webhooks>,
    stop: impl Future<Output = ()> + Clone,
    output: Output,
) -> anyhow::Result<Totals> {
    // What is wrong with the key or the addresses is to be known before it is needed.
    configure(args, chains.to_vec(), None)?;
    let waits = |error: &BusError| {
        let url = bus.url.rsplit('@').next().unwrap_or_default();
        let value = json!({ "event": "waiting", "bus": url, "error": error.to_string() });
        let _ = output.line(&value, &format!("waiting for the bus at {url}: {error}"));
    };
    let cluster = tokio::select! {
        cluster = Cluster::join(bus, machine_name(), waits) => cluster?,
        () = stop.clone() => return Ok(Totals::default()),
    };
    loop {
        let stand_by = |active: &str| {
            let value = json!({ "event": "standby", "active": active });
            let _ = output.line(&value, &format!("standing by: {active} is the active farmer"));
        };
        let mut active = tokio::select! {
            active = cluster.activate(stand_by) => active,
            () = stop.clone() => return Ok(Totals::default()),
        };
        output.line(&json!({ "event": "active" }), "this is the active farmer now")?;
        let chains = match &args.config {
            Some(file) => settings::read(file)?.chains,
            None => chains.to_vec(),
        };
        let config = configure(args, chains, Some(cluster.clone()))?;
        let end = async {
            tokio::select! {
                () = stop.clone() => {}
                () = active.lost() => {}
            }
        };
        let totals =
            farm(config, args.page.address, args.config.clone(), Arc::clone(webhooks), end, output).await;
        active.release().await;
        if stop.clone().now_or_never().is_some() {
            return totals;
        }
        totals?;
    }
}
