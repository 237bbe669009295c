//! One block in figures, for `getblockstats`. Amounts are in maxwell, as Bitcoin Core gives them in its least unit.

use bitcoin::{Transaction, Txid};
use mass_ledger_utxo::UtxoLedger;
use mass_primitives::{Amount, Height};
use mass_rpc::{
    RpcResult, errors,
    params::{Args, Kind, Param, check_hash},
};
use serde_json::{Map, Value, json};

use super::{json::fee, transactions};
use crate::{
    api::{fault, tree_node},
    methods::Method,
    node::Node,
    standard::stored,
};

const STATS: &[Param] = &[Param::new("hash_or_height", Kind::Any), Param::optional("stats", Kind::Array)];
/// Bytes that Bitcoin Core counts for an output in its set beside the output itself.
const OUTPOINT_BYTES: usize = 41;

pub(super) fn table() -> Vec<Method<UtxoLedger>> {
    let about = "A block of the best chain in figures, all of them or those that stats names. Fees and what follows from \
                 them need what the block spends, which the node keeps.";
    vec![Method::new(("Blockchain", "getblockstats"), STATS, about, stats)]
}

/// What is counted of one transaction but the coinbase.
struct Payment {
    fee: u64,
    size: u64,
    weight: u64,
    inputs: usize,
    spent_bytes: usize,
}

impl Payment {
    /// Maxwell per virtual byte.
    fn rate(&self) -> u64 {
        4 * self.fee / self.weight.max(1)
    }
}

fn block_id(node: &Node<UtxoLedger>, which: &Value) -> RpcResult<mass_primitives::BlockId> {
    let chain = node.chain();
    match which {
        Value::Number(height) => {
            let height = height.as_u64().and_then(|height| u32::try_from(height).ok()).map(Height::new);
            let id =
                height.map(|height| chain.store().active_id(height)).transpose().map_err(fault)?.flatten();
            id.ok_or_else(|| {
                errors::invalid_parameter(format!("Target block height {which} after current tip"))
            })
        }
        Value::String(text) => {
            check_hash("hash_or_height", text)?;
            let missing = || errors::not_found("Block not found");
            let id = text.parse().map_err(|_| missing())?;
            let height = tree_node(chain, &id).map_err(|_| missing())?.height;
            let is_active = chain.store().active_id(height).map_err(fault)? == Some(id);
            let why = format!("Block is not in chain {}", chain.spec().rules().name);
            is_active.then_some(id).ok_or_else(|| errors::invalid_parameter(why))
        }
        _ => Err(errors::type_mismatch("hash_or_height is neither a string nor a number")),
    }
}

fn stats(node: &mut Node<UtxoLedger>, args: &Args) -> RpcResult<Value> {
    let id = block_id(node, args.value(0))?;
    let all = all_stats(node, &id)?;
    let Some(wanted) = args.value(1).as_array().filter(|wanted| !wanted.is_empty()) else {
        return Ok(all.into());
    };
    let mut some = Map::new();
    for name in wanted {
        let name =
            name.as_str().ok_or_else(|| errors::type_mismatch("the name of a statistic is a string"))?;
        let Some(value) = all.get(name) else {
            return Err(errors::invalid_parameter(format!("Invalid selected statistic '{name}'")));
        };
        some.insert(name.to_owned(), value.clone());
    }
    Ok(some.into())
}

pub(super) fn all_stats(
    node: &Node<UtxoLedger>,
    id: &mass_primitives::BlockId,
) -> RpcResult<Map<String, Value>> {
    let chain = node.chain();
    let body = transactions::read_body(chain, &stored(chain, id)?.1)?;
    let txs: Vec<(Txid, &Transaction)> = transactions::transactions(&body);
    let prevouts = transactions::prevouts(chain, id, &txs)?;
    let mut payments = Vec::new();
    for (_, tx) in txs.iter().skip(1) {
        // What the genesis block pays comes from nowhere.
        let spent = prevouts.of(tx)?.unwrap_or_default();
        payments.push(Payment {
            fee: fee(tx, &spent).map_or(0, Amount::get),
            size: tx.total_size() as u64,
            weight: tx.weight().to_wu(),
            inputs: spent.len(),
            spent_bytes: spent.iter().map(|coin| coin.to_output().size() + OUTPOINT_BYTES).sum(),
        });
    }
    let placed = tree_node(chain, id)?;
    let (height, time) = (placed.height, placed.time);
    let outputs =
        txs.iter().flat_map(|(_, tx)| &tx.output).filter(|output| !output.script_pubkey.is_op_return());
    let made: Vec<usize> = outputs.map(|output| output.size() + OUTPOINT_BYTES).collect();
    let inputs: usize = payments.iter().map(|payment| payment.inputs).sum();
    let spent_bytes: usize = payments.iter().map(|payment| payment.spent_bytes).sum();
    let all_outputs: usize = txs.iter().map(|(_, tx)| tx.output.len()).sum();
    let total_out: u64 =
        txs.iter().skip(1).flat_map(|(_, tx)| &tx.output).map(|output| output.value.to_sat()).sum();
    let witnesses: Vec<&Payment> = txs
        .iter()
        .skip(1)
        .zip(&payments)
        .filter(|((_, tx), _)| tx.total_size() != tx.base_size())
        .map(|(_, payment)| payment)
        .collect();
    let mut fields = figures(&payments);
    let grown = made.len() as i64 - inputs as i64;
    let grown_bytes = made.iter().sum::<usize>() as i64 - spent_bytes as i64;
    let more = json!({
        "blockhash": id, "height": height, "time": time,
        "mediantime": chain.engine().tree().median_time_past(id).unwrap_or(time),
        "txs": txs.len(), "ins": inputs, "outs": all_outputs, "total_out": total_out,
        "subsidy": if height == Height::ZERO { Amount::ZERO } else { chain.ledger().params().subsidy(height) },
        "swtxs": witnesses.len(),
        "swtotal_size": witnesses.iter().map(|payment| payment.size).sum::<u64>(),
        "swtotal_weight": witnesses.iter().map(|payment| payment.weight).sum::<u64>(),
        "utxo_increase": all_outputs as i64 - inputs as i64, "utxo_size_inc": grown_bytes,
        "utxo_increase_actual": grown, "utxo_size_inc_actual": grown_bytes,
    });
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    Ok(fields)
}

fn figures(payments: &[Payment]) -> Map<String, Value> {
    let of = |number: fn(&Payment) -> u64| {
        let mut numbers: Vec<u64> = payments.iter().map(number).collect();
        numbers.sort_unstable();
        numbers
    };
    let (fees, rates, sizes) = (of(|payment| payment.fee), of(Payment::rate), of(|payment| payment.size));
    let weight: u64 = payments.iter().map(|payment| payment.weight).sum();
    let sum = |numbers: &[u64]| numbers.iter().sum::<u64>();
    let mean = |numbers: &[u64]| sum(numbers).checked_div(numbers.len() as u64).unwrap_or(0);
    let least = |numbers: &[u64]| numbers.first().copied().unwrap_or(0);
    let most = |numbers: &[u64]| numbers.last().copied().unwrap_or(0);
    let middle = |numbers: &[u64]| match numbers.len() {
        0 => 0,
        odd if odd % 2 == 1 => numbers.get(odd / 2).copied().unwrap_or(0),
        even => numbers.iter().skip(even / 2 - 1).take(2).sum::<u64>() / 2,
    };
    let fields = json!({
        "avgfee": mean(&fees), "medianfee": middle(&fees), "minfee": least(&fees), "maxfee": most(&fees),
        "totalfee": sum(&fees), "avgfeerate": (4 * sum(&fees)).checked_div(weight).unwrap_or(0),
        "minfeerate": least(&rates), "maxfeerate": most(&rates), "feerate_percentiles": percentiles(payments, weight),
        "avgtxsize": mean(&sizes), "mediantxsize": middle(&sizes), "mintxsize": least(&sizes),
        "maxtxsize": most(&sizes), "total_size": sum(&sizes), "total_weight": weight,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The fee rates below which 10, 25, 50, 75 and 90 % of the weight are.
fn percentiles(payments: &[Payment], weight: u64) -> [u64; 5] {
    let mut by_rate: Vec<(u64, u64)> =
        payments.iter().map(|payment| (payment.rate(), payment.weight)).collect();
    by_rate.sort_unstable();
    [10, 25, 50, 75, 90].map(|percent| {
        let mut below = 0;
        let reached = by_rate.iter().find(|(_, own)| {
            below += own;
            100 * below >= percent * weight
        });
        reached.map_or(0, |(rate, _)| *rate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_middle_the_ends_and_the_whole() {
        let payment = |fee, size| Payment { fee, size, weight: 4 * size, inputs: 1, spent_bytes: 0 };
        let fields = figures(&[payment(100, 100), payment(400, 200), payment(1_000, 100), payment(0, 100)]);
        for (name, value) in [
            ("avgfee", 375),
            ("medianfee", 250),
            ("minfee", 0),
            ("maxfee", 1_000),
            ("totalfee", 1_500),
            ("avgfeerate", 3),
            ("maxfeerate", 10),
            ("mediantxsize", 100),
            ("total_weight", 2_000),
        ] {
            assert_eq!(fields[name], value, "{name}");
        }
        assert_eq!(fields["feerate_percentiles"], json!([0, 1, 2, 2, 10]));
        assert_eq!(figures(&[])["avgfee"], 0);
    }
}
