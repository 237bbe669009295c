//! The file `light`: the newest headers that the wallet has checked, with their filter headers.
//!
//! ```text
//! "mass-wallet light 1\n" | SHA-256 of the rest 32 | chain id 32 | count u32 | count * (header, flag u8, filter header 32)
//! ```
//!
//! It holds nothing of the wallet's own, and is made anew when it is missing or damaged. Whoever can write it can make
//! the wallet believe what it says; but who can do that can do worse.

use std::{collections::BTreeMap, fs, path::Path};

use bitcoin::{
    FilterHeader,
    hashes::{Hash as _, sha256},
};
use mass_consensus::{spec::ChainSpec, tree::TrailHeader};
use mass_primitives::{BlockId, ChainId, Decode as _, DecodeError, Encode as _, Height, Reader};

use super::headers::Headers;
use crate::{error::WalletError, state::write_whole};

const NAME: &str = "light";
const HEAD: &[u8] = b"mass-wallet light 1\n";
const HEADERS_MAX: u32 = 1 << 16;

type Kept = (ChainId, Vec<TrailHeader>, BTreeMap<Height, (BlockId, FilterHeader)>);

/// What is kept in a wallet's directory; `None` if there is nothing of use.
pub(super) fn read(dir: &Path, spec: &ChainSpec) -> Option<Headers> {
    let bytes = fs::read(dir.join(NAME)).ok()?;
    let (hash, rest) = bytes.strip_prefix(HEAD)?.split_first_chunk::<32>()?;
    if sha256::Hash::hash(rest).as_byte_array() != hash {
        return None;
    }
    let (chain, trail, filters) = decode(rest).ok()?;
    if chain != *spec.id() {
        return None;
    }
    Headers::resume(spec, &trail, filters)
}

fn decode(bytes: &[u8]) -> Result<Kept, DecodeError> {
    let mut reader = Reader::new(bytes);
    let chain = ChainId::decode(&mut reader)?;
    let count = u32::decode(&mut reader)?;
    if count > HEADERS_MAX {
        return Err(DecodeError::Invalid("too many headers"));
    }
    let (mut trail, mut filters) = (Vec::new(), BTreeMap::new());
    for _ in 0..count {
        let linked = TrailHeader::decode(&mut reader)?;
        if u8::decode(&mut reader)? == 1 {
            let header = BlockId::decode(&mut reader)?;
            filters.insert(linked.height(), (*linked.id(), FilterHeader::from_byte_array(header.get())));
        }
        trail.push(linked);
    }
    reader.finish()?;
    Ok((chain, trail, filters))
}

/// Keeps what is known.
pub(super) fn write(dir: &Path, spec: &ChainSpec, headers: &Headers) -> Result<(), WalletError> {
    let trail = headers.trail();
    let mut body = spec.id().to_bytes();
    (trail.len() as u32).encode(&mut body);
    for linked in &trail {
        linked.encode(&mut body);
        match headers.filter_headers.get(&linked.height()) {
            None => 0u8.encode(&mut body),
            Some((_, header)) => {
                1u8.encode(&mut body);
                BlockId::new(header.to_byte_array()).encode(&mut body);
            }
        }
    }
    let hash = sha256::Hash::hash(&body);
    let path = dir.join(NAME);
    let written = write_whole(&path, &[HEAD, hash.as_byte_array().as_slice(), &body].concat());
    written.map_err(|error| WalletError::File(path, error))
}
