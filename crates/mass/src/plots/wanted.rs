//! Which plots to make, as the command line says it.

use std::path::PathBuf;

use clap::Args;
use mass_primitives::FarmerPublicKey;
use mass_proof_of_space::{PlotSize, Strength};

use super::create::size_and_strength;
use crate::{chain, keys, output::note};

/// Plots of one kind for one farmer.
#[derive(Args)]
pub struct Wanted {
    /// The chain to farm: dev, testnet, massnet or a spec file. It gives k and the strength.
    #[arg(long, value_name = "CHAIN", default_value = "dev")]
    chain: String,
    /// The size of a plot, an even number from 18 to 28 [default: the chain's, which takes no other].
    #[arg(short, value_name = "K")]
    k: Option<u8>,
    /// Plots that share a file, up to 128: a challenge costs as few reads for all of them as for one. The last file
    /// gets what is left.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=128))]
    pub group: u16,
    /// The work behind each proof, from 2 to 17 [default: the least that the chain takes].
    #[arg(long, value_name = "S")]
    strength: Option<u8>,
    /// The public key that alone can farm the plots, 64 hex digits, for plotting without the secret.
    #[arg(long, value_name = "HEX", conflicts_with = "key_file")]
    farmer_key: Option<FarmerPublicKey>,
    /// The key file of the farmer [default: that of `mass keys create`].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Wanted {
    /// Size, strength and farmer; warns of what the chain does not take.
    pub fn kind(&self) -> anyhow::Result<(PlotSize, Strength, FarmerPublicKey)> {
        let spec = chain::load(&self.chain)?;
        let (size, strength) = size_and_strength(self.k, self.strength, &spec)?;
        let farmer = match self.farmer_key {
            Some(key) => key,
            None => keys::read_public(&keys::file_or_default(self.key_file.as_deref())?)?,
        };
        if self.group > spec.rules().group_plots_max {
            let name = &spec.rules().name;
            note(&format!(
                "warning: chain {name} takes groups of {} plots only",
                spec.rules().group_plots_max
            ));
        }
        Ok((size, strength, farmer))
    }
}
