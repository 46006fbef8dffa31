//! Runs that end in a stream, and runs under a hand's control: paused, resumed, drained, left.

use crate::{Store, everywhere};
use futures_util::StreamExt;
use quipu_flow::{Ended, Flow, OnError, RunError};

#[test]
fn a_stream_has_all_results() {
    everywhere(async |pool| {
        for ordered in [false, true] {
            for (memory, in_flight) in [(0, 1), (1 << 20, 3), (1 << 20, 100)] {
                let streaming = Flow::from_iter(0..60u64).flat_map(|n| [n, n]).map(|n| n * 3).stream();
                let streaming = if ordered { streaming.ordered() } else { streaming };
                let set =
                    |pipeline: quipu_flow::Pipeline| pipeline.memory(memory).in_flight(in_flight).on(&pool);
                let mut stream = streaming.with(set).start().unwrap();
                let mut found = Vec::new();
                while let Some(n) = stream.next().await {
                    found.push(n);
                }
                let report = stream.close().await.unwrap();
                assert_eq!((report.ended, report.ends.delivered), (Ended::Done, 120));
                assert_eq!(report.births, report.ends.total());
                assert!(!ordered || found.is_sorted());
                found.sort();
                assert_eq!(found, (0..60).flat_map(|n| [n * 3, n * 3]).collect::<Vec<_>>());
            }
        }
    });
}

#[test]
fn idle_stream_is_not_a_stall() {
    everywhere(async |pool| {
        let set = |pipeline: quipu_flow::Pipeline| pipeline.in_flight(4).on(&pool);
        let mut stream = Flow::from_iter(0..40u64).map(|n| n).stream().ordered().with(set).start().unwrap();
        let controls = stream.controls();
        // Nobody takes anything, and nothing goes over the budget for it.
        while controls.progress().items < 4 || controls.progress().stages.last().unwrap().queued == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            assert_eq!(controls.progress().items, 4);
            tokio::task::yield_now().await;
        }
        for expected in 0..40 {
            assert_eq!(stream.next().await, Some(expected));
        }
        assert_eq!(stream.next().await, None);
        let report = stream.close().await.unwrap();
        assert_eq!((report.stalls, report.items_peak), (0, 4));
    });
}

#[test]
fn a_dropped_stream_cancels_its_run() {
    everywhere(async |pool| {
        let mut stream = Flow::from_iter(0u64..).map(|n| n).stream().with(|it| it.on(&pool)).start().unwrap();
        let controls = stream.controls();
        assert!(stream.next().await.is_some());
        drop(stream);
        loop {
            let progress = controls.progress();
            if progress.births == progress.ends.total() && progress.items == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_failing_item_ends_the_stream_and_finish_says_why() {
    everywhere(async |pool| {
        let flow = Flow::from_iter(0u64..).try_map(|n| if n == 7 { Err("bad") } else { Ok(n) });
        let mut stream = flow.stream().ordered().with(|it| it.on(&pool)).start().unwrap();
        let mut taken = 0;
        while stream.next().await.is_some() {
            taken += 1;
        }
        assert!(taken <= 7);
        let end = stream.close().await;
        let Err(RunError::Failed { report, .. }) = end else { panic!("{end:?}") };
        assert_eq!(report.births, report.ends.total());
    });
}

#[test]
fn a_stream_is_left_out_of_what_fails_under_skip() {
    everywhere(async |pool| {
        let flow = Flow::from_iter(0..20u64).try_map(|n| if n % 2 == 1 { Err("odd") } else { Ok(n) });
        let set = |it: quipu_flow::Pipeline| it.on_any_error(OnError::Skip).in_flight(2).on(&pool);
        let stream = flow.stream().ordered().with(set).start().unwrap();
        assert_eq!(stream.collect::<Vec<_>>().await, (0..20).step_by(2).collect::<Vec<_>>());
    });
}

#[test]
fn a_paused_run_bears_nothing_and_goes_on_when_resumed() {
    everywhere(async |pool| {
        let (store, (items, receiver)) = (Store::new(), tokio::sync::mpsc::channel(64));
        let handle =
            Flow::from_channel(receiver).map(|n: u64| n).sink(store.put()).on(&pool).start().unwrap();
        items.send(0).await.unwrap();
        while handle.progress().ends.delivered < 1 {
            tokio::task::yield_now().await;
        }
        handle.pause();
        for n in 1..10 {
            items.send(n).await.unwrap();
        }
        for _ in 0..200 {
            tokio::task::yield_now().await;
            assert_eq!(handle.progress().births, 1);
        }
        handle.resume();
        drop(items);
        let report = handle.join().await.unwrap();
        assert_eq!((report.ends.delivered, store.sorted()), (10, (0..10).collect()));
    });
}

#[test]
fn drain_while_paused() {
    everywhere(async |pool| {
        let store = Store::new();
        let flow = Flow::from_iter(0u64..).map_batch(quipu_flow::Batch::items(3), |batch| batch);
        let handle = flow.sink(store.put()).in_flight(7).on(&pool).start().unwrap();
        while handle.progress().births < 20 {
            tokio::task::yield_now().await;
        }
        handle.pause();
        handle.drain();
        let report = handle.join().await.unwrap();
        assert_eq!((report.ended, report.ends.delivered), (Ended::Done, report.births));
        assert_eq!(store.sorted(), (0..report.births).collect::<Vec<_>>());
    });
}
