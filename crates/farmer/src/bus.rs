//! The message bus of a cluster: NATS, with JetStream for what must outlive its senders.
//!
//! Subjects are `mass.CLUSTER.…`, and one key-value bucket, `mass-CLUSTER`, holds what all parts agree on. Who may
//! connect to the bus is a part of the cluster: the bus has its own passwords, keys and TLS for that.

use std::{path::PathBuf, time::Duration};

use async_nats::{
    Client, ConnectOptions, Event,
    jetstream::{self, kv, stream},
};
use rand_core::{OsRng, RngCore as _};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;

/// How often the server is asked whether it is there: a connection that died unnoticed is found so.
const PING: Duration = Duration::from_secs(2);
/// How long the server may take to take a value in.
const ANSWER: Duration = Duration::from_secs(2);
/// The longest pause before it is tried again to connect.
const PAUSE_MAX: Duration = Duration::from_secs(2);
const NAME_CHARS_MAX: usize = 32;

/// Which bus, and which cluster on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusConfig {
    /// `nats://HOST:PORT`, or `tls://`; several, parted by commas, of a bus of several servers.
    pub url: String,
    /// A file of NATS credentials.
    pub credentials: Option<PathBuf>,
    /// The cluster's name.
    pub cluster: String,
    /// On how many servers of the bus everything is kept: 1, 3 or 5.
    pub replicas: usize,
}

/// What goes wrong with a bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The name is no name.
    #[error("{0:?} is no name for a cluster: 1 to 32 letters, digits, dashes and underscores")]
    Name(String),
    /// The credentials cannot be read.
    #[error("{}: {error}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The server cannot be reached, or refuses.
    #[error("the bus at {url}: {error}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        error: String,
    },
    /// The bus does not do what it is asked.
    #[error("the bus: {0}")]
    Refused(String),
    /// What stands there is of something else.
    #[error("{key} on the bus is not what it should be: {error}")]
    Value {
        /// Where.
        key: String,
        /// Why.
        error: serde_json::Error,
    },
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
pub(crate) fn refused(error: impl ToString) -> BusError {
    BusError::Refused(error.to_string())
}

/// A name that nobody else has.
pub(crate) fn random_name() -> String {
    let mut name = [0; 16];
    OsRng.fill_bytes(&mut name);
    hex::encode(name)
}

/// A value, and the revision by which it may be replaced.
pub(crate) struct Held<T> {
    pub value: T,
    pub revision: u64,
}

/// A connection to a bus, which mends itself.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    cluster: String,
    pub(crate) replicas: usize,
    /// Counts how often the connection has come about and broken; odd while it is there.
    changes: watch::Receiver<u64>,
}

impl Bus {
    /// Connects. A server that is not there yet is waited for in the background.
    ///
    /// # Errors
    /// [`BusError`]: what no waiting mends.
    pub async fn connect(config: &BusConfig) -> Result<Self, BusError> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let name = &config.cluster;
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_good) {
            return Err(BusError::Name(name.chars().take(NAME_CHARS_MAX).collect()));
        }
        let mut options = ConnectOptions::new();
        if let Some(path) = &config.credentials {
            let credentials = std::fs::read_to_string(path).and_then(|text| options.credentials(&text));
            options = credentials.map_err(|error| BusError::Credentials { path: path.clone(), error })?;
        }
        let (tell, changes) = watch::channel(0);
        let options = options
            .name("mass")
            .retry_on_initial_connect()
            .ping_interval(PING)
            .reconnect_delay_callback(|attempts| PAUSE_MAX.min(Duration::from_millis(50 << attempts.min(6))))
            .event_callback(move |event| {
                tell.send_if_modified(|changes| {
                    let is_news = match event {
                        Event::Connected => *changes % 2 == 0,
                        Event::Disconnected => *changes % 2 == 1,
                        _ => false,
                    };
                    *changes += u64::from(is_news);
                    is_news
                });
                std::future::ready(())
            });
        let servers: Vec<&str> = config.url.split(',').collect();
        let url = config.url.rsplit('@').next().unwrap_or_default().to_owned();
        let client = options.connect(servers).await;
        let client = client.map_err(|error| BusError::Connect { url, error: error.to_string() })?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(ANSWER);
        Ok(Self { client, jetstream, cluster: name.clone(), replicas: config.replicas, changes })
    }

    /// A subject of the cluster.
    pub(crate) fn subject(&self, rest: &str) -> String {
        format!("mass.{}.{rest}", self.cluster)
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// How often the connection has changed; odd while it is there.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// The bucket of what all agree on; made if there is none.
    pub(crate) async fn store(&self) -> Result<Store, BusError> {
        let bucket = format!("mass-{}", self.cluster);
        let store = match self.jetstream.get_key_value(&bucket).await {
            Ok(store) => store,
            Err(_) => {
                self.jetstream.create_stream(stream_of(&bucket, self.replicas)).await.map_err(refused)?;
                self.jetstream.get_key_value(&bucket).await.map_err(refused)?
            }
        };
        Ok(Store(store))
    }
}

/// The stream behind a bucket, as NATS' ADR-8 has it. The client's own way to make one asks the server first for what
/// servers before 2.10 do not tell.
fn stream_of(bucket: &str, num_replicas: usize) -> stream::Config {
    stream::Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        discard: stream::DiscardPolicy::New,
        max_messages_per_subject: 1,
        storage: stream::StorageType::File,
        num_replicas,
        allow_direct: true,
        allow_rollup: true,
        deny_delete: true,
        ..stream::Config::default()
    }
}

/// Values in JSON, replaced only by who knows their revision.
#[derive(Clone)]
pub(crate) struct Store(kv::Store);

impl Store {
    /// What stands at a key.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Held<T>>, BusError> {
        let entry = self.0.entry(key).await.map_err(refused)?;
        let Some(entry) = entry.filter(|entry| entry.operation == kv::Operation::Put) else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&entry.value);
        let value = value.map_err(|error| BusError::Value { key: key.to_owned(), error })?;
        Ok(Some(Held { value, revision: entry.revision }))
    }

    /// Sets a key that nobody has set, or that has this revision; the new revision, or nothing if somebody was faster.
    pub async fn set<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        revision: Option<u64>,
    ) -> Result<Option<u64>, BusError> {
        let bytes =
            serde_json::to_vec(value).map_err(|error| BusError::Value { key: key.to_owned(), error })?;
        match revision {
            Some(revision) => match self.0.update(key, bytes.into(), revision).await {
                Ok(revision) => Ok(Some(revision)),
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(None),
                Err(error) => Err(refused(error)),
            },
            None => match self.0.create(key, bytes.into()).await {
                Ok(revision) => Ok(Some(revision)),
                Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(refused(error)),
            },
        }
    }

    /// All keys that start so.
    pub async fn keys(&self, start: &str) -> Result<Vec<String>, BusError> {
        use futures::TryStreamExt as _;
        let keys = self.0.keys().await.map_err(refused)?;
        let keys: Vec<String> = keys.try_collect().await.map_err(refused)?;
        Ok(keys.into_iter().filter(|key| key.starts_with(start)).collect())
    }
}
