//! `mass wallet serve`: wallets over RPC, with Bitcoin Core's names.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use mass_node::{AccessArgs, program::stop_signal};
use mass_rpc::{
    CookiePlace,
    metrics::{Page, Render},
};
use mass_wallet::serve::WalletServer;
use serde_json::json;

use super::place::Place;
use crate::{node::usual_url, output::Output, runtime};

/// Which wallet to serve, and where.
#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    place: Place,
    /// The node's RPC [default: the chain's port on this machine].
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// The address to listen on, port 0 takes any. Who can read the cookie beside
    /// the wallets may call [default: two above the chain's RPC port].
    #[arg(long, value_name = "ADDRESS")]
    rpc: Option<SocketAddr>,
    /// Load no wallet: clients load or create them.
    #[arg(long)]
    empty: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Serves wallets until Ctrl-C or SIGTERM.
pub fn serve(args: &ServeArgs, output: Output) -> anyhow::Result<()> {
    runtime::block_on(run(args, output))
}

async fn run(args: &ServeArgs, output: Output) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let (spec, dir) = args.place.resolve()?;
    let url = args.node.clone().unwrap_or_else(|| usual_url(&spec));
    let shown = mass_rpc::shown(&url);
    let node = mass_rpc::client(&url).with_context(|| shown.clone())?;
    let usual = SocketAddr::from(([127, 0, 0, 1], spec.hints().rpc_port.saturating_add(2)));
    let parent = dir.parent().map(ToOwned::to_owned).unwrap_or_default();
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = parent.clone();
    let server = WalletServer::new(spec, parent, node);
    if !args.empty {
        let (_, wallet) = args.place.open()?;
        server.add(name.clone(), wallet).await;
    }
    let metrics: Render = Arc::new(|| Box::pin(async { Page::default() }));
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut access = args.access.access(&folder)?;
    access.cookie = Some(CookiePlace { file: folder.join(format!(".{name}.cookie")), is_linked: true });
    let (address, handle) =
        mass_rpc::serve(args.rpc.unwrap_or(usual), server.methods(), metrics, access).await?;
    let text = format!("wallets at http://{address}, node at {shown}\nCtrl-C ends it");
    output.line(&json!({ "event": "started", "rpc": format!("http://{address}"), "node": shown }), &text)?;
    tokio::select! {
        () = stop => {}
        () = server.keep_locks() => {}
    }
    // It stops only once.
    let _ = handle.stop();
    handle.stopped().await;
    output.line(&json!({ "event": "stopped" }), "stopped")
}
