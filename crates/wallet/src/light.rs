//! A wallet that trusts no node.
/// A lie.
#[derive(Debug, thiserror::Error)]
pub enum LightError {}
