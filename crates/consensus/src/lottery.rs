//! Seeds, challenges, the group filter and the lottery (rules SEED-1, CHL-1, FLT-1, LOT-1..3).

use mass_primitives::{
    ChainId, Challenge, Difficulty, GroupId, LotteryWeight, Quality, Round, Seed, Slot, Tag, TaggedHasher,
    Ticket, VrfOutput,
};
use ruint::aliases::U256;

use crate::spec::ChainSpec;
use mass_proof_of_space::Strength;

/// SEED-1: `eta(j+1) = H("seed", eta(j), y)`, `y` the VRF output of the block at [`ChainSpec::seed_height`].
#[must_use]
pub fn next_seed(seed: &Seed, output: &VrfOutput) -> Seed {
    Seed::new(TaggedHasher::new(Tag::Seed).chain(seed.as_bytes()).chain(output.as_bytes()).finish())
}

/// CHL-1: `C = H("challenge", beacon chain id, eta, round)`.
#[must_use]
pub fn challenge(beacon: &ChainId, seed: &Seed, round: Round) -> Challenge {
    let hasher = TaggedHasher::new(Tag::Challenge).chain(beacon.as_bytes()).chain(seed.as_bytes());
    Challenge::new(hasher.chain(round.get().to_le_bytes()).finish())
}

/// FLT-1: a group is asked in round r iff `H("filter", beacon chain id, eta, group id) mod F_s == r mod F_s`,
/// the hash read as a big-endian number.
#[must_use]
pub fn is_asked(beacon: &ChainId, seed: &Seed, group: &GroupId, filter: u64, round: Round) -> bool {
    let residue = filter_residue(beacon, seed, group, filter);
    residue.is_some() && residue == round.get().checked_rem(filter)
}

/// FLT-1, seen from the group: the first round from `from` on in which it is asked; `None` if there is none.
#[must_use]
pub fn next_asked(beacon: &ChainId, seed: &Seed, group: &GroupId, filter: u64, from: Round) -> Option<Round> {
    let residue = filter_residue(beacon, seed, group, filter)?;
    let passed = from.get().checked_rem(filter)?;
    let wait = residue.checked_add(filter)?.checked_sub(passed)?.checked_rem(filter)?;
    from.get().checked_add(wait).map(Round::new)
}

/// `H("filter", beacon chain id, eta, group id) mod F_s`.
fn filter_residue(beacon: &ChainId, seed: &Seed, group: &GroupId, filter: u64) -> Option<u64> {
    let hash = TaggedHasher::new(Tag::Filter).chain(beacon.as_bytes()).chain(seed.as_bytes());
    let number = U256::from_be_bytes(hash.chain(group.as_bytes()).finish());
    number.checked_rem(U256::from(filter)).and_then(|residue| u64::try_from(residue).ok())
}

/// LOT-1: the ticket of a quality in a slot, `H("ticket", chain id, eta, slot, Q, y)`.
#[must_use]
pub fn ticket(chain: &ChainId, seed: &Seed, slot: Slot, quality: &Quality, output: &VrfOutput) -> Ticket {
    let hasher = TaggedHasher::new(Tag::Ticket).chain(chain.as_bytes()).chain(seed.as_bytes());
    let hasher = hasher.chain(slot.get().to_le_bytes()).chain(quality.as_bytes()).chain(output.as_bytes());
    Ticket::new(hasher.finish())
}

/// LOT-2: what a quality weighs, nominal plot bytes times `F_s`.
#[must_use]
pub fn lottery_weight(spec: &ChainSpec, strength: Strength) -> LotteryWeight {
    let bytes = u128::from(spec.plot_size().nominal_bytes());
    LotteryWeight::new(bytes.saturating_mul(u128::from(spec.filter(strength))))
}

/// LOT-3: a ticket wins iff `ticket < 2^256 * weight / D`, exactly: iff `floor(ticket * D / 2^256) < weight`.
#[must_use]
pub fn wins(ticket: &Ticket, weight: LotteryWeight, difficulty: Difficulty) -> bool {
    let product: ruint::aliases::U384 =
        U256::from_be_bytes(ticket.get()).widening_mul(ruint::aliases::U128::from(difficulty.get()));
    product.wrapping_shr(256) < ruint::aliases::U384::from(weight.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_wins_below_its_share_alone() {
        let ticket = |top: u8| Ticket::new(core::array::from_fn(|i| if i == 0 { top } else { 0 }));
        let (weight, difficulty) = (LotteryWeight::new(1 << 20), Difficulty::new(1 << 24));
        assert!(wins(&ticket(0x0f), weight, difficulty));
        assert!(!wins(&ticket(0x10), weight, difficulty), "the bound itself does not win");
        assert!(wins(&Ticket::new([0xff; 32]), weight, Difficulty::new(1 << 20)), "weight = D always wins");
    }

    #[test]
    fn a_group_is_asked_once_in_every_filter_rounds() {
        let (beacon, seed) = (ChainId::new([1; 32]), Seed::new([2; 32]));
        for group in 0..50u8 {
            let group = GroupId::new([group; 32]);
            let asked = (0..128).filter(|r| is_asked(&beacon, &seed, &group, 128, Round::new(*r))).count();
            assert_eq!(asked, 1);
        }
        assert!(!is_asked(&beacon, &seed, &GroupId::ZERO, 0, Round::new(0)));
    }
}
