//! Webhooks: a POST of JSON to each receiver for whatever begins, ends or is won.
//!
//! Each receiver has a thread and a bounded queue, so that one that is slow or dead delays neither the farm nor the
//! others. A URL is a secret in itself, as those of Slack and Discord are: people are told its host alone.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use mass_farmer::{FarmEvent, Totals};
use serde_json::{Value, json};
use ureq::{Agent, http::Uri};

use super::describe;
use crate::output::note;

/// Messages that wait for one receiver at the most.
const QUEUE_MAX: usize = 100;
/// Receivers at the most.
const RECEIVERS_MAX: usize = 16;
/// Bytes of a URL at the most.
const URL_BYTES_MAX: usize = 2_048;
/// Characters of a line for people at the most: Discord takes 2,000.
const TEXT_CHARS_MAX: usize = 1_900;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long messages may still be delivered when the farm ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// When a message is tried again.
#[derive(Clone, Copy, Debug)]
struct Retries {
    /// The first wait; each next one is twice as long.
    first: Duration,
    longest: Duration,
    /// Attempts at the most.
    attempts: u32,
}

/// The last attempt is about 20 minutes after the first.
const RETRIES: Retries =
    Retries { first: Duration::from_secs(1), longest: Duration::from_secs(300), attempts: 12 };

/// The URL of a receiver, which is shown to nobody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url(String);

impl Url {
    /// Reads a URL. The error does not show it.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        ensure!(text.len() <= URL_BYTES_MAX, "it is longer than {URL_BYTES_MAX} bytes");
        let is_web = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
        ensure!(is_web, "it must begin with https:// or http://");
        let Ok(uri) = text.parse::<Uri>() else { bail!("it is no URL") };
        ensure!(uri.host().is_some_and(|host| !host.is_empty()), "it names no host");
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        ensure!(!has_user, "it must not name a user");
        Ok(Self(text.to_owned()))
    }

    /// Reads several URLs, each once.
    pub fn parse_all(texts: &[String]) -> anyhow::Result<BTreeSet<Self>> {
        let parse = |(number, text): (usize, &String)| {
            Self::parse(text).with_context(|| format!("webhook {}", number + 1))
        };
        let urls = texts.iter().enumerate().map(parse).collect::<anyhow::Result<BTreeSet<_>>>()?;
        ensure!(urls.len() <= RECEIVERS_MAX, "there are more than {RECEIVERS_MAX} webhooks");
        Ok(urls)
    }

    /// The host, which is all that may be shown.
    fn host(&self) -> String {
        let uri = self.0.parse::<Uri>().ok();
        uri.and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_default()
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "webhook at {}", self.host())
    }
}

/// The receivers of a farm.
pub struct Webhooks {
    /// Those of the command line, which stay.
    fixed: BTreeSet<Url>,
    receivers: Mutex<Vec<Receiver>>,
    agent: Agent,
    retries: Retries,
}

/// A receiver's thread.
struct Receiver {
    url: Url,
    messages: SyncSender<String>,
    /// Messages that were not handed over yet.
    waiting: Arc<AtomicUsize>,
    /// Closed when the thread has ended.
    ended: mpsc::Receiver<()>,
    /// Whether it was told that messages are dropped.
    is_full: bool,
}

impl Webhooks {
    /// Starts a thread for each receiver: those of the command line, and those of the file of settings.
    pub fn start(fixed: BTreeSet<Url>, of_file: &BTreeSet<Url>) -> Self {
        Self::start_with(fixed, of_file, RETRIES)
    }

    fn start_with(fixed: BTreeSet<Url>, of_file: &BTreeSet<Url>, retries: Retries) -> Self {
        // A redirect is not followed: the farm tells those alone whom it was told to.
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(ATTEMPT))
            .user_agent(concat!("mass/", env!("CARGO_PKG_VERSION")))
            .build();
        let (receivers, agent) = (Mutex::new(Vec::new()), config.new_agent());
        let webhooks = Self { fixed, receivers, agent, retries };
        webhooks.set(of_file);
        webhooks
    }

    /// The file of settings names these receivers now.
    pub fn set(&self, of_file: &BTreeSet<Url>) {
        let wanted: BTreeSet<&Url> = self.fixed.union(of_file).collect();
        let Ok(mut receivers) = self.receivers.lock() else { return };
        receivers.retain(|receiver| wanted.contains(&receiver.url));
        for url in wanted {
            if !receivers.iter().any(|receiver| receiver.url == *url) {
                receivers.push(Receiver::spawn(url.clone(), self.agent.clone(), self.retries));
            }
        }
    }

    /// Tells all receivers of an event, if it is one for them.
    pub fn tell(&self, event: &FarmEvent, totals: &Totals) {
        if let Some(message) = message(event, totals) {
            self.send(&message);
        }
    }

    /// Tells all receivers that the farm has ended, and why.
    pub fn tell_end(&self, reason: &str) {
        let text = format!("the farm has ended: {reason}");
        self.send(&with_text(json!({ "event": "ended", "problem": reason }), &text));
    }

    fn send(&self, message: &Value) {
        let Ok(mut receivers) = self.receivers.lock() else { return };
        receivers.iter_mut().for_each(|receiver| receiver.send(message.to_string()));
    }

    /// Waits a little for what is still to be told, and says what was not.
    pub fn farewell(&self) {
        let Ok(receivers) = self.receivers.lock().map(|mut receivers| std::mem::take(&mut *receivers)) else {
            return;
        };
        let end = Instant::now() + FAREWELL;
        for Receiver { url, messages, waiting, ended, .. } in receivers {
            drop(messages);
            let outcome = ended.recv_timeout(end.saturating_duration_since(Instant::now()));
            let left = waiting.load(Ordering::SeqCst);
            if outcome == Err(RecvTimeoutError::Timeout) && left > 0 {
                note(&format!("{url:?}: {left} messages were not delivered"));
            }
        }
    }
}

impl Receiver {
    fn spawn(url: Url, agent: Agent, retries: Retries) -> Self {
        let (messages, inbox) = mpsc::sync_channel::<String>(QUEUE_MAX);
        let (end, ended) = mpsc::channel::<()>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (left, receiver) = (Arc::clone(&waiting), url.clone());
        thread::spawn(move || {
            for message in inbox {
                if let Err(reason) = deliver(&agent, &receiver, &message, retries) {
                    note(&format!("{receiver:?}: a message is dropped: {reason}"));
                }
                left.fetch_sub(1, Ordering::SeqCst);
            }
            drop(end);
        });
        Self { url, messages, waiting, ended, is_full: false }
    }

    /// Never waits: what finds the queue full is dropped.
    fn send(&mut self, message: String) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        match self.messages.try_send(message) {
            Ok(()) => self.is_full = false,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                if !std::mem::replace(&mut self.is_full, true) {
                    note(&format!("{:?}: {QUEUE_MAX} messages wait already; more are dropped", self.url));
                }
            }
        }
    }
}

/// Hands a message over, if need be in several attempts.
fn deliver(agent: &Agent, url: &Url, message: &str, retries: Retries) -> Result<(), String> {
    let mut wait = retries.first;
    for attempt in 1.. {
        let reason = match post(agent, url, message) {
            Ok(()) => return Ok(()),
            Err(Refusal::Final(reason)) => return Err(reason),
            Err(Refusal::Passing(reason)) => reason,
        };
        if attempt >= retries.attempts {
            return Err(format!("{reason}, {attempt} times"));
        }
        thread::sleep(wait);
        wait = (wait * 2).min(retries.longest);
    }
    Ok(())
}

/// Why a message was not taken.
enum Refusal {
    /// It will not be taken later either.
    Final(String),
    /// It may be.
    Passing(String),
}

fn post(agent: &Agent, url: &Url, message: &str) -> Result<(), Refusal> {
    let response = agent.post(&url.0).header("content-type", "application/json").send(message);
    match response.map(|response| response.status().as_u16()) {
        Ok(200..=299) => Ok(()),
        Ok(status @ (408 | 425 | 429 | 500..)) => {
            Err(Refusal::Passing(format!("the receiver answers with status {status}")))
        }
        Ok(status @ 300..=399) => {
            Err(Refusal::Final(format!("a redirect is not followed (status {status})")))
        }
        Ok(status) => Err(Refusal::Final(format!("the receiver refuses it with status {status}"))),
        Err(error) => Err(Refusal::Passing(explain(&error))),
    }
}

/// An error in words that do not show the URL.
fn explain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => format!("no connection: {error}"),
        ureq::Error::Timeout(_) => format!("no answer within {} seconds", ATTEMPT.as_secs()),
        ureq::Error::HostNotFound => "there is no such host".to_owned(),
        ureq::Error::Rustls(error) => format!("no secure connection: {error}"),
        ureq::Error::Tls(error) => format!("no secure connection: {error}"),
        _ => "the request fails".to_owned(),
    }
}

/// What receivers are told of an event; nothing of what is neither trouble nor a win.
fn message(event: &FarmEvent, totals: &Totals) -> Option<Value> {
    let told = matches!(
        event,
        FarmEvent::Trouble(_)
            | FarmEvent::Over(_)
            | FarmEvent::Sealed { .. }
            | FarmEvent::Lost { .. }
            | FarmEvent::Banned { .. }
    );
    told.then(|| with_text(serde_json::to_value(event).unwrap_or_default(), &describe(event, totals)))
}

/// The line for people goes where Slack and Mattermost look for it, and where Discord does.
fn with_text(mut message: Value, text: &str) -> Value {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let name = rustix::system::uname();
    let machine = name.nodename().to_string_lossy();
    let text: String = format!("MASS on {machine}: {text}").chars().take(TEXT_CHARS_MAX).collect();
    let fields =
        [("machine", json!(machine)), ("time", json!(time)), ("text", json!(text)), ("content", json!(text))];
    for (key, value) in fields {
        message[key] = value;
    }
    message
}

#[cfg(test)]
mod tests;
