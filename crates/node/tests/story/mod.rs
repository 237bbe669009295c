//! Blocks as they come to a node: payments, a branch that wins, one that comes back. Made once by real farmers; whoever
//! hears them again, from the start or from some block on, ends at the same tip.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use mass_consensus::{
    block::{Block, Decoded, Proven},
    spec::ChainSpec,
};
use mass_ledger_utxo::UtxoLedger;
use mass_node::{Afresh, ChainError, Parts, Prover, check};
use mass_primitives::{BlockId, Encode as _, Slot};
use mass_storage::{Store, fault::FakeDisk};

use crate::{
    farm::Farm,
    payer::{Chain, NOW, Payer, coin_of, mine, send, tip},
};

/// What a database keeps in memory: so little that it writes between commits.
const CACHE_BYTES: usize = 64 << 10;

/// Proves each block once, for all who hear it.
#[derive(Default)]
struct Once(Mutex<HashMap<Vec<u8>, Block<Proven>>>);

impl Prover<UtxoLedger> for Once {
    fn block(
        &self,
        spec: &ChainSpec,
        ledger: &UtxoLedger,
        block: Block<Decoded>,
    ) -> Result<Block<Proven>, ChainError> {
        let bytes = block.to_bytes();
        if let Some(known) = self.0.lock().unwrap().get(&bytes) {
            return Ok(known.clone());
        }
        let proven = Afresh.block(spec, ledger, block)?;
        self.0.lock().unwrap().insert(bytes, proven.clone());
        Ok(proven)
    }
}

pub struct Story {
    pub spec: ChainSpec,
    /// In the order in which they come.
    pub blocks: Vec<Vec<u8>>,
    pub tip: BlockId,
    /// The sum of the state at the end.
    pub sum: String,
    prover: Arc<Once>,
}

impl Story {
    pub fn new() -> Self {
        let payer = Payer::new(&Farm::easy(1, [7; 32]).spec);
        let farms = [7, 8].map(|key| payer.farm(key));
        let (spec, prover) = (farms[0].spec.clone(), Arc::default());
        let mut story = Self { spec, blocks: Vec::new(), tip: BlockId::ZERO, sum: String::new(), prover };
        let mut one = story.open(&FakeDisk::new(Arc::default())).unwrap();
        let mut two = story.open(&FakeDisk::new(Arc::default())).unwrap();
        let mut coin = (Payer::coin(&one), 1_000_000);
        let mut common = |one: &mut Chain, two: &mut Chain, blocks: &mut Vec<Vec<u8>>, count| {
            for _ in 0..count {
                let payment = payer.pay(coin.0, coin.1, 1_000);
                send(one, &payment);
                coin = (coin_of(&payment), coin.1 - 1_000);
                let block = mine(&farms[0], one, 1);
                two.take_block(&block, NOW).unwrap();
                blocks.push(block);
            }
        };
        common(&mut one, &mut two, &mut story.blocks, 6);
        // Each time the side that had fewer blocks gets more, and the other one follows.
        for (few, many) in [(1, 2), (3, 4)] {
            let left: Vec<_> = (0..few).map(|_| mine(&farms[0], &mut one, 2)).collect();
            let right: Vec<_> = (0..many).map(|_| mine(&farms[1], &mut two, 3)).collect();
            right.iter().for_each(|block| drop(one.take_block(block, NOW).unwrap()));
            assert_eq!(tip(&one), tip(&two));
            story.blocks.extend(left.into_iter().chain(right));
            common(&mut one, &mut two, &mut story.blocks, 3);
        }
        assert_eq!(one.engine().reorgs(), 2);
        story.tip = tip(&one);
        story.sum = story.sound(&one);
        story
    }

    /// A node's chain on a disk.
    pub fn open(&self, disk: &FakeDisk) -> Result<Chain, ChainError> {
        let store = Store::open_on(disk.clone(), CACHE_BYTES, self.spec.id())?;
        let ledger = Chain::ledger_of(&self.spec)?;
        let prover = Arc::clone(&self.prover);
        let mut chain = Chain::with(Parts { spec: self.spec.clone(), ledger, store, prover, beacon: None })?;
        let all = ["tx", "address", "spend"].map(str::to_owned);
        chain.keep_indexes(Some(&all))?;
        while chain.build_indexes()?.is_some() {}
        chain.tick(Slot::new(1 << 30), NOW)?;
        Ok(chain)
    }

    /// Checks everything in a chain's database, as `mass node db check` does; the sum of its state.
    pub fn sound(&self, chain: &Chain) -> String {
        let checked = check::check(chain.store(), &self.spec, chain.ledger(), &mut |_, _, _| {}).unwrap();
        assert!(checked.is_good(), "{:#?}", checked.report.faults);
        checked.report.state_hash.unwrap().to_string()
    }

    /// The chain hears all blocks and ends at the tip, with the one state.
    pub fn catches_up(&self, chain: &mut Chain) {
        for block in &self.blocks {
            chain.take_block(block, NOW).unwrap();
        }
        assert_eq!(tip(chain), self.tip);
        assert_eq!(self.sound(chain), self.sum);
    }
}

/// Weight of the chain up to its tip.
pub fn weight(chain: &Chain) -> u128 {
    let weight = chain.engine().tree().get(&tip(chain)).unwrap().weight;
    weight.to_string().parse().unwrap()
}
