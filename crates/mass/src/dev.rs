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
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use mass_consensus::spec::ChainSpec;
use mass_rpc::Status;

use self::{network::Network, payment::Payment, place::Place, summary::Summary};
use crate::{
    output::{Output, Verdict, human_bytes, note},
    runtime,
};

/// How often the nodes are asked how they fare.
const LOOK: Duration = Duration::from_millis(500);

/// Without a block for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(300);

/// What network to run, and for how long.
#[derive(Args)]
pub struct DevArgs {
    /// How many nodes.
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
}

/// Runs the network.
pub fn run(args: &DevArgs, output: Output) -> anyhow::Result<Verdict> {
    let spec = ChainSpec::built_in("dev").context("the dev chain is built in")?;
    let place = Place::open(args.dir.as_deref())?;
    let plots = place.plots(&spec, args.plots)?;
    let summary = runtime::block_on(async {
        let stop = runtime::stop_signal()?;
        let mut network = Network::start(&spec, &place, args.nodes).await?;
        welcome(&network, &place);
        let mut session = Session {
            payment: Payment::new(&place, &spec),
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
            Ok(totals) => Summary::take(&mut network, &mut session.payment, plots, totals).await,
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

fn welcome(network: &Network, place: &Place) {
    for (number, url) in network.urls().enumerate() {
        note(&format!("node {}: {url}", number + 1));
    }
    let (url, faucet) = (network.urls().next().unwrap_or_default(), place.wallet("faucet"));
    note(&format!("the faucet's coins: mass wallet balance --node {url} --wallet {}", faucet.display()));
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
        let (mut seen, mut since) = (None, Instant::now());
        loop {
            tokio::time::sleep(LOOK).await;
            network.check_farmer().await?;
            let statuses = network.statuses().await?;
            self.payment.step(network.client(), &statuses).await?;
            let lowest = statuses.iter().map(|status| status.height).min();
            if lowest != seen {
                (seen, since) = (lowest, Instant::now());
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

    fn show(&self, network: &Network, statuses: &[Status]) {
        let Some(first) = statuses.first() else { return };
        let together = statuses.iter().all(|status| status.tip == first.tip);
        let totals = network.totals();
        let peers = statuses.iter().map(|status| status.peers.to_string()).collect::<Vec<_>>().join("/");
        let netspace =
            first.netspace_bytes.parse().map_or_else(|_| first.netspace_bytes.clone(), human_bytes);
        let text = format!(
            "height {}{}, netspace {netspace}, {} won, {} reads, peers {peers}, {}",
            first.height,
            if together { "" } else { " (nodes differ)" },
            totals.wins,
            totals.reads,
            self.payment.state(),
        );
        if self.bar.is_hidden() {
            note(&text);
        }
        self.bar.set_message(text);
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }
}
