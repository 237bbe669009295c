//! A full node: clock, wiring and the loop that performs the engine's effects.
