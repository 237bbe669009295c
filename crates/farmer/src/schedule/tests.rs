//! Draws made by hand and of the dev chain.

use mass_primitives::{FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{PlotSize, QUALITY_LINKS, Strength};

use super::*;

const EVEN: u128 = 1 << 24;

fn identity(plot: u8, strength: u8) -> GroupIdentity {
    let (farmer, nonce) = (FarmerPublicKey::ZERO, GroupNonce::new([plot; 32]));
    GroupIdentity { size: PlotSize::MIN, strength: Strength::new(strength).unwrap(), farmer, nonce }
}

fn draw(slot: u64, top: u8, plot: u8, weight: u128) -> Draw {
    let identity = identity(plot, 2);
    Draw {
        slot: Slot::new(slot),
        ticket: Ticket::new(std::array::from_fn(|i| if i == 0 { top } else { 0 })),
        identity,
        group: identity.group_id(),
        index: PlotIndex::ZERO,
        chain: QualityChain::new([plot.into(); QUALITY_LINKS]),
        weight: LotteryWeight::new(weight),
    }
}

/// Which of the plots of a test it is.
fn plot(draw: &Draw) -> u8 {
    draw.identity.nonce.as_bytes()[0]
}

fn found(plot: u8, strength: u8) -> Found {
    Found::new(identity(plot, strength), PlotIndex::ZERO, QualityChain::new([plot.into(); QUALITY_LINKS]))
}

/// Every draw of a round, made one by one: what [`schedule`] leaves nothing out of that can win.
fn all_draws(spec: &ChainSpec, output: &VrfOutput, seed: &Seed, round: Round, all: &[Found]) -> Vec<Draw> {
    let start = spec.round_start(round).get();
    let slots = (start..start + spec.rules().round_slots).map(Slot::new);
    let draws = slots.flat_map(|slot| all.iter().map(move |found| (slot, found)));
    let draws = draws.map(|(slot, found)| Draw {
        slot,
        ticket: ticket(spec.id(), seed, slot, &found.quality, output),
        identity: found.identity,
        group: found.group,
        index: found.index,
        chain: found.chain,
        weight: lottery_weight(spec, found.identity.strength),
    });
    draws.collect()
}

#[test]
fn a_round_has_the_draws_that_can_win_in_order_whichever_disk_answers_first() {
    let spec = ChainSpec::built_in("dev").unwrap();
    let (seed, output, round) = (Seed::new([3; 32]), VrfOutput::new([4; 32]), Round::new(5));
    let found: Vec<Found> = (0..60).map(|plot| found(plot, 2 + plot % 3)).collect();
    let (all, draws) =
        (all_draws(&spec, &output, &seed, round, &found), schedule(&spec, &output, &seed, round, &found));
    assert!(all.len() == 960 && (16..=48).contains(&draws.len()), "at most one for each strength");
    assert!(draws.iter().all(|draw| all.contains(draw)));
    assert!(draws.is_sorted_by_key(|draw| (draw.slot, draw.weight)));
    assert!(draws.is_sorted_by_key(|draw| (draw.slot, draw.ticket)));
    for (slot, power) in (0..16).flat_map(|slot| (0..60).map(move |power| (slot, power))) {
        let (slot, difficulty) = (Slot::new(80 + slot), Difficulty::new(1 << power));
        assert_eq!(winner(&draws, slot, difficulty), winner(&all, slot, difficulty));
    }
    let parts = || found.chunks(7).map(|part| schedule(&spec, &output, &seed, round, part));
    assert_eq!(parts().fold(Vec::new(), merge), draws);
    assert_eq!(parts().rev().fold(Vec::new(), merge), draws);
}

#[test]
fn other_outputs_make_other_draws() {
    let spec = ChainSpec::built_in("dev").unwrap();
    let of =
        |output| schedule(&spec, &VrfOutput::new([output; 32]), &Seed::ZERO, Round::new(1), &[found(0, 2)]);
    assert_ne!(of(1), of(2));
    assert_eq!(of(1), of(1));
}

#[test]
fn a_strength_that_is_not_allowed_draws_nothing() {
    let mut file = ChainSpec::built_in("dev").unwrap().file().clone();
    file.rules.strength_max = 3;
    let spec = ChainSpec::new(file).unwrap();
    let draws = schedule(&spec, &VrfOutput::ZERO, &Seed::ZERO, Round::new(1), &[found(0, 4), found(1, 3)]);
    assert!(draws.len() == 16 && draws.iter().all(|draw| plot(draw) == 1));
}

#[test]
fn the_lowest_winning_ticket_of_the_slot_wins() {
    let light = EVEN / 64;
    let draws =
        [draw(1, 0x00, 9, EVEN), draw(2, 0x05, 0, light), draw(2, 0x06, 1, EVEN), draw(2, 0x07, 2, EVEN)];
    let plot = |slot, difficulty| winner(&draws, Slot::new(slot), Difficulty::new(difficulty)).map(plot);
    assert_eq!(plot(2, EVEN), Some(1), "the lowest ticket is too light to win");
    assert_eq!(plot(2, light), Some(0));
    assert_eq!(plot(2, EVEN * 64), None);
    assert_eq!(plot(3, 1), None);
}

#[test]
fn proofs_are_solved_ahead_within_the_margin() {
    let weight = EVEN / 16;
    let draws = [draw(1, 0x0f, 0, weight), draw(2, 0x1f, 1, weight), draw(3, 0x20, 2, weight)];
    let plots = |margin| -> Vec<u8> {
        likely(&draws, Difficulty::new(EVEN), margin).iter().map(|draw| plot(draw)).collect()
    };
    assert_eq!(plots(0), [0]);
    assert_eq!(plots(1), [0]);
    assert_eq!(plots(2), [0, 1], "twice the chance at half the difficulty, the bound excluded");
    assert_eq!(plots(4), [0, 1, 2]);
}

#[test]
fn each_proof_is_solved_once_and_none_that_cannot_win() {
    let draws = vec![
        draw(1, 0x01, 0, EVEN),
        draw(1, 0x02, 1, EVEN),
        draw(1, 0x03, 2, EVEN * 2),
        draw(2, 0x01, 0, EVEN),
        draw(3, 0x01, 1, EVEN),
    ];
    let draws = merge(draws, Vec::new());
    let solved: Vec<_> =
        likely(&draws, Difficulty::new(EVEN), 2).iter().map(|draw| (draw.slot.get(), plot(draw))).collect();
    assert_eq!(solved, [(1, 0), (1, 2), (3, 1)]);
}

#[test]
fn whatever_wins_was_likely() {
    let spec = ChainSpec::built_in("dev").unwrap();
    let all: Vec<Found> = (0..40).map(|plot| found(plot, 2 + plot % 4)).collect();
    let draws = schedule(&spec, &VrfOutput::ZERO, &Seed::ZERO, Round::new(1), &all);
    let difficulty = spec.difficulty_initial().get() * 8;
    let ahead: BTreeSet<u8> =
        likely(&draws, Difficulty::new(difficulty), 2).iter().map(|draw| plot(draw)).collect();
    for (slot, percent) in (16..32).flat_map(|slot| [50, 75, 100, 200].map(|percent| (slot, percent))) {
        let won = winner(&draws, Slot::new(slot), Difficulty::new(difficulty * percent / 100));
        assert!(won.is_none_or(|draw| ahead.contains(&plot(draw))));
    }
}
