//! Why an entry is refused, for people and in the words of Bitcoin Core.

use mass_primitives::Amount;

use crate::entry::EntryId;

/// Why an entry was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// An entry with this id is here.
    #[error("already in the pool")]
    Duplicate,
    /// It spends or creates one coin twice, or would descend from itself.
    #[error("names a coin twice or descends from itself")]
    Malformed,
    /// It conflicts with what it descends from, so it cannot replace it.
    #[error("conflicts with its own ancestor {}", Hex(with))]
    Conflict {
        /// The ancestor.
        with: EntryId,
    },
    /// It came in a package whose fees it needs, and such a package replaces something only if it is one child with
    /// one parent and stands on nothing else that waits.
    #[error("conflicts with {}, and its package is more than one child with one parent", Hex(with))]
    PackageConflict {
        /// Who spends or creates the same coin.
        with: EntryId,
    },
    /// The transactions of a package are not one child behind its parents.
    #[error("a package is one child and before it its parents, {got} transactions, at most {max}")]
    PackageShape {
        /// Transactions found.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// The child of a package that would replace something does not pay more than its parent does alone.
    #[error("the package pays {got} maxwell, expected at least {expected} for a rate above its parent's")]
    PackageRateTooLow {
        /// What it pays.
        got: Amount,
        /// The least it has to pay.
        expected: Amount,
    },
    /// It would replace too many entries, descendants counted.
    #[error("replaces at least {got} entries, at most {max} are allowed")]
    TooManyReplaced {
        /// Entries counted before the count was given up.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// It pays less than is ever asked for its weight.
    #[error("fee {got} maxwell, expected at least {expected}")]
    BelowMinimum {
        /// What it pays.
        got: Amount,
        /// The least it has to pay.
        expected: Amount,
    },
    /// It pays less than the pool, which was full of late, asks for now.
    #[error("fee {got} maxwell, expected at least {expected} while the pool is full")]
    BelowRollingMinimum {
        /// What it pays.
        got: Amount,
        /// The least it has to pay.
        expected: Amount,
    },
    /// It conflicts with entries and does not pay enough to replace them.
    #[error("replacement fee {got} maxwell, expected at least {expected}")]
    ReplacementFeeTooLow {
        /// What it pays.
        got: Amount,
        /// The least it has to pay.
        expected: Amount,
    },
    /// It, or an entry that would descend from it, has too many unconfirmed ancestors.
    #[error("at least {got} unconfirmed ancestors with itself, at most {max} are allowed")]
    TooManyAncestors {
        /// Ancestors counted before the count was given up.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Those ancestors weigh too much.
    #[error("unconfirmed ancestors of weight {got} with itself, at most {max} is allowed")]
    AncestorsTooHeavy {
        /// Their weight.
        got: u128,
        /// The limit.
        max: u64,
    },
    /// It, or an ancestor, would have too many descendants.
    #[error("{got} descendants of one transaction with itself, at most {max} are allowed")]
    TooManyDescendants {
        /// Descendants.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Those descendants weigh too much.
    #[error("descendants of weight {got} of one transaction with itself, at most {max} is allowed")]
    DescendantsTooHeavy {
        /// Their weight.
        got: u128,
        /// The limit.
        max: u64,
    },
    /// Fees of too many transactions were changed that are not here.
    #[error("fees of {max} transactions that are not here were changed, which is the most")]
    TooManyDeltas {
        /// The limit.
        max: usize,
    },
    /// The pool is full and nothing in it pays a lower rate.
    #[error("the pool is full of entries that pay no less")]
    Full,
}

impl AdmitError {
    /// What Bitcoin Core calls it.
    #[must_use]
    pub const fn reject_reason(&self) -> &'static str {
        match self {
            Self::Duplicate => "txn-already-in-mempool",
            Self::Malformed => "bad-txns-inputs-duplicate",
            Self::Conflict { .. } => "bad-txns-spends-conflicting-tx",
            Self::PackageConflict { .. } => "txn-mempool-conflict",
            Self::PackageRateTooLow { .. } => {
                "package RBF failed: package feerate is less than or equal to parent feerate"
            }
            Self::PackageShape { .. } => "package-not-child-with-parents",
            Self::TooManyReplaced { .. } => "too many potential replacements",
            Self::BelowMinimum { .. } => "min relay fee not met",
            Self::BelowRollingMinimum { .. } => "mempool min fee not met",
            Self::ReplacementFeeTooLow { .. } => "insufficient fee",
            Self::TooManyAncestors { .. }
            | Self::AncestorsTooHeavy { .. }
            | Self::TooManyDescendants { .. }
            | Self::DescendantsTooHeavy { .. } => "too-long-mempool-chain",
            Self::Full => "mempool full",
            Self::TooManyDeltas { .. } => "too many prioritised transactions",
        }
    }

    /// Whether more fees, which a child may bring, would mend it.
    #[must_use]
    pub const fn is_for_fees(&self) -> bool {
        matches!(
            self,
            Self::BelowMinimum { .. }
                | Self::BelowRollingMinimum { .. }
                | Self::ReplacementFeeTooLow { .. }
                | Self::Full
        )
    }
}

struct Hex<'a>(&'a EntryId);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
