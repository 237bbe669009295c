//! `mass farm status` and `doctor`: what a running farm says of itself.

use std::time::Duration;

use anyhow::Context;
use mass_ledger_utxo::denomination::format_mass;
use mass_rpc::farm::{
    ChainStatus, Diagnosis, DiskStatus, FarmClient, FarmStatus, HarvesterStatus, PendingRewards, Severity,
};

use crate::output::{Output, Verdict, human_bytes, table};

/// A diagnosis takes a proof of every disk.
const PATIENCE: Duration = Duration::from_secs(600);

/// How the parts of a farm fare.
pub async fn status(url: &str, output: Output) -> anyhow::Result<Verdict> {
    let status = mass_rpc::client(url).with_context(|| url.to_owned())?.farm_status().await;
    let status = status.with_context(|| format!("the farm at {url}"))?;
    output.result(&serde_json::to_value(&status)?, &describe(&status))?;
    Ok(Verdict::Good)
}

/// What keeps a farm from earning.
pub async fn doctor(url: &str, output: Output) -> anyhow::Result<Verdict> {
    let client = mass_rpc::client_that_waits(url, PATIENCE).with_context(|| url.to_owned())?;
    let diagnosis = client.farm_doctor().await.with_context(|| format!("the farm at {url}"))?;
    output.result(&serde_json::to_value(&diagnosis)?, &explain(&diagnosis))?;
    Ok(Verdict::good_if(diagnosis.earns))
}

/// A code for one harvester.
pub async fn pair(url: &str, output: Output) -> anyhow::Result<Verdict> {
    let code = mass_rpc::client(url).with_context(|| url.to_owned())?.farm_pair().await;
    let code = code.with_context(|| format!("the farm at {url}"))?;
    let text = format!(
        "within {} minutes, on the machine with the plots (this farm listens at {}):\n  \
         mass harvester pair --farmer HOST --code {}",
        code.seconds / 60,
        code.address,
        code.code
    );
    output.result(&serde_json::to_value(&code)?, &text)?;
    Ok(Verdict::Good)
}

/// A harvester is to come no more.
pub async fn unpair(url: &str, name: &str, output: Output) -> anyhow::Result<Verdict> {
    let gone = mass_rpc::client(url).with_context(|| url.to_owned())?.farm_unpair(name.to_owned()).await;
    gone.with_context(|| format!("the farm at {url}"))?;
    output.result(&serde_json::json!({ "unpaired": name }), &format!("{name} is taken out"))?;
    Ok(Verdict::Good)
}

fn describe(status: &FarmStatus) -> String {
    let head = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut disks =
        vec![head(&["disk", "plots", "size", "last round", "p50 ms", "p99 ms", "missed", "state"])];
    disks.extend(status.disks.iter().map(disk));
    let mut harvesters = vec![head(&["harvester", "disks", "version", "state"])];
    harvesters.extend(status.harvesters.iter().map(harvester));
    let harvesters = if status.harvesters.is_empty() { String::new() } else { table(&harvesters) };
    let mut chains = vec![head(&[
        "chain", "node", "height", "wins", "expected", "p", "lost", "pending", "reads", "state",
    ])];
    chains.extend(status.chains.iter().map(chain));
    let FarmStatus { farmer, rounds, reads, qualities, proofs, .. } = status;
    format!(
        "farmer {farmer}\n{}{harvesters}{}{rounds} rounds, {reads} reads, {qualities} qualities, {proofs} proofs",
        table(&disks),
        table(&chains)
    )
}

fn disk(disk: &DiskStatus) -> Vec<String> {
    let time = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"));
    let state = match (disk.hangs, disk.faults.len()) {
        _ if disk.away => "away".to_owned(),
        (true, _) => "does not answer".to_owned(),
        (false, 0) => "good".to_owned(),
        (false, faults) => format!("{faults} faults"),
    };
    vec![
        disk.path.clone(),
        disk.plots.to_string(),
        human_bytes(disk.bytes),
        disk.answered.map_or_else(|| "-".to_owned(), |round| round.to_string()),
        time(disk.p50_milliseconds),
        time(disk.p99_milliseconds),
        disk.missed.to_string(),
        state,
    ]
}

fn harvester(harvester: &HarvesterStatus) -> Vec<String> {
    let state = match (harvester.connected, &harvester.reason) {
        (true, _) => "good".to_owned(),
        (false, Some(reason)) => format!("gone: {reason}"),
        (false, None) => "not seen yet".to_owned(),
    };
    let software = harvester.software.clone().unwrap_or_else(|| "-".to_owned());
    vec![harvester.name.clone(), harvester.disks.to_string(), software, state]
}

fn chain(chain: &ChainStatus) -> Vec<String> {
    let state = if let Some(height) = chain.banned {
        format!("banned since block {height}")
    } else if let Some(seal) = chain.other_farmer {
        format!("another farmer sealed slot {}", seal.slot)
    } else if !chain.connected {
        "no work from the node".to_owned()
    } else if chain.synced == Some(false) {
        "the node is behind".to_owned()
    } else if chain.watch_slots > 0 {
        format!("watching for {} slots", chain.watch_slots)
    } else {
        "good".to_owned()
    };
    vec![
        chain.name.clone(),
        chain.node.clone(),
        chain.height.map_or_else(|| "-".to_owned(), |height| height.to_string()),
        chain.wins.to_string(),
        format!("{:.1}", chain.expected_wins),
        format!("{:.3}", chain.p_value),
        chain.lost.to_string(),
        pending(chain),
        chain.reads.to_string(),
        state,
    ]
}

/// What the farmer has earned and is still to be paid.
fn pending(chain: &ChainStatus) -> String {
    let mass = |pending: PendingRewards| format!("{} MASS", format_mass(pending.amount));
    chain.pending.map_or_else(|| "-".to_owned(), mass)
}

fn earned(chain: &ChainStatus) -> String {
    let rewards = match chain.pending {
        Some(PendingRewards { rewards, .. }) => {
            format!("{} in {rewards} rewards are still to be paid", pending(chain))
        }
        None => "the node does not say what is still to be paid".to_owned(),
    };
    let ChainStatus { name, wins, expected_wins, .. } = chain;
    format!(
        "earned  {name}: {wins} blocks where {expected_wins:.1} were expected since the start; {rewards}\n"
    )
}

fn explain(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for finding in &diagnosis.findings {
        let severity = match finding.severity {
            Severity::Error => "error  ",
            Severity::Warning => "warning",
        };
        text.push_str(&format!(
            "{severity} {}: {}\n        do: {}\n",
            finding.subject, finding.problem, finding.action
        ));
    }
    for trial in diagnosis.trials.iter().filter(|trial| trial.failure.is_none()) {
        text.push_str(&format!(
            "good    {}: a winning challenge would be sealed, in {} ms\n",
            trial.disk, trial.milliseconds
        ));
    }
    diagnosis.status.chains.iter().for_each(|chain| text.push_str(&earned(chain)));
    text.push_str(if diagnosis.earns { "the farm earns" } else { "the farm does not earn as it should" });
    text
}
