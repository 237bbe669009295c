//! Who is dialed and when, under a clock of the test's own.

use rand::SeedableRng as _;

use super::*;

fn endpoint(network: u8, host: u8) -> Endpoint {
    Endpoint::new([network, 1, 1, host].into(), 29_330)
}

fn now() -> Now {
    Now { instant: Instant::now(), unix: 1_800_000_000 }
}

fn after(now: Now, seconds: u64) -> Now {
    Now { instant: now.instant + Duration::from_secs(seconds), unix: now.unix + seconds }
}

fn discovery(now: Now, anchors: Vec<Endpoint>, target: usize) -> Discovery {
    let rng = ChaCha12Rng::seed_from_u64(1);
    Discovery::new((Book::new([1; 32]), anchors), target, true, rng, now.instant)
}

/// Dials whatever is wanted for a while, and each address leads to a node.
fn fill(discovery: &mut Discovery, mut now: Now) -> Vec<Endpoint> {
    let mut dialed = Vec::new();
    for number in 0..100 {
        for errand in discovery.due(now, |endpoint| !dialed.contains(endpoint)) {
            if let Errand::Dial(endpoint, purpose) = errand {
                let connection = ConnectionId::new_unchecked(number);
                discovery.dialed(connection, endpoint, purpose, now);
                discovery.found(connection, now);
                dialed.push(endpoint);
            }
        }
        now = after(now, 1);
    }
    dialed
}

#[test]
fn each_outbound_connection_goes_to_another_network() {
    let now = now();
    let mut discovery = discovery(now, Vec::new(), 8);
    let source = endpoint(99, 1).group();
    discovery.learn((1..250).map(|host| endpoint(50, host)), &source, now);
    discovery.learn((0..4).map(|network| endpoint(60 + network, 1)), &source, now);
    let dialed = fill(&mut discovery, now);
    let groups: BTreeSet<Group> = dialed.iter().map(Endpoint::group).collect();
    assert_eq!((dialed.len(), groups.len()), (5, 5), "{dialed:?}");
}

#[test]
fn anchors_come_first_and_are_the_oldest_next_time() {
    let now = now();
    let anchors = vec![endpoint(70, 1), endpoint(71, 1)];
    let mut first = discovery(now, anchors.clone(), 4);
    first.learn((0..9).map(|network| endpoint(10 + network, 1)), &endpoint(1, 1).group(), now);
    let dialed = fill(&mut first, now);
    assert_eq!(dialed.len(), 4);
    assert!(anchors.iter().all(|anchor| dialed[..2].contains(anchor)));
    assert_eq!(first.anchors(), dialed[..2]);
}

#[test]
fn the_bootstrap_list_is_asked_while_nobody_is_there() {
    let now = now();
    let mut discovery = discovery(now, Vec::new(), 8);
    assert_eq!(discovery.due(now, |_| true), [Errand::Bootstrap]);
    assert_eq!(discovery.due(after(now, 30), |_| true), [Errand::Ask], "not so soon again");
    assert_eq!(discovery.due(after(now, 60), |_| true), [Errand::Bootstrap, Errand::Ask]);
    discovery.learn((0..9).map(|network| endpoint(10 + network, 1)), &endpoint(1, 1).group(), now);
    fill(&mut discovery, after(now, 61));
    let later = discovery.due(after(now, 400), |_| false);
    assert!(!later.contains(&Errand::Bootstrap), "{later:?}");
}

#[test]
fn a_peer_is_asked_soon_after_the_start_and_then_ever_less_often() {
    let now = now();
    let mut discovery = discovery(now, Vec::new(), 8);
    let asks =
        (0..2_000).filter(|second| discovery.due(after(now, *second), |_| true).contains(&Errand::Ask));
    assert_eq!(asks.collect::<Vec<u64>>(), [5, 15, 35, 75, 155, 315, 635, 1_235, 1_835]);
}

#[test]
fn a_feeler_goes_to_strangers_and_is_no_connection_to_keep() {
    let now = now();
    let mut discovery = discovery(now, Vec::new(), 0);
    let stranger = endpoint(20, 1);
    discovery.learn([stranger], &stranger.group(), now);
    let errands = discovery.due(after(now, 120), |_| true);
    assert!(errands.contains(&Errand::Dial(stranger, Purpose::Feel)), "{errands:?}");
    let connection = ConnectionId::new_unchecked(1);
    discovery.dialed(connection, stranger, Purpose::Feel, after(now, 120));
    discovery.found(connection, after(now, 120));
    assert!(discovery.anchors().is_empty());
    assert!(
        !discovery.due(after(now, 240), |_| true).contains(&Errand::Dial(stranger, Purpose::Feel)),
        "it is known now"
    );
}

#[test]
fn addresses_of_a_private_network_stay_within() {
    let now = now();
    let mut discovery = discovery(now, Vec::new(), 8);
    let private = Endpoint::new([10, 0, 0, 1].into(), 1);
    discovery.learn([private], &private.group(), now);
    assert_eq!(discovery.tell(true, now), []);
    assert_eq!(discovery.tell(false, now), [private]);
}

#[test]
fn nobody_dials_himself_twice() {
    let now = now();
    let mut discovery = discovery(now, vec![endpoint(20, 1)], 8);
    discovery.own(endpoint(20, 1));
    discovery.learn([endpoint(20, 1)], &endpoint(1, 1).group(), now);
    assert!(fill(&mut discovery, now).is_empty());
}
