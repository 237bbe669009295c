//! Tagged hashing as in BIP-340: `H(tag, ..) = SHA256(SHA256(tag) || SHA256(tag) || ..)` with tags
//! `MASS/<thing>/v1`. Every tag of the engine stands in this one list.
//!
//! Parts are concatenated without lengths, so each use hashes fixed-width parts, or one part of free
//! length at the end.

use sha2::{Digest, Sha256};

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What a hash is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Tag { $($(#[$doc])* $name),+ }

        impl Tag {
            /// Every tag there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The text that is hashed.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => concat!("MASS/", $text, "/v1")),+ }
            }
        }
    };
}

tags! {
    /// Chain id from the canonical chain spec.
    Chain = "chain",
    /// Group id.
    Group = "group",
    /// Quality from a quality chain.
    Quality = "quality",
    /// Seed of the next period.
    Seed = "seed",
    /// Challenge of a round.
    Challenge = "challenge",
    /// Group filter.
    Filter = "filter",
    /// Input of the verifiable random function.
    Vrf = "vrf",
    /// Lottery ticket of a slot.
    Ticket = "ticket",
    /// Commitment of a header to its seal.
    Seal = "seal",
    /// Message that the farmer signs.
    SealSignature = "seal-signature",
    /// Factors of a batch of VRF proofs and seal signatures; nothing that is stored or sent depends on it.
    SealBatch = "seal-batch",
    /// Commitment of a body to the evidence in its block.
    Evidence = "evidence",
    /// Hash of the sum over the entries of a state.
    State = "state",
    /// Outpoint from which the coins of a genesis block come.
    Faucet = "faucet",
}

/// Accumulates the parts of one tagged hash.
#[derive(Clone)]
pub struct TaggedHasher(Sha256);

impl TaggedHasher {
    /// Starts a hash under `tag`.
    #[must_use]
    pub fn new(tag: Tag) -> Self {
        let tag_hash = Sha256::digest(tag.text().as_bytes());
        Self(Sha256::new().chain_update(tag_hash).chain_update(tag_hash))
    }

    /// Adds one part.
    #[must_use]
    pub fn chain(self, part: impl AsRef<[u8]>) -> Self {
        Self(self.0.chain_update(part))
    }

    /// The 32-byte hash.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// SHA256(SHA256(bytes)): Bitcoin's hash, used for block ids alone.
#[must_use]
pub fn double_sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_prefixes_its_hash_twice() {
        let tag_hash = Sha256::digest(b"MASS/seed/v1");
        let expected: [u8; 32] =
            Sha256::new().chain_update(tag_hash).chain_update(tag_hash).chain_update(b"ab").finalize().into();
        assert_eq!(TaggedHasher::new(Tag::Seed).chain(b"a").chain(b"b").finish(), expected);
    }

    #[test]
    fn tags_differ() {
        for (position, tag) in Tag::ALL.iter().enumerate() {
            assert!(Tag::ALL[..position].iter().all(|other| other.text() != tag.text()));
        }
    }
}
