//! `mass node export` and `import`: the best chain of a node as a file of blocks, and back.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mass_consensus::{header::SealedHeader, spec::ChainSpec};
use mass_ledger_utxo::UtxoLedger;
use mass_node::{
    Chain,
    export::{self, Archive, BlockReader, BlockWriter, ExportError, Imported, Preamble},
    program,
};
use mass_primitives::{BlockId, Decode, Height, Reader};
use mass_rpc::{HttpClient, MassClient};
use serde_json::{Value, json};

use crate::{
    chain,
    output::{Output, human_bytes, human_time, note},
    runtime,
};

/// Blocks that a node is asked for at one time.
const BLOCKS_ASKED: u32 = 256;
/// Time between two lines where no bar can be shown.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What to write, and from where.
#[derive(Args)]
pub struct ExportArgs {
    /// The file to write; one that exists is never overwritten.
    file: PathBuf,
    /// The chain: a built-in one, as `mass chain list` has them, or a spec file.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    chain: String,
    /// The data directory of a node that does not run [default: node/<chain> in the user's data directory].
    #[arg(long, value_name = "DIR", conflicts_with = "node")]
    data_dir: Option<PathBuf>,
    /// The RPC of a node that runs, as in http://127.0.0.1:29331: it holds its data directory alone.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// Height of the first block.
    #[arg(long, value_name = "HEIGHT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    from: u32,
    /// Height of the last block [default: that of the chain].
    #[arg(long, value_name = "HEIGHT")]
    to: Option<u32>,
}

/// What to read, and into where.
#[derive(Args)]
pub struct ImportArgs {
    /// A file that `mass node export` wrote.
    file: PathBuf,
    /// The chain: a built-in one, as `mass chain list` has them, or a spec file.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    chain: String,
    /// The data directory of a node that does not run; made if there is none [default: node/<chain> in the user's
    /// data directory].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// The data directory that is meant.
pub(super) fn data_dir(given: Option<&PathBuf>, spec: &ChainSpec) -> anyhow::Result<PathBuf> {
    given.map_or_else(
        || Ok(program::data_dir()?.join("node").join(&spec.rules().name)),
        |dir| anyhow::Ok(dir.clone()),
    )
}

/// Where blocks come from.
enum Source {
    Stored(Archive),
    Running(HttpClient),
}

impl Source {
    fn open(args: &ExportArgs, spec: &ChainSpec) -> anyhow::Result<Self> {
        if let Some(url) = &args.node {
            return Ok(Self::Running(mass_rpc::client(url).with_context(|| url.clone())?));
        }
        let dir = data_dir(args.data_dir.as_ref(), spec)?;
        let archive = Archive::open(&dir, spec).map_err(|error| match error {
            ExportError::Store(_) => {
                let database = export::database(&dir);
                anyhow!(error).context(format!("{}: while a node runs, --node asks it", database.display()))
            }
            other => other.into(),
        });
        Ok(Self::Stored(archive?))
    }

    /// Height of the chain, once it is known to be of `spec`.
    async fn height(&self, spec: &ChainSpec) -> anyhow::Result<Height> {
        match self {
            Self::Stored(archive) => Ok(archive.height()?),
            Self::Running(client) => {
                let status = client.status().await.context("the node")?;
                ensure!(
                    status.chain == *spec.id(),
                    "the node is of chain {}, {} has the id {}",
                    status.chain,
                    spec.rules().name,
                    spec.id()
                );
                Ok(status.height)
            }
        }
    }

    /// Height of the first block that is here: those before a snapshot come once they are validated, pruned ones do not.
    async fn first(&self) -> anyhow::Result<u32> {
        match self {
            Self::Stored(archive) => Ok(archive.first()?.get()),
            Self::Running(client) => {
                let info = mass_rpc::call(client, "getblockchaininfo", vec![]).await.context("the node")?;
                let height = |field: &Value| field.as_u64().and_then(|height| u32::try_from(height).ok());
                let after_base = height(&info["snapshot"]["height"]).map(|base| base.saturating_add(1));
                Ok(after_base.max(height(&info["pruneheight"])).unwrap_or(1))
            }
        }
    }

    /// Some blocks from a height on, `most` of them at most; none if the chain became shorter.
    async fn blocks(&self, from: Height, most: u32) -> anyhow::Result<Vec<Vec<u8>>> {
        match self {
            Self::Stored(archive) => Ok(archive.block(from)?.into_iter().collect()),
            Self::Running(client) => {
                let blocks = client.blocks(from, most.min(BLOCKS_ASKED)).await.context("the node")?;
                blocks
                    .iter()
                    .map(|block| {
                        hex::decode(block).map_err(|_| anyhow!("the node sends no hexadecimal text"))
                    })
                    .collect()
            }
        }
    }
}

/// Writes the file: first beside its place, and there once it is whole and on disk.
pub fn export(args: &ExportArgs, output: Output) -> anyhow::Result<()> {
    let spec = chain::load(&args.chain)?;
    let file = &args.file;
    ensure!(!file.exists(), "{} exists and is not overwritten", file.display());
    let source = Source::open(args, &spec)?;
    runtime::block_on(async {
        let height = source.height(&spec).await?;
        let (first, last) = (args.from, args.to.unwrap_or(height.get()));
        ensure!(
            first <= last && last <= height.get(),
            "there are no blocks from height {first} to {last}: the chain has those from 1 to {height}"
        );
        let here = source.first().await?;
        ensure!(
            first >= here,
            "the blocks before height {here} are not here: --from {here} writes those that are. Pruned ones are written by an \
             archive node, and those before the snapshot that a node began with once `mass node status` tells of none"
        );
        let count = last - first + 1;
        let preamble = Preamble { chain: *spec.id(), first: Height::new(first), count };
        let part = beside(file);
        let written = write(&source, &preamble, &part, output).await;
        let bytes = match written.and_then(|bytes| publish(&part, file).map(|()| bytes)) {
            Ok(bytes) => bytes,
            Err(error) => {
                // The error says what went wrong; a rest that cannot be removed is overwritten next time.
                let _ = fs::remove_file(&part);
                return Err(error);
            }
        };
        let text = format!(
            "{}: {count} blocks of {}, {first} to {last}, {}",
            file.display(),
            spec.rules().name,
            human_bytes(bytes)
        );
        let json = json!({
            "file": file, "chain": spec.id(), "from": first, "to": last, "blocks": count, "bytes": bytes,
        });
        output.result(&json, &text)
    })
}

async fn write(source: &Source, preamble: &Preamble, part: &Path, output: Output) -> anyhow::Result<u64> {
    let file = File::create(part).with_context(|| part.display().to_string())?;
    let mut writer = BlockWriter::new(BufWriter::new(file), preamble)?;
    let mut bar = Bar::new(preamble.count, "exported", output);
    let (mut done, mut parent) = (0, None);
    while done < preamble.count {
        let from = Height::new(preamble.first.get() + done);
        let blocks = source.blocks(from, preamble.count - done).await?;
        ensure!(!blocks.is_empty(), "the chain became shorter meanwhile: start again");
        for block in &blocks {
            parent = Some(follow(block, parent)?);
            writer.put(block)?;
            done += 1;
        }
        bar.show(done);
    }
    bar.finish();
    let file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all().with_context(|| part.display().to_string())?;
    Ok(file.metadata()?.len())
}

/// The id of a block, which must stand on the one before.
fn follow(block: &[u8], parent: Option<BlockId>) -> anyhow::Result<BlockId> {
    let sealed = SealedHeader::decode(&mut Reader::new(block)).context("a stored block")?;
    let stands = parent.is_none_or(|parent| parent == sealed.header.parent);
    ensure!(stands, "the chain was reorganised meanwhile: start again");
    Ok(sealed.id())
}

/// Where the file is until it is whole.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

fn publish(part: &Path, file: &Path) -> anyhow::Result<()> {
    ensure!(!file.exists(), "{} came meanwhile and is not overwritten", file.display());
    fs::rename(part, file).with_context(|| file.display().to_string())?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| folder.display().to_string())
}

/// Takes the blocks of a file into a data directory.
pub fn import(args: &ImportArgs, output: Output) -> anyhow::Result<()> {
    let spec = chain::load(&args.chain)?;
    let name = args.file.display().to_string();
    let file = File::open(&args.file).with_context(|| name.clone())?;
    let mut blocks = BlockReader::new(BufReader::new(file)).with_context(|| name.clone())?;
    let preamble = *blocks.preamble();
    ensure!(
        preamble.chain == *spec.id(),
        "{name} has blocks of chain {}, {} has the id {}",
        preamble.chain,
        spec.rules().name,
        spec.id()
    );
    if spec.inherits_beacon() {
        bail!(
            "chain {} inherits its beacon: its blocks come from peers, beside its parent's",
            spec.rules().name
        );
    }
    let dir = data_dir(args.data_dir.as_ref(), &spec)?;
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let database = export::database(&dir);
    let mut chain =
        Chain::<UtxoLedger>::open(&database, spec, None).with_context(|| database.display().to_string())?;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut bar = Bar::new(preamble.count, "imported", output);
    let mut done = Imported::default();
    let result = export::import(&mut chain, &mut blocks, unix, |now| {
        done = now;
        bar.show(now.taken + now.known);
    });
    bar.finish();
    let height = chain.engine().tree().get(chain.engine().tip()).map_or(0, |tip| tip.height.get());
    result.with_context(|| {
        format!(
            "{name}: {} of {} blocks are taken, the chain is at height {height}",
            done.taken + done.known,
            preamble.count
        )
    })?;
    let text = format!(
        "{name}: {} blocks are new, {} were known; the chain is at height {height}",
        done.taken, done.known
    );
    let json = json!({
        "file": args.file, "chain": preamble.chain, "taken": done.taken, "known": done.known, "height": height,
        "tip": chain.engine().tip(),
    });
    output.result(&json, &text)
}

/// How far it is, with rate and time left: a bar where a person watches, lines where none does.
struct Bar {
    bar: ProgressBar,
    verb: &'static str,
    count: u32,
    start: Instant,
    told: Instant,
    quiet: bool,
}

impl Bar {
    fn new(count: u32, verb: &'static str, output: Output) -> Self {
        let bar = if output.json { ProgressBar::hidden() } else { ProgressBar::new(count.into()) };
        let style = "{bar:30} {pos}/{len} blocks, {per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is good"));
        let now = Instant::now();
        Self { bar, verb, count, start: now, told: now, quiet: output.json }
    }

    fn show(&mut self, done: u32) {
        self.bar.set_position(done.into());
        if self.quiet || !self.bar.is_hidden() || self.told.elapsed() < LINE_INTERVAL {
            return;
        }
        self.told = Instant::now();
        let left = self.start.elapsed().as_secs_f64() * f64::from(self.count - done) / f64::from(done.max(1));
        let left = human_time(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX));
        note(&format!("{} {done} of {} blocks, {left} left", self.verb, self.count));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
