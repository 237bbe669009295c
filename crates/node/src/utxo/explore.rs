//! What people look up who look at a chain: an address, and what a farmer has earned day by day. Each answer is bounded, and
//! is put together beside the node's loop.

use std::collections::{BTreeMap, HashMap};

use bitcoin::{OutPoint, Transaction, Txid, consensus::encode::deserialize};
use mass_ledger_utxo::{UtxoLedger, address, reward::read_pending};
use mass_primitives::{Amount, BlockId, FarmerPublicKey, Height};
use mass_rpc::{
    RpcResult, errors,
    params::{Args, Kind, Param},
};
use mass_storage::Snapshot;
use serde_json::{Value, json};

use super::index::{Place, Role, ScriptEvent, script_events, script_hash};
use crate::{
    api::{fault, tree_node},
    chain::{Chain, read_content},
    error::ChainError,
    methods::{Answering, Method, in_background},
    node::{Moment, Node},
    queries::Queries,
};

const ADDRESS: &[Param] = &[Param::new("address", Kind::Text), Param::optional("count", Kind::Number)];
const REWARDS: &[Param] = &[
    Param::new("farmer", Kind::Hash),
    Param::optional("days", Kind::Number),
    Param::optional("offset", Kind::Number),
];

/// Events of one address that are read at the most.
const EVENTS_MAX: usize = 100_000;
/// Transactions and coins of an address that are told, unless the call says another number, and at the most.
const TOLD: usize = 100;
const TOLD_MAX: usize = 1_000;
/// Days of rewards, unless the call says another number, and at the most.
const DAYS: i64 = 14;
const DAYS_MAX: i64 = 366;
const DAY_SECONDS: i64 = 86_400;
/// Minutes by which a day may begin earlier or later than in Greenwich.
const OFFSET_MAX: i64 = 14 * 60;

pub(super) fn table() -> Vec<Method<UtxoLedger>> {
    let name = |name| ("Mass", name);
    vec![
        Method::aside(
            name("mass_address"),
            ADDRESS,
            "What lies at an address, and its newest transactions, from the index address. Amounts are in maxwell. What has \
             too many events to be added up has null for its sums.",
            |queries, args| Box::pin(look_up(queries, args)),
        ),
        Method::aside(
            name("mass_rewards"),
            REWARDS,
            "Blocks of the best chain that a farmer has sealed and what they earn, day by day, the newest first. Amounts are \
             in maxwell; offset is in minutes: by how much a day begins before that of UTC.",
            rewards,
        ),
    ]
}

async fn look_up(queries: Queries<UtxoLedger>, args: Args) -> RpcResult<Value> {
    let count = args.number(1).and_then(|count| usize::try_from(count).ok()).unwrap_or(TOLD).min(TOLD_MAX);
    let text = args.text(0).to_owned();
    let prepare = move |node: &mut Node<UtxoLedger>| {
        let chain = node.chain();
        let script = address::decode(&chain.ledger().params().address_prefix, &text);
        let script = script.map_err(|error| errors::not_found(format!("Address is not valid: {error}")))?;
        Ok((script, chain.store().snapshot().map_err(fault)?))
    };
    let (script, snapshot) = queries.answer(prepare).await?;
    in_background(move || {
        let events = script_events(&snapshot, &script_hash(&script)).map_err(fault)?;
        let newest = newest(events.rev().take(EVENTS_MAX), count).map_err(fault)?;
        let events = script_events(&snapshot, &script_hash(&script)).map_err(fault)?;
        let coins = coins(events).map_err(fault)?;
        let (balance, total) = match &coins {
            Some(coins) => {
                (json!(coins.iter().map(|coin| coin.amount.get()).sum::<u64>()), json!(coins.len()))
            }
            None => (Value::Null, Value::Null),
        };
        let told = coins.unwrap_or_default();
        let told = told.iter().rev().take(count).map(|coin| {
            json!({ "txid": coin.outpoint.txid, "vout": coin.outpoint.vout, "amount": coin.amount,
                "height": coin.height })
        });
        Ok(json!({
            "balance": balance, "coin_count": total, "coins": told.collect::<Vec<_>>(),
            "transactions": newest.0, "more": newest.1,
        }))
    })
    .await
}

/// What each of the newest transactions did, and whether there are older ones.
fn newest(
    events: impl Iterator<Item = Result<ScriptEvent, ChainError>>,
    count: usize,
) -> Result<(Vec<Value>, bool), ChainError> {
    /// A transaction, what it paid to the script, and what it spent from it.
    struct Touch(Place, Txid, u64, u64);
    let mut found: Vec<Touch> = Vec::new();
    let mut more = false;
    for event in events {
        let ScriptEvent { place, txid, role, amount } = event?;
        if found.last().is_none_or(|last| last.0 != place) {
            if found.len() == count {
                more = true;
                break;
            }
            found.push(Touch(place, txid, 0, 0));
        }
        if let Some(touch) = found.last_mut() {
            let sum = if matches!(role, Role::Funds(_)) { &mut touch.2 } else { &mut touch.3 };
            *sum = sum.saturating_add(amount.get());
        }
    }
    let told = found.iter().map(|Touch(place, txid, received, sent)| {
        json!({ "txid": txid, "height": place.height, "received": received, "sent": sent })
    });
    Ok((told.collect(), more))
}

/// An unspent output.
struct Unspent {
    outpoint: OutPoint,
    amount: Amount,
    height: Height,
}

/// The unspent outputs of a script in the order of the chain; `None` if its history is longer than is read.
fn coins(
    events: impl Iterator<Item = Result<ScriptEvent, ChainError>>,
) -> Result<Option<Vec<Unspent>>, ChainError> {
    let (mut coins, mut numbers) = (BTreeMap::new(), HashMap::new());
    for (number, event) in events.enumerate() {
        if number == EVENTS_MAX {
            return Ok(None);
        }
        let ScriptEvent { place, txid, role, amount } = event?;
        match role {
            Role::Funds(vout) => {
                let outpoint = OutPoint { txid, vout };
                numbers.insert(outpoint, number);
                coins.insert(number, Unspent { outpoint, amount, height: place.height });
            }
            Role::Spends(_, outpoint) => {
                numbers.remove(&outpoint).and_then(|number| coins.remove(&number));
            }
        }
    }
    Ok(Some(coins.into_values().collect()))
}

/// A block that the farmer sealed.
struct Own {
    height: Height,
    time: i64,
}

/// The blocks of the best chain that a farmer sealed since a time, the newest first.
fn own_blocks(chain: &Chain<UtxoLedger>, farmer: &FarmerPublicKey, since: i64) -> RpcResult<Vec<Own>> {
    let (mut own, mut id) = (Vec::new(), *chain.engine().tip());
    loop {
        let node = tree_node(chain, &id)?;
        let time = i64::from(node.time);
        if node.height == Height::ZERO || time < since {
            return Ok(own);
        }
        if node.farmer.as_ref() == Some(farmer) {
            own.push(Own { height: node.height, time });
        }
        id = node.parent;
    }
}

fn rewards(queries: Queries<UtxoLedger>, args: Args) -> Answering {
    Box::pin(async move {
        let farmer: FarmerPublicKey = args.hash(0)?;
        let days = args.number(1).unwrap_or(DAYS).clamp(1, DAYS_MAX);
        let offset = args.number(2).unwrap_or(0).clamp(-OFFSET_MAX, OFFSET_MAX) * 60;
        let now = i64::try_from(Moment::now().unix).unwrap_or(i64::MAX / 2);
        let since = ((now + offset).div_euclid(DAY_SECONDS) - days + 1) * DAY_SECONDS - offset;
        let prepare = move |node: &mut Node<UtxoLedger>| {
            let chain = node.chain();
            let delay = chain.ledger().params().reward_delay;
            let snapshot = chain.store().snapshot().map_err(fault)?;
            Ok((own_blocks(chain, &farmer, since)?, delay, snapshot))
        };
        let (own, delay, snapshot) = queries.answer(prepare).await?;
        in_background(move || {
            let mut by_day: BTreeMap<i64, Day> = BTreeMap::new();
            for block in own {
                let day = by_day.entry((block.time + offset).div_euclid(DAY_SECONDS)).or_default();
                day.add(&reward(&snapshot, block.height, delay).map_err(fault)?);
            }
            let days = by_day.iter().rev().map(|(day, sums)| {
                json!({ "start": day * DAY_SECONDS - offset, "blocks": sums.blocks, "paid": sums.paid,
                    "pending": sums.pending })
            });
            Ok(days.collect())
        })
        .await
    })
}

/// What the blocks of a day earned, in maxwell.
#[derive(Default)]
struct Day {
    blocks: u64,
    paid: u64,
    pending: u64,
}

impl Day {
    fn add(&mut self, reward: &Reward) {
        self.blocks += 1;
        let (sum, amount) = match reward {
            Reward::Pending(amount) => (&mut self.pending, *amount),
            Reward::Paid(amount) => (&mut self.paid, *amount),
        };
        *sum = sum.saturating_add(amount);
    }
}

enum Reward {
    Pending(u64),
    Paid(u64),
}

/// What the block at a height earns: it waits in the state, or the coinbase of a later block has paid it; a farmer who was
/// banned meanwhile gets nothing.
fn reward(snapshot: &Snapshot, height: Height, delay: u32) -> Result<Reward, ChainError> {
    if let Some(pending) = read_pending(snapshot, height)? {
        return Ok(Reward::Pending(pending.amount.get()));
    }
    let paid_at = height.get().checked_add(delay).map(Height::new);
    let payer = paid_at.map(|height| snapshot.active_id(height)).transpose()?.flatten();
    let paid = payer.map(|id| coinbase_sum(snapshot, &id)).transpose()?;
    Ok(Reward::Paid(paid.flatten().unwrap_or(0)))
}

/// What the coinbase of a block pays; nothing is known of one whose body was pruned.
fn coinbase_sum(snapshot: &Snapshot, id: &BlockId) -> Result<Option<u64>, ChainError> {
    let damaged = || ChainError::Database("the body of a block does not decode".to_owned());
    let Some(content) = snapshot.body(id)? else { return Ok(None) };
    let (_, body) = read_content(&content).map_err(|_| damaged())?;
    let transactions: Vec<Transaction> = deserialize(body).map_err(|_| damaged())?;
    let coinbase = transactions.first().ok_or_else(damaged)?;
    Ok(Some(coinbase.output.iter().fold(0, |sum, output| output.value.to_sat().saturating_add(sum))))
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;

    use super::*;

    fn event(height: u32, txid: u8, role: Role, amount: u64) -> Result<ScriptEvent, ChainError> {
        Ok(ScriptEvent {
            place: Place { height: Height::new(height), position: 0 },
            txid: Txid::from_byte_array([txid; 32]),
            role,
            amount: Amount::new(amount),
        })
    }

    #[test]
    fn an_address_has_what_it_got_and_has_not_spent() {
        let first = OutPoint { txid: Txid::from_byte_array([1; 32]), vout: 0 };
        let events = || {
            vec![
                event(1, 1, Role::Funds(0), 100),
                event(2, 2, Role::Funds(0), 30),
                event(2, 2, Role::Funds(1), 12),
                event(3, 3, Role::Spends(0, first), 100),
                event(3, 3, Role::Funds(4), 60),
            ]
        };
        let coins = coins(events().into_iter()).unwrap().unwrap();
        assert_eq!(coins.iter().map(|coin| coin.amount.get()).collect::<Vec<_>>(), [30, 12, 60]);
        let (told, more) = newest(events().into_iter().rev(), 2).unwrap();
        assert!(more);
        assert_eq!((&told[0]["received"], &told[0]["sent"]), (&json!(60), &json!(100)));
        assert_eq!((&told[1]["received"], &told[1]["sent"]), (&json!(42), &json!(0)));
        assert!(!newest(events().into_iter().rev(), 3).unwrap().1);
    }
}
