//! What `mass top` asks farm and nodes, all at one time; who does not answer is shown with the reason.

use std::time::Duration;

use anyhow::Context;
use futures::future::{join, join_all, join3};
use mass_farmer::diagnose;
use mass_rpc::{
    BitcoinClient as _, ClientError, HttpClient, MassClient as _, PoolClient as _, Status,
    farm::{FarmClient as _, FarmStatus, Finding},
    farm_view::{FarmLuck, FarmRounds, FarmViewClient as _, PlottingStatus},
};
use serde::Serialize;
use serde_json::Value;

use crate::{chain, node::usual_url};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Rounds of the strip.
const ROUNDS: u32 = 200;

/// Whom to ask.
pub struct Sources {
    farm: (String, HttpClient),
    nodes: Vec<(String, HttpClient)>,
}

/// Farm and nodes at one moment.
#[derive(Default, Serialize)]
pub struct Picture {
    /// The farm.
    pub farm: Part<FarmPicture>,
    /// The nodes.
    pub nodes: Vec<Part<NodePicture>>,
}

/// Somebody who answers or does not.
#[derive(Serialize)]
pub struct Part<T> {
    /// Where it is.
    pub url: String,
    /// What it says.
    pub state: Option<T>,
    /// Why it says nothing.
    pub failure: Option<String>,
}

/// A farm.
#[derive(Serialize)]
pub struct FarmPicture {
    /// How its parts fare.
    pub status: FarmStatus,
    /// What is wrong, as far as that is seen without trials.
    pub findings: Vec<Finding>,
    /// Its luck.
    pub luck: FarmLuck,
    /// Its last rounds.
    pub rounds: FarmRounds,
    /// Plots in the making.
    pub plotting: Vec<PlottingStatus>,
}

/// A node.
#[derive(Serialize)]
pub struct NodePicture {
    /// How it fares.
    pub status: Status,
    /// Its pool.
    pub pool: Value,
    /// Its peers.
    pub peers: Value,
}

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self { url: String::new(), state: None, failure: None }
    }
}

impl<T> Part<T> {
    fn of(url: &str, answer: Result<T, ClientError>) -> Self {
        let (state, failure) = match answer {
            Ok(state) => (Some(state), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { url: url.to_owned(), state, failure }
    }
}

impl Picture {
    /// Whether anybody answers.
    pub fn answers(&self) -> bool {
        self.farm.state.is_some() || self.nodes.iter().any(|node| node.state.is_some())
    }

    /// The directories of the farm.
    pub fn plotting(&self) -> &[PlottingStatus] {
        self.farm.state.as_ref().map_or(&[], |farm| &farm.plotting)
    }
}

fn client(url: &str) -> anyhow::Result<(String, HttpClient)> {
    let client = mass_rpc::client_that_waits(url, PATIENCE).with_context(|| url.to_owned())?;
    Ok((url.to_owned(), client))
}

impl Sources {
    /// A farm, and nodes; without nodes those of the farm.
    pub fn new(farm: &str, nodes: &[String]) -> anyhow::Result<Self> {
        let nodes = nodes.iter().map(|url| client(url)).collect::<anyhow::Result<_>>()?;
        Ok(Self { farm: client(farm)?, nodes })
    }

    /// The farm.
    pub fn farm(&self) -> HttpClient {
        self.farm.1.clone()
    }

    /// Asks all.
    pub async fn look(&self) -> Picture {
        let (url, client) = &self.farm;
        if !self.nodes.is_empty() {
            let (farm, nodes) = join(look_at_farm(client), look_at_nodes(&self.nodes)).await;
            return Picture { farm: Part::of(url, farm), nodes };
        }
        let farm = Part::of(url, look_at_farm(client).await);
        let urls = match &farm.state {
            Some(farm) => farm.status.chains.iter().map(|chain| chain.node.clone()).collect(),
            None => chain::load("dev").map(|spec| usual_url(&spec)).into_iter().collect::<Vec<_>>(),
        };
        // An address that was good for the farm is good here.
        let nodes: Vec<_> = urls.iter().filter_map(|url| self::client(url).ok()).collect();
        Picture { farm, nodes: look_at_nodes(&nodes).await }
    }
}

async fn look_at_farm(client: &HttpClient) -> Result<FarmPicture, ClientError> {
    let status = client.farm_status().await?;
    Ok(FarmPicture {
        findings: diagnose(status.clone(), Vec::new()).findings,
        luck: client.farm_luck().await?,
        rounds: client.farm_rounds(Some(ROUNDS)).await?,
        // A disk that hangs keeps nothing else from being seen.
        plotting: client.farm_plotting().await.unwrap_or_default(),
        status,
    })
}

async fn look_at_nodes(nodes: &[(String, HttpClient)]) -> Vec<Part<NodePicture>> {
    join_all(nodes.iter().map(|(url, client)| look_at_node(url, client))).await
}

async fn look_at_node(url: &str, client: &HttpClient) -> Part<NodePicture> {
    let (status, pool, peers) =
        join3(client.status(), client.get_mempool_info(), client.get_peer_info()).await;
    let picture = || Ok(NodePicture { status: status?, pool: pool?, peers: peers? });
    Part::of(url, picture())
}
