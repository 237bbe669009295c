//! What a group of plots is bound to: its size, its strength and the farmer key that alone can farm it.
//!
//! A group id is `H("group", version u8, k u8, strength u8, farmer public key, nonce)`, that is, the tagged
//! hash of the canonical encoding of the [`GroupIdentity`]. No plot of a group can be claimed by another key,
//! nor under another size or strength.

use alloc::vec::Vec;

use mass_primitives::{
    Decode, DecodeError, Encode, FarmerPublicKey, GroupId, GroupNonce, Reader, Tag, TaggedHasher,
};

use crate::params::{PlotSize, Strength};

/// Version of the group identity, its first byte.
pub const GROUP_VERSION: u8 = 1;

/// Everything that a group id commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupIdentity {
    /// Size of each plot of the group.
    pub size: PlotSize,
    /// Strength of each plot of the group.
    pub strength: Strength,
    /// The farmer that the group belongs to.
    pub farmer: FarmerPublicKey,
    /// The farmer's free choice.
    pub nonce: GroupNonce,
}

impl GroupIdentity {
    /// Bytes of the canonical encoding.
    pub const LEN: usize = 3 + FarmerPublicKey::LEN + GroupNonce::LEN;

    /// The id of the group.
    #[must_use]
    pub fn group_id(&self) -> GroupId {
        let hasher = TaggedHasher::new(Tag::Group)
            .chain([GROUP_VERSION, self.size.get(), self.strength.get()])
            .chain(self.farmer.as_bytes())
            .chain(self.nonce.as_bytes());
        GroupId::new(hasher.finish())
    }
}

impl Encode for GroupIdentity {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[GROUP_VERSION, self.size.get(), self.strength.get()]);
        self.farmer.encode(out);
        self.nonce.encode(out);
    }
}

impl Decode for GroupIdentity {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let [version, k, strength] = reader.array()?;
        if version != GROUP_VERSION {
            return Err(DecodeError::Invalid("unknown version of a group identity"));
        }
        Ok(Self {
            size: PlotSize::new(k).map_err(|_| DecodeError::Invalid("k of a group identity out of range"))?,
            strength: Strength::new(strength)
                .map_err(|_| DecodeError::Invalid("strength of a group identity out of range"))?,
            farmer: FarmerPublicKey::decode(reader)?,
            nonce: GroupNonce::decode(reader)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> GroupIdentity {
        GroupIdentity {
            size: PlotSize::MIN,
            strength: Strength::MIN,
            farmer: FarmerPublicKey::new([3; 32]),
            nonce: GroupNonce::new([4; 32]),
        }
    }

    #[test]
    fn the_encoding_round_trips_and_is_what_the_id_hashes() {
        let bytes = identity().to_bytes();
        assert_eq!(bytes.len(), GroupIdentity::LEN);
        assert_eq!(GroupIdentity::from_bytes(&bytes), Ok(identity()));
        assert_eq!(identity().group_id(), GroupId::new(TaggedHasher::new(Tag::Group).chain(&bytes).finish()));
    }

    #[test]
    fn every_part_changes_the_id() {
        let id = identity().group_id();
        let others = [
            GroupIdentity { size: PlotSize::MAX, ..identity() },
            GroupIdentity { strength: Strength::MAX, ..identity() },
            GroupIdentity { farmer: FarmerPublicKey::ZERO, ..identity() },
            GroupIdentity { nonce: GroupNonce::ZERO, ..identity() },
        ];
        assert!(others.iter().all(|other| other.group_id() != id));
    }

    #[test]
    fn other_versions_and_numbers_out_of_range_are_refused() {
        for (position, byte) in [(0, 0), (0, 2), (1, 19), (1, 30), (2, 1), (2, 18)] {
            let mut bytes = identity().to_bytes();
            bytes[position] = byte;
            assert!(matches!(GroupIdentity::from_bytes(&bytes), Err(DecodeError::Invalid(_))));
        }
    }
}
