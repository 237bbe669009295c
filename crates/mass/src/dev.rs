//! `mass dev`: a whole network on one machine, from an empty directory to blocks and a payment.
//!
//! Plots, nodes with sockets of their own, a farmer and two wallets live in one directory, and a later run goes
//! on where the last one was, however that ended. The nodes run inside this process and speak to each other,
//! to the farmer and to the wallets over the loopback interface as they would over any other.

mod network;
mod payment;
mod place;
mod summary;

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use mass_consensus::spec::ChainSpec;
use mass_primitives::Height;
use mass_rpc::Status;

pub use self::place::Place;
use self::{network::Network, payment::Payment, summary::Summary};
use crate::{
    output::{Output, Verdict, human_bytes, note},
    page::Served,
    runtime,
};

/// How often the nodes are asked how they fare.
const LOOK: Duration = Duration::from_millis(500);

/// Without a block for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(300);

/// What network to run, and for how long.
#[derive(Args)]
pub struct DevArgs {
    /// How many chains to farm with the same plots: dev; dev2, which shares its beacon, so that one read of a
    /// disk serves both; and dev3 with a beacon of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    chains: u8,
    /// How many nodes to a chain.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// Go on until every node has so many more blocks, all agree and the payment is confirmed; then print a
    /// summary [default: until Ctrl-C].
    #[arg(long, value_name = "N")]
    blocks: Option<u32>,
    /// How many plots to farm with. What is missing is made; each takes a fraction of a second and 0.65 MB.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    plots: u32,
    /// Where everything is kept [default: dev in the user's data directory].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Serve the web page at this address [default: 127.0.0.1:29320, or any port if that one is taken].
    #[arg(long, value_name = "ADDRESS")]
    page: Option<SocketAddr>,
    /// Serve no web page.
    #[arg(long, conflicts_with = "page")]
    no_page: bool,
}

/// Runs the network.
pub fn run(args: &DevArgs, output: Output) -> anyhow::Result<Verdict> {
    let names = ["dev", "dev2", "dev3"].into_iter().take(args.chains.into());
    let specs: Vec<ChainSpec> = names.filter_map(ChainSpec::built_in).collect();
    let first = specs.first().context("the dev chain is built in")?;
    let place = Place::open(args.dir.as_deref())?;
    let plots = place.plots(first, args.plots)?;
    let summary = runtime::block_on(async {
        let stop = runtime::stop_signal()?;
        let mut network = Network::start(&specs, &place, args.nodes).await?;
        let page = if args.no_page { None } else { Some(network.serve_page(&place, args.page).await?) };
        welcome(&network, &place, page.as_ref());
        let mut session = Session {
            payment: Payment::new(&place, first),
            target: args.blocks,
            bar: ProgressBar::new_spinner(),
        };
        let outcome = tokio::select! {
            () = stop => Ok(()),
            outcome = session.watch(&mut network) => outcome,
        };
        session.bar.finish_and_clear();
        // Nothing is farmed any more, so the nodes can be compared.
        let farmed = network.stop_farming().await;
        let summary = match outcome.and(farmed) {
            Ok(totals) => Summary::take(&network, &mut session.payment, plots, totals).await,
            Err(error) => Err(error),
        };
        network.stop().await?;
        summary
    })?;
    output.result(&summary.json(), &summary.text())?;
    if let Some(wanted) = args.blocks.filter(|wanted| summary.blocks() < *wanted) {
        bail!("interrupted after {} of {wanted} blocks", summary.blocks());
    }
    Ok(Verdict::Good)
}

fn welcome(network: &Network, place: &Place, page: Option<&Served>) {
    for nodes in network.chains() {
        let urls: Vec<&str> = nodes.urls().collect();
        note(&format!("nodes of {}: {}", nodes.spec.rules().name, urls.join(" ")));
    }
    if let Some(nodes) = network.chains().first() {
        let (url, faucet) = (nodes.urls().next().unwrap_or_default(), place.wallet(&nodes.spec, "faucet"));
        note(&format!("the faucet's coins: mass wallet balance --node {url} --wallet {}", faucet.display()));
    }
    if let Some(page) = page {
        note(&format!("the page: {}", page.url()));
    }
    note("Ctrl-C ends it; run it again and it goes on");
}

/// What one run waits for.
struct Session<'a> {
    payment: Payment<'a>,
    target: Option<u32>,
    bar: ProgressBar,
}

impl Session<'_> {
    /// Shows how the network fares until the target is reached; for ever without one.
    async fn watch(&mut self, network: &mut Network) -> anyhow::Result<()> {
        let (mut seen, mut since) = (Vec::new(), Instant::now());
        loop {
            tokio::time::sleep(LOOK).await;
            network.check_farmer().await?;
            let statuses = network.statuses().await?;
            self.payment.step(network.client(), &statuses[0]).await?;
            let heights: Vec<Option<Height>> =
                statuses.iter().map(|nodes| nodes.iter().map(|status| status.height).min()).collect();
            if heights != seen {
                (seen, since) = (heights, Instant::now());
                self.show(network, &statuses);
            }
            if since.elapsed() > PATIENCE {
                bail!("no block on every node for {} seconds", PATIENCE.as_secs());
            }
            let gained = network.gained(&statuses);
            if self.target.is_some_and(|target| gained >= target) && self.payment.is_confirmed() {
                return Ok(());
            }
        }
    }

    fn show(&self, network: &Network, statuses: &[Vec<Status>]) {
        let Some((first, others)) = statuses.split_first() else { return };
        let Some(node) = first.first() else { return };
        let (totals, mut text) = (network.totals(), height(first));
        for (nodes, statuses) in network.chains().iter().skip(1).zip(others) {
            text.push_str(&format!(", {} {}", nodes.spec.rules().name, height(statuses)));
        }
        let peers = first.iter().map(|status| status.peers.to_string()).collect::<Vec<_>>().join("/");
        let netspace = node.netspace_bytes.parse().map_or_else(|_| node.netspace_bytes.clone(), human_bytes);
        text.push_str(&format!(
            ", netspace {netspace}, {} won, {} reads, peers {peers}, {}",
            totals.wins,
            totals.reads,
            self.payment.state(),
        ));
        if self.bar.is_hidden() {
            note(&text);
        }
        self.bar.set_message(text);
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }
}

/// The height of a chain, and whether its nodes agree.
fn height(statuses: &[Status]) -> String {
    let together = statuses.windows(2).all(|pair| pair[0].tip == pair[1].tip);
    let height = statuses.first().map(|status| status.height).unwrap_or_default();
    format!("height {height}{}", if together { "" } else { " (nodes differ)" })
}
