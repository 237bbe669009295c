//! Crashes: a disk that stops at a random operation and keeps a random part of what was not yet synced.
//! Whatever is left must open, at the tip before or after the step that was under way.

use std::{
    io,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use redb::{Builder, StorageBackend};

use super::{CHAIN, model};
use crate::{Store, StoreError};

#[derive(Clone, Debug)]
enum Pending {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Pending {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(len) => image.resize(*len, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(data);
            }
        }
    }
}

/// What the program sees, what is safe, what lies between, and the operations left until the crash.
#[derive(Debug, Default)]
struct Disk {
    seen: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Pending>,
    left: Option<usize>,
}

impl Disk {
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the machine has stopped")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn change(&mut self, change: Pending) -> io::Result<()> {
        self.spend()?;
        change.apply(&mut self.seen);
        self.pending.push(change);
        Ok(())
    }

    /// The image that a crash leaves: what was synced, and each later write whole, in part or not at all.
    fn after_crash(&self, mut dice: u64) -> Vec<u8> {
        let mut image = self.synced.clone();
        for change in &self.pending {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (dice >> 33) % 3 {
                0 => {}
                1 => change.apply(&mut image),
                _ => match change {
                    Pending::Write(offset, data) => {
                        let sectors = data.len().div_ceil(512);
                        let kept = usize::try_from(dice >> 40).unwrap() % sectors.max(1) * 512;
                        Pending::Write(*offset, data[..kept].to_vec()).apply(&mut image);
                    }
                    Pending::Length(_) => change.apply(&mut image),
                },
            }
        }
        image
    }
}

#[derive(Clone, Debug, Default)]
struct CrashingDisk(Arc<Mutex<Disk>>);

impl StorageBackend for CrashingDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let found = disk.seen.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().change(Pending::Length(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.spend()?;
        disk.synced = disk.seen.clone();
        disk.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.0.lock().unwrap().change(Pending::Write(offset, data.to_vec()))
    }
}

fn open(disk: CrashingDisk) -> Result<Store, StoreError> {
    let db = Builder::new().create_with_backend(disk)?;
    Store::from_database(db, &CHAIN)
}

fn crash_at(steps: &[model::Step], left: usize, dice: u64) -> Result<(), TestCaseError> {
    let disk = CrashingDisk::default();
    let store = open(disk.clone()).unwrap();
    disk.0.lock().unwrap().left = Some(left);
    let mut model = model::Model::default();
    let mut before = model.clone();
    for step in steps {
        before = model.clone();
        if let Err(error) = model.step(&store, step) {
            prop_assert!(error.is_fatal());
            disk.0.lock().unwrap().left = None;
            prop_assert!(matches!(store.disconnect_tip(&[]), Err(StoreError::Failed)));
            prop_assert!(matches!(store.tip(), Err(StoreError::Failed)));
            break;
        }
        before = model.clone();
    }
    // The image is taken before the handle closes, as a crash would.
    let image = disk.0.lock().unwrap().after_crash(dice);
    let left = CrashingDisk::default();
    {
        let mut disk = left.0.lock().unwrap();
        disk.seen = image.clone();
        disk.synced = image;
    }
    let store = open(left).unwrap();
    let mut model = if before.is(&store) { before } else { model };
    prop_assert!(model.is(&store));
    // And the chain goes on from there, down to nothing.
    while store.tip().unwrap().is_some() {
        model.step(&store, &model::Step::Disconnect).unwrap();
        prop_assert!(model.is(&store));
    }
    prop_assert_eq!(store.snapshot().unwrap().scan(b"").unwrap().count(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_leaves_the_block_before_or_after(steps in model::steps(12), left in 0usize..160, dice: u64) {
        crash_at(&steps, left, dice)?;
    }
}
