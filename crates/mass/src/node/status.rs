//! `mass node status`: whether all is well with a node, and the one thing to do about each thing that is not.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use mass_rpc::{HealthClient as _, MassClient as _, NodeHealth, Status, SyncStage};

use super::NodeUrl;
use crate::output::{Output, Verdict, human_bytes, human_time};

/// Which node, and for whom.
#[derive(Args)]
pub struct StatusArgs {
    #[command(flatten)]
    node: NodeUrl,
    /// Fail if something is wrong, for scripts.
    #[arg(long)]
    check: bool,
}

/// Asks the node and prints what it says.
pub async fn show(args: &StatusArgs, output: Output) -> anyhow::Result<Verdict> {
    let (url, client) = args.node.client()?;
    let named = || format!("the node at {url}");
    let status = client.status().await.with_context(named)?;
    let health = client.health().await.with_context(named)?;
    let mut value = serde_json::to_value(&status)?;
    value["health"] = serde_json::to_value(&health)?;
    output.result(&value, &text(&status, &health))?;
    Ok(Verdict::good_if(health.ready || !args.check))
}

fn ago(seconds: u64) -> String {
    human_time(Duration::from_secs(seconds))
}

/// How far a stage of the sync is.
fn stage(stage: &SyncStage) -> String {
    let of = stage.of.map_or(String::new(), |of| format!(" of {of}"));
    let left =
        stage.eta_seconds.map_or_else(|| "no end in sight".to_owned(), |eta| format!("{} to go", ago(eta)));
    format!("sync      {} {}{of}, {} in a minute, {left}\n", stage.stage.name(), stage.done, stage.per_minute)
}

/// Ten lines, one for each stage of a sync on its way, and two for each finding.
fn text(status: &Status, health: &NodeHealth) -> String {
    let netspace = status.netspace_bytes.parse().map_or(status.netspace_bytes.clone(), human_bytes);
    let missing = health.headers.get().saturating_sub(status.height.get());
    let blocks = if missing == 0 { String::new() } else { format!(", {missing} blocks to come") };
    let memory = health.memory_bytes.map_or_else(|| "?".to_owned(), human_bytes);
    let free = health.free_bytes.map_or_else(|| "?".to_owned(), human_bytes);
    let checkpoint = status.checkpoint.map_or(String::new(), |checkpoint| {
        let state = if checkpoint.reached { "reached" } else { "waited for" };
        format!("; checkpoint at height {}, {state}", checkpoint.height)
    });
    let pruned = health.pruned_below.map_or(String::new(), |below| format!(", blocks below {below} pruned"));
    let mut text = format!(
        "{}\nchain     {} ({})\nprogram   mass {}, for {}\nheight    {}, {} ago{blocks}{checkpoint}\ntip       {}\n\
         peers     {} out, {} in\nnetspace  {netspace}\nmempool   {} transactions\n\
         disk      {} of the database, {free} free{pruned}; memory {memory}\n\
         since     {} reorganisations since the start, {} farmer keys banned\n",
        if health.ready { "all is well" } else { "NOT all is well" },
        status.name,
        status.chain,
        status.version.as_deref().unwrap_or("?"),
        ago(health.uptime_seconds),
        status.height,
        ago(health.tip_age_seconds),
        status.tip,
        health.peers_outbound,
        health.peers_inbound,
        status.mempool,
        human_bytes(health.database_bytes),
        status.reorgs,
        status.banned
    );
    text.extend(health.sync.iter().map(stage));
    for finding in &health.findings {
        text.push_str(&format!("wrong     {}\ndo        {}\n", finding.problem, finding.action));
    }
    text
}

#[cfg(test)]
mod tests {
    use mass_rpc::SyncStageKind;

    use super::*;

    #[test]
    fn a_stage_is_told_in_one_line_and_one_that_stands_still_has_no_end() {
        let blocks = SyncStage {
            stage: SyncStageKind::Blocks,
            done: 1_200,
            of: Some(5_000),
            per_minute: 600,
            eta_seconds: Some(380),
        };
        let line = format!("sync      blocks 1200 of 5000, 600 in a minute, {} to go\n", ago(380));
        assert_eq!(stage(&blocks), line);
        let stuck = SyncStage { per_minute: 0, eta_seconds: None, ..blocks };
        assert!(stage(&stuck).ends_with("0 in a minute, no end in sight\n"));
    }
}
