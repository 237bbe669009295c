//! Transactions that wait for parents.

use proptest::{collection::vec, prelude::*};

use crate::{OrphanLimits, Orphans};

fn limits() -> OrphanLimits {
    OrphanLimits {
        count_max: 4,
        peer_count_max: 3,
        bytes_max: 100,
        transaction_bytes_max: 60,
        expiry_seconds: 10,
    }
}

fn coin(number: u8) -> Vec<u8> {
    vec![number]
}

#[test]
fn they_wait_for_a_coin_and_are_forgotten_with_time_or_with_their_peer() {
    let mut orphans = Orphans::new(limits());
    assert!(orphans.keep(vec![1], coin(7), 'a', 0));
    assert!(!orphans.keep(vec![1], coin(7), 'b', 0), "it waits already");
    assert!(!orphans.keep(vec![2; 61], coin(7), 'b', 0), "too long");
    assert!(orphans.keep(vec![3], coin(7), 'b', 1));
    assert!(orphans.keep(vec![4], coin(8), 'b', 2));
    assert_eq!(orphans.ready(&[coin(7), coin(9)]), [(vec![1], 'a'), (vec![3], 'b')]);
    assert_eq!((orphans.len(), orphans.bytes()), (1, 1));
    orphans.expire(11);
    assert_eq!(orphans.len(), 1);
    orphans.expire(12);
    assert!(orphans.is_empty());
    orphans.keep(vec![1], coin(7), 'a', 0);
    orphans.forget(&'a');
    assert_eq!((orphans.len(), orphans.bytes()), (0, 0));
}

#[test]
fn who_sends_many_drives_out_his_own() {
    let mut orphans = Orphans::new(limits());
    assert!(orphans.keep(vec![9], coin(9), 'b', 0));
    for number in 0..8 {
        assert!(orphans.keep(vec![number], coin(number), 'a', 0));
    }
    assert_eq!(orphans.ready(&[coin(9)]), [(vec![9], 'b')]);
    assert_eq!(orphans.len(), 3);
    assert!(orphans.keep(vec![1; 60], coin(1), 'c', 0));
    assert!(!orphans.keep(vec![2; 60], coin(1), 'd', 0), "of equals, who came last goes");
    assert_eq!((orphans.len(), orphans.bytes()), (2, 61));
}

proptest! {
    #[test]
    fn bounds_hold(arrivals in vec((vec(any::<u8>(), 0..70), 0u8..6, 0u8..5, 0u8..4), 0..60)) {
        let mut orphans = Orphans::new(limits());
        let mut kept: Vec<(Vec<u8>, u8, u8)> = Vec::new();
        for (now, (bytes, key, from, action)) in (0u64..).zip(arrivals) {
            match action {
                0 => {
                    let ready = orphans.ready(&[coin(key)]);
                    let due = |(bytes, waits, from): &(Vec<u8>, u8, u8)| {
                        *waits == key && ready.contains(&(bytes.clone(), *from))
                    };
                    prop_assert_eq!(kept.iter().filter(|one| due(one)).count(), ready.len());
                    kept.retain(|one| one.1 != key);
                }
                1 => orphans.expire(now),
                _ if orphans.keep(bytes.clone(), coin(key), from, now) => kept.push((bytes, key, from)),
                _ => {}
            }
            prop_assert!(orphans.len() <= 4 && orphans.bytes() <= 100 && orphans.len() <= kept.len());
        }
    }
}
