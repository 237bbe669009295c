//! What a disk is given to do, and who does it: a thread that alone reads there, or a harvester. One job after the
//! other, so that a disk that sleeps or hangs delays nothing but itself.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use mass_primitives::{ChainId, Challenge, GroupId, Round, Seed};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::shelf::{Answer, Sample, Scan, Shelf};

/// A disk that has owed an answer for so long hangs: it is asked nothing more until it answers.
const HANGS_AFTER: Duration = Duration::from_secs(5);
/// What each group that it is asked adds to that: a slow disk's four reads.
const GROUP_PATIENCE: Duration = Duration::from_millis(60);

/// Groups that add to it, at the most: a round of dozens of seconds does not wait for longer.
const GROUPS_PATIENT: usize = 400;

/// Look-up times that are remembered, for the percentiles.
const TIMES_MAX: usize = 512;

/// Names a challenge. At the end of a period, and in a reorg, a round may get another seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The chain whose seeds pose it.
    pub beacon: ChainId,
    /// The seed.
    pub seed: Seed,
    /// The round.
    pub round: Round,
}

/// A sample of a disk's plots, or why there is none.
pub(crate) type Sampled = Result<Sample, String>;

/// What a disk is to do.
pub(crate) enum Job {
    /// Look for plots that came or went.
    Scan,
    /// Ask these groups.
    Ask(Turn, Challenge, Vec<GroupId>),
    /// Try a plot out, and tell whoever wants to know.
    Sample(oneshot::Sender<Sampled>),
}

/// What a disk has done.
#[derive(Debug)]
pub(crate) enum Done {
    Scan(Scan),
    Answer(Turn, Answer),
}

/// Takes a job; whether it can.
pub(crate) type Give = Arc<dyn Fn(Job) -> bool + Send + Sync>;

/// How a job is done: [`read`], but for tests of disks that hang.
pub(crate) type Work = fn(&mut Shelf, Job) -> Option<Done>;

/// Does a job by reading the disk.
pub(crate) fn read(shelf: &mut Shelf, job: Job) -> Option<Done> {
    match job {
        Job::Scan => Some(Done::Scan(shelf.scan())),
        Job::Ask(turn, challenge, groups) => Some(Done::Answer(turn, shelf.look_up(&challenge, &groups))),
        Job::Sample(reply) => {
            let _ = reply.send(shelf.sample());
            None
        }
    }
}

/// Starts the thread of a directory, which does its jobs with `work` and ends when nobody can give it any.
pub(crate) fn spawn(dir: PathBuf, work: Work, report: impl Fn(Done) + Send + 'static) -> Give {
    let (jobs, inbox) = mpsc::channel::<Job>();
    thread::spawn(move || {
        let mut shelf = Shelf::new(dir);
        inbox.into_iter().filter_map(|job| work(&mut shelf, job)).for_each(report);
    });
    Arc::new(move |job| jobs.send(job).is_ok())
}

/// The record of a disk, and the way to it.
#[derive(Default)]
pub(crate) struct Reader {
    give: Option<Give>,
    /// Jobs that were given and not done, the first first: since when, and until when they may take.
    owed: VecDeque<(Instant, Instant)>,
    times: VecDeque<Duration>,
    pub health: Health,
}

/// How a disk fares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// The last round whose challenge it has answered.
    pub answered: Option<Round>,
    /// Challenges that it could not be asked because it hung or was away.
    pub missed: u64,
    /// Whether it hangs, as was told.
    pub hangs: bool,
}

impl Reader {
    /// A disk that can be reached.
    pub fn new(give: Give) -> Self {
        Self { give: Some(give), ..Self::default() }
    }

    /// The disk can be reached in this way from now on, or not at all. What was owed is owed no more.
    pub fn reach(&mut self, give: Option<Give>) {
        self.give = give;
        self.owed.clear();
    }

    /// Whether it can be reached.
    pub const fn is_there(&self) -> bool {
        self.give.is_some()
    }

    /// Whether it owes nothing.
    pub fn is_idle(&self) -> bool {
        self.owed.is_empty()
    }

    /// Whether it has owed an answer for too long.
    pub fn hangs(&self, now: Instant) -> bool {
        self.owed.front().is_some_and(|(_, until)| now > *until)
    }

    /// The way to a disk that answers.
    pub fn way(&self, now: Instant) -> Option<Give> {
        if self.hangs(now) { None } else { self.give.clone() }
    }

    /// Gives it a job that it then owes, unless it hangs.
    pub fn give(&mut self, job: Job, now: Instant) -> bool {
        let groups = if let Job::Ask(_, _, groups) = &job { groups.len().min(GROUPS_PATIENT) } else { 0 };
        let begins = self.owed.back().map_or(now, |(_, until)| now.max(*until));
        let until = begins + HANGS_AFTER + GROUP_PATIENCE * groups as u32;
        let takes = !self.hangs(now) && self.give.as_ref().is_some_and(|give| give(job));
        if takes {
            self.owed.push_back((now, until));
        }
        takes
    }

    /// It has done what it was given first.
    pub fn done(&mut self, round: Option<Round>, now: Instant) {
        let Some((since, _)) = self.owed.pop_front() else { return };
        if let Some(round) = round {
            self.health.answered = self.health.answered.max(Some(round));
            self.times.truncate(TIMES_MAX - 1);
            self.times.push_front(now.duration_since(since));
        }
    }

    /// The time within which a share of the last look-ups was answered, waiting for others included.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut times: Vec<Duration> = self.times.iter().copied().collect();
        times.sort_unstable();
        times.get((times.len() * percent / 100).min(times.len().checked_sub(1)?)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_hangs_is_asked_nothing_more_until_it_answers() {
        let dir = tempfile::tempdir().unwrap();
        let (tell, told) = mpsc::channel();
        let mut reader = Reader::new(spawn(dir.path().to_owned(), read, move |done| drop(tell.send(done))));
        let start = Instant::now();
        let turn = Turn { beacon: ChainId::ZERO, seed: Seed::ZERO, round: Round::new(3) };
        let job = || Job::Ask(turn, Challenge::ZERO, Vec::new());
        assert!(reader.give(job(), start) && !reader.is_idle());
        let late = start + HANGS_AFTER + Duration::from_millis(1);
        assert!(reader.hangs(late) && !reader.give(job(), late) && reader.way(late).is_none());
        assert!(matches!(told.recv(), Ok(Done::Answer(_, answer)) if answer.asked == 0));
        reader.done(Some(Round::new(3)), late);
        assert!(reader.is_idle() && !reader.hangs(late) && reader.give(job(), late));
        assert_eq!(
            (reader.health.answered, reader.percentile(99)),
            (Some(Round::new(3)), Some(late - start))
        );
        reader.reach(None);
        assert!(reader.is_idle() && !reader.is_there() && !reader.give(job(), late));
    }
}
