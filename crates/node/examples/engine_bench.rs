//! What the engine does with headers, and what it costs: `cargo xtask bench engine`. Prints Markdown.
#![allow(clippy::print_stdout, reason = "its result is the table")]

#[path = "../../consensus/tests/farm/mod.rs"]
mod farm;

use std::{fs, hint::black_box, thread, time::Instant};

use farm::Farm;
use mass_consensus::{
    engine::{Engine, Input},
    header::SealedHeader,
    keys::{verify_seal_signature, verify_seal_signatures, verify_vrf},
    lottery::challenge,
    proven::ProvenHeader,
    spec::ChainSpec,
    tree::HeaderTree,
};
use mass_node::prove_headers;
use mass_primitives::{BlockId, Slot};
use mass_proof_of_space::verify;

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

/// The best of three runs, in microseconds for each of `count`.
fn each(count: usize, mut work: impl FnMut()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e6 / count as f64
    };
    (0..3).map(run).fold(f64::INFINITY, f64::min)
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn row(what: &str, micros: f64) {
    println!("| {what} | {micros:.1} | {:.0} |", 1e6 / micros);
}

fn main() {
    let (spec, headers) = make_chain();
    let some = &headers[..BATCH];
    println!("| for each header | us | a second |\n|---|---:|---:|");
    stages(&spec, some);
    let one_by_one = || some.iter().for_each(|header| drop(black_box(ProvenHeader::prove(&spec, *header))));
    row("all rules, one by one", each(BATCH, one_by_one));
    row("all rules, 512 together", each(BATCH, || drop(black_box(ProvenHeader::prove_all(&spec, some)))));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let answers = || headers.chunks(BATCH).for_each(|list| drop(black_box(prove_headers(&spec, list))));
    row(&format!("all rules, 512 together, {threads} processors, as in a sync"), each(HEADERS, answers));
    let stored = || headers.chunks(4096).for_each(|list| drop(black_box(prove_headers(&spec, list))));
    row(&format!("all rules, 4,096 together, {threads} processors, as at a start"), each(HEADERS, stored));
    let proven: Vec<ProvenHeader> = prove_headers(&spec, &headers).into_iter().flatten().collect();
    assert_eq!(proven.len(), HEADERS);
    let linked = each(HEADERS, || drop(black_box(follow(&spec, &proven))));
    row("`Engine::step` for a linked header, no proofs", linked);
    // The first ones fill what was freed before.
    let engines = |count: usize| (0..count).map(|_| follow(&spec, &proven)).collect::<Vec<_>>();
    let (first, before) = (engines(4), resident());
    let then = engines(4);
    let grown = resident().saturating_sub(before) / (then.len() * HEADERS) as u64;
    let last = proven[HEADERS - 1].id();
    assert!(first.iter().chain(&then).all(|engine| engine.tree().get(last).is_some()));
    println!("\nThe engine holds {grown} bytes for each header.");
}

/// The parts of a proof, and what the curve alone costs.
fn stages(spec: &ChainSpec, some: &[SealedHeader]) {
    let id = spec.id();
    let part = |header: &SealedHeader| (*header.seal.claim.farmer(), header.id(), header.seal.signature);
    let signed: Vec<_> = some.iter().map(part).collect();
    let signatures = || {
        for (farmer, block, signature) in &signed {
            assert!(verify_seal_signature(farmer, id, block, signature).is_ok());
        }
    };
    row("signature (SIG-1), one by one", each(BATCH, signatures));
    row("signature, 512 together", each(BATCH, || assert!(verify_seal_signatures(id, &signed))));
    let vrf = || {
        for header in some {
            let (claim, round) = (&header.seal.claim, spec.round(header.seal.claim.slot));
            let (output, proof) = (&claim.vrf_output, &header.seal.vrf_proof);
            assert!(verify_vrf(claim.farmer(), id, &claim.seed, round, output, proof).is_ok());
        }
    };
    row("VRF (VRF-1)", each(BATCH, vrf));
    let space = || {
        for header in some {
            let claim = &header.seal.claim;
            let question = challenge(spec.beacon_id(), &claim.seed, spec.round(claim.slot));
            assert!(verify(&claim.plot(), &question, &claim.proof).is_ok());
        }
    };
    row("proof of space (POS-1 to POS-15), k = 18", each(BATCH, space));
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
