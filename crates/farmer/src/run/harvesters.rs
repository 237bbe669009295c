//! The farmer's harvesters: which are there, and which disks are behind them.

use std::{path::PathBuf, time::Instant};

use mass_rpc::farm::HarvesterStatus;

use super::{Farmer, Totals};
use crate::{
    disk::{Give, Job},
    events::FarmEvent,
    harvest::{Harbour, Landed, link::News},
};

/// A harvester that is known.
pub(super) struct Partner {
    pub name: String,
    /// Its disks by number.
    pub disks: Vec<usize>,
    /// The connection that counts, if it is there.
    connection: Option<u64>,
    software: Option<String>,
    version: Option<u16>,
    reason: Option<String>,
}

impl Partner {
    /// Those that were paired.
    pub fn known(harbour: Option<&Harbour>) -> Vec<Self> {
        let names = harbour.into_iter().flat_map(Harbour::names);
        names.map(Self::new).collect()
    }

    const fn new(name: String) -> Self {
        let disks = Vec::new();
        Self { name, disks, connection: None, software: None, version: None, reason: None }
    }

    /// How it fares.
    pub fn status(&self) -> HarvesterStatus {
        HarvesterStatus {
            name: self.name.clone(),
            connected: self.connection.is_some(),
            reason: self.reason.clone(),
            software: self.software.clone(),
            protocol: self.version,
            disks: self.disks.len() as u64,
        }
    }
}

impl<W: FnMut(&FarmEvent, &Totals)> Farmer<W> {
    /// A harvester has come, gone, or done something. What an earlier connection of it says counts no more.
    pub(super) fn landed(&mut self, Landed { connection, name, news }: Landed) {
        let mut position = self.partners.iter().position(|partner| partner.name == name);
        if position.is_none() && matches!(news, News::Joined { .. }) {
            self.partners.push(Partner::new(name.clone()));
            position = Some(self.partners.len() - 1);
        }
        let Some(position) = position else { return };
        let is_current = self.partners[position].connection == Some(connection);
        match news {
            News::Joined { software, version, disks } => {
                self.set_disks(position, disks);
                let partner = &mut self.partners[position];
                (partner.connection, partner.reason) = (Some(connection), None);
                (partner.software, partner.version) = (Some(software), Some(version));
                let disks = partner.disks.len();
                self.tell(&FarmEvent::HarvesterJoined { harvester: name, disks });
            }
            News::Done(place, done) if is_current => {
                if let Some(number) = self.partners[position].disks.get(place).copied() {
                    self.disk_done(number, done);
                }
            }
            News::Left(reason) if is_current => {
                let partner = &mut self.partners[position];
                (partner.connection, partner.reason) = (None, Some(reason.clone()));
                for number in partner.disks.clone() {
                    self.lose(number);
                }
                self.tell(&FarmEvent::HarvesterLost { harvester: name, reason });
            }
            News::Removed => {
                for number in self.partners.remove(position).disks {
                    self.drop_disk(number);
                }
            }
            News::Done(..) | News::Left(_) => {}
        }
    }

    /// A harvester has these disks now. One that it had before keeps its record.
    fn set_disks(&mut self, position: usize, disks: Vec<(PathBuf, Give)>) {
        let before = std::mem::take(&mut self.partners[position].disks);
        let mut numbers = Vec::new();
        for (path, give) in disks {
            let is_it = |number: &&usize| self.farm.disk(**number).is_some_and(|disk| disk.path() == path);
            let known = before.iter().find(is_it).copied().filter(|number| !numbers.contains(number));
            if let Some(number) = known {
                self.lose(number);
                if let Some(reader) = self.readers.get_mut(&number) {
                    reader.reach(Some(give));
                }
                numbers.push(number);
            } else {
                let number = self.next_disk();
                self.add_disk(number, path, give);
                numbers.push(number);
            }
        }
        for number in before.into_iter().filter(|number| !numbers.contains(number)).collect::<Vec<_>>() {
            self.drop_disk(number);
        }
        let now = Instant::now();
        for number in &numbers {
            if let Some(reader) = self.readers.get_mut(number) {
                reader.give(Job::Scan, now);
            }
        }
        self.partners[position].disks = numbers;
    }

    /// A disk cannot be reached: nobody waits for what it owes.
    fn lose(&mut self, number: usize) {
        if let Some(reader) = self.readers.get_mut(&number) {
            reader.reach(None);
        }
        let mut turns = Vec::new();
        for look in &mut self.looks {
            for groups in look.waiting.remove(&number).into_iter().flatten() {
                // Should the disk be back in time, it is asked again.
                look.groups.retain(|group| !groups.contains(group));
                turns.push(look.turn);
            }
        }
        if let Some(reader) = self.readers.get_mut(&number) {
            reader.health.missed += turns.len() as u64;
        }
        turns.iter().for_each(|turn| self.settle(turn));
    }

    fn drop_disk(&mut self, number: usize) {
        self.lose(number);
        self.readers.remove(&number);
        self.farm.remove_disk(number);
    }
}
