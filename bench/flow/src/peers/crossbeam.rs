//! OS threads and bounded crossbeam channels: a fixed number of threads for each stage, a reorder buffer at the end.

use super::CHANNEL_ITEMS;
use super::reorder::Reorder;
use crate::workloads::fused::{Item, Run};
use crate::workloads::skew::Shape;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::thread::{Scope, scope};
use std::time::{Duration, Instant};

/// Four stages of `threads` threads each; the source is this thread, the sink another.
pub(crate) fn fused<I: Item>(threads: usize, count: u64) -> anyhow::Result<Run> {
    let start = Instant::now();
    let sum = scope(|scope| {
        let (source, input) = bounded(CHANNEL_ITEMS);
        let added = stage(scope, threads, input, |(number, item): (u64, I)| (number, item.add()));
        let multiplied = stage(scope, threads, added, |(number, item)| (number, item.multiply()));
        let mixed = stage(scope, threads, multiplied, |(number, item)| (number, item.xor()));
        let rotated = stage(scope, threads, mixed, |(number, item)| (number, item.rotate()));
        let sink = scope.spawn(move || {
            let (mut sum, mut order) = (0, Reorder::new());
            for (number, item) in rotated {
                order.take(number, item, |item: I| sum = item.fold(sum));
            }
            sum
        });
        feed(source, (0..count).map(|index| (index, I::nth(index))));
        sink.join()
    });
    let sum = sum.map_err(|_| anyhow::anyhow!("the sink panicked"))?;
    Ok((start.elapsed(), sum))
}

/// So many threads for each stage, as `split` says.
pub(crate) fn skewed(shape: &Shape, split: &[usize]) -> Duration {
    let start = Instant::now();
    let run = shape.begin();
    scope(|scope| {
        let (source, mut end) = bounded(CHANNEL_ITEMS);
        for (index, threads) in split.iter().enumerate() {
            let run = run.clone();
            end = stage(scope, *threads, end, move |item: u64| {
                run.stage(index);
                item
            });
        }
        scope.spawn(move || end.into_iter().for_each(drop));
        feed(source, 0..shape.items);
    });
    start.elapsed()
}

fn stage<'scope, In: Send + 'scope, Out: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    threads: usize,
    input: Receiver<In>,
    work: impl Fn(In) -> Out + Clone + Send + 'scope,
) -> Receiver<Out> {
    let (output, next) = bounded(CHANNEL_ITEMS);
    for _ in 0..threads {
        let (input, output, work) = (input.clone(), output.clone(), work.clone());
        scope.spawn(move || feed(output, input.into_iter().map(work)));
    }
    next
}

/// Sends until there is no more, or nobody listens.
fn feed<T>(output: Sender<T>, items: impl Iterator<Item = T>) {
    for item in items {
        if output.send(item).is_err() {
            return;
        }
    }
}
