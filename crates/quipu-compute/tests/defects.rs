//! One test for each defect that was measured in the pool which this crate replaces, and for what it promises instead.
//! Speed is `benches/bridge`'s, the global pool and idleness are `process`'s, contexts and macros `context`'s.
#![allow(clippy::unwrap_used)]

mod support;

use quipu_compute::{
    CancellationToken, ComputeConfig, ComputeError, ComputePool, ComputePoolExt, ScopeExecutor, patterns,
};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use support::{busy, eventually, is_pending, pool};

#[tokio::test]
async fn a_job_does_not_wait_behind_another_pools_jobs() {
    let (full, free) = (pool(1), pool(1));
    let _busy = busy(&full);
    let waits = full.execute(|| ());
    let answer = tokio::time::timeout(Duration::from_secs(10), free.execute(|| 1)).await;
    assert_eq!(answer.unwrap().unwrap(), 1);
    drop(waits);
}

#[tokio::test]
async fn a_panic_lowers_every_gauge_and_is_counted() {
    let pool = pool(1);
    assert!(
        matches!(pool.execute(|| panic!("knot")).await, Err::<(), _>(ComputeError::Panicked(text)) if text == "knot")
    );
    let metrics = pool.metrics();
    assert_eq!((metrics.active, metrics.queued, metrics.completed, metrics.panicked), (0, 0, 1, 1));
}

#[tokio::test]
async fn a_dropped_future_lowers_every_gauge() {
    let pool = pool(1);
    let (release, held) = mpsc::channel::<()>();
    let running = pool.execute(move || held.recv());
    eventually("it runs", || pool.metrics().active == 1);
    let queued = pool.execute(|| ());
    assert_eq!(pool.metrics().queued, 1);
    drop((queued, running));
    assert_eq!((pool.metrics().queued, pool.metrics().cancelled), (0, 1));
    drop(release);
    eventually("it ended", || pool.metrics().active == 0 && pool.metrics().completed == 1);
}

#[tokio::test]
async fn a_reset_in_flight_never_underflows() {
    let pool = pool(1);
    pool.execute(|| std::thread::sleep(Duration::from_millis(2))).await.unwrap();
    let held = busy(&pool);
    let queued = pool.execute(|| ());
    pool.reset_metrics();
    let metrics = pool.metrics();
    assert_eq!((metrics.completed, metrics.run.count(), metrics.run.sum()), (0, 0, Duration::ZERO));
    assert_eq!((metrics.active, metrics.queued), (1, 1), "gauges stand");
    drop(held);
    queued.await.unwrap();
    let metrics = pool.metrics();
    assert_eq!((metrics.completed, metrics.wait.count(), metrics.active, metrics.queued), (2, 2, 0, 0));
}

#[tokio::test]
async fn a_timed_out_job_that_was_queued_never_runs() {
    let pool = pool(1);
    let held = busy(&pool);
    let ran = Arc::new(AtomicBool::new(false));
    let job = pool.execute({
        let ran = ran.clone();
        move || ran.store(true, SeqCst)
    });
    assert!(tokio::time::timeout(Duration::from_millis(5), job).await.is_err());
    drop(held);
    pool.execute(|| ()).await.unwrap();
    assert!(!ran.load(SeqCst));
    assert_eq!(Arc::strong_count(&ran), 1, "what it held was dropped");
}

#[tokio::test]
async fn a_timed_out_job_that_runs_is_asked_to_stop() {
    let pool = pool(1);
    let (stopped, stops) = mpsc::sync_channel(1);
    let job = pool.execute_cancellable(CancellationToken::new(), move |token| {
        while !token.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        stopped.send(()).unwrap();
    });
    eventually("it runs", || pool.metrics().active == 1);
    assert!(tokio::time::timeout(Duration::from_millis(5), job).await.is_err());
    stops.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[tokio::test]
async fn a_cancelled_token_or_handle_is_an_error() {
    let pool = pool(1);
    let held = busy(&pool);
    let shutdown = CancellationToken::new();
    let by_token =
        pool.execute_cancellable(shutdown.child_token(), |_| unreachable!("cancelled before it ran"));
    let mut by_handle = pool.execute(|| unreachable!("cancelled before it ran"));
    shutdown.cancel();
    by_handle.cancel();
    drop(held);
    assert!(matches!(by_token.await, Err::<(), _>(ComputeError::Cancelled)));
    assert!(matches!(by_handle.await, Err::<(), _>(ComputeError::Cancelled)));
    assert_eq!(pool.metrics().cancelled, 2);
    let mut finished = pool.execute(|| 3);
    eventually("it ended", || pool.metrics().completed == 2);
    finished.cancel();
    assert_eq!(finished.await.unwrap(), 3, "too late to cancel");
}

#[tokio::test]
async fn wait_and_run_are_separate_histograms() {
    let pool = pool(1);
    let first = pool.execute(|| std::thread::sleep(Duration::from_millis(60)));
    let second = pool.execute(|| ());
    first.await.unwrap();
    second.await.unwrap();
    let metrics = pool.metrics();
    assert!(metrics.wait.quantile(1.0) >= Duration::from_millis(50), "the second waited: {metrics}");
    assert!(metrics.run.quantile(0.5) < Duration::from_millis(30), "it did not run long: {metrics}");
    assert!(metrics.run.quantile(1.0) >= Duration::from_millis(60), "the first did: {metrics}");
    let text = metrics.to_string();
    assert!(
        text.contains("completed 2") && text.contains("wait: mean") && text.contains("run: mean"),
        "{text}"
    );
}

#[tokio::test]
async fn slow_jobs_are_counted() {
    let config = ComputeConfig::default().threads(1).slow_job(Duration::from_millis(20));
    let pool = ComputePool::new(config).unwrap();
    pool.execute(|| ()).await.unwrap();
    pool.execute(|| std::thread::sleep(Duration::from_millis(25))).await.unwrap();
    assert_eq!(pool.metrics().slow, 1);
}

#[tokio::test]
async fn scoped_patterns_finish_with_one_thread() {
    for threads in [1, 2] {
        let pool = pool(threads);
        let sum = Arc::new(AtomicUsize::new(0));
        let add = |sum: &Arc<AtomicUsize>| {
            let sum = sum.clone();
            move |number: usize| {
                sum.fetch_add(number, SeqCst);
            }
        };
        let (each, fifo, batches) = (add(&sum), add(&sum), add(&sum));
        // A scope in a scope, and par_iter in that: every level waits for the next.
        let nested = pool.execute_scoped(move |outer| {
            outer.spawn(move |inner| {
                inner.spawn_each(1..=10, each);
                rayon::scope(|third| third.spawn(|_| (0..100).into_par_iter().for_each(|_| ())));
            });
            7
        });
        assert_eq!(nested.await.unwrap(), 7);
        pool.execute_scoped_fifo(move |scope| scope.spawn_each(1..=10, fifo)).await.unwrap();
        let sums = move |batch: Vec<usize>| batches(batch.into_iter().sum());
        pool.execute_scoped(move |scope| scope.spawn_batches((1..=10).collect(), 3, sums)).await.unwrap();
        assert_eq!(sum.load(SeqCst), 3 * 55);
        assert_eq!(pool.join(|| 1, || 2).await.unwrap(), (1, 2));
        assert_eq!(
            pool.parallel_map((0..100).collect(), |n: i32| n + 1).await.unwrap(),
            (1..=100).collect::<Vec<_>>()
        );
        let batched = pool.parallel_batch((0..10).collect(), 4, |part: &[i32]| part.to_vec()).await.unwrap();
        assert_eq!(batched, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn patterns_finish_with_one_thread_inside_and_outside_a_job() {
    let check = |pool: &ComputePool| {
        let items: Vec<u64> = (1..=100).collect();
        assert_eq!(patterns::parallel_map(pool, &items, |n| n * 2)[99], 200);
        assert_eq!(patterns::map_reduce(pool, &items, |n| *n, || 0, |a, b| a + b), 5050);
        let halve = |part: std::ops::Range<u64>| match part.end - part.start {
            0..8 => patterns::Division::Whole(part),
            length => patterns::Division::Halves(
                part.start..part.start + length / 2,
                part.start + length / 2..part.end,
            ),
        };
        assert_eq!(
            patterns::divide_and_conquer(pool, 1..101, halve, |part| part.sum::<u64>(), |a, b| a + b),
            5050
        );
        assert_eq!(patterns::two_stages(pool, items.clone(), |n| n + 1, |n| n * 10)[..2], [20, 30]);
        let visits = AtomicUsize::new(0);
        patterns::tree_walk(pool, 5u32, |depth| {
            visits.fetch_add(1, SeqCst);
            (0..depth).collect::<Vec<_>>()
        });
        assert_eq!(visits.into_inner(), 32);
    };
    for threads in [1, 2] {
        let pool = pool(threads);
        check(&pool);
        pool.execute_sync(|| check(&pool));
    }
}

#[tokio::test]
async fn nested_work_shares_the_pools_threads() {
    for threads in [1, 2] {
        let pool = pool(threads);
        let inner = pool.clone();
        let names = pool.execute(move || {
            let name = |_| std::thread::current().name().unwrap_or_default().to_owned();
            let (left, right) = rayon::join(|| name(0), || name(1));
            let mut names: Vec<String> = (0..64).into_par_iter().map(name).collect();
            names.extend([left, right, inner.execute_sync(|| name(2))]);
            names
        });
        assert!(names.await.unwrap().iter().all(|name| name.starts_with("quipu-compute-")));
    }
}

#[tokio::test]
async fn panics_reach_the_awaiter_as_errors_or_unwind_as_asked() {
    let pool = pool(1);
    let error = pool.execute_scoped(|scope| scope.spawn(|_| panic!("in a scope"))).await.unwrap_err();
    assert_eq!(error.to_string(), "a compute job panicked: in a scope");
    let unwound = tokio::spawn(pool.execute(|| std::panic::panic_any(42u8)).unwinding()).await;
    assert_eq!(*unwound.unwrap_err().into_panic().downcast::<u8>().unwrap(), 42);
    let blocked = std::thread::scope(|scope| scope.spawn(|| pool.execute_sync(|| panic!("borrowed"))).join());
    assert_eq!(blocked.unwrap_err().downcast_ref(), Some(&"borrowed"));
    assert_eq!(pool.execute(|| 1).await.unwrap(), 1);
}

#[test]
fn a_job_may_wait_for_another_with_one_thread() {
    for threads in [1, 2] {
        let pool = ComputePool::new(ComputeConfig::default().threads(threads).queue_jobs_max(1)).unwrap();
        let inner = pool.clone();
        let outer = pool.execute(move || {
            // More than there are places, so that some wait outside.
            let handles: Vec<_> = (0..4).map(|n| inner.execute(move || n)).collect();
            handles.into_iter().map(|handle| handle.wait().unwrap()).sum::<i32>()
        });
        assert_eq!(outer.wait().unwrap(), 6);
        eventually("all were counted", || pool.metrics().completed == 5 && pool.metrics().queued == 0);
    }
}

#[tokio::test]
async fn too_many_threads_are_noticed() {
    let cores = quipu_compute::usable_cores();
    let _pool = pool(cores + 1);
    let over = quipu_compute::oversubscription().unwrap();
    assert!(over.compute_threads > cores && over.cores == cores, "{over}");
}

#[test]
fn execute_sync_borrows_and_waits() {
    for threads in [1, 2] {
        let pool = pool(threads);
        let mut words: Vec<String> = (0..1000).rev().map(|n| format!("{n:04}")).collect();
        let first = pool.execute_sync(|| {
            words.par_sort();
            words[0].as_str()
        });
        assert_eq!(first, "0000");
        // From many threads at once, more than there are places.
        let narrow = ComputePool::new(ComputeConfig::default().threads(threads).queue_jobs_max(1)).unwrap();
        let sum = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for n in 0..16 {
                let (narrow, sum) = (&narrow, &sum);
                scope.spawn(move || {
                    (0..50).for_each(|_| {
                        narrow.execute_sync(|| sum.fetch_add(n, SeqCst));
                    })
                });
            }
        });
        assert_eq!(sum.into_inner(), 50 * 120);
    }
}

#[tokio::test]
async fn who_waits_for_a_place_enters_in_order() {
    let pool = ComputePool::new(ComputeConfig::default().threads(1).queue_jobs_max(1)).unwrap();
    let held = busy(&pool);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut handles: Vec<_> = (0..6)
        .map(|number| {
            let order = order.clone();
            Box::pin(pool.execute(move || order.lock().unwrap().push(number)))
        })
        .collect();
    assert!(handles[0].is_admitted() && !handles[1].is_admitted());
    for handle in &mut handles {
        assert!(is_pending(handle.as_mut()).await);
    }
    // One that goes away passes its turn on.
    drop(handles.remove(2));
    drop(held);
    // Awaited from the last to the first: the queue's order holds all the same.
    let tasks: Vec<_> = handles.into_iter().rev().map(tokio::spawn).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 3, 4, 5]);
}

#[tokio::test]
async fn withdrawn_jobs_give_their_places_back_at_once() {
    let pool = ComputePool::new(ComputeConfig::default().threads(1).queue_jobs_max(2)).unwrap();
    let _held = busy(&pool);
    for _ in 0..1000 {
        let handles = [pool.execute(|| ()), pool.execute(|| ())];
        assert!(handles.iter().all(|handle| handle.is_admitted()));
        assert!(matches!(pool.spawn(|| ()), Err(ComputeError::QueueFull(2))));
    }
    assert_eq!((pool.metrics().queued, pool.metrics().cancelled), (0, 2000));
}

#[cfg(target_os = "linux")]
#[test]
fn cores_are_pinned() {
    let config = ComputeConfig::default().pin_cores(true);
    let pool = ComputePool::new(config).unwrap();
    let usable = rustix::thread::sched_getaffinity(None).unwrap();
    let meet = Arc::new(std::sync::Barrier::new(pool.num_threads()));
    let handles: Vec<_> = (0..pool.num_threads())
        .map(|_| {
            let meet = meet.clone();
            pool.execute(move || {
                meet.wait();
                let mine = rustix::thread::sched_getaffinity(None).unwrap();
                (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| mine.is_set(core)).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut cores: Vec<_> = handles
        .into_iter()
        .flat_map(|handle| {
            let mine = handle.wait().unwrap();
            assert_eq!(mine.len(), 1, "one core each");
            mine
        })
        .collect();
    cores.sort_unstable();
    cores.dedup();
    assert_eq!(cores.len(), pool.num_threads().min(usable.count() as usize), "each another");
    assert!(cores.iter().all(|&core| usable.is_set(core)));
}

#[tokio::test]
async fn a_stack_is_as_large_as_its_size_is_written() {
    #[inline(never)]
    fn deep(left: usize) -> u8 {
        let frame = std::hint::black_box([1u8; 64 << 10]);
        if left == 0 { frame[0] } else { deep(left - 1) + std::hint::black_box(frame)[1] - 1 }
    }
    // 96 frames of 64 KiB fit 16MB, and would not fit the usual 2 MiB.
    let pool = ComputePool::new(ComputeConfig::default().threads(1).stack_size("16MB").unwrap()).unwrap();
    assert_eq!(pool.execute(|| deep(95)).await.unwrap(), 1);
    let small = ComputeConfig::default().stack_size("1KiB").unwrap();
    assert!(ComputePool::new(small).unwrap_err().to_string().contains("stack_bytes is \"1024\""));
}

#[tokio::test]
async fn a_disabled_pool_runs_jobs_before_it_returns() {
    let pool = ComputePool::new(ComputeConfig::default().threads(8).enabled(false)).unwrap();
    assert_eq!((pool.num_threads(), pool.is_enabled()), (1, false));
    let ran = Arc::new(AtomicBool::new(false));
    let handle = pool.execute({
        let (ran, pool) = (ran.clone(), pool.clone());
        move || {
            let nested = pool.execute(|| 2);
            ran.store(true, SeqCst);
            nested.wait().unwrap() + (0..10).into_par_iter().sum::<i32>() - 45
        }
    });
    assert!(ran.load(SeqCst), "before it was awaited");
    assert_eq!(handle.await.unwrap(), 2);
    assert!(matches!(pool.execute(|| panic!("inline")).await, Err::<(), _>(ComputeError::Panicked(_))));
    assert_eq!((pool.metrics().completed, pool.metrics().panicked), (3, 1));
    pool.spawn(|| ()).unwrap();
    assert_eq!(pool.metrics().completed, 4, "a forgotten job, too");
}

#[test]
fn a_pools_threads_end_with_it_and_its_queue() {
    let pool = pool(2);
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        let done = done.clone();
        pool.spawn(move || {
            done.fetch_add(1, SeqCst);
        })
        .unwrap();
    }
    drop(pool);
    eventually("all ran, and were dropped", || done.load(SeqCst) == 100 && Arc::strong_count(&done) == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_dropped_and_awaited_handles_loses_nothing() {
    let pool = ComputePool::new(ComputeConfig::default().threads(2).queue_jobs_max(8)).unwrap();
    let started = Instant::now();
    let tasks: Vec<_> = (0..16u64)
        .map(|task| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for number in 0..200u64 {
                    let mut handle = Box::pin(pool.execute(move || number));
                    if (task + number) % 3 == 0 {
                        let _ = is_pending(handle.as_mut()).await;
                        continue;
                    }
                    assert_eq!(handle.await.unwrap(), number);
                }
            })
        })
        .collect();
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(30), task).await.expect("no job is lost").unwrap();
    }
    eventually("the queue is empty", || pool.metrics().queued == 0 && pool.metrics().active == 0);
    let metrics = pool.metrics();
    assert_eq!(metrics.completed + metrics.cancelled, 16 * 200, "after {:?}: {metrics}", started.elapsed());
}
