//! The words of the engine: quantities as newtypes, 32-byte hashes by name, tagged hashing and the
//! one bounded canonical encoding. Nothing here knows a rule of consensus.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

extern crate alloc;

pub mod bytes;
pub mod encoding;
pub mod quantity;
pub mod tag;

pub use bytes::{
    BlockId, BodyRoot, ChainId, Challenge, FarmerPublicKey, GroupId, GroupNonce, ParseBytesError, PlotId,
    Quality, SealCommitment, SealSignature, Seed, StateHash, Ticket, VrfOutput, VrfProof,
};
pub use encoding::{Decode, DecodeError, Encode, Reader};
pub use quantity::{
    Amount, ChainWeight, Difficulty, Height, HeightDelta, LotteryWeight, Period, PlotIndex, Round, Slot,
    SlotDelta,
};
pub use tag::{Tag, TaggedHasher};
