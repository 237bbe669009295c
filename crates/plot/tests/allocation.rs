//! Verification takes no memory from the heap, whether the proof is good or bad: what it needs is on the stack.
//!
//! The test is in this crate because an allocator takes unsafe code, which the verifier's crate has none of.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use mass_primitives::{Challenge, FarmerPublicKey, GroupNonce};
use mass_proof_of_space::{GroupIdentity, PlotSize, Proof, Strength, verify};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn verification_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let identity = GroupIdentity {
        size: PlotSize::MIN,
        strength: Strength::MIN,
        farmer: FarmerPublicKey::new([7; 32]),
        nonce: GroupNonce::new([8; 32]),
    };
    let plot = mass_plot::Plot::open(&mass_plot::create(dir.path(), &identity).unwrap()).unwrap();
    let (challenge, chain) = (0..=255)
        .map(|i| Challenge::new([i; 32]))
        .find_map(|challenge| Some((challenge, *plot.qualities(&challenge).unwrap().first()?)))
        .unwrap();
    let mut bytes = Vec::new();
    plot.solve(&chain).unwrap().write(&mut bytes);
    let mut spoilt = bytes.clone();
    spoilt[9] ^= 1;
    let before = ALLOCATIONS.with(Cell::get);
    assert!(before > 0);
    let check = |bytes: &[u8]| verify(plot.params(), &challenge, &Proof::read(PlotSize::MIN, bytes)?);
    let (good, bad, short) = (check(&bytes), check(&spoilt), check(&bytes[1..]));
    assert_eq!(ALLOCATIONS.with(Cell::get), before);
    assert_eq!(good, Ok(chain));
    assert!(bad.is_err() && short.is_err());
}
