//! From how the parts fare to what is wrong and what to do about it. Pure.

use mass_rpc::farm::{
    ChainStatus, Diagnosis, DiskFault, DiskStatus, FarmStatus, FaultKind, Finding, FindingKind,
    HarvesterStatus, Severity, Trial, Unfinished,
};

/// A disk whose look-ups take longer than this is likely to be late.
const SLOW_MILLISECONDS: f64 = 1_000.0;
/// So few wins have a cause.
const P_VALUE_MIN: f64 = 0.01;
/// A clock that is further off than this many slots loses wins.
const SKEW_SLOTS_MAX: u64 = 1;

/// A file system with fewer free bytes than this has no room for the record of signed slots.
const RECORD_BYTES_MIN: u64 = 1 << 20;
/// One with fewer than this soon has none.
const RECORD_BYTES_FEW: u64 = 64 << 20;

/// The way out when two farm with one key.
const END_OTHER_FARMER: &str = "stop the other farmer, export its record (mass keys guard export), stop this one, import \
    it here (mass keys guard import), and start again; if the record is lost and nobody else farms with the key, start \
    with --watch-rounds 0";

/// What is wrong with a farm.
#[must_use]
pub fn diagnose(status: FarmStatus, trials: Vec<Trial>) -> Diagnosis {
    let mut findings: Vec<Finding> = status.disks.iter().flat_map(of_disk).collect();
    findings
        .extend(status.harvesters.iter().filter_map(|harvester| of_harvester(harvester, &status.version)));
    findings.extend(status.chains.iter().flat_map(|chain| of_chain(chain, &status.version)));
    findings.extend(trials.iter().filter_map(of_trial));
    findings.extend(status.record_free_bytes.and_then(of_record));
    if status.disks.iter().all(|disk| disk.plots == 0) {
        let action = "make plots: mass plots create";
        findings.push(error(FindingKind::NoPlots, FARM, "there is no plot to farm", action));
    }
    if status.chains.is_empty() {
        let action = "enable a chain in the file of settings";
        findings.push(error(FindingKind::NoChains, FARM, "no chain is farmed", action));
    }
    findings.sort_by_key(|finding| finding.severity);
    let earns = findings.iter().all(|finding| finding.severity != Severity::Error);
    Diagnosis { earns, findings, trials, status }
}

/// The subject of what is about no part alone.
const FARM: &str = "the farm";

fn error(kind: FindingKind, subject: &str, problem: impl Into<String>, action: impl Into<String>) -> Finding {
    let (subject, problem, action) = (subject.to_owned(), problem.into(), action.into());
    Finding { kind, severity: Severity::Error, subject, file: None, problem, action }
}

fn warning(
    kind: FindingKind,
    subject: &str,
    problem: impl Into<String>,
    action: impl Into<String>,
) -> Finding {
    Finding { severity: Severity::Warning, ..error(kind, subject, problem, action) }
}

fn of_disk(disk: &DiskStatus) -> Vec<Finding> {
    let mut findings = Vec::new();
    if disk.away {
        // Its harvester is what is to be mended.
        return findings;
    }
    if disk.hangs {
        let problem = format!("it does not answer; {} challenges were missed", disk.missed);
        let action = "check cable, power and dmesg; the farm goes on when it answers";
        findings.push(error(FindingKind::DiskHangs, &disk.path, problem, action));
    } else if disk.missed > 0 {
        let problem = format!("it hung or was away; {} challenges were missed", disk.missed);
        let action = "check the disk's health (smartctl -a)";
        findings.push(warning(FindingKind::DiskHung, &disk.path, problem, action));
    }
    if let Some(slow) = disk.p99_milliseconds.filter(|slow| *slow > SLOW_MILLISECONDS) {
        let problem = format!("one look-up in a hundred takes {slow:.0} ms or more");
        findings.push(warning(FindingKind::DiskSlow, &disk.path, problem, "take other work off the disk"));
    }
    findings.extend(disk.faults.iter().map(|fault| of_fault(&disk.path, fault)));
    findings.extend(disk.unfinished.iter().map(|group| of_group(disk, group)));
    findings
}

fn of_fault(disk: &str, fault: &DiskFault) -> Finding {
    let action = match fault.kind {
        FaultKind::OtherFarmer => "farm it with the key that it is bound to, or delete it",
        FaultKind::Duplicate => "delete one of the two",
        FaultKind::Directory => "mount the disk, or take the directory out of the farm",
        FaultKind::Plot => "repair it: mass plots repair, or make it again",
    };
    let finding = error(fault.kind.into(), disk, fault.reason.clone(), action);
    Finding { file: (fault.kind != FaultKind::Directory).then(|| fault.path.clone()), ..finding }
}

/// A disk full of plots is as it should be. What takes space and wins nothing is a group that nobody finishes.
fn of_group(disk: &DiskStatus, group: &Unfinished) -> Finding {
    let Unfinished { plots, staged, bytes_missing } = group;
    let mut problem =
        format!("a group of {plots} plots is unfinished: {staged} are made, and none is farmed");
    let mut action = "go on with it: mass plots create with the same --dir and --group".to_owned();
    if let Some(free) = disk.free_bytes.filter(|free| free < bytes_missing) {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        problem += &format!("; it needs {} MiB more, and {} MiB are free", mib(*bytes_missing), mib(free));
        action = "make room and go on with it, or remove its files: their names end in .group.tmp and .group.parts"
            .to_owned();
    }
    warning(FindingKind::UnfinishedGroup, &disk.path, problem, action)
}

/// The farm signs nothing that it cannot record first.
fn of_record(free: u64) -> Option<Finding> {
    let problem = format!("{} KiB are free where the record of signed slots is", free >> 10);
    let action = "make room there: without the record nothing is signed, and the farm ends";
    match free {
        ..RECORD_BYTES_MIN => Some(error(FindingKind::RecordSpace, FARM, problem, action)),
        RECORD_BYTES_MIN..RECORD_BYTES_FEW => Some(warning(FindingKind::RecordSpace, FARM, problem, action)),
        _ => None,
    }
}

fn of_harvester(harvester: &HarvesterStatus, version: &str) -> Option<Finding> {
    let HarvesterStatus { name, connected, reason, software, .. } = harvester;
    if !connected {
        let reason = reason.as_deref().unwrap_or("it has not come since the farm has started");
        let problem = format!("it is not connected: {reason}");
        let action = "start it there: mass harvester run; or take it out: mass farm unpair";
        return Some(error(FindingKind::HarvesterAway, name, problem, action));
    }
    let theirs = software.as_deref().filter(|theirs| *theirs != version)?;
    let problem = format!("it runs version {theirs}, the farmer {version}; both go on");
    let action = "bring both to one version when it suits";
    Some(warning(FindingKind::HarvesterVersion, name, problem, action))
}

/// What the watch for others with the key has found, or that it goes on.
fn of_watch(chain: &ChainStatus) -> Option<Finding> {
    if let Some(seal) = chain.other_farmer {
        let problem = format!(
            "another farmer seals with this key: block {} in slot {} is not in the signing record",
            seal.height, seal.slot
        );
        return Some(error(FindingKind::SealedElsewhere, &chain.name, problem, END_OTHER_FARMER));
    }
    let problem =
        format!("nothing is sealed for {} slots: others with this key are looked for", chain.watch_slots);
    let action = "wait until the start-up watch is over";
    (chain.watch_slots > 0).then(|| warning(FindingKind::Watching, &chain.name, problem, action))
}

fn of_chain(chain: &ChainStatus, version: &str) -> Vec<Finding> {
    if let Some(height) = chain.banned {
        let problem = format!("the key is banned since block {height}: it sealed twice in one slot");
        let action = "farm this chain with another key and new plots";
        return vec![error(FindingKind::Banned, &chain.name, problem, action)];
    }
    let mut findings: Vec<Finding> = of_watch(chain).into_iter().collect();
    if !chain.connected {
        let reason = chain.reason.clone().unwrap_or_else(|| "it has not answered yet".to_owned());
        let problem = format!("no work from {}: {reason}", chain.node);
        findings.push(error(FindingKind::NoWork, &chain.name, problem, "start the node: mass node run"));
        return findings;
    }
    findings.extend(of_node(chain, version));
    if chain.lost > 0 {
        let problem = format!("{} won slots were not sealed", chain.lost);
        let action = "look for \"lost\" in the farm's output";
        findings.push(warning(FindingKind::Lost, &chain.name, problem, action));
    }
    if chain.p_value < P_VALUE_MIN {
        let problem = format!(
            "{} wins where {:.1} were expected (p = {:.4})",
            chain.wins, chain.expected_wins, chain.p_value
        );
        let action = "check the plots: mass plots check --full";
        findings.push(warning(FindingKind::FewWins, &chain.name, problem, action));
    }
    findings
}

/// What is wrong with a node that gives work.
fn of_node(chain: &ChainStatus, version: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if chain.synced == Some(false) {
        let action = "wait until the node has caught up";
        findings.push(error(FindingKind::NodeBehind, &chain.name, "the node is behind its peers", action));
    }
    if chain.peers == Some(0) {
        let action = "give it one: mass node run --peer";
        findings.push(warning(FindingKind::NodeAlone, &chain.name, "the node has no peers", action));
    }
    if let Some(other) = chain.node_version.as_deref().filter(|other| *other != version) {
        let problem = format!("the node is version {other}, the farm version {version}");
        let action = "run one version: bring the older one up to date and start it again";
        findings.push(warning(FindingKind::Version, &chain.name, problem, action));
    }
    if chain.clock_skew_slots.unsigned_abs() > SKEW_SLOTS_MAX {
        let problem = format!("the node's clock is {} slots off ours", chain.clock_skew_slots);
        findings.push(error(FindingKind::Clock, &chain.name, problem, "set both clocks by NTP"));
    }
    findings
}

fn of_trial(trial: &Trial) -> Option<Finding> {
    let failure = trial.failure.as_ref()?;
    let problem = format!("a winning challenge would fail: {failure}");
    let action = "check the disk's plots: mass plots check --full";
    Some(error(FindingKind::Trial, &trial.disk, problem, action))
}

/// Probability that a Poisson variable of this mean is at most `count`.
#[must_use]
pub fn poisson_at_most(count: u64, mean: f64) -> f64 {
    // In logarithms: a term of a great mean is smaller than a float can be.
    let (mut log_term, mut sum) = (-mean, 0.0);
    for n in 0..=count {
        if n > 0 {
            log_term += mean.ln() - (n as f64).ln();
        }
        sum += log_term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use mass_primitives::{BlockId, ChainId, FarmerPublicKey, Height, Slot};
    use mass_rpc::LastSeal;

    use super::*;

    fn disk() -> DiskStatus {
        DiskStatus {
            path: "/mnt/a".to_owned(),
            harvester: None,
            away: false,
            plots: 3,
            bytes: 1,
            free_bytes: None,
            answered: None,
            missed: 0,
            hangs: false,
            p50_milliseconds: Some(1.0),
            p99_milliseconds: Some(2.0),
            faults: vec![],
            unfinished: vec![],
        }
    }

    fn chain() -> ChainStatus {
        ChainStatus {
            name: "dev".to_owned(),
            chain: ChainId::ZERO,
            beacon: ChainId::ZERO,
            node: "http://127.0.0.1:1".to_owned(),
            connected: true,
            reason: None,
            height: None,
            node_version: Some("1.0.0".to_owned()),
            pending: None,
            peers: Some(2),
            synced: Some(true),
            clock_skew_slots: 0,
            banned: None,
            watch_slots: 0,
            other_farmer: None,
            reads: 0,
            wins: 9,
            lost: 0,
            expected_wins: 10.0,
            p_value: poisson_at_most(9, 10.0),
        }
    }

    fn farm() -> FarmStatus {
        FarmStatus {
            farmer: FarmerPublicKey::ZERO,
            version: "1.0.0".to_owned(),
            record_free_bytes: Some(1 << 40),
            disks: vec![disk()],
            harvesters: vec![],
            chains: vec![chain()],
            rounds: 0,
            reads: 0,
            qualities: 0,
            proofs: 0,
        }
    }

    fn one(status: FarmStatus, trials: Vec<Trial>, earns: bool, kind: FindingKind, problem: &str) -> Finding {
        let diagnosis = diagnose(status, trials);
        let found = diagnosis.findings;
        assert_eq!((diagnosis.earns, found.len()), (earns, 1), "{found:?}");
        assert!(found[0].kind == kind && found[0].problem.contains(problem), "{found:?}");
        found[0].clone()
    }

    #[test]
    fn a_farm_in_health_has_no_findings() {
        // A disk that is full of plots, and a node that does not tell its version, are in health.
        let disks = vec![DiskStatus { free_bytes: Some(0), ..disk() }];
        let chains = vec![ChainStatus { node_version: None, peers: None, synced: None, ..chain() }];
        for status in [farm(), FarmStatus { disks, ..farm() }, FarmStatus { chains, ..farm() }] {
            let diagnosis = diagnose(status, vec![]);
            assert!(diagnosis.earns && diagnosis.findings.is_empty(), "{diagnosis:?}");
        }
    }

    #[test]
    fn each_fault_of_a_disk_has_one_finding() {
        let check = |disk, earns, kind, problem: &str| {
            one(FarmStatus { disks: vec![disk], ..farm() }, vec![], earns, kind, problem)
        };
        check(DiskStatus { hangs: true, missed: 2, ..disk() }, false, FindingKind::DiskHangs, "2 challenges");
        check(DiskStatus { missed: 2, ..disk() }, true, FindingKind::DiskHung, "hung or was away");
        check(DiskStatus { p99_milliseconds: Some(2e3), ..disk() }, true, FindingKind::DiskSlow, "2000 ms");
        check(DiskStatus { plots: 0, ..disk() }, false, FindingKind::NoPlots, "no plot");
        let actions: std::collections::BTreeSet<String> = [
            (FaultKind::Directory, FindingKind::Directory),
            (FaultKind::Plot, FindingKind::Plot),
            (FaultKind::OtherFarmer, FindingKind::OtherFarmer),
            (FaultKind::Duplicate, FindingKind::Duplicate),
        ]
        .map(|(fault, kind)| {
            let fault = DiskFault { kind: fault, path: "p".to_owned(), reason: "why".to_owned() };
            let found = check(DiskStatus { faults: vec![fault], ..disk() }, false, kind, "why");
            assert_eq!(found.file.is_some(), kind != FindingKind::Directory);
            found.action
        })
        .into();
        assert_eq!(actions.len(), 4, "each with its own advice");

        let group = Unfinished { plots: 9, staged: 4, bytes_missing: 5 << 20 };
        let with = |free| DiskStatus { free_bytes: free, unfinished: vec![group], ..disk() };
        let kind = FindingKind::UnfinishedGroup;
        assert!(check(with(Some(6 << 20)), true, kind, "4 are made").action.contains("go on"));
        assert!(check(with(Some(4 << 20)), true, kind, "5 MiB more, and 4").action.contains("make room"));
    }

    #[test]
    fn each_fault_of_a_chain_has_one_finding() {
        let check = |chain, earns, kind, problem: &str| {
            one(FarmStatus { chains: vec![chain], ..farm() }, vec![], earns, kind, problem)
        };
        check(ChainStatus { connected: false, ..chain() }, false, FindingKind::NoWork, "no work");
        check(ChainStatus { synced: Some(false), ..chain() }, false, FindingKind::NodeBehind, "behind");
        check(ChainStatus { peers: Some(0), ..chain() }, true, FindingKind::NodeAlone, "no peers");
        check(ChainStatus { clock_skew_slots: -3, ..chain() }, false, FindingKind::Clock, "-3 slots");
        check(
            ChainStatus { banned: Some(Default::default()), ..chain() },
            false,
            FindingKind::Banned,
            "banned",
        );
        check(ChainStatus { watch_slots: 32, ..chain() }, true, FindingKind::Watching, "sealed for 32 slots");
        let (slot, height) = (Slot::new(8), Height::new(4));
        let other_farmer = Some(LastSeal { slot, height, id: BlockId::ZERO });
        let other = ChainStatus { other_farmer, ..chain() };
        check(other, false, FindingKind::SealedElsewhere, "block 4 in slot 8");
        check(ChainStatus { lost: 1, ..chain() }, true, FindingKind::Lost, "1 won");
        check(ChainStatus { p_value: 0.001, ..chain() }, true, FindingKind::FewWins, "9 wins where 10.0");
        let other = ChainStatus { node_version: Some("0.9.0".to_owned()), ..chain() };
        check(other, true, FindingKind::Version, "version 0.9.0, the farm version 1.0.0");
    }

    #[test]
    fn each_fault_of_the_farm_has_one_finding() {
        let trial = Trial { disk: "d".into(), failure: Some("solving".into()), milliseconds: 1 };
        one(farm(), vec![trial], false, FindingKind::Trial, "solving");
        let harvester = HarvesterStatus {
            name: "rig1".to_owned(),
            connected: true,
            reason: None,
            software: Some("1.0.0".to_owned()),
            protocol: Some(2),
            disks: 1,
        };
        let with = |harvester| FarmStatus { harvesters: vec![harvester], ..farm() };
        let away = HarvesterStatus { connected: false, ..harvester.clone() };
        one(with(away), vec![], false, FindingKind::HarvesterAway, "not connected");
        let older = HarvesterStatus { software: Some("0.9.0".to_owned()), ..harvester };
        one(with(older), vec![], true, FindingKind::HarvesterVersion, "version 0.9.0, the farmer 1.0.0");
        one(FarmStatus { chains: vec![], ..farm() }, vec![], false, FindingKind::NoChains, "no chain");
        for (free, earns) in [(1 << 10, false), (8 << 20, true)] {
            let status = FarmStatus { record_free_bytes: Some(free), ..farm() };
            one(status, vec![], earns, FindingKind::RecordSpace, "KiB are free");
        }
    }

    #[test]
    fn poisson_tails_are_those_of_the_tables() {
        for (count, mean, expected) in [(0, 1.0, 0.367_879), (2, 2.0, 0.676_676), (9, 10.0, 0.457_930)] {
            assert!((poisson_at_most(count, mean) - expected).abs() < 1e-5, "{count} of {mean}");
        }
        assert!((poisson_at_most(1_000, 1_000.0) - 0.508_409).abs() < 1e-4);
        assert!((poisson_at_most(5, 0.0) - 1.0).abs() < 1e-12);
    }
}
