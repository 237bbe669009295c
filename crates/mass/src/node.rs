//! `mass node`: a full node in the foreground, questions to one that runs, and its chain as a file.

mod config;
mod db;
mod password;
mod status;
mod transfer;

use std::{ffi::OsString, path::PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{
    FaceArgs, NodeHandle,
    program::{self, NodeArgs},
};
use mass_page::Backend;
use mass_rpc::{BitcoinClient, HttpClient};
use mass_wallet::serve::WalletServer;
use serde_json::Value;

use crate::{
    chain, generate,
    output::{Output, Verdict},
    page::{self, PageArgs, PageSources, Served},
    runtime,
    wallet::{Waiting, WalletArgs},
};

/// What to do with a node.
#[derive(Subcommand)]
pub enum Command {
    /// Follow a chain until Ctrl-C: take blocks from peers and from farmers, check and keep them.
    ///
    /// Everything is kept in one directory; killed at any moment, the node goes on from there.
    ///
    /// A chain with another ledger than Mass Net's has a program of its own with the same options.
    Run(Box<RunArgs>),
    /// How a node fares: in ten lines whether all is well, and for each thing that is not, what to do.
    ///
    /// With --check, the exit code is 0 only if all is well.
    Status(status::StatusArgs),
    /// The peers of a node.
    Peers(NodeUrl),
    /// Make a password for a user of the RPC who cannot read the node's cookie.
    ///
    /// The node is told a salted hash of it, in the form of Bitcoin Core's rpcauth, by --rpc-auth. It is shown once.
    Password(password::PasswordArgs),
    /// Write the blocks of the best chain to a file, for another node to import or another verifier to check.
    ///
    /// From the data directory of a node that does not run, or with --node by the RPC of one that does. The file is
    /// there once it is whole. The format is described in docs/export-format.md.
    Export(transfer::ExportArgs),
    /// Take the blocks of a file into a data directory, each checked as if a peer had sent it.
    ///
    /// What is good before a fault stays. Killed at any moment, it goes on where it was when it is started again.
    Import(transfer::ImportArgs),
    /// Check, mend and measure the database of a node that does not run.
    #[command(subcommand)]
    Db(db::Command),
}

/// How to run a node.
#[derive(Args)]
pub struct RunArgs {
    /// The chain to follow: a built-in one, as `mass chain list` has them, or a spec file.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    chain: String,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    faces: FaceArgs,
    #[command(flatten)]
    wallets: WalletArgs,
    #[command(flatten)]
    page: PageArgs,
    /// A TOML file of these options, without their dashes: docs/config.md lists them. The command line and MASS_NODE_*
    /// in the environment come before it.
    #[arg(long, env = "MASS_NODE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Which node to ask.
#[derive(Args)]
pub struct NodeUrl {
    /// The chain of the node, for its default port.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    pub chain: String,
    /// The node's RPC [default: the chain's port on this machine].
    #[arg(long, value_name = "URL")]
    pub node: Option<String>,
}

/// Where a node of a chain answers RPC unless it was told another place.
pub fn usual_url(spec: &ChainSpec) -> String {
    format!("http://127.0.0.1:{}", spec.hints().rpc_port)
}

impl NodeUrl {
    /// The chain's spec and the URL of the node.
    pub fn resolve(&self) -> anyhow::Result<(ChainSpec, String)> {
        let spec = chain::load(&self.chain)?;
        let url = self.node.clone().unwrap_or_else(|| usual_url(&spec));
        Ok((spec, url))
    }

    /// The URL of the node, and a client of it.
    pub fn client(&self) -> anyhow::Result<(String, HttpClient)> {
        let (_, url) = self.resolve()?;
        let shown = mass_rpc::shown(&url);
        let client = mass_rpc::client(&url).with_context(|| shown.clone())?;
        Ok((shown, client))
    }
}

/// The words that settings elsewhere add to a command line.
pub fn settings(program: &clap::Command, given: &clap::ArgMatches) -> anyhow::Result<Vec<OsString>> {
    config::more(program, given)
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Command::Run(args) => {
            let mut config = args.node.config::<UtxoLedger>(chain::load(&args.chain)?)?;
            config.generator = generate::generator(&config.spec, &config.data_dir);
            args.faces.prepare(&mut config);
            let wallets = args.wallets.prepare(&mut config)?;
            if args.page.address.is_some() {
                // What the page tells of addresses.
                config.indexes.get_or_insert_with(|| ["tx", "address"].map(str::to_owned).to_vec());
            }
            let spec = config.spec.clone();
            let beside = async |queries, node: &NodeHandle| {
                let faces = args.faces.start(queries).await?;
                let mut listen: Vec<_> =
                    faces.listen.iter().map(|(name, addr)| (*name, addr.to_string())).collect();
                let server = wallets.as_ref().map(Waiting::server);
                let wallets = match &wallets {
                    Some(wallets) => Some(wallets.start(node).await?),
                    None => None,
                };
                let page = serve_page(&args.page, &spec, node, server).await?;
                listen.extend(page.iter().map(|page| ("page", page.url())));
                anyhow::Ok(((faces, page, wallets), listen))
            };
            let tell = |value: &Value, text: &str| output.line(value, text);
            runtime::block_on(program::follow_with::<UtxoLedger, _>(config, beside, tell))?;
        }
        Command::Status(args) => return runtime::block_on(status::show(args, output)),
        Command::Peers(node) => runtime::block_on(peers(node, output))?,
        Command::Password(args) => password::make(args, output)?,
        Command::Export(args) => transfer::export(args, output)?,
        Command::Import(args) => transfer::import(args, output)?,
        Command::Db(command) => return db::run(command, output),
    }
    Ok(Verdict::Good)
}

/// Serves the page of a node and of the user's wallets, if it is asked for. Wallets that the node itself serves are the page's,
/// too, for a wallet that is open is open once.
async fn serve_page(
    args: &PageArgs,
    spec: &ChainSpec,
    node: &NodeHandle,
    wallets: Option<WalletServer>,
) -> anyhow::Result<Option<Served>> {
    let Some(address) = args.address else { return Ok(None) };
    let mut sources = PageSources::default();
    let client = mass_rpc::client(&format!("http://{}", node.rpc))?;
    let wallets = match wallets {
        Some(wallets) => wallets,
        None => WalletServer::new(spec.clone(), page::wallets_dir(spec)?, client),
    };
    sources.add_chain(spec, Backend::Here(node.methods.clone()), wallets);
    Ok(Some(sources.serve(address).await?))
}

async fn peers(node: &NodeUrl, output: Output) -> anyhow::Result<()> {
    let (url, client) = node.client()?;
    let peers = client.get_peer_info().await.with_context(|| format!("the node at {url}"))?;
    let text = peers.as_array().into_iter().flatten().map(|peer| {
        let way = if peer["inbound"] == true { "in " } else { "out" };
        let field = |name: &str| peer[name].as_str().unwrap_or_default().to_owned();
        format!("{way}  {}  {}  {}\n", field("peerid"), field("addr"), field("subver"))
    });
    let text = text.collect::<String>();
    output.result(&peers, if text.is_empty() { "no peers" } else { &text })
}
