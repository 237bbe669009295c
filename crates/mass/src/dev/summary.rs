//! What a run has shown.

use mass_farmer::Totals;
use mass_primitives::{ChainId, Height};
use mass_rpc::{CoinsClient, Status, Supply};
use mass_wallet::Txid;
use serde_json::{Value, json};

use super::{network::Network, payment::Payment, place::PlotsMade};
use crate::output::human_bytes;

/// Everything at one moment, when all nodes agree. Nodes, payment and supply are those of the first chain.
pub struct Summary {
    chains: Vec<ChainSummary>,
    nodes: Vec<Status>,
    blocks: u32,
    reorgs: u64,
    plots: PlotsMade,
    totals: Totals,
    txid: Option<Txid>,
    confirmed: Option<Height>,
    supply: Supply,
}

/// One chain.
struct ChainSummary {
    name: String,
    id: ChainId,
    /// Name of the chain whose seeds it uses.
    beacon: String,
    height: Height,
    blocks: u32,
    wins: u64,
    reads: u64,
}

impl Summary {
    /// Takes stock once all nodes agree.
    pub async fn take(
        network: &Network,
        payment: &mut Payment<'_>,
        plots: PlotsMade,
        totals: Totals,
    ) -> anyhow::Result<Self> {
        let statuses = network.agreement().await?;
        let (txid, confirmed) = payment.settle(network.client()).await?;
        let name_of = |id: &ChainId| {
            let chain = network.chains().iter().find(|nodes| nodes.spec.id() == id);
            chain.map_or_else(|| id.to_string(), |nodes| nodes.spec.rules().name.clone())
        };
        let chains = network.chains().iter().zip(&statuses).map(|(nodes, statuses)| {
            let farmed = totals.chains.iter().find(|chain| chain.chain == *nodes.spec.id());
            ChainSummary {
                name: nodes.spec.rules().name.clone(),
                id: *nodes.spec.id(),
                beacon: name_of(nodes.spec.beacon_id()),
                height: statuses.first().map(|status| status.height).unwrap_or_default(),
                blocks: nodes.gained(statuses),
                wins: farmed.map_or(0, |chain| chain.wins),
                reads: farmed.map_or(0, |chain| chain.reads),
            }
        });
        Ok(Self {
            chains: chains.collect(),
            blocks: network.gained(&statuses),
            reorgs: statuses.iter().flatten().map(|node| node.reorgs).sum(),
            nodes: statuses.into_iter().next().unwrap_or_default(),
            plots,
            totals,
            txid,
            confirmed,
            supply: network.client().supply().await?,
        })
    }

    /// Blocks that every node gained.
    pub const fn blocks(&self) -> u32 {
        self.blocks
    }

    /// For scripts.
    pub fn json(&self) -> Value {
        let node = |node: &Status| json!({ "height": node.height, "tip": node.tip, "peers": node.peers });
        let chain = |chain: &ChainSummary| {
            json!({ "name": chain.name, "chain_id": chain.id, "beacon": chain.beacon, "height": chain.height,
                "blocks": chain.blocks, "wins": chain.wins, "reads": chain.reads })
        };
        let PlotsMade { count, bytes, time } = self.plots;
        let Totals { rounds, reads, qualities, proofs, wins, lost, .. } = self.totals;
        json!({
            "chain": self.chains.first().map(|chain| &chain.name),
            "chain_id": self.chains.first().map(|chain| chain.id),
            "chains": self.chains.iter().map(chain).collect::<Value>(),
            "nodes": self.nodes.iter().map(node).collect::<Value>(),
            "blocks": self.blocks,
            "reorgs": self.reorgs,
            "plots": { "count": count, "bytes": bytes, "seconds": time.as_secs_f64() },
            "farmer": { "rounds": rounds, "reads": reads, "qualities": qualities, "proofs": proofs,
                "wins": wins, "lost": lost },
            "payment": { "txid": self.txid.map(|txid| txid.to_string()), "confirmed_height": self.confirmed },
            "supply": self.supply,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let tip = self.nodes.first().map(|node| node.tip.to_string()).unwrap_or_default();
        let payment = match (self.txid, self.confirmed) {
            (Some(txid), Some(height)) => format!("{txid} in block {height}"),
            (Some(txid), None) => format!("{txid}, not in a block yet"),
            (None, _) => "none".to_owned(),
        };
        let chains: String = self.chains.iter().map(ChainSummary::text).collect();
        format!(
            "{chains}nodes    {} to a chain agree; the first chain's tip is {tip}\nreorgs   {}\n\
             plots    {}, {}\nfarmer   {} rounds, {} reads, {} qualities, {} blocks won\npayment  {payment}\n\
             supply   {} maxwell issued, {} from the genesis block, {} pending, {} burned",
            self.nodes.len(),
            self.reorgs,
            self.plots.count,
            human_bytes(self.plots.bytes),
            self.totals.rounds,
            self.totals.reads,
            self.totals.qualities,
            self.totals.wins,
            self.supply.issued,
            self.supply.genesis,
            self.supply.pending,
            self.supply.burned,
        )
    }
}

impl ChainSummary {
    fn text(&self) -> String {
        format!(
            "chain    {} at height {}: {} blocks more, {} won, {} reads for the beacon of {}\n",
            self.name, self.height, self.blocks, self.wins, self.reads, self.beacon
        )
    }
}
