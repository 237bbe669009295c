//! What a wallet learns from nodes: balance, history, and the check of a chain without trust.

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mass_ledger_utxo::format_mass;
use mass_primitives::{Amount, FarmerPublicKey};
use mass_rpc::HttpClient;
use mass_wallet::{
    Entry, Progress, Wallet,
    light::{LightSynced, Source},
};
use serde_json::{Value, json};

use super::place::Place;
use crate::{
    node::usual_url,
    output::{Output, Verdict, note, table},
    runtime,
};

/// Blocks from which reading them is worth a progress bar.
const LONG_SYNC_BLOCKS: u32 = 500;
/// Blocks between two lines of progress where no bar can be shown.
const LINE_BLOCKS: u32 = 10_000;

/// Which wallet, and which nodes to ask.
#[derive(Args)]
pub struct Online {
    #[command(flatten)]
    place: Place,
    /// The node's RPC; with --light several may be given [default: the chain's port on this machine].
    #[arg(long, value_name = "URL")]
    node: Vec<String>,
    /// Trust no node: check headers, seals and filters here.
    #[arg(long)]
    light: bool,
}

/// Which wallet to look at.
#[derive(Args)]
pub struct Reading {
    #[command(flatten)]
    online: Online,
    /// As of the last time, without asking a node.
    #[arg(long, conflicts_with_all = ["node", "light"])]
    offline: bool,
}

/// Which balance.
#[derive(Args)]
pub struct BalanceArgs {
    #[command(flatten)]
    reading: Reading,
    /// Show also what a farmer key has earned and was not paid yet.
    #[arg(long, value_name = "KEY", conflicts_with = "offline")]
    farmer_key: Option<FarmerPublicKey>,
}

/// Which history.
#[derive(Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    reading: Reading,
    /// As CSV: time, height, kind, amounts in MASS, balance, transaction, label.
    #[arg(long)]
    csv: bool,
}

impl Online {
    /// The wallet after a sync, and the node that payments go to.
    pub async fn synced(&self) -> anyhow::Result<(Wallet, HttpClient)> {
        if self.light {
            let (wallet, synced) = light(&self.place, &self.node).await?;
            synced.lies.iter().for_each(|lie| note(&format!("warning: {lie}")));
            return Ok((wallet, synced.node));
        }
        let (spec, mut wallet) = self.place.open()?;
        ensure!(self.node.len() <= 1, "several nodes are compared with --light only");
        let url = self.node.first().cloned().unwrap_or_else(|| usual_url(&spec));
        let client = mass_rpc::client(&url).with_context(|| mass_rpc::shown(&url))?;
        let url = mass_rpc::shown(&url);
        let mut bar = SyncBar::default();
        let synced = wallet.sync_with(&client, |progress| bar.show(progress)).await;
        bar.finish();
        synced.with_context(|| format!("the node at {url}"))?;
        Ok((wallet, client))
    }
}

async fn light(place: &Place, nodes: &[String]) -> anyhow::Result<(Wallet, LightSynced)> {
    let (spec, mut wallet) = place.open()?;
    let usual = vec![usual_url(&spec)];
    let urls = if nodes.is_empty() { &usual } else { nodes };
    let sources = urls.iter().map(|url| {
        let client = mass_rpc::client(url).with_context(|| mass_rpc::shown(url))?;
        Ok(Source::new(mass_rpc::shown(url), client))
    });
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let mut bar = SyncBar::default();
    let synced = wallet.sync_light(&spec, sources, |progress| bar.show(progress)).await;
    bar.finish();
    Ok((wallet, synced?))
}

impl Reading {
    /// The wallet, after a sync unless there is to be none.
    pub fn wallet(&self) -> anyhow::Result<Wallet> {
        if self.offline {
            return Ok(self.online.place.open()?.1);
        }
        runtime::block_on(async { Ok(self.online.synced().await?.0) })
    }
}

/// Checks the chain, with or without `--light`.
pub fn sync(args: &Online, output: Output) -> anyhow::Result<Verdict> {
    let (wallet, synced) = runtime::block_on(light(&args.place, &args.node))?;
    let mut text = format!(
        "block {} {}\n{} headers proven, {} filters matched, {} blocks read",
        synced.height, synced.tip, synced.headers, synced.filters, synced.blocks
    );
    synced.lies.iter().for_each(|lie| text.push_str(&format!("\n{lie}")));
    let lies = synced.lies.iter().map(|lie| {
        json!({ "node": lie.node, "kind": lie.what.kind(), "is_lie": lie.what.is_lie(), "message": lie.to_string() })
    });
    let value = json!({ "height": wallet.height(), "tip": synced.tip, "headers": synced.headers,
        "filters": synced.filters, "blocks": synced.blocks, "findings": lies.collect::<Value>() });
    output.result(&value, &text)?;
    Ok(Verdict::good_if(!synced.lies.iter().any(|lie| lie.what.is_lie())))
}

/// Prints what the wallet has.
pub fn balance(args: &BalanceArgs, output: Output) -> anyhow::Result<()> {
    let reading = &args.reading;
    if reading.offline {
        return show_balance(&reading.online.place.open()?.1, None, output);
    }
    let (wallet, earned) = runtime::block_on(async {
        let (wallet, node) = reading.online.synced().await?;
        let earned = wallet.earned(&node, args.farmer_key).await?;
        Ok((wallet, earned))
    })?;
    show_balance(&wallet, earned, output)
}

fn show_balance(wallet: &Wallet, earned: Option<Amount>, output: Output) -> anyhow::Result<()> {
    let balance = wallet.balance();
    let mut sums = vec![
        ("spendable", balance.spendable()),
        ("incoming", balance.incoming),
        ("immature", balance.immature),
        ("total", balance.total()),
    ];
    if balance.frozen > Amount::ZERO {
        sums.insert(1, ("frozen", balance.frozen));
    }
    sums.extend(earned.filter(|earned| *earned > Amount::ZERO).map(|earned| ("earned", earned)));
    let widest = sums.iter().map(|(_, amount)| format_mass(*amount).len()).max().unwrap_or(0);
    let mut text: String = sums
        .iter()
        .map(|(name, amount)| format!("{name:<9}  {:>widest$} MASS\n", format_mass(*amount)))
        .collect();
    text.push_str(&format!("as of block {}", wallet.height()));
    let value = json!({
        "spendable": format_mass(balance.spendable()),
        "spendable_maxwell": balance.spendable(),
        "confirmed_maxwell": balance.confirmed,
        "change_maxwell": balance.change,
        "frozen_maxwell": balance.frozen,
        "incoming_maxwell": balance.incoming,
        "immature_maxwell": balance.immature,
        "total_maxwell": balance.total(),
        "earned_maxwell": earned,
        "height": wallet.height(),
    });
    output.result(&value, &text)
}

/// Lists what came and went.
pub fn history(args: &HistoryArgs, output: Output) -> anyhow::Result<()> {
    let wallet = args.reading.wallet()?;
    if args.csv {
        ensure!(!output.json, "either --csv or --json");
        return output.line(&Value::Null, wallet.history_csv().trim_end());
    }
    let entries = wallet.history();
    let mut rows =
        vec![["height", "MASS", "fee", "kind", "transaction", "label"].map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|entry| row(&wallet, entry)));
    let text = if entries.is_empty() { "no transactions".to_owned() } else { table(&rows) };
    output.result(&entries.iter().map(|entry| describe(&wallet, entry)).collect(), &text)
}

fn label(wallet: &Wallet, entry: &Entry) -> Option<String> {
    wallet.label("tx", &entry.txid.to_string()).map(str::to_owned)
}

fn row(wallet: &Wallet, entry: &Entry) -> Vec<String> {
    let sign = if entry.net < 0 { '-' } else { '+' };
    vec![
        entry.height.map_or_else(|| "waits".to_owned(), |height| height.to_string()),
        format!("{sign}{}", format_mass(Amount::new(entry.net.unsigned_abs()))),
        entry.fee.map(format_mass).unwrap_or_default(),
        entry.kind().to_owned(),
        entry.txid.to_string(),
        label(wallet, entry).unwrap_or_default(),
    ]
}

fn describe(wallet: &Wallet, entry: &Entry) -> Value {
    json!({
        "txid": entry.txid.to_string(),
        "kind": entry.kind(),
        "net_maxwell": entry.net,
        "fee_maxwell": entry.fee,
        "height": entry.height,
        "time": entry.time,
        "label": label(wallet, entry),
    })
}

/// A bar for a sync that takes long, where a person watches, and lines where none does.
#[derive(Default)]
struct SyncBar(Option<ProgressBar>);

impl SyncBar {
    fn show(&mut self, Progress { height, target }: Progress) {
        let (height, target) = (height.get(), target.get());
        if self.0.is_none() {
            if target - height < LONG_SYNC_BLOCKS {
                return;
            }
            let bar = ProgressBar::new(target.into()).with_position(height.into());
            let template = "[{elapsed_precise}] {wide_bar} block {pos} of {len}, {per_sec}, {eta} to go";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            bar.reset_eta();
            self.0 = Some(bar);
        }
        let Some(bar) = &self.0 else { return };
        if bar.is_hidden() && height.is_multiple_of(LINE_BLOCKS) {
            note(&format!("block {height} of {target}"));
        }
        bar.set_length(target.into());
        bar.set_position(height.into());
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
