//! Headers, seals, evidence and chain specs with faults: each is refused by the number of a rule, and what is not is
//! counted by the reason why it may pass. Nothing panics.
//!
//! A fault follows from a seed and its number: `MASS_MUTATIONS=COUNT` and `MASS_SEED=SEED` set both, and
//! `MASS_MUTATION=NUMBER` makes that one alone. `cargo xtask slow mutations` makes 1,000,000.

#[path = "../farm/mod.rs"]
mod farm;

mod dice;
mod headers;
mod sound;
mod specs;

use std::{collections::BTreeMap, env, panic, thread};

use dice::Dice;
use sound::Sound;

/// What a fault was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// The bytes of a sealed header, by a stranger.
    Header,
    /// The VRF proof and the signature of a header, which nothing commits to.
    Seal,
    /// A claim or header that its own farmer sealed anew.
    Resealed,
    /// Two sealed headers.
    Evidence,
    /// The text of a chain spec.
    Spec,
}

/// What it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Refused by this rule.
    Broken(&'static str),
    /// It passes, and may.
    Passes(&'static str),
    /// It passes, and may not.
    Forged(&'static str),
}

type Table = BTreeMap<(Subject, Outcome), u64>;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Makes one fault.
fn mutate(sound: &Sound, seed: u64, number: u64) -> (Subject, Outcome) {
    let mut dice = Dice::new(seed, number);
    match dice.below(20) {
        0..7 => (Subject::Header, headers::header(sound, &mut dice)),
        7..10 => (Subject::Seal, headers::seal(sound, &mut dice)),
        10..13 => (Subject::Resealed, headers::resealed(sound, &mut dice)),
        13..16 => (Subject::Evidence, headers::evidence(sound, &mut dice)),
        _ => (Subject::Spec, specs::spec(&mut dice)),
    }
}

/// Makes the faults of these numbers, and tells which one panics.
fn count(sound: &Sound, seed: u64, numbers: impl Iterator<Item = u64>) -> Table {
    let mut table = Table::new();
    for number in numbers {
        let made = panic::catch_unwind(panic::AssertUnwindSafe(|| mutate(sound, seed, number)));
        let Ok((subject, outcome)) = made else {
            panic!("MASS_SEED={seed} MASS_MUTATION={number} panics");
        };
        if let Outcome::Forged(what) = outcome {
            panic!("MASS_SEED={seed} MASS_MUTATION={number}: {subject:?} passes: {what}");
        }
        *table.entry((subject, outcome)).or_default() += 1;
    }
    table
}

#[allow(clippy::print_stdout, reason = "the table is what one asks for")]
fn run(mutations: u64) -> Table {
    let (sound, seed) = (Sound::new(), number("MASS_SEED").unwrap_or(1));
    if let Some(number) = number("MASS_MUTATION") {
        return count(&sound, seed, [number].into_iter());
    }
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let table = thread::scope(|scope| {
        let share = |first| (first..mutations).step_by(threads as usize);
        let sound = &sound;
        let workers: Vec<_> =
            (0..threads).map(|first| scope.spawn(move || count(sound, seed, share(first)))).collect();
        let mut sum = Table::new();
        for worker in workers {
            for (key, made) in worker.join().expect("a fault was found, see above") {
                *sum.entry(key).or_default() += made;
            }
        }
        sum
    });
    println!("seed {seed}, {mutations} faults\n\n| in | comes to | times |\n|---|---|--:|");
    for ((subject, outcome), times) in &table {
        let outcome = match outcome {
            Outcome::Broken(rule) => (*rule).to_owned(),
            Outcome::Passes(why) | Outcome::Forged(why) => format!("passes: {why}"),
        };
        println!("| {subject:?} | {outcome} | {times} |");
    }
    table
}

fn refusals(table: &Table) -> Vec<&'static str> {
    let rule = |(_, outcome): &(Subject, Outcome)| match outcome {
        Outcome::Broken(rule) => Some(*rule),
        _ => None,
    };
    table.keys().filter_map(rule).collect()
}

#[test]
fn some_faults_are_refused_by_number() {
    let table = run(number("MASS_MUTATIONS").unwrap_or(2_000));
    let rules = refusals(&table);
    let expected = [
        "SEAL-1", "SEAL-2", "PRV-1", "PRV-4", "PRV-5", "PRV-9", "PRV-10", "PRV-12", "LNK-1", "EVD-1",
        "EVD-2", "SPEC-1", "SPEC-3",
    ];
    let missing: Vec<_> = expected.iter().filter(|rule| !rules.contains(rule)).collect();
    assert!(missing.is_empty() || number("MASS_MUTATION").is_some(), "no fault breaks {missing:?}");
}

/// The lane for an hour with nothing else to do.
#[test]
#[ignore = "slow: cargo xtask slow mutations"]
fn a_million_faults_are_refused_by_number() {
    let table = run(number("MASS_MUTATIONS").unwrap_or(1_000_000));
    let rules = refusals(&table);
    let numbered = |name: &'static str, count: u32| (1..=count).map(move |number| format!("{name}-{number}"));
    let expected =
        numbered("PRV", 12).chain(numbered("LNK", 5)).chain(numbered("EVD", 3)).chain(numbered("SPEC", 4));
    let missing: Vec<_> = expected.filter(|rule| !rules.contains(&rule.as_str())).collect();
    assert!(missing.is_empty() || number("MASS_MUTATION").is_some(), "no fault breaks {missing:?}");
}
