//! Headers proven together come to what they come to one by one, whatever is wrong with whichever.

mod farm;

use std::sync::OnceLock;

use farm::Farm;
use mass_consensus::{
    header::{Header, SealedHeader},
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::HeaderTree,
};
use mass_primitives::{BlockId, SealSignature, Slot, VrfOutput, VrfProof};
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
    /// A part of the VRF proof, of 32 bytes, that is no canonical point or scalar, or is of another header.
    VrfPart(usize, Part),
    /// A bit of the VRF output, with the commitment made anew.
    Output(usize),
    /// A bit of the root, which the signature covers and nothing else of a header's own proof does.
    Root(usize),
    /// The signature of another header.
    Foreign(usize),
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Ones,
    Zero,
    Foreign(usize),
    Added(u8),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        Just(Part::Ones),
        Just(Part::Zero),
        (0..16usize).prop_map(Part::Foreign),
        (1..=255u8).prop_map(Part::Added),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0..512usize).prop_map(Fault::Signature),
        (0..768usize).prop_map(Fault::Vrf),
        (0..3usize, part()).prop_map(|(third, part)| Fault::VrfPart(third, part)),
        (0..256usize).prop_map(Fault::Output),
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
        Fault::VrfPart(third, part) => {
            let mut bytes = seal.vrf_proof.get();
            let (at, foreign) = (32 * third..32 * third + 32, |other: usize| all[other].seal.vrf_proof.get());
            match part {
                Part::Ones => bytes[at].fill(0xff),
                Part::Zero => bytes[at].fill(0),
                Part::Foreign(other) => bytes[at.clone()].copy_from_slice(&foreign(other)[at]),
                Part::Added(number) => bytes[at.start] = bytes[at.start].wrapping_add(number),
            }
            seal.vrf_proof = VrfProof::new(bytes);
        }
        Fault::Output(bit) => {
            seal.claim.vrf_output = VrfOutput::new(flip(seal.claim.vrf_output.as_bytes(), bit));
            (header.header.version, header.header.nonce) =
                Header::commitment_fields(&seal.claim.commitment());
        }
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

/// Two signatures, and two VRF proofs, of one key whose faults cancel when they are summed with equal factors: the sum of
/// their `s` is as it should be, and none of them verifies.
#[test]
fn faults_that_cancel_in_a_plain_sum_are_found() {
    let (spec, good) = chain();
    // The lowest byte of `s` is far from a carry in one of many headers.
    fn step<const N: usize>(mut bytes: [u8; N], at: usize, by: u8) -> [u8; N] {
        bytes[at] = bytes[at].wrapping_add(by);
        bytes
    }
    let signed = |header: &mut SealedHeader, by: u8| {
        header.seal.signature = SealSignature::new(step(header.seal.signature.get(), 32, by));
    };
    let proven = |header: &mut SealedHeader, by: u8| {
        header.seal.vrf_proof = VrfProof::new(step(header.seal.vrf_proof.get(), 64, by));
    };
    for spoil in [&signed as &dyn Fn(&mut SealedHeader, u8), &proven] {
        let mut headers = [good[0], good[2]];
        spoil(&mut headers[0], 1);
        spoil(&mut headers[1], 255);
        assert!(ProvenHeader::prove_all(spec, &headers).iter().all(Result::is_err));
    }
}
