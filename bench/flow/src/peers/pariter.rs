//! pariter: a parallel map over an iterator, in order, all four stages in one.

use super::CHANNEL_ITEMS;
use crate::workloads::fused::{Item, Run};
use pariter::IteratorExt;
use std::time::Instant;

/// `threads` threads map, this one feeds them and folds.
pub(crate) fn fused<I: Item>(threads: usize, count: u64) -> anyhow::Result<Run> {
    let start = Instant::now();
    let mapped = (0..count)
        .map(I::nth)
        .parallel_map_custom(|settings| settings.threads(threads).buffer_size(CHANNEL_ITEMS), I::through);
    let sum = mapped.fold(0, |sum, item| item.fold(sum));
    Ok((start.elapsed(), sum))
}
