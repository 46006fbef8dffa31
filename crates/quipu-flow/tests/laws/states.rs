//! Stages with a state: serial, serial per key, or once at the end; and ends of flows on a core.

use crate::{Store, everywhere, with_any_budget};
use quipu_flow::stage::Branch;
use quipu_flow::{Batch, Flow, OnError};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// An io after which nothing is in order.
async fn shuffle(n: u64) -> Result<u64, String> {
    for _ in 0..(n * 7) % 5 {
        tokio::task::yield_now().await;
    }
    Ok(n)
}

#[test]
fn an_ordered_scan_sees_the_sources_order() {
    everywhere(async |pool| {
        let build = |store: Store<u64>| {
            let flow = Flow::from_iter(0..50u64).io(shuffle).limit(8);
            let scan = flow.scan(1u64, |state, n| {
                *state = state.wrapping_mul(31).wrapping_add(n);
                *state
            });
            scan.ordered().sink(store.put()).ordered()
        };
        let mut state = 1u64;
        let expected: Vec<u64> = (0..50u64)
            .map(|n| {
                state = state.wrapping_mul(31).wrapping_add(n);
                state
            })
            .collect();
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn an_unordered_scan_runs_one_call_at_a_time() {
    everywhere(async |pool| {
        let build = |store: Store<u64>| {
            let inside = AtomicUsize::new(0);
            let scan = Flow::from_iter(0..50u64).io(shuffle).scan(0, move |count, n| {
                assert_eq!(inside.fetch_add(1, SeqCst), 0);
                std::thread::yield_now();
                inside.fetch_sub(1, SeqCst);
                *count += 1;
                *count * 1000 + n
            });
            scan.sink(store.put())
        };
        with_any_budget(&pool, build, |found| {
            let mut counts: Vec<u64> = found.iter().map(|n| n / 1000).collect();
            counts.sort();
            assert_eq!(counts, (1..=50).collect::<Vec<_>>());
        })
        .await;
    });
}

#[test]
fn keyed_after_parallel_map() {
    everywhere(async |pool| {
        let build = |store: Store<(u64, u64)>| {
            let flow = Flow::from_iter(0..60u64).io(shuffle).limit(8).map(|n| n);
            flow.keyed(
                |n| n % 7,
                |_| Vec::new(),
                |seen: &mut Vec<u64>, n| {
                    assert!(seen.last().is_none_or(|last| *last < n), "{n} after {seen:?}");
                    seen.push(n);
                    (n, seen.len() as u64)
                },
            )
            .sink(store.put())
        };
        let expected: Vec<(u64, u64)> = (0..60).map(|n| (n, n / 7 + 1)).collect();
        with_any_budget(&pool, build, |mut found| {
            found.sort();
            assert_eq!(found, expected);
        })
        .await;
    });
}

#[test]
fn fold_ack_window_one() {
    everywhere(async |pool| {
        let (store, acknowledged) = (Store::new(), Store::new());
        let ack = acknowledged.clone();
        let report = Flow::from_iter(0..20u64)
            .on_ack(|n| *n, move |n| ack.0.lock().unwrap().push(n))
            .unacknowledged(1)
            .fold(Vec::new(), Vec::push)
            .sink(store.put())
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!(store.take(), [(0..20).collect::<Vec<_>>()]);
        assert_eq!(acknowledged.take(), (0..20).collect::<Vec<_>>());
        assert_eq!((report.ends.absorbed, report.ends.delivered, report.stalls), (20, 1, 0));
    });
}

#[test]
fn two_folds_then_ordered() {
    everywhere(async |pool| {
        let build = |store: Store<(usize, Vec<u64>)>| {
            Flow::from_iter(0..30u64)
                .io(shuffle)
                .route(
                    2,
                    |n| (*n % 2) as usize,
                    |branch, items| {
                        items.fold(Vec::new(), Vec::push).ordered().map(move |list| (branch, list))
                    },
                )
                .sink(store.put())
                .ordered()
        };
        let lists = [(0, (0..30).step_by(2).collect()), (1, (1..30).step_by(2).collect::<Vec<_>>())];
        with_any_budget(&pool, build, |found| assert_eq!(found, lists)).await;
    });
}

#[test]
fn a_device_owns_what_may_not_leave_its_thread() {
    everywhere(async |pool| {
        let build = |store: Store<u64>| {
            Flow::from_iter(0..40u64)
                .io(shuffle)
                .device(
                    Batch::items(6),
                    || Ok::<_, String>(Rc::new(std::thread::current().id())),
                    |home, batch: Vec<u64>| {
                        assert_eq!(**home, std::thread::current().id());
                        batch.into_iter().map(|n| n * 2).collect::<Vec<_>>()
                    },
                )
                .sink(store.put())
                .ordered()
        };
        let expected: Vec<u64> = (0..40).map(|n| n * 2).collect();
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn device_passengers_keep_positions() {
    everywhere(async |pool| {
        let store = Store::new();
        let load = || Ok::<_, String>(());
        let flow =
            Flow::from_iter(0..200u64)
                .io(shuffle)
                .device(Batch::items(16), load, |(), batch: Vec<u64>| batch);
        flow.map(|n| n).sink(store.put()).ordered().on(&pool).run().await.unwrap();
        assert_eq!(store.take(), (0..200).collect::<Vec<_>>());
    });
}

#[test]
fn ordered_batches_are_runs_of_the_source() {
    everywhere(async |pool| {
        let build = |store: Store<Vec<u64>>| {
            let flow = Flow::from_iter(0..50u64).io(shuffle).filter(|n| n % 10 != 3).map(|n| n);
            flow.batch(Batch::items(4)).ordered().sink(store.put()).limit(3)
        };
        let all: Vec<u64> = (0..50).filter(|n| n % 10 != 3).collect();
        with_any_budget(&pool, build, |mut found| {
            assert!(found.iter().all(|batch| (1..=4).contains(&batch.len())));
            found.sort();
            assert_eq!(found.concat(), all);
        })
        .await;
        // Where there is room for all of them, each is full.
        let store = Store::new();
        build(store.clone()).on(&pool).run().await.unwrap();
        let full: Vec<Vec<u64>> = all.chunks(4).map(<[u64]>::to_vec).collect();
        assert_eq!(store.sorted(), full);
    });
}

#[test]
fn map_batch_keeps_positions() {
    everywhere(async |pool| {
        let store = Store::new();
        let flow = Flow::from_iter(0..200u64).io(shuffle).map_batch(Batch::items(16), |batch| batch);
        flow.sink(store.put()).ordered().on(&pool).run().await.unwrap();
        assert_eq!(store.take(), (0..200).collect::<Vec<_>>());
    });
}

#[test]
fn for_each_ends_a_flow_on_a_core() {
    everywhere(async |pool| {
        for ordered in [false, true] {
            let found = Arc::new(Mutex::new(Vec::new()));
            let store = found.clone();
            let pipeline = Flow::from_iter(0..100u64).io(shuffle).for_each(move |n| {
                assert!(std::thread::current().name().is_some_and(|name| name.starts_with("quipu-compute")));
                store.lock().unwrap().push(n);
            });
            let pipeline = if ordered { pipeline.ordered() } else { pipeline };
            pipeline.in_flight(9).on(&pool).run().await.unwrap();
            let mut found = std::mem::take(&mut *found.lock().unwrap());
            assert!(!ordered || found.is_sorted());
            found.sort();
            assert_eq!(found, (0..100).collect::<Vec<_>>());
        }
    });
}

#[test]
fn try_for_each_refuses_items() {
    everywhere(async |pool| {
        let refuse = |n: u64| if n % 5 == 4 { Err(format!("refused {n}")) } else { Ok(()) };
        let pipeline = Flow::from_iter(0..50u64).try_for_each(refuse).ordered().on_error(OnError::Skip);
        let report = pipeline.on(&pool).run().await.unwrap();
        assert_eq!((report.ends.delivered, report.ends.skipped), (40, 10));
    });
}

#[test]
fn a_sink_with_a_limit_is_called_so_many_times_at_once() {
    everywhere(async |pool| {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (inside, peak) = (now.clone(), most.clone());
        let meet = Arc::new(tokio::sync::Barrier::new(3));
        let pipeline = Flow::from_iter(0..12u64).sink(move |_| {
            let (inside, peak, meet) = (inside.clone(), peak.clone(), meet.clone());
            async move {
                peak.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                // With less than three at once it would wait for ever.
                meet.wait().await;
                inside.fetch_sub(1, SeqCst);
                Ok::<(), String>(())
            }
        });
        let report = pipeline.limit(3).on(&pool).run().await.unwrap();
        assert_eq!((report.ends.delivered, most.load(SeqCst), now.load(SeqCst)), (12, 3, 0));
    });
}

#[test]
fn priority_goes_first_where_both_could_go_on() {
    // One worker, kept busy until everything is ready at once: the urgent branch is done before the other begins.
    crate::with_threads(1, async |pool| {
        let order = Store::new();
        let (open, opened) = tokio::sync::watch::channel(false);
        let branch = |kind: &'static str, priority: u32| {
            let (order, opened) = (order.clone(), opened.clone());
            move |items: Branch<u64>| {
                let waits = items.io(move |n| {
                    let mut opened = opened.clone();
                    async move { opened.wait_for(|is_open| *is_open).await.map(|_| n) }
                });
                let told = waits.flat_map(move |n| {
                    order.0.lock().unwrap().push(kind);
                    [n]
                });
                told.named(kind).priority(priority)
            }
        };
        let flow = Flow::from_iter(0..20u64).route_if(|n| n % 2 == 0, branch("calm", 1), branch("urgent", 9));
        let handle = flow.sink(Store::new().put()).on(&pool).start().unwrap();
        let queued = |at: &str| {
            let progress = handle.progress();
            progress
                .stages
                .iter()
                .filter(|stage| stage.name.starts_with(at))
                .map(|it| it.queued + it.in_flight)
                .sum::<usize>()
        };
        let until = async |at: &str, count: usize| {
            while queued(at) < count {
                tokio::task::yield_now().await;
            }
        };
        until("io", 20).await;
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = pool.execute(move || released.recv());
        while pool.has_waiting() {
            tokio::task::yield_now().await;
        }
        open.send_replace(true);
        until("calm", 10).await;
        until("urgent", 10).await;
        release.send(()).unwrap();
        busy.await.unwrap().unwrap();
        handle.join().await.unwrap();
        assert_eq!(order.take(), [["urgent"; 10], ["calm"; 10]].concat());
    });
}
