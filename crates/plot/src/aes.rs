//! The plot hash `A(n, v)` of rule POS-4 on many inputs at once.
//!
//! An input is 128 bits, given as a low and a high word of 64; so is a result. Inputs come as slices of words,
//! because all who hash much have their words in order: x-values, metas, running hashes. The instructions that
//! the processor has are found when a [`PlotHasher`] is made; each [`Backend`] computes the same.
//!
//! Deliberately not here: what goes into a hash and what is read from it, which are the rules of the tables.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod lanes;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

use mass_primitives::PlotId;

/// The instructions that make AES rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Tables in memory; runs anywhere.
    Portable,
    /// AES-NI: one block in an instruction.
    #[cfg(target_arch = "x86_64")]
    AesNi,
    /// VAES on 256 bits: two blocks.
    #[cfg(target_arch = "x86_64")]
    Vaes256,
    /// VAES on 512 bits: four blocks.
    #[cfg(target_arch = "x86_64")]
    Vaes512,
    /// The cryptography extension of ARMv8.
    #[cfg(target_arch = "aarch64")]
    Armv8,
}

impl Backend {
    /// What runs on this machine, the slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let accelerated = [
            (Self::AesNi, std::is_x86_feature_detected!("aes")),
            (Self::Vaes256, std::is_x86_feature_detected!("vaes") && std::is_x86_feature_detected!("avx2")),
            (
                Self::Vaes512,
                std::is_x86_feature_detected!("vaes") && std::is_x86_feature_detected!("avx512f"),
            ),
        ];
        #[cfg(target_arch = "aarch64")]
        let accelerated = [(Self::Armv8, std::arch::is_aarch64_feature_detected!("aes"))];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let accelerated: [(Self, bool); 0] = [];
        let found = accelerated.into_iter().filter_map(|(backend, found)| found.then_some(backend));
        std::iter::once(Self::Portable).chain(found).collect()
    }

    /// The fastest that runs on this machine.
    #[must_use]
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::Portable)
    }
}

/// The hash of one plot.
#[derive(Clone, Copy, Debug)]
pub struct PlotHasher {
    keys: Keys,
    backend: Backend,
}

/// The two AES round keys of a plot, each as its low and its high word.
type Keys = [[u64; 2]; 2];

/// Inputs and where results go, all of one length. A word that is missing in `low` or `high` is the same for
/// every input; results that nobody wants have no place.
struct Job<'a> {
    low: Words<'a>,
    high: Words<'a>,
    out_low: &'a mut [u64],
    out_high: Option<&'a mut [u64]>,
    round_pairs: u32,
}

/// One word of each input.
#[derive(Clone, Copy)]
enum Words<'a> {
    Each(&'a [u64]),
    Same(u64),
}

impl PlotHasher {
    /// The hash of the plot, with the fastest instructions of this machine.
    #[must_use]
    pub fn new(plot_id: &PlotId) -> Self {
        Self { keys: keys(plot_id), backend: Backend::best() }
    }

    /// The hash of the plot with the instructions named, if this machine has them.
    #[must_use]
    pub fn with_backend(plot_id: &PlotId, backend: Backend) -> Option<Self> {
        Backend::available().contains(&backend).then(|| Self { keys: keys(plot_id), backend })
    }

    /// The instructions in use.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// The low words of the hashes of inputs of 64 bits.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn hash_low64(&self, inputs: &[u64], out: &mut [u64], round_pairs: u32) {
        let (low, high) = (Words::Each(inputs), Words::Same(0));
        self.run(Job { low, high, out_low: out, out_high: None, round_pairs });
    }

    /// The low words of the hashes of inputs that share their low word, as those of rule POS-7 do.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn hash_low64_of_high(&self, low: u64, high: &[u64], out: &mut [u64], round_pairs: u32) {
        let (low, high) = (Words::Same(low), Words::Each(high));
        self.run(Job { low, high, out_low: out, out_high: None, round_pairs });
    }

    /// The hashes of inputs of 128 bits, low words in `out[0]` and high words in `out[1]`.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn hash(&self, low: &[u64], high: &[u64], out: [&mut [u64]; 2], round_pairs: u32) {
        let [out_low, out_high] = out;
        let (low, high) = (Words::Each(low), Words::Each(high));
        self.run(Job { low, high, out_low, out_high: Some(out_high), round_pairs });
    }

    fn run(&self, mut job: Job<'_>) {
        job.check();
        match self.backend {
            Backend::Portable => portable::run(&self.keys, &mut job),
            #[cfg(target_arch = "x86_64")]
            backend => x86::run(backend, &self.keys, &mut job),
            #[cfg(target_arch = "aarch64")]
            Backend::Armv8 => aarch64::run(&self.keys, &mut job),
        }
    }
}

impl Job<'_> {
    fn check(&self) {
        let len = self.out_low.len();
        let fits = |words: Words<'_>| match words {
            Words::Each(words) => words.len() == len,
            Words::Same(_) => true,
        };
        let out_fits = self.out_high.as_ref().is_none_or(|out| out.len() == len);
        assert!(fits(self.low) && fits(self.high) && out_fits, "words of a hash differ in number");
    }
}

fn keys(plot_id: &PlotId) -> Keys {
    let mut words = plot_id.as_bytes().chunks_exact(8).map(|word| {
        u64::from_le_bytes(word.try_into().expect("a chunk of eight bytes is as long as a word of 64 bits"))
    });
    [[0; 2]; 2].map(|key| key.map(|_: u64| words.next().expect("a plot id is four words")))
}
