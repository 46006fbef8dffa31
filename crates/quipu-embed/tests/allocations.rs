//! A warm encoder embeds without asking for memory. A program of its own, because it counts what the whole process asks for.
#![allow(clippy::unwrap_used, unsafe_code)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use quipu_embed::{Embedder, Encoder, Kernel, TokenIds};
use support::Copy;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_encoder_allocates_nothing() {
    let copy = Copy::of("twelve-layers");
    for kernel in Kernel::available() {
        let encoder = Encoder::load_with(copy.path(), kernel).unwrap();
        // Lengths from 3 to 48 tokens, and more than one batch of them.
        let text = |index: usize| vec!["sea"; 1 + index * 7 % 60].join(" ");
        let chunks: Vec<TokenIds> = (0..60).map(|index| encoder.tokenizer().encode(&text(index))).collect();
        let mut vectors = vec![0.0; chunks.len() * encoder.info().dimensions];
        encoder.embed_into(&chunks, &mut vectors).unwrap();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        encoder.embed_into(&chunks, &mut vectors).unwrap();
        encoder.embed_into(&chunks[7..30], &mut vectors[..23 * encoder.info().dimensions]).unwrap();
        let after = ALLOCATIONS.load(Ordering::Relaxed);
        assert_eq!(after - before, 0, "allocations on {}", kernel.name());
    }
}
