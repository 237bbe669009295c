//! Files of blocks: bytes are refused, or are what a writer makes of what was read; each block is decoded as an import does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mass_consensus::block::{Block, Decoded};
use mass_primitives::{Decode, Encode};
use mass_storage::block_file::{BlockReader, BlockWriter};

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = BlockReader::new(data) else { return };
    let preamble = *reader.preamble();
    let Ok(blocks) = reader.by_ref().collect::<Result<Vec<_>, _>>() else { return };
    let mut writer = BlockWriter::new(Vec::new(), &preamble).expect("it was read");
    for bytes in &blocks {
        writer.put(bytes).expect("it was read");
        if let Ok(block) = Block::<Decoded>::from_bytes(bytes) {
            assert_eq!(block.to_bytes(), *bytes);
        }
    }
    assert_eq!(writer.finish().expect("it was read"), data);
});
