//! `mass plots create`: plots of random groups, one after the other.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mass_consensus::spec::ChainSpec;
use mass_plot::PlotError;
use mass_primitives::{FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};
use serde_json::json;

use crate::{
    chain, keys,
    output::{Output, Verdict, human_bytes, human_time, note},
};

/// Which plots to make, and where.
#[derive(Args)]
pub struct CreateArgs {
    /// The directory to put the plots in.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The chain to farm: dev, testnet, massnet or a spec file. It gives k and the strength.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    chain: String,
    /// The size of a plot, an even number from 18 to 28 [default: the chain's, which takes no other].
    #[arg(short, value_name = "K")]
    k: Option<u8>,
    /// How many plots to make.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    plots: u32,
    /// The work behind each proof, from 2 to 17 [default: the least that the chain takes].
    #[arg(long, value_name = "S")]
    strength: Option<u8>,
    /// The public key that alone can farm the plots, 64 hex digits, for plotting without the secret.
    #[arg(long, value_name = "HEX", conflicts_with = "key_file")]
    farmer_key: Option<FarmerPublicKey>,
    /// The key file of the farmer [default: that of `mass keys create`].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Makes the plots.
pub fn create(args: &CreateArgs, output: Output) -> anyhow::Result<Verdict> {
    let spec = chain::load(&args.chain)?;
    let (size, strength) = size_and_strength(args, &spec)?;
    let farmer = match args.farmer_key {
        Some(key) => key,
        None => keys::read_public(&keys::file_or_default(args.key_file.as_deref())?)?,
    };
    prepare(&args.dir)?;
    let start = Instant::now();
    let progress = Progress::new(args.plots, size);
    let (mut files, mut bytes) = (Vec::new(), 0u64);
    for done in 1..=args.plots {
        let path = create_one(&args.dir, size, strength, farmer)
            .with_context(|| format!("plot {done} of {} failed", args.plots))?;
        bytes += fs::metadata(&path).with_context(|| path.display().to_string())?.len();
        files.push(path);
        progress.made(done, bytes, start.elapsed());
    }
    progress.finish();
    let elapsed = start.elapsed();
    let text = format!(
        "made {} of k={size} and strength {strength}, {} in {}, for farmer {farmer}",
        plots_text(args.plots),
        human_bytes(bytes),
        human_time(elapsed)
    );
    let value = json!({
        "count": files.len(),
        "bytes": bytes,
        "seconds": elapsed.as_secs_f64(),
        "k": size.get(),
        "strength": strength.get(),
        "farmer": farmer,
        "files": files,
    });
    output.result(&value, &text)?;
    Ok(Verdict::Good)
}

fn size_and_strength(args: &CreateArgs, spec: &ChainSpec) -> anyhow::Result<(PlotSize, Strength)> {
    let size = args.k.map_or(Ok(spec.plot_size()), PlotSize::new)?;
    let strength = Strength::new(args.strength.unwrap_or(spec.rules().strength_min))?;
    let name = &spec.rules().name;
    if size != spec.plot_size() {
        note(&format!("warning: chain {name} takes k={} only, not k={size}", spec.plot_size()));
    }
    if !spec.allows_strength(strength) {
        note(&format!("warning: chain {name} does not take strength {strength}"));
    }
    Ok((size, strength))
}

/// Makes the directory if only it is missing, and removes what killed runs left there.
fn prepare(dir: &Path) -> anyhow::Result<()> {
    // Not the directories above: a path that is missing altogether is likely a disk that is not mounted.
    if !dir.exists() {
        fs::create_dir(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    }
    for path in mass_plot::clean_orphans(dir)? {
        note(&format!("removed the unfinished {}", path.display()));
    }
    Ok(())
}

/// Makes the plot of a random group.
pub fn create_one(
    dir: &Path,
    size: PlotSize,
    strength: Strength,
    farmer: FarmerPublicKey,
) -> anyhow::Result<PathBuf> {
    let mut nonce = [0u8; GroupNonce::LEN];
    getrandom::fill(&mut nonce).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    let identity = GroupIdentity { size, strength, farmer, nonce: GroupNonce::new(nonce) };
    mass_plot::create(dir, &identity).map_err(|error| match error {
        PlotError::NoSpace { dir, needed, free } => anyhow!(
            "{} has {} free and a plot needs {}",
            dir.display(),
            human_bytes(free),
            human_bytes(needed)
        ),
        other => other.into(),
    })
}

fn plots_text(count: u32) -> String {
    if count == 1 { "1 plot".to_owned() } else { format!("{count} plots") }
}

/// A bar where a person watches, a line for every plot where none does.
pub struct Progress {
    bar: ProgressBar,
    plots: u32,
}

impl Progress {
    /// A bar for so many plots.
    pub fn new(plots: u32, size: PlotSize) -> Self {
        let bar = ProgressBar::new(plots.into());
        if let Ok(style) = ProgressStyle::with_template("[{elapsed_precise}] {wide_bar} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(format!("first plot of k={size}"));
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, plots }
    }

    /// Rate and rest are those of all plots so far: a plot differs little from the next.
    pub fn made(&self, done: u32, bytes: u64, elapsed: Duration) {
        let rate = bytes as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        let rest = elapsed / done.max(1) * (self.plots - done);
        let text = format!("{}/s, {} to go", human_bytes(rate as u64), human_time(rest));
        if self.bar.is_hidden() {
            note(&format!("plot {done} of {}: {text}", self.plots));
        }
        self.bar.set_message(text);
        self.bar.set_position(done.into());
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
