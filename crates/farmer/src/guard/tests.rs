//! What the guard refuses, and what it survives.

use std::os::unix::fs::PermissionsExt;

use mass_consensus::keys::verify_seal_signature;

use super::*;
use crate::tests::Counter;

const CHAIN: ChainId = ChainId::new([1; 32]);
const OTHER: ChainId = ChainId::new([2; 32]);

fn secret() -> FarmerSecret {
    FarmerSecret::from_seed(&[7; 32])
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signed.json");
    (dir, path)
}

fn not_newer(result: &Result<Permit, GuardError>) -> bool {
    matches!(result, Err(GuardError::NotNewer { .. }))
}

#[test]
fn a_slot_is_signed_once_and_slots_rise() {
    let (_dir, path) = place();
    let (mut guard, farmer) = (SigningGuard::open(&path).unwrap(), secret().public());
    let _ = guard.permit(&CHAIN, &farmer, Slot::new(10)).unwrap();
    assert!(not_newer(&guard.permit(&CHAIN, &farmer, Slot::new(10))));
    assert!(not_newer(&guard.permit(&CHAIN, &farmer, Slot::new(9))));
    assert_eq!(guard.permit(&CHAIN, &farmer, Slot::new(11)).unwrap().slot(), Slot::new(11));
}

#[test]
fn slot_zero_is_signed_once() {
    let (_dir, path) = place();
    let (mut guard, farmer) = (SigningGuard::open(&path).unwrap(), secret().public());
    let _ = guard.permit(&CHAIN, &farmer, Slot::ZERO).unwrap();
    assert!(not_newer(&guard.permit(&CHAIN, &farmer, Slot::ZERO)));
}

#[test]
fn the_record_outlives_the_process() {
    let (_dir, path) = place();
    let farmer = secret().public();
    let _ = SigningGuard::open(&path).unwrap().permit(&CHAIN, &farmer, Slot::new(10)).unwrap();
    let mut guard = SigningGuard::open(&path).unwrap();
    assert!(not_newer(&guard.permit(&CHAIN, &farmer, Slot::new(10))));
    let _ = guard.permit(&CHAIN, &farmer, Slot::new(11)).unwrap();
}

#[test]
fn other_chains_and_keys_are_independent() {
    let (_dir, path) = place();
    let (mut guard, farmer) = (SigningGuard::open(&path).unwrap(), secret().public());
    let _ = guard.permit(&CHAIN, &farmer, Slot::new(10)).unwrap();
    let _ = guard.permit(&OTHER, &farmer, Slot::new(3)).unwrap();
    let _ = guard.permit(&CHAIN, &FarmerPublicKey::new([9; 32]), Slot::new(3)).unwrap();
    assert_eq!(guard.last(&CHAIN, &farmer), Some(Slot::new(10)));
}

#[test]
fn the_record_is_on_disk_when_there_is_a_permit() {
    let (_dir, path) = place();
    let (mut guard, farmer) = (SigningGuard::open(&path).unwrap(), secret().public());
    let permit = guard.permit(&CHAIN, &farmer, Slot::new(10)).unwrap();
    let on_disk = parse(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(on_disk.get(&(CHAIN, farmer)), Some(&Slot::new(10)));
    let id = BlockId::new([3; 32]);
    let signature = permit.sign(&secret(), &id, Counter(0)).unwrap();
    verify_seal_signature(&farmer, &CHAIN, &id, &signature).unwrap();
}

#[test]
fn a_permit_signs_with_its_own_key_alone() {
    let (_dir, path) = place();
    let mut guard = SigningGuard::open(&path).unwrap();
    let permit = guard.permit(&CHAIN, &secret().public(), Slot::new(1)).unwrap();
    let other = FarmerSecret::from_seed(&[8; 32]);
    assert!(matches!(permit.sign(&other, &BlockId::ZERO, Counter(0)), Err(GuardError::Key { .. })));
}

#[test]
fn a_second_opener_is_refused_by_any_name() {
    let (dir, path) = place();
    let guard = SigningGuard::open(&path).unwrap();
    assert!(matches!(SigningGuard::open(&path), Err(GuardError::InUse(_))));
    let alias = dir.path().join("alias.json");
    std::os::unix::fs::symlink(&path, &alias).unwrap();
    assert!(matches!(SigningGuard::open(&alias), Err(GuardError::InUse(_))));
    drop(guard);
    SigningGuard::open(&alias).unwrap();
}

#[test]
fn a_corrupt_record_is_an_error_and_stays_as_it_is() {
    let (_dir, path) = place();
    let farmer = secret().public();
    let _ = SigningGuard::open(&path).unwrap().permit(&CHAIN, &farmer, Slot::new(10)).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let cut = good.get(..good.len() / 2).unwrap().to_owned();
    let entry = format!(r#"{{"chain":"{CHAIN}","farmer":"{farmer}","slot":1}}"#);
    let twice = format!(r#"{{"version":1,"signed":[{entry},{entry}]}}"#);
    for bad in [String::new(), cut, twice, good.replace("\"slot\"", "\"slit\"")] {
        fs::write(&path, &bad).unwrap();
        assert!(matches!(SigningGuard::open(&path), Err(GuardError::Corrupt(_))), "{bad}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(SigningGuard::open(&path), Err(GuardError::Corrupt(_))));
    fs::write(&path, good.replace("\"version\": 1", "\"version\": 2")).unwrap();
    assert!(matches!(SigningGuard::open(&path), Err(GuardError::Version { got: 2, .. })));
}

#[test]
fn a_record_that_vanished_is_no_first_start() {
    let (_dir, path) = place();
    drop(SigningGuard::open(&path).unwrap());
    fs::remove_file(&path).unwrap();
    let Err(GuardError::Missing { lock, .. }) = SigningGuard::open(&path) else { panic!("opened") };
    fs::remove_file(lock).unwrap();
    SigningGuard::open(&path).unwrap();
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_record() {
    let (_dir, path) = place();
    let farmer = secret().public();
    let _ = SigningGuard::open(&path).unwrap().permit(&CHAIN, &farmer, Slot::new(10)).unwrap();
    let next = Slots::from([((CHAIN, farmer), Slot::new(11))]);
    prepare(&beside(&path, ".tmp"), &print(&next)).unwrap();
    let mut guard = SigningGuard::open(&path).unwrap();
    assert_eq!(guard.last(&CHAIN, &farmer), Some(Slot::new(10)), "nobody got a permit for slot 11");
    let _ = guard.permit(&CHAIN, &farmer, Slot::new(11)).unwrap();
    assert!(!beside(&path, ".tmp").exists());
}

#[test]
fn a_slot_whose_record_cannot_be_written_is_lost() {
    let (_dir, path) = place();
    let (mut guard, farmer) = (SigningGuard::open(&path).unwrap(), secret().public());
    let obstacle = beside(&path, ".tmp");
    fs::create_dir(&obstacle).unwrap();
    assert!(matches!(guard.permit(&CHAIN, &farmer, Slot::new(5)), Err(GuardError::Io { .. })));
    fs::remove_dir(&obstacle).unwrap();
    assert!(not_newer(&guard.permit(&CHAIN, &farmer, Slot::new(5))));
    let _ = guard.permit(&CHAIN, &farmer, Slot::new(6)).unwrap();
}

#[test]
fn import_raises_slots_and_lowers_none() {
    let ((_a, here), (_b, there)) = (place(), place());
    let farmer = secret().public();
    let mut other = SigningGuard::open(&there).unwrap();
    let _ = other.permit(&CHAIN, &farmer, Slot::new(5)).unwrap();
    let _ = other.permit(&OTHER, &farmer, Slot::new(50)).unwrap();
    let mut guard = SigningGuard::open(&here).unwrap();
    let _ = guard.permit(&CHAIN, &farmer, Slot::new(10)).unwrap();
    assert_eq!(guard.import(&other.export()).unwrap(), 1);
    assert!(matches!(guard.import("{}"), Err(GuardError::Corrupt(_))));
    drop(guard);
    let guard = SigningGuard::open(&here).unwrap();
    assert_eq!(guard.last(&CHAIN, &farmer), Some(Slot::new(10)));
    assert_eq!(guard.last(&OTHER, &farmer), Some(Slot::new(50)));
}

#[test]
fn only_the_owner_reads_the_record() {
    let (_dir, path) = place();
    let mut guard = SigningGuard::open(&path).unwrap();
    let _ = guard.permit(&CHAIN, &secret().public(), Slot::new(1)).unwrap();
    for file in [path.clone(), beside(&path, ".lock")] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, OWNER_ONLY);
    }
}
