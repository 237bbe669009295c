//! Whether the inputs of transactions satisfy the coins that they spend: by kind of spend, in parallel
//! over inputs. However many threads there are, the first failing input in order is the one that is
//! named.

use core::ops::Range;

use bitcoin::{
    Script, Transaction, TxOut, Txid, Witness,
    hashes::{Hash, sha256},
    secp256k1::{Secp256k1, VerifyOnly},
    sighash::SighashCache,
    taproot::{ControlBlock, TaprootError},
};
use rayon::prelude::*;

use crate::{
    error::LedgerError,
    fault::ScriptFault,
    interpreter::Subject,
    script::is_anchor,
    signature::{check_key_path, check_p2wpkh},
};

/// First byte of an annex (BIP-341).
const ANNEX_HEAD: u8 = 0x50;
/// Inputs of one transaction that one thread checks in one go, at the least. Each go hashes the
/// transaction afresh, so a large one has few of them.
const INPUTS_PER_TASK: usize = 32;
/// Goes per transaction, at the most.
const TASKS_MAX: usize = 8;

/// The kinds of spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// P2WPKH.
    KeyHash,
    /// P2WSH.
    ScriptHash,
    /// P2TR by its key.
    TaprootKey,
    /// P2TR by a script, or with an annex.
    TaprootScript,
    /// P2A, which anybody may spend.
    Anchor,
    /// None that a coin can have.
    Unknown,
}

impl Kind {
    /// Whether the interpreter checks it.
    pub(crate) const fn is_interpreted(self) -> bool {
        matches!(self, Self::ScriptHash | Self::TaprootScript)
    }
}

/// How an input with this witness spends an output with this script.
pub(crate) fn kind(script: &Script, witness: &Witness) -> Kind {
    if script.is_p2wpkh() {
        Kind::KeyHash
    } else if script.is_p2wsh() {
        Kind::ScriptHash
    } else if script.is_p2tr() {
        if witness.len() > 1 { Kind::TaprootScript } else { Kind::TaprootKey }
    } else if is_anchor(script) {
        Kind::Anchor
    } else {
        Kind::Unknown
    }
}

/// A transaction with the outputs that it spends, in the order of its inputs.
#[derive(Clone, Debug)]
pub(crate) struct Spending<'a> {
    pub tx: &'a Transaction,
    pub txid: Txid,
    pub spent: Vec<TxOut>,
}

/// Checks all inputs of all transactions.
pub(crate) fn verify_all(
    secp: &Secp256k1<VerifyOnly>,
    spendings: &[Spending<'_>],
) -> Result<(), LedgerError> {
    let tasks: Vec<_> = spendings.iter().flat_map(|spending| tasks_of(spending)).collect();
    let failed = match tasks.as_slice() {
        [(spending, inputs)] => check_inputs(secp, spending, inputs.clone()).err(),
        tasks => tasks
            .par_iter()
            .find_map_first(|(spending, inputs)| check_inputs(secp, spending, inputs.clone()).err()),
    };
    failed.map_or(Ok(()), Err)
}

fn tasks_of<'a, 'b>(spending: &'b Spending<'a>) -> impl Iterator<Item = (&'b Spending<'a>, Range<usize>)> {
    let inputs = spending.spent.len();
    let step = inputs.div_ceil(TASKS_MAX).max(INPUTS_PER_TASK);
    (0..inputs).step_by(step).map(move |from| (spending, from..from.saturating_add(step).min(inputs)))
}

fn check_inputs(
    secp: &Secp256k1<VerifyOnly>,
    spending: &Spending<'_>,
    inputs: Range<usize>,
) -> Result<(), LedgerError> {
    let mut checker = Checker { secp, spending, digests: SighashCache::new(spending.tx), interpreter: None };
    for input in inputs {
        checker.check(input).map_err(|fault| LedgerError::Script { txid: spending.txid, input, fault })?;
    }
    Ok(())
}

/// Checks inputs of one transaction, one after the other.
struct Checker<'a> {
    secp: &'a Secp256k1<VerifyOnly>,
    spending: &'a Spending<'a>,
    digests: SighashCache<&'a Transaction>,
    /// Made for the first input that needs it.
    interpreter: Option<Subject<'a>>,
}

impl Checker<'_> {
    fn check(&mut self, input: usize) -> Result<(), ScriptFault> {
        let Spending { tx, spent, .. } = self.spending;
        let (Some(txin), Some(output)) = (tx.input.get(input), spent.get(input)) else {
            return Err(ScriptFault::Script);
        };
        if !txin.script_sig.is_empty() {
            return Err(ScriptFault::SignatureScript);
        }
        let witness = &txin.witness;
        match kind(&output.script_pubkey, witness) {
            Kind::KeyHash => match (witness.len(), witness.nth(0), witness.nth(1)) {
                (2, Some(signature), Some(key)) => {
                    check_p2wpkh(self.secp, &mut self.digests, input, output, (signature, key))
                }
                _ => Err(ScriptFault::ProgramMismatch),
            },
            Kind::TaprootKey => match witness.nth(0) {
                Some(signature) => check_key_path(self.secp, &mut self.digests, input, spent, signature),
                None => Err(ScriptFault::WitnessEmpty),
            },
            Kind::Anchor if witness.is_empty() => Ok(()),
            Kind::Anchor => Err(ScriptFault::AnchorWitness),
            Kind::Unknown => Err(ScriptFault::Script),
            kind => {
                let verdict = self.interpret(input);
                verdict.map_err(|fault| name_fault(kind, &output.script_pubkey, witness).unwrap_or(fault))
            }
        }
    }

    fn interpret(&mut self, input: usize) -> Result<(), ScriptFault> {
        let Spending { tx, spent, .. } = self.spending;
        if self.interpreter.is_none() {
            self.interpreter = Subject::new(tx, spent);
        }
        self.interpreter.as_ref().map_or(Err(ScriptFault::Script), |subject| subject.verify(input))
    }
}

/// What the interpreter does not tell, as far as it can be seen from outside.
fn name_fault(kind: Kind, script: &Script, witness: &Witness) -> Option<ScriptFault> {
    if witness.is_empty() {
        return Some(ScriptFault::WitnessEmpty);
    }
    match kind {
        Kind::ScriptHash => {
            let program = script.as_bytes().get(2..)?;
            let hash = sha256::Hash::hash(witness.last()?);
            (hash.as_byte_array() != program).then_some(ScriptFault::ProgramMismatch)
        }
        Kind::TaprootScript => {
            let annex = witness.last().and_then(<[u8]>::first) == Some(&ANNEX_HEAD);
            let elements = witness.len().checked_sub(usize::from(annex))?;
            let control = witness.nth(elements.checked_sub(1)?)?;
            let sizes = matches!(
                ControlBlock::decode(control),
                Err(TaprootError::InvalidControlBlockSize(_) | TaprootError::InvalidMerkleTreeDepth(_))
            );
            (sizes && elements > 1).then_some(ScriptFault::ControlSize)
        }
        _ => None,
    }
}
