//! Headers proven together come to what they come to one by one, whatever is wrong with whichever.

mod farm;

use std::sync::OnceLock;

use farm::Farm;
use mass_consensus::{header::SealedHeader, proven::ProvenHeader, spec::ChainSpec, tree::HeaderTree};
use mass_primitives::{BlockId, SealSignature, Slot, VrfProof};
use proptest::prelude::*;

/// A chain of two farmers' headers, and its spec.
fn chain() -> &'static (ChainSpec, Vec<SealedHeader>) {
    static CHAIN: OnceLock<(ChainSpec, Vec<SealedHeader>)> = OnceLock::new();
    CHAIN.get_or_init(|| {
        let farms = [Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32])];
        let spec = farms[0].spec.clone();
        let mut tip = BlockId::new([1; 32]);
        let (mut tree, mut headers) = (HeaderTree::new(spec.clone(), tip), Vec::new());
        for farm in farms.iter().cycle().take(16) {
            let sealed = farm.next(tip, tree.expectation(&tip, Slot::ZERO).unwrap());
            tree.link(&ProvenHeader::prove(&spec, sealed).unwrap()).unwrap();
            tip = sealed.id();
            headers.push(sealed);
        }
        (spec, headers)
    })
}

/// Where a fault is.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A bit of the signature.
    Signature(usize),
    /// A bit of the VRF proof.
    Vrf(usize),
    /// A bit of the root, which the signature covers and nothing else of a header's own proof does.
    Root(usize),
    /// The signature of another header.
    Foreign(usize),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0..512usize).prop_map(Fault::Signature),
        (0..512usize).prop_map(Fault::Vrf),
        (0..256usize).prop_map(Fault::Root),
        (0..16usize).prop_map(Fault::Foreign),
    ]
}

fn flip<const N: usize>(bytes: &[u8; N], bit: usize) -> [u8; N] {
    let mut bytes = *bytes;
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn spoil(header: &mut SealedHeader, fault: Fault, all: &[SealedHeader]) {
    let seal = &mut header.seal;
    match fault {
        Fault::Signature(bit) => seal.signature = SealSignature::new(flip(seal.signature.as_bytes(), bit)),
        Fault::Vrf(bit) => seal.vrf_proof = VrfProof::new(flip(seal.vrf_proof.as_bytes(), bit)),
        Fault::Root(bit) => {
            header.header.root = mass_primitives::BodyRoot::new(flip(header.header.root.as_bytes(), bit));
        }
        Fault::Foreign(other) => seal.signature = all[other].seal.signature,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn together_and_one_by_one_agree(faults in prop::collection::vec((0..16usize, fault()), 0..4)) {
        let (spec, good) = chain();
        let mut headers = good.clone();
        for (position, fault) in faults {
            spoil(&mut headers[position], fault, good);
        }
        let one_by_one: Vec<_> = headers.iter().map(|header| ProvenHeader::prove(spec, *header)).collect();
        prop_assert_eq!(ProvenHeader::prove_all(spec, &headers), one_by_one);
    }
}

#[test]
fn good_headers_are_good_together() {
    let (spec, good) = chain();
    assert!(ProvenHeader::prove_all(spec, good).iter().all(Result::is_ok));
    assert!(ProvenHeader::prove_all(spec, &[]).is_empty());
}

/// Two signatures of one key whose faults cancel when they are summed with equal factors: the sum of their `s` is as it
/// should be, and neither verifies.
#[test]
fn faults_that_cancel_in_a_plain_sum_are_found() {
    let (spec, good) = chain();
    let mut headers = [good[0], good[2]];
    let step = |signature: &SealSignature, up: bool| {
        let mut bytes = *signature.as_bytes();
        // The second half is `s`, little-endian; its lowest byte is far from a carry in one of many headers.
        bytes[32] = if up { bytes[32].wrapping_add(1) } else { bytes[32].wrapping_sub(1) };
        SealSignature::new(bytes)
    };
    headers[0].seal.signature = step(&headers[0].seal.signature, true);
    headers[1].seal.signature = step(&headers[1].seal.signature, false);
    assert!(ProvenHeader::prove_all(spec, &headers).iter().all(Result::is_err));
}
