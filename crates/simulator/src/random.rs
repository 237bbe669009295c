//! Random streams: one for each experiment, case and run, all from the one seed of the user.
//!
//! ChaCha8 is a fixed algorithm, so a seed gives the same figures on each machine and in each version.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Bytes of an experiment's name that go into the key.
const NAME_BYTES_MAX: usize = 24;

/// The streams of one experiment.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    key: [u8; 32],
}

impl Streams {
    /// The streams of an experiment, whose name differs from that of any other in the first 24 bytes.
    pub fn new(seed: u64, experiment: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let name = experiment.as_bytes();
        let length = name.len().min(NAME_BYTES_MAX);
        key[8..8 + length].copy_from_slice(&name[..length]);
        Self { key }
    }

    /// The stream of one run of one case.
    pub fn stream(&self, case: u32, run: u32) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(u64::from(case) << 32 | u64::from(run));
        rng
    }
}

#[cfg(test)]
mod tests {
    use rand::RngCore as _;

    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, name, case, run| Streams::new(seed, name).stream(case, run).next_u64();
        assert_eq!(draw(1, "tree", 2, 3), draw(1, "tree", 2, 3));
        let others =
            [draw(2, "tree", 2, 3), draw(1, "race", 2, 3), draw(1, "tree", 3, 3), draw(1, "tree", 2, 4)];
        assert!(others.iter().all(|other| *other != draw(1, "tree", 2, 3)));
    }
}
