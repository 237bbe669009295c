//! `mass node db`: the database of a node that does not run is checked, mended, measured and made smaller.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use mass_consensus::spec::ChainSpec;
use mass_ledger_utxo::UtxoLedger;
use mass_node::{
    check::{Checked, check_file},
    export::{ExportError, database},
    rebuild::{Rebuilt, mend, rebuild},
    storage::{
        SCHEMA, Store,
        check::{Fault, Mend, Part},
    },
};
use serde_json::{Value, json};

use super::transfer::data_dir;
use crate::{
    chain,
    output::{Output, Verdict, human_bytes, human_time, note, table},
};

/// Time between two lines where no bar can be shown.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What to do with a database.
#[derive(Subcommand)]
pub enum Command {
    /// Read everything and compare it: pages, headers, bodies, undo, state, indexes.
    ///
    /// Each fault is told with the one thing that mends it. The exit code is 1 if there is one. A database of an older
    /// version is brought up to date first, as a node does when it starts.
    Check(Place),
    /// Mend what `check` finds.
    ///
    /// Indexes are dropped and built again by the node. Whatever else is damaged, the chain is put together anew from the
    /// headers and bodies that are sound, each proven as if a peer had sent it, in a new file. The damaged file is kept
    /// beside it. What is gone the node asks of its peers when it runs. Killed at any moment, it goes on where it was.
    Repair(Place),
    /// Tell how large it is, table by table, how high the chain, and how much of the file lies free.
    Stats(Place),
    /// Give free space in the file back to the system.
    ///
    /// Nobody else may have the file meanwhile, so the node must not run; `mass node run --compact` does it at the start. While a
    /// node runs, free space is used again, and the free end of the file is given back by itself.
    Compact(Place),
}

/// Which database.
#[derive(Args)]
pub struct Place {
    /// The chain: a built-in one, as `mass chain list` has them, or a spec file.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    chain: String,
    /// The data directory of the node [default: node/<chain> in the user's data directory].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    /// The chain's spec, and the file, which is there.
    fn resolve(&self) -> anyhow::Result<(ChainSpec, PathBuf)> {
        let spec = chain::load(&self.chain)?;
        let path = database(&data_dir(self.data_dir.as_ref(), &spec)?);
        if path.exists() { Ok((spec, path)) } else { Err(ExportError::NoDatabase(path).into()) }
    }

    fn open(&self) -> anyhow::Result<(ChainSpec, PathBuf, Store)> {
        let (spec, path) = self.resolve()?;
        let store = Store::open(&path, spec.id()).with_context(|| path.display().to_string())?;
        Ok((spec, path, store))
    }
}

/// Runs a command.
pub fn run(command: &Command, output: Output) -> anyhow::Result<Verdict> {
    match command {
        Command::Check(place) => check(place, output),
        Command::Repair(place) => repair(place, output),
        Command::Stats(place) => stats(place, output),
        Command::Compact(place) => compact(place, output),
    }
}

fn checked(spec: &ChainSpec, path: &Path, output: Output) -> anyhow::Result<Checked> {
    let mut meter = Meter::new(output);
    let checked = check_file::<UtxoLedger>(path, spec, &mut |what, done, of| meter.show(what, done, of));
    meter.finish();
    checked.with_context(|| path.display().to_string())
}

fn check(place: &Place, output: Output) -> anyhow::Result<Verdict> {
    let (spec, path) = place.resolve()?;
    let found = checked(&spec, &path, output)?;
    let mut text = format!("{}\n{}", path.display(), describe(&found));
    if found.is_good() {
        text.push_str("\nno fault");
    }
    let mut value = to_json(&found);
    value["file"] = json!(path);
    output.result(&value, &text)?;
    Ok(Verdict::good_if(found.is_good()))
}

fn repair(place: &Place, output: Output) -> anyhow::Result<Verdict> {
    let (spec, path) = place.resolve()?;
    let before = checked(&spec, &path, output)?;
    if before.is_good() {
        let value = json!({ "file": path, "mended": "nothing", "before": to_json(&before) });
        output.result(&value, &format!("{}\n{}\nno fault", path.display(), describe(&before)))?;
        return Ok(Verdict::Good);
    }
    if !output.json {
        note(&format!("{}\n{}", path.display(), describe(&before)));
    }
    let is_readable = before.report.faults.iter().all(|fault| fault.part != Part::File);
    let in_place = is_readable && {
        let store = Store::open(&path, spec.id()).with_context(|| path.display().to_string())?;
        mend(&store, &before.report).with_context(|| path.display().to_string())?
    };
    let rebuilt = if in_place { None } else { Some(put_together(&spec, &path, output)?) };
    let after = checked(&spec, &path, output)?;
    let done = match &rebuilt {
        None if before.report.pruned_below().is_some() => {
            "mended in place; a dropped index cannot be built of pruned blocks: start without it by --index"
                .to_owned()
        }
        None => "mended in place; the node builds dropped indexes again".to_owned(),
        Some(rebuilt) => tell(rebuilt),
    };
    let value = json!({
        "file": path, "mended": if in_place { "in place" } else { "rebuilt" },
        "rebuilt": rebuilt.as_ref().map(rebuilt_json), "before": to_json(&before), "after": to_json(&after),
    });
    let verdict = if after.is_good() { "no fault is left" } else { "faults are left" };
    output.result(&value, &format!("{done}\n{}\n{verdict}", describe(&after)))?;
    Ok(Verdict::good_if(after.is_good()))
}

fn put_together(spec: &ChainSpec, path: &Path, output: Output) -> anyhow::Result<Rebuilt> {
    ensure!(
        !spec.inherits_beacon(),
        "chain {} inherits its beacon: move {} away, and the node gets the chain from its peers anew",
        spec.rules().name,
        path.display()
    );
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut meter = Meter::new(output);
    let rebuilt = rebuild::<UtxoLedger>(path, spec, unix, &mut |what, done, of| meter.show(what, done, of));
    meter.finish();
    Ok(rebuilt?)
}

fn rebuilt_json(rebuilt: &Rebuilt) -> Value {
    json!({
        "height_before": rebuilt.before.map(|tip| tip.height),
        "height": rebuilt.tip.map(|tip| tip.height),
        "best_header": rebuilt.best,
        "base_lost": rebuilt.base.map(|base| base.height),
        "headers_lost": rebuilt.headers_lost,
        "bodies_lost": rebuilt.bodies_lost,
        "pruned_below": rebuilt.pruned_below,
        "damaged_file": rebuilt.kept,
    })
}

fn tell(rebuilt: &Rebuilt) -> String {
    let height =
        |tip: Option<mass_node::storage::Tip>| tip.map_or("unknown".to_owned(), |tip| tip.height.to_string());
    let mut text = format!(
        "put together anew: the tip was at height {} and is at {}, headers go up to {}",
        height(rebuilt.before),
        height(rebuilt.tip),
        rebuilt.best
    );
    if rebuilt.headers_lost > 0 {
        text.push_str(&format!("\n{} headers could not be used", rebuilt.headers_lost));
    }
    if let Some(below) = rebuilt.pruned_below {
        text.push_str(&format!(
            "\nthe blocks below height {below} were pruned, so there was nothing to execute again: peers who keep all have them, \
             and with --snapshot the node begins before it has them"
        ));
    }
    if let Some(base) = &rebuilt.base {
        text.push_str(&format!(
            "\nit began with the state at height {}, which cannot be put together from blocks: the node begins with one again if it \
             is run with --snapshot, and with the first block otherwise",
            base.height
        ));
    }
    if rebuilt.tip.is_none_or(|tip| tip.height < rebuilt.best)
        || rebuilt.headers_lost + rebuilt.bodies_lost > 0
    {
        text.push_str("\nthe node asks its peers for what is missing when it runs");
    }
    text.push_str(&format!("\nthe damaged file is kept as {}", rebuilt.kept.display()));
    text
}

/// What there is, and what is wrong with it, a line each.
fn describe(found: &Checked) -> String {
    let report = &found.report;
    let tip = report.tip.map_or("none".to_owned(), |tip| format!("{} at height {}", tip.id, tip.height));
    let hash = report.state_hash.map_or("unknown".to_owned(), |hash| hash.to_string());
    let mut text = format!(
        "tip      {tip}\nheaders  {}\nbodies   {}\nundo     from height {}\nstate    {} entries, hash {}",
        report.headers, report.bodies, report.undo_from, report.state_entries, hash
    );
    if let Some(base) = &report.base {
        text.push_str(&format!("\nbegins   with the state of {} at height {}", base.id, base.height));
    }
    if let Some(below) = report.pruned_below() {
        text.push_str(&format!("\npruned   all blocks below height {below}"));
    }
    found.audit.iter().for_each(|audit| text.push_str(&format!("\nbooks    {audit}")));
    let is_pruned = report.pruned_below().is_some();
    for Fault { part, what } in &report.faults {
        text.push_str(&format!(
            "\nfault    {}: {what}\n         {}",
            part.name(),
            advice(part.mend(), is_pruned)
        ));
    }
    let more = report.faults_count - report.faults.len() as u64;
    if more > 0 {
        text.push_str(&format!("\nand {more} faults more"));
    }
    text
}

/// The one thing that mends a fault.
const fn advice(mend: Mend, is_pruned: bool) -> &'static str {
    match mend {
        Mend::Reindex if is_pruned => {
            "`mass node db repair` drops the index; of pruned blocks it cannot be built again: start without it by --index"
        }
        Mend::Reindex => "`mass node db repair` drops the index, and the node builds it again",
        Mend::Reseal => "`mass node db repair` lists the seals again from the headers",
        Mend::Rebuild => "`mass node db repair` puts the chain together anew from what is sound",
    }
}

fn to_json(found: &Checked) -> Value {
    let report = &found.report;
    let is_pruned = report.pruned_below().is_some();
    let faults = report.faults.iter().map(|fault| {
        let index = match &fault.part {
            Part::Index(name) => Some(name),
            _ => None,
        };
        json!({ "part": fault.part.name(), "index": index, "what": fault.what, "mend": advice(fault.part.mend(), is_pruned) })
    });
    json!({
        "good": found.is_good(), "schema": SCHEMA, "tip": report.tip.map(|tip| tip.id),
        "height": report.tip.map(|tip| tip.height), "headers": report.headers, "bodies": report.bodies,
        "base": report.base.map(|base| base.height), "pruned_below": report.pruned_below(), "undo_from": report.undo_from, "state_entries": report.state_entries,
        "state_hash": report.state_hash, "books": found.audit, "faults_count": report.faults_count,
        "faults": faults.collect::<Vec<_>>(),
    })
}

fn stats(place: &Place, output: Output) -> anyhow::Result<Verdict> {
    let (spec, path, store) = place.open()?;
    let size = store.size()?;
    let (tip, undo_from, indexes) = (store.tip()?, store.undo_from()?, store.indexes()?);
    let (base, pruned) = (store.base()?, store.pruned_below()?);
    let file_bytes = fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    let head = ["table", "entries", "stored", "tree", "unused"].map(str::to_owned).to_vec();
    let rows = size.tables.iter().map(|table| {
        let [stored, tree, unused] =
            [table.stored_bytes, table.tree_bytes, table.unused_bytes].map(human_bytes);
        vec![table.name.clone(), table.entries.to_string(), stored, tree, unused]
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let height = tip.map_or("none".to_owned(), |tip| tip.height.to_string());
    let mut text = format!(
        "{}\nchain    {}, schema {SCHEMA}\nheight   {height}, blocks can be undone from {undo_from} on\n\
         file     {}, of which {} lie free ({} %)\n",
        path.display(),
        spec.rules().name,
        human_bytes(file_bytes),
        human_bytes(size.fragmented_bytes),
        size.fragmented_bytes.saturating_mul(100) / file_bytes.max(1)
    );
    if let Some(base) = &base {
        text.push_str(&format!("begins   with the state of {} at height {}\n", base.id, base.height));
    }
    pruned.iter().for_each(|below| text.push_str(&format!("pruned   all blocks below height {below}\n")));
    for index in &indexes {
        text.push_str(&format!("index    {}, {} blocks\n", index.name, index.next));
    }
    text.push_str(&table(&rows));
    let tables = size.tables.iter().map(|table| {
        json!({
            "name": table.name, "entries": table.entries, "stored_bytes": table.stored_bytes,
            "tree_bytes": table.tree_bytes, "unused_bytes": table.unused_bytes,
        })
    });
    let indexes = indexes
        .iter()
        .map(|index| json!({ "name": index.name, "version": index.version, "next": index.next }));
    let value = json!({
        "file": path, "schema": SCHEMA, "height": tip.map(|tip| tip.height), "tip": tip.map(|tip| tip.id),
        "base": base.map(|base| base.height), "pruned_below": pruned, "undo_from": undo_from, "file_bytes": file_bytes,
        "allocated_bytes": size.allocated_bytes,
        "free_bytes": size.fragmented_bytes, "tables": tables.collect::<Vec<_>>(),
        "indexes": indexes.collect::<Vec<_>>(),
    });
    output.result(&value, &text)?;
    Ok(Verdict::Good)
}

fn compact(place: &Place, output: Output) -> anyhow::Result<Verdict> {
    let (_, path, mut store) = place.open()?;
    let bytes = || fs::metadata(&path).map_or(0, |file| file.len());
    let before = bytes();
    if !output.json {
        note(&format!("compacting {}: it may be killed at any moment", human_bytes(before)));
    }
    store.compact().with_context(|| path.display().to_string())?;
    drop(store);
    let after = bytes();
    let text = format!("{}: {} before, {} now", path.display(), human_bytes(before), human_bytes(after));
    output.result(&json!({ "file": path, "bytes_before": before, "bytes": after }), &text)?;
    Ok(Verdict::Good)
}

/// How far it is, with the time left: a bar where a person watches, lines where none does.
struct Meter {
    bar: ProgressBar,
    what: &'static str,
    start: Instant,
    told: Instant,
    quiet: bool,
}

impl Meter {
    fn new(output: Output) -> Self {
        let bar = if output.json { ProgressBar::hidden() } else { ProgressBar::new(1) };
        let style = "{msg:<12} {bar:30} {percent} %, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is good"));
        let now = Instant::now();
        Self { bar, what: "", start: now, told: now, quiet: output.json }
    }

    fn show(&mut self, what: &'static str, done: u64, of: u64) {
        if self.what != what {
            (self.what, self.start) = (what, Instant::now());
            self.bar.reset();
            self.bar.set_message(what);
        }
        self.bar.set_length(of);
        self.bar.set_position(done);
        if self.quiet || !self.bar.is_hidden() || self.told.elapsed() < LINE_INTERVAL {
            return;
        }
        self.told = Instant::now();
        let left = self.start.elapsed().as_secs_f64() * (of.saturating_sub(done)) as f64 / done.max(1) as f64;
        let left = human_time(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX));
        note(&format!("{what}: {done} of {of}, {left} left"));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
