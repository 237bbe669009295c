//! Fixed-width byte strings by name: hashes, keys, signatures. Two kinds never mix by accident.
//!
//! All print and parse as hex in memory order, except [`BlockId`], which follows Bitcoin's habit of
//! printing double-SHA-256 ids reversed.

use alloc::string::String;
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::encoding::{Decode, DecodeError, Encode, Reader};

/// Why a text is not the hex of a byte string of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseBytesError {
    /// The text has the wrong length.
    #[error("expected {expected} hex digits, got {got}")]
    Length {
        /// Hex digits expected.
        expected: usize,
        /// Characters found.
        got: usize,
    },
    /// The text has a character that is no hex digit.
    #[error("not a hexadecimal text")]
    Digit,
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseBytesError> {
    let mut bytes = [0u8; N];
    let expected = N.saturating_mul(2);
    if text.len() != expected {
        return Err(ParseBytesError::Length { expected, got: text.len() });
    }
    hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseBytesError::Digit)?;
    Ok(bytes)
}

const fn in_memory_order<const N: usize>(bytes: [u8; N]) -> [u8; N] {
    bytes
}

fn reversed<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    bytes.reverse();
    bytes
}

macro_rules! byte_string {
    ($(#[$doc:meta])* $name:ident, $len:literal, $order:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// All bytes zero.
            pub const ZERO: Self = Self([0; $len]);

            /// Wraps the bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes by value.
            #[must_use]
            pub const fn get(self) -> [u8; $len] {
                self.0
            }

            /// The bytes by reference.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $order(self.0).iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseBytesError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex(text).map(|bytes| Self($order(bytes)))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array().map(Self)
            }
        }
    };
}

byte_string!(
    /// Hash of a canonical chain spec: the identity of a chain.
    ChainId, 32, in_memory_order
);
byte_string!(
    /// Double SHA-256 of the 80-byte header.
    BlockId, 32, reversed
);
byte_string!(
    /// The ledger's commitment to a block body (for Mass Net the merkle root of the transactions).
    BodyRoot, 32, reversed
);
byte_string!(
    /// Hash of the whole state of a chain after a block.
    StateHash, 32, in_memory_order
);
byte_string!(
    /// Entropy of a period (`eta`).
    Seed, 32, in_memory_order
);
byte_string!(
    /// What every plot asked in a round has to answer.
    Challenge, 32, in_memory_order
);
byte_string!(
    /// Identity of a plot group, which binds it to a farmer key.
    GroupId, 32, in_memory_order
);
byte_string!(
    /// The farmer's free choice that makes two groups of one key differ.
    GroupNonce, 32, in_memory_order
);
byte_string!(
    /// Identity of one plot of a group.
    PlotId, 32, in_memory_order
);
byte_string!(
    /// Hash of a quality chain: one draw in the lottery.
    Quality, 32, in_memory_order
);
byte_string!(
    /// The outcome of one draw in one slot, read as a big-endian 256-bit number. Low wins.
    Ticket, 32, in_memory_order
);
byte_string!(
    /// Hash of the committed part of a seal.
    SealCommitment, 32, in_memory_order
);
byte_string!(
    /// sr25519 public key of a farmer.
    FarmerPublicKey, 32, in_memory_order
);
byte_string!(
    /// sr25519 VRF pre-output: unique per key and input.
    VrfOutput, 32, in_memory_order
);
byte_string!(
    /// sr25519 VRF proof, in the form that can be checked in batches: not unique, never hashed into anything.
    VrfProof, 96, in_memory_order
);
byte_string!(
    /// sr25519 signature of a farmer over a block id.
    SealSignature, 64, in_memory_order
);
