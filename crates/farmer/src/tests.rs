//! A farm of real plots, from the disk to a proof that verifies.

use std::{fs, path::Path};

use mass_consensus::{keys::FarmerSecret, lottery::challenge, spec::ChainSpec};
use mass_primitives::{FarmerPublicKey, GroupNonce, Round, Seed};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength, verify};
use rand_core::{CryptoRng, Error, RngCore, impls};

use crate::{Farm, FarmError, Fault, schedule, winner};

/// A counter for a generator.
pub(crate) struct Counter(pub u64);

impl RngCore for Counter {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }
    fn next_u64(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        impls::fill_bytes_via_next(self, dest);
    }
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Counter {}

fn make(dir: &Path, farmer: FarmerPublicKey, nonce: u8) {
    let nonce = GroupNonce::new([nonce; 32]);
    let group = GroupIdentity { size: PlotSize::MIN, strength: Strength::MIN, farmer, nonce };
    mass_plot::create(dir, &group).unwrap();
}

#[test]
fn a_farm_of_two_directories_finds_and_proves() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = FarmerSecret::from_seed(&[7; 32]);
    make(one.path(), secret.public(), 1);
    make(one.path(), secret.public(), 2);
    make(two.path(), secret.public(), 3);
    let first = fs::read_dir(one.path()).unwrap().next().unwrap().unwrap();
    fs::copy(first.path(), two.path().join(first.file_name())).unwrap();
    fs::write(two.path().join("no.plot"), b"nothing").unwrap();
    let dirs = [one.path().to_owned(), two.path().join("none"), two.path().to_owned()];

    let (farm, faults) = Farm::open(&dirs, &secret.public());
    assert_eq!(farm.plots().len(), 3);
    let count = |wanted: fn(&Fault) -> bool| faults.iter().filter(|fault| wanted(fault)).count();
    assert_eq!(faults.len(), 3);
    assert_eq!(count(|fault| matches!(fault, Fault::Directory { .. })), 1);
    assert_eq!(count(|fault| matches!(fault, Fault::Plot { .. })), 1);
    assert_eq!(count(|fault| matches!(fault, Fault::Duplicate { .. })), 1);

    let spec = ChainSpec::built_in("dev").unwrap();
    each_plot_is_asked_once_in_a_filter(&farm, &spec);
    a_win_is_proved(&farm, &spec, &secret);

    let (empty, faults) = Farm::open(&dirs, &FarmerPublicKey::new([9; 32]));
    assert!(empty.plots().is_empty());
    assert_eq!(faults.iter().filter(|fault| matches!(fault, Fault::OtherFarmer { .. })).count(), 4);
    assert_eq!(empty.look_up(&spec, &Seed::ZERO, Round::new(0)).reads, 0);

    fs::remove_dir_all(two.path()).unwrap();
    a_lost_directory_is_a_fault(&farm, &spec);
}

fn each_plot_is_asked_once_in_a_filter(farm: &Farm, spec: &ChainSpec) {
    let seed = Seed::new([5; 32]);
    let answers: Vec<_> =
        (0..spec.rules().filter).map(|round| farm.look_up(spec, &seed, Round::new(round))).collect();
    assert_eq!(answers.iter().map(|answer| answer.asked).sum::<u64>(), 3);
    assert!(answers.iter().all(|answer| answer.reads == 4 * answer.asked && answer.faults.is_empty()));
    let mut file = spec.file().clone();
    file.rules.plot_size = 20;
    let other = ChainSpec::new(file).unwrap();
    assert!((0..spec.rules().filter).all(|round| farm.look_up(&other, &seed, Round::new(round)).asked == 0));
}

fn a_win_is_proved(farm: &Farm, spec: &ChainSpec, secret: &FarmerSecret) {
    let seed = Seed::new([5; 32]);
    let (round, draw) = (0..1_000)
        .map(Round::new)
        .find_map(|round| {
            let (output, _) = secret.evaluate(spec.id(), &seed, round, Counter(0));
            let found = farm.look_up(spec, &seed, round).found;
            let draws = schedule(spec, &output, &seed, round, &found);
            let slots = draws.iter().map(|draw| draw.slot);
            let won =
                slots.filter_map(|slot| winner(&draws, slot, spec.difficulty_initial())).next().cloned();
            won.map(|draw| (round, draw))
        })
        .unwrap();
    let proof = farm.solve(draw.plot, &draw.chain).unwrap();
    let plot = farm.plots().get(draw.plot).unwrap();
    verify(plot.params(), &challenge(spec.beacon_id(), &seed, round), &proof).unwrap();
    assert!(matches!(farm.solve(3, &draw.chain), Err(FarmError::NoPlot(3))));
}

fn a_lost_directory_is_a_fault(farm: &Farm, spec: &ChainSpec) {
    let seed = Seed::new([5; 32]);
    let answers: Vec<_> =
        (0..spec.rules().filter).map(|round| farm.look_up(spec, &seed, Round::new(round))).collect();
    assert_eq!(answers.iter().map(|answer| answer.asked).sum::<u64>(), 3);
    let faults: Vec<_> = answers.iter().flat_map(|answer| &answer.faults).collect();
    // The plot that was there first of all is in the other directory.
    assert_eq!(faults.len(), 1, "{faults:?}");
}
