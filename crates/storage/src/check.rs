//! Whether a store is what it should be: everything in it is read and compared with everything else in it.
//!
//! Checked is what needs no ledger: that headers have the ids and heights under which they are kept, and parents; that seals,
//! the active chain, bodies and undo belong to headers, and none is missing; that the state has the sum that the
//! blocks left; that indexes end where they say. What a body is worth the caller judges, who knows the ledger. That
//! pages have their checksums is checked by [`Store::open_verified`].
//!
//! Deliberately not here: to mend anything.

use mass_consensus::{
    evidence::Evidence,
    header::{Header, SealedHeader},
    state_sum::{StateEntry, StateSum},
};
use mass_primitives::{BlockId, Decode as _, FarmerPublicKey, Height, Slot, StateHash};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata as _};

use crate::{
    Store, StoreError, Tip,
    index::read_states,
    part::read_base,
    prune,
    read::scan,
    schema::{add_bans, read_undo_from},
    store::{decode, read_sum, read_tip},
    tables::{ACTIVE, BANS, BODIES, EVIDENCE, HEADERS, HEADERS_BY_HEIGHT, INDEXES, META, SEALS, STATE, UNDO},
    undo::Undo,
};

/// Faults that are listed; more are counted.
pub const FAULTS_MAX: usize = 100;

/// What a fault is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The file itself: pages that are not what was written.
    File,
    /// Headers of any branch.
    Headers,
    /// The index of headers by who sealed them.
    Seals,
    /// Kept evidence and bans.
    Evidence,
    /// The list of blocks of the active chain.
    Active,
    /// Bodies.
    Bodies,
    /// What blocks replaced in the state.
    Undo,
    /// The state.
    State,
    /// The index of this name.
    Index(String),
}

/// The one thing that mends a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mend {
    /// An index is dropped, and the node builds it again from bodies.
    Reindex,
    /// The seals are listed again from the headers.
    Reseal,
    /// The chain is put together anew from headers and bodies that are sound; what is gone is asked of peers.
    Rebuild,
}

impl Part {
    /// What mends a fault in this part.
    #[must_use]
    pub const fn mend(&self) -> Mend {
        match self {
            Self::Index(_) => Mend::Reindex,
            Self::Seals => Mend::Reseal,
            _ => Mend::Rebuild,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Headers => "headers",
            Self::Seals => "seals",
            Self::Evidence => "evidence",
            Self::Active => "active chain",
            Self::Bodies => "bodies",
            Self::Undo => "undo",
            Self::State => "state",
            Self::Index(_) => "index",
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub part: Part,
    /// What, in a sentence.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The last block of the active chain.
    pub tip: Option<Tip>,
    /// Headers of all branches.
    pub headers: u64,
    /// Bodies of all branches.
    pub bodies: u64,
    /// The block whose state the store began with, if it lacks the blocks before.
    pub base: Option<Tip>,
    /// Height of the lowest block that can be undone.
    pub undo_from: Height,
    /// Entries of the state.
    pub state_entries: u64,
    /// The hash of the state as it was read (STA-3); `None` if it could not be.
    pub state_hash: Option<StateHash>,
    /// The first faults.
    pub faults: Vec<Fault>,
    /// How many there are.
    pub faults_count: u64,
}

impl Report {
    /// Height below which blocks were pruned; `None` if none were.
    #[must_use]
    pub fn pruned_below(&self) -> Option<Height> {
        prune::line_below(self.undo_from.get(), self.base)
    }

    /// Notes a fault.
    pub fn fault(&mut self, part: Part, what: String) {
        self.faults_count += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { part, what });
        }
    }
}

/// A body with its header, to be judged by who knows the ledger.
#[derive(Clone, Copy, Debug)]
pub struct StoredBlock<'a> {
    /// Id of the block.
    pub id: &'a BlockId,
    /// Its height.
    pub height: Height,
    /// Its header.
    pub header: &'a Header,
    /// Its body, as it was stored.
    pub body: &'a [u8],
}

/// Judges a body: what is wrong with it.
pub type Judge<'a> = &'a mut dyn FnMut(&StoredBlock<'_>) -> Result<(), String>;

/// How far a check is: what is being read, how much of it was, and of how much.
pub type Progress<'a> = &'a mut dyn FnMut(&'static str, u64, u64);

impl Store {
    /// Reads everything.
    ///
    /// # Errors
    /// A fatal error: the file cannot be read to its end.
    pub fn check(&self, judge: Judge<'_>, progress: Progress<'_>) -> Result<Report, StoreError> {
        let txn = self.begin_read()?;
        let meta = txn.open_table(META)?;
        let mut report = Report { tip: read_tip(&meta)?, ..Report::default() };
        report.undo_from = Height::new(read_undo_from(&meta)?);
        report.base = read_base(&meta)?;
        check_headers(&txn, &mut report, progress)?;
        check_seals(&txn, &mut report, progress)?;
        check_evidence(&txn, &mut report)?;
        check_active(&txn, &mut report, progress)?;
        check_bodies(&txn, &mut report, judge, progress)?;
        check_undo(&txn, &mut report, progress)?;
        check_state(&txn, read_sum(&meta)?.hash(), &mut report, progress)?;
        check_indexes(&txn, &mut report, progress)?;
        Ok(report)
    }

    /// Lists the seals again from the headers, and forgets all others; how many there are.
    ///
    /// # Errors
    /// A fatal error, here if a header cannot be read.
    pub fn reseal(&self) -> Result<u64, StoreError> {
        let headers: Vec<_> = self.headers(Height::new(1))?.collect::<Result<_, _>>()?;
        self.write(|txn| {
            txn.delete_table(SEALS)?;
            let mut seals = txn.open_table(SEALS)?;
            for header in &headers {
                let claim = decode::<SealedHeader>("header", &header.bytes)?.seal.claim;
                seals.insert((claim.farmer().as_bytes(), claim.slot.get(), header.id.as_bytes()), ())?;
            }
            Ok(seals.len()?)
        })
    }
}

/// Says how far it is now and then.
fn tell(progress: Progress<'_>, what: &'static str, done: u64, of: u64) {
    if done.is_multiple_of(256) || done == of {
        progress(what, done, of);
    }
}

/// The header of a block as it is stored, and who sealed it when.
fn read_header(height: u32, bytes: &[u8]) -> Result<(Header, Option<(FarmerPublicKey, Slot)>), String> {
    let unreadable = |error: mass_primitives::DecodeError| format!("it cannot be read: {error}");
    if height == 0 {
        return Ok((Header::from_bytes(bytes).map_err(unreadable)?, None));
    }
    let sealed = SealedHeader::from_bytes(bytes).map_err(unreadable)?;
    let claim = &sealed.seal.claim;
    if claim.height.get() != height {
        return Err(format!("it is of height {}", claim.height));
    }
    Ok((sealed.header, Some((*claim.farmer(), claim.slot))))
}

fn check_headers(
    txn: &ReadTransaction,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let (headers, by_height) = (txn.open_table(HEADERS)?, txn.open_table(HEADERS_BY_HEIGHT)?);
    let seals = txn.open_table(SEALS)?;
    let of = by_height.len()?;
    report.headers = headers.len()?;
    if report.headers != of {
        let what = format!("{} are kept by id and {of} by height", report.headers);
        report.fault(Part::Headers, what);
    }
    for (done, entry) in (1..).zip(by_height.iter()?) {
        let (key, _) = entry?;
        let (height, id) = key.value();
        let named = |what: &str| format!("header {} of height {height}: {what}", BlockId::new(*id));
        let Some(stored) = headers.get(id)? else {
            report.fault(Part::Headers, named("it is missing"));
            continue;
        };
        let (stored_height, bytes) = stored.value();
        if stored_height != height {
            report.fault(Part::Headers, named(&format!("it is kept under height {stored_height}")));
        }
        match read_header(height, bytes) {
            Err(what) => report.fault(Part::Headers, named(&what)),
            Ok((header, _)) if header.id().as_bytes() != id => {
                report.fault(Part::Headers, named(&format!("it has the id {}", header.id())));
            }
            Ok((header, seal)) => {
                let parent = headers.get(header.parent.as_bytes())?.map(|parent| parent.value().0);
                if height > 0 && parent != height.checked_sub(1) {
                    let what = format!("its parent {} is not below it", header.parent);
                    report.fault(Part::Headers, named(&what));
                }
                if let Some((farmer, slot)) = seal
                    && seals.get((farmer.as_bytes(), slot.get(), id))?.is_none()
                {
                    report.fault(Part::Seals, named("its seal is not listed"));
                }
            }
        }
        tell(progress, "headers", done, of);
    }
    Ok(())
}

fn check_seals(txn: &ReadTransaction, report: &mut Report, progress: Progress<'_>) -> Result<(), StoreError> {
    let (headers, seals) = (txn.open_table(HEADERS)?, txn.open_table(SEALS)?);
    let of = seals.len()?;
    for (done, entry) in (1..).zip(seals.iter()?) {
        let (key, _) = entry?;
        let (farmer, slot, id) = key.value();
        let stored = headers.get(id)?;
        let seal = stored.and_then(|stored| {
            let (height, bytes) = stored.value();
            read_header(height, bytes).ok()?.1
        });
        if seal != Some((FarmerPublicKey::new(*farmer), Slot::new(slot))) {
            let what = format!("a seal in slot {slot} is listed that header {} has not", BlockId::new(*id));
            report.fault(Part::Seals, what);
        }
        tell(progress, "seals", done, of);
    }
    Ok(())
}

fn check_evidence(txn: &ReadTransaction, report: &mut Report) -> Result<(), StoreError> {
    for entry in txn.open_table(EVIDENCE)?.iter()? {
        let (farmer, bytes) = entry?;
        let is_its = Evidence::from_bytes(bytes.value())
            .is_ok_and(|evidence| evidence.farmer().as_bytes() == farmer.value());
        if !is_its {
            let farmer = FarmerPublicKey::new(*farmer.value());
            report.fault(Part::Evidence, format!("the evidence against {farmer} is none"));
        }
    }
    let headers = txn.open_table(HEADERS)?;
    for entry in txn.open_table(BANS)?.iter()? {
        let (key, _) = entry?;
        let (id, farmer) = key.value();
        if headers.get(id)?.is_none() {
            let (id, farmer) = (BlockId::new(*id), FarmerPublicKey::new(*farmer));
            report.fault(Part::Evidence, format!("{farmer} is banned by block {id}, which is not here"));
        }
    }
    Ok(())
}

fn check_active(
    txn: &ReadTransaction,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let (active, headers) = (txn.open_table(ACTIVE)?, txn.open_table(HEADERS)?);
    let by_height = txn.open_table(HEADERS_BY_HEIGHT)?;
    let (of, mut below, mut expected) = (active.len()?, None, 0);
    for (done, entry) in (1..).zip(active.iter()?) {
        let (height, id) = entry?;
        let (height, id) = (height.value(), id.value());
        if height != expected {
            report.fault(Part::Active, format!("heights {expected} to {} are missing", height - 1));
        }
        let named = |what: &str| format!("block {} of height {height}: {what}", BlockId::new(*id));
        let header = headers.get(id)?.and_then(|stored| read_header(height, stored.value().1).ok());
        match (header, below) {
            (None, _) => report.fault(Part::Active, named("it has no header")),
            (Some((header, _)), Some(below)) if header.parent.as_bytes() != &below => {
                report.fault(Part::Active, named(&format!("it stands on {}", header.parent)));
            }
            _ => {}
        }
        if !by_height.get((height, id))?.is_some_and(|entry| entry.value().1) {
            report.fault(Part::Active, named("its header says that it was never connected"));
        }
        (below, expected) = (Some(*id), height.saturating_add(1));
        tell(progress, "active chain", done, of);
    }
    let last = active.last()?.map(|(height, id)| (height.value(), *id.value()));
    if report.tip.map(|tip| (tip.height.get(), *tip.id.as_bytes())) != last {
        let last = last.map_or("empty".to_owned(), |(height, id)| format!("{height} {}", BlockId::new(id)));
        let tip = report.tip.map_or("none".to_owned(), |tip| format!("{} {}", tip.height, tip.id));
        report.fault(Part::Active, format!("the tip is {tip}, and the last block {last}"));
    }
    if let Some(base) = report.base {
        if active.get(base.height.get())?.is_none_or(|id| id.value() != base.id.as_bytes()) {
            let what = format!(
                "block {} of height {}: the chain begins with it, and is another's",
                base.id, base.height
            );
            report.fault(Part::Active, what);
        }
        if report.undo_from <= base.height {
            let (from, base) = (report.undo_from, base.height);
            report.fault(
                Part::Undo,
                format!("it is said to go down to {from}, and the chain begins with {base}"),
            );
        }
    }
    Ok(())
}

fn check_bodies(
    txn: &ReadTransaction,
    report: &mut Report,
    judge: Judge<'_>,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let (headers, bodies) = (txn.open_table(HEADERS)?, txn.open_table(BODIES)?);
    report.bodies = bodies.len()?;
    for (done, entry) in (1..).zip(bodies.iter()?) {
        let (id, body) = entry?;
        let id = BlockId::new(*id.value());
        let header = headers.get(id.as_bytes())?.and_then(|stored| {
            let (height, bytes) = stored.value();
            Some((height, read_header(height, bytes).ok()?.0))
        });
        // What is wrong with a header is told there.
        if let Some((height, header)) = &header {
            let height = Height::new(*height);
            let block = StoredBlock { id: &id, height, header, body: body.value() };
            if let Err(what) = judge(&block) {
                report.fault(Part::Bodies, format!("body of {id}, height {height}: {what}"));
            }
        } else {
            report.fault(Part::Bodies, format!("body of {id}: there is no header for it"));
        }
        tell(progress, "bodies", done, report.bodies);
    }
    for entry in txn.open_table(ACTIVE)?.range(report.undo_from.get()..)? {
        let (height, id) = entry?;
        if bodies.get(id.value())?.is_none() {
            let (height, id) = (height.value(), BlockId::new(*id.value()));
            report.fault(Part::Bodies, format!("body of {id}, height {height}: it is missing"));
        }
    }
    Ok(())
}

fn check_undo(txn: &ReadTransaction, report: &mut Report, progress: Progress<'_>) -> Result<(), StoreError> {
    let (undos, active) = (txn.open_table(UNDO)?, txn.open_table(ACTIVE)?);
    let from = report.undo_from.get();
    let of = undos.len()?;
    let after_tip = report.tip.map_or(0, |tip| tip.height.get().saturating_add(1));
    let expected = u64::from(after_tip.saturating_sub(from));
    if of != expected {
        let what = format!("there are {of}, and {expected} blocks from height {from} on");
        report.fault(Part::Undo, what);
    }
    for (done, entry) in (1..).zip(undos.iter()?) {
        let (height, bytes) = entry?;
        let height = height.value();
        match Undo::from_bytes(bytes.value()) {
            Err(error) => report.fault(Part::Undo, format!("height {height}: it cannot be read: {error}")),
            Ok(undo) if active.get(height)?.is_none_or(|id| id.value() != undo.block.as_bytes()) => {
                report.fault(Part::Undo, format!("height {height}: it is of block {}", undo.block));
            }
            Ok(_) => {}
        }
        tell(progress, "undo", done, of);
    }
    Ok(())
}

fn check_state(
    txn: &ReadTransaction,
    expected: StateHash,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let (state, mut sum) = (txn.open_table(STATE)?, StateSum::new());
    report.state_entries = state.len()?;
    for (done, entry) in (1..).zip(state.iter()?) {
        let (key, value) = entry?;
        sum.add(&StateEntry::Ledger { key: key.value(), value: value.value() });
        tell(progress, "state", done, report.state_entries);
    }
    add_bans(&mut sum, &txn.open_table(BANS)?, &txn.open_table(HEADERS)?, &txn.open_table(ACTIVE)?)?;
    let found = sum.hash();
    report.state_hash = Some(found);
    if found != expected {
        let what = format!("it has the hash {found}, and the blocks left {expected}");
        report.fault(Part::State, what);
    }
    Ok(())
}

fn check_indexes(
    txn: &ReadTransaction,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let after_tip = report.tip.map_or(0, |tip| tip.height.get().saturating_add(1));
    for state in read_states(&txn.open_table(INDEXES)?)? {
        let part = Part::Index(state.name.clone());
        if state.next.get() > after_tip {
            report
                .fault(part.clone(), format!("{}: it has {} blocks of {after_tip}", state.name, state.next));
        }
        let Ok(table) = txn.open_table(crate::index::table(&crate::index::table_name(&state.name))) else {
            report.fault(part, format!("{}: it has no table", state.name));
            continue;
        };
        let of = table.len()?;
        for (done, entry) in (1..).zip(scan(&table, b"")?) {
            entry?;
            tell(progress, "indexes", done, of);
        }
    }
    Ok(())
}
