//! From a quality chain to its proof: the x-values behind 16 links.
//!
//! A link gives the upper halves of the left x-values of its four pairs, 64 in all, so that
//! `64 * 2^(k / 2)` x-values may be left in a pair of table 1, and any of all `2^k` right of it.
//!
//! 1. [`targets`]: for each such left x, and each match key, the one info that its partner must have.
//! 2. [`pairs`]: all `2^k` x are hashed; those whose info nobody wants, nearly all, go at once. What is left makes
//!    pairs of table 1.
//! 3. [`links`]: pairs of pairs, and pairs of these, by the rules of tables 2 and 3.
//!
//! The second step is nearly all of the work. It takes memory for about `2^(k / 2 + 9)` numbers of eight bytes,
//! some 150 MB at k = 28, and needs no plot file.

mod links;
mod pairs;
mod targets;
mod workers;

use std::{num::NonZeroUsize, thread};

use mass_proof_of_space::{
    FragmentCipher, PROOF_X_VALUES, PlotParams, Proof, QUALITY_LINKS, QualityChain, plot_id,
};

use self::targets::Targets;
use crate::{aes::PlotHasher, error::PlotError, gate::Gate, rules::Rules};

/// Left x-values behind a link whose upper halves it gives.
const LEFTS_PER_LINK: usize = 4;
/// The same of all links.
const LEFTS: usize = LEFTS_PER_LINK * QUALITY_LINKS;

/// The means to solve with.
#[derive(Clone, Copy, Debug, Default)]
pub struct SolveOptions<'a> {
    /// Threads; all that the machine runs at once if there is no number.
    pub threads: Option<NonZeroUsize>,
    /// What pauses and cancels it, at once; without it, nothing does.
    pub gate: Option<&'a Gate>,
}

impl SolveOptions<'_> {
    fn threads(&self) -> usize {
        self.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }
}

/// Finds the proof behind a quality chain of the plot `params`.
///
/// # Errors
/// [`PlotError::Unsolvable`] if the plot has none, [`PlotError::Cancelled`].
pub fn solve(
    params: &PlotParams,
    chain: &QualityChain,
    options: &SolveOptions<'_>,
) -> Result<Proof, PlotError> {
    let plot_id = plot_id(&params.group_id, params.index);
    let rules = Rules::new(params).ok_or(PlotError::Unsolvable)?;
    let cipher = FragmentCipher::new(&plot_id, params.size);
    let mut halves = [0; LEFTS];
    for (four, link) in halves.as_chunks_mut::<LEFTS_PER_LINK>().0.iter_mut().zip(chain.links()) {
        *four = cipher.upper_halves(*link).ok_or(PlotError::Unsolvable)?;
    }
    let mut groups = halves.to_vec();
    groups.sort_unstable();
    groups.dedup();

    let hasher = PlotHasher::new(&plot_id);
    let targets = Targets::new(&rules, &hasher, &groups, options)?;
    let pairs = pairs::find(&rules, &hasher, &targets, &groups, options)?;
    drop(targets);
    let positions = halves.map(|half| groups.binary_search(&half).expect("groups has every half"));
    let links = links::find(&rules, &hasher, &pairs, &positions, options)?;

    let mut x_values = [0; PROOF_X_VALUES];
    for (to, from) in x_values.as_chunks_mut().0.iter_mut().zip(links) {
        *to = from.ok_or(PlotError::Unsolvable)?;
    }
    Proof::new(params.size, x_values).map_err(|_| PlotError::Unsolvable)
}
