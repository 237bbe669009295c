//! News for pages: nodes and farm are asked twice a second while a page looks, and what has changed is told.
//!
//! Asking works alike for what runs in this process and for what runs in another, and bounds what a busy node costs.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{sync::broadcast, time::MissedTickBehavior};

use crate::backend::{Backend, ChainSource, Sources};

/// How often is asked.
const LOOK: Duration = Duration::from_millis(500);
/// News that waits for a slow page at the most, which is then dropped.
const WAITING_MAX: usize = 64;
/// Blocks that a reorganisation left, of which is told at the most.
const LEFT_MAX: usize = 100;
/// Rounds that are looked at: those that may still change, of all beacons.
const ROUNDS: u32 = 16;

/// What news is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Topic {
    /// A chain has another best block.
    Tip,
    /// The pool of a node is another.
    Pool,
    /// The farm is not as it was.
    Farm,
    /// A round was answered or missed.
    Round,
    /// Plots are being made.
    Plots,
    /// A node has other peers.
    Peers,
}

/// A notification, ready to be sent.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) topic: Topic,
    pub(crate) text: String,
}

/// Where news can be had.
pub(crate) struct Watch(broadcast::Sender<Arc<News>>);

impl Watch {
    /// A watch over all sources, and the work that it is.
    pub(crate) fn new(sources: Arc<Sources>) -> (Self, impl Future<Output = ()>) {
        let (tell, _) = broadcast::channel(WAITING_MAX);
        (Self(tell.clone()), watch(sources, tell))
    }

    /// All news from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<News>> {
        self.0.subscribe()
    }
}

async fn watch(sources: Arc<Sources>, tell: broadcast::Sender<Arc<News>>) {
    let chains = sources.chains.iter().map(|chain| watch_chain(chain, &tell));
    let farm = async {
        if let Some(farm) = &sources.farm {
            watch_farm(farm, &tell).await;
        }
    };
    futures::future::join(futures::future::join_all(chains), farm).await;
}

/// Waits for the next look; without anybody who would be told, for ever longer.
async fn next_look(clock: &mut tokio::time::Interval, tell: &broadcast::Sender<Arc<News>>) {
    clock.tick().await;
    while tell.receiver_count() == 0 {
        clock.tick().await;
    }
}

fn clock() -> tokio::time::Interval {
    let mut clock = tokio::time::interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

fn send(tell: &broadcast::Sender<Arc<News>>, topic: Topic, chain: Option<&str>, data: &Value) {
    let mut params = json!({ "topic": topic, "data": data });
    if let Some(chain) = chain {
        params["chain"] = json!(chain);
    }
    let text = json!({ "jsonrpc": "2.0", "method": "page_event", "params": params }).to_string();
    // Nobody may look.
    let _ = tell.send(Arc::new(News { topic, text }));
}

/// A value that is told of when it is another than before.
#[derive(Default)]
struct Last(Option<Value>);

impl Last {
    /// Whether `value` is news; the first is none, for the page asks for itself what there is.
    fn changes_to(&mut self, value: &Value) -> bool {
        let is_news = self.0.as_ref().is_some_and(|last| last != value);
        if self.0.as_ref() != Some(value) {
            self.0 = Some(value.clone());
        }
        is_news
    }
}

async fn watch_chain(chain: &ChainSource, tell: &broadcast::Sender<Arc<News>>) {
    let (mut clock, mut tip, mut pool, mut peers) = (clock(), Value::Null, Last::default(), Last::default());
    let (node, name) = (&chain.node, Some(chain.name.as_str()));
    loop {
        next_look(&mut clock, tell).await;
        let Ok(status) = node.ask("mass_status", &json!([])).await else { continue };
        if tip != status["tip"] {
            if !tip.is_null() {
                let left = left(node, &tip).await;
                send(tell, Topic::Tip, name, &json!({ "status": status, "left": left }));
            }
            tip = status["tip"].clone();
        }
        if let Ok(info) = node.ask("getmempoolinfo", &json!([])).await
            && pool.changes_to(&info)
        {
            send(tell, Topic::Pool, name, &info);
        }
        if let Ok(connected) = node.ask("getpeerinfo", &json!([])).await {
            let who = connected.as_array().into_iter().flatten().map(|peer| peer["peerid"].clone());
            if peers.changes_to(&who.collect()) {
                send(tell, Topic::Peers, name, &connected);
            }
        }
    }
}

/// The blocks from `tip` down that are on the best chain no more, the highest first.
async fn left(node: &Backend, tip: &Value) -> Vec<Value> {
    let (mut left, mut id) = (Vec::new(), tip.clone());
    while left.len() < LEFT_MAX {
        let Ok(header) = node.ask("getblockheader", &json!([id])).await else { break };
        if header["confirmations"].as_i64().is_none_or(|confirmations| confirmations >= 0) {
            break;
        }
        left.push(json!({ "hash": id, "height": header["height"] }));
        id = header["previousblockhash"].clone();
    }
    left
}

async fn watch_farm(farm: &Backend, tell: &broadcast::Sender<Arc<News>>) {
    let (mut clock, mut last, mut plots) = (clock(), Last::default(), Last::default());
    let mut told: Option<Vec<Value>> = None;
    loop {
        next_look(&mut clock, tell).await;
        if let Ok(plotting) = farm.ask("mass_farmPlotting", &json!([])).await
            && plots.changes_to(&plotting)
        {
            send(tell, Topic::Plots, None, &plotting);
        }
        if let Ok(answer) = farm.ask("mass_farmRounds", &json!([ROUNDS])).await {
            let rounds = answer["rounds"].as_array().cloned().unwrap_or_default();
            if let Some(told) = &told {
                let news = rounds.iter().filter(|round| !told.contains(round));
                news.for_each(|round| send(tell, Topic::Round, None, round));
            }
            told = Some(rounds);
        }
        if let Ok(status) = farm.ask("mass_farmStatus", &json!([])).await
            && last.changes_to(&status)
        {
            send(tell, Topic::Farm, None, &status);
        }
    }
}
