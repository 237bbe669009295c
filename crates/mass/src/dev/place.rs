//! The directory of a development network: one run at a time, a key, plots, and room for the rest.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use mass_consensus::{keys::FarmerSecret, spec::ChainSpec};
use mass_farmer::{ChainConfig, FarmerConfig};
use mass_proof_of_space::Strength;
use mass_wallet::{Wallet, Words};

use crate::{
    keys,
    output::note,
    paths,
    plots::{create::Batch, means::Means},
};

/// The directory.
pub struct Place {
    dir: PathBuf,
    _lock: File,
}

/// The plots of a network.
#[derive(Clone, Copy, Debug)]
pub struct PlotsMade {
    /// How many there are.
    pub count: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// What making those that were missing took.
    pub time: Duration,
}

impl Place {
    /// Opens or makes the directory, for this run alone.
    pub fn open(dir: Option<&Path>) -> anyhow::Result<Self> {
        let dir = dir.map_or_else(|| Ok(paths::data_dir()?.join("dev")), |dir| anyhow::Ok(dir.to_owned()))?;
        let named = || dir.display().to_string();
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).with_context(named)?;
        let lock = dir.join("lock");
        let file =
            File::options().create(true).truncate(false).write(true).open(&lock).with_context(named)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: file }),
            Err(TryLockError::WouldBlock) => bail!("a development network runs in {} already", dir.display()),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| lock.display().to_string()),
        }
    }

    /// A farmer with the directory's key and plots, who is asked nothing.
    pub fn farmer(&self, chains: Vec<ChainConfig>) -> anyhow::Result<FarmerConfig> {
        Ok(FarmerConfig {
            chains,
            directories: vec![self.plots_dir()],
            harvesters: None,
            cluster: None,
            secret: self.secret()?,
            guard: self.guard(),
            // The key is of this directory, which is locked.
            watch_rounds: 0,
            rpc: None,
            access: mass_rpc::Access::default(),
            methods: None,
        })
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where node `number` of a chain keeps its things.
    pub fn node(&self, spec: &ChainSpec, number: u8) -> PathBuf {
        self.dir.join(&spec.rules().name).join(format!("node-{number}"))
    }

    /// Where a wallet of a chain is.
    pub fn wallet(&self, spec: &ChainSpec, name: &str) -> PathBuf {
        self.wallets(spec).join(name)
    }

    /// Where the wallets of a chain are.
    pub fn wallets(&self, spec: &ChainSpec) -> PathBuf {
        self.dir.join(&spec.rules().name).join("wallets")
    }

    /// Opens a wallet; one that is not there is made, from a phrase if there is one.
    pub fn open_wallet(&self, spec: &ChainSpec, name: &str, phrase: Option<&str>) -> anyhow::Result<Wallet> {
        let dir = self.wallet(spec, name);
        let wallet = match phrase {
            _ if Wallet::is_in(&dir) => Wallet::open(&dir, spec),
            Some(phrase) => Wallet::restore(&dir, spec, phrase),
            None => Wallet::create(&dir, spec, Words::Twelve).map(|(wallet, _)| wallet),
        };
        wallet.with_context(|| format!("wallet {name}"))
    }

    /// The record of what was signed.
    pub fn guard(&self) -> PathBuf {
        self.dir.join("signed.json")
    }

    /// Where the plots are.
    pub fn plots_dir(&self) -> PathBuf {
        self.dir.join("plots")
    }

    fn key_file(&self) -> PathBuf {
        self.dir.join("farmer.key")
    }

    /// The farmer key.
    pub fn secret(&self) -> anyhow::Result<FarmerSecret> {
        keys::read_secret(&self.key_file())
    }

    /// Makes the key and the plots that are missing.
    pub fn plots(&self, spec: &ChainSpec, wanted: u32) -> anyhow::Result<PlotsMade> {
        if !self.key_file().exists() {
            keys::create(&self.key_file())?;
        }
        let (dir, farmer) = (self.plots_dir(), self.secret()?.public());
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        mass_plot::clean_orphans(&dir)?;
        let listing = mass_plot::list(&dir)?;
        for (path, fault) in &listing.faults {
            note(&format!("{}: {fault}", path.display()));
        }
        let found = listing.plots.iter().filter(|plot| plot.identity().farmer == farmer);
        let (mut count, mut bytes) = (0u64, 0u64);
        found.for_each(|plot| (count, bytes) = (count + u64::from(plot.count()), bytes + plot.file_bytes()));
        let missing = u64::from(wanted).saturating_sub(count) as u32;
        let mut time = Duration::ZERO;
        if missing > 0 {
            let (size, strength) = (spec.plot_size(), Strength::new(spec.rules().strength_min)?);
            let batch = Batch { dir: &dir, size, strength, farmer, count: missing, group: 1 };
            let made = batch.make(&Means::default())?;
            (count, bytes, time) = (count + u64::from(missing), bytes + made.bytes, made.elapsed);
        }
        Ok(PlotsMade { count, bytes, time })
    }
}
