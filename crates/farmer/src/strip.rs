//! The strip of the last rounds: which were answered, how fast, and which disks missed them. Pure.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Instant,
};

use mass_rpc::farm_view::RoundReport;

use crate::disk::Turn;

/// Rounds that are remembered.
const ROUNDS_MAX: usize = 512;

/// The last rounds, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Strip(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    turn: Turn,
    begun: Instant,
    unix: u64,
    asked: u64,
    reads: u64,
    qualities: u64,
    milliseconds: Option<u64>,
    is_over: bool,
    missed: BTreeSet<usize>,
}

impl Strip {
    fn find(&mut self, turn: &Turn) -> Option<&mut Entry> {
        self.0.iter_mut().rev().find(|entry| entry.turn == *turn)
    }

    /// The disks are asked now.
    pub fn begin(&mut self, turn: Turn, now: Instant, unix: u64) {
        if self.0.len() == ROUNDS_MAX {
            self.0.pop_front();
        }
        let (missed, is_over, milliseconds) = (BTreeSet::new(), false, None);
        let (asked, reads, qualities) = (0, 0, 0);
        self.0.push_back(Entry {
            turn,
            begun: now,
            unix,
            asked,
            reads,
            qualities,
            milliseconds,
            is_over,
            missed,
        });
    }

    /// A disk could not be asked, or is asked after all.
    pub fn set_missed(&mut self, turn: &Turn, disk: usize, is_missed: bool) {
        if let Some(entry) = self.find(turn) {
            if is_missed {
                entry.missed.insert(disk);
            } else {
                entry.missed.remove(&disk);
            }
        }
    }

    /// All disks that were asked have answered.
    pub fn answered(&mut self, turn: &Turn, asked: u64, reads: u64, qualities: u64, now: Instant) {
        if let Some(entry) = self.find(turn) {
            (entry.asked, entry.reads, entry.qualities) = (asked, reads, qualities);
            let taken = now.duration_since(entry.begun).as_millis();
            entry.milliseconds = Some(u64::try_from(taken).unwrap_or(u64::MAX));
        }
    }

    /// The round is over; these disks have not answered.
    pub fn over(&mut self, turn: &Turn, waiting: impl Iterator<Item = usize>) {
        if let Some(entry) = self.find(turn) {
            entry.is_over = true;
            entry.missed.extend(waiting);
        }
    }

    /// The last rounds; `chains` names those that use a beacon, `disk` a disk.
    pub fn report(
        &self,
        count: usize,
        chains: impl Fn(&Turn) -> Vec<String>,
        disk: impl Fn(usize) -> String,
    ) -> Vec<RoundReport> {
        let skipped = self.0.len().saturating_sub(count);
        let report = |entry: &Entry| RoundReport {
            beacon: entry.turn.beacon,
            chains: chains(&entry.turn),
            round: entry.turn.round,
            time: entry.unix,
            asked: entry.asked,
            reads: entry.reads,
            qualities: entry.qualities,
            milliseconds: entry.milliseconds,
            is_over: entry.is_over,
            missed: entry.missed.iter().map(|number| disk(*number)).collect(),
        };
        self.0.iter().skip(skipped).map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mass_primitives::{ChainId, Round, Seed};

    use super::*;

    fn turn(round: u64) -> Turn {
        Turn { beacon: ChainId::ZERO, seed: Seed::ZERO, round: Round::new(round) }
    }

    #[test]
    fn a_round_is_answered_in_a_time_or_missed_by_disks() {
        let (mut strip, start) = (Strip::default(), Instant::now());
        let later = start + Duration::from_millis(40);
        for round in 1..=3 {
            strip.begin(turn(round), start, 100 + round);
        }
        strip.answered(&turn(1), 8, 4, 2, later);
        strip.set_missed(&turn(2), 5, true);
        strip.set_missed(&turn(2), 6, true);
        strip.set_missed(&turn(2), 6, false);
        strip.over(&turn(2), [7].into_iter());
        let report =
            |count| strip.report(count, |_| vec!["dev".to_owned()], |number| format!("disk {number}"));
        let rounds = report(10);
        let told: Vec<_> =
            rounds.iter().map(|round| (round.round.get(), round.milliseconds, round.is_over)).collect();
        assert_eq!(told, [(1, Some(40), false), (2, None, true), (3, None, false)]);
        assert_eq!((rounds[0].asked, rounds[0].reads, rounds[0].qualities, rounds[0].time), (8, 4, 2, 101));
        assert_eq!(rounds[1].missed, ["disk 5", "disk 7"]);
        assert_eq!(report(1), rounds[2..]);
        assert!(report(0).is_empty());
    }

    #[test]
    fn old_rounds_are_forgotten() {
        let (mut strip, now) = (Strip::default(), Instant::now());
        (0..2_000).for_each(|round| strip.begin(turn(round), now, 0));
        let rounds = strip.report(usize::MAX, |_| Vec::new(), |_| String::new());
        assert_eq!((rounds.len(), rounds[0].round.get()), (ROUNDS_MAX, 2_000 - ROUNDS_MAX as u64));
    }
}
