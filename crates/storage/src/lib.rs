//! Headers, blocks, state and undo in one crash-safe commit per block.
