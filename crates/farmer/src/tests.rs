//! A farm of real plots, from the disk to a proof that verifies.

use std::{fs, path::Path};

use mass_consensus::{keys::FarmerSecret, lottery::challenge, spec::ChainSpec};
use mass_primitives::{FarmerPublicKey, GroupNonce, Round, Seed};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength, verify};
use mass_rpc::farm::FaultKind;
use rand_core::{CryptoRng, Error, RngCore, impls};

use crate::{Answer, Farm, Fault, look_up, scan, schedule, winner};

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

/// Looks into all disks, as their threads do.
fn scan_all(farm: &mut Farm) -> Vec<Fault> {
    let disks: Vec<_> = farm.disks().iter().map(|disk| scan(disk.path(), &disk.open_files())).collect();
    disks.into_iter().enumerate().flat_map(|(number, scan)| farm.scanned(number, scan)).collect()
}

/// Asks all disks, as their threads do.
fn look_up_all(farm: &Farm, spec: &ChainSpec, seed: &Seed, round: u64) -> Answer {
    let round = Round::new(round);
    let question = challenge(spec.beacon_id(), seed, round);
    let plots = (0..farm.disks().len()).flat_map(|disk| farm.turn(disk, spec, seed, round));
    look_up(&plots.collect::<Vec<_>>(), &question)
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

    let mut farm = Farm::new(&dirs, secret.public());
    let faults = scan_all(&mut farm);
    assert_eq!(farm.plots().count(), 3);
    let count = |wanted: fn(&Fault) -> bool| faults.iter().filter(|fault| wanted(fault)).count();
    assert_eq!(faults.len(), 3);
    assert_eq!(count(|fault| matches!(fault, Fault::Directory { .. })), 1);
    assert_eq!(count(|fault| matches!(fault, Fault::Plot { .. })), 1);
    assert_eq!(count(|fault| matches!(fault, Fault::Duplicate { .. })), 1);
    assert!(scan_all(&mut farm).is_empty(), "what is wrong is news but once");

    let spec = ChainSpec::built_in("dev").unwrap();
    each_plot_is_asked_once_in_a_filter(&farm, &spec);
    a_win_is_proved(&farm, &spec, &secret);
    disks_come_and_go(&mut farm, one.path(), two.path(), &spec);

    let mut others = Farm::new(&dirs, FarmerPublicKey::new([9; 32]));
    let faults = scan_all(&mut others);
    assert_eq!(others.plots().count(), 0);
    assert_eq!(faults.iter().filter(|fault| matches!(fault, Fault::OtherFarmer { .. })).count(), 2);
    assert_eq!(look_up_all(&others, &spec, &Seed::ZERO, 0).reads, 0);
}

fn each_plot_is_asked_once_in_a_filter(farm: &Farm, spec: &ChainSpec) {
    let seed = Seed::new([5; 32]);
    let answers: Vec<_> =
        (0..spec.rules().filter).map(|round| look_up_all(farm, spec, &seed, round)).collect();
    assert_eq!(answers.iter().map(|answer| answer.asked).sum::<u64>(), 3);
    assert!(answers.iter().all(|answer| answer.reads == 4 * answer.asked && answer.faults.is_empty()));
    let mut file = spec.file().clone();
    file.rules.plot_size = 20;
    let other = ChainSpec::new(file).unwrap();
    assert!((0..spec.rules().filter).all(|round| look_up_all(farm, &other, &seed, round).asked == 0));
}

fn a_win_is_proved(farm: &Farm, spec: &ChainSpec, secret: &FarmerSecret) {
    let seed = Seed::new([5; 32]);
    let (round, draw) = (0..1_000)
        .map(Round::new)
        .find_map(|round| {
            let (output, _) = secret.evaluate(spec.id(), &seed, round, Counter(0));
            let found = look_up_all(farm, spec, &seed, round.get()).found;
            let draws = schedule(spec, &output, &seed, round, &found);
            let slots = draws.iter().map(|draw| draw.slot);
            let won =
                slots.filter_map(|slot| winner(&draws, slot, spec.difficulty_initial())).next().cloned();
            won.map(|draw| (round, draw))
        })
        .unwrap();
    let plot = farm.plot(draw.plot).unwrap();
    let proof = plot.solve(&draw.chain).unwrap();
    verify(plot.params(), &challenge(spec.beacon_id(), &seed, round), &proof).unwrap();
    let trial = crate::trial::try_out(String::new(), plot, secret);
    assert_eq!(trial.failure, None);
    let stranger = FarmerSecret::from_seed(&[8; 32]);
    let failure = crate::trial::try_out(String::new(), plot, &stranger).failure.unwrap();
    assert!(failure.starts_with("signing for"), "{failure}");
}

/// A disk that is unplugged takes its plots with it, one that is plugged in brings them, and a number is not
/// given twice.
fn disks_come_and_go(farm: &mut Farm, one: &Path, two: &Path, spec: &ChainSpec) {
    let numbers = |farm: &Farm| farm.plots().map(|(number, _)| number).collect::<Vec<_>>();
    let before = numbers(farm);
    let away = one.with_extension("away");
    fs::rename(one, &away).unwrap();
    let faults = scan_all(farm);
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Directory { path, .. } if path == one)));
    assert_eq!(farm.plots().count(), 2, "the copy of a plot that is away counts now");
    fs::rename(&away, one).unwrap();
    scan_all(farm);
    assert_eq!(farm.plots().count(), 3);
    assert!(numbers(farm).iter().filter(|number| !before.contains(number)).count() >= 2);

    // Its files vanish between two looks: the look-up says so, the rest answers.
    fs::remove_dir_all(two).unwrap();
    let answers: Vec<_> =
        (0..spec.rules().filter).map(|round| look_up_all(farm, spec, &Seed::ZERO, round)).collect();
    assert_eq!(answers.iter().map(|answer| answer.asked).sum::<u64>(), 3);
    let faults = answers.iter().map(|answer| answer.faults.len()).sum::<usize>();
    assert!((1..3).contains(&faults), "{faults}");

    // A file that failed is at fault until it answers.
    let failing =
        |farm: &Farm| farm.disks()[2].faults().filter(|fault| fault.kind == FaultKind::Plot).count();
    let before = failing(farm);
    let failed = answers.into_iter().find(|answer| !answer.faults.is_empty()).unwrap();
    farm.asked(2, &failed);
    assert_eq!(failing(farm), before + failed.faults.len());
    let sound = farm.plots().map(|(number, _)| number).collect();
    farm.asked(2, &Answer { sound, ..Answer::default() });
    assert_eq!(failing(farm), before);
}

#[test]
fn a_group_costs_the_reads_of_one_plot_and_each_of_its_plots_wins() {
    let (dir, secret) = (tempfile::tempdir().unwrap(), FarmerSecret::from_seed(&[7; 32]));
    let (farmer, nonce) = (secret.public(), GroupNonce::new([1; 32]));
    let group = GroupIdentity { size: PlotSize::MIN, strength: Strength::MIN, farmer, nonce };
    mass_plot::create_group(dir.path(), &group, 3, &mass_plot::GroupOptions::default()).unwrap();
    let mut farm = Farm::new(&[dir.path().to_owned()], farmer);
    assert!(scan_all(&mut farm).is_empty());
    let spec = ChainSpec::built_in("dev").unwrap();
    let mut proved = std::collections::BTreeSet::new();
    for round in 0..400 {
        let seed = Seed::new([5; 32]);
        let answer = look_up_all(&farm, &spec, &seed, round);
        assert_eq!(answer.reads, 4 * answer.asked, "four for the whole group");
        for found in answer.found.iter().filter(|found| !proved.contains(&found.index)) {
            let (file, question) =
                (farm.plot(found.plot).unwrap(), challenge(spec.beacon_id(), &seed, Round::new(round)));
            let proof =
                file.solve_of(found.index, &found.chain, &mass_plot::SolveOptions::default()).unwrap();
            verify(file.params_of(found.index).unwrap(), &question, &proof).unwrap();
        }
        proved.extend(answer.found.iter().map(|found| found.index));
    }
    assert_eq!(proved.len(), 3, "{proved:?}");
}
