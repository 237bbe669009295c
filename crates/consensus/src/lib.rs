//! The rules of the engine and the engine itself: a pure state machine.
