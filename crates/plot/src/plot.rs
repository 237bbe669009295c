//! An open plot: which challenges it answers, and the proofs behind its answers.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use chia_pos2::Prover;
use mass_primitives::{Challenge, PlotId, PlotIndex};
use mass_proof_of_space::{GroupIdentity, PlotParams, Proof, QualityChain, plot_id};

use crate::{
    error::PlotError,
    format::{self, Checked},
};

/// The one index that a plot of today has.
pub(crate) const PLOT_INDEX: PlotIndex = PlotIndex::ZERO;

/// A plot file that has been opened and checked.
pub struct Plot {
    path: PathBuf,
    checked: Checked,
    params: PlotParams,
    plot_id: PlotId,
    prover: Prover,
}

impl Plot {
    /// Opens a plot file, reading its head and its index, but no chunk.
    ///
    /// # Errors
    /// [`PlotError`] that says in what way the file is no plot of the identity it carries.
    pub fn open(path: &Path) -> Result<Self, PlotError> {
        if path.to_str().is_none() {
            return Err(PlotError::PathText(path.to_owned()));
        }
        let checked = format::check(path)?;
        let identity = checked.identity;
        let params = PlotParams {
            group_id: identity.group_id(),
            index: PLOT_INDEX,
            size: identity.size,
            strength: identity.strength,
        };
        let prover = Prover::new(path).map_err(PlotError::Lookup)?;
        let plot_id = plot_id(&params.group_id, PLOT_INDEX);
        Ok(Self { path: path.to_owned(), checked, params, plot_id, prover })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose plot it is, and of what size and strength.
    #[must_use]
    pub const fn identity(&self) -> &GroupIdentity {
        &self.checked.identity
    }

    /// Everything that determines the content of the plot.
    #[must_use]
    pub const fn params(&self) -> &PlotParams {
        &self.params
    }

    /// The identity of the plot itself.
    #[must_use]
    pub const fn plot_id(&self) -> &PlotId {
        &self.plot_id
    }

    /// Length of the file.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.checked.file_bytes
    }

    /// What the plot answers to a challenge: no chain, one or several, for four short reads.
    ///
    /// # Errors
    /// [`PlotError::Lookup`] if the file is gone or damaged.
    pub fn qualities(&self, challenge: &Challenge) -> Result<Vec<QualityChain>, PlotError> {
        let answers =
            self.prover.get_qualities_for_challenge(challenge.as_bytes()).map_err(PlotError::Lookup)?;
        Ok(answers.iter().map(|answer| QualityChain::new(answer.chain.chain_links)).collect())
    }

    /// Finds the proof behind a quality chain of this plot: seconds of work on all cores.
    ///
    /// # Errors
    /// [`PlotError::Unsolvable`] if there is none.
    pub fn solve(&self, chain: &QualityChain) -> Result<Proof, PlotError> {
        let (k, strength) = (self.params.size.get(), self.params.strength.get());
        let links = chia_pos2::QualityChain { chain_links: *chain.links() };
        let bytes = chia_pos2::solve_proof(&links, self.plot_id.as_bytes(), k, strength);
        let proof = Proof::read(self.params.size, &bytes).ok_or(PlotError::Unsolvable)?;
        chia_pos2::quality_string_from_proof(self.plot_id.as_bytes(), k, strength, &bytes)
            .filter(|found| found.chain_links == *chain.links())
            .map(|_| proof)
            .ok_or(PlotError::Unsolvable)
    }
}

impl fmt::Debug for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plot").field("path", &self.path).field("params", &self.params).finish_non_exhaustive()
    }
}
