//! The keys of farmer and harvester for each other, in a file for its owner alone.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::secure::{NoiseKey, NoiseSecret};

const VERSION: u32 = 1;
const NAME_CHARS_MAX: usize = 64;

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refuses.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is damaged or of something else.
    #[error("{} is no file of harvester keys: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nothing was paired yet.
    #[error("{} does not exist: pair this machine with a farmer first (mass harvester pair)", .0.display())]
    NotPaired(PathBuf),
    /// The name is no name.
    #[error("{0:?} is no name for a harvester: 1 to 64 letters, digits, dots, dashes and underscores")]
    Name(String),
    /// Another harvester has the name.
    #[error("there is a harvester {0} already: choose another name, or take that one out (mass farm unpair)")]
    Taken(String),
    /// Nobody has the name.
    #[error("there is no harvester {0}")]
    Unknown(String),
}

/// A name that can stand before a path.
pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_name = !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(is_good);
    if is_name { Ok(()) } else { Err(StoreError::Name(name.chars().take(NAME_CHARS_MAX).collect())) }
}

/// A harvester that a farmer knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub name: String,
    pub key: NoiseKey,
}

/// What a farmer keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FarmerFile {
    version: u32,
    secret: NoiseSecret,
    harvesters: Vec<Known>,
}

/// The farmer's key for its harvesters, and theirs.
pub(crate) struct Harvesters {
    path: PathBuf,
    file: FarmerFile,
}

impl Harvesters {
    /// Reads the file, or makes it with a new key.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = match read::<FarmerFile>(path)? {
            Some(file) => file,
            None => {
                let file =
                    FarmerFile { version: VERSION, secret: NoiseSecret::generate(), harvesters: Vec::new() };
                write(path, &file)?;
                file
            }
        };
        check_version(path, file.version)?;
        Ok(Self { path: path.to_owned(), file })
    }

    pub const fn secret(&self) -> &NoiseSecret {
        &self.file.secret
    }

    pub fn all(&self) -> &[Known] {
        &self.file.harvesters
    }

    /// The name of a key.
    pub fn name_of(&self, key: &NoiseKey) -> Option<String> {
        self.all().iter().find(|known| known.key == *key).map(|known| known.name.clone())
    }

    /// Takes a harvester in. One that is known may take another name.
    pub fn add(&mut self, name: &str, key: NoiseKey) -> Result<(), StoreError> {
        check_name(name)?;
        if self.all().iter().any(|known| known.name == name && known.key != key) {
            return Err(StoreError::Taken(name.to_owned()));
        }
        let mut harvesters = self.file.harvesters.clone();
        harvesters.retain(|known| known.key != key);
        harvesters.push(Known { name: name.to_owned(), key });
        self.replace(harvesters)
    }

    /// Takes a harvester out.
    pub fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        let mut harvesters = self.file.harvesters.clone();
        harvesters.retain(|known| known.name != name);
        if harvesters.len() == self.all().len() {
            return Err(StoreError::Unknown(name.to_owned()));
        }
        self.replace(harvesters)
    }

    fn replace(&mut self, harvesters: Vec<Known>) -> Result<(), StoreError> {
        let before = std::mem::replace(&mut self.file.harvesters, harvesters);
        write(&self.path, &self.file).inspect_err(|_| self.file.harvesters = before)
    }
}

/// What a harvester keeps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HarvesterFile {
    version: u32,
    pub secret: NoiseSecret,
    pub name: String,
    /// Where the farmer is, and its key, once paired.
    pub farmer: Option<(String, NoiseKey)>,
}

impl HarvesterFile {
    /// Reads the file of a harvester that is paired.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let file = read::<Self>(path)?.ok_or_else(|| StoreError::NotPaired(path.to_owned()))?;
        check_version(path, file.version)?;
        Ok(file)
    }

    /// Reads the file, or begins one with a new key, which is on the disk before it is used: a pairing that breaks
    /// off can be done again, and leaves what was paired before.
    pub fn begin(path: &Path, name: &str) -> Result<Self, StoreError> {
        check_name(name)?;
        if let Some(file) = read::<Self>(path)? {
            check_version(path, file.version)?;
            return Ok(file);
        }
        let secret = NoiseSecret::generate();
        let file = Self { version: VERSION, secret, name: name.to_owned(), farmer: None };
        file.write(path)?;
        Ok(file)
    }

    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        write(path, self)
    }
}

fn check_version(path: &Path, version: u32) -> Result<(), StoreError> {
    if version == VERSION {
        return Ok(());
    }
    let reason = format!("version {VERSION} expected, got {version}");
    Err(StoreError::Corrupt { path: path.to_owned(), reason })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let text = match fs::read(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::Io { path: path.to_owned(), error }),
    };
    let corrupt =
        |error: serde_json::Error| StoreError::Corrupt { path: path.to_owned(), reason: error.to_string() };
    serde_json::from_slice(&text).map(Some).map_err(corrupt)
}

/// Replaces the file: all of it or none, and on the disk when this returns. A temporary file is its owner's alone.
fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let io = |error| StoreError::Io { path: path.to_owned(), error };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text = Zeroizing::new(serde_json::to_vec_pretty(value).map_err(|error| io(error.into()))?);
    fs::create_dir_all(dir).map_err(io)?;
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
    file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn harvesters_are_kept_by_key_and_by_a_name_that_nobody_else_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/harvesters.json");
        let mut store = Harvesters::open(&path).unwrap();
        let key = |byte: &str| serde_json::from_value(byte.repeat(32).into()).unwrap();
        let (one, two): (NoiseKey, NoiseKey) = (key("01"), key("02"));
        store.add("rig1", one).unwrap();
        assert!(matches!(store.add("rig1", two), Err(StoreError::Taken(_))));
        assert!(matches!(store.add("a b", two), Err(StoreError::Name(_))));
        store.add("rig2", two).unwrap();
        store.add("rig-one", one).unwrap();
        let again = Harvesters::open(&path).unwrap();
        let text = |store: &Harvesters| serde_json::to_string(store.secret()).unwrap();
        assert_eq!(text(&again), text(&store));
        assert_eq!(
            (again.name_of(&one).as_deref(), again.name_of(&two).as_deref()),
            (Some("rig-one"), Some("rig2"))
        );
        assert!(matches!(store.remove("rig1"), Err(StoreError::Unknown(_))));
        store.remove("rig2").unwrap();
        assert_eq!(Harvesters::open(&path).unwrap().all().len(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        fs::write(&path, "{}").unwrap();
        assert!(matches!(Harvesters::open(&path), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_harvester_keeps_its_key_when_it_is_paired_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("harvester.json");
        assert!(matches!(HarvesterFile::read(&path), Err(StoreError::NotPaired(_))));
        let first = HarvesterFile::begin(&path, "rig1").unwrap();
        let second = HarvesterFile::begin(&path, "rig2").unwrap();
        let text = |file: &HarvesterFile| serde_json::to_string(&file.secret).unwrap();
        assert_eq!((text(&first), second.name.as_str()), (text(&second), "rig1"), "until it is paired");
    }
}
