//! What a plot is made of: size, strength, group and index.

use core::fmt;

use mass_primitives::{GroupId, PlotIndex};

/// Why numbers name no plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// k is odd or out of range.
    #[error("k must be an even number from 18 to 28, got {0}")]
    Size(u8),
    /// Strength is out of range.
    #[error("strength must be from 2 to 17, got {0}")]
    Strength(u8),
}

/// The size parameter k: a plot is made from `2^k` x-values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlotSize(u8);

impl PlotSize {
    /// The least k.
    pub const MIN: Self = Self(18);
    /// The greatest k.
    pub const MAX: Self = Self(28);

    /// Checks k.
    ///
    /// # Errors
    /// [`ParamsError::Size`] unless k is even and from 18 to 28.
    pub const fn new(k: u8) -> Result<Self, ParamsError> {
        if k.is_multiple_of(2) && k >= Self::MIN.0 && k <= Self::MAX.0 {
            Ok(Self(k))
        } else {
            Err(ParamsError::Size(k))
        }
    }

    /// The number k.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Bytes of a plot by which the lottery weighs it: `2^k * (2k + 3) / 16`, whatever the file takes.
    #[must_use]
    pub const fn nominal_bytes(self) -> u64 {
        1u64.unbounded_shl((self.0 as u32).saturating_sub(4))
            .saturating_mul((self.0 as u64).saturating_mul(2).saturating_add(3))
    }

    /// Bytes of an encoded proof: 128 x-values of k bits.
    #[must_use]
    pub const fn proof_bytes(self) -> usize {
        (self.0 as usize).saturating_mul(16)
    }
}

impl fmt::Display for PlotSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How much work a proof costs to make without the plot: match-key bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Strength(u8);

impl Strength {
    /// The least strength.
    pub const MIN: Self = Self(2);
    /// The greatest strength.
    pub const MAX: Self = Self(17);

    /// Checks a strength.
    ///
    /// # Errors
    /// [`ParamsError::Strength`] unless it is from 2 to 17.
    pub const fn new(strength: u8) -> Result<Self, ParamsError> {
        if strength >= Self::MIN.0 && strength <= Self::MAX.0 {
            Ok(Self(strength))
        } else {
            Err(ParamsError::Strength(strength))
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The meta group of the reference construction, of which MASS uses this one alone.
pub const META_GROUP: u8 = 0;

/// Everything that determines the content of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlotParams {
    /// Group that the plot belongs to.
    pub group_id: GroupId,
    /// Position in the group.
    pub index: PlotIndex,
    /// Size.
    pub size: PlotSize,
    /// Strength.
    pub strength: Strength,
}
