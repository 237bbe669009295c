//! Faults in sealed headers, by strangers and by their own farmers, and in evidence.

use mass_consensus::{
    difficulty::compact_target,
    evidence::{Evidence, ProvenEvidence},
    header::{HEADER_BYTES, Header, SealClaim, SealedHeader},
    proven::ProvenHeader,
    rule::Numbered,
};
use mass_primitives::{
    BlockId, BodyRoot, Decode, Difficulty, Encode, Height, PlotIndex, Round, SealSignature, Seed, Slot,
    VrfOutput, VrfProof,
};

use mass_proof_of_space::PlotSize;

use crate::{Outcome, dice::Dice, sound::Sound};

/// Proven, alone and in a batch with good ones, and linked in the place of the header that it was made from.
fn judge(sound: &Sound, sealed: SealedHeader, at: usize) -> Result<ProvenHeader, &'static str> {
    let alone = ProvenHeader::prove(&sound.spec, sealed);
    let together = ProvenHeader::prove_all(&sound.spec, &[sound.headers[0], sealed]);
    assert!(together[0].is_ok());
    assert_eq!(together[1], alone, "a batch says the same");
    let proven = alone.map_err(|error| error.rule())?;
    sound.trees[at].clone().link(&proven).map_err(|error| error.rule())?;
    Ok(proven)
}

/// Bytes that are none are refused by the layout of the claim, or by that of what is around it.
fn layout(bytes: &[u8]) -> &'static str {
    let of_claim = bytes.get(HEADER_BYTES..).unwrap_or_default();
    match SealClaim::decode(&mut mass_primitives::Reader::new(of_claim)) {
        Ok(_) => "SEAL-2",
        Err(_) => "SEAL-1",
    }
}

/// A stranger's fault: nothing but the very header may pass.
fn by_stranger(sound: &Sound, bytes: &[u8], at: usize) -> Outcome {
    let Ok(sealed) = SealedHeader::from_bytes(bytes) else { return Outcome::Broken(layout(bytes)) };
    assert_eq!(sealed.to_bytes(), bytes, "there is one encoding");
    match judge(sound, sealed, at) {
        Err(rule) => Outcome::Broken(rule),
        Ok(_) if sealed == sound.headers[at] => Outcome::Passes("the fault undid itself: the same bytes"),
        Ok(_) => Outcome::Forged("a header without its farmer's key"),
    }
}

pub fn header(sound: &Sound, dice: &mut Dice) -> Outcome {
    let at = dice.below(sound.headers.len());
    let mut bytes = sound.headers[at].to_bytes();
    let other = dice.pick(&sound.headers).to_bytes();
    dice.spoil(&mut bytes, &other);
    by_stranger(sound, &bytes, at)
}

pub fn seal(sound: &Sound, dice: &mut Dice) -> Outcome {
    let at = dice.below(sound.headers.len());
    let mut bytes = sound.headers[at].to_bytes();
    let other = dice.pick(&sound.headers).to_bytes();
    let start = bytes.len() - VrfProof::LEN - SealSignature::LEN;
    let mut beside = bytes.split_off(start);
    dice.spoil(&mut beside, &other[start..]);
    bytes.extend(beside);
    by_stranger(sound, &bytes, at)
}

pub fn resealed(sound: &Sound, dice: &mut Dice) -> Outcome {
    let at = dice.below(sound.headers.len());
    let good = sound.headers[at];
    let (mut header, mut claim) = (good.header, good.seal.claim);
    let what = change(sound, &mut header, &mut claim, dice);
    if dice.below(4) > 0 {
        (header.version, header.nonce) = Header::commitment_fields(&claim.commitment());
    }
    if dice.below(8) > 0 {
        header.bits = compact_target(claim.difficulty);
        header.time = sound.spec.slot_time(claim.slot).unwrap_or(header.time);
    }
    let Some(sealed) = sound.reseal(header, claim, dice.next() >> 1) else {
        return Outcome::Passes("not made: nobody has that farmer's key");
    };
    match judge(sound, sealed, at) {
        Err(rule) => Outcome::Broken(rule),
        Ok(_) if claim == good.seal.claim && header == good.header => {
            Outcome::Passes("proof and signature made anew by their farmer, the id is the same")
        }
        Ok(_) if claim == good.seal.claim && header.root != good.header.root => {
            Outcome::Passes("another body, sealed by the farmer himself: a double seal")
        }
        // A plot may win more than one slot of a round, and a win may be sealed on an earlier block. What a claim says of a
        // slot is fixed: to be free there is to grind.
        Ok(_) if claim.slot != good.seal.claim.slot => {
            Outcome::Passes("a win of another slot, sealed by its farmer: another block")
        }
        Ok(_) => Outcome::Forged(what),
    }
}

/// Changes a field to what its farmer might like better.
fn change(sound: &Sound, header: &mut Header, claim: &mut SealClaim, dice: &mut Dice) -> &'static str {
    let other = dice.pick(&sound.headers);
    let theirs = &other.seal.claim;
    let step = 1 + dice.below(40) as u64;
    let mut hash = [0; 32];
    hash.iter_mut().for_each(|byte| *byte = dice.next() as u8);
    match dice.below(18) {
        0 => claim.chain = mass_primitives::ChainId::new(hash),
        1 => claim.height = Height::new(claim.height.get().wrapping_add(step as u32)),
        2 => claim.slot = Slot::new(claim.slot.get().wrapping_add(step)),
        3 => claim.slot = Slot::new(claim.slot.get().saturating_sub(step)),
        4 => claim.difficulty = Difficulty::new(claim.difficulty.get().wrapping_add(1) >> dice.below(30)),
        5 => claim.difficulty = Difficulty::new(u128::from(step) << dice.below(120)),
        6 => claim.seed = Seed::new(hash),
        7 => claim.index = PlotIndex::new(claim.index.get() ^ (1 << dice.below(16))),
        8 => claim.proof = theirs.proof,
        9 => claim.vrf_output = VrfOutput::new(hash),
        10 => {
            // The output that belongs to another round: a point, and not the one.
            let secret = sound.secret(claim.farmer()).expect("the farmers are known");
            let round = Round::new(dice.next());
            claim.vrf_output = secret.evaluate(&claim.chain, &claim.seed, round, crate::farm::Counter(0)).0;
        }
        11 => claim.group = theirs.group,
        12 => header.parent = if step.is_multiple_of(2) { BlockId::new(hash) } else { other.header.parent },
        13 => header.root = BodyRoot::new(hash),
        14 => *claim = *theirs,
        15 => *claim = SealClaim { height: claim.height, ..*theirs },
        16 => claim.group.size = PlotSize::new(20).expect("a size"),
        _ => {
            header.time = header.time.wrapping_add(step as u32);
            return "another time";
        }
    }
    "a claim that its farmer changed"
}

pub fn evidence(sound: &Sound, dice: &mut Dice) -> Outcome {
    let good = dice.pick(&sound.evidence);
    let other = dice.pick(&sound.evidence).to_bytes();
    let mut bytes = good.to_bytes();
    let half = bytes.len() / 2;
    match dice.below(6) {
        0 => bytes.rotate_left(half),
        1 => bytes.copy_within(..half, half),
        2 => bytes[half..].copy_from_slice(&other[..half]),
        _ => dice.spoil(&mut bytes, &other),
    }
    let Ok(evidence) = Evidence::from_bytes(&bytes) else { return Outcome::Broken(layout(&bytes)) };
    assert_eq!(evidence.to_bytes(), bytes, "there is one encoding");
    match ProvenEvidence::prove(&sound.spec, evidence) {
        Err(error) => Outcome::Broken(error.rule()),
        Ok(_) if sound.evidence.contains(&evidence) => {
            Outcome::Passes("the same double seal, or another real one")
        }
        Ok(_) => Outcome::Forged("evidence of what was not done"),
    }
}
