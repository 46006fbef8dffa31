//! The engine's laws, run for real: each with one CPU thread and one Tokio worker, and with several of both.

#![allow(clippy::unwrap_used)]

mod branches;
mod chain;
mod devices;
mod endings;
mod errors;
mod gathers;
mod inputs;
mod interrupted;
mod joins;
mod memory;
mod nested;
mod policies;
mod random;
mod rates;
mod refused;
mod sharing;
mod states;
mod streams;

use quipu_compute::{ComputeConfig, ComputePool};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longer than any of these tests takes; a run that hangs fails instead.
const HANG: Duration = Duration::from_secs(60);

/// Runs a check with one thread of each kind, with two, and with many more threads than cores.
fn everywhere<F: Future<Output = ()>>(check: impl Fn(ComputePool) -> F) {
    for (threads, tokio_workers) in [(1, 1), (2, 2), (8, 1)] {
        with(threads, tokio_workers, &check);
    }
}

fn with_threads<F: Future<Output = ()>>(threads: usize, check: impl FnOnce(ComputePool) -> F) {
    with(threads, threads, check);
}

fn with<F: Future<Output = ()>>(threads: usize, workers: usize, check: impl FnOnce(ComputePool) -> F) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_time().build().unwrap();
    let pool = ComputePool::new(ComputeConfig::default().threads(threads)).unwrap();
    runtime.block_on(async { tokio::time::timeout(HANG, check(pool)).await.expect("the run hangs") });
}

/// What a sink has been given.
struct Store<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Store<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + 'static> Store<T> {
    fn new() -> Self {
        Self(Arc::default())
    }

    /// A sink's function, which yields before it stores.
    fn put(
        &self,
    ) -> impl FnMut(T) -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + use<T> {
        let store = self.clone();
        move |item| {
            let store = store.clone();
            Box::pin(async move {
                tokio::task::yield_now().await;
                store.0.lock().unwrap().push(item);
                Ok(())
            })
        }
    }

    fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn sorted(&self) -> Vec<T>
    where
        T: Ord,
    {
        let mut items = self.take();
        items.sort();
        items
    }
}

/// Runs a pipeline with budgets from nothing to plenty, and says what each run has delivered. Each ends `Done`, and its
/// counts add up.
async fn with_any_budget<T: Send + 'static>(
    pool: &ComputePool,
    build: impl Fn(Store<T>) -> quipu_flow::Pipeline,
    mut check: impl FnMut(Vec<T>),
) {
    for (memory, in_flight) in [(0, 1), (0, 7), (300, 2), (1 << 20, 1), (1 << 20, 1000)] {
        let store = Store::new();
        let report = build(store.clone()).memory(memory).in_flight(in_flight).on(pool).run().await.unwrap();
        assert_eq!(report.ended, quipu_flow::Ended::Done);
        assert_eq!(report.births, report.ends.total(), "{:?}", report.ends);
        check(store.take());
    }
}
