//! Work inside work: parallel iterators and whole runs inside a stage, under a mutex of the user's or not.
//!
//! A closure on the pool may not wait for a run on the *same* pool: it would hold the worker that the run needs. What
//! may: an io, which waits without a worker; and a closure that gives the run a pool of its own.

use crate::{Store, everywhere, with_threads};
use quipu_compute::{ComputeConfig, ComputePool};
use quipu_flow::{Batch, Flow};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// What an inner run makes of a number, on the pool that it is given.
async fn squares(n: u64, pool: &ComputePool) -> Result<u64, quipu_flow::RunError> {
    let store = Store::new();
    let flow = Flow::from_iter(0..n).map(|n| n * n).map_batch(Batch::items(3), |batch| batch);
    flow.sink(store.put()).in_flight(2).on(pool).run().await?;
    Ok(store.take().into_iter().sum())
}

fn expected() -> Vec<u64> {
    (0..12).map(|n| (0..n).map(|n| n * n).sum()).collect()
}

#[test]
fn nested_run_one_worker() {
    everywhere(async |pool| {
        let (store, inner) = (Store::new(), pool.clone());
        let flow = Flow::from_iter(0..12u64).io(move |n| {
            let inner = inner.clone();
            async move { squares(n, &inner).await }
        });
        flow.limit(4).map(|sum| sum).sink(store.put()).ordered().in_flight(3).on(&pool).run().await.unwrap();
        assert_eq!(store.take(), expected());
    });
}

#[test]
fn a_closure_may_wait_for_a_run_on_another_pool() {
    with_threads(1, async |pool| {
        let runtime = tokio::runtime::Handle::current();
        let inner = ComputePool::new(ComputeConfig::default().threads(1)).unwrap();
        let store = Store::new();
        let flow = Flow::from_iter(0..12u64).try_map(move |n| runtime.block_on(squares(n, &inner)));
        flow.sink(store.put()).ordered().on(&pool).run().await.unwrap();
        assert_eq!(store.take(), expected());
    });
}

#[test]
fn nested_run_under_user_mutex() {
    everywhere(async |pool| {
        // Held across the inner run by an async function: others wait for it, and none of them on a worker.
        let (store, inner, mutex) = (Store::new(), pool.clone(), Arc::new(tokio::sync::Mutex::new(0)));
        let flow = Flow::from_iter(0..12u64).io(move |n| {
            let (inner, mutex) = (inner.clone(), mutex.clone());
            async move {
                let mut total = mutex.lock().await;
                let sum = squares(n, &inner).await?;
                *total += sum;
                Ok::<_, quipu_flow::RunError>(sum)
            }
        });
        flow.limit(4).sink(store.put()).ordered().on(&pool).run().await.unwrap();
        assert_eq!(store.take(), expected());

        // And by a closure on a worker, with a pool of its own inside.
        let (store, mutex) = (Store::new(), Mutex::new(0));
        let runtime = tokio::runtime::Handle::current();
        let inner = ComputePool::new(ComputeConfig::default().threads(1)).unwrap();
        let flow = Flow::from_iter(0..12u64).try_map(move |n| {
            let mut total = mutex.lock().unwrap();
            let sum = runtime.block_on(squares(n, &inner))?;
            *total += sum;
            Ok::<_, quipu_flow::RunError>(sum)
        });
        flow.sink(store.put()).ordered().on(&pool).run().await.unwrap();
        assert_eq!(store.take(), expected());
    });
}

#[test]
fn par_iter_under_user_mutex() {
    everywhere(async |pool| {
        // A worker that waits in `par_iter` steals other jobs of the pool. One that took the same mutex on the same
        // thread would wait for itself for ever.
        let (store, mutex) = (Store::new(), Arc::new(Mutex::new(0u64)));
        let (one, other) = (mutex.clone(), mutex.clone());
        let sum =
            |n: u64| (0..2_000u64).into_par_iter().map(|m| std::hint::black_box(n ^ m) & 1).sum::<u64>();
        let flow = Flow::from_iter(0..300u64)
            .map(move |n| {
                let mut total = one.lock().unwrap();
                *total += sum(n);
                n
            })
            .flat_map(|n| [n])
            .map_batch(Batch::items(2), move |batch: Vec<u64>| {
                let mut total = other.lock().unwrap();
                *total += batch.par_iter().map(|n| sum(*n)).sum::<u64>();
                batch
            });
        flow.sink(store.put()).on(&pool).run().await.unwrap();
        assert_eq!(store.sorted(), (0..300).collect::<Vec<_>>());
        assert_eq!(*mutex.lock().unwrap(), 2 * 300 * 1_000);
    });
}
