//! The schedule of a round: which slots the qualities found win. Pure.

use std::collections::{BTreeMap, BTreeSet};

use mass_consensus::{
    lottery::{lottery_weight, ticket, wins},
    spec::ChainSpec,
};
use mass_primitives::{
    Difficulty, GroupId, LotteryWeight, PlotIndex, Quality, Round, Seed, Slot, Ticket, VrfOutput,
};
use mass_proof_of_space::{GroupIdentity, QualityChain, plot_id};

/// A quality that a plot has for the challenge of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The group of the plot.
    pub identity: GroupIdentity,
    /// Its id.
    pub group: GroupId,
    /// Which plot of the group.
    pub index: PlotIndex,
    /// The chain behind the quality, from which the proof is solved.
    pub chain: QualityChain,
    /// The quality.
    pub quality: Quality,
}

impl Found {
    /// The quality of a chain that a plot has answered with.
    #[must_use]
    pub fn new(identity: GroupIdentity, index: PlotIndex, chain: QualityChain) -> Self {
        let group = identity.group_id();
        let quality = chain.quality(&plot_id(&group, index), identity.strength);
        Self { identity, group, index, chain, quality }
    }
}

/// One quality in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The slot.
    pub slot: Slot,
    /// The ticket in this slot.
    pub ticket: Ticket,
    /// The group of the plot.
    pub identity: GroupIdentity,
    /// Its id.
    pub group: GroupId,
    /// Which plot of the group.
    pub index: PlotIndex,
    /// The chain from which the proof is solved.
    pub chain: QualityChain,
    /// What the quality weighs.
    pub weight: LotteryWeight,
}

/// All draws of a round by slot, and within a slot the lowest ticket first. `output` is the farmer's VRF
/// output of the round. A strength that the chain does not allow draws nothing.
#[must_use]
pub fn schedule(
    spec: &ChainSpec,
    output: &VrfOutput,
    seed: &Seed,
    round: Round,
    found: &[Found],
) -> Vec<Draw> {
    let start = spec.round_start(round).get();
    let slots = start..start.saturating_add(spec.rules().round_slots);
    let found = found.iter().filter(|found| spec.allows_strength(found.identity.strength));
    let mut draws: Vec<Draw> = found
        .flat_map(|found| {
            slots.clone().map(Slot::new).map(|slot| Draw {
                slot,
                ticket: ticket(spec.id(), seed, slot, &found.quality, output),
                identity: found.identity,
                group: found.group,
                index: found.index,
                chain: found.chain,
                weight: lottery_weight(spec, found.identity.strength),
            })
        })
        .collect();
    draws.sort_by_key(|draw| (draw.slot, draw.ticket, draw.group, draw.index));
    draws
}

/// The draw to seal a slot with: of those that win, the lowest ticket. `draws` are those of [`schedule`].
#[must_use]
pub fn winner(draws: &[Draw], slot: Slot, difficulty: Difficulty) -> Option<&Draw> {
    let of_slot = draws.iter().filter(|draw| draw.slot == slot);
    of_slot.filter(|draw| wins(&draw.ticket, draw.weight, difficulty)).min_by_key(|draw| draw.ticket)
}

/// The proofs to solve ahead: what wins should the difficulty have fallen to its `margin`-th part (usually
/// 2) when the slot comes. Each proof once, in the order in which they are needed.
///
/// A draw that no difficulty can make the winner is left out: one with a lower ticket in its slot weighs as
/// much.
#[must_use]
pub fn likely(draws: &[Draw], difficulty: Difficulty, margin: u32) -> Vec<&Draw> {
    let easiest = Difficulty::new((difficulty.get() / u128::from(margin.max(1))).max(1));
    let mut sorted: Vec<&Draw> =
        draws.iter().filter(|draw| wins(&draw.ticket, draw.weight, easiest)).collect();
    sorted.sort_by_key(|draw| (draw.slot, draw.ticket));
    let mut heaviest: BTreeMap<Slot, LotteryWeight> = BTreeMap::new();
    let mut solved = BTreeSet::new();
    sorted.retain(|draw| {
        let best = heaviest.entry(draw.slot).or_default();
        if draw.weight <= *best {
            return false;
        }
        *best = draw.weight;
        solved.insert((draw.group, draw.index, *draw.chain.links()))
    });
    sorted
}

#[cfg(test)]
mod tests;
