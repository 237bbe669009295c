//! Numbers that follow from a seed, and faults of bytes.

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed);
        dice.0 = dice.next() ^ number.wrapping_mul(0xd134_2543_de82_ef95);
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// One to three faults in bytes; `other` is of the same kind, for parts to come from.
    pub fn spoil(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(3) {
            self.spoil_once(bytes, other);
        }
    }

    fn spoil_once(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        let rest = bytes.len() - at;
        let length = (1 + self.below(32)).min(rest);
        match self.below(10) {
            0..3 => bytes[at] ^= 1 << self.below(8),
            3 => bytes[at] = self.next() as u8,
            4 => bytes[at] = bytes[at].wrapping_add(1),
            5 => bytes[at..at + length].fill(if self.below(2) == 0 { 0 } else { 0xff }),
            6 => {
                if let Some(part) = other.get(at..at + length) {
                    bytes[at..at + length].copy_from_slice(part);
                }
            }
            7 => {
                let from = self.below(bytes.len() - length + 1);
                bytes.copy_within(from..from + length, at);
            }
            8 if self.below(8) == 0 => bytes.truncate(at.max(1)),
            9 if self.below(8) == 0 => bytes.extend((0..length).map(|_| self.next() as u8)),
            _ => bytes[at] = bytes[at].wrapping_sub(1),
        }
    }
}
