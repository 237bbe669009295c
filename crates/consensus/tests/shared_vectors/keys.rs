//! Keys at their edges, VRF-1 and SIG-1: points and scalars that are none or not canonical, and the key zero.

use mass_consensus::keys::{FarmerSecret, Sealing, verify_seal_signature, verify_together, verify_vrf};
use mass_primitives::{BlockId, ChainId, FarmerPublicKey, Round, SealSignature, Seed, VrfOutput, VrfProof};
use merlin::Transcript;
use schnorrkel::{
    SecretKey,
    context::{attach_rng, signing_context},
};
use serde::{Deserialize, Serialize};

use crate::{farm::Counter, vectors};

const CHAIN: ChainId = ChainId::new([1; 32]);
const SEED: Seed = Seed::new([2; 32]);
const ROUND: Round = Round::new(258);
const ID: BlockId = BlockId::new([3; 32]);

/// The order of the group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Evaluated {
    what: String,
    farmer: FarmerPublicKey,
    chain: ChainId,
    seed: Seed,
    round: String,
    output: VrfOutput,
    proof: VrfProof,
    verifies: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    what: String,
    farmer: FarmerPublicKey,
    chain: ChainId,
    id: BlockId,
    signature: SealSignature,
    verifies: bool,
}

/// The encoding of a point as the negative of what it should be: of the same point to who does not look at the sign.
fn negate(point: &mut [u8]) {
    let mut borrow = 0i16;
    for (byte, of_prime) in point.iter_mut().zip([0xed_u8].into_iter().chain([0xff; 30]).chain([0x7f])) {
        let difference = i16::from(of_prime) - i16::from(*byte) - borrow;
        (*byte, borrow) = (difference.rem_euclid(256) as u8, i16::from(difference < 0));
    }
}

/// A scalar plus the order: the same scalar, not canonical.
fn plus_order(scalar: &mut [u8]) {
    let mut carry = 0;
    for (byte, add) in scalar.iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
}

/// Whether it holds by itself, and so does each batch with it and with what is good.
fn proven(case: &Evaluated) -> bool {
    let round = Round::new(case.round.parse().unwrap());
    let alone = verify_vrf(&case.farmer, &case.chain, &case.seed, round, &case.output, &case.proof).is_ok();
    if let Some(signature) = zero_or_known(&case.farmer, &ID) {
        let (farmer, seed, output, proof) = (case.farmer, case.seed, case.output, case.proof);
        let sealing = Sealing { farmer, seed, round, output, proof, id: ID, signature };
        assert_eq!(verify_together(&case.chain, &[sealing]), alone, "{}", case.what);
        assert_eq!(verify_together(&case.chain, &[good(), sealing, good()]), alone, "{}", case.what);
    }
    alone
}

fn signed(case: &Signed) -> bool {
    let alone = verify_seal_signature(&case.farmer, &case.chain, &case.id, &case.signature).is_ok();
    if case.farmer == good().farmer {
        let sealing = Sealing { id: case.id, signature: case.signature, ..good() };
        assert_eq!(verify_together(&case.chain, &[sealing]), alone, "{}", case.what);
        assert_eq!(verify_together(&case.chain, &[good(), sealing, good()]), alone, "{}", case.what);
    }
    alone
}

/// An output and a signature that hold.
fn good() -> Sealing {
    let secret = FarmerSecret::from_seed(&[7; 32]);
    let (output, proof) = secret.evaluate(&CHAIN, &SEED, ROUND, Counter(0));
    let signature = secret.sign(&CHAIN, &ID, Counter(0));
    Sealing { farmer: secret.public(), seed: SEED, round: ROUND, output, proof, id: ID, signature }
}

/// A good signature of the two keys whose secrets are known here.
fn zero_or_known(farmer: &FarmerPublicKey, id: &BlockId) -> Option<SealSignature> {
    if *farmer == FarmerPublicKey::ZERO {
        let message = signing_context(b"MASS/seal-signature/v1").bytes(&[CHAIN.get(), id.get()].concat());
        return Some(SealSignature::new(zero_key().sign(attach_rng(message, Counter(0))).to_bytes()));
    }
    (*farmer == good().farmer).then(|| good().signature)
}

/// The key whose secret is zero, which schnorrkel makes as well as any.
fn zero_key() -> schnorrkel::Keypair {
    SecretKey::from_bytes(&[0; 64]).unwrap().to_keypair()
}

fn evaluations() -> Vec<Evaluated> {
    let secret = FarmerSecret::from_seed(&[7; 32]);
    let (output, proof) = secret.evaluate(&CHAIN, &SEED, ROUND, Counter(0));
    let case = |what: &str, farmer: FarmerPublicKey, output: VrfOutput, proof: VrfProof| {
        let (what, round) = (what.to_owned(), ROUND.to_string());
        let mut case =
            Evaluated { what, farmer, chain: CHAIN, seed: SEED, round, output, proof, verifies: false };
        case.verifies = proven(&case);
        case
    };
    let changed = |change: fn(&mut [u8; 96])| {
        let mut bytes = proof.get();
        change(&mut bytes);
        VrfProof::new(bytes)
    };
    let farmer = secret.public();
    let input = [&CHAIN.get()[..], &SEED.get(), &ROUND.get().to_le_bytes()].concat();
    let (zero_output, _, zero_proof) = zero_key().vrf_sign_extra(
        signing_context(b"MASS/vrf/v1").bytes(&input),
        attach_rng(Transcript::new(b"VRF"), Counter(0)),
    );
    let zero_output = VrfOutput::new(zero_output.to_preout().to_bytes());
    let no_point = [0xff; 32];
    vec![
        case("good", farmer, output, proof),
        case(
            "another proof of the same",
            farmer,
            output,
            secret.evaluate(&CHAIN, &SEED, ROUND, Counter(9)).1,
        ),
        case("the response plus the order", farmer, output, changed(|bytes| plus_order(&mut bytes[64..]))),
        case("another response", farmer, output, changed(|bytes| bytes[64] ^= 1)),
        case("another nonce point", farmer, output, changed(|bytes| bytes[..32].fill(0))),
        case("another point of the input", farmer, output, changed(|bytes| bytes[32..64].fill(0))),
        case("nonce points swapped", farmer, output, changed(|bytes| bytes[..64].rotate_left(32))),
        case("the nonce point, not canonical", farmer, output, changed(|bytes| negate(&mut bytes[..32]))),
        case(
            "the point of the input, not canonical",
            farmer,
            output,
            changed(|bytes| negate(&mut bytes[32..64])),
        ),
        case(
            "nonce point zero, not canonical",
            farmer,
            output,
            changed(|bytes| {
                bytes[..32].fill(0);
                negate(&mut bytes[..32]);
            }),
        ),
        case("no nonce point", farmer, output, changed(|bytes| bytes[..32].fill(0xff))),
        case("no point of the input", farmer, output, changed(|bytes| bytes[32..64].fill(0xff))),
        case("no point for a key", FarmerPublicKey::new(no_point), output, proof),
        case("no point for an output", farmer, VrfOutput::new(no_point), proof),
        case("output zero", farmer, VrfOutput::ZERO, proof),
        case(
            "key zero, with its own output and proof",
            FarmerPublicKey::ZERO,
            zero_output,
            VrfProof::new(zero_proof.to_bytes()),
        ),
        case("proof zero", farmer, output, VrfProof::new([0; 96])),
    ]
}

#[test]
fn vrf_1() {
    let cases: Vec<Evaluated> = vectors("keys/VRF-1.json", evaluations);
    for case in &cases {
        assert_eq!(proven(case), case.verifies, "{}", case.what);
    }
    assert_eq!(cases.iter().filter(|case| case.verifies).count(), 2, "the good ones");
}

fn signatures() -> Vec<Signed> {
    let secret = FarmerSecret::from_seed(&[7; 32]);
    let farmer = secret.public();
    let good = secret.sign(&CHAIN, &ID, Counter(0));
    let case = |what: &str, farmer: FarmerPublicKey, signature: SealSignature| {
        let mut case =
            Signed { what: what.to_owned(), farmer, chain: CHAIN, id: ID, signature, verifies: false };
        case.verifies = signed(&case);
        case
    };
    let changed = |change: fn(&mut [u8; 64])| {
        let mut bytes = good.get();
        change(&mut bytes);
        SealSignature::new(bytes)
    };
    let zero = zero_or_known(&FarmerPublicKey::ZERO, &ID).unwrap();
    vec![
        case("good", farmer, good),
        case("another signature of the same", farmer, secret.sign(&CHAIN, &ID, Counter(9))),
        case("the scalar plus the order", farmer, changed(|bytes| plus_order(&mut bytes[32..]))),
        case("the mark is missing", farmer, changed(|bytes| bytes[63] &= 0x7f)),
        case("another point", farmer, changed(|bytes| bytes[0] ^= 2)),
        case("no point", farmer, changed(|bytes| bytes[..32].fill(0xff))),
        case("no point for a key", FarmerPublicKey::new([0xff; 32]), good),
        case("key zero, with its own signature", FarmerPublicKey::ZERO, zero),
        case("signature for another chain", farmer, secret.sign(&ChainId::new([9; 32]), &ID, Counter(0))),
    ]
}

#[test]
fn sig_1() {
    let cases: Vec<Signed> = vectors("keys/SIG-1.json", signatures);
    for case in &cases {
        assert_eq!(signed(case), case.verifies, "{}", case.what);
    }
    assert!(cases[..2].iter().all(|case| case.verifies));
}
