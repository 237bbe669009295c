//! One number for the whole state of a chain, kept up to date by what each block changes (STA-1 to STA-3).
//!
//! The sum is the multiset hash LtHash-16 (Bellare and Micciancio 1997; Lewi, Kim, Maykov and Weis 2019): each entry is
//! expanded to 1,024 numbers of 16 bits by BLAKE3, and the sum of all entries is taken number by number, modulo 2^16. The
//! order of entries does not matter, an entry is taken out by subtraction, and the sum over parts is the sum of the
//! parts' sums: a block costs what it changes, and a state that comes in parts is checked part by part.
//!
//! Not here: who keeps the sum (storage, in the commit of each block), and where a chain commits to it (BLK-7).

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use mass_primitives::{
    BlockId, Decode, DecodeError, Encode, FarmerPublicKey, Reader, StateHash, Tag, TaggedHasher,
};

/// Numbers of a sum.
const LANES: usize = 1_024;

/// Bytes of a sum.
pub const STATE_SUM_BYTES: usize = 2 * LANES;

/// Context of BLAKE3's key derivation.
const CONTEXT: &str = "MASS/state-entry/v1";

/// An entry of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateEntry<'a> {
    /// A key of the ledger and its value.
    Ledger {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// A farmer who may not farm any more, and the block with the evidence.
    Ban {
        /// Who.
        farmer: &'a FarmerPublicKey,
        /// Since which block.
        block: &'a BlockId,
    },
}

impl StateEntry<'_> {
    /// STA-1: `kind 1 | length of the key 4 | key | value`, expanded.
    fn expand(&self) -> [u8; STATE_SUM_BYTES] {
        let (kind, key, value): (u8, &[u8], &[u8]) = match self {
            Self::Ledger { key, value } => (0, key, value),
            Self::Ban { farmer, block } => (1, farmer.as_bytes(), block.as_bytes()),
        };
        // No medium has a key of 4 GiB.
        let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&[kind]).update(&length.to_le_bytes()).update(key).update(value);
        let mut expanded = [0; STATE_SUM_BYTES];
        hasher.finalize_xof().fill(&mut expanded);
        expanded
    }
}

/// The sum over a set of entries.
#[derive(Clone, PartialEq, Eq)]
pub struct StateSum(Box<[u16; LANES]>);

impl StateSum {
    /// The sum over no entry.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::new([0; LANES]))
    }

    /// Takes an entry in.
    pub fn add(&mut self, entry: &StateEntry<'_>) {
        self.combine(&entry.expand(), u16::wrapping_add);
    }

    /// Takes an entry out, which must have been taken in.
    pub fn remove(&mut self, entry: &StateEntry<'_>) {
        self.combine(&entry.expand(), u16::wrapping_sub);
    }

    /// Takes in all entries of another set.
    pub fn merge(&mut self, other: &Self) {
        for (lane, more) in self.0.iter_mut().zip(other.0.iter()) {
            *lane = lane.wrapping_add(*more);
        }
    }

    /// STA-3: the hash of a state whose entries have this sum.
    #[must_use]
    pub fn hash(&self) -> StateHash {
        StateHash::new(TaggedHasher::new(Tag::State).chain(self.to_bytes()).finish())
    }

    /// STA-2: number by number, little-endian.
    fn combine(&mut self, expanded: &[u8; STATE_SUM_BYTES], with: impl Fn(u16, u16) -> u16) {
        let (numbers, _) = expanded.as_chunks::<2>();
        for (lane, number) in self.0.iter_mut().zip(numbers) {
            *lane = with(*lane, u16::from_le_bytes(*number));
        }
    }
}

impl Default for StateSum {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StateSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateSum({})", self.hash())
    }
}

impl Encode for StateSum {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|lane| lane.to_le_bytes()));
    }
}

impl Decode for StateSum {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes: [u8; STATE_SUM_BYTES] = reader.array()?;
        let mut sum = Self::new();
        sum.combine(&bytes, |_, number| number);
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    use super::*;

    fn sum(entries: &[(Vec<u8>, Vec<u8>)]) -> StateSum {
        let mut sum = StateSum::new();
        entries.iter().for_each(|(key, value)| sum.add(&StateEntry::Ledger { key, value }));
        sum
    }

    proptest! {
        #[test]
        fn order_and_parts_do_not_matter_and_what_goes_leaves_no_trace(
            entries: Vec<(Vec<u8>, Vec<u8>)>, cut: prop::sample::Index, gone in ".{0,9}",
        ) {
            let whole = sum(&entries);
            let (one, other) = entries.split_at(cut.index(entries.len() + 1));
            let mut parts = sum(other);
            parts.merge(&sum(one));
            prop_assert_eq!(&parts, &whole);
            let entry = StateEntry::Ledger { key: gone.as_bytes(), value: b"" };
            parts.add(&entry);
            prop_assert_ne!(parts.hash(), whole.hash());
            parts.remove(&entry);
            prop_assert_eq!(parts.hash(), whole.hash());
            prop_assert_eq!(StateSum::from_bytes(&whole.to_bytes()).unwrap(), whole);
        }
    }

    #[test]
    fn the_sum_over_two_entries_and_a_ban_is_as_written_down() {
        let (farmer, block) = (FarmerPublicKey::new([1; 32]), BlockId::new([2; 32]));
        let mut sum = StateSum::new();
        assert_eq!(sum.to_bytes(), [0; STATE_SUM_BYTES]);
        sum.add(&StateEntry::Ledger { key: b"key", value: b"value" });
        sum.add(&StateEntry::Ledger { key: b"", value: b"" });
        sum.add(&StateEntry::Ban { farmer: &farmer, block: &block });
        let expected = "a2e373d35264ce8b982bc930a0d88133b14e30c2900b6302b7f990d49bf468cd";
        assert_eq!(alloc::format!("{}", sum.hash()), expected);
    }

    #[test]
    fn where_a_key_ends_and_what_an_entry_is_matters() {
        let of = |entry: StateEntry<'_>| {
            let mut sum = StateSum::new();
            sum.add(&entry);
            sum.hash()
        };
        let one = of(StateEntry::Ledger { key: b"ab", value: b"c" });
        assert_ne!(one, of(StateEntry::Ledger { key: b"a", value: b"bc" }));
        let (farmer, block) = (FarmerPublicKey::new([1; 32]), BlockId::new([2; 32]));
        let ban = of(StateEntry::Ban { farmer: &farmer, block: &block });
        assert_ne!(ban, of(StateEntry::Ledger { key: farmer.as_bytes(), value: block.as_bytes() }));
    }
}
