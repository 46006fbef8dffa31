//! Rates and limits of what waits. Only least times are asserted: a machine under load makes none of these fail.

use crate::{Store, everywhere};
use quipu_flow::{Ended, Flow, OnError, Waiting};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PER: Duration = Duration::from_millis(20);

/// When something was done, each time.
#[derive(Clone)]
struct Times(Instant, Arc<Mutex<Vec<Duration>>>);

impl Times {
    fn new() -> Self {
        Self(Instant::now(), Arc::default())
    }

    fn note(&self) {
        self.1.lock().unwrap().push(self.0.elapsed());
    }

    /// So many of them, and none before its period.
    fn check(&self, rate: usize, count: usize) {
        let mut times = self.1.lock().unwrap().clone();
        times.sort();
        assert_eq!(times.len(), count);
        for (number, time) in times.iter().enumerate() {
            let earliest = PER * (number / rate) as u32;
            assert!(*time >= earliest, "start {number} after {time:?}, not {earliest:?}");
        }
    }
}

#[test]
fn a_rate_holds_starts_back() {
    everywhere(async |pool| {
        let (times, store) = (Times::new(), Store::new());
        let note = times.clone();
        let flow = Flow::from_iter(0..14u64).io(move |n| {
            note.note();
            async move { Ok::<_, String>(n) }
        });
        let report = flow.rate(4, PER).sink(store.put()).on(&pool).run().await.unwrap();
        times.check(4, 14);
        assert_eq!((report.ended, report.stalls), (Ended::Done, 0));
        assert_eq!(store.sorted(), (0..14).collect::<Vec<_>>());
    });
}

/// Calls of a millisecond, and how many of them there were at once.
fn counted(items: u64, most: &Arc<AtomicUsize>) -> Flow<u64, quipu_flow::stage::Io<u64>> {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), most.clone());
    Flow::from_iter(0..items).io(move |n| {
        let now = now.clone();
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            now.fetch_sub(1, SeqCst);
            Ok::<_, String>(n)
        }
    })
}

#[test]
fn an_io_without_a_limit_makes_more_calls_at_once_while_that_helps() {
    everywhere(async |pool| {
        let most = Arc::default();
        let report = counted(2_000, &most).for_each(drop).on(&pool).run().await.unwrap();
        let most = most.load(SeqCst);
        assert!((33..=256).contains(&most), "at most {most} at once");
        assert!((4..=256).contains(&report.stages[1].at_once.unwrap()));
        assert_eq!(report.stages[2].at_once, Some(1));
    });
}

#[test]
fn a_limit_is_a_limit() {
    everywhere(async |pool| {
        let most = Arc::default();
        let report = counted(300, &most).limit(5).for_each(drop).on(&pool).run().await.unwrap();
        assert!(most.load(SeqCst) <= 5);
        assert_eq!(report.stages[1].at_once, Some(5));
    });
}

#[test]
fn a_rate_counts_retries() {
    everywhere(async |pool| {
        let times = Times::new();
        let note = times.clone();
        let flow = Flow::from_iter(0..3u64).io(move |_| {
            note.note();
            async { Err::<u64, _>("never") }
        });
        let flow = flow.rate(2, PER).retry(2).backoff(Duration::from_micros(10)).on_error(OnError::Skip);
        let report = flow.sink(Store::new().put()).on(&pool).run().await.unwrap();
        times.check(2, 9);
        assert_eq!(report.ends.skipped, 3);
    });
}

#[test]
fn a_sink_has_a_rate_and_keeps_its_order() {
    everywhere(async |pool| {
        let (times, store) = (Times::new(), Store::new());
        let (note, mut put) = (times.clone(), store.put());
        let flow = Flow::from_iter(0..9u64).io(async |n: u64| {
            for _ in 0..n % 3 {
                tokio::task::yield_now().await;
            }
            Ok::<_, String>(n)
        });
        let sink = flow.sink(move |n| {
            note.note();
            put(n)
        });
        sink.ordered().rate(3, PER).in_flight(2).on(&pool).run().await.unwrap();
        times.check(3, 9);
        assert_eq!(store.take(), (0..9).collect::<Vec<_>>());
    });
}

#[test]
fn a_stage_says_that_it_waits_for_its_rate() {
    everywhere(async |pool| {
        let flow = Flow::from_iter(0..9u64).io(async |n: u64| Ok::<_, String>(n)).named("asks");
        let sink = flow.rate(1, Duration::from_secs(3600)).sink(Store::new().put());
        // With one item in flight there is nothing else to do, and no credit for more: still this is no stall.
        let run = sink.in_flight(1).memory(0).on(&pool).start().unwrap();
        let controls = run.controls();
        let progress = loop {
            let progress = controls.progress();
            if progress.stages[1].waiting == Some(Waiting::Rate) {
                break progress;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((progress.stages[1].queued, progress.stages[1].in_flight), (1, 0));
        assert_eq!(progress.bound.to_string(), "stage 'asks'");
        run.cancel();
        let report = run.join().await.unwrap();
        assert_eq!((report.ends.delivered, report.ends.total()), (1, report.births));
    });
}
