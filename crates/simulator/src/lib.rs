//! The attack laboratory: each experiment measures a figure and holds it against the one that a paper or a closed
//! form gives. Only when those agree do figures for our own rules count. Beside it whole networks of production nodes
//! under a virtual clock, and checks that look on.
//!
//! A run is a function of its seed. Floats are welcome: nothing here decides what a block is. Deliberately not here:
//! the terminal, which is the binary's.

pub mod attack;
mod chart;
mod document;
pub mod network;
mod random;
mod report;
mod statistics;

pub use document::{document, write_document};
pub use report::{Band, Chart, Measurement, Page, Report, SaveError, Series, Table};
