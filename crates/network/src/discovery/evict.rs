//! Who leaves when all places for incoming connections are taken: never one that is hard for an attacker to be.
//!
//! Those that an attacker cannot all be at once are kept: the nearest, those that brought blocks of late, the oldest, and some
//! of many networks. Of the rest the youngest of the network that has the most connections leaves. (Bitcoin Core,
//! `SelectNodeToEvict`.)

use std::{collections::BTreeMap, time::Duration};

use libp2p::PeerId;

use super::endpoint::Group;

/// Kept for each quality.
const KEPT: usize = 4;

/// An incoming connection.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub peer: PeerId,
    pub group: Group,
    /// How long it has been connected.
    pub age: Duration,
    /// How long ago it brought something new that was good.
    pub useful: Option<Duration>,
    /// The shortest round trip.
    pub ping: Option<Duration>,
}

/// The one to leave; `None` if all are to be kept.
pub(crate) fn select(mut candidates: Vec<Candidate>) -> Option<PeerId> {
    keep(&mut candidates, KEPT, |candidate| candidate.ping.unwrap_or(Duration::MAX));
    keep(&mut candidates, KEPT, |candidate| candidate.useful.unwrap_or(Duration::MAX));
    let half = candidates.len() / 2;
    keep(&mut candidates, half, |candidate| Duration::MAX - candidate.age);
    let mut groups: BTreeMap<&Group, Vec<&Candidate>> = BTreeMap::new();
    candidates.iter().for_each(|candidate| groups.entry(&candidate.group).or_default().push(candidate));
    let youngest = |members: &[&Candidate]| members.iter().map(|member| member.age).min();
    let crowded =
        groups.into_values().max_by_key(|members| (members.len(), std::cmp::Reverse(youngest(members))))?;
    crowded.into_iter().min_by_key(|member| member.age).map(|member| member.peer)
}

/// Takes those out that have the least of something.
fn keep(candidates: &mut Vec<Candidate>, count: usize, rank: impl Fn(&Candidate) -> Duration) {
    candidates.sort_by_key(rank);
    candidates.drain(..count.min(candidates.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{discovery::endpoint::Endpoint, peer_id};

    fn candidate(number: u8, network: u8, age: u64) -> Candidate {
        Candidate {
            peer: peer_id([number; 32]),
            group: Endpoint::new([network, 1, 1, number].into(), 1).group(),
            age: Duration::from_secs(age),
            useful: None,
            ping: None,
        }
    }

    #[test]
    fn the_youngest_of_the_most_crowded_network_leaves() {
        let mut all: Vec<_> = (0..20).map(|number| candidate(number, 20 + number, 1000)).collect();
        all.extend((20..40).map(|number| candidate(number, 9, u64::from(number))));
        assert_eq!(select(all), Some(peer_id([20; 32])));
    }

    #[test]
    fn the_near_the_useful_and_the_old_stay() {
        let quick = |number| Candidate { ping: Some(Duration::from_millis(1)), ..candidate(number, 9, 0) };
        let useful = |number| Candidate { useful: Some(Duration::from_secs(1)), ..candidate(number, 9, 0) };
        let old = |number| candidate(number, 9, 100);
        let mut all: Vec<_> = (0..4).map(quick).chain((4..8).map(useful)).chain((8..12).map(old)).collect();
        all.extend((12..16).map(|number| candidate(number, 9, 1)));
        let leaves = select(all).unwrap();
        assert!((12..16).any(|number| peer_id([number; 32]) == leaves));
    }

    #[test]
    fn few_are_all_kept() {
        assert_eq!(select((0..8).map(|number| candidate(number, 9, 1)).collect()), None);
    }
}
