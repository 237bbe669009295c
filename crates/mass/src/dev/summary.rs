//! What a run has shown.

use mass_farmer::Totals;
use mass_primitives::{ChainId, Height};
use mass_rpc::{MassClient, Status, Supply};
use mass_wallet::Txid;
use serde_json::{Value, json};

use super::{network::Network, payment::Payment, place::PlotsMade};
use crate::output::human_bytes;

/// Everything at one moment, when all nodes agree.
pub struct Summary {
    chain: String,
    chain_id: ChainId,
    nodes: Vec<Status>,
    blocks: u32,
    plots: PlotsMade,
    totals: Totals,
    txid: Option<Txid>,
    confirmed: Option<Height>,
    supply: Supply,
}

impl Summary {
    /// Takes stock once all nodes agree.
    pub async fn take(
        network: &mut Network,
        payment: &mut Payment<'_>,
        plots: PlotsMade,
        totals: Totals,
    ) -> anyhow::Result<Self> {
        let nodes = network.agreement().await?;
        let blocks = network.gained(&nodes);
        let (txid, confirmed) = payment.settle(network.client()).await?;
        let supply = network.client().supply().await?;
        let status = network.client().status().await?;
        let (chain, chain_id) = (status.name, status.chain);
        Ok(Self { chain, chain_id, nodes, blocks, plots, totals, txid, confirmed, supply })
    }

    /// Blocks that every node gained.
    pub const fn blocks(&self) -> u32 {
        self.blocks
    }

    fn reorgs(&self) -> u64 {
        self.nodes.iter().map(|node| node.reorgs).sum()
    }

    /// For scripts.
    pub fn json(&self) -> Value {
        let node = |node: &Status| json!({ "height": node.height, "tip": node.tip, "peers": node.peers });
        let PlotsMade { count, bytes, time } = self.plots;
        json!({
            "chain": self.chain,
            "chain_id": self.chain_id,
            "nodes": self.nodes.iter().map(node).collect::<Value>(),
            "blocks": self.blocks,
            "reorgs": self.reorgs(),
            "plots": { "count": count, "bytes": bytes, "seconds": time.as_secs_f64() },
            "farmer": self.totals,
            "payment": { "txid": self.txid.map(|txid| txid.to_string()), "confirmed_height": self.confirmed },
            "supply": self.supply,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let height = self.nodes.first().map_or(Height::ZERO, |node| node.height);
        let tip = self.nodes.first().map(|node| node.tip.to_string()).unwrap_or_default();
        let payment = match (self.txid, self.confirmed) {
            (Some(txid), Some(height)) => format!("{txid} in block {height}"),
            (Some(txid), None) => format!("{txid}, not in a block yet"),
            (None, _) => "none".to_owned(),
        };
        format!(
            "chain    {} ({})\nnodes    {} agree on block {height}, {tip}\nblocks   {} more, {} reorgs\n\
             plots    {}, {}\nfarmer   {} rounds, {} reads, {} qualities, {} blocks won\npayment  {payment}\n\
             supply   {} maxwell issued, {} from the genesis block, {} pending, {} burned",
            self.chain,
            self.chain_id,
            self.nodes.len(),
            self.blocks,
            self.reorgs(),
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
