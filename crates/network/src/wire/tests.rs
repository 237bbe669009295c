//! Round trips, bounds and hostile bytes of the sync messages.

use proptest::{collection::vec, option, prelude::*};

use super::*;

fn ids() -> impl Strategy<Value = Vec<BlockId>> {
    vec(any::<[u8; 32]>().prop_map(BlockId::new), 0..=LOCATOR_MAX)
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Status),
        (ids(), any::<u16>()).prop_map(|(locator, max)| Request::Headers { locator, max }),
        ids().prop_map(|ids| Request::Blocks { ids }),
        (any::<[u8; 32]>(), prop::collection::btree_set(any::<u16>(), 0..64)).prop_map(|(id, positions)| {
            Request::Pieces { id: BlockId::new(id), positions: positions.into_iter().collect() }
        }),
        Just(Request::State(StateRequest::Offers)),
        (any::<[u8; 32]>(), any::<u32>()).prop_map(|(base, from)| {
            Request::State(StateRequest::Sums { base: BlockId::new(base), from })
        }),
        (any::<[u8; 32]>(), any::<u32>()).prop_map(|(base, index)| {
            Request::State(StateRequest::Part { base: BlockId::new(base), index })
        }),
    ]
}

fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        (any::<[u8; 32]>(), any::<u32>(), any::<u128>(), any::<u64>(), any::<u32>()).prop_map(
            |(tip, height, weight, time, from)| Response::Status {
                tip: BlockId::new(tip),
                height: Height::new(height),
                weight: ChainWeight::new(weight),
                time,
                blocks_from: Height::new(from),
            }
        ),
        vec(vec(any::<u8>(), 0..64), 0..8).prop_map(Response::Headers),
        vec(option::of(vec(any::<u8>(), 0..64)), 0..8).prop_map(Response::Blocks),
        vec(vec(any::<u8>(), 0..64), 0..8).prop_map(Response::Pieces),
        vec(any::<([u8; 32], u32, [u8; 32], u32)>(), 0..=OFFERS_MAX).prop_map(|list| {
            let offer = |(base, height, list, parts)| StateOffer {
                base: BlockId::new(base),
                height: Height::new(height),
                list,
                parts,
            };
            Response::State(StateResponse::Offers(list.into_iter().map(offer).collect()))
        }),
        vec(any::<u8>(), 0..64).prop_map(|sums| Response::State(StateResponse::Sums(sums))),
        option::of(vec(any::<u8>(), 0..64)).prop_map(|part| Response::State(StateResponse::Part(part))),
    ]
}

proptest! {
    #[test]
    fn requests_round_trip(request in request()) {
        let bytes = request.to_bytes();
        prop_assert!(bytes.len() <= REQUEST_BYTES_MAX);
        prop_assert_eq!(request.check(), Ok(()));
        prop_assert_eq!(Request::from_bytes(&bytes), Ok(request));
    }

    #[test]
    fn responses_round_trip(response in response()) {
        let bytes = response.to_bytes();
        prop_assert_eq!(bytes.len(), response.encoded_len());
        prop_assert_eq!(response.check(), Ok(()));
        prop_assert_eq!(Response::from_bytes(&bytes), Ok(response));
    }

    #[test]
    fn compact_blocks_round_trip_piece_by_piece(rows in vec(option::of(vec(any::<u8>(), 0..64)), 0..64), nonce: u64) {
        let ids = ShortIds::new(&BlockId::new([7; 32]), nonce);
        let piece = |(position, row): (usize, &'_ Option<Vec<u8>>)| match row {
            Some(bytes) => (None, bytes.clone()),
            None => (Some(ids.of(&[position as u8; 32])), Vec::new()),
        };
        let pieces: Vec<_> = rows.iter().enumerate().map(piece).collect();
        let told = || pieces.iter().map(|(id, bytes)| id.map_or(Piece::Inline(bytes), Piece::Short));
        let block = CompactBlock::new(nonce, told()).unwrap();
        prop_assert!(block.pieces().eq(told()));
        let bytes = block.to_bytes();
        prop_assert_eq!(bytes.len(), block.encoded_len());
        prop_assert_eq!(CompactBlock::from_bytes(&bytes), Ok(block));
    }

    #[test]
    fn no_input_panics_and_what_decodes_is_canonical(tag in 0u8..6, rest in vec(any::<u8>(), 0..256)) {
        let bytes = [&[tag], rest.as_slice()].concat();
        if let Ok(request) = Request::from_bytes(&bytes) {
            prop_assert_eq!(request.to_bytes(), bytes.clone());
        }
        if let Ok(response) = Response::from_bytes(&bytes) {
            prop_assert_eq!(response.to_bytes(), bytes.clone());
        }
        if let Ok(block) = CompactBlock::from_bytes(&bytes) {
            prop_assert_eq!(block.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_damaged_response_does_not_panic(response in response(), at: prop::sample::Index, value: u8) {
        let mut bytes = response.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = Response::from_bytes(&bytes);
    }
}

#[test]
fn what_is_too_large_to_read_is_too_large_to_send() {
    let cases = [
        Response::Headers(vec![Vec::new(); HEADERS_MAX + 1]),
        Response::Headers(vec![vec![0; HEADER_BYTES_MAX + 1]]),
        Response::Blocks(vec![None; BLOCKS_MAX + 1]),
        Response::Pieces(vec![Vec::new(); POSITIONS_MAX + 1]),
        Response::Blocks(vec![Some(vec![0; BLOCK_BYTES_MAX + 1])]),
        Response::Blocks(vec![Some(vec![0; BLOCK_BYTES_MAX]); 4]),
    ];
    for case in cases {
        assert!(matches!(case.check(), Err(DecodeError::TooLong { .. })));
        assert!(matches!(Response::from_bytes(&case.to_bytes()), Err(DecodeError::TooLong { .. })));
    }
    let request = Request::Blocks { ids: vec![BlockId::ZERO; BLOCKS_MAX + 1] };
    assert!(request.check().is_err());
    assert!(Request::from_bytes(&request.to_bytes()).is_err());
}

#[test]
fn the_largest_messages_pass() {
    let cases = [
        Response::Headers(vec![vec![7; HEADER_BYTES_MAX]; HEADERS_MAX]),
        Response::Blocks(vec![Some(vec![7; BLOCK_BYTES_MAX]); 3]),
    ];
    for case in cases {
        assert_eq!(case.check(), Ok(()));
        assert_eq!(Response::from_bytes(&case.to_bytes()), Ok(case));
    }
}

#[test]
fn pieces_that_are_out_of_order_are_no_block_and_no_request() {
    let bytes = |positions: &[u16]| {
        let mut bytes = vec![0; 8 + 4];
        (positions.len() as u32).encode(&mut bytes);
        for position in positions {
            position.encode(&mut bytes);
            encode_byte_string(b"piece", &mut bytes);
        }
        bytes
    };
    let is_block = |positions: &[u16]| CompactBlock::from_bytes(&bytes(positions)).is_ok();
    assert!(is_block(&[0, 1]) && is_block(&[]));
    assert!(!is_block(&[1, 0]) && !is_block(&[0, 0]) && !is_block(&[0, 2]));
    let request = |positions: Vec<u16>| Request::Pieces { id: BlockId::ZERO, positions }.to_bytes();
    assert!(Request::from_bytes(&request(vec![3, 9])).is_ok());
    assert!(Request::from_bytes(&request(vec![9, 3])).is_err());
    assert!(Request::from_bytes(&request(vec![3, 3])).is_err());
}

/// Whoever writes another node needs the same short ids.
#[test]
fn short_ids_are_siphash_of_the_hash_under_block_and_nonce() {
    let id = |block: u8, nonce| ShortIds::new(&BlockId::new([block; 32]), nonce).of(&[3; 32]).to_bytes();
    assert_eq!(id(1, 2), id(1, 2));
    assert!(id(1, 2) != id(2, 2) && id(1, 2) != id(1, 3));
    assert_eq!(data_encoding::HEXLOWER.encode(&id(1, 2)), "27395c9089e2");
}
