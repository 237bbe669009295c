//! One WebSocket: JSON-RPC 2.0 in, answers and news out.
//!
//! Calls run beside each other, so many at the most; while all places are taken nothing more is read. Who does not read
//! what is sent is dropped: the page connects again and asks for what it shows.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::{SinkExt as _, StreamExt as _, stream::SplitSink};
use mass_rpc::{ErrorObjectOwned, errors};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use tokio::{
    sync::{Semaphore, broadcast, mpsc},
    task::JoinSet,
};

use crate::{
    allow::{Right, right},
    backend::{Answered, Kind},
    server::Shared,
    watch::{News, Topic},
};

/// Calls of one session at one time at the most.
const CALLS_MAX: usize = 16;
/// How long sending one message may take before the reader is dropped.
const SEND_MAX: Duration = Duration::from_secs(10);
/// How often the connection is tried, so that one that is gone is found out.
const PING_EVERY: Duration = Duration::from_secs(20);

/// The code of a call that wants the token, and has none or a wrong one.
const TOKEN_NEEDED: i32 = -32001;
/// The code of a method that the page may not call.
const NOT_ALLOWED: i32 = -32002;
/// The code of an address at which there is nobody.
const NOBODY: i32 = -32003;

#[derive(Deserialize)]
struct Request {
    jsonrpc: String,
    #[serde(default)]
    id: Value,
    method: String,
    #[serde(default)]
    params: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    to: String,
    method: String,
    #[serde(default)]
    params: Option<Box<RawValue>>,
    /// The wallet of a chain that it is about, if several are loaded.
    #[serde(default)]
    wallet: Option<String>,
    #[serde(default)]
    token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    #[serde(default)]
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    topics: BTreeSet<Topic>,
    #[serde(default)]
    token: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    jsonrpc: &'static str,
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObjectOwned>,
}

/// Serves a page until it goes, or is too slow.
pub(crate) async fn run(socket: WebSocket, shared: Arc<Shared>) {
    let (out, mut inbox) = socket.split();
    let (answers, waiting) = mpsc::channel(CALLS_MAX);
    let mut session =
        Session { shared, answers, calls: JoinSet::new(), places: Arc::new(Semaphore::new(CALLS_MAX)) };
    let (subscribe, subscribed) = mpsc::channel(1);
    let news = session.shared.watch.subscribe();
    let reading = async {
        while let Some(Ok(message)) = inbox.next().await {
            match message {
                Message::Text(text) => session.take(&text, &subscribe).await,
                Message::Binary(_) | Message::Close(_) => break,
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    };
    // Whichever ends first ends the other, and the calls that run.
    tokio::select! {
        () = reading => {}
        () = write(out, waiting, subscribed, news) => {}
    }
}

struct Session {
    shared: Arc<Shared>,
    answers: mpsc::Sender<String>,
    calls: JoinSet<()>,
    places: Arc<Semaphore>,
}

impl Session {
    async fn take(&mut self, text: &str, subscribe: &mpsc::Sender<BTreeSet<Topic>>) {
        while self.calls.try_join_next().is_some() {}
        let request: Request = match serde_json::from_str(text) {
            Ok(request) => request,
            Err(error) => {
                let error = errors::parse(format!("this is no request: {error}"));
                return self.reply(Value::Null, Err(error)).await;
            }
        };
        if request.jsonrpc != "2.0"
            || !matches!(request.id, Value::Null | Value::Number(_) | Value::String(_))
        {
            let error = errors::invalid_request("this is no request of JSON-RPC 2.0");
            return self.reply(Value::Null, Err(error)).await;
        }
        let params = request.params.as_deref();
        match request.method.as_str() {
            "page_info" => {
                let info =
                    read::<Option<Info>>(params).and_then(|info| self.shared.info(&info.unwrap_or_default()));
                self.reply(request.id, info.and_then(|info| raw(&info))).await;
            }
            "page_subscribe" => {
                let topics = read::<Subscribe>(params).and_then(|wanted| self.shared.admit(wanted));
                if let Ok(topics) = &topics {
                    let _ = subscribe.send(topics.clone()).await;
                }
                self.reply(request.id, topics.and_then(|topics| raw(&json!({ "topics": topics })))).await;
            }
            "page_call" => match read::<Call>(params) {
                Ok(call) => self.begin(request.id, call).await,
                Err(error) => self.reply(request.id, Err(error)).await,
            },
            _ => {
                let methods = "page_info, page_call and page_subscribe";
                self.reply(request.id, Err(errors::no_method(format!("the methods are {methods}")))).await;
            }
        }
    }

    /// Runs a call beside the others; waits for a place first.
    async fn begin(&mut self, id: Value, call: Call) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        let (shared, answers) = (Arc::clone(&self.shared), self.answers.clone());
        self.calls.spawn(async move {
            let answered = shared.call(&call).await;
            let _ = answers.send(text_of(id, answered)).await;
            drop(place);
        });
    }

    async fn reply(&self, id: Value, answered: Answered) {
        let _ = self.answers.send(text_of(id, answered)).await;
    }
}

impl Shared {
    /// Whether wallets and what changes something can be had at all: only where nobody else can listen in.
    fn is_private(&self) -> bool {
        self.local.ip().is_loopback()
    }

    fn knows(&self, token: Option<&str>) -> bool {
        token.is_some_and(|token| self.token.is(token))
    }

    /// Whether the token is given, if it has to be: on other machines' wires it is wanted for everything.
    fn check(&self, right: Right, token: Option<&str>) -> Result<(), ErrorObjectOwned> {
        if right == Right::Change && !self.is_private() {
            let reason = "wallets, and what changes something, are there only where the page listens on this machine alone";
            return Err(error(NOT_ALLOWED, reason));
        }
        if (right == Right::Change || !self.is_private()) && !self.knows(token) {
            return Err(error(
                TOKEN_NEEDED,
                "this wants the token that stands in the address printed at the start",
            ));
        }
        Ok(())
    }

    fn info(&self, info: &Info) -> Result<Value, ErrorObjectOwned> {
        self.check(Right::Read, info.token.as_deref())?;
        let chains = self.sources.chains.iter().map(|chain| {
            json!({ "name": chain.name, "chain_id": chain.chain_id, "ticker": chain.ticker, "decimals": chain.decimals,
                "slot_seconds": chain.slot_seconds, "has_ledger": true,
                "has_wallet": chain.wallet.is_some() && self.is_private() })
        });
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "chains": chains.collect::<Value>(),
            "farm": self.sources.farm.is_some(),
            "changes": self.is_private(),
            "token": self.knows(info.token.as_deref()),
        }))
    }

    fn admit(&self, wanted: Subscribe) -> Result<BTreeSet<Topic>, ErrorObjectOwned> {
        self.check(Right::Read, wanted.token.as_deref())?;
        Ok(wanted.topics)
    }

    async fn call(&self, call: &Call) -> Answered {
        let Some((kind, backend)) = self.sources.find(&call.to) else {
            return Err(error(NOBODY, "there is nobody of that name: see page_info"));
        };
        let Some(right) = right(kind, &call.method) else {
            return Err(error(NOT_ALLOWED, "the page may not call this method: see docs/page-api.md"));
        };
        self.check(right, call.token.as_deref())?;
        let wallet = call.wallet.as_deref().filter(|_| kind == Kind::Wallet);
        backend.call(&call.method, call.params.as_deref(), wallet).await
    }
}

/// Sends answers, and the news that was subscribed to. Ends when the reader is gone or too slow.
async fn write(
    mut out: SplitSink<WebSocket, Message>,
    mut answers: mpsc::Receiver<String>,
    mut subscribed: mpsc::Receiver<BTreeSet<Topic>>,
    mut news: broadcast::Receiver<Arc<News>>,
) {
    let mut topics = BTreeSet::new();
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        let message = tokio::select! {
            biased;
            Some(wanted) = subscribed.recv() => {
                topics = wanted;
                continue;
            }
            Some(answer) = answers.recv() => Message::Text(answer.into()),
            news = news.recv() => match news {
                Ok(news) if topics.contains(&news.topic) => Message::Text(news.text.clone().into()),
                Ok(_) => continue,
                Err(broadcast::error::RecvError::Lagged(_)) => too_slow(),
                Err(broadcast::error::RecvError::Closed) => return,
            },
            _ = ping.tick() => Message::Ping(Vec::new().into()),
        };
        let is_last = matches!(message, Message::Close(_));
        match tokio::time::timeout(SEND_MAX, out.send(message)).await {
            Ok(Ok(())) if !is_last => {}
            _ => return,
        }
    }
}

fn too_slow() -> Message {
    Message::Close(Some(CloseFrame { code: close_code::POLICY, reason: "the page reads too slowly".into() }))
}

fn error(code: i32, reason: &'static str) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, reason, None::<()>)
}

fn read<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, ErrorObjectOwned> {
    let text = params.map_or("null", RawValue::get);
    serde_json::from_str(text).map_err(|error| errors::invalid_params(error.to_string()))
}

fn raw(value: &Value) -> Answered {
    serde_json::value::to_raw_value(value).map_err(|error| errors::misc(error.to_string()))
}

fn text_of(id: Value, answered: Answered) -> String {
    let (result, error) = match answered {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    let answer = Answer { jsonrpc: "2.0", id, result, error };
    serde_json::to_string(&answer).expect("an answer has no keys that are no texts")
}
