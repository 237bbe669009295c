//! What scripts may cost: signature operations (BIP-141) and what the interpreter reads for them.
//!
//! A block of weight limit 4,000,000 may cost 80,000, as in Bitcoin; other limits in proportion. To
//! Bitcoin's count comes, for each input that the interpreter has to check, what it costs to read the
//! transaction, which it does for each input anew: without a bound, many small inputs in one large
//! transaction would take minutes. 12,000 units of reading count one and take about as long as a
//! signature. A transaction of at most 400,000 weight, the most that Bitcoin's nodes relay, stays below
//! the limit as long as each of its inputs carries a signature (decision 0013).

use bitcoin::{
    Script, Transaction, TxOut, Witness,
    opcodes::{Opcode, all},
};

use crate::witness::{Kind, kind};

/// Weight for which one signature operation is allowed.
const WEIGHT_PER_OPERATION: u64 = 50;
/// Units of reading that count one: 43 us, where a unit is what a byte of a long element takes.
const READING_PER_OPERATION: u64 = 12_000;
/// Units for each input, output and witness element, beside their bytes: memory is asked for and hashed.
const READING_PER_INPUT: u64 = 200;
const READING_PER_OUTPUT: u64 = 60;
const READING_PER_ELEMENT: u64 = 16;
/// Factor of operations outside of witnesses.
const WITNESS_SCALE: u64 = 4;
/// Keys that a multisig without a stated number may have.
const MULTISIG_KEYS_MAX: u64 = 20;

/// Greatest cost of a block with this weight limit.
#[must_use]
pub const fn cost_max(weight_max: u64) -> u64 {
    weight_max / WEIGHT_PER_OPERATION
}

/// Cost of a transaction that spends `spent`, in the order of its inputs.
#[must_use]
pub fn cost(tx: &Transaction, spent: &[TxOut]) -> u64 {
    let outputs = tx.output.iter().map(|output| count(&output.script_pubkey, false));
    let outputs = outputs.fold(0u64, u64::saturating_add).saturating_mul(WITNESS_SCALE);
    let reading = reading(tx).div_ceil(READING_PER_OPERATION);
    let inputs = spent.iter().zip(&tx.input).map(|(output, input)| {
        let read = if kind(&output.script_pubkey, &input.witness).is_interpreted() { reading } else { 0 };
        read.saturating_add(witness_operations(&output.script_pubkey, &input.witness))
    });
    inputs.fold(outputs, u64::saturating_add)
}

/// What it takes the interpreter to read a transaction.
fn reading(tx: &Transaction) -> u64 {
    let units = |count: usize, each: u64| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(each);
    let elements = tx.input.iter().fold(0usize, |sum, input| sum.saturating_add(input.witness.len()));
    [
        units(tx.total_size(), 1),
        units(tx.input.len(), READING_PER_INPUT),
        units(tx.output.len(), READING_PER_OUTPUT),
        units(elements, READING_PER_ELEMENT),
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

/// Operations of one input (BIP-141). Tapscript has a budget of its own (BIP-342).
fn witness_operations(script: &Script, witness: &Witness) -> u64 {
    match kind(script, witness) {
        Kind::KeyHash => 1,
        Kind::ScriptHash => witness.last().map_or(0, |script| count(Script::from_bytes(script), true)),
        _ => 0,
    }
}

/// Signature operations in a script, as Bitcoin counts them: up to what cannot be parsed, and a multisig
/// by the number before it if that is asked for. (`bitcoin` 0.32 takes any earlier number.)
fn count(script: &Script, by_number: bool) -> u64 {
    let mut operations = 0u64;
    let mut number = None;
    for instruction in script.instructions().map_while(Result::ok) {
        let opcode = instruction.opcode();
        let found = match opcode {
            Some(all::OP_CHECKSIG | all::OP_CHECKSIGVERIFY) => 1,
            Some(all::OP_CHECKMULTISIG | all::OP_CHECKMULTISIGVERIFY) => {
                number.filter(|_| by_number).unwrap_or(MULTISIG_KEYS_MAX)
            }
            _ => 0,
        };
        operations = operations.saturating_add(found);
        number = opcode.and_then(small_number);
    }
    operations
}

/// The number that OP_1 to OP_16 push.
fn small_number(opcode: Opcode) -> Option<u64> {
    let number = opcode.to_u8().checked_sub(all::OP_PUSHNUM_1.to_u8())?;
    (number < 16).then(|| u64::from(number).saturating_add(1))
}
