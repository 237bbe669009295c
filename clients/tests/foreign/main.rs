//! Wallets and Lightning nodes of other makers against real nodes of a dev chain.
//!
//! Slow, and run by `cargo xtask slow clients`.

mod bdk;
mod electrum_app;
mod esplora;
mod lightning;
mod signer;
