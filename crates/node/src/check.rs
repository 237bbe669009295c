//! Whether a stored chain is what it should be: what storage finds by itself, and what only the ledger knows. Each body has
//! the root of its header, the books of the state balance, and each index has for each block what the ledger says.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use mass_consensus::{
    evidence::evidence_commitment, header::Header, ledger::StateRead as _, spec::ChainSpec,
};
use mass_primitives::Height;
use mass_storage::{
    IndexEntries, IndexState, Snapshot, Store,
    check::{Part, Progress, Report, StoredBlock},
};

use crate::{
    chain::{Chain, read_body, read_content},
    error::ChainError,
    index::{BlockToIndex, IndexReader},
    ledger::NodeLedger,
};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What there is, and what is wrong with it.
    pub report: Report,
    /// What the ledger found to agree in the state.
    pub audit: Option<String>,
}

impl Checked {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.report.faults_count == 0
    }
}

/// Checks the store in a file, with the checksums of its pages. One that cannot be read is a finding.
///
/// # Errors
/// The file is in use, of another chain or version, or the disk is full.
pub fn check_file<L: NodeLedger>(
    path: &Path,
    spec: &ChainSpec,
    progress: Progress<'_>,
) -> Result<Checked, ChainError> {
    let ledger = Chain::<L>::ledger_of(spec)?;
    progress("pages", 0, 1);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let store = Store::open_verified(path, spec.id(), |_| ())?;
        check(&store, spec, &ledger, progress)
    }));
    let what = match checked {
        Ok(Ok(checked)) => return Ok(checked),
        Ok(Err(ChainError::Store(error))) if !error.is_fatal() || error.is_full() => return Err(error.into()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the database cannot read it".to_owned(),
    };
    let mut checked = Checked::default();
    checked.report.fault(Part::File, what);
    Ok(checked)
}

/// Reads and compares everything in a store.
///
/// # Errors
/// Fatal ones only: the store cannot be read to its end.
pub fn check<L: NodeLedger>(
    store: &Store,
    spec: &ChainSpec,
    ledger: &L,
    progress: Progress<'_>,
) -> Result<Checked, ChainError> {
    let mut report = store.check(&mut |block| judge(ledger, block), progress)?;
    let genesis = ledger.genesis().0;
    let root = ledger.commitment(&genesis).map_err(crate::chain::refusal)?.root;
    let expected = Header::genesis(spec, root).id();
    if let Some(got) = store.active_id(Height::ZERO)?.filter(|got| *got != expected) {
        report.fault(Part::Active, format!("the genesis block is {got}, and that of the chain {expected}"));
    }
    let snapshot = store.snapshot()?;
    let mut failed = None;
    let mut entries = snapshot.scan(b"")?.map_while(|entry| entry.map_err(|error| failed = Some(error)).ok());
    let audited = ledger.audit(&mut entries);
    drop(entries);
    if let Some(error) = failed {
        return Err(error.into());
    }
    let audit = audited.unwrap_or_else(|what| {
        report.fault(Part::State, what);
        None
    });
    // An index is compared with blocks, so they have to be good.
    if report.faults_count == 0 {
        check_indexes(store, ledger, &snapshot, &mut report, progress)?;
    }
    Ok(Checked { report, audit })
}

/// What is wrong with a body under its header.
fn judge<L: NodeLedger>(ledger: &L, block: &StoredBlock<'_>) -> Result<(), String> {
    let (evidence, body) = if block.height == Height::ZERO {
        (Vec::new(), block.body)
    } else {
        read_content(block.body).map_err(|error| error.to_string())?
    };
    let found = ledger.commitment(body).map_err(|error| error.to_string())?;
    if found.root != block.header.root {
        return Err(format!("it has the root {}, and the header {}", found.root, block.header.root));
    }
    if block.height > Height::ZERO && evidence_commitment(&evidence) != found.carried.evidence {
        return Err("it does not commit to the evidence beside it".to_owned());
    }
    Ok(())
}

/// Asks the ledger again what each block has for each index.
fn check_indexes<L: NodeLedger>(
    store: &Store,
    ledger: &L,
    snapshot: &Snapshot,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), ChainError> {
    // Without undo, nobody knows what a block had found.
    let states = store.indexes()?;
    if report.undo_from > Height::ZERO || states.is_empty() {
        return Ok(());
    }
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let end = states.iter().map(|state| state.next.get()).max().unwrap_or(0);
    for height in 0..end {
        let names = names_beyond::<L>(&states, height);
        let height = Height::new(height);
        let Some(id) = snapshot.active_id(height)? else { break };
        let Some(before) = snapshot.before(height)? else { break };
        let body = read_body(store, height, &id)?;
        let indexes = IndexReader::new(snapshot);
        let block = BlockToIndex { height, id, body: &body, before: &before, indexes };
        for IndexEntries { name, entries } in ledger.index(&names, &block)? {
            *counts.entry(name).or_default() += entries.len() as u64;
            let Some(index) = snapshot.index(name)? else { continue };
            for (key, value) in entries {
                if index.get(&key)?.is_none_or(|stored| stored != value) {
                    let what =
                        format!("{name}: an entry of the block of height {height} is missing or another");
                    report.fault(Part::Index(name.to_owned()), what);
                }
            }
        }
        progress("indexes", height.get().into(), end.into());
    }
    for state in &states {
        let Some(index) = snapshot.index(&state.name)? else { continue };
        let got = index.len()?;
        let expected = counts.get(state.name.as_str()).copied().unwrap_or(0);
        if got != expected {
            let what = format!("{}: it has {got} entries, and its blocks {expected}", state.name);
            report.fault(Part::Index(state.name.clone()), what);
        }
    }
    Ok(())
}

/// Names of the indexes that have the block of a height.
fn names_beyond<L: NodeLedger>(states: &[IndexState], height: u32) -> Vec<&'static str> {
    let has_it = |name: &str| states.iter().any(|state| state.name == name && state.next.get() > height);
    L::INDEXES.iter().map(|info| info.kind.name).filter(|name| has_it(name)).collect()
}
