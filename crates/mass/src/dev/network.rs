//! The nodes and the farmer of a development network.

use std::{net::TcpListener, time::Duration};

use anyhow::Context;
use mass_consensus::spec::ChainSpec;
use mass_farmer::{FarmEvent, FarmerConfig, FarmerError, Totals};
use mass_network::Multiaddr;
use mass_node::{NodeConfig, NodeHandle};
use mass_primitives::Height;
use mass_rpc::{HttpClient, MassClient, Status};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::place::Place;
use crate::farm;

/// How long nodes may take to agree once nobody farms.
const AGREEMENT: Duration = Duration::from_secs(60);

/// A running network.
pub struct Network {
    nodes: Vec<Member>,
    farmer: Option<JoinHandle<Result<Totals, FarmerError>>>,
    stop_farmer: Option<oneshot::Sender<()>>,
    totals: watch::Receiver<Totals>,
}

/// A node of the network.
struct Member {
    handle: NodeHandle,
    client: HttpClient,
    url: String,
    started_at: Height,
}

impl Network {
    /// Starts the nodes, each a peer of those before it, and a farmer on the first.
    pub async fn start(spec: &ChainSpec, place: &Place, count: u8) -> anyhow::Result<Self> {
        let (mut nodes, mut peers) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let member = Member::start(spec, place, number, &peers).await?;
            peers.extend(member.handle.listen.iter().cloned());
            nodes.push(member);
        }
        let url = nodes.first().map(|node| node.url.clone()).context("a network has a node")?;
        let config = FarmerConfig {
            spec: spec.clone(),
            directories: vec![place.plots_dir()],
            secret: place.secret()?,
            guard: place.guard(),
            node: url,
            payout: place.open_wallet(spec, "farmer", None)?.unused_address()?,
        };
        let (tell, totals) = watch::channel(Totals::default());
        let (stop_farmer, stop) = oneshot::channel::<()>();
        let watch = move |event: &FarmEvent, totals: &Totals| {
            tracing::info!("farmer: {}", farm::describe(event, totals));
            tell.send_replace(*totals);
        };
        let farmer = tokio::spawn(mass_farmer::run(config, watch, async move { drop(stop.await) }));
        Ok(Self { nodes, farmer: Some(farmer), stop_farmer: Some(stop_farmer), totals })
    }

    /// Addresses of the nodes' RPC.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.url.as_str())
    }

    /// The first node.
    pub fn client(&self) -> &HttpClient {
        &self.nodes[0].client
    }

    /// How every node fares.
    pub async fn statuses(&self) -> anyhow::Result<Vec<Status>> {
        let mut statuses = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let status = node.client.status().await;
            statuses.push(status.with_context(|| format!("node {} does not answer", number + 1))?);
        }
        Ok(statuses)
    }

    /// Blocks that every node has gained since the start.
    pub fn gained(&self, statuses: &[Status]) -> u32 {
        let gains = self.nodes.iter().zip(statuses);
        let gains = gains.map(|(node, status)| status.height.get().saturating_sub(node.started_at.get()));
        gains.min().unwrap_or(0)
    }

    /// What the farmer has done so far.
    pub fn totals(&self) -> Totals {
        *self.totals.borrow()
    }

    /// Whether the farmer still farms; if not, why.
    pub async fn check_farmer(&mut self) -> anyhow::Result<()> {
        if self.farmer.as_ref().is_some_and(JoinHandle::is_finished) {
            self.stop_farming().await?;
        }
        Ok(())
    }

    /// Ends the farmer; what it has done.
    pub async fn stop_farming(&mut self) -> anyhow::Result<Totals> {
        drop(self.stop_farmer.take());
        match self.farmer.take() {
            Some(farmer) => Ok(farmer.await.context("the farmer's task failed")??),
            None => Ok(self.totals()),
        }
    }

    /// Waits until all nodes have one tip, which they do soon once nobody farms.
    pub async fn agreement(&self) -> anyhow::Result<Vec<Status>> {
        let agree = async {
            loop {
                let statuses = self.statuses().await?;
                let mut tips: Vec<_> = statuses.iter().map(|status| status.tip).collect();
                tips.dedup();
                if tips.len() <= 1 {
                    return Ok(statuses);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let agreed = tokio::time::timeout(AGREEMENT, agree).await;
        agreed.with_context(|| format!("the nodes do not agree within {} seconds", AGREEMENT.as_secs()))?
    }

    /// Ends the nodes.
    pub async fn stop(self) -> anyhow::Result<()> {
        for node in self.nodes {
            node.handle.stop().await?;
        }
        Ok(())
    }
}

impl Member {
    async fn start(spec: &ChainSpec, place: &Place, number: u8, peers: &[Multiaddr]) -> anyhow::Result<Self> {
        // The first node is where commands look for one, unless another program is there.
        let usual = spec.hints().rpc_port;
        let is_free = || TcpListener::bind(("127.0.0.1", usual)).is_ok();
        let port = if number == 1 && is_free() { usual } else { 0 };
        let handle = mass_node::start(NodeConfig {
            spec: spec.clone(),
            data_dir: place.node(number),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().context("a multiaddress")?],
            peers: peers.to_vec(),
            rpc: ([127, 0, 0, 1], port).into(),
        })
        .await
        .with_context(|| format!("node {number}"))?;
        let url = format!("http://{}", handle.rpc);
        let client = mass_rpc::client(&url)?;
        let started_at = client.get_block_count().await?;
        Ok(Self { handle, client, url, started_at })
    }
}
