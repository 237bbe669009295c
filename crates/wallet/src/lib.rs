//! The wallet: keys, coins, payments.
