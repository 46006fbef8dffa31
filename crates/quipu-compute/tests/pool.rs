//! The pool's laws, each with one worker too.

#![allow(clippy::unwrap_used)]

mod support;

use quipu_compute::{ComputeConfig, ComputeError, ComputePool};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use support::{is_pending, pool};

#[tokio::test]
async fn jobs_run_on_the_pools_own_threads_and_share_them_with_par_iter() {
    for threads in [1, 3] {
        let name = || std::thread::current().name().unwrap_or_default().to_owned();
        let pool = pool(threads);
        let names = pool.execute(move || (0..64).into_par_iter().map(|_| name()).collect::<Vec<_>>());
        assert!(names.await.unwrap().iter().all(|name| name.starts_with("quipu-compute-")));
    }
}

#[tokio::test]
async fn a_panic_is_an_error_with_its_message_and_lowers_the_gauge() {
    let pool = pool(1);
    let end = pool.execute(|| panic!("lost {}", 7)).await;
    assert!(matches!(end, Err::<(), _>(ComputeError::Panicked(text)) if text == "lost 7"));
    assert_eq!(pool.execute(|| 3).await.unwrap(), 3);
    let metrics = pool.metrics();
    assert_eq!((metrics.active, metrics.queued), (0, 0));
}

#[tokio::test]
async fn a_dropped_future_takes_its_queued_job_out() {
    let pool = pool(1);
    let (release, held) = mpsc::channel::<()>();
    let first = tokio::spawn({
        let pool = pool.clone();
        async move { pool.execute(move || held.recv()).await }
    });
    while pool.metrics().active == 0 {
        tokio::task::yield_now().await;
    }
    let ran = Arc::new(AtomicUsize::new(0));
    let mut second = Box::pin(pool.execute({
        let ran = ran.clone();
        move || ran.fetch_add(1, SeqCst)
    }));
    assert!(is_pending(second.as_mut()).await);
    assert_eq!(pool.metrics().queued, 1);
    drop(second);
    release.send(()).unwrap();
    let _ = first.await.unwrap();
    pool.execute(|| ()).await.unwrap();
    assert_eq!(ran.load(SeqCst), 0);
    assert_eq!(pool.metrics().cancelled, 1);
    assert_eq!(pool.metrics().queued, 0);
}

#[tokio::test]
async fn the_queue_is_bounded_and_execute_waits_for_a_place() {
    let pool = ComputePool::new(ComputeConfig::default().threads(1).queue_jobs_max(1)).unwrap();
    let (release, held) = mpsc::channel::<()>();
    pool.spawn(move || held.recv().unwrap()).unwrap();
    while pool.metrics().active == 0 {
        tokio::task::yield_now().await;
    }
    pool.spawn(|| ()).unwrap();
    assert!(matches!(pool.spawn(|| ()), Err(ComputeError::QueueFull(1))));
    let mut third = Box::pin(pool.execute(|| 5));
    assert!(is_pending(third.as_mut()).await);
    release.send(()).unwrap();
    assert_eq!(third.await.unwrap(), 5);
}

#[tokio::test]
async fn execute_is_served_while_tickets_respawn_themselves() {
    // Rayon's injector starves behind jobs that respawn themselves; this pool's queue must not.
    fn again(pool: &ComputePool, stop: &Arc<AtomicUsize>) {
        let (next, stop) = (pool.clone(), stop.clone());
        pool.spawn_ticket(move || {
            if stop.load(SeqCst) == 0 {
                again(&next, &stop);
            }
        });
    }
    for threads in [1, 2] {
        let pool = pool(threads);
        let stop = Arc::new(AtomicUsize::new(0));
        (0..threads).for_each(|_| again(&pool, &stop));
        for i in 0..50 {
            assert_eq!(pool.execute(move || i).await.unwrap(), i);
        }
        stop.store(1, SeqCst);
    }
}

#[test]
fn execute_sync_blocks_outside_and_runs_at_once_inside() {
    let pool = pool(1);
    assert_eq!(pool.execute_sync(|| pool.execute_sync(|| 9)), 9);
}

#[tokio::test]
async fn all_workers_run_at_once() {
    let pool = pool(3);
    let meet = Arc::new(Barrier::new(3));
    let jobs = (0..3).map(|_| {
        let (pool, meet) = (pool.clone(), meet.clone());
        tokio::spawn(async move { pool.execute(move || meet.wait().is_leader()).await.unwrap() })
    });
    let mut leaders = 0;
    for job in jobs.collect::<Vec<_>>() {
        leaders += usize::from(job.await.unwrap());
    }
    assert_eq!(leaders, 1);
}

#[test]
fn zero_threads_are_refused() {
    assert!(matches!(
        ComputePool::new(ComputeConfig::default().threads(0)),
        Err(ComputeError::Zero("threads"))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn par_iter_under_user_mutex() {
    // A worker that waits for its own parts, or runs another's, must not begin a job that wants the same mutex.
    for threads in [1, 2, 4] {
        let pool = pool(threads);
        let shared = Arc::new(std::sync::Mutex::new(0u64));
        let jobs: Vec<_> = (0..200u64)
            .map(|number| {
                let (pool, shared) = (pool.clone(), shared.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(std::time::Duration::from_micros(number * 300)).await;
                    pool.execute(move || {
                        let mut sum = shared.lock().unwrap();
                        let part = |n| {
                            std::thread::sleep(std::time::Duration::from_micros(n % 7 * 10));
                            n
                        };
                        *sum += (0..32u64).into_par_iter().map(part).sum::<u64>();
                    })
                    .await
                    .unwrap();
                })
            })
            .collect();
        for job in jobs {
            tokio::time::timeout(std::time::Duration::from_secs(20), job).await.expect("deadlock").unwrap();
        }
        assert_eq!(*shared.lock().unwrap(), 200 * 496);
    }
}
