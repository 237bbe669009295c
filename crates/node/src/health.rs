//! Whether all is well with a node: what `mass node status` and `/ready` tell. Each finding has the one thing to do.

use std::{path::PathBuf, sync::Arc, time::Instant};

use mass_network::{Command, ConnectionKind};
use mass_primitives::Height;
use mass_rpc::{
    NodeFinding, NodeFindingKind as Kind, NodeHealth, RpcResult, errors, memory_bytes, metrics::Page,
};
use tokio::sync::oneshot;

use crate::{
    api::{fault, newest_checkpoint, tree_node},
    ledger::NodeLedger,
    methods::{Answer, Method},
    node::{Moment, Node},
    progress::BEHIND_MIN,
    queries::Queries,
};

/// With less than this free, the disk is nearly full.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// No block for so many intervals is more than bad luck: one in half a million times.
const INTERVALS_MAX: u64 = 13;
/// How long a node may be without peers after its start.
const START_SECONDS: u64 = 60;

/// What is known of a node when it is asked.
struct Seen {
    health: NodeHealth,
    is_active: bool,
    blocks: u32,
    interval_seconds: u64,
    checkpoint: Option<u32>,
    /// A block that is wanted and that no connected peer has.
    lacking: Option<Height>,
    /// The same of the blocks before a snapshot.
    lacking_past: Option<Height>,
}

fn see<L: NodeLedger>(node: &Node<L>, inbound: u32) -> RpcResult<Seen> {
    let chain = node.chain();
    let (tree, spec) = (chain.engine().tree(), chain.spec());
    let tip = tree_node(chain, chain.engine().tip())?;
    let best = tree.best_height();
    let now = Moment::now().unix;
    let age = spec.slot_time(tip.slot).map_or(0, |time| now.saturating_sub(time.into()));
    let peers = u32::try_from(node.peers().len()).unwrap_or(u32::MAX);
    let checkpoint = newest_checkpoint(chain).filter(|checkpoint| !checkpoint.reached);
    Ok(Seen {
        is_active: node.is_network_active(),
        blocks: tip.height.get(),
        interval_seconds: spec.interval().get().saturating_mul(spec.rules().slot_seconds.into()),
        checkpoint: checkpoint.map(|checkpoint| checkpoint.height.get()),
        lacking: node.lacking(),
        lacking_past: node.lacking_past(),
        health: NodeHealth {
            ready: true,
            uptime_seconds: Instant::now().duration_since(node.started()).as_secs(),
            tip_age_seconds: age,
            headers: best.max(tip.height),
            sync: node.sync_stages(),
            peers_outbound: peers.saturating_sub(inbound),
            peers_inbound: inbound.min(peers),
            memory_bytes: memory_bytes(),
            database_bytes: node.disk_bytes(),
            free_bytes: None,
            pruned_below: chain.store().pruned_below().map_err(fault)?,
            findings: Vec::new(),
        },
    })
}

/// The findings, the worst first.
fn judge(seen: Seen) -> NodeHealth {
    let mut health = seen.health;
    let mut findings = Vec::new();
    let mut find = |kind, problem: String, action: &str| {
        findings.push(NodeFinding { kind, problem, action: action.to_owned() });
    };
    if let Some(free) = health.free_bytes.filter(|free| *free < FREE_BYTES_MIN) {
        find(
            Kind::DiskFull,
            format!("the disk of the database has {} MiB left", free >> 20),
            "free some space, or move the data directory to a larger disk",
        );
    }
    let peers = health.peers_inbound + health.peers_outbound;
    if !seen.is_active {
        find(Kind::NetworkOff, "the network is switched off".to_owned(), "mass rpc setnetworkactive true");
    } else if peers == 0 && health.uptime_seconds >= START_SECONDS {
        find(
            Kind::NoPeers,
            "no peers are connected".to_owned(),
            "name a peer with --peer, and see that this machine reaches the network",
        );
    }
    if let Some(height) = seen.lacking_past {
        find(
            Kind::NoHistory,
            format!(
                "the blocks before the snapshot are not validated: no connected peer has block {height} any more"
            ),
            "name a node that keeps all blocks with --peer",
        );
    }
    if let Some(height) = seen.lacking {
        find(
            Kind::NoBlocks,
            format!("no connected peer has block {height} any more: all have pruned it"),
            "name a node that keeps all blocks with --peer, or begin an empty data directory with --snapshot",
        );
    }
    if let Some(height) = seen.checkpoint {
        find(
            Kind::Checkpoint,
            format!("the checkpoint at height {height} is not reached"),
            "wait; if nothing moves, check --checkpoint and the peers",
        );
    }
    let missing = health.headers.get().saturating_sub(seen.blocks);
    let is_old = health.tip_age_seconds > INTERVALS_MAX * seen.interval_seconds;
    if missing >= BEHIND_MIN || missing > 0 && is_old {
        find(
            Kind::Behind,
            format!("{missing} blocks are still to come"),
            "wait: they are fetched and checked",
        );
    } else if is_old {
        find(
            Kind::TipOld,
            format!("the newest block is {} seconds old", health.tip_age_seconds),
            "see that the clock is right and that peers are connected; if they are, nobody farms",
        );
    }
    health.ready = findings.iter().all(|finding| finding.kind.is_harmless());
    health.findings = findings;
    health
}

/// How well the node is now.
///
/// # Errors
/// The disk fails, or the node is stopping.
async fn health<L: NodeLedger>(queries: Queries<L>, dir: PathBuf) -> RpcResult<NodeHealth> {
    let (reply, details) = oneshot::channel();
    let ask = move |node: &mut Node<L>| {
        node.send(Command::Peers(reply));
        Ok(())
    };
    queries.answer(ask).await?;
    let inbound = details
        .await
        .map_or(0, |peers| peers.iter().filter(|peer| peer.kind == ConnectionKind::Inbound).count());
    let inbound = u32::try_from(inbound).unwrap_or(u32::MAX);
    let mut seen = queries.answer(move |node| see(node, inbound)).await?;
    seen.health.free_bytes = rustix::fs::statvfs(&dir).ok().map(|disk| disk.f_bavail * disk.f_frsize);
    Ok(judge(seen))
}

/// The method `mass_health` of a node whose database is in `dir`.
pub(crate) fn method<L: NodeLedger>(dir: PathBuf) -> Method<L> {
    let answer = move |queries: Queries<L>, _| {
        let dir = dir.clone();
        let health: crate::methods::Answering = Box::pin(async move {
            serde_json::to_value(health(queries, dir).await?).map_err(|error| errors::misc(error.to_string()))
        });
        health
    };
    Method {
        name: "mass_health",
        group: "Mass",
        params: &[],
        about: "Whether all is well with the node: what is wrong, and the one thing to do about each.",
        answer: Answer::Shared(Arc::new(answer)),
    }
}

/// Adds to a page of metrics how well the node is.
pub(crate) async fn measure<L: NodeLedger>(page: &mut Page, queries: Queries<L>, dir: PathBuf, chain: &str) {
    let Ok(health) = health(queries, dir).await else { return page.is_down("the node is stopping") };
    let faults = health.findings.iter().filter(|finding| !finding.kind.is_harmless());
    faults.for_each(|finding| page.is_not_ready(&finding.problem));
    let labels = [("chain", chain)];
    let gauges = [
        (
            "mass_node_ready",
            "Whether the node follows its chain and can go on",
            f64::from(u8::from(health.ready)),
        ),
        ("mass_node_uptime_seconds", "Seconds since the start", health.uptime_seconds as f64),
        ("mass_node_tip_age_seconds", "Seconds since the slot of the tip", health.tip_age_seconds as f64),
        ("mass_node_header_height", "Height of the best known header", f64::from(health.headers.get())),
        (
            "mass_node_pruned_below",
            "Height below which blocks were pruned",
            f64::from(health.pruned_below.unwrap_or_default().get()),
        ),
        ("mass_node_database_bytes", "Bytes of the database", health.database_bytes as f64),
    ];
    gauges.into_iter().for_each(|(name, help, value)| page.gauge(name, help, &labels, value));
    if let Some(free) = health.free_bytes {
        page.gauge("mass_node_free_bytes", "Free bytes where the database is", &labels, free as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Seen {
        Seen {
            is_active: true,
            blocks: 100,
            interval_seconds: 45,
            checkpoint: None,
            lacking: None,
            lacking_past: None,
            health: NodeHealth {
                ready: false,
                uptime_seconds: 1000,
                tip_age_seconds: 45,
                headers: Height::new(100),
                sync: Vec::new(),
                peers_outbound: 1,
                peers_inbound: 0,
                memory_bytes: None,
                database_bytes: 0,
                free_bytes: Some(1 << 40),
                pruned_below: None,
                findings: Vec::new(),
            },
        }
    }

    #[test]
    fn each_trouble_is_found_alone_and_none_where_all_is_well() {
        assert!(judge(well()).ready);
        type Happening = fn(&mut Seen);
        let troubles: [(Kind, Happening); 8] = [
            (Kind::DiskFull, |seen| seen.health.free_bytes = Some(FREE_BYTES_MIN - 1)),
            (Kind::NetworkOff, |seen| (seen.is_active, seen.health.peers_outbound) = (false, 0)),
            (Kind::NoPeers, |seen| seen.health.peers_outbound = 0),
            (Kind::NoBlocks, |seen| seen.lacking = Some(Height::new(7))),
            (Kind::NoHistory, |seen| seen.lacking_past = Some(Height::new(7))),
            (Kind::Checkpoint, |seen| seen.checkpoint = Some(200)),
            (Kind::Behind, |seen| {
                (seen.health.headers, seen.health.tip_age_seconds) = (Height::new(101), 9999);
            }),
            (Kind::TipOld, |seen| seen.health.tip_age_seconds = INTERVALS_MAX * 45 + 1),
        ];
        for (kind, happen) in troubles {
            let mut seen = well();
            happen(&mut seen);
            let health = judge(seen);
            let kinds: Vec<Kind> = health.findings.iter().map(|finding| finding.kind).collect();
            assert_eq!((kinds, health.ready), (vec![kind], kind == Kind::NoHistory));
        }
        let mut young = well();
        (young.health.peers_outbound, young.health.uptime_seconds) = (0, START_SECONDS - 1);
        assert!(judge(young).ready, "a node that has just begun looks for peers");
        for (missing, is_ready) in [(BEHIND_MIN - 1, true), (BEHIND_MIN, false)] {
            let mut behind = well();
            behind.health.headers = Height::new(behind.blocks + missing);
            assert_eq!(judge(behind).ready, is_ready, "{missing} blocks are on their way");
        }
    }
}
