//! Why a plot file cannot be made, opened or used.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use mass_primitives::{DecodeError, PlotIndex};

use crate::build::BuildError;

/// Why a plot file cannot be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// Too little space is left where the plot is to be.
    #[error("a plot needs {needed} bytes in {}, {free} are free", dir.display())]
    NoSpace {
        /// Directory of the plot.
        dir: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The plotter needs more memory than it may take.
    #[error("making the plot takes at least {needed} bytes of memory, {allowed} are allowed")]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// The plot is there already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// Somebody else is making this plot.
    #[error("{} is being written by somebody else", .0.display())]
    Busy(PathBuf),
    /// The name is a link to a file.
    #[error("{} is a link", .0.display())]
    Link(PathBuf),
    /// The file holds other plots than it did.
    #[error("{} holds other plots by now", .0.display())]
    Changed(PathBuf),
    /// The group was begun with another number of plots.
    #[error("the group was begun with {begun} plots, not {got}")]
    OtherGroupSize {
        /// Number it was begun with.
        begun: u16,
        /// Number asked for.
        got: u16,
    },
    /// A plot that waits for its file was damaged, again and again.
    #[error("{} was damaged when it was read again", .0.display())]
    Staged(PathBuf),
    /// The caller has cancelled the work.
    #[error("cancelled")]
    Cancelled,
    /// A plot of this strength cannot be made.
    #[error("strength {strength} is too much for k = {k}")]
    Hopeless {
        /// Size.
        k: u8,
        /// Strength.
        strength: u8,
    },
    /// The plotter cannot work here.
    #[error("the plotter failed: {0}")]
    Plotter(String),
    /// What the plotter delivers is no table of fragments.
    #[error("the plotter failed: {0}")]
    Table(&'static str),
    /// A fresh plot does not prove what it should.
    #[error("the new plot failed its check: {0}")]
    Unproven(&'static str),
    /// The file has no plot of this index.
    #[error("the file has {count} plots, and none of index {index}")]
    NoPlot {
        /// Index asked for.
        index: PlotIndex,
        /// Plots in the file.
        count: u16,
    },
    /// The file was deleted after it had been opened.
    #[error("{} has been deleted", .0.display())]
    Deleted(PathBuf),
    /// The file has another length than its header says.
    #[error("the file has {got} bytes, expected {expected}")]
    Length {
        /// Bytes of the file by its header, or of the two headers if it cannot hold these.
        expected: u64,
        /// Bytes of the file.
        got: u64,
    },
    /// The file is no plot file.
    #[error("no plot file: its {end} header starts with {got:02x?}")]
    Magic {
        /// Which header.
        end: FileEnd,
        /// What stands there.
        got: [u8; 8],
    },
    /// The file has a format of another version.
    #[error("plot file format {expected} expected, got {got}")]
    FormatVersion {
        /// Version that is understood.
        expected: u16,
        /// Version of the file.
        got: u16,
    },
    /// A header is damaged.
    #[error("the {0} header is damaged")]
    Header(FileEnd),
    /// The headers are of different files.
    #[error("the headers at front and back differ")]
    HeadersDiffer,
    /// The header names no group.
    #[error("the header names no group: {0}")]
    Identity(DecodeError),
    /// The file holds no plot, or more than a group may have.
    #[error("the file holds {got} plots, expected 1 to 128")]
    GroupSize {
        /// Number of plots in the file.
        got: u16,
    },
    /// No file is laid out like that.
    #[error("the file has blocks of 2^{sets_per_block_log2} sets")]
    Layout {
        /// Binary logarithm of the sets in a block.
        sets_per_block_log2: u8,
    },
    /// The index is damaged.
    #[error("the index of the file is damaged: {0}")]
    Index(&'static str),
    /// A block of fragments is damaged.
    #[error("block {number} is damaged: {bytes} bytes at {offset}")]
    Block {
        /// Its number.
        number: u64,
        /// Where it is in the file.
        offset: u64,
        /// Its length.
        bytes: u64,
    },
    /// The file holds another number of fragments than its header says.
    #[error("the file holds {got} fragments, expected {expected}")]
    Fragments {
        /// Number in the header.
        expected: u64,
        /// Number found.
        got: u64,
    },
    /// The plot has more to say than a plot can: it was made to keep its farmer busy.
    #[error("the plot answers with too many chains")]
    TooManyChains,
    /// No proof is behind the quality chain.
    #[error("the quality chain has no proof in this plot")]
    Unsolvable,
}

/// One of the two ends of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEnd {
    /// Where it starts.
    Front,
    /// Where it ends.
    Back,
}

impl fmt::Display for FileEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Front => "front",
            Self::Back => "back",
        })
    }
}

impl From<BuildError<Self>> for PlotError {
    fn from(error: BuildError<Self>) -> Self {
        match error {
            BuildError::Sink(error) => error,
            BuildError::Cancelled => Self::Cancelled,
            BuildError::MemoryTooSmall { needed, got } => Self::Memory { needed, allowed: got },
            BuildError::Hopeless { k, strength } => Self::Hopeless { k, strength },
            other => Self::Plotter(other.to_string()),
        }
    }
}

impl PlotError {
    /// An error of the file system at `path`, for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
