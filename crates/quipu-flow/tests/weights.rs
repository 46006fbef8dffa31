//! What items are charged against what was really allocated: a counting allocator, so this is a program of its own.

#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

use quipu_flow::{Flow, Weigh};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

struct Counting;

thread_local! {
    /// Bytes that this thread has allocated and not freed.
    static ALLOCATED: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that is going down has no count any more.
    let _ = ALLOCATED.try_with(|allocated| allocated.set(allocated.get() + bytes));
}

// SAFETY: every call goes to the system's allocator unchanged; the count beside it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that a value owns outside itself, and what it is charged for them.
fn measured<T: Weigh>(make: impl FnOnce() -> T) -> (usize, usize) {
    let before = ALLOCATED.get();
    let value = make();
    let allocated = usize::try_from(ALLOCATED.get() - before).unwrap();
    (allocated, value.heap_bytes())
}

/// What is charged is what is allocated, to the byte.
fn exact<T: Weigh>(make: impl FnOnce() -> T) {
    let (allocated, charged) = measured(make);
    assert_eq!(charged, allocated, "{}", std::any::type_name::<T>());
}

/// What is charged is within a part of what is allocated, in percent: where the standard library does not say how large
/// its nodes or tables are.
fn close<T: Weigh>(percent: usize, make: impl FnOnce() -> T) {
    let (allocated, charged) = measured(make);
    let name = std::any::type_name::<T>();
    assert!(
        charged.abs_diff(allocated) * 100 <= allocated * percent,
        "{name}: {charged} charged, {allocated} allocated"
    );
}

#[test]
fn weights_match_a_counting_allocator() {
    let text = |length: usize| "x".repeat(length);
    exact(|| 7u64);
    exact(|| text(1000));
    exact(|| String::with_capacity(500));
    exact(|| std::path::PathBuf::from(text(99)));
    exact(|| vec![0u32; 1000]);
    exact(|| Vec::<u64>::with_capacity(77));
    exact(|| (0..50).map(text).collect::<Vec<String>>());
    exact(|| vec![vec![vec![1u8; 10]; 10]; 10]);
    exact(|| Box::new([0u64; 100]));
    exact(|| Box::<str>::from("a knot"));
    exact(|| vec![1u16; 33].into_boxed_slice());
    exact(|| Arc::new([0u64; 100]));
    exact(|| Arc::new(text(300)));
    // Rounded up to whole words.
    close(20, || Arc::<str>::from("a knot and a cord"));
    exact(|| Some(Box::new(text(20))));
    exact(|| Ok::<_, String>(vec![text(5), text(50)]));
    exact(|| (text(5), vec![1u8, 2], Some(text(7)), 9u32));
    exact(|| [text(1), text(2), text(3)]);
    exact(|| std::borrow::Cow::<'static, str>::Owned(text(60)));
    exact(|| std::borrow::Cow::Borrowed("a knot"));
    exact(|| VecDeque::from(vec![text(9); 10]));
    // Tables have spare slots, one byte for each, and a group of those at the end.
    close(30, || (0..1000u64).map(|n| (n, n)).collect::<HashMap<u64, u64>>());
    close(30, || (0..100).map(|n| (text(n), vec![n; 10])).collect::<HashMap<String, Vec<usize>>>());
    close(30, || (0..1000u64).collect::<HashSet<u64>>());
    // Nodes of trees are half full at least.
    close(60, || (0..1000u64).map(|n| (n, n)).collect::<BTreeMap<u64, u64>>());
    close(60, || (0..1000u64).collect::<BTreeSet<u64>>());
}

#[test]
fn a_run_charges_what_its_items_allocate() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let report = runtime.block_on(async {
        let flow = Flow::from_iter(["x".repeat(1000)]).map(|text| text.into_bytes());
        flow.for_each(drop).run().await.unwrap()
    });
    let (allocated, _) = measured(|| "x".repeat(1000));
    // As a `String` before the map, and as a `Vec` before the end.
    let charged: Vec<u64> = report.stages[1..].iter().map(|stage| stage.bytes_peak).collect();
    assert_eq!(charged, [(allocated + size_of::<String>()) as u64; 2]);
}
