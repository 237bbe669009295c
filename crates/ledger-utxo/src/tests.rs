//! Real chains of blocks with real keys, over a state in memory.

mod bodies;
mod chain;
mod locks;
mod payments;
mod random;
mod rejects;
mod rewards;
mod scripts;
