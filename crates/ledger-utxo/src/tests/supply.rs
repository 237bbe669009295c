//! The supply from the first block to the last reward, and late rewards against an obvious model.

use std::collections::VecDeque;

use bitcoin::{ScriptBuf, TxOut};
use mass_consensus::ledger::{Carried, Ledger, StateDelta, StateRead};
use mass_primitives::{Amount, ChainId, Decode, Height};
use proptest::prelude::*;

use super::chain::{Chain, Person, State, farmer};
use crate::{
    Coin, LedgerError, LedgerParams, PendingReward, Supply, UtxoLedger,
    body::Body,
    coin::{COIN_PREFIX, REWARD_PREFIX},
    reward::{pending_of, read_pending},
};

const DELAY: u32 = 1_820;
/// Each block stands for 13,440 of Mass Net's: the first era has one, the last 16,384.
const SCALE: u64 = 13_440;
const ERA_BLOCKS: u32 = (1 << 15) - 1;
const CAP: u64 = 206_438_400 * 10_000_000;

/// Sum of coins and pending rewards, kept up with each block.
struct Books {
    state: State,
    outstanding: u64,
    coins: u64,
}

impl Books {
    fn amount(key: &[u8], value: &[u8]) -> (u64, u64) {
        match key[0] {
            COIN_PREFIX => (Coin::from_bytes(value).unwrap().amount.get(), 1),
            REWARD_PREFIX => (PendingReward::from_bytes(value).unwrap().amount.get(), 0),
            _ => (0, 0),
        }
    }

    fn write(&mut self, delta: &StateDelta) {
        for (key, value) in delta.iter() {
            if let Some(old) = self.state.get(key).unwrap() {
                let (amount, coins) = Self::amount(key, &old);
                self.outstanding -= amount;
                self.coins -= coins;
            }
            if let Some(new) = value {
                let (amount, coins) = Self::amount(key, new);
                self.outstanding += amount;
                self.coins += coins;
            }
        }
        self.state.write(delta);
    }
}

fn ledger() -> UtxoLedger {
    let params = LedgerParams {
        subsidy_initial: Amount::new(10_240_000_000 * SCALE),
        era_blocks: 1,
        reward_delay: DELAY,
        maturity: 100,
        weight_max: 4_000_000,
        address_prefix: "ms".into(),
        genesis_outputs: Vec::new(),
    };
    UtxoLedger::new(params, &ChainId::new([1; 32])).unwrap()
}

/// One ledger through all eras and until the last reward is paid; every 3,000 blocks a farmer is banned.
#[test]
fn fifteen_eras_end_at_the_cap_less_what_was_burned() {
    let ledger = ledger();
    let mut chain = Chain::new();
    let mut books = Books { state: State::default(), outstanding: 0, coins: 0 };
    books.write(&ledger.genesis().1);
    let payout = Person::new(1).p2tr();
    let (mut paid, mut burned, mut bans) = (0, 0, 0u64);
    for height in 1..=ERA_BLOCKS + DELAY {
        chain.height = height - 1;
        let banned = if height % 3_000 == 0 && height <= ERA_BLOCKS { &[7][..] } else { &[] };
        let by = if height % 100 == 50 { 7 } else { 1 };
        let mut context = chain.context(by, banned);
        context.time = height;
        context.median_time_past = height;
        let lost = banned.first().map_or(0, |key| pending_of(&books.state, &farmer(*key)).unwrap().get());
        bans += u64::from(lost > 0);
        burned += lost - lost / 8;
        let body = ledger.build_body(&books.state, &context, &payout, Carried::default(), &[]).unwrap();
        books.write(&ledger.apply(&books.state, &context, &body).unwrap());
        paid += u64::from(height > DELAY);
        let supply = Supply::read(&books.state).unwrap();
        assert_eq!(supply.outstanding().unwrap().get(), books.outstanding, "at height {height}");
        assert_eq!(supply.burned.get(), burned);
    }
    let supply = Supply::read(&books.state).unwrap();
    assert_eq!(supply.issued.get(), CAP);
    assert!(bans >= 10 && burned > 0);
    let audit = books.state.audit();
    assert!(audit.balances());
    assert_eq!((audit.coins.get(), audit.pending), (CAP - burned, Amount::ZERO));
    assert!(books.coins < paid, "what banned farmers had pending was never paid");
}

#[test]
fn each_era_of_mass_net_issues_the_same_and_all_of_them_the_cap() {
    let params = LedgerParams {
        subsidy_initial: Amount::new(10_240_000_000),
        era_blocks: 13_440,
        ..ledger().params().clone()
    };
    let (mut first, mut issued) = (1u64, 0u64);
    for era in 0..15u32 {
        let blocks = 13_440u64 << era;
        let last = first + blocks - 1;
        let subsidy = |height: u64| params.subsidy(Height::new(u32::try_from(height).unwrap())).get();
        assert_eq!(subsidy(first), 10_240_000_000 >> era);
        assert_eq!(subsidy(first), subsidy(last));
        assert_eq!(subsidy(first) << era, 10_240_000_000, "no maxwell is lost by halving");
        issued += subsidy(first) * blocks;
        first = last + 1;
    }
    assert_eq!((first - 1, issued), (440_388_480, CAP));
    assert_eq!(params.subsidy(Height::new(440_388_481)), Amount::ZERO);
}

/// A reward that waits: who earned it, when, how much.
struct Waiting {
    by: u8,
    height: u32,
    amount: u64,
}

fn blocks() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let bans = prop_oneof![5 => Just(Vec::new()), 1 => prop::collection::vec(1u8..5, 1..4)];
    prop::collection::vec((1u8..5, bans), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn late_rewards_do_what_the_obvious_list_does(blocks in blocks()) {
        let mut chain = Chain::new();
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        let mut burned = 0;
        for (by, banned) in blocks {
            if banned.contains(&by) {
                let expected = LedgerError::BannedFarmer(farmer(by));
                prop_assert_eq!(chain.body(by, &banned, &[]), Err(expected));
                continue;
            }
            let height = chain.height + 1;
            let (lost, kept): (Vec<_>, Vec<_>) =
                waiting.drain(..).partition(|reward| banned.contains(&reward.by));
            let lost: u64 = lost.iter().map(|reward| reward.amount).sum();
            let (due, left): (Vec<_>, Vec<_>) =
                kept.into_iter().partition(|reward| reward.height + super::chain::DELAY == height);
            waiting = left.into();
            let body = chain.body(by, &banned, &[]).unwrap();
            let coinbase = Body::decode(&body, 40_000).unwrap().coinbase().clone();
            chain.apply(by, &banned, &body).unwrap();
            let pays = |output: &TxOut| (output.value.to_sat(), output.script_pubkey.clone());
            let paid: Vec<(u64, ScriptBuf)> =
                coinbase.output.iter().filter(|output| !output.script_pubkey.is_op_return()).map(pays).collect();
            let expected: Vec<_> =
                due.iter().map(|reward| (reward.amount, Person::new(reward.by).p2wpkh())).collect();
            prop_assert_eq!(paid, expected);
            burned += lost - lost / 8;
            prop_assert_eq!(chain.supply().burned.get(), burned);
            let amount = chain.ledger.params().subsidy(Height::new(height)).get() + lost / 8;
            if amount > 0 {
                waiting.push_back(Waiting { by, height, amount });
            }
            for reward in &waiting {
                let found = read_pending(&chain.state, Height::new(reward.height)).unwrap().unwrap();
                prop_assert_eq!((found.amount.get(), found.farmer), (reward.amount, farmer(reward.by)));
            }
        }
    }
}

#[test]
fn a_block_that_does_not_balance_would_be_noticed() {
    let chain = Chain::new();
    let mut delta = StateDelta::new();
    assert!(crate::audit::keeps_balance(&chain.state, &delta));
    let (outpoint, coin) = chain.faucet().remove(0);
    delta.delete(crate::coin_key(&outpoint));
    assert!(!crate::audit::keeps_balance(&chain.state, &delta), "a coin went nowhere");
    let more = Coin { amount: Amount::new(coin.amount.get() + 1), ..coin };
    delta.put(crate::coin_key(&outpoint), mass_primitives::Encode::to_bytes(&more));
    assert!(!crate::audit::keeps_balance(&chain.state, &delta), "a maxwell came from nowhere");
}
