//! The nodes of each chain of a development network, and the one farmer of all.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use mass_consensus::spec::ChainSpec;
use mass_farmer::{ChainConfig, FarmEvent, FarmerConfig, FarmerError, Totals};
use mass_ledger_utxo::UtxoLedger;
use mass_network::Multiaddr;
use mass_node::{BeaconConfig, NodeConfig, NodeError, NodeHandle};
use mass_page::Backend;
use mass_primitives::Height;
use mass_rpc::{Access, BitcoinClient, HttpClient, MassClient, Methods, ServeError, Status};
use mass_wallet::serve::WalletServer;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::place::Place;
use crate::{
    farm,
    page::{PageSources, Served},
};

/// How long nodes may take to agree once nobody farms.
const AGREEMENT: Duration = Duration::from_secs(60);

/// A running network.
pub struct Network {
    chains: Vec<Nodes>,
    farmer: Option<JoinHandle<Result<Totals, FarmerError>>>,
    stop_farmer: Option<oneshot::Sender<()>>,
    totals: watch::Receiver<Totals>,
    farm: Option<oneshot::Receiver<Methods>>,
}

/// The nodes of one chain.
pub struct Nodes {
    /// The chain.
    pub spec: ChainSpec,
    nodes: Vec<Member>,
}

/// A node.
struct Member {
    handle: NodeHandle,
    client: HttpClient,
    url: String,
    started_at: Height,
}

impl Network {
    /// Starts the nodes of every chain, and a farmer on the first of each.
    pub async fn start(specs: &[ChainSpec], place: &Place, count: u8) -> anyhow::Result<Self> {
        let mut chains: Vec<Nodes> = Vec::new();
        for spec in specs {
            let parent = chains.iter().find(|parent| parent.spec.id() == spec.beacon_id());
            let beacon =
                parent.map(|parent| BeaconConfig { spec: parent.spec.clone(), peers: parent.listen() });
            let nodes = Nodes::start(spec, place, count, beacon.as_ref()).await;
            chains.push(nodes.with_context(|| format!("chain {}", spec.rules().name))?);
        }
        let farmed = chains.iter().map(|nodes| {
            let spec = nodes.spec.clone();
            let payout = place.open_wallet(&spec, "farmer", None)?.unused_address()?;
            Ok(ChainConfig { spec, node: nodes.url().to_owned(), payout, priority: 0, enabled: true })
        });
        let farmer = place.farmer(farmed.collect::<anyhow::Result<_>>()?)?;
        let (wanted, methods) = oneshot::channel();
        let config = FarmerConfig {
            rpc: Some(([127, 0, 0, 1], 0).into()),
            access: Access::in_dir(place.dir(), true),
            methods: Some(wanted),
            ..farmer
        };
        let (tell, totals) = watch::channel(Totals::default());
        let (stop_farmer, stop) = oneshot::channel::<()>();
        let watch = move |event: &FarmEvent, totals: &Totals| {
            tracing::info!("farmer: {}", farm::describe(event, totals));
            tell.send_replace(totals.clone());
        };
        let (_, changes) = mpsc::channel(1);
        let farmer = tokio::spawn(mass_farmer::run(config, watch, changes, async move { drop(stop.await) }));
        Ok(Self { chains, farmer: Some(farmer), stop_farmer: Some(stop_farmer), totals, farm: Some(methods) })
    }

    /// Serves the page of all chains, of the farm and of the wallets of the directory.
    pub async fn serve_page(&mut self, place: &Place, address: Option<SocketAddr>) -> anyhow::Result<Served> {
        let mut sources = PageSources::default();
        for nodes in &self.chains {
            let node = Backend::Here(nodes.nodes[0].handle.methods.clone());
            let wallets = place.wallets(&nodes.spec);
            let wallets = WalletServer::new(nodes.spec.clone(), wallets, nodes.client().clone());
            sources.add_chain(&nodes.spec, node, wallets);
        }
        if let Some(farm) = self.farm.take()
            && let Ok(methods) = farm.await
        {
            sources.set_farm(Backend::Here(methods));
        }
        let served = match address {
            Some(address) => sources.serve(address).await,
            None => sources.serve_anywhere().await,
        };
        Ok(served?)
    }

    /// The chains.
    pub fn chains(&self) -> &[Nodes] {
        &self.chains
    }

    /// The first node of the first chain.
    pub fn client(&self) -> &HttpClient {
        self.chains[0].client()
    }

    /// How every node of every chain fares.
    pub async fn statuses(&self) -> anyhow::Result<Vec<Vec<Status>>> {
        let mut statuses = Vec::new();
        for nodes in &self.chains {
            statuses.push(nodes.statuses().await?);
        }
        Ok(statuses)
    }

    /// Blocks that every node of every chain has gained since the start.
    pub fn gained(&self, statuses: &[Vec<Status>]) -> u32 {
        let gains = self.chains.iter().zip(statuses).map(|(nodes, statuses)| nodes.gained(statuses));
        gains.min().unwrap_or(0)
    }

    /// What the farmer has done so far.
    pub fn totals(&self) -> Totals {
        self.totals.borrow().clone()
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

    /// Waits until all nodes of each chain have one tip, which they do soon once nobody farms.
    pub async fn agreement(&self) -> anyhow::Result<Vec<Vec<Status>>> {
        let agree = async {
            loop {
                let statuses = self.statuses().await?;
                let one_tip = |statuses: &Vec<Status>| {
                    statuses.iter().all(|status| Some(status.tip) == statuses.first().map(|first| first.tip))
                };
                if statuses.iter().all(one_tip) {
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
        for node in self.chains.into_iter().flat_map(|chain| chain.nodes) {
            node.handle.stop().await?;
        }
        Ok(())
    }
}

impl Nodes {
    /// Starts the nodes, each a peer of those before it.
    async fn start(
        spec: &ChainSpec,
        place: &Place,
        count: u8,
        beacon: Option<&BeaconConfig>,
    ) -> anyhow::Result<Self> {
        let (mut nodes, mut peers) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let member = Member::start(spec, place, number, &peers, beacon).await;
            let member = member.with_context(|| format!("node {number}"))?;
            peers.extend(member.handle.listen.iter().cloned());
            nodes.push(member);
        }
        Ok(Self { spec: spec.clone(), nodes })
    }

    fn listen(&self) -> Vec<Multiaddr> {
        self.nodes.iter().flat_map(|node| node.handle.listen.iter().cloned()).collect()
    }

    /// Addresses of the nodes' RPC.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.url.as_str())
    }

    fn url(&self) -> &str {
        &self.nodes[0].url
    }

    /// The first node.
    pub fn client(&self) -> &HttpClient {
        &self.nodes[0].client
    }

    async fn statuses(&self) -> anyhow::Result<Vec<Status>> {
        let mut statuses = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let status = node.client.status().await;
            let name = &self.spec.rules().name;
            statuses.push(status.with_context(|| format!("node {} of {name} does not answer", number + 1))?);
        }
        Ok(statuses)
    }

    /// Blocks that every node has gained since the start.
    pub fn gained(&self, statuses: &[Status]) -> u32 {
        let gains = self.nodes.iter().zip(statuses);
        let gains = gains.map(|(node, status)| status.height.get().saturating_sub(node.started_at.get()));
        gains.min().unwrap_or(0)
    }
}

impl Member {
    async fn start(
        spec: &ChainSpec,
        place: &Place,
        number: u8,
        peers: &[Multiaddr],
        beacon: Option<&BeaconConfig>,
    ) -> anyhow::Result<Self> {
        let config = |port: u16| {
            anyhow::Ok(NodeConfig {
                listen: vec!["/ip4/127.0.0.1/tcp/0".parse().context("a multiaddress")?],
                peers: peers.to_vec(),
                rpc: ([127, 0, 0, 1], port).into(),
                // What the page tells of addresses.
                indexes: (number == 1).then(|| ["tx", "address"].map(str::to_owned).to_vec()),
                access: Access::in_dir(&place.node(spec, number), true),
                beacon: beacon.cloned(),
                ..NodeConfig::new(spec.clone(), place.node(spec, number))
            })
        };
        // The first node is where commands look for one, unless another program is there.
        let usual = if number == 1 { spec.hints().rpc_port } else { 0 };
        let handle = match mass_node::start::<UtxoLedger>(config(usual)?).await {
            Err(NodeError::Rpc(ServeError::InUse(_))) if number == 1 => {
                mass_node::start::<UtxoLedger>(config(0)?).await?
            }
            started => started?,
        };
        let url = format!("http://{}", handle.rpc);
        let client = mass_rpc::client(&url)?;
        let started_at = client.get_block_count().await?;
        Ok(Self { handle, client, url, started_at })
    }
}
