//! One client: its requests in turn, its subscriptions, and when it is dropped.
//!
//! A client's requests are answered one after the other, so it never has more than one in work; what it sends meanwhile
//! waits in its socket. A client that does not take its answers, or says nothing for long, is dropped.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::broadcast::{Receiver, error::RecvError},
};

use super::{
    methods,
    request::{Line, Params, Refusal, Request, Version, answer, notification},
    wire::{self, Patience},
};
use crate::utxo::view::{Change, ScriptHash, View, Watcher};

/// Bytes of an answer at the most.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Scripts that one client may watch.
const SUBSCRIPTIONS_MAX: usize = 20_000;

/// What all clients share.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) view: View,
    pub(super) watcher: Arc<Watcher>,
}

/// A client.
pub(super) struct Session {
    server: Server,
    version: Option<Version>,
    /// Set if no common version was found: the refusal is the last that the client hears.
    ending: bool,
    /// Whether the client wants to hear of tips.
    headers: bool,
    /// The scripts that the client watches, with the status that it knows.
    scripts: HashMap<ScriptHash, Value>,
}

/// Why a client is dropped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Dropped {
    #[error("it speaks no common version of the protocol")]
    Version,
    #[error("it does not take its answers")]
    Slow,
    #[error("it said nothing for long")]
    Silent,
    #[error("it does not end its line")]
    Unended,
    #[error("its line is bad: {0}")]
    Line(#[from] tokio_util::codec::LinesCodecError),
    #[error("the node stops")]
    Stopping,
}

type Wire = wire::Wire<TcpStream>;

impl Session {
    pub(super) fn new(server: Server) -> Self {
        Self { server, version: None, ending: false, headers: false, scripts: HashMap::new() }
    }

    /// Serves the client until it goes or is dropped.
    pub(super) async fn run(mut self, stream: TcpStream) -> Result<(), Dropped> {
        let mut wire = Wire::new(stream, Patience::default());
        let mut changes = self.server.view.subscribe();
        loop {
            let line = tokio::select! {
                line = wire.next() => line?,
                change = next(&mut changes) => {
                    self.tell(&mut wire, change.ok_or(Dropped::Stopping)?).await?;
                    continue;
                }
            };
            let Some(line) = line else { return Ok(()) };
            if line.trim().is_empty() {
                continue;
            }
            if let Some(text) = self.answer(&line).await? {
                wire.send(text).await?;
            }
            if self.ending {
                return Err(Dropped::Version);
            }
        }
    }

    /// The answer to a line, if it wants one.
    async fn answer(&mut self, line: &str) -> Result<Option<String>, Dropped> {
        match Line::parse(line) {
            Line::One(request) => {
                let value = self.one(request).await?;
                Ok(value.as_ref().map(bounded))
            }
            Line::Batch(requests) => {
                let mut answers = Vec::new();
                for request in requests {
                    answers.extend(self.one(request).await?);
                }
                Ok((!answers.is_empty()).then(|| bounded(&Value::Array(answers))))
            }
        }
    }

    async fn one(&mut self, request: Result<Request, (Value, Refusal)>) -> Result<Option<Value>, Dropped> {
        let request = match request {
            Ok(request) => request,
            Err((id, refusal)) => return Ok(Some(answer(&id, Err(refusal)))),
        };
        let result = self.call(&request.method, request.params).await?;
        Ok(request.id.map(|id| answer(&id, result)))
    }

    async fn call(&mut self, method: &str, params: Params) -> Result<Result<Value, Refusal>, Dropped> {
        let view = &self.server.view;
        Ok(match method {
            "server.version" => self.greet(&params),
            "server.ping" => Ok(Value::Null),
            "server.banner" => Ok(methods::banner(view)),
            "server.features" => Ok(methods::features(view)),
            "server.donation_address" => Ok(json!("")),
            "server.peers.subscribe" => Ok(json!([])),
            "server.add_peer" => Ok(json!(false)),
            "blockchain.transaction.broadcast" => self.broadcast(&params).await,
            "blockchain.headers.subscribe" => {
                self.headers = true;
                self.read(|view| methods::tip(&view.chain())).await?
            }
            "blockchain.scripthash.subscribe" => self.watch(&params).await?,
            "blockchain.scripthash.unsubscribe" => {
                params.script_hash().map(|script| json!(self.scripts.remove(&script).is_some()))
            }
            _ => {
                let name = method.to_owned();
                let read = self.read(move |view| methods::call(view, &name, &params)).await?;
                read.unwrap_or_else(|| Err(Refusal::method(method)))
            }
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> T + Send + 'static,
    ) -> Result<T, Dropped> {
        self.server.view.read(read).await.ok_or(Dropped::Stopping)
    }

    fn greet(&mut self, params: &Params) -> Result<Value, Refusal> {
        // A client may ask again, to see whether the server still lives; what was agreed on stays.
        let version = match self.version {
            Some(version) => version,
            None => Version::negotiate(params).inspect_err(|_| self.ending = true)?,
        };
        self.version = Some(version);
        Ok(methods::version(version))
    }

    async fn broadcast(&self, params: &Params) -> Result<Value, Refusal> {
        let tx = params.transaction()?;
        let offered = self.server.watcher.offer(&tx).await;
        offered.map(|txid| json!(txid)).map_err(|error| {
            let why = format!("the transaction was rejected by network rules.\n\n{}", error.message());
            Refusal::bad(why)
        })
    }

    async fn watch(&mut self, params: &Params) -> Result<Result<Value, Refusal>, Dropped> {
        let script = match params.script_hash() {
            Ok(script) => script,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.scripts.len() >= SUBSCRIPTIONS_MAX && !self.scripts.contains_key(&script) {
            return Ok(Err(Refusal::excessive(format!("a client may watch {SUBSCRIPTIONS_MAX} scripts"))));
        }
        let status = self.read(move |view| methods::script_status(view, &script)).await?;
        if let Ok(status) = &status {
            self.scripts.insert(script, status.clone());
        }
        Ok(status)
    }

    /// Tells the client of what it wants to hear.
    async fn tell(&mut self, wire: &mut Wire, change: Change) -> Result<(), Dropped> {
        if self.headers
            && change.tip
            && let Ok(tip) = self.read(|view| methods::tip(&view.chain())).await?
        {
            wire.send(notification("blockchain.headers.subscribe", &json!([tip])).to_string()).await?;
        }
        let concerns =
            |script: &ScriptHash| change.scripts.as_ref().is_none_or(|scripts| scripts.contains(script));
        let due: HashSet<ScriptHash> = self.scripts.keys().copied().filter(concerns).collect();
        for script in due {
            let Ok(status) = self.read(move |view| methods::script_status(view, &script)).await? else {
                continue;
            };
            if self.scripts.get(&script).is_some_and(|known| *known != status) {
                let params = json!([script.to_reversed_hex(), status]);
                self.scripts.insert(script, status);
                wire.send(notification("blockchain.scripthash.subscribe", &params).to_string()).await?;
            }
        }
        Ok(())
    }
}

/// The next change; after some were missed, one that may be anything. `None` if there will be no more.
async fn next(changes: &mut Receiver<Change>) -> Option<Change> {
    match changes.recv().await {
        Ok(change) => Some(change),
        Err(RecvError::Lagged(_)) => Some(Change { tip: true, scripts: None }),
        Err(RecvError::Closed) => None,
    }
}

/// An answer as a line, or that it is too long.
fn bounded(value: &Value) -> String {
    let text = mass_rpc::decimals::text(value);
    if text.len() <= ANSWER_BYTES_MAX {
        return text;
    }
    let id = value.get("id").cloned().unwrap_or(Value::Null);
    answer(&id, Err(Refusal::excessive(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"))))
        .to_string()
}
