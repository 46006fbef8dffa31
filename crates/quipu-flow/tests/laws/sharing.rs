//! Cores: runs, other jobs and nested parallel iterators share one pool, and everything runs where it should.

use crate::{Store, everywhere, with_threads};
use quipu_flow::{Batch, Bound, Flow};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

fn thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn par_iter_inside_stages_shares_the_pool_without_deadlock() {
    everywhere(async |pool| {
        let store = Store::new();
        Flow::from_iter(0..200u64)
            .map(|n| (0..100u64).into_par_iter().map(|m| n * m).sum::<u64>())
            .map_batch(Batch::items(10), |batch: Vec<u64>| {
                batch
                    .into_par_iter()
                    .map(|n| (0..10u64).into_par_iter().map(|m| n + m).sum())
                    .collect::<Vec<u64>>()
            })
            .sink(store.put())
            .ordered()
            .on(&pool)
            .run()
            .await
            .unwrap();
        let expected: Vec<u64> = (0..200).map(|n| n * 4950 * 10 + 45).collect();
        assert_eq!(store.take(), expected);
    });
}

#[test]
fn cpu_functions_run_on_the_pool_and_async_ones_on_tokio() {
    everywhere(async |pool| {
        let off = Arc::new(AtomicUsize::new(0));
        let on_pool = |off: &Arc<AtomicUsize>| {
            let off = off.clone();
            move || {
                off.fetch_add(usize::from(!thread().starts_with("quipu-compute")), SeqCst);
            }
        };
        let (source, map, batch, expand) = (on_pool(&off), on_pool(&off), on_pool(&off), on_pool(&off));
        let wait = |off: &Arc<AtomicUsize>| {
            let off = off.clone();
            move || {
                off.fetch_add(usize::from(thread().starts_with("quipu-compute")), SeqCst);
            }
        };
        let (io, sink) = (wait(&off), wait(&off));
        Flow::from_iter((0..50u32).inspect(move |_| source()))
            .map(move |n| {
                map();
                n
            })
            .io(move |n| {
                io();
                std::future::ready(Ok::<_, String>(n))
            })
            .flat_map(move |n| {
                expand();
                [n]
            })
            .map_batch(Batch::items(3), move |items: Vec<u32>| {
                batch();
                items
            })
            .sink(move |_| {
                sink();
                std::future::ready(Ok::<_, String>(()))
            })
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!(off.load(SeqCst), 0);
    });
}

#[test]
fn two_runs_share_one_pool() {
    everywhere(async |pool| {
        // The endless one would starve the other if a run kept the workers.
        let endless = Flow::from_iter(0u64..).map(|n| n + 1).filter(|_| false).sink(Store::new().put());
        let endless = endless.on(&pool).start().unwrap();
        let store = Store::new();
        Flow::from_iter(0..500u64).map(|n| n + 1).sink(store.put()).on(&pool).run().await.unwrap();
        assert_eq!(store.take().len(), 500);
        endless.drain();
        let report = endless.join().await.unwrap();
        assert_eq!(report.births, report.ends.filtered);
    });
}

#[test]
fn execute_is_served_while_a_flow_saturates_the_pool() {
    everywhere(async |pool| {
        let endless = Flow::from_iter(0u64..).map(|n| n + 1).filter(|_| false).sink(Store::new().put());
        let endless = endless.on(&pool).start().unwrap();
        for n in 0..100 {
            assert_eq!(pool.execute(move || n).await.unwrap(), n);
        }
        endless.cancel();
        endless.join().await.unwrap();
    });
}

#[test]
fn stages_run_on_all_workers_at_once() {
    with_threads(3, async |pool| {
        let meet = Arc::new(Barrier::new(3));
        let report = Flow::from_iter(0..3u32)
            .map(move |n| {
                meet.wait();
                n
            })
            .sink(Store::new().put())
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!(report.ends.delivered, 3);
    });
}

#[test]
fn an_ordered_sink_keeps_source_order_after_parallel_stages() {
    everywhere(async |pool| {
        let store = Store::new();
        Flow::from_iter(0..1000u64)
            .io(async |n| {
                for _ in 0..n % 7 {
                    tokio::task::yield_now().await;
                }
                Ok::<_, String>(n)
            })
            .limit(16)
            .map(|n| (0..(n % 13) * 100).fold(n, |n, _| std::hint::black_box(n)))
            .filter(|n| n % 3 != 1)
            .flat_map(|n| (0..n % 4).map(move |child| (n, child)))
            .sink(store.put())
            .ordered()
            .on(&pool)
            .run()
            .await
            .unwrap();
        let kept = (0..1000).filter(|n| n % 3 != 1);
        assert_eq!(
            store.take(),
            kept.flat_map(|n| (0..n % 4).map(move |child| (n, child))).collect::<Vec<_>>()
        );
    });
}

#[test]
fn progress_names_the_stage_with_the_item_that_all_others_wait_for() {
    everywhere(async |pool| {
        let flow = Flow::from_iter(0u32..20).io(async |n| {
            if n == 0 {
                std::future::pending::<()>().await;
            }
            Ok::<_, String>(n)
        });
        let handle =
            flow.named("fetch").map(|n| n).sink(Store::new().put()).ordered().on(&pool).start().unwrap();
        while handle.progress().stages[2].left < 19 || handle.progress().bound == Bound::Cores {
            tokio::task::yield_now().await;
        }
        let progress = handle.progress();
        assert_eq!(progress.bound, Bound::Stage("fetch".into()));
        assert_eq!(progress.stages[3].waiting, Some(quipu_flow::Waiting::Order));
        handle.cancel();
        handle.join().await.unwrap();
    });
}

#[test]
fn progress_names_the_stage_that_bounds_the_run() {
    everywhere(async |pool| {
        let handle = Flow::from_iter(0u32..)
            .sink(async |_| {
                std::future::pending::<()>().await;
                Ok::<(), String>(())
            })
            .named("write")
            .in_flight(5)
            .on(&pool)
            .start()
            .unwrap();
        while handle.progress().births < 5 || handle.progress().bound == Bound::Cores {
            tokio::task::yield_now().await;
        }
        let progress = handle.progress();
        assert_eq!(progress.bound, Bound::Stage("write".into()));
        assert_eq!((progress.items, progress.stages[1].queued, progress.stages[1].in_flight), (5, 4, 1));
        handle.cancel();
        handle.join().await.unwrap();
    });
}
