//! Keys, addresses, coins and history of one wallet on one chain.
