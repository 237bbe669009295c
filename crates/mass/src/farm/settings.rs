//! The file of settings, chains and webhooks, read at the start and whenever it changes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use mass_consensus::spec::ChainSpec;
use mass_farmer::ChainConfig;
use mass_ledger_utxo::{LedgerParams, UtxoLedger, address};
use mass_node::NodeLedger as _;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::webhook::{Url, Webhooks};
use crate::{chain, node::usual_url, output::note};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    webhook: Hooks,
    chain: Vec<Entry>,
}

/// One URL, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Hooks {
    One(String),
    Several(Vec<String>),
}

impl Default for Hooks {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

/// What to farm, and whom to tell.
#[derive(Default)]
pub struct Settings {
    pub chains: Vec<ChainConfig>,
    pub webhooks: BTreeSet<Url>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    chain: String,
    payout: String,
    node: Option<String>,
    #[serde(default)]
    priority: i32,
    #[serde(default = "yes")]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

/// Reads a file.
pub fn read(file: &Path) -> anyhow::Result<Settings> {
    let named = || file.display().to_string();
    parse(&fs::read_to_string(file).with_context(named)?).with_context(named)
}

fn parse(text: &str) -> anyhow::Result<Settings> {
    let file: File = toml::from_str(text).map_err(|error| without_text(text, &error))?;
    let webhooks = match file.webhook {
        Hooks::One(url) => Url::parse_all(&[url])?,
        Hooks::Several(urls) => Url::parse_all(&urls)?,
    };
    let configs = file.chain.into_iter().map(|entry| {
        let spec = chain::load(&entry.chain)?;
        let node = entry.node.unwrap_or_else(|| usual_url(&spec));
        let Entry { payout, priority, enabled, .. } = entry;
        Ok(ChainConfig { spec, node, payout, priority, enabled })
    });
    let configs = configs.collect::<anyhow::Result<Vec<_>>>()?;
    check(&configs)?;
    Ok(Settings { chains: configs, webhooks })
}

/// An error without the line that it is about, as the parser would show it: a URL in it is a secret.
fn without_text(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let start = error.span().map_or(0, |span| span.start);
    let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
    anyhow!("line {line}: {}", error.message())
}

/// Checks that addresses are of their chains, and that chains that share a beacon take the same plots.
pub fn check(configs: &[ChainConfig]) -> anyhow::Result<()> {
    let known: Vec<ChainSpec> = configs.iter().map(|config| config.spec.clone()).collect();
    for ChainConfig { spec, payout, .. } in configs {
        let name = &spec.rules().name;
        check_payout(spec, payout).with_context(|| format!("payout of chain {name}"))?;
        if spec.inherits_beacon() {
            let parent = chain::by_id(spec.beacon_id(), &known);
            let parent = parent.ok_or_else(|| {
                anyhow!(
                    "chain {name} inherits a beacon: name the spec of its parent too, if need be not enabled"
                )
            })?;
            spec.check_beacon(&parent).with_context(|| format!("chain {name}"))?;
        }
    }
    Ok(())
}

/// Checks an address of a ledger that we know; what it looks like on another one, the chain's node knows.
fn check_payout(spec: &ChainSpec, payout: &str) -> anyhow::Result<()> {
    let ledger = &spec.rules().ledger;
    if ledger.kind == UtxoLedger::KIND {
        let params = LedgerParams::from_json(ledger.params.clone())?;
        address::decode(&params.address_prefix, payout)?;
    }
    anyhow::ensure!(!payout.is_empty(), "it is empty");
    Ok(())
}

/// Passes on the settings of the file whenever it has changed and is sound. Ends with the farm.
pub async fn watch(file: PathBuf, changes: mpsc::Sender<Vec<ChainConfig>>, webhooks: Arc<Webhooks>) {
    let mut seen = fs::read_to_string(&file).ok();
    while !changes.is_closed() {
        tokio::time::sleep(LOOK).await;
        let now = fs::read_to_string(&file).ok();
        if now == seen {
            continue;
        }
        match now.as_deref().map(parse) {
            Some(Ok(settings)) => {
                webhooks.set(&settings.webhooks);
                drop(changes.send(settings.chains).await);
            }
            Some(Err(error)) => note(&format!("{}: {error:#}; farming as before", file.display())),
            None => note(&format!("{} cannot be read; farming as before", file.display())),
        }
        seen = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYOUT: &str = "dms1qmw78m49ss7u4df4f3u7s6w6q8n02h6mkfn3z97";

    fn refused(text: &str, reason: &str) {
        let error = format!("{:#}", parse(text).err().unwrap());
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn a_file_names_chains_with_their_settings() {
        let text = format!(
            "[[chain]]\nchain = \"dev\"\npayout = \"{PAYOUT}\"\n\
             [[chain]]\nchain = \"dev2\"\npayout = \"dms21qmw78m49ss7u4df4f3u7s6w6q8n02h6mkprrh50\"\n\
             node = \"http://127.0.0.1:1\"\npriority = 3\nenabled = false\n"
        );
        let chains = parse(&text).unwrap().chains;
        assert_eq!(chains.len(), 2);
        assert_eq!((chains[0].node.as_str(), chains[0].enabled), ("http://127.0.0.1:29331", true));
        assert_eq!((chains[1].priority, chains[1].enabled), (3, false));
        assert_eq!(chains[1].spec.beacon_id(), chains[0].spec.id());
    }

    #[test]
    fn a_file_names_webhooks_and_no_error_shows_them() {
        let chain = format!("[[chain]]\nchain = \"dev\"\npayout = \"{PAYOUT}\"\n");
        let count = |hooks: &str| parse(&format!("webhook = {hooks}\n{chain}")).unwrap().webhooks.len();
        assert_eq!(
            (count("\"https://a.example/x\""), count("[\"http://a.example\", \"http://b.example\"]")),
            (1, 2)
        );
        for hooks in
            ["\"gopher://secret\"", "[7, \"https://secret\"]", "\"https://secret", "https://secret", "true"]
        {
            let error = format!("{:#}", parse(&format!("webhook = {hooks}\n{chain}")).err().unwrap());
            assert!(!error.contains("secret"), "{error}");
            assert!(error.contains("line 1") || error.contains("webhook 1"), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        refused("", "missing field `chain`");
        refused("[[chain]]\nchain = \"none\"\npayout = \"x\"", "unknown chain");
        refused("[[chain]]\nchain = \"dev\"", "payout");
        refused(&format!("[[chain]]\nchain = \"dev2\"\npayout = \"{PAYOUT}\""), "payout of chain dev2");
        refused(&format!("[[chain]]\nchain = \"dev\"\npayout = \"{PAYOUT}\"\nfast = 1"), "fast");
    }
}
