//! What a wallet needs to know of its chain: identity, genesis block, address prefix.

use bitcoin::{Block, BlockHash, hashes::Hash as _};
use mass_consensus::{header::Header, ledger::Ledger as _, spec::ChainSpec};
use mass_ledger_utxo::{LedgerParams, UtxoLedger};
use mass_primitives::{BlockId, ChainId, Encode as _};

use crate::error::WalletError;

/// Blocks in which a coinbase matures, as BDK has it built in.
const MATURITY: u32 = bitcoin::blockdata::constants::COINBASE_MATURITY;

/// A chain as its wallets see it.
#[derive(Clone, Debug)]
pub(crate) struct LedgerChain {
    pub(crate) name: String,
    pub(crate) id: ChainId,
    pub(crate) address_prefix: String,
    pub(crate) genesis: Block,
    pub(crate) weight_max: u64,
    pub(crate) spec: ChainSpec,
}

impl LedgerChain {
    pub(crate) fn new(spec: &ChainSpec) -> Result<Self, WalletError> {
        let rules = &spec.rules().ledger;
        if rules.kind != "utxo" {
            return Err(WalletError::LedgerKind(rules.kind.clone()));
        }
        let params = LedgerParams::from_json(rules.params.clone())?;
        if params.maturity != MATURITY {
            return Err(WalletError::Maturity { got: params.maturity, expected: MATURITY });
        }
        let (address_prefix, weight_max) = (params.address_prefix.clone(), params.weight_max);
        let ledger = UtxoLedger::new(params, spec.id())?;
        let (body, _) = ledger.genesis();
        let root = ledger.commitment(&body).expect("the ledger accepts its own genesis body").root;
        let bytes = [Header::genesis(spec, root).to_bytes(), body].concat();
        let genesis = bitcoin::consensus::deserialize(&bytes).expect("header and body are a Bitcoin block");
        let (name, id, spec) = (spec.rules().name.clone(), *spec.id(), spec.clone());
        Ok(Self { name, id, address_prefix, genesis, weight_max, spec })
    }
}

/// Our name of a block that BDK knows.
pub(crate) fn block_id(hash: BlockHash) -> BlockId {
    BlockId::new(hash.to_byte_array())
}

/// BDK's name of a block of ours.
pub(crate) fn block_hash(id: &BlockId) -> BlockHash {
    BlockHash::from_byte_array(id.get())
}
