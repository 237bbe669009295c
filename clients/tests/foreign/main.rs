//! Wallets and Lightning nodes of other makers against real nodes of a dev chain.
//!
//! Slow, and run by `cargo xtask slow clients`.

mod bdk;
mod esplora;
mod lightning;
