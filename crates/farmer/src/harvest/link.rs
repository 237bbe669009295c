//! The farmer's end of the line to one harvester: jobs become messages, and messages become what disks have done.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use mass_primitives::FarmerPublicKey;
use rand_core::{OsRng, RngCore as _};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior},
};

use super::{
    message::{
        DISKS_MAX, FAULTS_MAX, ITEMS_MAX, ToFarmer, ToHarvester, VERSION, VERSION_MIN, VERSION_SAMPLE,
    },
    secure::Pipe,
};
use crate::{
    disk::{Done, Give, Job, Sampled},
    schedule::Found,
    shelf::{Answer, GroupFile, Scan},
};

/// How often a harvester is asked whether it is there.
const PING: Duration = Duration::from_secs(2);
/// A harvester that was silent for so long is lost: less than a round of any chain.
const SILENCE_MAX: Duration = Duration::from_secs(7);
/// How long a harvester may take to say hello.
const HELLO: Duration = Duration::from_secs(10);

/// News of a harvester.
pub(crate) struct Landed {
    /// Which connection of those that were.
    pub connection: u64,
    pub name: String,
    pub news: News,
}

pub(crate) enum News {
    /// It is there, with these disks.
    Joined { software: String, version: u16, disks: Vec<(PathBuf, Give)> },
    /// A disk of it, by its place in `disks`, has done what it was given.
    Done(usize, Done),
    /// It is gone, and why.
    Left(String),
    /// It was taken out.
    Removed,
}

/// A message as bytes.
pub(super) fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message).expect("names are text and numbers are numbers")
}

/// Sends a message. Who reads nothing any more shows that by its silence.
pub(super) fn send<T: Serialize>(pipe: &Pipe, message: &T) {
    let _ = pipe.tx.send(encode(message));
}

pub(super) async fn receive<T: DeserializeOwned>(pipe: &mut Pipe) -> Result<T, String> {
    parse(&pipe.rx.recv().await.ok_or("the connection broke")?)
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("a message that is none: {error}"))
}

/// What a harvester has said of a disk so far.
#[derive(Default)]
struct Heard {
    files: Vec<Arc<GroupFile>>,
    files_coming: Vec<Arc<GroupFile>>,
    found: Vec<Found>,
}

/// A harvester's hello.
pub(super) struct Hello {
    pub name: String,
    version: u16,
    software: String,
    disks: Vec<String>,
}

/// Waits for the hello.
pub(super) async fn hello(pipe: &mut Pipe) -> Result<Hello, String> {
    as_hello(tokio::time::timeout(HELLO, receive(pipe)).await.map_err(|_| "no hello")??)
}

/// The hello that a message is.
pub(super) fn as_hello(message: ToFarmer) -> Result<Hello, String> {
    let ToFarmer::Hello { version, software, name, disks } = message else {
        return Err("no hello".to_owned());
    };
    Ok(Hello { name, version: version.min(VERSION), software, disks })
}

/// Answers a hello; an error if there is no common version.
pub(super) fn welcome(pipe: &Pipe, hello: &Hello, farmer: FarmerPublicKey) -> Result<(), String> {
    let refused = if hello.version < VERSION_MIN {
        Some(format!("it speaks version {}, and the least is {VERSION_MIN}: upgrade it", hello.version))
    } else if hello.disks.len() > DISKS_MAX {
        Some(format!("it has {} disks, and the most is {DISKS_MAX}", hello.disks.len()))
    } else {
        None
    };
    match refused {
        Some(reason) => {
            send(pipe, &ToHarvester::Refused { reason: reason.clone() });
            Err(reason)
        }
        None => {
            let software = env!("CARGO_PKG_VERSION").to_owned();
            send(pipe, &ToHarvester::Welcome { version: hello.version, software, farmer });
            Ok(())
        }
    }
}

/// One connection.
struct Line<F> {
    name: String,
    version: u16,
    heard: Vec<Heard>,
    samples: HashMap<u64, oneshot::Sender<Sampled>>,
    /// From a random start, so that what an earlier connection was asked for is not taken for this one's.
    next_sample: u64,
    report: F,
}

/// Serves a harvester under the name that the farmer knows it by, until it is gone; why it is.
pub(super) async fn serve(
    mut pipe: Pipe,
    name: String,
    farmer: FarmerPublicKey,
    report: impl Fn(News),
) -> String {
    match hello(&mut pipe).await {
        Ok(hello) => serve_after(&mut pipe, hello, name, farmer, report).await,
        Err(reason) => reason,
    }
}

/// [`serve`] once it has said hello.
pub(super) async fn serve_after(
    pipe: &mut Pipe,
    hello: Hello,
    name: String,
    farmer: FarmerPublicKey,
    report: impl Fn(News),
) -> String {
    if let Err(reason) = welcome(pipe, &hello, farmer) {
        return reason;
    }
    let (give, mut jobs) = mpsc::unbounded_channel();
    let disks = hello.disks.iter().enumerate().map(|(number, disk)| {
        let jobs = give.clone();
        let give: Give = Arc::new(move |job| jobs.send((number, job)).is_ok());
        (PathBuf::from(format!("{name}:{disk}")), give)
    });
    let (version, software) = (hello.version, hello.software.chars().take(64).collect());
    report(News::Joined { software, version, disks: disks.collect() });
    // The loop's ways to the disks are the only ones: when it has given them up, the line ends.
    drop(give);
    let heard = hello.disks.iter().map(|_| Heard::default()).collect();
    let mut line =
        Line { name, version, heard, samples: HashMap::new(), next_sample: OsRng.next_u64(), report };
    let mut clock = tokio::time::interval(PING);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            message = receive(pipe) => {
                last = Instant::now();
                if let Err(reason) = message.and_then(|message| line.hear(message)) {
                    return reason;
                }
            }
            job = jobs.recv() => match job {
                Some((disk, job)) => line.give(pipe, disk, job),
                None => return "it was taken out, or has come again".to_owned(),
            },
            _ = clock.tick() => {
                if last.elapsed() > SILENCE_MAX {
                    return format!("it was silent for {} seconds", SILENCE_MAX.as_secs());
                }
                send(pipe, &ToHarvester::Ping);
            }
        }
    }
}

impl<F: Fn(News)> Line<F> {
    fn give(&mut self, pipe: &Pipe, disk: usize, job: Job) {
        match job {
            Job::Scan => send(pipe, &ToHarvester::Scan { disk }),
            Job::Ask(turn, challenge, groups) => {
                send(pipe, &ToHarvester::Ask { disk, turn, challenge, groups });
            }
            Job::Sample(reply) if self.version < VERSION_SAMPLE => {
                let reason = "the harvester is too old to be tried out: upgrade it";
                let _ = reply.send(Err(reason.to_owned()));
            }
            Job::Sample(reply) => {
                let number = self.next_sample;
                self.next_sample = number.wrapping_add(1);
                self.samples.retain(|_, reply| !reply.is_closed());
                self.samples.insert(number, reply);
                send(pipe, &ToHarvester::Sample { disk, number });
            }
        }
    }

    /// Takes a message in. An error ends the line.
    fn hear(&mut self, message: ToFarmer) -> Result<(), String> {
        let name = self.name.clone();
        let place = |path: PathBuf| PathBuf::from(format!("{name}:{}", path.display()));
        match message {
            ToFarmer::Files { disk, files } => {
                let coming = &mut self.disk(disk)?.files_coming;
                coming.extend(files.into_iter().map(|file| Arc::new(file.located(place))));
                bounded(coming)
            }
            ToFarmer::Scanned { disk, changed, error, faults, free_bytes, mut unfinished } => {
                unfinished.truncate(FAULTS_MAX);
                let heard = self.disk(disk)?;
                let coming = std::mem::take(&mut heard.files_coming);
                if changed {
                    heard.files = coming;
                }
                let files = error.map_or_else(|| Ok(heard.files.clone()), Err);
                let scan = Scan { files, faults: placed(faults, place), free_bytes, unfinished };
                (self.report)(News::Done(disk, Done::Scan(scan)));
                Ok(())
            }
            ToFarmer::Found { disk, found } => {
                let known = &mut self.disk(disk)?.found;
                known.extend(found.into_iter().map(Found::from));
                bounded(known)
            }
            ToFarmer::Answered { disk, turn, asked, reads, faults } => {
                let heard = self.disk(disk)?;
                let mut found = std::mem::take(&mut heard.found);
                // What it has not shown to have, it does not answer for.
                found.retain(|found| {
                    let is_it = |file: &&Arc<GroupFile>| file.group == found.group;
                    heard.files.iter().find(is_it).is_some_and(|file| found.index.get() < file.plots)
                });
                let answer = Answer { found, asked, reads, faults: placed(faults, place) };
                (self.report)(News::Done(disk, Done::Answer(turn, answer)));
                Ok(())
            }
            ToFarmer::Sampled { number, sample } => {
                if let Some(reply) = self.samples.remove(&number) {
                    let _ = reply.send(sample.map(|sample| (*sample).into()));
                }
                Ok(())
            }
            ToFarmer::Pong => Ok(()),
            ToFarmer::Hello { .. } => Err("a second hello".to_owned()),
        }
    }

    fn disk(&mut self, disk: usize) -> Result<&mut Heard, String> {
        self.heard.get_mut(disk).ok_or_else(|| format!("it has no disk {disk}"))
    }
}

fn bounded<T>(items: &[T]) -> Result<(), String> {
    if items.len() > ITEMS_MAX { Err(format!("more than {ITEMS_MAX} items of a disk")) } else { Ok(()) }
}

fn placed(faults: Vec<(PathBuf, String)>, place: impl Fn(PathBuf) -> PathBuf) -> Vec<(PathBuf, String)> {
    faults.into_iter().take(FAULTS_MAX).map(|(path, error)| (place(path), error)).collect()
}
