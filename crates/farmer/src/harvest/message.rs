//! What farmer and harvester say, in JSON: one object to a message, of which `type` names the kind. Fields that are not
//! known are passed over, so that a version may add some.
//!
//! | version | adds |
//! |---|---|
//! | 1 | all but what follows |
//! | 2 | `sample` and `sampled`, by which the doctor tries a disk out |
//!
//! The harvester speaks first and says its version; the farmer answers with the lesser of both, and neither sends what
//! that version does not have.

use std::path::PathBuf;

use mass_primitives::{Challenge, Decode as _, Encode as _, FarmerPublicKey, GroupId, PlotIndex};
use mass_proof_of_space::{GroupIdentity, QUALITY_LINKS, QualityChain};
use mass_rpc::farm::Unfinished;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    disk::Turn,
    schedule::Found,
    shelf::{GroupFile, Sample},
};

/// The version that is spoken here.
pub const VERSION: u16 = 2;
/// The first version that is understood.
pub const VERSION_MIN: u16 = 1;
/// The first version with `sample`.
pub const VERSION_SAMPLE: u16 = 2;

/// Bytes of a message at the most.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Files, or qualities, in one message; more of them go in several.
pub const PART: usize = 1_000;
/// Files of a disk, or qualities of an answer, at the most.
pub const ITEMS_MAX: usize = 200_000;
/// Faults, and unfinished groups, that are told of a disk; the first ones.
pub const FAULTS_MAX: usize = 100;
/// Disks of a harvester at the most.
pub const DISKS_MAX: usize = 256;

/// What the farmer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToHarvester {
    /// The answer to a hello.
    Welcome { version: u16, software: String, farmer: FarmerPublicKey },
    /// Another answer to a hello: there is no work for this harvester.
    Refused { reason: String },
    /// Look for plots that came or went.
    Scan { disk: usize },
    /// Ask these groups.
    Ask { disk: usize, turn: Turn, challenge: Challenge, groups: Vec<GroupId> },
    /// Find a challenge that a plot of the disk answers.
    Sample { disk: usize, number: u64 },
    /// Are you there?
    Ping,
}

/// What a harvester says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToFarmer {
    /// Who is there, with which directories.
    Hello { version: u16, software: String, name: String, disks: Vec<String> },
    /// Some of the plot files of a disk, before `scanned`.
    Files { disk: usize, files: Vec<File> },
    /// A scan is done. If the files have changed, those of the `files` before this are all there are.
    Scanned {
        disk: usize,
        changed: bool,
        error: Option<String>,
        faults: Vec<(PathBuf, String)>,
        free_bytes: Option<u64>,
        #[serde(default)]
        unfinished: Vec<Unfinished>,
    },
    /// Some of the qualities that a disk has found, before `answered`.
    Found { disk: usize, found: Vec<Quality> },
    /// A challenge is answered, by the qualities of the `found` before this.
    Answered { disk: usize, turn: Turn, asked: u64, reads: u64, faults: Vec<(PathBuf, String)> },
    /// What came of a `sample`.
    Sampled { number: u64, sample: Result<Box<WireSample>, String> },
    /// I am.
    Pong,
}

/// A plot file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    path: PathBuf,
    #[serde(with = "canonical")]
    identity: GroupIdentity,
    plots: u16,
    bytes: u64,
}

impl File {
    pub fn new(file: &GroupFile) -> Self {
        let GroupFile { path, identity, plots, bytes, .. } = file;
        Self { path: path.clone(), identity: *identity, plots: *plots, bytes: *bytes }
    }

    /// The file as the farmer knows it, at a path with the harvester's name.
    pub fn located(self, place: impl Fn(PathBuf) -> PathBuf) -> GroupFile {
        let Self { path, identity, plots, bytes } = self;
        GroupFile { path: place(path), identity, group: identity.group_id(), plots, bytes }
    }
}

/// What a plot has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    #[serde(with = "canonical")]
    identity: GroupIdentity,
    index: PlotIndex,
    links: [u64; QUALITY_LINKS],
}

impl From<&Found> for Quality {
    fn from(found: &Found) -> Self {
        Self { identity: found.identity, index: found.index, links: *found.chain.links() }
    }
}

impl From<Quality> for Found {
    fn from(quality: Quality) -> Self {
        Self::new(quality.identity, quality.index, QualityChain::new(quality.links))
    }
}

/// A challenge that a plot answers, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSample {
    challenge: Challenge,
    answer: Quality,
}

impl From<Sample> for WireSample {
    fn from(Sample { identity, index, challenge, chain }: Sample) -> Self {
        Self { challenge, answer: Quality { identity, index, links: *chain.links() } }
    }
}

impl From<WireSample> for Sample {
    fn from(WireSample { challenge, answer: Quality { identity, index, links } }: WireSample) -> Self {
        Self { identity, index, challenge, chain: QualityChain::new(links) }
    }
}

/// A group identity as the hex of its canonical encoding.
mod canonical {
    use super::*;

    pub fn serialize<S: Serializer>(identity: &GroupIdentity, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serde::serialize(identity.to_bytes(), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GroupIdentity, D::Error> {
        let bytes: Vec<u8> = hex::serde::deserialize(deserializer)?;
        GroupIdentity::from_bytes(&bytes).map_err(D::Error::custom)
    }
}
