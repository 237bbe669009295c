//! From how the parts fare to what is wrong and what to do about it. Pure.

use mass_rpc::farm::{
    ChainStatus, Diagnosis, DiskStatus, FarmStatus, Finding, HarvesterStatus, Severity, Trial,
};

/// A disk whose look-ups take longer than this is likely to be late.
const SLOW_MILLISECONDS: f64 = 1_000.0;
/// So few wins have a cause.
const P_VALUE_MIN: f64 = 0.01;
/// A clock that is further off than this many slots loses wins.
const SKEW_SLOTS_MAX: u64 = 1;
/// The way out when two farm with one key.
const END_OTHER_FARMER: &str = "stop the other farmer, export its record (mass keys guard export), stop this one, import \
    it here (mass keys guard import), and start again; if the record is lost and nobody else farms with the key, start \
    with --watch-rounds 0";

/// What is wrong with a farm.
#[must_use]
pub fn diagnose(status: FarmStatus, trials: Vec<Trial>) -> Diagnosis {
    let mut findings: Vec<Finding> = status.disks.iter().flat_map(of_disk).collect();
    findings.extend(status.harvesters.iter().filter_map(of_harvester));
    findings.extend(status.chains.iter().flat_map(of_chain));
    findings.extend(trials.iter().filter_map(of_trial));
    if status.disks.iter().all(|disk| disk.plots == 0) {
        findings.push(error("the farm", "there is no plot to farm", "make plots: mass plots create"));
    }
    if status.chains.is_empty() {
        findings.push(error("the farm", "no chain is farmed", "enable a chain in the file of settings"));
    }
    findings.sort_by_key(|finding| finding.severity);
    let earns = findings.iter().all(|finding| finding.severity != Severity::Error);
    Diagnosis { earns, findings, trials, status }
}

fn error(subject: &str, problem: impl Into<String>, action: impl Into<String>) -> Finding {
    finding(Severity::Error, subject, problem, action)
}

fn warning(subject: &str, problem: impl Into<String>, action: impl Into<String>) -> Finding {
    finding(Severity::Warning, subject, problem, action)
}

fn finding(
    severity: Severity,
    subject: &str,
    problem: impl Into<String>,
    action: impl Into<String>,
) -> Finding {
    Finding { severity, subject: subject.to_owned(), problem: problem.into(), action: action.into() }
}

fn of_disk(disk: &DiskStatus) -> Vec<Finding> {
    let mut findings = Vec::new();
    if disk.away {
        // Its harvester is what is to be mended.
        return findings;
    }
    if disk.hangs {
        let problem = format!("it does not answer; {} challenges were missed", disk.missed);
        findings.push(error(
            &disk.path,
            problem,
            "check cable, power and dmesg; the farm goes on when it answers",
        ));
    } else if disk.missed > 0 {
        let problem = format!("it hung or was away; {} challenges were missed", disk.missed);
        findings.push(warning(&disk.path, problem, "check the disk's health (smartctl -a)"));
    }
    if let Some(slow) = disk.p99_milliseconds.filter(|slow| *slow > SLOW_MILLISECONDS) {
        let problem = format!("one look-up in a hundred takes {slow:.0} ms or more");
        findings.push(warning(&disk.path, problem, "take other work off the disk"));
    }
    findings.extend(disk.faults.iter().map(|fault| {
        let action = if fault.contains("belongs to farmer") {
            "farm it with the key that it is bound to, or delete it"
        } else if fault.contains("is the same plot") {
            "delete one of the two"
        } else if fault.starts_with("directory") {
            "mount the disk, or take the directory out of the farm"
        } else {
            "repair it: mass plots repair, or make it again"
        };
        finding(Severity::Error, &disk.path, fault.clone(), action)
    }));
    findings
}

fn of_harvester(harvester: &HarvesterStatus) -> Option<Finding> {
    let HarvesterStatus { name, connected, reason, software, .. } = harvester;
    if !connected {
        let reason = reason.as_deref().unwrap_or("it has not come since the farm has started");
        let problem = format!("it is not connected: {reason}");
        let action = "start it there: mass harvester run; or take it out: mass farm unpair";
        return Some(error(name, problem, action));
    }
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = software.as_deref().filter(|theirs| *theirs != ours)?;
    let problem = format!("it runs version {theirs}, the farmer {ours}; both go on");
    Some(warning(name, problem, "bring both to one version when it suits"))
}

fn of_chain(chain: &ChainStatus) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(height) = chain.banned {
        let problem = format!("the key is banned since block {height}: it sealed twice in one slot");
        findings.push(error(&chain.name, problem, "farm this chain with another key and new plots"));
        return findings;
    }
    if let Some(seal) = chain.other_farmer {
        let problem = format!(
            "another farmer seals with this key: block {} in slot {} is not in the signing record",
            seal.height, seal.slot
        );
        findings.push(error(&chain.name, problem, END_OTHER_FARMER));
    } else if chain.watch_slots > 0 {
        let problem =
            format!("nothing is sealed for {} slots: others with this key are looked for", chain.watch_slots);
        findings.push(warning(&chain.name, problem, "wait until the start-up watch is over"));
    }
    if !chain.connected {
        let reason = chain.reason.clone().unwrap_or_else(|| "it has not answered yet".to_owned());
        let problem = format!("no work from {}: {reason}", chain.node);
        findings.push(error(&chain.name, problem, "start the node: mass node run"));
        return findings;
    }
    if chain.synced == Some(false) {
        findings.push(error(
            &chain.name,
            "the node is behind its peers",
            "wait until the node has caught up",
        ));
    }
    if chain.peers == Some(0) {
        findings.push(warning(&chain.name, "the node has no peers", "give it one: mass node run --peer"));
    }
    if chain.clock_skew_slots.unsigned_abs() > SKEW_SLOTS_MAX {
        let problem = format!("the node's clock is {} slots off ours", chain.clock_skew_slots);
        findings.push(error(&chain.name, problem, "set both clocks by NTP"));
    }
    if chain.lost > 0 {
        let problem = format!("{} won slots were not sealed", chain.lost);
        findings.push(warning(&chain.name, problem, "look for \"lost\" in the farm's output"));
    }
    if chain.p_value < P_VALUE_MIN {
        let problem = format!(
            "{} wins where {:.1} were expected (p = {:.4})",
            chain.wins, chain.expected_wins, chain.p_value
        );
        findings.push(warning(&chain.name, problem, "check the plots: mass plots check --full"));
    }
    findings
}

fn of_trial(trial: &Trial) -> Option<Finding> {
    let failure = trial.failure.as_ref()?;
    let problem = format!("a winning challenge would fail: {failure}");
    Some(error(&trial.disk, problem, "check the disk's plots: mass plots check --full"))
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

    fn check(disk: DiskStatus, chain: ChainStatus, trials: Vec<Trial>) -> (bool, Vec<String>) {
        let status = FarmStatus {
            farmer: FarmerPublicKey::ZERO,
            disks: vec![disk],
            harvesters: vec![],
            chains: vec![chain],
            rounds: 0,
            reads: 0,
            qualities: 0,
            proofs: 0,
        };
        let diagnosis = diagnose(status, trials);
        (diagnosis.earns, diagnosis.findings.into_iter().map(|finding| finding.problem).collect())
    }

    #[test]
    fn a_farm_in_health_has_no_findings_and_each_fault_has_one() {
        assert_eq!(check(disk(), chain(), vec![]), (true, vec![]));
        let one = |disk, chain, trials, earns, problem: &str| {
            let (found, problems) = check(disk, chain, trials);
            assert_eq!((found, problems.len()), (earns, 1), "{problems:?}");
            assert!(problems[0].contains(problem), "{problems:?}");
        };
        one(DiskStatus { hangs: true, missed: 2, ..disk() }, chain(), vec![], false, "2 challenges");
        one(DiskStatus { missed: 2, ..disk() }, chain(), vec![], true, "hung or was away");
        one(DiskStatus { p99_milliseconds: Some(2e3), ..disk() }, chain(), vec![], true, "2000 ms");
        one(DiskStatus { faults: vec!["x".into()], ..disk() }, chain(), vec![], false, "x");
        one(DiskStatus { plots: 0, ..disk() }, chain(), vec![], false, "no plot");
        one(disk(), ChainStatus { connected: false, ..chain() }, vec![], false, "no work");
        one(disk(), ChainStatus { synced: Some(false), ..chain() }, vec![], false, "behind");
        one(disk(), ChainStatus { peers: Some(0), ..chain() }, vec![], true, "no peers");
        one(disk(), ChainStatus { clock_skew_slots: -3, ..chain() }, vec![], false, "-3 slots");
        one(disk(), ChainStatus { banned: Some(Default::default()), ..chain() }, vec![], false, "banned");
        one(disk(), ChainStatus { watch_slots: 32, ..chain() }, vec![], true, "sealed for 32 slots");
        let (slot, height) = (Slot::new(8), Height::new(4));
        let other_farmer = Some(LastSeal { slot, height, id: BlockId::ZERO });
        one(disk(), ChainStatus { other_farmer, ..chain() }, vec![], false, "block 4 in slot 8");
        one(disk(), ChainStatus { p_value: 0.001, ..chain() }, vec![], true, "9 wins where 10.0");
        let trial = Trial { disk: "d".into(), failure: Some("solving".into()), milliseconds: 1 };
        one(disk(), chain(), vec![trial], false, "solving");
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
