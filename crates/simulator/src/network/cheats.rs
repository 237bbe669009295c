//! The ways in which a farmer cheats. Each has a node by the rules, as the honest have, and stands between it and the
//! network. What must become of them is in the checks.

use bitcoin::{Amount, ScriptBuf, TxOut};
use mass_consensus::{
    block::{Block, Decoded},
    evidence::Evidence,
    header::{HEADER_BYTES, Header, Seal, SealClaim, SealedHeader},
    ledger::{BlockContext, Ledger as _},
};
use mass_ledger_utxo::body::{Body, encode_body};
use mass_network::{Topic, wire::Response};
use mass_node::{ChainError, NodeLedger as _, gossiped_header};
use mass_primitives::{BlockId, BodyRoot, Decode as _, Encode as _, Height, VrfProof};

use super::{
    machine::Machine,
    scenario::{Conduct, SECOND, payout},
    station::{Gossip, Station, Surroundings},
};

/// Blocks that a flooder makes of one win.
const FLOOD: u64 = 12;
/// A spammer speaks so often.
const SPAM_EVERY: u64 = 60 * SECOND;
/// A loner is away for the first part of each such time.
const LONER_EVERY: u64 = 1_200 * SECOND;
const LONER_FOR: u64 = 360 * SECOND;

/// What a cheat has in mind.
#[derive(Default)]
pub struct Deceit {
    /// When it sealed twice in a slot and others could see both blocks, in milliseconds.
    pub offences: Vec<u64>,
    /// Own blocks that nobody was shown yet, and the height of the last.
    hidden: Vec<(Topic, Vec<u8>)>,
    hidden_height: Height,
    /// Height of the best block that others made.
    heard: Height,
    /// The last header and the last evidence of others.
    overheard: Option<SealedHeader>,
    evidence: Option<Vec<u8>>,
    forgeries: u64,
    spoke: u64,
}

impl Deceit {
    /// It sealed a block, as the honest do.
    pub const fn sealed(&mut self, height: Height) {
        self.hidden_height = height;
    }
}

impl Station {
    /// Two blocks for one slot, each for half of the neighbours. It goes on when it is banned and its own node refuses.
    pub(super) fn seal_twice(
        &mut self,
        claim: SealClaim,
        vrf_proof: VrfProof,
        world: Surroundings<'_>,
    ) -> Result<(), ChainError> {
        self.seal_often(2, claim, vrf_proof, |side, to| to as u64 % 2 == side, world)
    }

    /// As many blocks of one win as it likes, for everybody.
    pub(super) fn seal_a_flood(
        &mut self,
        claim: SealClaim,
        vrf_proof: VrfProof,
        world: Surroundings<'_>,
    ) -> Result<(), ChainError> {
        self.seal_often(FLOOD, claim, vrf_proof, |_, _| true, world)
    }

    fn seal_often(
        &mut self,
        count: u64,
        claim: SealClaim,
        vrf_proof: VrfProof,
        whom: fn(u64, usize) -> bool,
        world: Surroundings<'_>,
    ) -> Result<(), ChainError> {
        let payee = |side| self.number as u64 + side * 1_000_000;
        let payees: Vec<u64> = (0..count).map(payee).collect();
        let headers: Vec<_> = payees.into_iter().map(|payee| self.prepare(claim, payee, world)).collect();
        for (side, header) in (0..).zip(headers) {
            let (now, id) = (self.moment(world), header?.id());
            let Some(seal) = self.sign(claim, vrf_proof, &id, world) else { return Ok(()) };
            let Some(machine) = self.machine.as_deref_mut() else { return Ok(()) };
            let (bytes, _) = machine.chain_mut().submit(&id, vrf_proof, seal.signature, now.unix)?;
            self.publish(Topic::Blocks, bytes, |to| whom(side, to), world);
        }
        let can_be_seen = world.sides.is_none() && [0, 1].iter().all(|side| self.reaches(*side) >= 2);
        if let Some(farming) = self.farming.as_mut().filter(|_| can_be_seen) {
            farming.deceit.offences.push(world.at);
        }
        Ok(())
    }

    fn sign(
        &mut self,
        claim: SealClaim,
        vrf_proof: VrfProof,
        id: &BlockId,
        world: Surroundings<'_>,
    ) -> Option<Seal> {
        let farming = self.farming.as_mut()?;
        farming.signed = claim.slot;
        let secret = &world.setting.farms.farmers()[farming.farmer].secret;
        Some(Seal { claim, vrf_proof, signature: secret.sign(&claim.chain, id, &mut self.rng) })
    }

    /// By turns a body that pays one maxwell too much under a header that commits to it, and a good block of which others
    /// get other contents than its header commits to.
    pub(super) fn seal_a_forgery(
        &mut self,
        claim: SealClaim,
        vrf_proof: VrfProof,
        world: Surroundings<'_>,
    ) -> Result<(), ChainError> {
        let Some(farming) = &mut self.farming else { return Ok(()) };
        farming.deceit.forgeries += 1;
        let is_overpaid = farming.deceit.forgeries % 2 == 1;
        let header = self.prepare(claim, self.number as u64, world)?;
        let Some(machine) = self.machine.as_deref() else { return Ok(()) };
        let address = payout(&world.setting.spec, self.number as u64);
        let body = overpaid(machine, &claim, header.time, &address)?;
        let root =
            machine.chain().ledger().commitment(&body).map_err(|_| ChainError::Stale("the body"))?.root;
        let header = if is_overpaid { Header { root, ..header } } else { header };
        let Some(seal) = self.sign(claim, vrf_proof, &header.id(), world) else { return Ok(()) };
        if !is_overpaid && let Some(machine) = self.machine.as_deref_mut() {
            let unix = world.at / SECOND + u64::from(world.setting.spec.rules().genesis_time);
            machine.chain_mut().submit(&header.id(), vrf_proof, seal.signature, unix)?;
        }
        let block = Block::<Decoded>::new(SealedHeader { header, seal }, Vec::new(), body);
        self.publish(Topic::Blocks, block.to_bytes(), |_| true, world);
        Ok(())
    }

    /// What a cheat does as time passes.
    pub(super) fn deceive(&mut self, world: Surroundings<'_>) {
        match self.conduct() {
            _ if world.at >= world.setting.farming_until => self.show(world),
            Conduct::Loner if !self.is_away(world.at) => self.show(world),
            Conduct::Spammer => self.spam(world),
            _ => {}
        }
    }

    /// Evidence that was told before; forged evidence, of which one header is nobody's; and two headers that are one.
    fn spam(&mut self, world: Surroundings<'_>) {
        let Some(farming) = &mut self.farming else { return };
        let deceit = &mut farming.deceit;
        if world.at < deceit.spoke + SPAM_EVERY {
            return;
        }
        deceit.spoke = world.at;
        let forged = deceit.overheard.iter().flat_map(|good| {
            let mut bad = *good;
            bad.header.root = BodyRoot::new([world.at as u8; 32]);
            [Evidence::new(*good, bad).to_bytes(), Evidence::new(*good, *good).to_bytes()]
        });
        let all: Vec<_> = forged.chain(deceit.evidence.clone()).collect();
        for bytes in all {
            self.publish(Topic::Evidence, bytes, |_| true, world);
        }
    }

    /// Whether a loner hears nobody.
    pub(super) fn is_away(&self, at: u64) -> bool {
        self.conduct() == Conduct::Loner && at % LONER_EVERY < LONER_FOR
    }

    /// Whether a message of its own node is not to be gossiped. Who hides blocks keeps them for later, and who seals twice
    /// does not denounce itself.
    pub(super) fn keeps_back(&mut self, topic: Topic, bytes: &[u8], at: u64) -> bool {
        let is_away = self.is_away(at);
        let Some(farming) = &mut self.farming else { return false };
        match (farming.conduct, topic) {
            (Conduct::DoubleSealer | Conduct::Flooder, Topic::Evidence)
            | (Conduct::Mute, Topic::Blocks | Topic::Compact) => true,
            (Conduct::Withholder, Topic::Blocks | Topic::Compact) => {
                farming.deceit.hidden.push((topic, bytes.to_vec()));
                true
            }
            (Conduct::Loner, Topic::Blocks | Topic::Compact) if is_away => {
                farming.deceit.hidden.push((topic, bytes.to_vec()));
                true
            }
            _ => false,
        }
    }

    /// What a cheat makes of an answer: who hides blocks says nothing meanwhile, a mute has no contents.
    pub(super) fn bend(&self, mut response: Response) -> Option<Response> {
        let Some(farming) = &self.farming else { return Some(response) };
        if farming.conduct == Conduct::Mute
            && let Response::Blocks(blocks) = &mut response
        {
            let id = |bytes: &Vec<u8>| {
                Header::from_bytes(bytes.get(..HEADER_BYTES)?).ok().map(|header| header.id())
            };
            let is_own = |bytes: &Vec<u8>| id(bytes).is_some_and(|id| farming.own.contains(&id));
            blocks
                .iter_mut()
                .filter(|block| block.as_ref().is_some_and(is_own))
                .for_each(|block| *block = None);
        }
        farming.deceit.hidden.is_empty().then_some(response)
    }

    /// A withholder listens how far the others are, a spammer for what to spoil.
    pub(super) fn overhear(&mut self, gossip: &Gossip, world: Surroundings<'_>) {
        let Some(farming) = &mut self.farming else { return };
        let (conduct, deceit) = (farming.conduct, &mut farming.deceit);
        if !matches!(conduct, Conduct::Withholder | Conduct::Spammer) {
            return;
        }
        if gossip.topic == Topic::Evidence {
            deceit.evidence = Some(gossip.bytes.clone());
        }
        let Some(sealed) = gossiped_header(gossip.topic, &gossip.bytes) else { return };
        deceit.overheard = Some(sealed);
        deceit.heard = deceit.heard.max(sealed.seal.claim.height);
        if deceit.heard > deceit.hidden_height {
            deceit.hidden.clear();
        } else if deceit.heard.get() + 1 >= deceit.hidden_height.get() {
            self.show(world);
        }
    }

    /// Shows all that was kept back.
    fn show(&mut self, world: Surroundings<'_>) {
        let hidden = self.farming.as_mut().map(|farming| std::mem::take(&mut farming.deceit.hidden));
        for (topic, bytes) in hidden.unwrap_or_default() {
            self.publish(topic, bytes, |_| true, world);
        }
    }
}

/// A body for a claim on the tip that pays one maxwell more than there is.
fn overpaid(
    machine: &dyn Machine,
    claim: &SealClaim,
    time: u32,
    payout: &str,
) -> Result<Vec<u8>, ChainError> {
    let chain = machine.chain();
    let tree = chain.engine().tree();
    let context = BlockContext {
        height: claim.height,
        slot: claim.slot,
        time,
        median_time_past: tree.median_time_past(chain.engine().tip()).unwrap_or(0),
        farmer: *claim.farmer(),
        banned: Vec::new(),
    };
    let state = chain.store().snapshot()?;
    let carried = chain.carried(&state, claim.height, &[])?;
    let candidate = chain.ledger().build(&state, chain.pool(), &context, payout, carried)?;
    let body = Body::decode(&candidate.body, chain.ledger().params().weight_max)
        .map_err(|_| ChainError::Stale("the body"))?;
    let mut coinbase = body.coinbase().clone();
    coinbase.output.insert(0, TxOut { value: Amount::ONE_SAT, script_pubkey: ScriptBuf::new_op_return([]) });
    Ok(encode_body(&coinbase, body.payments()))
}
