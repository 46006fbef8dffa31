//! The design that Quipu began with: bounded Tokio channels between stages, several workers a stage that share the
//! receiver behind an `Arc<Mutex<_>>`, and a reorder buffer at the end. Short work runs on Tokio's workers, long work
//! on its blocking threads: as that design said.

use super::reorder::Reorder;
use super::{CHANNEL_ITEMS, CHANNEL_ITEMS_LARGE};
use crate::workloads::expansion;
use crate::workloads::fused::{Item, Run};
use crate::workloads::skew::Shape;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A runtime of so many workers.
pub(crate) fn runtime(threads: usize) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_time().build()
}

/// Four stages of `threads` workers each.
pub(crate) fn fused<I: Item>(runtime: &Runtime, threads: usize, count: u64) -> anyhow::Result<Run> {
    let start = Instant::now();
    let sum = runtime.block_on(async move {
        let (source, input) = channel(CHANNEL_ITEMS);
        let added = stage(threads, input, |(number, item): (u64, I)| (number, item.add()));
        let multiplied = stage(threads, added, |(number, item)| (number, item.multiply()));
        let mixed = stage(threads, multiplied, |(number, item)| (number, item.xor()));
        let mut rotated = stage(threads, mixed, |(number, item)| (number, item.rotate()));
        tokio::spawn(feed(source, (0..count).map(|index| (index, I::nth(index)))));
        let sink = tokio::spawn(async move {
            let (mut sum, mut order) = (0, Reorder::new());
            while let Some((number, item)) = rotated.recv().await {
                order.take(number, item, |item: I| sum = item.fold(sum));
            }
            sum
        });
        sink.await
    })?;
    Ok((start.elapsed(), sum))
}

/// So many blocking threads for each stage, as `split` says.
pub(crate) fn skewed(runtime: &Runtime, shape: &Shape, split: &[usize]) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let (run, items) = (shape.begin(), shape.items);
    runtime.block_on(async move {
        let (source, mut end) = channel(CHANNEL_ITEMS);
        for (index, workers) in split.iter().enumerate() {
            let run = run.clone();
            end = blocking_stage(*workers, end, move |item: u64| {
                run.stage(index);
                item
            });
        }
        tokio::spawn(feed(source, 0..items));
        tokio::spawn(async move { while end.recv().await.is_some() {} }).await
    })?;
    Ok(start.elapsed())
}

/// One worker expands, the sink is slow; between them a channel that counts items, not bytes.
pub(crate) fn expanded(runtime: &Runtime, seeds: u64) -> anyhow::Result<u64> {
    let delivered = runtime.block_on(async move {
        let (source, mut input) = channel(CHANNEL_ITEMS_LARGE);
        let (output, mut children) = channel(CHANNEL_ITEMS_LARGE);
        tokio::spawn(feed(source, 0..seeds));
        tokio::spawn(async move {
            while let Some(seed) = input.recv().await {
                let all: Vec<_> = expansion::children(seed).collect();
                feed(output.clone(), all.into_iter()).await;
            }
        });
        tokio::spawn(async move {
            let mut sink = expansion::SlowSink::default();
            while let Some(child) = children.recv().await {
                sink.take(child);
            }
            sink.delivered()
        })
        .await
    })?;
    Ok(delivered)
}

fn stage<In: Send + 'static, Out: Send + 'static>(
    workers: usize,
    input: Receiver<In>,
    work: impl Fn(In) -> Out + Clone + Send + 'static,
) -> Receiver<Out> {
    let (output, next) = channel(CHANNEL_ITEMS);
    let input = Arc::new(Mutex::new(input));
    for _ in 0..workers {
        let (input, output, work) = (input.clone(), output.clone(), work.clone());
        tokio::spawn(async move {
            loop {
                // The lock is held while this worker waits: the others wait for the lock instead.
                let received = input.lock().await.recv().await;
                let Some(item) = received else { return };
                if output.send(work(item)).await.is_err() {
                    return;
                }
            }
        });
    }
    next
}

fn blocking_stage<In: Send + 'static, Out: Send + 'static>(
    workers: usize,
    input: Receiver<In>,
    work: impl Fn(In) -> Out + Clone + Send + 'static,
) -> Receiver<Out> {
    let (output, next) = channel(CHANNEL_ITEMS);
    let input = Arc::new(Mutex::new(input));
    for _ in 0..workers {
        let (input, output, work) = (input.clone(), output.clone(), work.clone());
        tokio::task::spawn_blocking(move || {
            loop {
                let received = input.blocking_lock().blocking_recv();
                let Some(item) = received else { return };
                if output.blocking_send(work(item)).is_err() {
                    return;
                }
            }
        });
    }
    next
}

/// Sends until there is no more, or nobody listens.
async fn feed<T>(output: Sender<T>, items: impl Iterator<Item = T>) {
    for item in items {
        if output.send(item).await.is_err() {
            return;
        }
    }
}
