//! Tests of what needs no bus: jobs as they are written, who may take what, and where groups go.

use std::path::PathBuf;

use mass_plot::{BuildOptions, Gate, GroupProgress, GroupStep, PlotError};
use mass_primitives::{FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};
use serde_json::{Value, json};

use super::{
    ClaimState, Job, JobError,
    claim::{Claim, Right, right},
    place::{choose, complete, make, staged},
};

fn job() -> Job {
    let identity = GroupIdentity {
        size: PlotSize::new(18).unwrap(),
        strength: Strength::new(2).unwrap(),
        farmer: FarmerPublicKey::new([7; 32]),
        nonce: GroupNonce::new([9; 32]),
    };
    Job::new(identity, 3).unwrap()
}

#[test]
fn a_job_is_read_as_it_was_written() {
    let written = json!({
        "version": 1,
        "farmer": "07".repeat(32),
        "k": 18,
        "strength": 2,
        "nonce": "09".repeat(32),
        "plots": 3,
    });
    assert_eq!(serde_json::to_value(job()).unwrap(), written);
    assert_eq!(serde_json::from_value::<Job>(written).unwrap(), job());
}

#[test]
fn what_cannot_be_plotted_is_no_job() {
    let good = serde_json::to_value(job()).unwrap();
    let changes: [(&str, Value); 8] = [
        ("version", json!(2)),
        ("k", json!(19)),
        ("k", json!(30)),
        ("strength", json!(1)),
        ("strength", json!(16)),
        ("plots", json!(0)),
        ("plots", json!(129)),
        ("farmer", json!("07")),
    ];
    for (field, value) in changes {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(serde_json::from_value::<Job>(bad.clone()).is_err(), "{bad}");
    }
    let hopeless = GroupIdentity { strength: Strength::new(16).unwrap(), ..*job().identity() };
    assert!(matches!(Job::new(hopeless, 1), Err(JobError::Hopeless { k: 18, strength: 16 })));
}

#[test]
fn a_job_is_taken_only_from_nobody_from_oneself_and_from_who_gave_it_back() {
    let claim = |by: &str, state| Claim { by: by.to_owned(), state, ..Claim::unclaimed(job()) };
    assert_eq!(right(None, "one"), Right::Take);
    for (by, state, expected) in [
        ("one", ClaimState::Claimed, Right::Take),
        ("two", ClaimState::Claimed, Right::Watch),
        ("two", ClaimState::Left, Right::Take),
        ("one", ClaimState::Done, Right::Settled),
        ("two", ClaimState::Done, Right::Settled),
        ("two", ClaimState::Cancelled, Right::Settled),
    ] {
        assert_eq!(right(Some(&claim(by, state)), "one"), expected, "{by} {state:?}");
    }
}

#[test]
fn a_group_goes_where_it_is_begun_or_else_where_space_is() {
    let (one, gone) = (tempfile::tempdir().unwrap(), PathBuf::from("/nowhere/at/all"));
    let (job, build) = (job(), BuildOptions::default());
    let dirs = [gone.clone(), one.path().to_owned()];
    assert_eq!(choose(&job, dirs.iter(), &build), Ok(one.path().to_owned()));
    let shortage = choose(&job, [gone].iter(), &build).unwrap_err();
    assert!(shortage.needed > 3 * 600_000 && shortage.free == 0, "{shortage:?}");

    let two = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let stop_after_one = |work: GroupProgress| {
        if work.step == GroupStep::Plot(1) {
            gate.cancel();
        }
    };
    let made = make(&job, two.path(), build, &gate, &stop_after_one);
    assert!(matches!(made, Err(PlotError::Cancelled)), "{made:?}");
    assert_eq!(staged(&job, two.path()), 1);
    let dirs = [one.path().to_owned(), two.path().to_owned()];
    assert_eq!(choose(&job, dirs.iter(), &build), Ok(two.path().to_owned()));

    let path = make(&job, two.path(), build, &Gate::default(), &|_| ()).unwrap();
    assert_eq!(complete(&job, two.path()), Some(path.clone()));
    assert_eq!(choose(&job, dirs.iter(), &build), Ok(two.path().to_owned()));
    // A plotter that did not hear that it has finished does not do it again.
    assert_eq!(make(&job, two.path(), build, &Gate::default(), &|_| ()).unwrap(), path);
}
