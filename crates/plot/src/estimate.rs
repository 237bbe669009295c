//! What plots will cost, without making them.

use mass_primitives::{GroupId, PlotIndex};
use mass_proof_of_space::{PlotParams, PlotSize, Strength};

use crate::{
    build::{BuildOptions, cost},
    format::{Layout, index},
    group::space_peak,
    space::space_needed,
};

/// Thousandths of a bit that a fragment takes in a file, beside its k bits: code, counts, checksums and index.
const FRAGMENT_MILLIBITS: u64 = 1570;

/// What a file of plots costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Work for each plot, as [`Progress`](crate::Progress) counts it; the time goes with it, about.
    pub work: u64,
    /// Bytes of memory that the plotter takes, given what it may.
    pub memory_bytes: u64,
    /// Bytes of memory with which the plotter can work, slower.
    pub memory_bytes_least: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of disk that making the file takes at the peak.
    pub space_peak_bytes: u64,
    /// Bytes of memory that the farmer takes for the file.
    pub index_bytes: u64,
}

impl Estimate {
    /// For a file of so many plots, made with these means.
    #[must_use]
    pub fn new(size: PlotSize, strength: Strength, plots: u16, options: &BuildOptions) -> Self {
        let params = PlotParams { group_id: GroupId::new([0; 32]), index: PlotIndex::ZERO, size, strength };
        let (work, memory_bytes) = cost(&params, options.threads, options.memory_bytes);
        let (_, memory_bytes_least) = cost(&params, options.threads, Some(0));
        let millibits = 1000 * u64::from(size.get()) + FRAGMENT_MILLIBITS;
        Self {
            work,
            memory_bytes,
            memory_bytes_least,
            file_bytes: u64::from(plots) * ((millibits << size.get()) / 8000),
            space_peak_bytes: if plots > 1 { space_peak(size, plots) } else { space_needed(size) },
            index_bytes: index::memory_bytes(&Layout::new(size, plots)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_what_plots_take() {
        let of = |k, plots| {
            let options = BuildOptions::default();
            Estimate::new(PlotSize::new(k).unwrap(), Strength::MIN, plots, &options)
        };
        // Measured.
        for (k, bytes) in [(22, 12_340_000), (24, 53_580_000), (28, 991_992_834u64)] {
            let estimate = of(k, 1);
            assert!(estimate.file_bytes.abs_diff(bytes) < bytes / 500, "{estimate:?}");
            assert!(
                estimate.space_peak_bytes > bytes && estimate.memory_bytes_least <= estimate.memory_bytes
            );
        }
        let (one, group) = (of(28, 1), of(28, 128));
        assert_eq!((group.file_bytes, group.work), (128 * one.file_bytes, one.work));
        assert!(one.index_bytes < 9_000 && group.index_bytes < 1_200_000, "{one:?} {group:?}");
        assert!(group.space_peak_bytes < 134 * one.file_bytes, "{group:?}");
    }
}
