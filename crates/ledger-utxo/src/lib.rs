//! Mass Net's ledger: Bitcoin-format transactions over pure key-value state.
