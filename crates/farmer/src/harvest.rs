//! Plots on other machines: what a farmer and its harvesters say to each other, and how.
//!
//! A harvester reads disks and answers challenges; it knows no chain and holds no farmer key. The farmer keeps the
//! books, says which groups to ask, solves and signs. So a harvester needs no upgrade when a chain's rules change,
//! and what is stolen with it is its disks.
//!
//! The two meet over TCP, through Noise (revision 34) of the crate `snow`. Once, to be paired, by `XXpsk0` with a
//! one-time code as the pre-shared key, by which each learns the other's static key; from then on by `IK`.
//! Or all meet at a cluster's message bus. Either way they exchange [`message`]s in JSON, from versions that both know.

pub(crate) mod harbour;
pub(crate) mod harvester;
pub(crate) mod link;
pub(crate) mod message;
pub(crate) mod secure;
pub(crate) mod session;
pub(crate) mod store;

#[cfg(test)]
mod tests;

pub use harbour::HarbourConfig;
pub(crate) use harbour::{Harbour, listen};
pub use harvester::{HarvesterConfig, HarvesterEvent, WayToFarmer, pair, run};
pub(crate) use link::Landed;
pub use secure::SecureError;
pub(crate) use session::gather;
pub use store::StoreError;

/// Why harvesters cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HarvestError {
    /// The file of keys cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be listened at.
    #[error("harvesters cannot be listened for at {addr}: {error}")]
    Listen {
        /// The address.
        addr: std::net::SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The farmer cannot be reached.
    #[error("the farmer at {addr} cannot be reached: {error}")]
    Reach {
        /// Its address.
        addr: String,
        /// Why.
        error: std::io::Error,
    },
    /// No secure channel came about.
    #[error(transparent)]
    Secure(#[from] SecureError),
    /// The cluster's bus fails.
    #[error(transparent)]
    Bus(#[from] crate::bus::BusError),
    /// The other side does not want to.
    #[error("the farmer refuses: {0}")]
    Refused(String),
    /// The other side talks nonsense.
    #[error("the other side said something unexpected: {0}")]
    Unexpected(String),
}
