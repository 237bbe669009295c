//! Which troubles begin and which are over: each is told once, however often it is found. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use mass_rpc::farm::{Finding, FindingKind, Severity};

use crate::events::FarmEvent;

/// What comes and goes within this time is told of neither when it comes nor when it goes.
const STANDS: Duration = Duration::from_secs(3);

/// What a trouble is known by; its words may change while it lasts.
type Key = (FindingKind, String, Option<String>);

/// The troubles of a farm.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    known: BTreeMap<Key, Trouble>,
}

#[derive(Debug)]
struct Trouble {
    finding: Finding,
    /// Since when it is there, or since when it is not.
    is_there: bool,
    since: Instant,
    is_told: bool,
}

impl Troubles {
    /// What to tell after a look at the farm. A ban has an event of its own.
    pub fn look(&mut self, findings: Vec<Finding>, now: Instant) -> Vec<FarmEvent> {
        let counts =
            |finding: &Finding| finding.severity == Severity::Error && finding.kind != FindingKind::Banned;
        let mut found: BTreeMap<Key, Finding> =
            findings.into_iter().filter(counts).map(|finding| (key(&finding), finding)).collect();
        let mut events = Vec::new();
        self.known.retain(|key, trouble| {
            let finding = found.remove(key);
            trouble.turn(finding.is_some(), now);
            if let Some(finding) = finding {
                trouble.finding = finding;
            }
            let stands = now.duration_since(trouble.since) >= STANDS;
            if stands && trouble.is_there != trouble.is_told {
                trouble.is_told = trouble.is_there;
                let finding = trouble.finding.clone();
                events.push(if trouble.is_told {
                    FarmEvent::Trouble(finding)
                } else {
                    FarmEvent::Over(finding)
                });
            }
            trouble.is_there || trouble.is_told
        });
        let new = found
            .into_iter()
            .map(|(key, finding)| (key, Trouble { finding, is_there: true, since: now, is_told: false }));
        self.known.extend(new);
        events
    }
}

impl Trouble {
    fn turn(&mut self, is_there: bool, now: Instant) {
        if self.is_there != is_there {
            (self.is_there, self.since) = (is_there, now);
        }
    }
}

fn key(finding: &Finding) -> Key {
    (finding.kind, finding.subject.clone(), finding.file.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(kind: FindingKind, problem: &str) -> Finding {
        Finding {
            kind,
            severity: Severity::Error,
            subject: "/mnt/a".to_owned(),
            file: None,
            problem: problem.to_owned(),
            action: String::new(),
        }
    }

    #[test]
    fn what_stands_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let (mut troubles, start) = (Troubles::default(), Instant::now());
        let mut look = |seconds: u64, findings: &[Finding]| {
            troubles.look(findings.to_vec(), start + Duration::from_secs(seconds))
        };
        let (one, other) =
            (finding(FindingKind::DiskHangs, "1 missed"), finding(FindingKind::Directory, "gone"));
        let later = finding(FindingKind::DiskHangs, "2 missed");
        assert_eq!(look(0, std::slice::from_ref(&one)), [], "it may be over in a moment");
        assert_eq!(look(4, std::slice::from_ref(&later)), [FarmEvent::Trouble(later.clone())]);
        assert_eq!(look(5, &[one.clone(), other.clone()]), [], "known, and too new");
        assert_eq!(look(6, std::slice::from_ref(&one)), [], "the other was but a moment");
        assert_eq!(look(9, &[one.clone(), other.clone()]), []);
        assert_eq!(look(10, &[]), []);
        assert_eq!(look(11, std::slice::from_ref(&one)), [], "away for a moment");
        assert_eq!(look(12, &[]), []);
        assert_eq!(look(15, &[]), [FarmEvent::Over(one.clone())]);
        assert_eq!(look(99, &[]), []);

        let warning = Finding { severity: Severity::Warning, ..one };
        let banned = finding(FindingKind::Banned, "banned");
        assert_eq!(look(100, &[warning.clone(), banned.clone()]), []);
        assert_eq!(look(110, &[warning, banned]), [], "warnings and bans are not told here");
    }
}
