//! The reads to come: which group is asked when, as far as the seed tells. Pure.
//!
//! A seed gives each group one turn in `F_s` rounds (FLT-1), so all turns are known until the period ends. When that
//! is depends on blocks that are still to come: it is expected, not known.

use std::collections::BTreeSet;

use mass_consensus::{lottery::next_asked, spec::ChainSpec};
use mass_plot::READS_PER_CHALLENGE;
use mass_primitives::{ChainId, GroupId, Height, Round, Seed, Slot};
use mass_proof_of_space::Strength;
use mass_rpc::{
    Work,
    farm::{BeaconReads, DiskReads, DiskRest, FarmReads, GroupTurn, KnownUntil},
};

use crate::{
    chain::Member,
    farm::{Disk, Farm},
    run::ROUNDS_AHEAD,
};

/// Turns of a disk that are named at the most, for one beacon.
const TURNS_MAX: usize = 2_000;

/// A group of a disk.
struct Group {
    id: GroupId,
    plots: u16,
    strength: Strength,
}

/// When the disks of a farm will be read, at `now` in unix seconds.
pub(crate) fn upcoming(farm: &Farm, members: &[Member], now: u64) -> FarmReads {
    let beacons: BTreeSet<ChainId> = members.iter().map(|member| *member.config.spec.beacon_id()).collect();
    let beacons: Vec<BeaconReads> = beacons
        .iter()
        .filter_map(|beacon| {
            let sharing = || members.iter().filter(|member| member.config.spec.beacon_id() == beacon);
            // The chain that makes the seeds knows how long they last.
            let mut speaking: Vec<(&ChainSpec, &Work)> = sharing()
                .filter_map(|member| Some((&member.config.spec, &member.work.as_ref()?.0)))
                .collect();
            speaking.sort_by_key(|(spec, _)| spec.inherits_beacon());
            let (spec, work) = speaking.first()?;
            let names = sharing().map(Member::name).collect();
            Some(of_beacon(farm, spec, work, names, now))
        })
        .collect();
    let disks = farm.disks().map(|(_, disk)| disk.path().display().to_string());
    FarmReads { time: now, disks: disks.map(|disk| rest(disk, &beacons)).collect(), beacons }
}

fn of_beacon(farm: &Farm, spec: &ChainSpec, work: &Work, chains: Vec<String>, now: u64) -> BeaconReads {
    let round = spec.round(work.now);
    let known = known_until(spec, work.height, work.after, now);
    let of_disk = |(_, disk): (usize, &Disk)| {
        let files = disk.groups().filter(|file| Farm::counts(file, spec));
        let groups =
            files.map(|file| Group { id: file.group, plots: file.plots, strength: file.identity.strength });
        let disk = disk.path().display().to_string();
        of_disk(disk, &groups.collect::<Vec<_>>(), spec, &work.seed, round, known)
    };
    BeaconReads {
        beacon: *spec.beacon_id(),
        chains,
        seed: work.seed,
        round,
        round_seconds: round_seconds(spec),
        known,
        disks: farm.disks().map(of_disk).collect(),
    }
}

fn round_seconds(spec: &ChainSpec) -> u64 {
    spec.rules().round_slots.saturating_mul(u64::from(spec.rules().slot_seconds))
}

/// When the period of the block at `height`, the next one, ends; only a chain with seeds of its own knows. `after` is
/// the slot of the block before.
fn known_until(spec: &ChainSpec, height: Height, after: Slot, now: u64) -> Option<KnownUntil> {
    if spec.inherits_beacon() {
        return None;
    }
    let rules = spec.rules();
    let blocks = rules.period_blocks - height.get() % rules.period_blocks;
    // Slots rise by one at the least, and blocks have no memory: however long the next one has been waited for, it is
    // as far away as ever.
    let earliest = spec.slot_time(Slot::new(after.get().saturating_add(blocks.into())))?;
    let slots = u64::from(blocks).saturating_mul(rules.interval_slots);
    let expected = now.saturating_add(slots.saturating_mul(rules.slot_seconds.into()));
    Some(KnownUntil { blocks, expected, earliest: now.max(earliest.into()) })
}

fn of_disk(
    disk: String,
    groups: &[Group],
    spec: &ChainSpec,
    seed: &Seed,
    present: Round,
    known: Option<KnownUntil>,
) -> DiskReads {
    // What is asked in this round or the next is read already.
    let from = Round::new(present.get().saturating_add(ROUNDS_AHEAD + 1));
    let turn = |group: &Group| {
        let round = next_asked(spec.beacon_id(), seed, &group.id, spec.filter(group.strength), from)?;
        let time = spec.slot_time(spec.round_start(Round::new(round.get() - ROUNDS_AHEAD)))?.into();
        let is_expected = known.is_some_and(|known| time < known.expected);
        Some(GroupTurn { group: group.id, plots: group.plots, round, time, is_expected })
    };
    let mut turns: Vec<GroupTurn> = groups.iter().filter_map(turn).collect();
    turns.sort_by_key(|turn| (turn.round, turn.group));
    let left_off = turns.len().saturating_sub(TURNS_MAX) as u64;
    turns.truncate(TURNS_MAX);
    let per_hour = |group: &Group| {
        READS_PER_CHALLENGE as f64 * 3_600.0 / (spec.filter(group.strength) * round_seconds(spec)) as f64
    };
    let reads_per_hour = groups.iter().map(per_hour).sum();
    DiskReads { disk, groups: groups.len() as u64, reads_per_hour, turns, left_off }
}

/// When a disk may rest: until its first turn, or until a period ends and all turns are others.
fn rest(disk: String, beacons: &[BeaconReads]) -> DiskRest {
    let mine = || {
        let of = |beacon: &BeaconReads| beacon.disks.iter().find(|reads| reads.disk == disk).cloned();
        beacons
            .iter()
            .filter_map(move |beacon| Some((beacon, of(beacon)?)))
            .filter(|(_, reads)| reads.groups > 0)
    };
    let turn = mine().filter_map(|(_, reads)| Some(reads.turns.first()?.time)).min();
    let is_known = mine().next().is_some() && mine().all(|(beacon, _)| beacon.known.is_some());
    let end = mine().filter_map(|(beacon, _)| Some(beacon.known?.expected)).min();
    let sleeps_until = [turn, end].into_iter().flatten().min().filter(|_| is_known);
    DiskRest {
        reads_per_hour: mine().map(|(_, reads)| reads.reads_per_hour).sum(),
        is_period_end: sleeps_until.is_some() && sleeps_until != turn,
        sleeps_until,
        disk,
    }
}

#[cfg(test)]
mod tests {
    use mass_consensus::lottery::is_asked;

    use super::*;

    fn spec() -> ChainSpec {
        ChainSpec::built_in("dev").unwrap()
    }

    fn groups() -> Vec<Group> {
        let group = |byte| Group { id: GroupId::new([byte; 32]), plots: 2, strength: Strength::MIN };
        (0..40).map(group).collect()
    }

    /// What is foretold is what the rounds then ask, and all that they ask.
    #[test]
    fn what_is_foretold_is_what_is_asked() {
        let (spec, seed, present) = (spec(), Seed::new([5; 32]), Round::new(100));
        let known = KnownUntil { blocks: 9, expected: u64::MAX, earliest: 0 };
        let reads = of_disk("a".to_owned(), &groups(), &spec, &seed, present, Some(known));
        assert_eq!((reads.groups, reads.turns.len(), reads.left_off), (40, 40, 0));
        let mut foretold: Vec<(Round, GroupId)> =
            reads.turns.iter().map(|turn| (turn.round, turn.group)).collect();
        assert!(foretold.is_sorted());
        let filter = spec.filter(Strength::MIN);
        let asked = (102..102 + filter).map(Round::new).flat_map(|round| {
            let (spec, seed) = (&spec, &seed);
            let asked = groups()
                .into_iter()
                .filter(move |group| is_asked(spec.beacon_id(), seed, &group.id, filter, round));
            asked.map(move |group| (round, group.id))
        });
        let mut asked: Vec<_> = asked.collect();
        asked.sort_unstable();
        foretold.sort_unstable();
        assert_eq!(foretold, asked);
        for turn in &reads.turns {
            let start = spec.slot_time(spec.round_start(Round::new(turn.round.get() - 1))).unwrap();
            assert!(turn.time == u64::from(start) && turn.is_expected);
        }
        let hourly = 40.0 * 4.0 * 3_600.0 / (filter * round_seconds(&spec)) as f64;
        assert!((reads.reads_per_hour - hourly).abs() < 1e-9, "{}", reads.reads_per_hour);
    }

    #[test]
    fn knowledge_ends_with_the_period() {
        let spec = spec();
        let rules = spec.rules();
        let (period, now) = (rules.period_blocks, u64::from(rules.genesis_time) + 1_000);
        let until = |height| known_until(&spec, Height::new(height), Slot::new(900), now).unwrap();
        assert_eq!(
            (until(period - 1).blocks, until(period).blocks, until(2 * period + 3).blocks),
            (1, period, period - 3)
        );
        let known = until(period - 2);
        let seconds = 2 * rules.interval_slots * u64::from(rules.slot_seconds);
        assert_eq!(known.expected, now + seconds);
        assert_eq!(known.earliest, now, "902 slots are long over");
        let child = ChainSpec::built_in("dev2").unwrap();
        assert_eq!(known_until(&child, Height::new(1), Slot::new(1), now), None);
    }

    #[test]
    fn a_disk_sleeps_until_its_first_turn_or_the_end_of_a_period() {
        let (spec, seed) = (spec(), Seed::new([5; 32]));
        let beacon = |expected: Option<u64>| {
            let known = expected.map(|expected| KnownUntil { blocks: 1, expected, earliest: 0 });
            let disk = |name: &str, groups: &[Group]| {
                of_disk(name.to_owned(), groups, &spec, &seed, Round::new(100), known)
            };
            BeaconReads {
                beacon: *spec.beacon_id(),
                chains: vec![],
                seed,
                round: Round::new(100),
                round_seconds: round_seconds(&spec),
                known,
                disks: vec![disk("a", &groups()[..1]), disk("empty", &[])],
            }
        };
        let turn = beacon(Some(u64::MAX)).disks[0].turns[0].time;
        let check = |beacons: &[BeaconReads], until, is_period_end| {
            let rest = rest("a".to_owned(), beacons);
            assert_eq!((rest.sleeps_until, rest.is_period_end), (until, is_period_end));
        };
        check(&[beacon(Some(u64::MAX))], Some(turn), false);
        check(&[beacon(Some(turn - 1))], Some(turn - 1), true);
        check(&[beacon(Some(u64::MAX)), beacon(Some(turn - 5))], Some(turn - 5), true);
        check(&[beacon(None)], None, false);
        check(&[], None, false);
        assert_eq!(rest("empty".to_owned(), &[beacon(Some(1))]).sleeps_until, None);
    }
}
