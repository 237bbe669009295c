//! The farmers of simulated networks: real keys and real plots of k = 18, made once in a directory of their own and used
//! by as many simulations as one likes. Plots are bound to a key and to no chain.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use mass_consensus::{keys::FarmerSecret, lottery::challenge, spec::ChainSpec};
use mass_farmer::{Draw, Farm, Found, ProofKey, Turn, proof_key, shelf::Shelf};
use mass_plot::{PlotError, SolveOptions, create, solve};
use mass_primitives::{GroupNonce, Round, Seed};
use mass_proof_of_space::{GroupIdentity, PlotParams, PlotSize, Proof, Strength};
use tempfile::TempDir;

/// Plots of a farmer, by its number. They differ, so that large and small ones meet.
const PLOTS: [u8; 8] = [4, 3, 5, 2, 6, 4, 5, 3];

/// The number of a farmer's directory.
const DISK: usize = 0;

/// A farmer.
pub struct Farmer {
    /// The key.
    pub secret: FarmerSecret,
    /// Number of plots.
    pub plots: u8,
    shelf: Shelf,
    farm: Farm,
    /// Proofs that were solved, which several tips in one round ask for.
    solved: Mutex<BTreeMap<ProofKey, Option<Proof>>>,
}

/// Farmers with plots.
pub struct Farms {
    farmers: Vec<Farmer>,
    _dir: TempDir,
}

/// Why there are no plots.
#[derive(Debug, thiserror::Error)]
pub enum FarmsError {
    /// No directory for the plots.
    #[error("no directory for the plots: {0}")]
    Dir(#[from] std::io::Error),
    /// A plot cannot be made.
    #[error("a plot cannot be made: {0}")]
    Plot(#[from] PlotError),
}

impl Farms {
    /// Makes the plots of so many farmers, in the system's directory for temporary files; a second of one core for five
    /// plots. They are removed with the last use.
    ///
    /// # Errors
    /// [`FarmsError`].
    pub fn make(farmers: usize) -> Result<Self, FarmsError> {
        let dir = tempfile::Builder::new().prefix("mass-sim").tempdir()?;
        let farmers = (0..farmers).map(|number| make_farmer(&dir, number)).collect::<Result<_, _>>()?;
        Ok(Self { farmers, _dir: dir })
    }

    /// The farmers.
    #[must_use]
    pub fn farmers(&self) -> &[Farmer] {
        &self.farmers
    }
}

fn make_farmer(dir: &TempDir, number: usize) -> Result<Farmer, FarmsError> {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let (secret, plots) = (FarmerSecret::from_seed(&seed), PLOTS[number % PLOTS.len()]);
    let farmer = secret.public();
    let path = dir.path().join(number.to_string());
    std::fs::create_dir(&path)?;
    for plot in 0..plots {
        let nonce = GroupNonce::new([plot; 32]);
        create(&path, &GroupIdentity { size: PlotSize::MIN, strength: Strength::MIN, farmer, nonce })?;
    }
    let (mut shelf, mut farm) = (Shelf::new(path.clone()), Farm::new(farmer));
    farm.add_disk(DISK, path);
    farm.scanned(DISK, shelf.scan());
    Ok(Farmer { secret, plots, shelf, farm, solved: Mutex::default() })
}

impl Farmer {
    /// What the plots that a round asks have for its challenge.
    #[must_use]
    pub fn look_up(&self, spec: &ChainSpec, seed: &Seed, round: Round) -> Vec<Found> {
        let turn = Turn { beacon: *spec.beacon_id(), seed: *seed, round };
        let groups = self.farm.turn(DISK, spec, &turn);
        self.shelf.look_up(&challenge(spec.beacon_id(), seed, round), &groups).found
    }

    /// The proof behind a draw.
    #[must_use]
    pub fn solve(&self, draw: &Draw) -> Option<Proof> {
        let key = proof_key(draw);
        let mut solved = self.solved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(proof) = solved.get(&key) {
            return *proof;
        }
        let options = SolveOptions { threads: NonZeroUsize::new(1), gate: None };
        let GroupIdentity { size, strength, .. } = draw.identity;
        let params = PlotParams { group_id: draw.group, index: draw.index, size, strength };
        let proof = solve(&params, &draw.chain, &options).ok();
        solved.insert(key, proof);
        proof
    }
}
