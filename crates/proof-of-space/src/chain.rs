//! Which chains answer a challenge (rules POS-12 to POS-15).
//!
//! A challenge picks four short ranges of fragments, the same in every plot of a group. A chain takes its
//! links from these in turn; a running hash over links, challenge and plot must pass a filter at
//! every link, so that a plot has one chain for a challenge on average.

use mass_primitives::{Challenge, PlotId};

use crate::{
    hash::{PlotHash, ROUND_PAIRS, low_bits},
    params::PlotParams,
    proof::QUALITY_LINKS,
    verify::ProofError,
};

/// Sets that a challenge picks.
pub const SETS: usize = 4;

/// The binary logarithm of the fragments that a set has on average.
pub const SET_BITS: u32 = 6;

/// Zero bits that the running hash needs after the first link.
const FIRST_ZERO_BITS: u32 = 2;

/// Zero bits after links 1 to 14.
const ZERO_BITS: u32 = SET_BITS;

/// Zero bits after the last link.
const LAST_ZERO_BITS: u32 = 2 * SET_BITS;

/// What the 52 bits of the last running hash above its zero bits must stay below: 2^52 over the 1.44
/// chains that a challenge would have on average without this (POS-15).
pub const LAST_LIMIT: u64 = 3_127_297_797_138_110;

/// Checks that the links are a chain that answers `challenge` from this plot.
pub(crate) fn check(
    params: &PlotParams,
    plot_id: &PlotId,
    hash: &PlotHash,
    challenge: &Challenge,
    links: &[u64; QUALITY_LINKS],
) -> Result<(), ProofError> {
    if !in_sets(params, challenge, links) {
        return Err(ProofError::Sets);
    }
    broken_link(plot_id, hash, challenge, links).map_or(Ok(()), |link| Err(ProofError::Chain { link }))
}

/// POS-12 and POS-13: the links lie in the four sets of the challenge in turn, from any of them on.
fn in_sets(params: &PlotParams, challenge: &Challenge, links: &[u64; QUALITY_LINKS]) -> bool {
    let k = u32::from(params.size.get());
    let set_of = |link: &u64| link.unbounded_shr(k.saturating_add(SET_BITS));
    let sets = challenge_sets(params, challenge);
    let Some(start) = sets.iter().position(|set| links.first().map(set_of) == Some(*set)) else {
        return false;
    };
    links.iter().zip(sets.iter().cycle().skip(start)).all(|(link, set)| set_of(link) == *set)
}

/// POS-12: the numbers of the sets that the challenge picks, the i-th of which is i modulo 4.
#[must_use]
pub fn challenge_sets(params: &PlotParams, challenge: &Challenge) -> [u64; SETS] {
    let set_number_bits = u32::from(params.size.get()).saturating_sub(SET_BITS);
    let digest = block_hash(params.group_id.as_bytes(), challenge.as_bytes());
    let mut sets = [0; SETS];
    for ((set, word), i) in sets.iter_mut().zip(digest.as_chunks().0).zip(0u64..) {
        *set = low_bits(u64::from(u32::from_le_bytes(*word)), set_number_bits) & !3 | i;
    }
    sets
}

/// POS-14: the first link at which the running hash does not pass the filter.
fn broken_link(
    plot_id: &PlotId,
    hash: &PlotHash,
    challenge: &Challenge,
    links: &[u64; QUALITY_LINKS],
) -> Option<usize> {
    let mut running = 0u64;
    links.iter().zip(round_keys(plot_id, challenge)).enumerate().find_map(|(position, (link, key))| {
        running = hash.one(u128::from(running ^ link ^ key), ROUND_PAIRS) as u64;
        (!passes_filter(position, running)).then_some(position)
    })
}

/// POS-15: what the running hash after link `position`, from 0 to 15, has to look like.
#[must_use]
#[inline]
pub fn passes_filter(position: usize, running: u64) -> bool {
    running & zero_bits(position) == 0
        && (position.saturating_add(1) < QUALITY_LINKS || running.unbounded_shr(LAST_ZERO_BITS) < LAST_LIMIT)
}

/// POS-15: the bits of the running hash after link `position`, from 0 to 15, that have to be zero.
#[must_use]
pub const fn zero_bits(position: usize) -> u64 {
    let bits = match position {
        0 => FIRST_ZERO_BITS,
        15 => LAST_ZERO_BITS,
        _ => ZERO_BITS,
    };
    low_bits(u64::MAX, bits)
}

/// POS-14: four keys from each of four digests, each digest made from the one before.
#[must_use]
pub fn round_keys(plot_id: &PlotId, challenge: &Challenge) -> [u64; QUALITY_LINKS] {
    let mut keys = [0; QUALITY_LINKS];
    let mut digest = challenge.get();
    for four in keys.as_chunks_mut::<4>().0 {
        digest = block_hash(plot_id.as_bytes(), &digest);
        four.iter_mut().zip(digest.as_chunks().0).for_each(|(key, bytes)| *key = u64::from_le_bytes(*bytes));
    }
    keys
}

/// BLAKE3 of both.
fn block_hash(id: &[u8; 32], data: &[u8; 32]) -> [u8; 32] {
    blake3::Hasher::new().update(id).update(data).finalize().into()
}
