//! What the engine does with headers, and what it costs: `cargo xtask bench engine`. Prints Markdown.
#![allow(clippy::print_stdout, reason = "its result is the table")]

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;

use std::{hint::black_box, thread, time::Instant};

use curve25519_dalek::{
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
    traits::VartimeMultiscalarMul as _,
};
use farm::{Counter, Farm};
use mass_consensus::{
    engine::{Engine, Input},
    header::{Header, Seal, SealClaim, SealedHeader},
    keys::{FarmerSecret, Sealing, verify_seal_signature, verify_together, verify_vrf},
    lottery::challenge,
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::{HeaderTree, Restored},
};
use mass_node::prove_headers;
use mass_primitives::{
    BlockId, BodyRoot, ChainId, FarmerPublicKey, GroupNonce, PlotIndex, Round, SealSignature, Seed, Slot,
    Ticket, VrfOutput, VrfProof,
};
use mass_proof_of_space::{GroupIdentity, Proof, Strength, verify};
use rustix::time::{ClockId, clock_gettime};

/// Headers of the chain that is measured.
const HEADERS: usize = 16_384;

/// Headers of one answer of a peer.
const BATCH: usize = 512;

const GENESIS: BlockId = BlockId::new([1; 32]);

/// A chain of two farmers.
fn make_chain() -> (ChainSpec, Vec<SealedHeader>) {
    let farms = [Farm::easy(8, [7; 32]), Farm::easy(8, [8; 32])];
    let spec = farms[0].spec.clone();
    let (mut tree, mut tip, mut headers) = (HeaderTree::new(spec.clone(), GENESIS), GENESIS, Vec::new());
    for farm in farms.iter().cycle().take(HEADERS) {
        let sealed = farm.next(tip, tree.expectation(&tip, Slot::ZERO).expect("the tip is known"));
        tree.link(&ProvenHeader::prove(&spec, sealed).expect("a good header")).expect("in its place");
        tip = sealed.id();
        headers.push(sealed);
    }
    (spec, headers)
}

/// Microseconds of processor time, and by the clock on the wall, for each of `count`: the best of five runs.
fn each(count: usize, mut work: impl FnMut()) -> (f64, f64) {
    let cpu_seconds = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let micros = |seconds: f64| seconds * 1e6 / count as f64;
    let run = |_| {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        work();
        (micros(cpu_seconds() - cpu), micros(start.elapsed().as_secs_f64()))
    };
    let best = |best: (f64, f64), run: (f64, f64)| (best.0.min(run.0), best.1.min(run.1));
    (0..5).map(run).fold((f64::INFINITY, f64::INFINITY), best)
}

/// Resident bytes of this process.
fn resident() -> u64 {
    mass_rpc::memory_bytes().unwrap_or(0)
}

fn row(what: &str, times: (f64, f64)) {
    row_of(what, 1, times);
}

fn row_of(what: &str, processors: usize, (cpu, wall): (f64, f64)) {
    println!("| {what} | {cpu:.1} | {:.0} | {wall:.1} |", processors as f64 * 1e6 / cpu);
}

fn main() {
    let (spec, headers) = make_chain();
    let some = &headers[..BATCH];
    println!("| for each header | CPU us | a second by CPU | wall us |\n|---|---:|---:|---:|");
    stages(&spec, some);
    let one_by_one = || some.iter().for_each(|header| drop(black_box(ProvenHeader::prove(&spec, *header))));
    row("all rules, one by one", each(BATCH, one_by_one));
    row("all rules, 512 together", each(BATCH, || drop(black_box(ProvenHeader::prove_all(&spec, some)))));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let answers = || headers.chunks(BATCH).for_each(|list| drop(black_box(prove_headers(&spec, list))));
    let sync = format!("all rules, 512 together, {threads} processors, as in a sync");
    row_of(&sync, threads, each(HEADERS, answers));
    let stored = || headers.chunks(4096).for_each(|list| drop(black_box(prove_headers(&spec, list))));
    let doubted = format!("all rules, 4,096 together, {threads} processors, as with `--reverify`");
    row_of(&doubted, threads, each(HEADERS, stored));
    let proven: Vec<ProvenHeader> = prove_headers(&spec, &headers).into_iter().flatten().collect();
    assert_eq!(proven.len(), HEADERS);
    let linked = each(HEADERS, || drop(black_box(follow(&spec, &proven))));
    row("`Engine::step` for a linked header, no proofs", linked);
    let restored: Vec<Restored> = proven.iter().map(Restored::from).collect();
    let restore = || {
        let mut engine = Engine::new(spec.clone(), GENESIS);
        restored.iter().for_each(|header| engine.restore(header, &[]).expect("in its place"));
        black_box(engine);
    };
    row("`Engine::restore` for a stored header, as at a start", each(HEADERS, restore));
    drop((headers, proven, restored));
    memory();
}

/// What an engine of Mass Net holds after so many blocks, each by a farmer of a thousand. Their proofs are no proofs, but
/// as long: an engine believes its own storage.
fn memory() {
    let spec = ChainSpec::built_in("massnet").expect("it is built in");
    let mut engine = Engine::new(spec.clone(), GENESIS);
    let (before, mut tip) = (resident(), GENESIS);
    println!("\n| Mass Net, headers | held by the engine, MB | bytes for each |\n|---:|---:|---:|");
    for number in 1..=400_000u64 {
        let header = stored(&spec, engine.tree(), tip, number);
        tip = header.id;
        engine.restore(&header, &[]).expect("in its place");
        if [20_000, 100_000, 400_000].contains(&number) {
            let held = resident().saturating_sub(before);
            println!("| {number} | {} | {} |", held / 1_000_000, held / number);
        }
    }
    assert_eq!(engine.tree().len(), 400_001);
}

fn stored(spec: &ChainSpec, tree: &HeaderTree, parent: BlockId, number: u64) -> Restored {
    let expected = tree.expectation(&parent, Slot::ZERO).expect("the parent is known");
    let bytes = |number: u64| std::array::from_fn(|at| if at < 8 { number.to_be_bytes()[at] } else { 0 });
    let (size, strength) = (spec.plot_size(), Strength::MIN);
    let (farmer, nonce) = (FarmerPublicKey::new(bytes(number % 1_000)), GroupNonce::new([0; 32]));
    let claim = SealClaim {
        chain: *spec.id(),
        height: expected.height,
        slot: Slot::new(expected.after.get() + 1 + (number * 7) % 29),
        difficulty: expected.difficulty,
        seed: expected.seed,
        group: GroupIdentity { size, strength, farmer, nonce },
        index: PlotIndex::ZERO,
        proof: Proof::new(size, [0; 128]).expect("x-values in range"),
        vrf_output: VrfOutput::new(bytes(number)),
    };
    let (root, nonce) = (BodyRoot::ZERO, number as u32);
    let time = spec.slot_time(claim.slot).expect("before the last slot");
    let header = Header { version: 0, parent, root, time, bits: 0, nonce };
    let seal = Seal { claim, vrf_proof: VrfProof::new([0; 96]), signature: SealSignature::ZERO };
    Restored { id: header.id(), ticket: Ticket::new(bytes(number)), sealed: SealedHeader { header, seal } }
}

/// The parts of a proof, and what the curve alone costs.
fn stages(spec: &ChainSpec, some: &[SealedHeader]) {
    let chain = spec.id();
    let foreign: Vec<Sealing> = (0..BATCH as u64).map(|number| sealing(chain, number)).collect();
    let signatures = || {
        for one in &foreign {
            assert!(verify_seal_signature(&one.farmer, chain, &one.id, &one.signature).is_ok());
        }
    };
    row("signature (SIG-1), one by one", each(BATCH, signatures));
    let vrf = || {
        for one in &foreign {
            assert!(verify_vrf(&one.farmer, chain, &one.seed, one.round, &one.output, &one.proof).is_ok());
        }
    };
    row("VRF (VRF-1), one by one", each(BATCH, vrf));
    row(
        "signature and VRF, 512 together, of as many farmers",
        each(BATCH, || assert!(verify_together(chain, &foreign))),
    );
    row("of this the bare operations of the curve", each(BATCH, || bare_curve(&foreign)));
    let farmer = FarmerSecret::from_seed(&[9; 32]);
    let of_one: Vec<Sealing> = (0..BATCH as u64).map(|number| sealing_of(&farmer, chain, number)).collect();
    row(
        "signature and VRF, 512 together, of one farmer",
        each(BATCH, || assert!(verify_together(chain, &of_one))),
    );
    let space = || {
        for header in some {
            let claim = &header.seal.claim;
            let question = challenge(spec.beacon_id(), &claim.seed, spec.round(claim.slot));
            assert!(verify(&claim.plot(), &question, &claim.proof).is_ok());
        }
    };
    row("proof of space (POS-1 to POS-15), k = 18", each(BATCH, space));
}

/// What one more farmer's key answers for.
fn sealing(chain: &ChainId, number: u64) -> Sealing {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    sealing_of(&FarmerSecret::from_seed(&seed), chain, number)
}

fn sealing_of(farmer: &FarmerSecret, chain: &ChainId, number: u64) -> Sealing {
    let (seed, round, id) = (Seed::new([1; 32]), Round::new(number), BlockId::new([number as u8; 32]));
    let (output, proof) = farmer.evaluate(chain, &seed, round, Counter(number));
    let signature = farmer.sign(chain, &id, Counter(number));
    Sealing { farmer: farmer.public(), seed, round, output, proof, id, signature }
}

/// What a batch cannot do without: five points read, one hashed to and written, six terms of a sum, three of them short.
fn bare_curve(list: &[Sealing]) {
    let (mut points, mut scalars) = (Vec::new(), Vec::new());
    for one in list {
        let (proof, signature) = (one.proof.as_bytes(), one.signature.as_bytes());
        for bytes in
            [&proof[..32], &proof[32..64], &signature[..32], one.farmer.as_bytes(), one.output.as_bytes()]
        {
            let point = CompressedRistretto::from_slice(bytes).expect("32 bytes").decompress();
            points.push(point.expect("a point"));
        }
        let mut uniform = [0; 64];
        uniform.copy_from_slice(&proof[32..]);
        let point = RistrettoPoint::from_uniform_bytes(&uniform);
        black_box(point.compress());
        points.push(point);
        let mut scalar = [0; 32];
        scalar.copy_from_slice(&proof[64..]);
        let long = Scalar::from_bytes_mod_order(scalar);
        scalar[16..].fill(0);
        let short = Scalar::from_bytes_mod_order(scalar);
        scalars.extend([short, short, short, long, long, long]);
    }
    black_box(RistrettoPoint::vartime_multiscalar_mul(scalars, points));
}

/// An engine that took all headers.
fn follow(spec: &ChainSpec, proven: &[ProvenHeader]) -> Engine {
    let mut engine = Engine::new(spec.clone(), GENESIS);
    engine.step(Input::Tick(Slot::new(1 << 40)));
    for header in proven {
        black_box(engine.step(Input::Header(header.clone())));
    }
    engine
}
