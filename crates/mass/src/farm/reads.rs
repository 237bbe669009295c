//! `mass farm reads`: when the disks of a running farm will be read.

use std::time::Duration;

use anyhow::Context;
use mass_rpc::farm::{BeaconReads, DiskReads, DiskRest, FarmClient, FarmReads, GroupTurn};

use crate::output::{Output, Verdict, human_time, table};

/// Characters of a group id that are shown to people.
const ID_CHARS: usize = 16;

/// The reads to come.
pub async fn show(url: &str, turns: usize, output: Output) -> anyhow::Result<Verdict> {
    let reads = mass_rpc::client(url).with_context(|| url.to_owned())?.farm_reads().await;
    let reads = reads.with_context(|| format!("the farm at {url}"))?;
    output.result(&serde_json::to_value(&reads)?, &describe(&reads, turns))?;
    Ok(Verdict::Good)
}

fn describe(reads: &FarmReads, shown: usize) -> String {
    let head = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut text: String = reads.beacons.iter().map(|beacon| seed(beacon, reads.time)).collect();
    let mut disks = vec![head(&["disk", "reads an hour", "sleeps for"])];
    disks.extend(reads.disks.iter().map(|disk| rest(disk, reads.time)));
    text.push_str(&table(&disks));
    let mut turns: Vec<(&BeaconReads, &DiskReads, &GroupTurn)> = Vec::new();
    for beacon in &reads.beacons {
        for disk in &beacon.disks {
            turns.extend(disk.turns.iter().map(|turn| (beacon, disk, turn)));
        }
    }
    turns.sort_by_key(|(.., turn)| turn.time);
    let all = turns.len() as u64
        + reads.beacons.iter().flat_map(|beacon| &beacon.disks).map(|disk| disk.left_off).sum::<u64>();
    let mut rows = vec![head(&["in", "round", "disk", "chains", "group", "plots", ""])];
    rows.extend(turns.iter().take(shown).map(|(beacon, disk, turn)| row(beacon, disk, turn, reads.time)));
    if rows.len() > 1 {
        text.push_str(&table(&rows));
    }
    let left = all.saturating_sub(shown as u64);
    if left > 0 {
        text.push_str(&format!("and {left} turns more: --turns shows them\n"));
    }
    if reads.beacons.is_empty() {
        text.push_str("no node has given work yet, so no turn is known\n");
    }
    text
}

fn wait(time: u64, now: u64) -> String {
    human_time(Duration::from_secs(time.saturating_sub(now)))
}

/// How long the seed of a beacon lasts.
fn seed(beacon: &BeaconReads, now: u64) -> String {
    let BeaconReads { chains, round, round_seconds, known, .. } = beacon;
    let lasts = match known {
        Some(known) => {
            let about = wait(known.expected, now);
            let least = match known.earliest > now {
                true => format!(", and at least for {}", wait(known.earliest, now)),
                false => String::new(),
            };
            format!("the turns hold for {} blocks more, about {about}{least}", known.blocks)
        }
        None => "where its period ends is known to the chain of its beacon alone, which is not farmed: turns may change at any round"
            .to_owned(),
    };
    format!("{}: round {round} of {round_seconds} seconds; {lasts}\n", chains.join(", "))
}

fn rest(disk: &DiskRest, now: u64) -> Vec<String> {
    let sleeps = match disk.sleeps_until {
        Some(time) if disk.is_period_end => {
            format!("{}, when a period is expected to end", wait(time, now))
        }
        Some(time) => wait(time, now),
        None => "not known".to_owned(),
    };
    vec![disk.disk.clone(), format!("{:.1}", disk.reads_per_hour), sleeps]
}

fn row(beacon: &BeaconReads, disk: &DiskReads, turn: &GroupTurn, now: u64) -> Vec<String> {
    let id: String = turn.group.to_string().chars().take(ID_CHARS).collect();
    let doubt = if turn.is_expected { "" } else { "if the period lasts" };
    vec![
        wait(turn.time, now),
        turn.round.to_string(),
        disk.disk.clone(),
        beacon.chains.join(", "),
        id,
        turn.plots.to_string(),
        doubt.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use mass_primitives::{ChainId, GroupId, Round, Seed};
    use mass_rpc::farm::KnownUntil;

    use super::*;

    fn reads(known: Option<KnownUntil>) -> FarmReads {
        let turn = |byte: u8, time| GroupTurn {
            group: GroupId::new([byte; 32]),
            plots: 3,
            round: Round::new(9),
            time,
            is_expected: known.is_some_and(|known| time < known.expected),
        };
        let disk = DiskReads {
            disk: "/mnt/a".to_owned(),
            groups: 3,
            reads_per_hour: 7.5,
            turns: vec![turn(0xaa, 1_060), turn(0xbb, 5_000)],
            left_off: 1,
        };
        let beacon = BeaconReads {
            beacon: ChainId::ZERO,
            chains: vec!["dev".to_owned(), "dev2".to_owned()],
            seed: Seed::ZERO,
            round: Round::new(7),
            round_seconds: 16,
            known,
            disks: vec![disk],
        };
        let rest = DiskRest {
            disk: "/mnt/a".to_owned(),
            reads_per_hour: 7.5,
            sleeps_until: known.map(|_| 1_060),
            is_period_end: false,
        };
        FarmReads { time: 1_000, beacons: vec![beacon], disks: vec![rest] }
    }

    #[test]
    fn people_read_what_is_known_and_where_that_ends() {
        let text = describe(&reads(Some(KnownUntil { blocks: 4, expected: 1_120, earliest: 1_004 })), 20);
        for part in [
            "dev, dev2: round 7 of 16 seconds; the turns hold for 4 blocks more, about 2 minutes, and at least for 4 seconds",
            "/mnt/a  7.5            60 seconds",
            "aaaaaaaaaaaaaaaa",
            "if the period lasts",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches("if the period lasts").count(), 1, "{text}");
        let text = describe(&reads(None), 1);
        assert!(text.contains("not known") && text.contains("and 2 turns more"), "{text}");
    }
}
