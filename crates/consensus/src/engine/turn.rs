//! How far the tip moves in one turn. A long branch is entered, or left, in pieces, and whoever drives the engine does other
//! things in between. What is counted are blocks and bytes and not time, so that the same inputs give the same effects.

/// Work of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Blocks that are connected or disconnected at the most.
    pub blocks: usize,
    /// Once bodies of so many bytes are connected, the turn ends.
    pub bytes: usize,
}

/// What is left of a turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    pace: Option<Pace>,
    blocks: usize,
    bytes: usize,
    /// Whether the tip waits for the next turn on its way.
    pub is_over: bool,
}

impl Turn {
    pub fn set_pace(&mut self, pace: Option<Pace>) {
        self.pace = pace;
        self.begin();
    }

    /// The next turn begins.
    pub fn begin(&mut self) {
        let Pace { blocks, bytes } = self.pace.unwrap_or(Pace { blocks: usize::MAX, bytes: usize::MAX });
        (self.blocks, self.bytes, self.is_over) = (blocks, bytes, false);
    }

    /// Nothing is left of this turn.
    pub const fn end(&mut self) {
        self.blocks = 0;
    }

    /// Moves that there is room for.
    pub const fn room(&self) -> usize {
        if self.pace.is_none() {
            usize::MAX
        } else if self.bytes == 0 {
            0
        } else {
            self.blocks
        }
    }

    /// Counts a move, with the bytes of a body that is executed.
    pub const fn spend(&mut self, bytes: usize) {
        self.blocks = self.blocks.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
