//! The chain spec: everything in which two chains of the engine differ, as data.
//!
//! [`Rules`] is what consensus depends on; its canonical hash is the chain id. [`Hints`] (checkpoints,
//! peers, ports) may change in the life of a chain and are not hashed.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, str::FromStr};

use mass_primitives::{
    BlockId, ChainId, Difficulty, Height, HeightDelta, Period, Round, Seed, Slot, SlotDelta, Tag,
    TaggedHasher,
};
use mass_proof_of_space::{PlotSize, Strength};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{beacon::first_difference, difficulty::DIFFICULTY_MAX};

/// Rules of a chain, each with the reason for it in `docs/spec/consensus.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Name of the chain.
    pub name: String,
    /// Start of slot 0 in unix seconds.
    pub genesis_time: u32,
    /// Length of a slot in seconds.
    pub slot_seconds: u32,
    /// Slots of a round.
    pub round_slots: u64,
    /// Blocks of a period (`c`).
    pub period_blocks: u32,
    /// How many blocks before the end of a period its successor's entropy is fixed.
    pub seed_lag_blocks: u32,
    /// Target number of slots between blocks.
    pub interval_slots: u64,
    /// One in so many rounds asks a given group of the least strength (`F`).
    pub filter: u64,
    /// The one plot size of the chain (`k`).
    pub plot_size: u8,
    /// Least strength of a plot.
    pub strength_min: u8,
    /// Greatest strength of a plot.
    pub strength_max: u8,
    /// Plots of a group at the most.
    pub group_plots_max: u16,
    /// Difficulty of blocks 1 and 2.
    pub difficulty_initial: u64,
    /// Least difficulty.
    pub difficulty_min: u64,
    /// Slots of delay that halve the difficulty (`tau`).
    pub difficulty_tau_slots: u64,
    /// Blocks within which a double seal can be shown.
    pub evidence_window_blocks: u32,
    /// Pieces of evidence that a block carries at the most.
    pub evidence_per_block_max: u32,
    /// Entropy of period 0.
    pub seed_initial: Seed,
    /// The chain whose seeds and rounds this one takes; without it, it has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beacon: Option<ChainId>,
    /// The ledger on the chain.
    pub ledger: LedgerRules,
}

/// Which ledger runs on a chain, and its own parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerRules {
    /// Kind of the ledger.
    pub kind: String,
    /// Parameters that the ledger reads itself.
    pub params: Value,
}

/// What helps a node but decides nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hints {
    /// Blocks that must be in the chain.
    pub checkpoints: Vec<Checkpoint>,
    /// Addresses of peers to start from.
    pub bootstrap: Vec<String>,
    /// Default port for peers.
    pub peer_port: u16,
    /// Default port for RPC.
    pub rpc_port: u16,
}

/// A block known to be in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Height of the block.
    pub height: Height,
    /// Id of the block.
    pub id: BlockId,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.id)
    }
}

/// A text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a checkpoint is HEIGHT:ID, a number and the 64 hexadecimal digits of a block id")]
pub struct ParseCheckpointError;

impl FromStr for Checkpoint {
    type Err = ParseCheckpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (height, id) = text.split_once(':').ok_or(ParseCheckpointError)?;
        let height = height.parse().map(Height::new).map_err(|_| ParseCheckpointError)?;
        Ok(Self { height, id: id.parse().map_err(|_| ParseCheckpointError)? })
    }
}

/// A chain spec as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSpecFile {
    /// What is hashed.
    pub rules: Rules,
    /// What is not.
    pub hints: Hints,
}

/// A chain spec that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    file: ChainSpecFile,
    id: ChainId,
    size: PlotSize,
    strength_min: Strength,
    strength_max: Strength,
}

/// Why a chain spec is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The text is no chain spec.
    #[error("not a chain spec: {0}")]
    Syntax(String),
    /// A number that must be positive is zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// The name is empty, long, or has other characters than a-z, 0-9 and -.
    #[error("the name must be 1 to 32 characters of a-z, 0-9 and -")]
    Name,
    /// A plot parameter is out of range.
    #[error("plot_size or strength out of range")]
    Plot,
    /// `strength_min` exceeds `strength_max`.
    #[error("strength_min {min} exceeds strength_max {max}")]
    StrengthOrder {
        /// `strength_min`.
        min: u8,
        /// `strength_max`.
        max: u8,
    },
    /// A group would be asked more than once a period.
    #[error("filter {filter} is smaller than the {rounds} rounds that a period is expected to have")]
    Filter {
        /// `filter`.
        filter: u64,
        /// Expected rounds of a period, rounded up.
        rounds: u64,
    },
    /// The lag is not shorter than the period.
    #[error("seed_lag_blocks {lag} must be smaller than period_blocks {period}")]
    Lag {
        /// `seed_lag_blocks`.
        lag: u32,
        /// `period_blocks`.
        period: u32,
    },
    /// The initial difficulty is below the least or beyond all bounds.
    #[error("difficulty_initial must be at least difficulty_min")]
    Difficulty,
    /// A chain cannot take the seeds of the other.
    #[error("a chain and the one whose beacon it inherits must have the same {0}")]
    Beacon(&'static str),
    /// CKP-1: two checkpoints contradict each other.
    #[error("CKP-1: one checkpoint of height {height} is block {one}, another is {other}")]
    Checkpoints {
        /// Their height.
        height: Height,
        /// Id of the one.
        one: BlockId,
        /// Id of the other.
        other: BlockId,
    },
    /// A value that canonical JSON does not hold, such as a fraction.
    #[error("the ledger's parameters may hold integers, texts, lists and objects only")]
    NotCanonical,
}

impl ChainSpec {
    /// Checks a spec's parameters against each other and computes the chain id.
    ///
    /// # Errors
    /// [`SpecError`] with the parameter at fault.
    pub fn new(file: ChainSpecFile) -> Result<Self, SpecError> {
        let rules = &file.rules;
        check_name(&rules.name)?;
        check_positive(rules)?;
        let size = PlotSize::new(rules.plot_size).map_err(|_| SpecError::Plot)?;
        let strength_min = Strength::new(rules.strength_min).map_err(|_| SpecError::Plot)?;
        let strength_max = Strength::new(rules.strength_max).map_err(|_| SpecError::Plot)?;
        if strength_min > strength_max {
            return Err(SpecError::StrengthOrder { min: strength_min.get(), max: strength_max.get() });
        }
        if rules.seed_lag_blocks >= rules.period_blocks {
            return Err(SpecError::Lag { lag: rules.seed_lag_blocks, period: rules.period_blocks });
        }
        let slots = u64::from(rules.period_blocks).saturating_mul(rules.interval_slots);
        let rounds = slots.div_ceil(rules.round_slots);
        // A chain that inherits has the periods of its parent, which the parent's loader checks.
        if rules.beacon.is_none() && rules.filter < rounds {
            return Err(SpecError::Filter { filter: rules.filter, rounds });
        }
        if rules.difficulty_initial < rules.difficulty_min
            || u128::from(rules.difficulty_initial) > DIFFICULTY_MAX.get()
        {
            return Err(SpecError::Difficulty);
        }
        check_checkpoints(&file.hints.checkpoints)?;
        let id = chain_id(rules)?;
        Ok(Self { file, id, size, strength_min, strength_max })
    }

    /// Reads a spec from JSON.
    ///
    /// # Errors
    /// [`SpecError`].
    pub fn from_json(text: &str) -> Result<Self, SpecError> {
        Self::new(serde_json::from_str(text).map_err(|error| SpecError::Syntax(error.to_string()))?)
    }

    /// The same chain with more checkpoints, as its operator knows them (CKP-1).
    ///
    /// # Errors
    /// [`SpecError::Checkpoints`] if one contradicts another or one of the spec.
    pub fn with_checkpoints(mut self, more: &[Checkpoint]) -> Result<Self, SpecError> {
        let checkpoints = &mut self.file.hints.checkpoints;
        checkpoints.extend_from_slice(more);
        check_checkpoints(checkpoints)?;
        Ok(self)
    }

    /// The checkpoint of a height.
    #[must_use]
    pub fn checkpoint(&self, height: Height) -> Option<&Checkpoint> {
        self.file.hints.checkpoints.iter().find(|checkpoint| checkpoint.height == height)
    }

    /// The checkpoint of the greatest height.
    #[must_use]
    pub fn newest_checkpoint(&self) -> Option<&Checkpoint> {
        self.file.hints.checkpoints.iter().max_by_key(|checkpoint| checkpoint.height)
    }

    /// Names of the built-in chains. `dev2` inherits the beacon of `dev`, `dev3` has its own.
    pub const BUILT_IN: [&'static str; 5] = ["massnet", "testnet", "dev", "dev2", "dev3"];

    /// The built-in spec of that name.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let text = match name {
            "massnet" => include_str!("../specs/massnet.json"),
            "testnet" => include_str!("../specs/testnet.json"),
            "dev" => include_str!("../specs/dev.json"),
            "dev2" => include_str!("../specs/dev2.json"),
            "dev3" => include_str!("../specs/dev3.json"),
            _ => return None,
        };
        Self::from_json(text).ok()
    }

    /// Identity of the chain.
    #[must_use]
    pub const fn id(&self) -> &ChainId {
        &self.id
    }

    /// The chain whose seeds this one uses: its own, or the one it inherits them from.
    #[must_use]
    pub const fn beacon_id(&self) -> &ChainId {
        match &self.file.rules.beacon {
            Some(parent) => parent,
            None => &self.id,
        }
    }

    /// Whether the seeds are those of another chain.
    #[must_use]
    pub const fn inherits_beacon(&self) -> bool {
        self.file.rules.beacon.is_some()
    }

    /// Checks that this chain can take the seeds of `parent`: rounds, filter and plots are the same.
    ///
    /// # Errors
    /// [`SpecError::Beacon`] with what differs.
    pub fn check_beacon(&self, parent: &Self) -> Result<(), SpecError> {
        match first_difference(self, parent) {
            Some(name) => Err(SpecError::Beacon(name)),
            None => Ok(()),
        }
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.file.rules
    }

    /// The hints.
    #[must_use]
    pub const fn hints(&self) -> &Hints {
        &self.file.hints
    }

    /// The spec as it was given.
    #[must_use]
    pub const fn file(&self) -> &ChainSpecFile {
        &self.file
    }

    /// The one plot size of the chain.
    #[must_use]
    pub const fn plot_size(&self) -> PlotSize {
        self.size
    }

    /// Whether plots of this strength count here.
    #[must_use]
    pub fn allows_strength(&self, strength: Strength) -> bool {
        (self.strength_min..=self.strength_max).contains(&strength)
    }

    /// `F_s = F * 2^(strength - strength_min)`.
    #[must_use]
    pub fn filter(&self, strength: Strength) -> u64 {
        let doublings = u32::from(strength.get().saturating_sub(self.strength_min.get()));
        // At most 15 doublings of a filter below 2^32.
        self.file.rules.filter.saturating_mul(1u64.checked_shl(doublings).unwrap_or(u64::MAX))
    }

    /// Least difficulty.
    #[must_use]
    pub fn difficulty_min(&self) -> Difficulty {
        Difficulty::new(self.file.rules.difficulty_min.into())
    }

    /// Difficulty of blocks 1 and 2.
    #[must_use]
    pub fn difficulty_initial(&self) -> Difficulty {
        Difficulty::new(self.file.rules.difficulty_initial.into())
    }

    /// The round of a slot.
    #[must_use]
    pub fn round(&self, slot: Slot) -> Round {
        Round::new(slot.get().checked_div(self.file.rules.round_slots).unwrap_or(0))
    }

    /// First slot of a round.
    #[must_use]
    pub fn round_start(&self, round: Round) -> Slot {
        Slot::new(round.get().saturating_mul(self.file.rules.round_slots))
    }

    /// The period of a height.
    #[must_use]
    pub fn period(&self, height: Height) -> Period {
        Period::new(height.get().checked_div(self.file.rules.period_blocks).unwrap_or(0))
    }

    /// Height whose VRF output seeds the period after `period`: `(period + 1) * c - lag`.
    #[must_use]
    pub fn seed_height(&self, period: Period) -> Option<Height> {
        let end = period.get().checked_add(1)?.checked_mul(self.file.rules.period_blocks)?;
        Height::new(end).checked_sub(HeightDelta::new(self.file.rules.seed_lag_blocks))
    }

    /// Start of a slot in unix seconds; `None` beyond the year 2106.
    #[must_use]
    pub fn slot_time(&self, slot: Slot) -> Option<u32> {
        let offset = slot.get().checked_mul(u64::from(self.file.rules.slot_seconds))?;
        u32::try_from(offset.checked_add(u64::from(self.file.rules.genesis_time))?).ok()
    }

    /// The slot of a moment in unix seconds; `None` before the genesis time.
    #[must_use]
    pub fn slot_at(&self, unix_seconds: u64) -> Option<Slot> {
        let since = unix_seconds.checked_sub(u64::from(self.file.rules.genesis_time))?;
        since.checked_div(u64::from(self.file.rules.slot_seconds)).map(Slot::new)
    }

    /// Target distance of two blocks.
    #[must_use]
    pub const fn interval(&self) -> SlotDelta {
        SlotDelta::new(self.file.rules.interval_slots)
    }
}

fn check_name(name: &str) -> Result<(), SpecError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=32).contains(&name.len()) && name.chars().all(allowed) { Ok(()) } else { Err(SpecError::Name) }
}

/// CKP-1: one block for a height.
fn check_checkpoints(list: &[Checkpoint]) -> Result<(), SpecError> {
    let mut by_height: BTreeMap<Height, BlockId> = BTreeMap::new();
    for Checkpoint { height, id } in list {
        let one = *by_height.entry(*height).or_insert(*id);
        if one != *id {
            return Err(SpecError::Checkpoints { height: *height, one, other: *id });
        }
    }
    Ok(())
}

fn check_positive(rules: &Rules) -> Result<(), SpecError> {
    let numbers = [
        ("slot_seconds", u64::from(rules.slot_seconds)),
        ("round_slots", rules.round_slots),
        ("period_blocks", u64::from(rules.period_blocks)),
        ("seed_lag_blocks", u64::from(rules.seed_lag_blocks)),
        ("interval_slots", rules.interval_slots),
        ("filter", rules.filter),
        ("group_plots_max", u64::from(rules.group_plots_max)),
        ("difficulty_min", rules.difficulty_min),
        ("difficulty_tau_slots", rules.difficulty_tau_slots),
        ("evidence_window_blocks", u64::from(rules.evidence_window_blocks)),
    ];
    match numbers.into_iter().find(|(_, value)| *value == 0) {
        Some((name, _)) => Err(SpecError::Zero(name)),
        None => Ok(()),
    }
}

/// `H("chain", canonical JSON of the rules)`: object keys sorted, no white space, integers only.
fn chain_id(rules: &Rules) -> Result<ChainId, SpecError> {
    let value = serde_json::to_value(rules).map_err(|error| SpecError::Syntax(error.to_string()))?;
    let mut text = String::new();
    write_canonical(&value, &mut text)?;
    Ok(ChainId::new(TaggedHasher::new(Tag::Chain).chain(text).finish()))
}

fn write_canonical(value: &Value, out: &mut String) -> Result<(), SpecError> {
    match value {
        Value::Number(number) if number.is_f64() => return Err(SpecError::NotCanonical),
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_canonical(item, out)?;
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (position, (name, item)) in fields.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_canonical(item, out)?;
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
