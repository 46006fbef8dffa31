//! What flows: a number that counts how many of its kind are alive, and what becomes of it by its number alone.

use quipu_flow::Weigh;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

/// No item weighs more.
pub(crate) const WEIGHT_MAX: u64 = 8;

/// How many items are alive.
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<AtomicI64>);

impl Census {
    pub(crate) fn item(&self, value: u64) -> Item {
        self.0.fetch_add(1, SeqCst);
        Item { value, census: self.clone() }
    }

    pub(crate) fn alive(&self) -> i64 {
        self.0.load(SeqCst)
    }

    /// Who holds on to it: this one, live items, and functions of the flow.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

pub(crate) struct Item {
    pub(crate) value: u64,
    census: Census,
}

impl Item {
    /// Another item with a value that follows from this one's.
    pub(crate) fn with(&self, value: u64) -> Self {
        self.census.item(value)
    }

    /// Becomes what a stage makes of it.
    pub(crate) fn step(mut self, salt: u64) -> Self {
        self.value = mix(self.value, salt);
        self
    }
}

impl Clone for Item {
    fn clone(&self) -> Self {
        self.census.item(self.value)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.census.0.fetch_sub(1, SeqCst);
    }
}

impl Weigh for Item {
    fn heap_bytes(&self) -> usize {
        0
    }

    // Weights differ from item to item, so that stages shrink and grow them.
    fn weight(&self) -> usize {
        (self.value % (WEIGHT_MAX + 1)) as usize
    }
}

pub(crate) fn mix(value: u64, salt: u64) -> u64 {
    let mut mixed = value.wrapping_add(salt).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A generator whose seeds mean the same for ever.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0, 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
