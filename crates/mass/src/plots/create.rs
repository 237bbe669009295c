//! `mass plots create`: plots of random groups, one after the other, each in a file of its own or several in one.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use mass_consensus::spec::ChainSpec;
use mass_plot::{
    BuildOptions, CreateOptions, Gate, GroupOptions, GroupProgress, PlotError, Progress as Work,
    UnfinishedGroup,
};
use mass_primitives::{FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, PlotSize, Strength};
use serde_json::json;

use super::{
    means::{Means, pausable},
    progress::{Progress, Share},
    wanted::Wanted,
};
use crate::output::{Output, Verdict, human_bytes, human_time, note};

/// Which plots to make, and where.
#[derive(Args)]
pub struct CreateArgs {
    /// The directory to put the plots in.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// How many plots to make.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    plots: u32,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    means: Means,
}

/// Makes the plots.
pub fn create(args: &CreateArgs, output: Output) -> anyhow::Result<Verdict> {
    let (size, strength, farmer) = args.wanted.kind()?;
    let (count, group) = (args.plots, args.wanted.group);
    let batch = Batch { dir: &args.dir, size, strength, farmer, count, group };
    let Made { count, files, bytes, elapsed, rested } = batch.make(&args.means)?;
    let text = format!(
        "made {} of k={size} and strength {strength}, {} in {}, for farmer {farmer}",
        plots_text(count),
        human_bytes(bytes),
        human_time(elapsed)
    );
    let value = json!({
        "count": count,
        "bytes": bytes,
        "seconds": elapsed.as_secs_f64(),
        "paused_seconds": rested.as_secs_f64(),
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
    /// Plots of a group at the most, which share a file.
    pub group: u16,
}

/// Plots that were made.
pub struct Made {
    /// How many.
    pub count: u32,
    /// Their files.
    pub files: Vec<PathBuf>,
    /// Bytes of the files.
    pub bytes: u64,
    /// What that took, without rests.
    pub elapsed: Duration,
    /// How long it was paused.
    pub rested: Duration,
}

/// A file to make.
#[derive(Clone, Copy)]
struct Job {
    /// The group that was begun; without it, a new one.
    begun: Option<GroupIdentity>,
    share: Share,
}

impl Batch<'_> {
    /// Makes the plots, one after the other, until the end or a signal.
    pub fn make(&self, means: &Means) -> anyhow::Result<Made> {
        let (build, gate) = (means.build_options()?, means.gate()?);
        prepare(self.dir)?;
        let jobs = self.jobs()?;
        let shares: Vec<Share> = jobs.iter().map(|job| job.share).collect();
        let progress = Progress::new(&shares, self.size);
        let dirs = [self.dir.to_owned()];
        let files = pausable(
            &dirs,
            &gate,
            |paused| progress.set_paused(paused, &dirs),
            || {
                let numbered = jobs.iter().enumerate();
                let files = numbered.map(|(number, job)| {
                    self.make_one(job, &shares[..number], build, &gate, &progress)
                        .with_context(|| format!("file {} of {} failed", number + 1, jobs.len()))
                });
                files.collect::<anyhow::Result<Vec<PathBuf>>>()
            },
        )?;
        let (elapsed, rested) = progress.finish();
        let mut bytes = 0;
        for path in &files {
            bytes += fs::metadata(path).with_context(|| path.display().to_string())?.len();
        }
        let count = shares.iter().map(|share| u32::from(share.plots)).sum();
        Ok(Made { count, files, bytes, elapsed, rested })
    }

    /// The groups that are begun, and new ones for what is left.
    fn jobs(&self) -> anyhow::Result<Vec<Job>> {
        let (mut jobs, mut left) = (Vec::new(), self.count);
        for UnfinishedGroup { identity, plots, staged, in_work, .. } in
            mass_plot::unfinished_groups(self.dir)?
        {
            let is_ours = (identity.farmer, identity.size, identity.strength)
                == (self.farmer, self.size, self.strength);
            if is_ours && !in_work {
                note(&format!("going on with a group of {plots} plots, {staged} of which are there"));
                jobs.push(Job { begun: Some(identity), share: Share { plots, staged, is_group: true } });
                left = left.saturating_sub(plots.into());
            }
        }
        while left > 0 {
            let plots = u16::try_from(left).unwrap_or(u16::MAX).min(self.group.max(1));
            jobs.push(Job { begun: None, share: Share { plots, staged: 0, is_group: plots > 1 } });
            left -= u32::from(plots);
        }
        Ok(jobs)
    }

    fn make_one(
        &self,
        job: &Job,
        before: &[Share],
        build: BuildOptions,
        gate: &Gate,
        progress: &Progress,
    ) -> anyhow::Result<PathBuf> {
        let (share, gate) = (job.share, Some(gate));
        let identity = job.begun.map_or_else(|| self.new_group(), Ok)?;
        let made = if share.is_group {
            let watch = |work: GroupProgress| progress.group(before, share, work);
            let options = GroupOptions { build, progress: Some(&watch), gate };
            mass_plot::create_group(self.dir, &identity, share.plots, &options)
        } else {
            let watch = |work: Work| progress.plot(before, work);
            mass_plot::create_with(
                self.dir,
                &identity,
                &CreateOptions { build, progress: Some(&watch), gate },
            )
        };
        made.map_err(|error| explained(error, self.size, share))
    }

    fn new_group(&self) -> anyhow::Result<GroupIdentity> {
        let Self { size, strength, farmer, .. } = *self;
        Ok(GroupIdentity { size, strength, farmer, nonce: new_nonce()? })
    }
}

/// What makes a group another one than all before.
pub fn new_nonce() -> anyhow::Result<GroupNonce> {
    let mut nonce = [0u8; GroupNonce::LEN];
    getrandom::fill(&mut nonce).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    Ok(GroupNonce::new(nonce))
}

fn explained(error: PlotError, size: PlotSize, share: Share) -> anyhow::Error {
    match error {
        PlotError::NoSpace { dir, needed, free } => {
            let what = if share.is_group { "its group" } else { "a plot" };
            anyhow!(
                "{} has {} free and {what} needs {}",
                dir.display(),
                human_bytes(free),
                human_bytes(needed)
            )
        }
        PlotError::Memory { needed, allowed } => anyhow!(
            "a plot of k={size} takes {} of memory at the least, {} are allowed",
            human_bytes(needed),
            human_bytes(allowed)
        ),
        PlotError::Cancelled if share.is_group => {
            anyhow!("cancelled; the next run goes on with the group")
        }
        PlotError::Cancelled => anyhow!("cancelled; nothing is left of it"),
        other => other.into(),
    }
}

/// What the command line says, or else the chain; a warning if the chain takes no such plots.
pub fn size_and_strength(
    k: Option<u8>,
    strength: Option<u8>,
    spec: &ChainSpec,
) -> anyhow::Result<(PlotSize, Strength)> {
    let size = k.map_or(Ok(spec.plot_size()), PlotSize::new)?;
    let strength = Strength::new(strength.unwrap_or(spec.rules().strength_min))?;
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
pub fn prepare(dir: &Path) -> anyhow::Result<()> {
    // Not the directories above: a path that is missing altogether is likely a disk that is not mounted.
    if !dir.exists() {
        fs::create_dir(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    }
    for path in mass_plot::clean_orphans(dir)? {
        note(&format!("removed the unfinished {}", path.display()));
    }
    Ok(())
}

pub fn plots_text(count: u32) -> String {
    if count == 1 { "1 plot".to_owned() } else { format!("{count} plots") }
}
