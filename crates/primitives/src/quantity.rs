//! Quantities as newtypes. A point on an axis and a distance along it are two types; all arithmetic
//! is checked, and a result that does not fit is `None`.

use core::fmt;

use ruint::aliases::U256;
use serde::{Deserialize, Serialize};

use crate::encoding::{Decode, DecodeError, Encode, Reader};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($int);

        impl $name {
            /// The least value.
            pub const ZERO: Self = Self(0);

            /// Wraps the number.
            #[must_use]
            pub const fn new(value: $int) -> Self {
                Self(value)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $int {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
                self.0.encode(out);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                <$int>::decode(reader).map(Self)
            }
        }
    };
}

macro_rules! point_and_distance {
    ($point:ident, $distance:ident) => {
        impl $point {
            /// The point `distance` later.
            #[must_use]
            pub fn checked_add(self, distance: $distance) -> Option<Self> {
                self.0.checked_add(distance.0).map(Self)
            }

            /// The point `distance` earlier.
            #[must_use]
            pub fn checked_sub(self, distance: $distance) -> Option<Self> {
                self.0.checked_sub(distance.0).map(Self)
            }

            /// The next point.
            #[must_use]
            pub fn next(self) -> Option<Self> {
                self.0.checked_add(1).map(Self)
            }

            /// How far this is behind `earlier`; `None` if it is before it.
            #[must_use]
            pub fn since(self, earlier: Self) -> Option<$distance> {
                self.0.checked_sub(earlier.0).map($distance)
            }
        }
    };
}

quantity!(
    /// Number of blocks between a block and the genesis block.
    Height, u32
);
quantity!(
    /// A number of blocks.
    HeightDelta, u32
);
quantity!(
    /// Number of slots since the genesis time of a chain.
    Slot, u64
);
quantity!(
    /// A number of slots.
    SlotDelta, u64
);
quantity!(
    /// Number of a round: the slots that share one challenge.
    Round, u64
);
quantity!(
    /// Number of a period: the heights that share one seed.
    Period, u32
);
quantity!(
    /// Position of a plot in its group.
    PlotIndex, u16
);
quantity!(
    /// Expected lottery weight that wins once per slot: mean netspace in bytes is
    /// `difficulty * slot / interval`.
    Difficulty, u128
);
quantity!(
    /// What one quality weighs in the lottery: nominal plot bytes times its filter.
    LotteryWeight, u128
);
quantity!(
    /// Sum of the difficulties of a chain.
    ChainWeight, u128
);
quantity!(
    /// A sum of money in maxwell; 10^7 maxwell are 1 MASS.
    Amount, u64
);

point_and_distance!(Height, HeightDelta);
point_and_distance!(Slot, SlotDelta);

impl Period {
    /// The next period.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl ChainWeight {
    /// The weight of a chain with one more block.
    #[must_use]
    pub fn checked_add(self, difficulty: Difficulty) -> Option<Self> {
        self.0.checked_add(difficulty.0).map(Self)
    }
}

impl Amount {
    /// Sum, if it fits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Difference, if it is not negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl Difficulty {
    /// `floor(2^256 / D)` as a 256-bit number, capped at `2^256 - 1`.
    #[must_use]
    pub fn target(self) -> U256 {
        let divisor = U256::from(self.0.max(1));
        let quotient = U256::MAX.checked_div(divisor).unwrap_or(U256::MAX);
        let remainder = U256::MAX.checked_rem(divisor).unwrap_or(U256::ZERO);
        // MAX is 2^256 - 1: the division is one short exactly where the divisor divides 2^256.
        if remainder.checked_add(U256::from(1)) == Some(divisor) {
            quotient.saturating_add(U256::from(1))
        } else {
            quotient
        }
    }
}
