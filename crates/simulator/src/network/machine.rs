//! What a simulated machine runs: the production node. A test may put another one in its place, with a rule left off, to
//! see that the checks find it.

use std::sync::Arc;

use mass_ledger_utxo::UtxoLedger;
use mass_network::{Command, Event};
use mass_node::{Chain, ChainError, Moment, Node, Parts};
use mass_primitives::{BlockId, FarmerPublicKey, SealSignature, VrfProof};

/// A node under a virtual clock.
pub trait Machine: Send {
    /// Time has passed.
    ///
    /// # Errors
    /// Fatal ones only, as below where nothing else is said.
    fn tick(&mut self, now: Moment) -> Result<(), ChainError>;

    /// Something happened in the network.
    ///
    /// # Errors
    /// Fatal ones only.
    fn event(&mut self, event: Event, now: Moment) -> Result<(), ChainError>;

    /// A farmer signed a header.
    ///
    /// # Errors
    /// As [`Node::submit`].
    fn submit(
        &mut self,
        id: &BlockId,
        vrf_proof: VrfProof,
        signature: SealSignature,
        now: Moment,
    ) -> Result<(), ChainError>;

    /// A user pays.
    ///
    /// # Errors
    /// As [`Node::pay`].
    fn pay(&mut self, bytes: Vec<u8>, now: Moment) -> Result<(), ChainError>;

    /// What the network has to do.
    fn take_commands(&mut self) -> Vec<Command>;

    /// The chain.
    fn chain(&self) -> &Chain<UtxoLedger>;

    /// The chain, to make blocks.
    fn chain_mut(&mut self) -> &mut Chain<UtxoLedger>;

    /// What this machine takes for the tip.
    fn tip(&self) -> BlockId {
        *self.chain().engine().tip()
    }

    /// The block that bans a key on this machine's chain.
    fn ban(&self, farmer: &FarmerPublicKey) -> Option<BlockId> {
        self.chain().engine().ban(farmer, self.chain().engine().tip())
    }
}

impl Machine for Node<UtxoLedger> {
    fn tick(&mut self, now: Moment) -> Result<(), ChainError> {
        self.tick(now)?;
        finish(self, now)
    }

    fn event(&mut self, event: Event, now: Moment) -> Result<(), ChainError> {
        self.event(event, now)?;
        finish(self, now)
    }

    fn submit(
        &mut self,
        id: &BlockId,
        vrf_proof: VrfProof,
        signature: SealSignature,
        now: Moment,
    ) -> Result<(), ChainError> {
        self.submit(id, vrf_proof, signature, now)?;
        finish(self, now)
    }

    fn pay(&mut self, bytes: Vec<u8>, now: Moment) -> Result<(), ChainError> {
        self.pay(bytes, now).map(drop)
    }

    fn take_commands(&mut self) -> Vec<Command> {
        self.take_commands()
    }

    fn chain(&self) -> &Chain<UtxoLedger> {
        self.chain()
    }

    fn chain_mut(&mut self) -> &mut Chain<UtxoLedger> {
        self.chain_mut()
    }
}

/// Does the work that an input left, however many turns it takes: no time passes in a machine.
fn finish(node: &mut Node<UtxoLedger>, now: Moment) -> Result<(), ChainError> {
    while node.has_work() {
        node.proceed(now)?;
    }
    Ok(())
}

/// Starts the machine of a number on what its disk holds.
pub type Builder =
    Arc<dyn Fn(usize, Parts<UtxoLedger>, Moment) -> Result<Box<dyn Machine>, ChainError> + Send + Sync>;

/// Production nodes everywhere.
pub fn production() -> Builder {
    Arc::new(|_, parts, now| Ok(Box::new(Node::new(Chain::with(parts)?, now))))
}
