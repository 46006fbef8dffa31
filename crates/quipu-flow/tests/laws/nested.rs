//! Work inside work: parallel iterators and whole runs inside a stage, under a mutex of the user's or not.

use crate::{Store, everywhere, with_threads};
use quipu_compute::{ComputeConfig, ComputePool};
use quipu_flow::{Batch, Ended, Flow, Pipeline, RunError};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// A run that makes squares of the numbers below `n`, with ios and batches among its stages.
fn squares(n: u64, store: &Store<u64>, pool: &ComputePool) -> Pipeline {
    let flow = Flow::from_iter(0..n).map(|n| n * n).map_batch(Batch::items(3), |batch| batch);
    let flow = flow.io(async |n| {
        tokio::task::yield_now().await;
        Ok::<_, String>(n)
    });
    flow.map(|n| n).sink(store.put()).in_flight(2).on(pool)
}

/// The sum of what such a run delivers, waited for with this thread.
fn sum_of_squares(n: u64, pool: &ComputePool) -> Result<u64, RunError> {
    let store = Store::new();
    let report = squares(n, &store, pool).run_blocking()?;
    assert_eq!((report.ended, report.ends.delivered), (Ended::Done, n));
    Ok(store.take().into_iter().sum())
}

fn expected() -> Vec<u64> {
    (0..12).map(|n| (0..n).map(|n| n * n).sum()).collect()
}

#[test]
fn nested_run_one_worker() {
    everywhere(async |pool| {
        // Waited for by a function on the pool, whose worker may be the only one.
        let (store, inner) = (Store::new(), pool.clone());
        let flow = Flow::from_iter(0..12u64).try_map(move |n| sum_of_squares(n, &inner));
        flow.sink(store.put()).ordered().in_flight(3).on(&pool).run().await.unwrap();
        assert_eq!(store.take(), expected());

        // And by an io, which waits without a worker.
        let (store, inner) = (Store::new(), pool.clone());
        let flow = Flow::from_iter(0..12u64).io(move |n| {
            let (inner, store) = (inner.clone(), Store::new());
            async move {
                squares(n, &store, &inner).run().await?;
                Ok::<u64, RunError>(store.take().into_iter().sum())
            }
        });
        flow.limit(4).map(|sum| sum).sink(store.put()).ordered().in_flight(3).on(&pool).run().await.unwrap();
        assert_eq!(store.take(), expected());
    });
}

#[test]
fn nested_run_in_every_kind_of_function_of_a_core() {
    everywhere(async |pool| {
        let inner = |n: u64| {
            let pool = pool.clone();
            move || sum_of_squares(n, &pool).unwrap()
        };
        let (filter, expand, state, batch, sink) = (inner(3), inner(4), inner(5), inner(6), inner(7));
        let store = Arc::new(Mutex::new(Vec::new()));
        let seen = store.clone();
        let flow = Flow::from_iter(0..6u64)
            .filter(move |_| filter() == 5)
            .flat_map(move |n| [n, expand()])
            .scan(0, move |sum: &mut u64, n| {
                *sum += n + state();
                *sum
            })
            .map_batch(Batch::items(2), move |batch_: Vec<u64>| {
                let more = batch();
                batch_.into_iter().map(|n| n + more).collect::<Vec<_>>()
            });
        let report =
            flow.for_each(move |n| seen.lock().unwrap().push(n + sink())).on(&pool).run().await.unwrap();
        assert_eq!((report.ended, report.ends.delivered), (Ended::Done, 12));
        assert_eq!(store.lock().unwrap().len(), 12);
    });
}

#[test]
fn a_run_in_a_run_in_a_run() {
    everywhere(async |pool| {
        let (store, one) = (Store::new(), pool.clone());
        let flow = Flow::from_iter(0..6u64).try_map(move |n| {
            let (sums, two) = (Store::new(), one.clone());
            let flow = Flow::from_iter(0..n).try_map(move |n| sum_of_squares(n, &two));
            flow.sink(sums.put()).on(&one).run_blocking()?;
            Ok::<u64, RunError>(sums.take().into_iter().sum())
        });
        flow.sink(store.put()).ordered().on(&pool).run().await.unwrap();
        let sum_of_sums = |n: usize| expected()[..n].iter().sum::<u64>();
        assert_eq!(store.take(), (0..6).map(sum_of_sums).collect::<Vec<_>>());
    });
}

#[test]
fn a_job_of_the_pool_may_wait_for_a_run_on_it() {
    everywhere(async |pool| {
        let jobs = (0..8).map(|_| {
            let inner = pool.clone();
            pool.execute(move || sum_of_squares(9, &inner).unwrap())
        });
        for job in jobs.collect::<Vec<_>>() {
            assert_eq!(job.await.unwrap(), expected()[9]);
        }
    });
}

#[test]
fn a_function_may_wait_for_a_run_on_another_pool() {
    with_threads(1, async |pool| {
        let inner = ComputePool::new(ComputeConfig::default().threads(1)).unwrap();
        let store = Store::new();
        let flow = Flow::from_iter(0..12u64).try_map(move |n| sum_of_squares(n, &inner));
        flow.sink(store.put()).ordered().on(&pool).run().await.unwrap();
        assert_eq!(store.take(), expected());
    });
}

#[test]
fn an_inner_run_that_fails_is_its_items_failure() {
    everywhere(async |pool| {
        let (store, inner) = (Store::new(), pool.clone());
        let flow = Flow::from_iter(0..6u64).try_map(move |n| {
            let fails = Flow::from_iter(0..n).try_map(move |m| if m == 3 { Err("three") } else { Ok(m) });
            fails.sink(Store::new().put()).on(&inner).run_blocking().map(|report| report.ends.delivered)
        });
        let flow = flow.on_error(quipu_flow::OnError::Skip);
        let report = flow.sink(store.put()).ordered().on(&pool).run().await.unwrap();
        assert_eq!((report.ends.skipped, store.take()), (2, vec![0, 1, 2, 3]));
    });
}

#[test]
fn an_inner_run_can_be_cancelled_while_a_worker_waits_for_it() {
    everywhere(async |pool| {
        let inner = pool.clone();
        let job = pool.execute(move || {
            let endless = Flow::from_iter(0u64..).map(|n| n + 1);
            let mut left = 500;
            let endless = endless.for_each(move |_| {
                left -= 1;
                assert!(left > 0, "enough");
            });
            endless.on(&inner).run_blocking()
        });
        assert!(matches!(job.await.unwrap(), Err(RunError::Failed { .. })));
    });
}

#[test]
fn nested_run_under_user_mutex() {
    everywhere(async |pool| {
        // Held by a function on a worker while it waits for the inner run. Were anybody else's work done on that worker
        // meanwhile, the next item's would meet the mutex there, and wait for itself.
        let (store, mutex, inner) = (Store::new(), Mutex::new(0), pool.clone());
        let flow = Flow::from_iter(0..12u64).try_map(move |n| {
            let mut total = mutex.lock().unwrap();
            let sum = sum_of_squares(n, &inner)?;
            *total += sum;
            Ok::<_, RunError>(sum)
        });
        flow.sink(store.put()).ordered().on(&pool).run().await.unwrap();
        assert_eq!(store.take(), expected());

        // Held by an async function: others wait for it, and none of them on a worker.
        let (store, inner, mutex) = (Store::new(), pool.clone(), Arc::new(tokio::sync::Mutex::new(0)));
        let flow = Flow::from_iter(0..12u64).io(move |n| {
            let (inner, mutex, sums) = (inner.clone(), mutex.clone(), Store::new());
            async move {
                let mut total = mutex.lock().await;
                squares(n, &sums, &inner).run().await?;
                let sum = sums.take().into_iter().sum();
                *total += sum;
                Ok::<u64, RunError>(sum)
            }
        });
        flow.limit(4).sink(store.put()).ordered().on(&pool).run().await.unwrap();
        assert_eq!(store.take(), expected());
    });
}

#[test]
fn a_thread_without_a_runtime_may_wait() {
    let pool = ComputePool::new(ComputeConfig::default().threads(1)).unwrap();
    assert_eq!(sum_of_squares(12, &pool).unwrap(), (0..12).map(|n| n * n).sum::<u64>());
    // A runtime that only this thread could drive is of no help to one that waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    assert_eq!(sum_of_squares(12, &pool).unwrap(), (0..12).map(|n| n * n).sum::<u64>());
}

#[test]
fn waiting_in_async_code_is_an_error() {
    everywhere(async |pool| {
        let (here, there) = (pool.clone(), pool.clone());
        assert!(matches!(sum_of_squares(3, &here), Err(RunError::WouldBlock)));
        let in_a_task = tokio::spawn(async move { sum_of_squares(3, &here) }).await.unwrap();
        assert!(matches!(in_a_task, Err(RunError::WouldBlock)));
        let aside = tokio::task::spawn_blocking(move || sum_of_squares(3, &there)).await.unwrap();
        assert_eq!(aside.unwrap(), 5);
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
