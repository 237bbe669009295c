//! The book under honest tellers, under floods, and across restarts.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

use super::*;

const NOW: u64 = 1_800_000_000;

fn endpoint(a: u8, b: u8, c: u8, d: u8) -> Endpoint {
    Endpoint::new([a, b, c, d].into(), 29_330)
}

fn rng() -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(7)
}

fn anyone(_: &Endpoint) -> bool {
    true
}

fn honest() -> (Book, Vec<Endpoint>) {
    let mut book = Book::new([1; 32]);
    let known: Vec<Endpoint> = (1..=40).map(|number| endpoint(20 + number, 5, 5, 5)).collect();
    known.iter().for_each(|endpoint| book.found(*endpoint, NOW));
    (book, known)
}

#[test]
fn one_network_that_tells_of_many_addresses_leaves_most_of_the_book_alone() {
    let mut book = Book::new([1; 32]);
    let source = endpoint(9, 9, 9, 9).group();
    let told = (0..30_000u32).map(|number| {
        let [a, b, c, _] = number.to_le_bytes();
        endpoint(30 + a % 60, b, c, a)
    });
    for endpoint in told {
        book.learn(endpoint, &source, NOW);
    }
    let most = (NEW_BUCKETS_PER_SOURCE * PLACES) as usize;
    assert!(book.len() <= most, "{} addresses, {most} at the most", book.len());
    assert!(book.len() > most / 2, "{} addresses", book.len());
}

#[test]
fn tried_addresses_outlive_a_flood_and_are_picked_as_often_as_strangers() {
    let (mut book, known) = honest();
    for number in 0..10_000u32 {
        let [a, b, c, _] = number.to_le_bytes();
        book.learn(endpoint(100, a, b, c), &endpoint(100 + (number % 50) as u8, a, 1, 1).group(), NOW);
    }
    assert!(known.iter().all(|endpoint| book.entries[endpoint].tried));
    let mut rng = rng();
    let picks = (0..300).filter_map(|_| book.pick(&mut rng, NOW + 3600, anyone));
    let friends = picks.filter(|picked| known.contains(picked)).count();
    assert!((110..190).contains(&friends), "{friends} of 300");
}

#[test]
fn a_friend_makes_room_only_when_it_no_longer_answers() {
    let mut book = Book::new([1; 32]);
    let first = endpoint(50, 1, 1, 1);
    book.found(first, NOW);
    let rival = (0..u32::MAX)
        .map(|number| {
            let [a, b, c, d] = number.to_le_bytes();
            endpoint(60 + c, d, b, a)
        })
        .find(|other| other != &first && book.tried_place(other) == book.tried_place(&first))
        .unwrap();
    let later = NOW + SURE_SECONDS;
    book.found(rival, NOW + 10);
    assert!(book.doubts.is_empty(), "it answered a moment ago");
    book.found(rival, later);
    assert_eq!(book.pick_untried(&mut rng(), later, anyone), Some(first), "the one in doubt is asked");
    let mut answers = book.clone();
    answers.found(first, later);
    assert!(answers.entries[&first].tried && !answers.entries[&rival].tried);
    book.failed(&first, later);
    assert!(!book.entries[&first].tried && book.entries[&rival].tried);
}

#[test]
fn what_never_answers_is_forgotten_and_asked_ever_more_rarely_before() {
    let mut book = Book::new([1; 32]);
    let there = endpoint(50, 1, 1, 1);
    assert!(book.learn(there, &there.group(), NOW));
    assert!(!book.learn(there, &there.group(), NOW));
    let mut now = NOW;
    for _ in 0..FAILURES_MAX {
        assert_eq!(book.pick(&mut rng(), now, anyone), Some(there));
        book.asked(&there, now);
        assert_eq!(book.pick(&mut rng(), now + 1, anyone), None);
        book.failed(&there, now);
        now += RETRY_SECONDS << FAILURES_MAX;
    }
    assert_eq!((book.len(), book.pick(&mut rng(), now, anyone)), (0, None));
}

#[test]
fn who_starts_again_need_not_wait_for_friends() {
    let (mut book, known) = honest();
    let silent = known[0];
    known[1..].iter().for_each(|endpoint| book.forget(endpoint));
    assert_eq!(book.pick(&mut rng(), NOW + 1, anyone), None);
    book.start();
    assert_eq!(book.pick(&mut rng(), NOW + 1, anyone), Some(silent));
    book.asked(&silent, NOW + 1);
    book.failed(&silent, NOW + 1);
    book.start();
    assert_eq!(book.pick(&mut rng(), NOW + 2, anyone), None);
}

#[test]
fn a_quarter_of_a_large_book_is_told_and_nothing_terrible() {
    let (mut book, known) = honest();
    assert_eq!(book.sample(&mut rng(), 100, NOW + 60, anyone).len(), TOLD_MIN);
    let source = endpoint(8, 8, 8, 8).group();
    for number in 0..200 {
        book.learn(endpoint(30, number, 1, 1), &source, NOW);
    }
    let told = book.sample(&mut rng(), 100, NOW + 60, anyone).len();
    assert_eq!(told, book.len().div_ceil(4));
    assert_eq!(book.sample(&mut rng(), 4, NOW + 60, anyone).len(), 4);
    assert_eq!(book.sample(&mut rng(), 4, NOW + 60, |endpoint| *endpoint == known[3]), [known[3]]);
    let all: Vec<Endpoint> = book.entries.keys().copied().collect();
    all.iter().for_each(|endpoint| (0..20).for_each(|_| book.failed(endpoint, NOW)));
    assert!(book.sample(&mut rng(), 100, NOW + 31 * 24 * 3600, anyone).is_empty());
}

#[test]
fn the_book_is_read_as_it_was_written() {
    let (mut book, _) = honest();
    for number in 0..100 {
        book.learn(endpoint(7, number, 1, 1), &endpoint(8, 8, 8, 8).group(), NOW);
    }
    let bytes = book.to_bytes();
    assert_eq!(Book::from_bytes(&bytes), Ok(book));
    assert!(Book::from_bytes(&bytes[..bytes.len() - 1]).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_a_book_panic_or_exceed_its_bounds(mut bytes: Vec<u8>, at: prop::sample::Index, flip: u8) {
        let _ = Book::from_bytes(&bytes);
        bytes = honest().0.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(book) = Book::from_bytes(&bytes) {
            prop_assert_eq!(book.entries.len(), book.places.len());
        }
    }

    #[test]
    fn each_entry_has_its_place_and_each_place_its_entry(steps in prop::collection::vec((0u8..4, 0u8..12, 0u64..100_000), 0..200)) {
        let mut book = Book::new([3; 32]);
        let mut now = NOW;
        for (what, which, seconds) in steps {
            now += seconds;
            let endpoint = endpoint(60, which, 1, 1);
            match what {
                0 => {
                    book.learn(endpoint, &endpoint.group(), now);
                }
                1 => book.found(endpoint, now),
                2 => book.failed(&endpoint, now),
                _ => book.forget(&endpoint),
            }
            prop_assert_eq!(book.entries.len(), book.places.len());
            for (place, endpoint) in &book.places {
                prop_assert_eq!(*place, book.place(endpoint, &book.entries[endpoint]));
            }
        }
    }
}
