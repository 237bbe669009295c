//! A harvester: reads its disks for a farmer elsewhere. It holds no farmer key and knows no chain.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mass_primitives::FarmerPublicKey;
use rand_core::{OsRng, RngCore as _};
use serde::Serialize;
use tokio::{net::TcpStream, sync::mpsc, time::Instant};

use super::{
    HarvestError, StoreError,
    link::{receive, send},
    message::{FAULTS_MAX, File, PART, Quality, ToFarmer, ToHarvester, VERSION, VERSION_MIN},
    secure::{self, Code, NoiseKey, Pipe},
    session,
    store::{HarvesterFile, check_name},
};
use crate::{
    bus::{Bus, BusConfig},
    disk::{self, Done, Give, Job, Sampled},
    shelf::{Answer, GroupFile, Scan},
};

/// The first pause before it is tried again to reach the farmer; each is twice as long as the one before.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A farmer that was silent for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How a harvester meets its farmer.
#[derive(Clone, Debug)]
pub enum WayToFarmer {
    /// As they were paired: the file that [`pair`] has written.
    Paired(PathBuf),
    /// At a cluster's bus, under this name.
    Bus(BusConfig, String),
}

/// What a harvester needs.
#[derive(Clone, Debug)]
pub struct HarvesterConfig {
    /// How it meets its farmer.
    pub way: WayToFarmer,
    /// Directories of plots.
    pub directories: Vec<PathBuf>,
}

/// What happens to a harvester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum HarvesterEvent {
    /// The farmer is there.
    Joined {
        /// Its address.
        farmer: String,
        /// The key that its plots are bound to.
        key: FarmerPublicKey,
        /// Its software.
        software: String,
    },
    /// The farmer is not there.
    Lost {
        /// Why.
        reason: String,
        /// When it is tried again.
        again_in_milliseconds: u64,
    },
    /// A directory has other plots than before.
    Plots {
        /// The directory.
        disk: String,
        /// Plots in it.
        plots: u64,
    },
    /// A challenge was answered.
    Answered {
        /// The directory.
        disk: String,
        /// Groups asked.
        asked: u64,
        /// Short reads made.
        reads: u64,
        /// Qualities found.
        qualities: u64,
    },
}

/// Pairs this machine with the farmer at `addr`, under a name, by the code that the farmer has given out. Returns the
/// farmer's key.
///
/// # Errors
/// [`HarvestError`]; then nothing has changed, but that the farmer may know this machine already.
pub async fn pair(store: &Path, name: &str, addr: &str, code: &str) -> Result<FarmerPublicKey, HarvestError> {
    let code = Code::parse(code)?;
    let mut file = HarvesterFile::begin(store, name)?;
    let (key, mut pipe) = secure::pair(reach(addr).await?, &file.secret, &code).await?;
    let (_, farmer) = greet(&mut pipe, name, &[]).await?;
    (file.name, file.farmer) = (name.to_owned(), Some((addr.to_owned(), key)));
    file.write(store)?;
    Ok(farmer)
}

async fn reach(addr: &str) -> Result<TcpStream, HarvestError> {
    let connect = tokio::time::timeout(SILENCE_MAX, TcpStream::connect(addr)).await;
    let stream = connect.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let stream = stream.map_err(|error| HarvestError::Reach { addr: addr.to_owned(), error })?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Says hello; the farmer's software and key.
async fn greet(
    pipe: &mut Pipe,
    name: &str,
    directories: &[PathBuf],
) -> Result<(String, FarmerPublicKey), HarvestError> {
    let disks = directories.iter().map(|dir| dir.display().to_string()).collect();
    let (software, name) = (env!("CARGO_PKG_VERSION").to_owned(), name.to_owned());
    send(pipe, &ToFarmer::Hello { version: VERSION, software, name, disks });
    let answer = tokio::time::timeout(SILENCE_MAX, receive(pipe)).await;
    match answer.map_err(|_| secure::SecureError::Late)? {
        Ok(ToHarvester::Welcome { version, software, farmer })
            if (VERSION_MIN..=VERSION).contains(&version) =>
        {
            Ok((software, farmer))
        }
        Ok(ToHarvester::Refused { reason }) => Err(HarvestError::Refused(reason)),
        Ok(other) => Err(HarvestError::Unexpected(format!("{other:?}"))),
        Err(_) => Err(secure::SecureError::HungUp.into()),
    }
}

/// An open [`WayToFarmer`].
enum Way {
    Paired { file: HarvesterFile, addr: String, key: NoiseKey },
    Bus { bus: Box<Bus>, name: String },
}

impl Way {
    async fn open(way: &WayToFarmer) -> Result<Self, HarvestError> {
        match way {
            WayToFarmer::Paired(store) => {
                let file = HarvesterFile::read(store)?;
                let farmer = file.farmer.clone();
                let (addr, key) = farmer.ok_or_else(|| StoreError::NotPaired(store.clone()))?;
                Ok(Self::Paired { file, addr, key })
            }
            WayToFarmer::Bus(config, name) => {
                check_name(name)?;
                Ok(Self::Bus { bus: Box::new(Bus::connect(config).await?), name: name.clone() })
            }
        }
    }

    /// Where the farmer is.
    fn place(&self) -> &str {
        match self {
            Self::Paired { addr, .. } => addr,
            Self::Bus { bus, .. } => bus.cluster(),
        }
    }

    /// A cluster has a standby farmer, who need not be waited for long.
    const fn pause_max(&self) -> Duration {
        match self {
            Self::Paired { .. } => PAUSE_MAX,
            Self::Bus { .. } => PAUSE_MIN,
        }
    }

    /// Meets the farmer; its software and key.
    async fn join(&self, directories: &[PathBuf]) -> Result<(Pipe, String, FarmerPublicKey), HarvestError> {
        let (mut pipe, name) = match self {
            Self::Paired { file, addr, key } => {
                (secure::join(reach(addr).await?, &file.secret, key).await?, &file.name)
            }
            Self::Bus { bus, name } => (session::join(bus).await?, name),
        };
        let (software, key) = greet(&mut pipe, name, directories).await?;
        Ok((pipe, software, key))
    }
}

/// A directory and what was told of it.
struct Disk {
    path: PathBuf,
    give: Give,
    /// Jobs that the farmer of an earlier connection has given, which nobody waits for any more.
    stale: usize,
    /// Jobs of this connection that are not done.
    owed: VecDeque<()>,
    /// The files that the farmer knows of.
    told: Option<Vec<Arc<GroupFile>>>,
    plots: u64,
}

enum Report {
    Disk(usize, Done),
    Sampled(u64, Sampled),
}

struct Harvester<W> {
    disks: Vec<Disk>,
    reports: mpsc::UnboundedSender<Report>,
    watch: W,
}

/// Harvests until `stop` is ready. A farmer that is gone is waited for.
///
/// # Errors
/// [`HarvestError::Store`] if this machine was not paired; [`HarvestError::Bus`] if the bus can never be had.
pub async fn run(
    config: HarvesterConfig,
    watch: impl FnMut(&HarvesterEvent),
    stop: impl Future<Output = ()>,
) -> Result<(), HarvestError> {
    let way = Way::open(&config.way).await?;
    let (reports, mut inbox) = mpsc::unbounded_channel();
    let disks = config.directories.iter().enumerate().map(|(number, path)| {
        let reports = reports.clone();
        let report = move |done| drop(reports.send(Report::Disk(number, done)));
        let give = disk::spawn(path.clone(), disk::read, report);
        Disk { path: path.clone(), give, stale: 0, owed: VecDeque::new(), told: None, plots: 0 }
    });
    let mut harvester = Harvester { disks: disks.collect(), reports, watch };
    let work = async {
        let mut pause = PAUSE_MIN;
        loop {
            let reason = match way.join(&config.directories).await {
                Ok((pipe, software, key)) => {
                    pause = PAUSE_MIN;
                    (harvester.watch)(&HarvesterEvent::Joined {
                        farmer: way.place().to_owned(),
                        key,
                        software,
                    });
                    harvester.serve(pipe, &mut inbox).await
                }
                Err(error) => error.to_string(),
            };
            let wait = pause / 2 + pause.mul_f64(f64::from(OsRng.next_u32()) / f64::from(u32::MAX) / 2.0);
            let again_in_milliseconds = wait.as_millis() as u64;
            (harvester.watch)(&HarvesterEvent::Lost { reason, again_in_milliseconds });
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(way.pause_max());
        }
    };
    tokio::select! {
        () = stop => Ok(()),
        () = work => Ok(()),
    }
}

impl<W: FnMut(&HarvesterEvent)> Harvester<W> {
    /// Does what the farmer asks until it is gone; why it is.
    async fn serve(&mut self, mut pipe: Pipe, inbox: &mut mpsc::UnboundedReceiver<Report>) -> String {
        for disk in &mut self.disks {
            disk.stale += std::mem::take(&mut disk.owed).len();
            disk.told = None;
        }
        let (silence, mut last) = (SILENCE_MAX, Instant::now());
        loop {
            tokio::select! {
                message = receive(&mut pipe) => {
                    last = Instant::now();
                    if let Err(reason) = message.and_then(|message| self.hear(&pipe, message)) {
                        return reason;
                    }
                }
                Some(report) = inbox.recv() => match report {
                    Report::Disk(number, done) => self.done(&pipe, number, done),
                    Report::Sampled(number, sample) => {
                        let sample = sample.map(|sample| Box::new(sample.into()));
                        send(&pipe, &ToFarmer::Sampled { number, sample });
                    }
                },
                () = tokio::time::sleep_until(last + silence) => {
                    return format!("the farmer was silent for {} seconds", silence.as_secs());
                }
            }
        }
    }

    fn hear(&mut self, pipe: &Pipe, message: ToHarvester) -> Result<(), String> {
        match message {
            ToHarvester::Scan { disk } => self.give(disk, Job::Scan),
            ToHarvester::Ask { disk, turn, challenge, groups } => {
                self.give(disk, Job::Ask(turn, challenge, groups))
            }
            ToHarvester::Sample { disk, number } => {
                let (reply, sampled) = tokio::sync::oneshot::channel();
                let reports = self.reports.clone();
                tokio::spawn(async move {
                    if let Ok(sample) = sampled.await {
                        let _ = reports.send(Report::Sampled(number, sample));
                    }
                });
                let disk = self.disks.get(disk).ok_or_else(|| format!("there is no disk {disk}"))?;
                (disk.give)(Job::Sample(reply));
                Ok(())
            }
            ToHarvester::Ping => {
                send(pipe, &ToFarmer::Pong);
                Ok(())
            }
            ToHarvester::Refused { reason } => Err(reason),
            ToHarvester::Welcome { .. } => Err("the farmer has welcomed twice".to_owned()),
        }
    }

    fn give(&mut self, number: usize, job: Job) -> Result<(), String> {
        let disk = self.disks.get_mut(number).ok_or_else(|| format!("there is no disk {number}"))?;
        disk.owed.push_back(());
        (disk.give)(job);
        Ok(())
    }

    fn done(&mut self, pipe: &Pipe, number: usize, done: Done) {
        let disk = &mut self.disks[number];
        if disk.stale > 0 {
            disk.stale -= 1;
            return;
        }
        disk.owed.pop_front();
        let name = disk.path.display().to_string();
        match done {
            Done::Scan(scan) => {
                let plots = scan.files.iter().flatten().map(|file| u64::from(file.plots)).sum();
                let is_news = std::mem::replace(&mut disk.plots, plots) != plots;
                tell_scan(pipe, number, scan, &mut disk.told);
                if is_news {
                    (self.watch)(&HarvesterEvent::Plots { disk: name, plots });
                }
            }
            Done::Answer(turn, Answer { found, asked, reads, mut faults }) => {
                for part in found.chunks(PART) {
                    let found = part.iter().map(Quality::from).collect();
                    send(pipe, &ToFarmer::Found { disk: number, found });
                }
                faults.truncate(FAULTS_MAX);
                send(pipe, &ToFarmer::Answered { disk: number, turn, asked, reads, faults });
                let qualities = found.len() as u64;
                (self.watch)(&HarvesterEvent::Answered { disk: name, asked, reads, qualities });
            }
        }
    }
}

/// Tells what a directory holds: its files only if they are others than those told.
fn tell_scan(pipe: &Pipe, disk: usize, scan: Scan, told: &mut Option<Vec<Arc<GroupFile>>>) {
    let Scan { files, mut faults, free_bytes, mut unfinished } = scan;
    let (files, error) = match files {
        Ok(files) => (files, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let changed = told.as_ref() != Some(&files);
    if changed {
        for part in files.chunks(PART) {
            let files = part.iter().map(|file| File::new(file)).collect();
            send(pipe, &ToFarmer::Files { disk, files });
        }
        *told = Some(files);
    }
    faults.truncate(FAULTS_MAX);
    unfinished.truncate(FAULTS_MAX);
    send(pipe, &ToFarmer::Scanned { disk, changed, error, faults, free_bytes, unfinished });
}
