//! The loader refuses what cannot run, and the chain id follows the rules alone.

use super::*;

fn dev() -> ChainSpecFile {
    ChainSpec::built_in("dev").unwrap().file().clone()
}

fn refused(change: impl FnOnce(&mut Rules)) -> SpecError {
    let mut file = dev();
    change(&mut file.rules);
    ChainSpec::new(file).unwrap_err()
}

#[test]
fn built_in_specs_load_and_differ() {
    let ids: alloc::collections::BTreeSet<_> =
        ChainSpec::BUILT_IN.iter().map(|name| *ChainSpec::built_in(name).unwrap().id()).collect();
    assert_eq!(ids.len(), ChainSpec::BUILT_IN.len());
    assert!(ChainSpec::built_in("nonesuch").is_none());
}

#[test]
fn the_chain_id_follows_the_rules_and_not_the_hints() {
    let id = *ChainSpec::new(dev()).unwrap().id();
    let mut file = dev();
    file.hints.peer_port += 1;
    assert_eq!(*ChainSpec::new(file.clone()).unwrap().id(), id);
    file.rules.genesis_time += 1;
    assert_ne!(*ChainSpec::new(file).unwrap().id(), id);
}

#[test]
fn parameters_are_checked_against_each_other() {
    assert_eq!(refused(|r| r.filter = 3), SpecError::Filter { filter: 3, rounds: 4 });
    assert_eq!(refused(|r| r.seed_lag_blocks = 16), SpecError::Lag { lag: 16, period: 16 });
    assert_eq!(refused(|r| r.round_slots = 0), SpecError::Zero("round_slots"));
    assert_eq!(refused(|r| r.plot_size = 19), SpecError::Plot);
    assert_eq!(refused(|r| r.strength_min = 18), SpecError::Plot);
    assert_eq!(refused(|r| r.strength_max = 17.min(r.strength_min - 1)), SpecError::Plot);
    assert_eq!(refused(|r| r.difficulty_initial = 1), SpecError::Difficulty);
    assert_eq!(refused(|r| r.name = "Dev Net".into()), SpecError::Name);
    assert_eq!(refused(|r| r.ledger.params = serde_json::json!({ "a": 0.5 })), SpecError::NotCanonical);
    assert!(matches!(
        refused(|r| (r.strength_min, r.strength_max) = (5, 4)),
        SpecError::StrengthOrder { min: 5, max: 4 }
    ));
    assert!(matches!(ChainSpec::from_json("{}"), Err(SpecError::Syntax(_))));
    assert!(matches!(ChainSpec::from_json("\u{0}"), Err(SpecError::Syntax(_))));
}

#[test]
fn slots_rounds_and_periods() {
    let spec = ChainSpec::built_in("massnet").unwrap();
    assert_eq!(spec.round(Slot::new(15)).get(), 0);
    assert_eq!(spec.round(Slot::new(16)).get(), 1);
    assert_eq!(spec.period(Height::new(128)).get(), 1);
    assert_eq!(spec.seed_height(Period::new(0)), Some(Height::new(120)));
    let genesis = spec.rules().genesis_time;
    assert_eq!(spec.slot_time(Slot::new(2)), Some(genesis + 6));
    assert_eq!(spec.slot_at(u64::from(genesis) + 8), Some(Slot::new(2)));
    assert_eq!(spec.slot_at(0), None);
    assert_eq!(spec.slot_time(Slot::new(u64::MAX)), None);
    assert_eq!(spec.filter(Strength::new(4).unwrap()), 512);
}

#[test]
fn a_beacon_is_inherited_between_like_chains_alone() {
    let [parent, child, own] = ["dev", "dev2", "dev3"].map(|name| ChainSpec::built_in(name).unwrap());
    assert_eq!(child.check_beacon(&parent), Ok(()));
    assert_eq!(
        (child.beacon_id(), parent.beacon_id(), own.beacon_id()),
        (parent.id(), parent.id(), own.id())
    );
    assert_eq!(own.check_beacon(&parent), Err(SpecError::Beacon("beacon")));
    let changed = |change: fn(&mut Rules)| {
        let mut file = child.file().clone();
        change(&mut file.rules);
        ChainSpec::new(file).unwrap().check_beacon(&parent).unwrap_err()
    };
    assert_eq!(changed(|rules| rules.filter = 8), SpecError::Beacon("filter"));
    assert_eq!(changed(|rules| rules.round_slots = 16), SpecError::Beacon("slot_seconds * round_slots"));
    assert_eq!(changed(|rules| rules.genesis_time += 16), SpecError::Beacon("genesis_time"));
    assert_eq!(changed(|rules| rules.plot_size = 20), SpecError::Beacon("plot_size"));
}

#[test]
fn checkpoints_are_read_and_must_not_contradict_each_other() {
    let id = |byte| BlockId::new([byte; 32]);
    let one = Checkpoint { height: Height::new(7), id: id(1) };
    assert_eq!(one.to_string().parse(), Ok(one));
    for bad in ["", "7", "7:", ":00", "-1:00", "7:zz", "4294967296:00"] {
        assert_eq!(bad.parse::<Checkpoint>(), Err(ParseCheckpointError), "{bad}");
    }
    let other = Checkpoint { id: id(2), ..one };
    let clash = Err(SpecError::Checkpoints { height: one.height, one: one.id, other: other.id });
    let mut file = dev();
    file.hints.checkpoints = Vec::from([one, other]);
    assert_eq!(ChainSpec::new(file).map(drop), clash);
    let mut file = dev();
    file.hints.checkpoints = Vec::from([one]);
    let spec = ChainSpec::new(file).unwrap();
    assert_eq!(spec.clone().with_checkpoints(&[other]).map(drop), clash);
    let later = Checkpoint { height: Height::new(9), id: id(3) };
    let more = spec.clone().with_checkpoints(&[later, one]).unwrap();
    assert_eq!((more.newest_checkpoint(), more.id()), (Some(&later), spec.id()));
}
