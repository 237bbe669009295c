//! Random moments and places from a seed that is printed, so that they come back; `MASS_SEED` sets it.

use std::{
    env,
    time::{SystemTime, UNIX_EPOCH},
};

/// A small generator.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Self {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed = env::var("MASS_SEED").map_or_else(|_| now(), |seed| seed.parse().unwrap());
        eprintln!("MASS_SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
