//! An engine driven as a node does, and blocks for it.

use std::collections::BTreeMap;

use mass_consensus::{
    block::{Block, Proven},
    engine::{Effect, Engine, Input},
    evidence::{Evidence, evidence_commitment},
    header::SealedHeader,
    ledger::{BodyCommitment, Carried},
    proven::ProvenHeader,
    spec::ChainSpec,
};
use mass_primitives::{BlockId, BodyRoot, Slot};

use crate::farm::Farm;

pub const GENESIS: BlockId = BlockId::new([1; 32]);

/// Drives an engine as a node does, with a ledger that takes every body but those in `poison`.
pub struct Driver {
    pub engine: Engine,
    pub store: BTreeMap<BlockId, Block<Proven>>,
    pub poison: Vec<BlockId>,
    pub log: Vec<Effect>,
}

impl Driver {
    pub fn new(farm: &Farm) -> Self {
        Self::of(farm.spec.clone())
    }

    pub fn of(spec: ChainSpec) -> Self {
        let mut engine = Engine::new(spec, GENESIS);
        engine.step(Input::Tick(Slot::new(1 << 40)));
        Self { engine, store: BTreeMap::new(), poison: vec![], log: vec![] }
    }

    pub fn block(&mut self, block: &Block<Proven>) {
        self.store.insert(*block.header().id(), block.clone());
        self.feed(Input::Block(block.clone()));
    }

    pub fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.engine.step(input) {
                match &effect {
                    Effect::Connect(block) => {
                        let id = *block.header().id();
                        let refused = self.poison.contains(&id);
                        inputs.push(if refused { Input::Refused(id) } else { Input::Connected(id) });
                    }
                    Effect::Load(id) => inputs.push(Input::Block(self.store[id].clone())),
                    _ => {}
                }
                self.log.push(effect);
            }
        }
    }
}

/// A block with a chosen body root on `parent`.
pub fn block(farm: &Farm, sealed: SealedHeader, evidence: Vec<Evidence>) -> Block<Proven> {
    let commitment = BodyCommitment {
        root: sealed.header.root,
        carried: Carried { evidence: evidence_commitment(&evidence), state: None },
    };
    Block::new(sealed, evidence, vec![]).prove(&farm.spec, &commitment).unwrap()
}

/// `blocks` blocks on `from`; their root tells branches apart.
pub fn branch(farm: &Farm, engine: &Engine, from: BlockId, blocks: usize, root: u8) -> Vec<Block<Proven>> {
    let (mut tree, mut tip, mut made) = (engine.tree().clone(), from, vec![]);
    for _ in 0..blocks {
        let expected = tree.expectation(&tip, Slot::ZERO).unwrap();
        let claim = farm.win(expected.height, expected.after, expected.seed, expected.difficulty);
        let sealed = farm.seal(tip, BodyRoot::new([root; 32]), claim);
        tree.link(&ProvenHeader::prove(&farm.spec, sealed).unwrap()).unwrap();
        tip = sealed.id();
        made.push(block(farm, sealed, vec![]));
    }
    made
}

pub fn id(block: &Block<Proven>) -> BlockId {
    *block.header().id()
}

/// `count` blocks on the last of `before`, which starts at the genesis block.
pub fn branch_on(farm: &Farm, before: &[Block<Proven>], count: usize) -> Vec<Block<Proven>> {
    let mut engine = Engine::new(farm.spec.clone(), GENESIS);
    engine.step(Input::Tick(Slot::new(1 << 40)));
    before.iter().for_each(|block| drop(engine.step(Input::Header(block.header().clone()))));
    branch(farm, &engine, id(before.last().unwrap()), count, 6)
}
