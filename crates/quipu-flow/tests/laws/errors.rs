//! Errors: each is one item's, with its key, stage and attempts; a panic is one too.

use crate::{Store, everywhere};
use quipu_flow::{Batch, Ended, Failed, Flow, ItemError, OnError, Pipeline, RunError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

fn letters(store: &Store<Failed>) -> OnError {
    let store = store.clone();
    OnError::dead_letter(move |failed| {
        let store = store.clone();
        async move {
            tokio::task::yield_now().await;
            store.0.lock().unwrap().push(failed);
            Ok::<(), String>(())
        }
    })
}

fn lose(number: &u32) {
    assert!(number % 4 != 1, "lost {number}");
}

fn kept(number: u32) -> u32 {
    lose(&number);
    number
}

fn kept_ok(number: u32) -> Result<u32, String> {
    Ok(kept(number))
}

type Build = Box<dyn Fn(Store<u32>) -> Pipeline>;

/// A pipeline for each place where user code runs; in each it panics on one number in four.
fn losing_pipelines() -> Vec<(&'static str, Build)> {
    let flow = || Flow::from_iter(0..8u32).key(|number| number.to_string());
    vec![
        ("map", Box::new(move |store| flow().map(kept).sink(store.put()))),
        ("try_map", Box::new(move |store| flow().try_map(kept_ok).sink(store.put()))),
        ("filter", Box::new(move |store| flow().filter(|&n| kept(n) == n).sink(store.put()))),
        ("flat_map", Box::new(move |store| flow().flat_map(|n| [kept(n)]).sink(store.put()))),
        (
            "flat_map",
            Box::new(move |store| flow().flat_map(|n| std::iter::once(n).inspect(lose)).sink(store.put())),
        ),
        ("io", Box::new(move |store| flow().io(async |n| kept_ok(n)).sink(store.put()))),
        ("io", Box::new(move |store| flow().io(|n| std::future::ready(kept_ok(n))).sink(store.put()))),
        (
            "map_batch",
            Box::new(move |store| {
                let run = |batch: Vec<u32>| batch.into_iter().inspect(lose).collect::<Vec<_>>();
                flow().map_batch(Batch::items(1), run).sink(store.put())
            }),
        ),
        ("source", Box::new(move |store| flow().weigh(|&n| kept(n) as usize).sink(store.put()))),
        (
            "sink",
            Box::new(move |store| {
                let mut put = store.put();
                flow().sink(move |n| put(kept(n)))
            }),
        ),
    ]
}

#[test]
fn a_panic_in_any_stage_is_that_items_error() {
    for (stage, build) in &losing_pipelines() {
        everywhere(async |pool| {
            let (store, failed) = (Store::new(), Store::new());
            let pipeline = build(store.clone()).on_any_error(letters(&failed)).on(&pool);
            let report = pipeline.run().await.unwrap();
            assert_eq!(store.sorted(), [0, 2, 3, 4, 6, 7], "{stage}");
            let failed = failed.take();
            assert_eq!(failed.len(), 2, "{stage}");
            for one in failed {
                assert_eq!(one.stage, *stage);
                let number = one.position.path()[0];
                // The source's items get their key with their weight, so one that fails there has none yet.
                assert_eq!(one.key, (*stage != "source").then(|| number.to_string()));
                assert!(matches!(&one.error, ItemError::Panic(text) if *text == format!("lost {number}")));
            }
            assert_eq!(report.births, report.ends.total());
            let failures: u64 = report.stages.iter().map(|stage| stage.failed).sum();
            assert_eq!(failures, 2);
        });
    }
}

#[test]
fn fused_stages_keep_their_own_counts_failures_and_names() {
    everywhere(async |pool| {
        let (store, failed) = (Store::new(), Store::new());
        let report = Flow::from_iter(0..400u32)
            .inspect(|_| {})
            .try_map(|number| if number % 4 == 3 { Err("a three") } else { Ok(number) })
            .filter(|number| number % 4 != 2)
            .key(|number: &u32| format!("behind the filter: {number}"))
            .map(kept)
            .filter_map(|number| (number % 8 == 0).then_some(number))
            .sink(store.put())
            .on_any_error(letters(&failed))
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!(store.sorted(), (0..400).step_by(8).collect::<Vec<_>>());
        let counts: Vec<_> = report.stages[1..6].iter().map(|at| (at.entered, at.left, at.failed)).collect();
        assert_eq!(counts, [(400, 400, 0), (400, 300, 100), (300, 200, 0), (200, 100, 100), (100, 50, 0)]);
        for one in failed.take() {
            let number = one.position.path()[0];
            let (stage, key) = match number % 4 {
                1 => ("map", Some(format!("behind the filter: {number}"))),
                _ => ("try_map", None),
            };
            assert_eq!((&*one.stage, one.key), (stage, key), "{number}");
        }
    });
}

#[test]
fn a_source_that_panics_stops_the_run_whatever_the_policy() {
    everywhere(async |pool| {
        let flow = Flow::from_iter((0..8u32).inspect(|number| assert!(*number < 5, "broken"))).named("walk");
        let end = flow.sink(Store::new().put()).on_any_error(OnError::Skip).on(&pool).run().await;
        let Err(RunError::Failed { failed, report }) = end else { panic!("{end:?}") };
        assert_eq!((failed.stage.as_str(), report.ended), ("walk", Ended::Failed));
        assert_eq!(report.births, report.ends.total());
        assert_eq!(report.ends.failed, 1);
    });
}

#[test]
fn map_batch_wrong_length_is_an_error() {
    everywhere(async |pool| {
        let (store, failed) = (Store::new(), Store::new());
        let report = Flow::from_iter(0..6u32)
            .map_batch(Batch::items(3), |mut batch: Vec<u32>| {
                if batch.contains(&4) {
                    batch.pop();
                }
                batch
            })
            .on_error(letters(&failed))
            .sink(store.put())
            .in_flight(3)
            .on(&pool)
            .run()
            .await
            .unwrap();
        let failed = failed.take();
        assert!((1..=3).contains(&failed.len()));
        assert!(failed.iter().any(|one| one.position.path() == [4]));
        assert!(failed.iter().all(
            |one| matches!(one.error, ItemError::WrongLength { given, returned } if given == returned + 1)
        ));
        assert_eq!(report.ends.delivered + report.ends.dead_lettered, 6);
    });
}

#[test]
fn map_batch_whole_failure_fails_each_member_and_holds_up_no_order() {
    everywhere(async |pool| {
        let (store, failed) = (Store::new(), Store::new());
        let report = Flow::from_iter(0..100u32)
            .map_batch(Batch::items(7), |batch: Vec<u32>| {
                if batch.iter().any(|n| n % 10 == 3) { Err("unembeddable") } else { Ok(batch) }
            })
            .on_error(letters(&failed))
            .sink(store.put())
            .ordered()
            .on(&pool)
            .run()
            .await
            .unwrap();
        let stored = store.take();
        assert!(stored.is_sorted());
        assert_eq!(stored.len() + failed.take().len(), 100);
        assert_eq!(report.births, report.ends.total());
    });
}

#[test]
fn a_batch_that_the_sink_refuses_dead_letters_each_member_by_its_key() {
    everywhere(async |pool| {
        let failed = Store::new();
        let report = Flow::from_iter(0..6u32)
            .key(|number| format!("file {number}"))
            .batch(Batch::items(6))
            .sink(async |_batch: Vec<u32>| Err::<(), _>(std::io::Error::other("disk full")))
            .named("write")
            .on_any_error(letters(&failed))
            .on(&pool)
            .run()
            .await
            .unwrap();
        let mut failed = failed.take();
        failed.sort_by(|a, b| a.position.cmp(&b.position));
        let keys: Vec<_> = failed.iter().map(|one| one.key.clone().unwrap()).collect();
        assert_eq!(keys, ["file 0", "file 1", "file 2", "file 3", "file 4", "file 5"]);
        assert!(failed[0].error.downcast_ref::<std::io::Error>().is_some());
        assert_eq!((report.ends.dead_lettered, report.ends.delivered), (6, 0));
    });
}

#[test]
fn io_times_out_and_is_tried_again() {
    everywhere(async |pool| {
        let (store, failed, calls) = (Store::new(), Store::new(), Arc::new(AtomicU32::new(0)));
        let counter = calls.clone();
        let report = Flow::from_iter(0..3u32)
            .io(move |number| {
                let call = counter.fetch_add(1, SeqCst);
                async move {
                    match number {
                        0 => std::future::pending().await,
                        1 if call < 4 => Err("not yet"),
                        _ => Ok(number),
                    }
                }
            })
            .limit(1)
            .timeout(Duration::from_millis(20))
            .retry(3)
            .backoff(Duration::from_millis(2))
            .on_error(letters(&failed))
            .sink(store.put())
            .on(&pool)
            .run()
            .await
            .unwrap();
        let failed = failed.take();
        let timed_out = failed.iter().find(|one| one.position.path() == [0]).unwrap();
        assert_eq!(timed_out.attempts, 4);
        assert!(matches!(timed_out.error, ItemError::TimedOut(_)));
        assert!(store.take().contains(&2));
        assert_eq!(report.ends.delivered + report.ends.dead_lettered, 3);
        assert_eq!((report.stages[1].entered, report.stages[1].failed), (3, failed.len() as u64));
    });
}

#[test]
fn a_backing_off_item_gives_up_its_slot() {
    everywhere(async |pool| {
        let (store, first) = (Store::new(), AtomicU32::new(0));
        Flow::from_iter(0..20u32)
            .io(move |number| {
                let fails = number == 0 && first.fetch_add(1, SeqCst) == 0;
                async move { if fails { Err("not yet") } else { Ok(number) } }
            })
            .limit(1)
            .retry(1)
            .backoff(Duration::from_millis(200))
            .sink(store.put())
            .on(&pool)
            .run()
            .await
            .unwrap();
        // The others went past it.
        assert_eq!(store.take().last(), Some(&0));
    });
}

#[test]
fn a_dead_letter_sink_that_fails_stops_the_run() {
    everywhere(async |pool| {
        let refuse = OnError::dead_letter(async |_| Err::<(), _>("ledger is full"));
        let flow =
            Flow::from_iter(0..8u32).try_map(|n| if n == 3 { Err("bad") } else { Ok(n) }).named("parse");
        let end = flow.on_error(refuse).sink(Store::new().put()).on(&pool).run().await;
        let Err(RunError::Failed { failed, report }) = end else { panic!("{end:?}") };
        assert_eq!(
            (failed.stage.as_str(), failed.error.to_string().as_str()),
            ("parse (dead letters)", "ledger is full")
        );
        assert_eq!(report.births, report.ends.total());
    });
}

#[test]
fn the_first_error_stops_the_run_by_default() {
    everywhere(async |pool| {
        let flow = Flow::from_iter(0..)
            .key(|n: &u32| format!("n{n}"))
            .try_map(|n| if n == 50 { Err("bad") } else { Ok(n) });
        let end = flow.sink(Store::new().put()).on(&pool).run().await;
        let Err(RunError::Failed { failed, report }) = end else { panic!("{end:?}") };
        assert_eq!((failed.key.as_deref(), failed.attempts), (Some("n50"), 1));
        assert_eq!(report.ends.failed, 1);
        assert_eq!(report.births, report.ends.total());
    });
}

#[test]
fn zeros_are_refused_before_anything_runs() {
    everywhere(async |pool| {
        let flow = || Flow::from_iter((0..3u32).inspect(|_| panic!("it runs")));
        let sink = async |_| Ok::<(), String>(());
        let io = async |n| Ok::<u32, String>(n);
        let pipelines = [
            (flow().io(io).limit(0).sink(sink), "limit"),
            (flow().io(io).timeout(Duration::ZERO).sink(sink), "timeout"),
            (flow().map_batch(Batch::items(0), |batch| batch).sink(sink), "batch"),
            (
                flow().map_batch(Batch::items(1).within(Duration::ZERO), |batch| batch).sink(sink),
                "batch's delay",
            ),
            (flow().sink(sink).in_flight(0), "in_flight"),
        ];
        for (pipeline, expected) in pipelines {
            let end = pipeline.on(&pool).run().await;
            assert!(
                matches!(end, Err(RunError::ZeroLimit { what, .. }) if what == expected),
                "{expected}: {end:?}"
            );
        }
    });
}

/// What becomes of an item one of whose parts has failed is said behind its scatter; the error is the part's.
#[test]
fn a_part_that_fails_fails_its_item_by_the_gathers_policy() {
    everywhere(async |pool| {
        let flow = || {
            let fail = |part: u32| if part == 12 { Err("twelve") } else { Ok(part) };
            Flow::from_iter(0..3u32).scatter(
                |item| (item, (item * 10)..(item * 10 + 3)),
                |parts| parts.try_map(fail),
                |item, parts: Vec<u32>| (item, parts.len()),
            )
        };
        let (store, failed) = (Store::new(), Store::new());
        let report = flow().on_error(letters(&failed)).sink(store.put()).on(&pool).run().await.unwrap();
        assert_eq!(store.sorted(), [(0, 3), (2, 3)]);
        let failed = failed.take();
        assert_eq!(
            (failed.len(), failed[0].stage.as_str(), failed[0].position.path()),
            (1, "try_map", vec![1])
        );
        assert_eq!((report.ends.dead_lettered, report.ends.skipped), (1, 1));
        assert_eq!(report.births, report.ends.total());
        let report = flow().on_error(OnError::Skip).sink(Store::new().put()).on(&pool).run().await.unwrap();
        assert_eq!((report.ends.delivered, report.ends.skipped), (2, 2));
        let end = flow().sink(Store::new().put()).on(&pool).run().await;
        let Err(RunError::Failed { failed, report }) = end else { panic!("{end:?}") };
        assert_eq!((failed.stage.as_str(), failed.error.to_string().as_str()), ("try_map", "twelve"));
        assert_eq!(report.births, report.ends.total());
    });
}

#[test]
fn a_route_to_no_branch_is_the_items_error_and_has_a_policy() {
    everywhere(async |pool| {
        let store = Store::new();
        let flow = Flow::from_iter(0..6usize).route(
            2,
            |number| number % 3,
            |_, numbers| numbers.map(|number| number),
        );
        let report =
            flow.named("ways").on_error(OnError::Skip).sink(store.put()).on(&pool).run().await.unwrap();
        assert_eq!((store.sorted(), report.ends.skipped), (vec![0, 1, 3, 4], 2));
        assert!(report.stages.iter().any(|stage| stage.name == "ways" && stage.failed == 2));
    });
}
