//! Messages between nodes: bytes are refused, or are the one encoding of a message that passes its own check.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mass_network::wire::{CompactBlock, Request, Response};
use mass_primitives::{Decode, Encode};

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = Request::from_bytes(data) {
        assert_eq!(request.to_bytes(), data);
        assert!(request.check().is_ok());
    }
    if let Ok(response) = Response::from_bytes(data) {
        assert_eq!(response.to_bytes(), data);
        assert_eq!(response.encoded_len(), data.len());
        assert!(response.check().is_ok());
    }
    assert!(mass_network::addresses_are_canonical(data));
    if let Ok(block) = CompactBlock::from_bytes(data) {
        assert_eq!(block.to_bytes(), data);
        assert_eq!(block.encoded_len(), data.len());
        assert_eq!(CompactBlock::new(block.nonce(), block.pieces()), Some(block));
    }
});
