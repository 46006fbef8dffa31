//! No engine at all: a loop, and threads that share a counter. What the work itself costs on this machine now.

use crate::workloads::fused::{Item, Run};
use crate::workloads::skew::Shape;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One loop over everything.
pub(crate) fn fused<I: Item>(count: u64) -> Run {
    let start = Instant::now();
    let sum = (0..count).fold(0, |sum, index| I::nth(std::hint::black_box(index)).through().fold(sum));
    (start.elapsed(), sum)
}

/// One thread a worker, each takes the next item through all stages.
pub(crate) fn skewed(shape: &Shape) -> Duration {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let run = shape.begin();
    std::thread::scope(|scope| {
        for _ in 0..shape.workers {
            scope.spawn(|| {
                while next.fetch_add(1, Relaxed) < shape.items {
                    (0..shape.stages.len()).for_each(|stage| run.stage(stage));
                }
            });
        }
    });
    start.elapsed()
}
