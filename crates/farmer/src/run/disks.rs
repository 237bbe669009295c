//! The farmer's disks: given jobs, looked after, asked and accounted for.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use mass_primitives::GroupId;
use mass_rpc::{
    farm::{DiskStatus, FarmStatus},
    farm_view::{FarmLuck, FarmRounds},
};

use super::{Farmer, Report};
use crate::{
    chain::Member,
    disk::{self, Done, Give, Job, Reader, Turn},
    doctor::diagnose,
    events::{FarmEvent, Totals},
    farm::{Disk, Fault},
    luck,
};

impl<W: FnMut(&FarmEvent, &Totals)> Farmer<W> {
    /// Starts the threads of directories of this machine.
    pub(super) fn add_directories(&mut self, directories: Vec<PathBuf>, work: disk::Work) {
        for path in directories {
            let (number, reports) = (self.next_disk(), self.reports.clone());
            // Nobody is left to hear of it only when the farmer has stopped.
            let report = move |done| drop(reports.send(Report::Disk(number, done)));
            self.add_disk(number, path.clone(), disk::spawn(path, work, report));
        }
    }

    /// A number that no disk has, nor any disk after it.
    pub(super) fn next_disk(&self) -> usize {
        self.readers.last_key_value().map_or(0, |(number, _)| number + 1)
    }

    pub(super) fn add_disk(&mut self, number: usize, path: PathBuf, give: Give) {
        self.farm.add_disk(number, path);
        self.readers.insert(number, Reader::new(give));
    }

    /// Has each disk that is at rest looked into for plots that came or went.
    pub(super) fn scan(&mut self) {
        let now = Instant::now();
        for reader in self.readers.values_mut().filter(|reader| reader.is_idle()) {
            reader.give(Job::Scan, now);
        }
    }

    pub(super) fn look_around(&mut self) {
        self.scan();
        self.members.iter().for_each(Member::ask_health);
    }

    /// Tells of disks that hang and of those that answer again.
    pub(super) fn look_after_disks(&mut self) {
        let now = Instant::now();
        let mut changed = Vec::new();
        for (number, reader) in &mut self.readers {
            let hangs = reader.hangs(now);
            if std::mem::replace(&mut reader.health.hangs, hangs) != hangs {
                changed.push((*number, hangs));
            }
        }
        for (number, hangs) in changed {
            let disk = self.disk_name(number);
            self.tell(&if hangs { FarmEvent::DiskHangs { disk } } else { FarmEvent::DiskBack { disk } });
        }
    }

    fn disk_name(&self, number: usize) -> String {
        self.farm.disk(number).map(|disk| disk.path().display().to_string()).unwrap_or_default()
    }

    pub(super) fn disk_done(&mut self, number: usize, done: Done) {
        let now = Instant::now();
        let Some(reader) = self.readers.get_mut(&number) else { return };
        match done {
            Done::Scan(scan) => {
                reader.done(None, now);
                let plots_now = |farmer: &Self| farmer.farm.disk(number).map_or(0, Disk::plots);
                let before = plots_now(self);
                let faults = self.farm.scanned(number, scan);
                let plots = plots_now(self);
                if plots != before {
                    self.tell(&FarmEvent::Plots { disk: self.disk_name(number), plots });
                }
                self.tell_faults(faults);
                self.ask_late(number);
            }
            Done::Answer(turn, mut answer) => {
                reader.done(Some(turn.round), now);
                let groups = self.has_answered(&turn, number);
                let faults = self.farm.asked(number, &groups, std::mem::take(&mut answer.faults));
                self.tell_faults(faults);
                self.answered(&turn, &answer);
                self.settle(&turn);
            }
        }
    }

    fn tell_faults(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            self.tell(&FarmEvent::Fault { reason: fault.to_string() });
        }
    }

    /// A disk has answered what it was asked first; which groups that was.
    fn has_answered(&mut self, turn: &Turn, disk: usize) -> Vec<GroupId> {
        let Some(look) = self.looks.iter_mut().find(|look| look.turn == *turn) else { return Vec::new() };
        let Some(questions) = look.waiting.get_mut(&disk) else { return Vec::new() };
        let groups = questions.pop_front().unwrap_or_default();
        if questions.is_empty() {
            look.waiting.remove(&disk);
        }
        groups
    }

    /// When all disks have answered a challenge, it is done; again, if one was asked more since.
    pub(super) fn settle(&mut self, turn: &Turn) {
        let Some(look) = self.looks.iter_mut().find(|look| look.turn == *turn) else { return };
        if look.waiting.is_empty() && !look.is_done {
            look.is_done = true;
            let (asked, reads, qualities) = (look.asked, look.reads, look.found.len() as u64);
            let Turn { beacon, round, .. } = *turn;
            self.totals.rounds += 1;
            self.strip.answered(turn, asked, reads, qualities, Instant::now());
            self.tell(&FarmEvent::Round { beacon, round, asked, reads, qualities });
        }
    }

    /// Tells of troubles that begin and of those that are over. Without trials: those take minutes.
    pub(super) fn look_for_trouble(&mut self) {
        let findings = diagnose(self.status(), Vec::new()).findings;
        for event in self.troubles.look(findings, Instant::now()) {
            self.tell(&event);
        }
    }

    /// How all parts fare.
    pub(super) fn status(&self) -> FarmStatus {
        let disks = self.readers.iter().filter_map(|(number, reader)| self.disk_status(*number, reader));
        FarmStatus {
            farmer: self.secret.public(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            record_free_bytes: self.guard.free_bytes(),
            disks: disks.collect(),
            harvesters: self.partners.iter().map(|partner| partner.status()).collect(),
            chains: self.members.iter().map(|member: &Member| member.status(&self.totals)).collect(),
            rounds: self.totals.rounds,
            reads: self.totals.reads,
            qualities: self.totals.qualities,
            proofs: self.totals.proofs,
        }
    }

    /// The last rounds.
    pub(super) fn rounds(&self) -> FarmRounds {
        let sharing = |turn: &Turn| {
            let members = self.members.iter().filter(|member| *member.config.spec.beacon_id() == turn.beacon);
            members.map(Member::name).collect()
        };
        FarmRounds { rounds: self.strip.report(usize::MAX, sharing, |number| self.disk_name(number)) }
    }

    /// What so much space is to expect, and what it has.
    pub(super) fn luck(&self) -> FarmLuck {
        let luck = |member: &Member| luck::of_chain(&self.farm, member, &self.totals);
        FarmLuck {
            seconds: self.started.elapsed().as_secs(),
            chains: self.members.iter().map(luck).collect(),
        }
    }

    fn disk_status(&self, number: usize, reader: &Reader) -> Option<DiskStatus> {
        let disk = self.farm.disk(number)?;
        let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
        let owner = self.partners.iter().find(|partner| partner.disks.contains(&number));
        Some(DiskStatus {
            path: disk.path().display().to_string(),
            harvester: owner.map(|partner| partner.name.clone()),
            plots: disk.plots(),
            bytes: disk.groups().map(|file| file.bytes).sum(),
            free_bytes: disk.free_bytes(),
            answered: reader.health.answered,
            missed: reader.health.missed,
            away: !reader.is_there(),
            hangs: reader.hangs(Instant::now()),
            p50_milliseconds: reader.percentile(50).map(milliseconds),
            p99_milliseconds: reader.percentile(99).map(milliseconds),
            faults: disk.faults().cloned().collect(),
            unfinished: disk.unfinished().to_vec(),
        })
    }

    /// The ways to disks with plots that answer, for a plot of each to be tried out.
    pub(super) fn ways(&self) -> Vec<(String, Give)> {
        let now = Instant::now();
        let with_plots =
            self.readers.iter().filter(|(number, _)| self.farm.disk(**number).is_some_and(|d| d.plots() > 0));
        with_plots.filter_map(|(number, reader)| Some((self.disk_name(*number), reader.way(now)?))).collect()
    }
}
