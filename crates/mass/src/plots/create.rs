//! `mass plots create`: plots of random groups, one after the other.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mass_consensus::spec::ChainSpec;
use mass_plot::{BuildOptions, CreateOptions, PlotError, Progress as Work};
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
    /// Threads that work [default: all that the machine runs at once].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Memory that the plotter may take, as 8GiB or 12G: with less it is slower [default: three quarters of what
    /// is free].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
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
    let batch = Batch { dir: &args.dir, size, strength, farmer, count: args.plots };
    let defaults = BuildOptions::default();
    let build = BuildOptions {
        threads: args.threads.unwrap_or(defaults.threads),
        memory_bytes: args.memory.or_else(|| free_memory().map(|bytes| bytes / 4 * 3)),
        ..defaults
    };
    let Made { files, bytes, elapsed } = batch.make(build)?;
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

/// Plots to make.
pub struct Batch<'a> {
    /// Where.
    pub dir: &'a Path,
    /// Of what size.
    pub size: PlotSize,
    /// Of what strength.
    pub strength: Strength,
    /// For whom.
    pub farmer: FarmerPublicKey,
    /// How many.
    pub count: u32,
}

/// Plots that were made.
pub struct Made {
    /// Their files.
    pub files: Vec<PathBuf>,
    /// Bytes of the files.
    pub bytes: u64,
    /// What that took.
    pub elapsed: Duration,
}

impl Batch<'_> {
    /// Makes the plots, one after the other, until the end or a signal.
    pub fn make(&self, build: BuildOptions) -> anyhow::Result<Made> {
        prepare(self.dir)?;
        let cancel = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&cancel);
        ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))
            .context("signals cannot be caught")?;
        let start = Instant::now();
        let progress = Progress::new(self.count, self.size);
        let (mut files, mut bytes) = (Vec::new(), 0u64);
        for done in 0..self.count {
            let watch = |work: Work| progress.advance(done, work);
            let options = CreateOptions { build, progress: Some(&watch), cancel: Some(&cancel) };
            let path = self
                .make_one(&options)
                .with_context(|| format!("plot {} of {} failed", done + 1, self.count))?;
            bytes += fs::metadata(&path).with_context(|| path.display().to_string())?.len();
            files.push(path);
            progress.made(done + 1);
        }
        progress.bar.finish_and_clear();
        Ok(Made { files, bytes, elapsed: start.elapsed() })
    }

    fn make_one(&self, options: &CreateOptions<'_>) -> anyhow::Result<PathBuf> {
        let mut nonce = [0u8; GroupNonce::LEN];
        getrandom::fill(&mut nonce).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
        let Self { dir, size, strength, farmer, .. } = *self;
        let identity = GroupIdentity { size, strength, farmer, nonce: GroupNonce::new(nonce) };
        mass_plot::create_with(dir, &identity, options).map_err(|error| match error {
            PlotError::NoSpace { dir, needed, free } => anyhow!(
                "{} has {} free and a plot needs {}",
                dir.display(),
                human_bytes(free),
                human_bytes(needed)
            ),
            PlotError::Memory { needed, allowed } => anyhow!(
                "a plot of k={size} takes {} of memory at the least, {} are allowed",
                human_bytes(needed),
                human_bytes(allowed)
            ),
            PlotError::Cancelled => anyhow!("cancelled; nothing is left of it"),
            other => other.into(),
        })
    }
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

fn plots_text(count: u32) -> String {
    if count == 1 { "1 plot".to_owned() } else { format!("{count} plots") }
}

/// Bytes that programs could take without others being moved out; none where the system does not say.
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// A number of bytes as people write it: `1500000`, `12G`, `8GiB`, all in powers of 1024.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(format!("{unit:?} is no unit: k, M, G or T")),
    };
    let number: u64 = number.parse().map_err(|_| "a number of bytes was expected".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is too much".to_owned())
}

/// Steps of the bar for each plot.
const STEPS: u64 = 1000;
/// Time between two lines where no bar can be shown.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// A bar where a person watches, lines where none does.
struct Progress {
    bar: ProgressBar,
    plots: u32,
    nominal_bytes: u64,
    start: Instant,
    last_line: Mutex<Instant>,
}

impl Progress {
    fn new(plots: u32, size: PlotSize) -> Self {
        let bar = ProgressBar::new(u64::from(plots) * STEPS);
        if let Ok(style) = ProgressStyle::with_template("[{elapsed_precise}] {wide_bar} {percent}% {msg}") {
            bar.set_style(style);
        }
        bar.set_message(format!("plots of k={size}"));
        bar.enable_steady_tick(Duration::from_millis(500));
        let start = Instant::now();
        Self { bar, plots, nominal_bytes: size.nominal_bytes(), start, last_line: Mutex::new(start) }
    }

    /// So many plots are made and the next is under way.
    fn advance(&self, made: u32, work: Work) {
        let steps = u64::from(made) * STEPS
            + u64::try_from(u128::from(work.done) * u128::from(STEPS) / u128::from(work.total.max(1)))
                .unwrap_or(STEPS)
                .min(STEPS);
        if steps > self.bar.position() {
            self.show(steps, false);
        }
    }

    fn made(&self, made: u32) {
        self.show(u64::from(made) * STEPS, true);
    }

    /// Rate and rest are those of all work so far: a plot differs little from the next.
    fn show(&self, steps: u64, is_whole: bool) {
        let elapsed = self.start.elapsed();
        let all = u64::from(self.plots) * STEPS;
        let bytes = self.nominal_bytes as f64 * steps as f64 / STEPS as f64;
        let rest = elapsed.mul_f64((all - steps) as f64 / steps.max(1) as f64);
        let rate = human_bytes((bytes / elapsed.as_secs_f64().max(f64::EPSILON)) as u64);
        let plot = (steps / STEPS + u64::from(!is_whole)).min(self.plots.into());
        let text = format!("plot {plot} of {}: {rate}/s, {} to go", self.plots, human_time(rest));
        if self.bar.is_hidden()
            && let Ok(mut last) = self.last_line.lock()
            && (is_whole || last.elapsed() >= LINE_INTERVAL)
        {
            *last = Instant::now();
            note(&format!("{text} ({} %)", 100 * steps / all));
        }
        self.bar.set_message(text);
        self.bar.set_position(steps);
    }
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("17", 17), ("2k", 2048), ("12G", 12 << 30), ("8GiB", 8 << 30), ("1 TB", 1 << 40)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "12X", "-1", "1.5G", "99999999999T"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
