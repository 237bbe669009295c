//! Transactions that wait for a block: admission, conflicts, order, eviction.
