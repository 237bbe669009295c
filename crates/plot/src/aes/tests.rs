//! Every backend of this machine against the plot hash of the proof of space, which verifies.

use aes::{Block, hazmat::cipher_round};
use mass_primitives::PlotId;

use super::{Backend, PlotHasher};

/// POS-4 as it is written.
fn obvious(plot_id: &PlotId, input: u128, round_pairs: u32) -> u128 {
    let (first, second) = plot_id.as_bytes().split_at(16);
    let mut block = Block::from(input.to_le_bytes());
    for _ in 0..round_pairs {
        cipher_round(&mut block, &Block::try_from(first).unwrap());
        cipher_round(&mut block, &Block::try_from(second).unwrap());
    }
    u128::from_le_bytes(block.into())
}

fn words(seed: u64, count: usize) -> Vec<u64> {
    (1..=count as u64).map(|i| (i ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)).collect()
}

#[test]
fn all_backends_hash_as_the_rule_says() {
    let plot_id = PlotId::new(std::array::from_fn(|i| (37 * i + 11) as u8));
    let backends = Backend::available();
    assert_eq!(backends.first(), Some(&Backend::Portable));
    for backend in backends {
        let hasher = PlotHasher::with_backend(&plot_id, backend).unwrap();
        for (count, round_pairs) in [(0, 16), (1, 16), (7, 1), (31, 16), (32, 64), (33, 16), (200, 3)] {
            let (low, high) = (words(1, count), words(2, count));
            let (mut out, mut out_high) = (vec![0; count], vec![0; count]);
            hasher.hash(&low, &high, [&mut out, &mut out_high], round_pairs);
            for i in 0..count {
                let expected = obvious(&plot_id, u128::from(low[i]) | u128::from(high[i]) << 64, round_pairs);
                assert_eq!((out[i], out_high[i]), (expected as u64, (expected >> 64) as u64), "{backend:?}");
            }
            hasher.hash_low64(&low, &mut out, round_pairs);
            hasher.hash_low64_of_high(9 << 32 | 1, &high, &mut out_high, round_pairs);
            for i in 0..count {
                assert_eq!(out[i], obvious(&plot_id, low[i].into(), round_pairs) as u64, "{backend:?}");
                let input = 9 << 32 | 1 | u128::from(high[i]) << 64;
                assert_eq!(out_high[i], obvious(&plot_id, input, round_pairs) as u64, "{backend:?}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "differ in number")]
fn slices_of_different_lengths_are_refused() {
    PlotHasher::new(&PlotId::new([0; 32])).hash_low64(&[1, 2], &mut [0], 16);
}
