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
    ]
}

fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        (any::<[u8; 32]>(), any::<u32>(), any::<u128>()).prop_map(|(tip, height, weight)| Response::Status {
            tip: BlockId::new(tip),
            height: Height::new(height),
            weight: ChainWeight::new(weight),
        }),
        vec(vec(any::<u8>(), 0..64), 0..8).prop_map(Response::Headers),
        vec(option::of(vec(any::<u8>(), 0..64)), 0..8).prop_map(Response::Blocks),
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
    fn no_input_panics_and_what_decodes_is_canonical(tag in 0u8..4, rest in vec(any::<u8>(), 0..256)) {
        let bytes = [&[tag], rest.as_slice()].concat();
        if let Ok(request) = Request::from_bytes(&bytes) {
            prop_assert_eq!(request.to_bytes(), bytes.clone());
        }
        if let Ok(response) = Response::from_bytes(&bytes) {
            prop_assert_eq!(response.to_bytes(), bytes);
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
