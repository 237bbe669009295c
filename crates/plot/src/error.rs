//! Why a plot file cannot be made, opened or used.

use std::{
    io,
    path::{Path, PathBuf},
};

use mass_primitives::{DecodeError, GroupId};
use mass_proof_of_space::ParamsError;

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
    /// The path is no UTF-8, which the plotter needs.
    #[error("the path {} is no UTF-8", .0.display())]
    PathText(PathBuf),
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
    /// The plot is there already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// Somebody else is making this plot.
    #[error("{} is being written by somebody else", .0.display())]
    Busy(PathBuf),
    /// The plotter gave up.
    #[error("the plotter failed: {0}")]
    Plotter(io::Error),
    /// A fresh plot does not prove what it should.
    #[error("the new plot failed its check: {0}")]
    Unproven(&'static str),
    /// The file ends too early.
    #[error("the file is cut short: {needed} bytes needed, got {got}")]
    Short {
        /// Bytes needed at least.
        needed: u64,
        /// Bytes of the file.
        got: u64,
    },
    /// The file is no plot file.
    #[error("not a plot file: it starts with {got:02x?}")]
    Magic {
        /// First bytes of the file.
        got: [u8; 4],
    },
    /// The file has a format of another version.
    #[error("plot file format {expected} expected, got {got}")]
    FormatVersion {
        /// Version that is understood.
        expected: u8,
        /// Version of the file.
        got: u8,
    },
    /// The size or strength names no plot.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The file holds another number of plots than one.
    #[error("the file holds {got} plots, expected 1")]
    GroupSize {
        /// Number of plots in the file.
        got: u16,
    },
    /// The file belongs to another meta group.
    #[error("meta group {expected} expected, got {got}")]
    MetaGroup {
        /// The meta group that is used.
        expected: u8,
        /// Meta group of the file.
        got: u8,
    },
    /// The memo is no group identity.
    #[error("the memo is no group identity: {0}")]
    Memo(DecodeError),
    /// The group id, size or strength of the file is not that of the identity in its memo.
    #[error("the file is of group {header}, its memo of group {memo}")]
    Identity {
        /// Group id in the header.
        header: GroupId,
        /// Group id of the identity in the memo.
        memo: GroupId,
    },
    /// The index of the file does not fit the file.
    #[error("the index of the file is damaged: {0}")]
    Index(&'static str),
    /// The file has been opened, but cannot be read.
    #[error("the plot cannot be read: {0}")]
    Lookup(io::Error),
    /// No proof is behind the quality chain.
    #[error("the quality chain has no proof in this plot")]
    Unsolvable,
}

impl PlotError {
    /// An error of the file system at `path`, for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
