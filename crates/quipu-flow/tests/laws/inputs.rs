//! Bad input: panics in the first, a middle and the last item, sources that break, sinks that refuse, runtimes that go
//! down. Each ends in a clear error, and every birth has an end.

use crate::{HANG, Store, everywhere};
use futures_util::StreamExt;
use quipu_flow::{Batch, Ended, Failed, Flow, ItemError, OnError, Pipeline, Report, RunError};

const COUNT: u64 = 9;

fn kept(n: u64, broken: u64) -> u64 {
    assert_ne!(n, broken, "broken");
    n
}

type Build = fn(u64) -> Pipeline;

/// A pipeline for each stage whose function panics on one item.
const PIPELINES: [(&str, Build); 13] = [
    ("map", |at| source().map(move |n| kept(n, at)).sink(sink)),
    ("filter", |at| source().filter(move |n| kept(*n, at) == *n).sink(sink)),
    ("flat_map", |at| source().flat_map(move |n| [n, n].map(|n| kept(n, at))).sink(sink)),
    ("io", |at| {
        source().io(move |n| async move { Ok::<_, String>(kept(n, at)) }).retry(1).backoff(TICK).sink(sink)
    }),
    ("scan", |at| source().scan((), move |(), n| kept(n, at)).sink(sink)),
    ("keyed", |at| source().keyed(|n| n % 2, |_| (), move |(), n| kept(n, at)).sink(sink)),
    ("fold", |at| source().fold((), move |(), n| _ = kept(n, at)).map(|()| 0).sink(sink)),
    ("route", |at| source().route(2, move |n| (kept(*n, at) % 2) as usize, |_, items| items).sink(sink)),
    ("scatter", |at| source().scatter(move |n| (kept(n, at), [n]), |parts| parts, |n, _| n).sink(sink)),
    ("gather", |at| source().scatter(|n| (n, [n]), |parts| parts, move |n, _| kept(n, at)).sink(sink)),
    ("device", |at| {
        let run =
            move |(): &mut (), batch: Vec<u64>| batch.into_iter().map(|n| kept(n, at)).collect::<Vec<_>>();
        source().device(Batch::items(1), || Ok::<_, String>(()), run).sink(sink)
    }),
    ("for_each", |at| source().for_each(move |n| _ = kept(n, at))),
    ("sink", |at| source().sink(move |n| async move { Ok::<(), String>(_ = kept(n, at)) }).limit(2)),
];

const TICK: std::time::Duration = std::time::Duration::from_micros(1);

fn source() -> Flow<u64> {
    Flow::from_iter(0..COUNT)
}

async fn sink(_: u64) -> Result<(), String> {
    tokio::task::yield_now().await;
    Ok(())
}

#[test]
fn a_panic_on_the_first_a_middle_or_the_last_item_stops_the_run_in_its_name() {
    for (stage, build) in PIPELINES {
        everywhere(async |pool| {
            for at in [0, COUNT / 2, COUNT - 1] {
                for in_flight in [1, 100] {
                    let end = build(at).in_flight(in_flight).on(&pool).run().await;
                    let Err(RunError::Failed { failed, report }) = end else {
                        panic!("{stage} at {at}: {end:?}")
                    };
                    assert_eq!((failed.stage.as_str(), failed.position.path()[0]), (stage, at));
                    assert!(
                        matches!(&failed.error, ItemError::Panic(why) if why.contains("broken")),
                        "{failed}"
                    );
                    assert_eq!((report.ended, report.ends.failed), (Ended::Failed, 1), "{stage} at {at}");
                    assert_eq!(report.births, report.ends.total(), "{stage} at {at}: {:?}", report.ends);
                }
            }
        });
    }
}

#[test]
fn a_panic_is_skipped_or_becomes_a_dead_letter_if_the_policy_says_so() {
    for (stage, build) in PIPELINES {
        everywhere(async |pool| {
            for at in [0, COUNT / 2, COUNT - 1] {
                let report =
                    build(at).on_any_error(OnError::Skip).in_flight(1).on(&pool).run().await.unwrap();
                assert_eq!((report.ends.skipped, report.ended), (1, Ended::Done), "{stage}");
                assert_eq!(report.births, report.ends.total(), "{stage} at {at}");

                let letters = Store::<Failed>::new();
                let keep = letters.clone();
                let policy = OnError::dead_letter(move |failed| {
                    keep.0.lock().unwrap().push(failed);
                    async { Ok::<(), String>(()) }
                });
                let report = build(at).on_any_error(policy).memory(0).on(&pool).run().await.unwrap();
                assert_eq!(report.births, report.ends.total(), "{stage} at {at}");
                let letters = letters.take();
                assert_eq!(letters.len() as u64, report.ends.dead_lettered);
                assert!(!letters.is_empty() && letters.iter().all(|failed| failed.position.path()[0] == at));
            }
        });
    }
}

#[test]
fn a_source_that_errors() {
    everywhere(async |pool| {
        // A source that yields results is mapped: its error is the item's, under whatever policy.
        let lines = || Flow::from_iter([Ok(1u64), Err("unreadable"), Ok(3)].into_iter().cycle().take(30));
        let report = lines()
            .weigh(|_| 8)
            .try_map(|line| line)
            .on_error(OnError::Skip)
            .sink(sink)
            .on(&pool)
            .run()
            .await;
        let ends = report.unwrap().ends;
        assert_eq!((ends.delivered, ends.skipped), (20, 10));
        let end = lines().weigh(|_| 8).try_map(|line| line).sink(sink).on(&pool).run().await;
        let Err(RunError::Failed { failed, report }) = end else { panic!("{end:?}") };
        // One of those that are there: which comes first is the schedule's.
        assert_eq!((failed.position.path()[0] % 3, failed.error.to_string()), (1, "unreadable".into()));
        assert_eq!(report.births, report.ends.total());

        // One that panics is broken: nobody can say what it would have yielded.
        let broken = futures_util::stream::iter(0..9u64).map(|n| kept(n, 5));
        let end = Flow::from_stream(broken).sink(sink).on_any_error(OnError::Skip).on(&pool).run().await;
        let Err(RunError::Failed { failed, report }) = end else { panic!("{end:?}") };
        assert_eq!(failed.stage, "source");
        assert_eq!(report.births, report.ends.total());
    });
}

#[test]
fn a_sink_that_refuses_every_item() {
    everywhere(async |pool| {
        let refuse = async |_: u64| Err::<(), _>("disk full");
        for limit in [None, Some(3)] {
            let pipeline = |policy| {
                let sink = source().sink(refuse).on_error(policy);
                match limit {
                    None => sink,
                    Some(limit) => sink.limit(limit),
                }
            };
            let report = pipeline(OnError::Skip).on(&pool).run().await.unwrap();
            assert_eq!((report.ends.skipped, report.ends.total()), (COUNT, COUNT));
            let end = pipeline(OnError::Stop).on(&pool).run().await;
            let Err(RunError::Failed { failed, report }) = end else { panic!("{end:?}") };
            assert_eq!(failed.error.to_string(), "disk full");
            assert_eq!((report.ends.delivered, report.ends.failed), (0, 1));
            assert_eq!(report.births, report.ends.total());
        }
    });
}

#[test]
fn a_device_that_cannot_be_loaded_stops_the_run() {
    everywhere(async |pool| {
        let loads: [fn() -> Result<(), String>; 2] =
            [|| Err("no such device".into()), || panic!("driver crashed")];
        for load in loads {
            let flow = source().device(Batch::items(2), load, |(), batch: Vec<u64>| batch).named("gpu");
            let end = flow.sink(sink).on_any_error(OnError::Skip).on(&pool).run().await;
            let Err(RunError::Failed { failed, report }) = end else { panic!("{end:?}") };
            assert_eq!(failed.stage, "gpu");
            assert_eq!(report.births, report.ends.total());
        }
    });
}

#[test]
fn map_batch_wrong_length_is_an_error_of_each_member() {
    everywhere(async |pool| {
        let wrong: [fn(Vec<u64>) -> Vec<u64>; 3] =
            [|_| Vec::new(), |batch| batch[1..].to_vec(), |batch| [batch, vec![0]].concat()];
        for run in wrong {
            let on_core = || source().map_batch(Batch::items(4), run);
            let on_device =
                || source().device(Batch::items(4), || Ok::<_, String>(()), move |(), batch| run(batch));
            let policy = || OnError::Skip;
            let check = |report: Report| {
                assert_eq!((report.ends.delivered, report.ends.skipped), (0, COUNT));
                assert_eq!(report.births, report.ends.total());
            };
            check(on_core().sink(sink).on_any_error(policy()).on(&pool).run().await.unwrap());
            check(on_device().sink(sink).on_any_error(policy()).on(&pool).run().await.unwrap());
        }
    });
}

#[test]
fn an_item_larger_than_the_whole_budget_finishes() {
    everywhere(async |pool| {
        for memory in [0, 1, 100] {
            let large = || Flow::from_iter(0..6usize).map(|n| vec![n as u8; 10_000]);
            let scattered = large().scatter(
                |bytes| ((), [bytes.clone(), bytes]),
                |parts| {
                    parts.map_batch(Batch::bytes(1), |batch| batch).io(async |part| Ok::<_, String>(part))
                },
                |(), parts| parts.concat(),
            );
            let flow = scattered.fork_zip(|a| a.map(|bytes| bytes), |b| b.map(|bytes| bytes.len()));
            let report =
                flow.batch(Batch::items(2)).for_each(drop).memory(memory).on(&pool).run().await.unwrap();
            assert_eq!((report.ended, report.ends.delivered), (Ended::Done, 6));
        }
    });
}

#[test]
fn an_endless_source_ends_by_drain_or_cancel() {
    everywhere(async |pool| {
        for drains in [true, false] {
            let endless =
                || Flow::from_iter(0u64..).merge(Flow::from_stream(futures_util::stream::repeat(7)));
            let flow = endless().scatter(
                |n| (n, 0..n % 4),
                |parts| parts.map_batch(Batch::items(3), |b| b),
                |n, _| n,
            );
            let handle = flow.sink(sink).in_flight(20).on(&pool).start().unwrap();
            while handle.progress().ends.delivered < 50 {
                tokio::task::yield_now().await;
            }
            if drains {
                handle.drain()
            } else {
                handle.cancel()
            }
            let report = handle.join().await.unwrap();
            assert_eq!(report.ended, if drains { Ended::Done } else { Ended::Cancelled });
            assert_eq!(report.births, report.ends.total());
            assert!(!drains || report.ends.cancelled == 0);
        }
    });
}

#[test]
fn a_runtime_that_goes_down_under_a_run_ends_it() {
    for threads in [1, 2] {
        let builder =
            || tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_time().build();
        let (runtime, other) = (builder().unwrap(), builder().unwrap());
        let handle = runtime.block_on(async {
            let flow = Flow::from_stream(futures_util::stream::repeat(1u64)).map(|n| n).io(async |n| {
                tokio::task::yield_now().await;
                Ok::<_, String>(n)
            });
            flow.fork(|a| a, |b| b.batch(Batch::items(3)).flat_map(|b| b))
                .sink(sink)
                .in_flight(50)
                .start()
                .unwrap()
        });
        while handle.progress().ends.delivered < 20 {
            std::thread::yield_now();
        }
        drop(runtime);
        // Whoever waits for it elsewhere is told.
        let end =
            other.block_on(async { tokio::time::timeout(HANG, handle.join()).await.expect("it hangs") });
        let report = end.unwrap();
        assert_eq!(report.ended, Ended::Cancelled);
        assert_eq!(report.births, report.ends.total());
    }
}
