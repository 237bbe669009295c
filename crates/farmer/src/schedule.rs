//! The schedule of a round: which slots the qualities found win. Pure.

use std::collections::BTreeSet;

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

/// The draws of a round that some difficulty makes the winners of their slots: by slot, and within a slot from the
/// lowest ticket up, each heavier than the one before. One or a few to a slot, however many qualities were found.
/// `output` is the farmer's VRF output of the round. A strength that the chain does not allow draws nothing.
#[must_use]
pub fn schedule(
    spec: &ChainSpec,
    output: &VrfOutput,
    seed: &Seed,
    round: Round,
    found: &[Found],
) -> Vec<Draw> {
    let start = spec.round_start(round).get();
    let slots = (start..start.saturating_add(spec.rules().round_slots)).map(Slot::new);
    let found = || found.iter().filter(|found| spec.allows_strength(found.identity.strength));
    let mut draws = Vec::new();
    for slot in slots {
        let of_slot = found().map(|found| (ticket(spec.id(), seed, slot, &found.quality, output), found));
        let mut of_slot: Vec<(Ticket, &Found)> = of_slot.collect();
        of_slot.sort_unstable_by_key(|(ticket, found)| (*ticket, found.group, found.index));
        let mut heaviest = LotteryWeight::default();
        for (ticket, found) in of_slot {
            let weight = lottery_weight(spec, found.identity.strength);
            if weight > heaviest {
                heaviest = weight;
                let Found { identity, group, index, chain, .. } = found.clone();
                draws.push(Draw { slot, ticket, identity, group, index, chain, weight });
            }
        }
    }
    draws
}

/// One schedule from two of the same round, of what different disks have found.
#[must_use]
pub fn merge(mut draws: Vec<Draw>, others: Vec<Draw>) -> Vec<Draw> {
    draws.extend(others);
    draws.sort_by_key(|draw| (draw.slot, draw.ticket, draw.group, draw.index));
    let (mut slot, mut heaviest) = (None, LotteryWeight::default());
    draws.retain(|draw| {
        if slot.replace(draw.slot) != Some(draw.slot) {
            heaviest = LotteryWeight::default();
        }
        let is_heavier = draw.weight > heaviest;
        heaviest = heaviest.max(draw.weight);
        is_heavier
    });
    draws
}

/// The draw to seal a slot with: of those that win, the lowest ticket. `draws` are those of [`schedule`].
#[must_use]
pub fn winner(draws: &[Draw], slot: Slot, difficulty: Difficulty) -> Option<&Draw> {
    let of_slot = draws.iter().filter(|draw| draw.slot == slot);
    of_slot.filter(|draw| wins(&draw.ticket, draw.weight, difficulty)).min_by_key(|draw| draw.ticket)
}

/// The proofs to solve ahead: what wins should the difficulty have fallen to its `margin`-th part (usually
/// 2) when the slot comes. Each proof once, in the order in which they are needed. `draws` are those of [`schedule`].
#[must_use]
pub fn likely(draws: &[Draw], difficulty: Difficulty, margin: u32) -> Vec<&Draw> {
    let easiest = Difficulty::new((difficulty.get() / u128::from(margin.max(1))).max(1));
    let mut solved = BTreeSet::new();
    let winning = draws.iter().filter(|draw| wins(&draw.ticket, draw.weight, easiest));
    winning.filter(|draw| solved.insert((draw.group, draw.index, *draw.chain.links()))).collect()
}

#[cfg(test)]
mod tests;
