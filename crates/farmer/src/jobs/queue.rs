//! The queue of jobs on the bus: adding, cancelling, looking, and the deliveries that plotters pull.

use std::{collections::HashMap, time::Duration};

use async_nats::{
    Client,
    jetstream::{
        AckKind, Message,
        consumer::{AckPolicy, PullConsumer, pull},
        message::PublishMessage,
        stream::{self, RawMessageErrorKind, RetentionPolicy, StorageType, Stream},
    },
};
use futures::{StreamExt as _, TryStreamExt as _};
use mass_primitives::GroupId;
use serde::Serialize;

use super::{
    ACK_WAIT, ClaimState, Job, Step,
    claim::{self, Claim, Right, right},
};
use crate::bus::{Bus, BusConfig, BusError, Held, Store, refused};

/// How long a command waits for the bus.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the server keeps a request for a job: a plotter asks again then.
const PULL: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
const CONSUMER: &str = "plotters";
/// Longer than any job.
const JOB_BYTES_MAX: usize = 4096;
/// Plotters that may be at work at once.
const DELIVERIES_MAX: i64 = 100_000;
/// Requests that are under way at once.
const REQUESTS: usize = 64;

/// The queue of a cluster's plotting jobs.
#[derive(Clone)]
pub struct Queue {
    bus: Bus,
    stream: Stream,
    pub(super) store: Store,
}

/// A job that was queued, and how it fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobReport {
    /// Its group.
    pub group: GroupId,
    /// What is plotted.
    pub job: Job,
    /// How it fares.
    pub state: JobState,
    /// The plotter that has it, had it last, or has finished it.
    pub by: Option<String>,
    /// Plots that this one has staged.
    pub staged: u16,
    /// What it does.
    pub step: Step,
}

/// How a job fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// A plotter has it.
    InWork,
    /// It was begun and given back.
    Left,
    /// Nobody has begun it.
    Waiting,
    /// Its plots are there.
    Done,
    /// It was cancelled.
    Cancelled,
}

/// A message of the queue.
struct Waiting {
    sequence: u64,
    job: Job,
}

impl Queue {
    /// The queue on a bus that is there; made if there is none.
    ///
    /// # Errors
    /// [`BusError`], also if the bus is not reached within some seconds.
    pub async fn connect(config: &BusConfig) -> Result<Self, BusError> {
        let bus = Bus::connect(config).await?;
        let mut changes = bus.changes();
        let there = changes.wait_for(|changes| changes % 2 == 1);
        if !matches!(tokio::time::timeout(CONNECT, there).await, Ok(Ok(_))) {
            let url = config.url.rsplit('@').next().unwrap_or_default().to_owned();
            return Err(BusError::Connect { url, error: format!("not reached in {} s", CONNECT.as_secs()) });
        }
        Self::open(&bus).await
    }

    /// The queue on a bus; made if there is none.
    pub(super) async fn open(bus: &Bus) -> Result<Self, BusError> {
        let config = stream::Config {
            name: format!("mass-{}-plots", bus.cluster()),
            subjects: vec![bus.subject("plots")],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            num_replicas: bus.replicas,
            max_message_size: JOB_BYTES_MAX as i32,
            ..stream::Config::default()
        };
        let stream = bus.jetstream.get_or_create_stream(config).await.map_err(refused)?;
        Ok(Self { bus: bus.clone(), stream, store: bus.store().await? })
    }

    /// Adds a job. One that is there already is not added again.
    ///
    /// # Errors
    /// [`BusError`]: the job may be there or not.
    pub async fn add(&self, job: &Job) -> Result<(), BusError> {
        let bytes = serde_json::to_vec(job).map_err(refused)?;
        let message = PublishMessage::build()
            .payload(bytes.into())
            .message_id(job.identity().group_id().to_string())
            .outbound_message(self.bus.subject("plots"));
        let sent = self.bus.jetstream.publish_with_headers(
            message.subject,
            message.headers.unwrap_or_default(),
            message.payload,
        );
        sent.await.map_err(refused)?.await.map_err(refused)?;
        Ok(())
    }

    /// All jobs that ever were, those in work first.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn report(&self) -> Result<Vec<JobReport>, BusError> {
        let mut claims: HashMap<GroupId, Claim> =
            self.claims().await?.into_iter().map(|(group, held)| (group, held.value)).collect();
        let mut reports = Vec::new();
        for Waiting { job, .. } in self.waiting().await? {
            let group = job.identity().group_id();
            reports.push(JobReport::new(group, job, claims.remove(&group)));
        }
        reports
            .extend(claims.into_iter().map(|(group, claim)| JobReport::new(group, claim.job, Some(claim))));
        // The sort is stable: jobs that wait stay as they are queued.
        reports.sort_by_key(|report| report.state);
        Ok(reports)
    }

    /// Cancels the jobs that nobody has in work and that are wanted; returns them.
    ///
    /// # Errors
    /// [`BusError`]: some may be cancelled.
    pub async fn cancel(&self, wanted: impl Fn(&GroupId) -> bool) -> Result<Vec<Job>, BusError> {
        let mut cancelled = Vec::new();
        for Waiting { sequence, job } in self.waiting().await? {
            let group = job.identity().group_id();
            if !wanted(&group) {
                continue;
            }
            let key = claim::key(&group);
            let held: Option<Held<Claim>> = self.store.get(&key).await?;
            // No plotter is called nothing.
            if right(held.as_ref().map(|held| &held.value), "") != Right::Take {
                continue;
            }
            let (revision, mut claim) = match held {
                Some(Held { value, revision }) => (Some(revision), value),
                None => (None, Claim::unclaimed(job)),
            };
            claim.state = ClaimState::Cancelled;
            // Whoever has taken it meanwhile keeps it.
            if self.store.set(&key, &claim, revision).await?.is_some() {
                self.stream.delete_message(sequence).await.map_err(refused)?;
                cancelled.push(job);
            }
        }
        Ok(cancelled)
    }

    /// Whether no job waits or is in work.
    pub(super) async fn is_empty(&self) -> Result<bool, BusError> {
        Ok(self.stream.get_info().await.map_err(refused)?.state.messages == 0)
    }

    /// All claims.
    pub(super) async fn claims(&self) -> Result<Vec<(GroupId, Held<Claim>)>, BusError> {
        let keys = self.store.keys(claim::KEYS).await?;
        let one = async |key: String| {
            let group = key.strip_prefix(claim::KEYS).and_then(|group| group.parse::<GroupId>().ok());
            let held = self.store.get::<Claim>(&key).await?;
            let is_of =
                |(group, held): &(GroupId, Held<Claim>)| held.value.job.identity().group_id() == *group;
            Ok::<_, BusError>(group.zip(held).filter(is_of))
        };
        let found = futures::stream::iter(keys).map(one).buffered(REQUESTS);
        found.try_filter_map(async |claim| Ok(claim)).try_collect().await
    }

    /// The jobs in the queue, delivered or not, as they were queued.
    async fn waiting(&self) -> Result<Vec<Waiting>, BusError> {
        let (subject, mut next, mut found) = (self.bus.subject("plots"), 1, Vec::new());
        loop {
            let request = self.stream.raw_message_builder().sequence(next).next_by_subject(&*subject);
            let message = match request.send().await {
                Ok(message) => message,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(found),
                Err(error) => return Err(refused(error)),
            };
            next = message.sequence + 1;
            // What is no job goes when it is delivered.
            if let Ok(job) = read(&message.payload) {
                found.push(Waiting { sequence: message.sequence, job });
            }
        }
    }

    /// The next job, if one comes within some seconds.
    pub(super) async fn pull(&self) -> Result<Option<(Result<Job, String>, Delivery)>, BusError> {
        let config = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: DELIVERIES_MAX,
            ..pull::Config::default()
        };
        let consumer: PullConsumer =
            self.stream.get_or_create_consumer(CONSUMER, config).await.map_err(refused)?;
        let batch = consumer.batch().max_messages(1).expires(PULL).messages().await;
        let Some(message) = batch.map_err(refused)?.next().await else { return Ok(None) };
        let Message { message, .. } = message.map_err(refused)?;
        let reply = message.reply.ok_or_else(|| refused("a job came that cannot be acknowledged"))?;
        Ok(Some((read(&message.payload), self.delivery(reply.to_string()))))
    }

    fn delivery(&self, reply: String) -> Delivery {
        Delivery { client: self.bus.client.clone(), reply }
    }

    /// The delivery of which a claim knows; none if what stands there is of another queue.
    pub(super) fn delivery_of(&self, claim: &Claim) -> Option<Delivery> {
        let ours = format!("$JS.ACK.mass-{}-plots.", self.bus.cluster());
        claim.delivery.starts_with(&ours).then(|| self.delivery(claim.delivery.clone()))
    }
}

impl JobReport {
    fn new(group: GroupId, job: Job, claim: Option<Claim>) -> Self {
        let state = match claim.as_ref().map(|claim| claim.state) {
            None => JobState::Waiting,
            Some(ClaimState::Claimed) => JobState::InWork,
            Some(ClaimState::Left) => JobState::Left,
            Some(ClaimState::Done) => JobState::Done,
            Some(ClaimState::Cancelled) => JobState::Cancelled,
        };
        let (staged, step) = claim.as_ref().map(|claim| (claim.staged, claim.step)).unwrap_or_default();
        let by = claim.map(|claim| claim.by).filter(|by| !by.is_empty());
        Self { group, job, state, by, staged, step }
    }
}

fn read(payload: &[u8]) -> Result<Job, String> {
    if payload.len() > JOB_BYTES_MAX {
        return Err(format!("a job of {} bytes", payload.len()));
    }
    serde_json::from_slice(payload).map_err(|error: serde_json::Error| error.to_string())
}

/// A job's delivery, of which the queue wants to hear.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    client: Client,
    reply: String,
}

impl Delivery {
    /// Where the queue hears of it.
    pub fn reply(&self) -> &str {
        &self.reply
    }

    /// The job is settled: the queue is rid of it when this returns without an error.
    pub async fn ack(&self) -> Result<(), BusError> {
        let answer = self.client.request(self.reply.clone(), AckKind::Ack.into());
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(refused("the queue does not answer")),
        }
    }

    /// It is in work still.
    pub async fn progress(&self) {
        self.tell(AckKind::Progress).await;
    }

    /// It goes back to the queue, for whoever asks after so long.
    pub async fn give_back(&self, after: Option<Duration>) {
        self.tell(AckKind::Nak(after)).await;
    }

    /// It is no job.
    pub async fn refuse(&self) {
        self.tell(AckKind::Term).await;
    }

    /// What is not heard is made good by another delivery.
    async fn tell(&self, kind: AckKind) {
        let _ = self.client.publish(self.reply.clone(), kind.into()).await;
    }
}
