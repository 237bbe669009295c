//! The thread of a disk: it alone reads there, one job after the other, so that a disk that sleeps or hangs
//! delays nothing but itself.

use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use mass_primitives::{Challenge, Round};

use crate::farm::{Answer, Numbered, Scan, look_up, scan};

/// A disk that has owed an answer for so long hangs: it is asked nothing more until it answers.
const HANGS_AFTER: Duration = Duration::from_secs(5);

/// Look-up times that are remembered, for the percentiles.
const TIMES_MAX: usize = 512;

/// What a disk is to do.
pub(crate) enum Job<T> {
    /// Look for plots that came or went; these are open.
    Scan(BTreeSet<PathBuf>),
    /// Ask these plots.
    Ask(T, Challenge, Numbered),
}

/// What a disk has done.
pub(crate) enum Done<T> {
    Scan(Scan),
    Answer(T, Answer),
}

/// How a job is done: [`read`], but for tests of disks that hang.
pub(crate) type Work<T> = fn(&Path, Job<T>) -> Done<T>;

/// Does a job by reading the disk.
pub(crate) fn read<T>(dir: &Path, job: Job<T>) -> Done<T> {
    match job {
        Job::Scan(open) => Done::Scan(scan(dir, &open)),
        Job::Ask(turn, challenge, plots) => Done::Answer(turn, look_up(&plots, &challenge)),
    }
}

/// A disk's thread and its record.
pub(crate) struct Reader<T> {
    jobs: mpsc::Sender<Job<T>>,
    /// Jobs that were given and not done, the first first.
    owed: VecDeque<Instant>,
    times: VecDeque<Duration>,
    pub health: Health,
}

/// How a disk fares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// The last round whose challenge it has answered.
    pub answered: Option<Round>,
    /// Challenges that it could not be asked because it hung.
    pub missed: u64,
    /// Whether it hangs, as was told.
    pub hangs: bool,
}

impl<T: Send + 'static> Reader<T> {
    /// Starts the thread of a disk, which does its jobs with `work`.
    pub fn spawn(dir: PathBuf, work: Work<T>, report: impl Fn(Done<T>) + Send + 'static) -> Self {
        let (jobs, inbox) = mpsc::channel::<Job<T>>();
        thread::spawn(move || inbox.into_iter().for_each(|job| report(work(&dir, job))));
        Self { jobs, owed: VecDeque::new(), times: VecDeque::new(), health: Health::default() }
    }

    /// Whether it owes nothing.
    pub fn is_idle(&self) -> bool {
        self.owed.is_empty()
    }

    /// Whether it has owed an answer for too long.
    pub fn hangs(&self, now: Instant) -> bool {
        self.owed.front().is_some_and(|since| now.duration_since(*since) > HANGS_AFTER)
    }

    /// Gives it a job, unless it hangs.
    pub fn give(&mut self, job: Job<T>, now: Instant) -> bool {
        let takes = !self.hangs(now) && self.jobs.send(job).is_ok();
        if takes {
            self.owed.push_back(now);
        }
        takes
    }

    /// It has done what it was given first.
    pub fn done(&mut self, round: Option<Round>, now: Instant) {
        let Some(since) = self.owed.pop_front() else { return };
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
        let mut reader = Reader::<()>::spawn(dir.path().to_owned(), read, move |done| drop(tell.send(done)));
        let start = Instant::now();
        let job = || Job::Ask((), Challenge::ZERO, Vec::new());
        assert!(reader.give(job(), start) && !reader.is_idle());
        let late = start + HANGS_AFTER + Duration::from_millis(1);
        assert!(reader.hangs(late) && !reader.give(job(), late));
        assert!(matches!(told.recv(), Ok(Done::Answer((), answer)) if answer.asked == 0));
        reader.done(Some(Round::new(3)), late);
        assert!(reader.is_idle() && !reader.hangs(late) && reader.give(job(), late));
        assert_eq!(
            (reader.health.answered, reader.percentile(99)),
            (Some(Round::new(3)), Some(late - start))
        );
    }
}
