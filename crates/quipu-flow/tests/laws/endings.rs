//! Endings: each is prompt, counts add up, nothing is left behind.

use crate::{HANG, Store, everywhere};
use quipu_compute::ComputePool;
use quipu_flow::{Batch, Controls, Ended, Flow, OnError, Pipeline, RunError};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// An item that counts how many of its kind are alive.
struct Live(u32, Arc<AtomicIsize>);

impl Live {
    fn new(number: u32, count: &Arc<AtomicIsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(number, count.clone())
    }
}

impl Clone for Live {
    fn clone(&self) -> Self {
        Self::new(self.0, &self.1)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.1.fetch_sub(1, SeqCst);
    }
}

/// A flow through every kind of stage that calls `step` in each.
fn through_everything(
    items: u32,
    live: &Arc<AtomicIsize>,
    step: impl Fn() + Clone + Send + Sync + 'static,
) -> Pipeline {
    let (s1, s2, s3, s4, s5, s6) =
        (step.clone(), step.clone(), step.clone(), step.clone(), step.clone(), step);
    let live = live.clone();
    Flow::from_iter((0..items).map(move |number| Live::new(number, &live)))
        .weigh(|_| 10)
        .map(move |item| {
            s1();
            item
        })
        .weigh(|_| 10)
        .filter(|item| item.0 % 5 != 4)
        .io(move |item: Live| {
            s2();
            async move {
                tokio::task::yield_now().await;
                if item.0 % 7 == 6 { Err("fails for ever") } else { Ok(item) }
            }
        })
        .limit(2)
        .retry(1)
        .backoff(Duration::from_micros(10))
        .on_error(OnError::Skip)
        .weigh(|_| 10)
        .flat_map(move |item| {
            s3();
            [item.clone(), item]
        })
        .weigh(|_| 10)
        .map_batch(Batch::items(3), move |batch: Vec<Live>| {
            s4();
            batch
        })
        .weigh(|_| 10)
        .try_map(move |item| {
            s5();
            if item.0 % 3 == 2 { Err("unwanted") } else { Ok(item) }
        })
        .on_error(OnError::dead_letter(async |_| {
            tokio::task::yield_now().await;
            Ok::<(), String>(())
        }))
        .weigh(|_| 10)
        .batch(Batch::items(4))
        .sink(move |batch: Vec<Live>| {
            s6();
            async move {
                tokio::task::yield_now().await;
                drop(batch);
                Ok::<(), String>(())
            }
        })
        .memory(100)
        .in_flight(20)
}

/// Calls `at` when the run has taken so many steps; returns how many it took and how it ended.
async fn run_until(step: usize, pool: &ComputePool, at: fn(&Controls)) -> (usize, Ended) {
    let (live, taken) = (Arc::new(AtomicIsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (controls, counter) = (Arc::new(OnceLock::<Controls>::new()), taken.clone());
    let own = controls.clone();
    let pipeline = through_everything(12, &live, move || {
        if counter.fetch_add(1, SeqCst) == step {
            at(own.wait());
        }
    });
    let handle = pipeline.on(pool).start().unwrap();
    assert!(controls.set(handle.controls()).is_ok());
    let report = handle.join().await.unwrap();
    assert_eq!(report.births, report.ends.total(), "{:?}", report.ends);
    assert_eq!(live.load(SeqCst), 0, "items left behind");
    let figures = controls.get().unwrap().progress();
    assert_eq!((figures.items, figures.bytes_charged), (0, 0), "credit left behind");
    assert!(figures.stages.iter().all(|stage| stage.queued == 0 && stage.in_flight == 0));
    (taken.load(SeqCst), report.ended)
}

#[test]
fn births_equal_ends_on_every_ending() {
    everywhere(async |pool| {
        let (steps, ended) = run_until(usize::MAX, &pool, |_| ()).await;
        assert_eq!(ended, Ended::Done);
        assert!(steps > 40);
    });
}

#[test]
fn cancel_at_every_step_terminates() {
    everywhere(async |pool| {
        let (steps, _) = run_until(usize::MAX, &pool, |_| ()).await;
        for step in 0..steps {
            let (_, ended) = run_until(step, &pool, Controls::cancel).await;
            assert!(ended == Ended::Cancelled || step > steps / 2, "step {step} of {steps}");
        }
    });
}

#[test]
fn drain_at_every_step_finishes_what_is_in_flight() {
    everywhere(async |pool| {
        let (steps, _) = run_until(usize::MAX, &pool, |_| ()).await;
        for step in 0..steps {
            assert_eq!(run_until(step, &pool, Controls::drain).await.1, Ended::Done);
        }
    });
}

#[test]
fn drain_ends_an_endless_source_and_delivers_every_birth() {
    everywhere(async |pool| {
        let (store, controls) = (Store::new(), Arc::new(OnceLock::<Controls>::new()));
        let (mut put, own) = (store.put(), controls.clone());
        let pipeline = Flow::from_iter(0u64..).map(|n| n).sink(move |n| {
            if n == 100 {
                own.wait().drain();
            }
            put(n)
        });
        let handle = pipeline.on(&pool).start().unwrap();
        assert!(controls.set(handle.controls()).is_ok());
        let report = handle.join().await.unwrap();
        assert_eq!(report.ended, Ended::Done);
        assert_eq!(report.births, report.ends.delivered);
        assert_eq!(store.sorted(), (0..report.births).collect::<Vec<_>>());
    });
}

#[test]
fn drain_loses_nothing_that_a_channel_has_given() {
    everywhere(async |pool| {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let (open, gate) = tokio::sync::watch::channel(false);
        let sink = move |_: u64| {
            let mut gate = gate.clone();
            async move { gate.wait_for(|open| *open).await.map(drop) }
        };
        let handle = Flow::from_channel(receiver).sink(sink).in_flight(1).on(&pool).start().unwrap();
        // The first is in flight, and the only one that may be; the second has left the channel.
        sender.send(1).await.unwrap();
        sender.send(2).await.unwrap();
        while sender.capacity() == 0 {
            tokio::task::yield_now().await;
        }
        handle.drain();
        open.send(true).unwrap();
        let report = handle.join().await.unwrap();
        assert_eq!((report.births, report.ends.delivered), (2, 2));
    });
}

#[test]
fn drain_closes_a_channel_whose_senders_live_on() {
    everywhere(async |pool| {
        let (items, receiver) = tokio::sync::mpsc::channel(4);
        let store = Store::new();
        let handle = Flow::from_channel(receiver).sink(store.put()).on(&pool).start().unwrap();
        items.send(1u8).await.unwrap();
        while handle.progress().ends.delivered == 0 {
            tokio::task::yield_now().await;
        }
        handle.drain();
        let report = handle.join().await.unwrap();
        assert_eq!((report.ended, store.take()), (Ended::Done, vec![1]));
        assert!(items.send(2).await.is_err());
    });
}

#[test]
fn cancel_ends_ios_that_would_never_answer() {
    everywhere(async |pool| {
        let live = Arc::new(AtomicIsize::new(0));
        let count = live.clone();
        let handle = Flow::from_iter((0..).map(move |number| Live::new(number, &count)))
            .weigh(|_| 1)
            .io(async |item: Live| {
                std::future::pending::<()>().await;
                Ok::<_, String>(item.0)
            })
            .limit(3)
            .sink(Store::new().put())
            .in_flight(10)
            .on(&pool)
            .start()
            .unwrap();
        while handle.progress().stages[1].in_flight < 3 {
            tokio::task::yield_now().await;
        }
        handle.cancel();
        let report = handle.join().await.unwrap();
        assert_eq!(report.ended, Ended::Cancelled);
        assert_eq!(report.births, report.ends.cancelled);
        assert_eq!(live.load(SeqCst), 0);
    });
}

#[test]
fn a_dropped_handle_cancels_and_acknowledges_nothing() {
    everywhere(async |pool| {
        let handle = Flow::from_iter(0u32..)
            .on_ack(|item| *item, |item| panic!("{item} was acknowledged"))
            .sink(async |_| {
                std::future::pending::<()>().await;
                Ok::<(), String>(())
            })
            .on(&pool)
            .start()
            .unwrap();
        let controls = handle.controls();
        while controls.progress().births == 0 {
            tokio::task::yield_now().await;
        }
        drop(handle);
        while controls.progress().ends.cancelled < controls.progress().births {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_run_future_that_is_dropped_cancels() {
    everywhere(async |pool| {
        let (sender, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        let pipeline = Flow::from_iter(0u32..).sink(move |_| {
            let _sender = sender.clone();
            std::future::pending::<Result<(), String>>()
        });
        let run = pipeline.on(&pool).run();
        assert!(tokio::time::timeout(Duration::from_millis(20), run).await.is_err());
        // The sink is dropped with the run, and its sender with it.
        assert!(tokio::time::timeout(HANG, gone.recv()).await.unwrap().is_none());
    });
}

#[test]
fn a_failed_run_acknowledges_what_was_delivered_and_no_more() {
    everywhere(async |pool| {
        let acknowledged = Store::new();
        let ack = acknowledged.clone();
        let end = Flow::from_iter(0..100u32)
            .on_ack(|item| *item, move |item| ack.0.lock().unwrap().push(item))
            .sink(async |n| if n == 60 { Err("refused") } else { Ok(()) })
            .ordered()
            .on(&pool)
            .run()
            .await;
        assert!(matches!(end, Err(RunError::Failed { .. })));
        assert_eq!(acknowledged.sorted(), (0..60).collect::<Vec<_>>());
    });
}

#[test]
fn a_runtime_that_goes_down_leaves_no_item() {
    let live = Arc::new(AtomicIsize::new(0));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let count = live.clone();
    let handle = runtime.block_on(async {
        let flow = Flow::from_iter((0..).map(move |number| Live::new(number, &count))).weigh(|_| 1);
        let handle = flow
            .sink(async |_item| {
                std::future::pending::<()>().await;
                Ok::<(), String>(())
            })
            .start()
            .unwrap();
        while handle.progress().stages[1].in_flight == 0 {
            tokio::task::yield_now().await;
        }
        handle
    });
    drop(runtime);
    let since = std::time::Instant::now();
    while live.load(SeqCst) > 0 && since.elapsed() < HANG {
        std::thread::yield_now();
    }
    assert_eq!(live.load(SeqCst), 0);
    let progress = handle.progress();
    assert_eq!(progress.births, progress.ends.total());
}

#[test]
fn without_a_runtime_the_error_says_so() {
    let end = Flow::from_iter(0..3u32).sink(async |_| Ok::<(), String>(())).start();
    assert!(matches!(end, Err(RunError::NoRuntime)));
}
