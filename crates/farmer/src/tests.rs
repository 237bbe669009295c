//! A farm of real plots, from the disk to a proof that verifies.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mass_consensus::{keys::FarmerSecret, lottery::challenge, spec::ChainSpec};
use mass_plot::SolveOptions;
use mass_primitives::{FarmerPublicKey, GroupNonce, PlotIndex, Round, Seed};
use mass_proof_of_space::{
    GroupIdentity, PlotParams, PlotSize, Proof, QUALITY_LINKS, QualityChain, Strength, verify,
};
use mass_rpc::farm::FaultKind;
use rand_core::{CryptoRng, Error, RngCore, impls};

use crate::{
    Farm, Fault,
    disk::Turn,
    schedule,
    shelf::{Answer, Sample, Shelf},
    winner,
};

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

/// Directories and their books.
struct Disks {
    shelves: Vec<Shelf>,
    farm: Farm,
}

impl Disks {
    fn new(dirs: &[PathBuf], farmer: FarmerPublicKey) -> Self {
        let mut farm = Farm::new(farmer);
        dirs.iter().enumerate().for_each(|(number, dir)| farm.add_disk(number, dir.clone()));
        Self { shelves: dirs.iter().cloned().map(Shelf::new).collect(), farm }
    }

    /// Looks into all disks, as their threads do.
    fn scan(&mut self) -> Vec<Fault> {
        let scans: Vec<_> = self.shelves.iter_mut().map(Shelf::scan).collect();
        scans.into_iter().enumerate().flat_map(|(number, scan)| self.farm.scanned(number, scan)).collect()
    }

    /// Asks all disks, as their threads do.
    fn look_up(&self, spec: &ChainSpec, seed: &Seed, round: u64) -> Answer {
        let turn = Turn { beacon: *spec.beacon_id(), seed: *seed, round: Round::new(round) };
        let question = challenge(spec.beacon_id(), seed, turn.round);
        let mut whole = Answer::default();
        for (number, shelf) in self.shelves.iter().enumerate() {
            let answer = shelf.look_up(&question, &self.farm.turn(number, spec, &turn));
            whole.found.extend(answer.found);
            whole.faults.extend(answer.faults);
            whole.asked += answer.asked;
            whole.reads += answer.reads;
        }
        whole
    }
}

fn solve(identity: &GroupIdentity, index: PlotIndex, chain: &QualityChain) -> (PlotParams, Proof) {
    let GroupIdentity { size, strength, .. } = *identity;
    let params = PlotParams { group_id: identity.group_id(), index, size, strength };
    (params, mass_plot::solve(&params, chain, &SolveOptions::default()).unwrap())
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

    let mut disks = Disks::new(&dirs, secret.public());
    let faults = disks.scan();
    assert_eq!(disks.farm.groups().count(), 3);
    let count = |wanted: fn(&Fault) -> bool| faults.iter().filter(|fault| wanted(fault)).count();
    assert_eq!(faults.len(), 3);
    assert_eq!(count(|fault| matches!(fault, Fault::Directory { .. })), 1);
    assert_eq!(count(|fault| matches!(fault, Fault::Plot { .. })), 1);
    assert_eq!(count(|fault| matches!(fault, Fault::Duplicate { .. })), 1);
    assert!(disks.scan().is_empty(), "what is wrong is news but once");

    let spec = ChainSpec::built_in("dev").unwrap();
    each_plot_is_asked_once_in_a_filter(&disks, &spec);
    a_win_is_proved(&disks, &spec, &secret);
    disks_come_and_go(&mut disks, one.path(), two.path(), &spec);

    let mut others = Disks::new(&dirs, FarmerPublicKey::new([9; 32]));
    let faults = others.scan();
    assert_eq!(others.farm.groups().count(), 0);
    assert_eq!(faults.iter().filter(|fault| matches!(fault, Fault::OtherFarmer { .. })).count(), 2);
    assert_eq!(others.look_up(&spec, &Seed::ZERO, 0).reads, 0);
}

fn each_plot_is_asked_once_in_a_filter(disks: &Disks, spec: &ChainSpec) {
    let seed = Seed::new([5; 32]);
    let answers: Vec<_> = (0..spec.rules().filter).map(|round| disks.look_up(spec, &seed, round)).collect();
    assert_eq!(answers.iter().map(|answer| answer.asked).sum::<u64>(), 3);
    assert!(answers.iter().all(|answer| answer.reads == 4 * answer.asked && answer.faults.is_empty()));
    let mut file = spec.file().clone();
    file.rules.plot_size = 20;
    let other = ChainSpec::new(file).unwrap();
    assert!((0..spec.rules().filter).all(|round| disks.look_up(&other, &seed, round).asked == 0));
    assert_eq!((disks.farm.plots(spec), disks.farm.plots(&other)), (3, 0));
}

fn a_win_is_proved(disks: &Disks, spec: &ChainSpec, secret: &FarmerSecret) {
    let seed = Seed::new([5; 32]);
    let (round, draw) = (0..1_000)
        .map(Round::new)
        .find_map(|round| {
            let (output, _) = secret.evaluate(spec.id(), &seed, round, Counter(0));
            let found = disks.look_up(spec, &seed, round.get()).found;
            let draws = schedule(spec, &output, &seed, round, &found);
            let slots = draws.iter().map(|draw| draw.slot);
            let won =
                slots.filter_map(|slot| winner(&draws, slot, spec.difficulty_initial())).next().cloned();
            won.map(|draw| (round, draw))
        })
        .unwrap();
    let (params, proof) = solve(&draw.identity, draw.index, &draw.chain);
    verify(&params, &challenge(spec.beacon_id(), &seed, round), &proof).unwrap();
    let sample = disks.shelves[0].sample().unwrap();
    crate::trial::seal(&sample, secret).unwrap();
    let failure = crate::trial::seal(&sample, &FarmerSecret::from_seed(&[8; 32])).unwrap_err();
    assert!(failure.starts_with("signing a seal"), "{failure}");
    let invented = Sample { chain: QualityChain::new([u64::MAX; QUALITY_LINKS]), ..sample };
    let failure = crate::trial::seal(&invented, secret).unwrap_err();
    assert!(failure.starts_with("solving a proof"), "{failure}");
}

/// A disk that is unplugged takes its plots with it, one that is plugged in brings them.
fn disks_come_and_go(disks: &mut Disks, one: &Path, two: &Path, spec: &ChainSpec) {
    let away = one.with_extension("away");
    fs::rename(one, &away).unwrap();
    let faults = disks.scan();
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Directory { path, .. } if path == one)));
    assert_eq!(disks.farm.groups().count(), 2, "the copy of a plot that is away counts now");
    fs::rename(&away, one).unwrap();
    disks.scan();
    assert_eq!(disks.farm.groups().count(), 3);

    // Its files vanish between two looks: the look-up says so, the rest answers.
    fs::remove_dir_all(two).unwrap();
    let answers: Vec<_> =
        (0..spec.rules().filter).map(|round| disks.look_up(spec, &Seed::ZERO, round)).collect();
    assert_eq!(answers.iter().map(|answer| answer.asked).sum::<u64>(), 3);
    let faults = answers.iter().map(|answer| answer.faults.len()).sum::<usize>();
    assert!((1..3).contains(&faults), "{faults}");

    // A file that failed is at fault until it answers.
    let failing =
        |farm: &Farm| farm.disk(2).unwrap().faults().filter(|fault| fault.kind == FaultKind::Plot).count();
    let before = failing(&disks.farm);
    let failed = answers.into_iter().find(|answer| !answer.faults.is_empty()).unwrap().faults;
    let groups: Vec<_> = disks.farm.groups().map(|file| file.group).collect();
    assert_eq!(disks.farm.asked(2, &groups, failed.clone()).len(), failed.len());
    assert_eq!(failing(&disks.farm), before + failed.len());
    disks.farm.asked(2, &groups, Vec::new());
    assert_eq!(failing(&disks.farm), before);
}

#[test]
fn a_group_costs_the_reads_of_one_plot_and_each_of_its_plots_wins() {
    let (dir, secret) = (tempfile::tempdir().unwrap(), FarmerSecret::from_seed(&[7; 32]));
    let (farmer, nonce) = (secret.public(), GroupNonce::new([1; 32]));
    let group = GroupIdentity { size: PlotSize::MIN, strength: Strength::MIN, farmer, nonce };
    mass_plot::create_group(dir.path(), &group, 3, &mass_plot::GroupOptions::default()).unwrap();
    let mut disks = Disks::new(&[dir.path().to_owned()], farmer);
    assert!(disks.scan().is_empty());
    let spec = ChainSpec::built_in("dev").unwrap();
    let mut proved = std::collections::BTreeSet::new();
    for round in 0..400 {
        let seed = Seed::new([5; 32]);
        let answer = disks.look_up(&spec, &seed, round);
        assert_eq!(answer.reads, 4 * answer.asked, "four for the whole group");
        for found in answer.found.iter().filter(|found| !proved.contains(&found.index)) {
            let (params, proof) = solve(&found.identity, found.index, &found.chain);
            verify(&params, &challenge(spec.beacon_id(), &seed, Round::new(round)), &proof).unwrap();
        }
        proved.extend(answer.found.iter().map(|found| found.index));
    }
    assert_eq!(proved.len(), 3, "{proved:?}");
}
