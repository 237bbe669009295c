//! Random chains against a `BTreeMap`, with the file opened anew after each step.

use std::collections::BTreeMap;

use mass_consensus::ledger::StateDelta;
use mass_primitives::{BlockId, Decode as _, Encode as _, Height, Ticket};
use proptest::{collection::vec, option, prelude::*};

use super::CHAIN;
use crate::{
    ConnectBlock, IndexEntries, IndexKind, IndexedBlock, KeyValue, PruneStep, Store, StoreError,
    prune::read_kept,
    tables::META,
    undo::{Replaced, Undo},
};

/// Name of the index.
const NAME: &str = "things";

pub(super) type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The chain as it should be: each block's id and the state after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    blocks: Vec<(BlockId, State)>,
    made: u32,
    /// Version of the index, and how many blocks it has.
    index: Option<(u32, usize)>,
    /// Height of the lowest block that was not pruned.
    line: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Connect(Changes),
    Disconnect,
    /// Have an index of this version, or none.
    SetIndex(Option<u32>),
    /// Add at most as many blocks to an index that is behind.
    Extend(usize),
    /// Prune at most as many blocks, and none so near the tip.
    Prune {
        most: u32,
        back: usize,
    },
    /// Count what at most as many blocks take.
    Count(u32),
}

pub(super) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let key = vec(0u8..4, 0..4);
    let changes = vec((key, option::of(vec(any::<u8>(), 0..300))), 0..12);
    let step = prop_oneof![
        6 => changes.prop_map(Step::Connect),
        2 => Just(Step::Disconnect),
        1 => option::weighted(0.8, 1u32..3).prop_map(Step::SetIndex),
        2 => (1usize..4).prop_map(Step::Extend),
        1 => (1u32..4, 0usize..4).prop_map(|(most, back)| Step::Prune { most, back }),
        1 => (1u32..4).prop_map(Step::Count),
    ];
    vec(step, 1..count)
}

/// What the index has from a block.
fn entries(id: &BlockId) -> Vec<KeyValue> {
    let entry = |number: u8| ([&id.as_bytes()[..4], &[number]].concat(), vec![number; 9]);
    (0..id.as_bytes()[0] % 5).map(entry).collect()
}

impl Model {
    /// Takes the step in the model and in the store; they must agree that it can be taken.
    pub(super) fn step(&mut self, store: &Store, step: &Step) -> Result<(), StoreError> {
        match step {
            Step::Connect(changes) => self.connect(store, changes),
            Step::Disconnect if !self.goes_back() && !self.blocks.is_empty() => {
                match store.disconnect_tip(&[]) {
                    Err(StoreError::UndoPruned(_)) => Ok(()),
                    other => other.map(|gone| panic!("{gone} is gone, and nothing leads back")),
                }
            }
            Step::Disconnect => match self.blocks.pop() {
                Some((id, _)) => {
                    let indexes = self.due(self.blocks.len() + 1, &id);
                    let has_it = self.index.as_mut().filter(|(_, count)| *count > self.blocks.len());
                    has_it.into_iter().for_each(|(_, count)| *count -= 1);
                    store.disconnect_tip(&indexes).map(|gone| assert_eq!(gone, id))
                }
                None => Ok(()),
            },
            Step::SetIndex(version) => {
                let kept = self.index.filter(|(known, _)| Some(*known) == *version);
                self.index = kept.or(version.map(|version| (version, 0)));
                let kind = version.map(|version| IndexKind { name: NAME, version });
                store.set_indexes(kind.as_slice())
            }
            Step::Extend(most) => self.extend(store, *most),
            Step::Prune { most, back } => {
                let end = self.blocks.len().saturating_sub(1).saturating_sub(*back);
                self.line = self.line.max(end.min(self.line + *most as usize));
                let (below, blocks) = (Height::new(u32::try_from(end).unwrap()), *most);
                let line = store.prune(below, None, PruneStep { blocks, bytes: u64::MAX })?;
                assert_eq!(line.get() as usize, self.line);
                Ok(())
            }
            Step::Count(most) => {
                store.count_kept(u64::MAX, PruneStep { blocks: *most, bytes: u64::MAX }).map(drop)
            }
        }
    }

    /// Whether the tip can be undone.
    pub(super) fn goes_back(&self) -> bool {
        self.blocks.len() > self.line
    }

    /// Whether what was counted is what is there.
    fn has_count(store: &Store) -> bool {
        let snapshot = store.snapshot().unwrap();
        let Some(kept) = read_kept(&snapshot.txn.open_table(META).unwrap()).unwrap() else { return true };
        let heights = (kept.from.get()..).map(Height::new);
        let bytes = heights.map_while(|height| {
            let body = snapshot.body(&snapshot.active_id(height).unwrap()?).unwrap()?;
            Some(body.len() + snapshot.undo(height).unwrap()?.to_bytes().len())
        });
        bytes.sum::<usize>() as u64 == kept.bytes
    }

    /// The entries of a block, if the index has this many blocks.
    fn due(&self, count: usize, id: &BlockId) -> Vec<IndexEntries> {
        let due = self.index.is_some_and(|(_, has)| has == count);
        due.then(|| IndexEntries { name: NAME, entries: entries(id) }).into_iter().collect()
    }

    fn extend(&mut self, store: &Store, most: usize) -> Result<(), StoreError> {
        let Some((_, count)) = &mut self.index else { return Ok(()) };
        let lacking = self.blocks.iter().enumerate().skip(*count).take(most);
        let blocks = lacking.map(|(height, (id, _))| {
            let height = Height::new(u32::try_from(height).unwrap());
            IndexedBlock { height, id: *id, entries: entries(id) }
        });
        let blocks: Vec<_> = blocks.collect();
        *count += blocks.len();
        store.extend_index(NAME, &blocks)
    }

    fn connect(&mut self, store: &Store, changes: &Changes) -> Result<(), StoreError> {
        let mut state = self.blocks.last().map(|(_, state)| state.clone()).unwrap_or_default();
        let mut delta = StateDelta::new();
        for (key, value) in changes {
            match value {
                Some(value) => {
                    delta.put(key.clone(), value.clone());
                    state.insert(key.clone(), value.clone());
                }
                None => {
                    delta.delete(key.clone());
                    state.remove(key);
                }
            }
        }
        self.made += 1;
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&self.made.to_le_bytes());
        let (id, height) = (BlockId::new(bytes), u32::try_from(self.blocks.len()).unwrap());
        let parent = self.blocks.last().map(|(id, _)| *id);
        let indexes = self.due(self.blocks.len(), &id);
        if let Some((_, count)) = self.index.as_mut().filter(|(_, count)| *count == self.blocks.len()) {
            *count += 1;
        }
        self.blocks.push((id, state));
        store.connect(&ConnectBlock {
            id,
            height: Height::new(height),
            parent,
            seal: None,
            ticket: Ticket::ZERO,
            banned: &[],
            header_bytes: &bytes,
            body: &bytes[..8],
            delta: &delta,
            indexes: &indexes,
        })
    }

    /// Whether the store is as the model says: tip, active chain, bodies and the whole state.
    pub(super) fn is(&self, store: &Store) -> bool {
        let state = self.blocks.last().map(|(_, state)| state.clone()).unwrap_or_default();
        let scanned: State = store.snapshot().unwrap().scan(b"").unwrap().map(Result::unwrap).collect();
        let tip = store.tip().unwrap();
        let active = |height: usize| store.active_id(Height::new(u32::try_from(height).unwrap())).unwrap();
        tip.map(|tip| tip.id) == self.blocks.last().map(|(id, _)| *id)
            && tip.map_or(0, |tip| tip.height.get() as usize + 1) == self.blocks.len()
            && self.blocks.iter().enumerate().all(|(height, (id, _))| active(height) == Some(*id))
            && active(self.blocks.len()).is_none()
            && self.blocks.iter().enumerate().all(|(height, (id, _))| {
                let is_here = height == 0 || height >= self.line;
                store.body(id).unwrap() == is_here.then(|| id.as_bytes()[..8].to_vec())
            })
            && store.undo_from().unwrap().get() as usize == self.line
            && Self::has_count(store)
            && store.headers(Height::ZERO).unwrap().map(Result::unwrap).count() >= self.blocks.len()
            && scanned == state
            && self.has_index(store)
    }

    /// Whether the index has the entries of its blocks and nothing else.
    fn has_index(&self, store: &Store) -> bool {
        let index = store.snapshot().unwrap().index(NAME).unwrap();
        let Some((version, count)) = self.index else { return index.is_none() };
        let Some(index) = index else { return false };
        let mut expected: Vec<KeyValue> =
            self.blocks[..count].iter().flat_map(|(id, _)| entries(id)).collect();
        expected.sort();
        let scanned: Vec<KeyValue> = index.scan(b"").unwrap().map(Result::unwrap).collect();
        let states = store.indexes().unwrap();
        states.iter().any(|state| state.version == version && state.next == index.next())
            && index.next().get() as usize == count
            && scanned == expected
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_follows_the_model(steps in steps(16)) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::default();
        for step in &steps {
            let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
            model.step(&store, step).unwrap();
            prop_assert!(model.is(&store));
            drop(store);
            prop_assert!(model.is(&Store::open(dir.path().join("store"), &CHAIN).unwrap()));
        }
        let store = Store::open(dir.path().join("store"), &CHAIN).unwrap();
        while model.goes_back() {
            model.step(&store, &Step::Disconnect).unwrap();
            prop_assert!(model.is(&store));
        }
    }

    #[test]
    fn an_undo_round_trips(block: [u8; 32], replaced: BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        let replaced = replaced.into_iter().map(|(key, before)| Replaced { key, before }).collect();
        let undo = Undo { block: BlockId::new(block), replaced };
        prop_assert_eq!(Undo::from_bytes(&undo.to_bytes()), Ok(undo));
    }

    #[test]
    fn no_bytes_make_the_undo_decoder_panic(bytes: Vec<u8>) {
        if let Ok(undo) = Undo::from_bytes(&bytes) {
            prop_assert_eq!(undo.to_bytes(), bytes);
        }
    }
}
