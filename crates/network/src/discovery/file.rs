//! What is remembered of peers from one run to the next: the book, the anchors, the bans. One small file.
//!
//! ```text
//! magic "MASSPEER" 8 | version 1 | book | anchors (list) | bans (list) | SHA-256 of all before 32
//! ```
//!
//! It is not precious: one that is missing or damaged is begun anew.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    path::Path,
};

use mass_primitives::{Decode, Encode, Reader, encoding::encode_list};
use sha2::{Digest, Sha256};

use super::{Book, Endpoint};
use crate::faults::Faults;

const MAGIC: &[u8; 8] = b"MASSPEER";
const VERSION: u8 = 1;
const ANCHORS_MAX: usize = 16;
const FILE_BYTES_MAX: u64 = 16 << 20;
const SUM_BYTES: usize = 32;

/// What is remembered.
#[derive(Debug)]
pub(crate) struct Memory {
    pub book: Book,
    pub anchors: Vec<Endpoint>,
    pub faults: Faults,
}

/// Writes the file, all of it or nothing.
///
/// # Errors
/// What the disk says.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = path.with_extension("tmp");
    let mut file = fs::File::create(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(staged, path)
}

/// The bytes of the file.
pub(crate) fn encode(book: &Book, anchors: &[Endpoint], faults: &Faults) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    VERSION.encode(&mut out);
    book.encode(&mut out);
    encode_list(anchors, &mut out);
    faults.encode(&mut out);
    let sum = Sha256::digest(&out);
    out.extend_from_slice(&sum);
    out
}

/// Reads the file; `None` if there is none.
///
/// # Errors
/// What the disk says, or that the file is damaged.
pub(crate) fn load(path: &Path) -> io::Result<Option<Memory>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    decode(&bytes).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the file is damaged"))
}

fn decode(bytes: &[u8]) -> Option<Memory> {
    let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_BYTES)?)?;
    if Sha256::digest(content).as_slice() != sum {
        return None;
    }
    let mut reader = Reader::new(content.strip_prefix(MAGIC)?);
    if u8::decode(&mut reader).ok()? != VERSION {
        return None;
    }
    let book = Book::decode(&mut reader).ok()?;
    let anchors = reader.list(ANCHORS_MAX).ok()?;
    let faults = Faults::decode(&mut reader).ok()?;
    reader.finish().ok()?;
    Some(Memory { book, anchors, faults })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{faults::Fault, peer_id};

    #[test]
    fn what_was_saved_is_loaded_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        assert!(load(&path).unwrap().is_none());
        let (mut book, mut faults) = (Book::new([7; 32]), Faults::default());
        let endpoint = Endpoint::new([1, 2, 3, 4].into(), 5);
        book.found(endpoint, 100);
        faults.count(peer_id([1; 32]), None, Fault::Malformed, 100);
        let bytes = encode(&book, &[endpoint], &faults);
        save(&path, &bytes).unwrap();
        let memory = load(&path).unwrap().unwrap();
        assert_eq!((memory.book, memory.anchors), (book, vec![endpoint]));
        assert_eq!(memory.faults.bans(100), faults.bans(100));
        for at in [0, 8, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert!(load(&path).is_err(), "byte {at}");
        }
    }
}
