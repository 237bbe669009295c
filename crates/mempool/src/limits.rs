//! What a pool holds and what it asks for. The numbers are Bitcoin Core's, in one place; a ledger names those that
//! it wants otherwise.

use crate::entry::FeeRate;

/// Half-life of the rolling minimum in a full pool, in seconds.
pub const HALF_LIFE_SECONDS: u64 = 12 * 3600;

/// What the pool may hold and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes, as [`Entry::memory_bytes`](crate::Entry::memory_bytes) counts it.
    pub memory_bytes_max: usize,
    /// Least fee rate admitted.
    pub min_fee_rate: FeeRate,
    /// What a replacement pays for its own relay, on top; also the step by which a full pool raises its minimum.
    pub incremental_fee_rate: FeeRate,
    /// Age in seconds at which an entry expires.
    pub expiry_seconds: u64,
    /// Greatest number of unconfirmed ancestors, the entry itself counted.
    pub ancestors_max: usize,
    /// Greatest weight of those.
    pub ancestors_weight_max: u64,
    /// Greatest number of descendants, the entry itself counted.
    pub descendants_max: usize,
    /// Greatest weight of those.
    pub descendants_weight_max: u64,
    /// Most entries that one replacement may push out, descendants counted (BIP-125 rule 5).
    pub replaced_max: usize,
}

impl Limits {
    /// Bitcoin Core's numbers, without a fee, which depends on what a coin is worth.
    pub const FREE: Self = Self {
        memory_bytes_max: 300_000_000,
        min_fee_rate: FeeRate::ZERO,
        incremental_fee_rate: FeeRate::ZERO,
        expiry_seconds: 14 * 24 * 3600,
        ancestors_max: 25,
        ancestors_weight_max: 404_000,
        descendants_max: 25,
        descendants_weight_max: 404_000,
        replaced_max: 100,
    };
}
