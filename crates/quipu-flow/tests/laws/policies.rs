//! Errors in every operator, under every policy: a skipped item is missing and nothing else, a dead letter is told once,
//! and a stop names its stage.

use crate::{Store, everywhere};
use quipu_compute::ComputePool;
use quipu_flow::{Batch, Ended, Failed, Flow, OnError, Pipeline, Reduce, RunError};
use std::collections::HashMap;

const COUNT: u64 = 40;

/// One item in five.
fn is_bad(n: u64) -> bool {
    n % 5 == 3
}

fn tried(n: u64) -> Result<u64, String> {
    if is_bad(n) { Err(format!("bad {n}")) } else { Ok(n) }
}

async fn tried_later(n: u64) -> Result<u64, String> {
    tokio::task::yield_now().await;
    tried(n)
}

fn source() -> Flow<u64> {
    Flow::from_iter(0..COUNT)
}

/// Each builds a flow in which one stage, named `fails`, fails bad items; in the end, each good one comes out once.
type Build = fn(OnError, Store<u64>) -> Pipeline;

const PIPELINES: [(&str, Build); 12] = [
    ("fork", |policy, store| {
        let flow =
            source().fork(move |a| a.try_map(tried).named("fails").on_error(policy), |b| b.filter(|_| false));
        flow.sink(store.put()).ordered()
    }),
    ("broadcast", |policy, store| {
        let branch = move |number: usize, items: quipu_flow::stage::Branch<u64>| {
            let name = if number == 0 { "fails" } else { "never" };
            let keep = move |n: &u64| number == 0 || is_bad(*n);
            items.filter(keep).io(tried_later).named(name).on_error(if number == 0 {
                policy.clone()
            } else {
                OnError::Skip
            })
        };
        source().broadcast(2, branch).sink(store.put())
    }),
    ("route", |policy, store| {
        let branch = move |number: usize, items: quipu_flow::stage::Branch<u64>| {
            let run = move |n| if number == 1 { tried(n) } else { Ok(n) };
            items.try_map(run).named(if number == 1 { "fails" } else { "never" }).on_error(policy.clone())
        };
        source().route(2, |n| usize::from(is_bad(*n)), branch).sink(store.put()).ordered()
    }),
    ("fork_zip", |policy, store| {
        let flow = source().fork_zip(|a| a.io(tried_later).named("fails").on_error(policy), |b| b.map(|n| n));
        flow.map(|(n, _)| n).sink(store.put()).ordered()
    }),
    ("merge", |policy, store| {
        let failing = Flow::from_iter(0..COUNT / 2).try_map(tried).named("fails").on_error(policy);
        failing.merge(Flow::from_iter(COUNT / 2..COUNT).filter(|n| !is_bad(*n))).sink(store.put())
    }),
    ("concat", |policy, store| {
        let failing = Flow::from_iter(0..COUNT / 2).io(tried_later).named("fails").on_error(policy);
        failing.concat(Flow::from_iter(COUNT / 2..COUNT).filter(|n| !is_bad(*n))).sink(store.put()).ordered()
    }),
    ("join_with", |policy, store| {
        let table = source().try_map(tried).named("fails").on_error(policy);
        let insert = |table: &mut HashMap<u64, ()>, n| _ = table.insert(n, ());
        let flow =
            source().join_with(table, HashMap::new(), insert, |table, n| table.contains_key(&n).then_some(n));
        flow.filter_map(|n| n).sink(store.put()).ordered()
    }),
    ("gather", |policy, store| {
        let gather = |n, _: Vec<u64>| tried(n).unwrap();
        let flow = source().scatter(|n| (n, 0..n % 3), |parts| parts.map(|part| part), gather);
        flow.named("fails").on_error(policy).sink(store.put()).ordered()
    }),
    ("group", |policy, store| {
        let reduce = Reduce::new(|| None, |last: &mut Option<u64>, n| *last = Some(n), |last| last);
        let flow = source().group(|n| [n], |n| n.try_map(tried).named("fails").on_error(policy), reduce);
        flow.sink(store.put()).ordered()
    }),
    ("keyed", |policy, store| {
        let flow = source().keyed(|n| n % 3, |_| (), |(), n| tried(n).unwrap());
        flow.named("fails").on_error(policy).scan((), |(), n| n).sink(store.put()).ordered()
    }),
    ("device", |policy, store| {
        let run = |(): &mut (), batch: Vec<u64>| batch.into_iter().map(tried).collect::<Result<Vec<_>, _>>();
        let flow = source().device(Batch::items(1), || Ok::<_, String>(()), run);
        flow.named("fails").on_error(policy).sink(store.put()).ordered()
    }),
    ("try_for_each", |policy, store| {
        let refuse = move |n| tried(n).map(|n| store.0.lock().unwrap().push(n));
        source().try_for_each(refuse).named("fails").on_error(policy).ordered()
    }),
];

async fn check_skip(name: &str, build: Build, in_flight: usize, pool: &ComputePool) {
    let store = Store::new();
    let report = build(OnError::Skip, store.clone()).in_flight(in_flight).on(pool).run().await.unwrap();
    assert_eq!(report.births, report.ends.total(), "{name}");
    assert_eq!(store.sorted(), (0..COUNT).filter(|n| !is_bad(*n)).collect::<Vec<_>>(), "{name}");
    assert!(report.ends.skipped >= 4, "{name}");
}

async fn check_letters(name: &str, build: Build, in_flight: usize, pool: &ComputePool) {
    let (store, letters) = (Store::new(), Store::<Failed>::new());
    let keep = letters.clone();
    let policy = OnError::dead_letter(move |failed| {
        let keep = keep.clone();
        async move {
            tokio::task::yield_now().await;
            keep.0.lock().unwrap().push(failed);
            Ok::<(), String>(())
        }
    });
    let report = build(policy, store.clone()).in_flight(in_flight).on(pool).run().await.unwrap();
    assert_eq!(report.births, report.ends.total(), "{name}");
    assert_eq!(store.sorted(), (0..COUNT).filter(|n| !is_bad(*n)).collect::<Vec<_>>(), "{name}");
    let mut letters: Vec<String> = letters
        .take()
        .into_iter()
        .filter(|failed| failed.stage == "fails")
        .map(|failed| failed.position.to_string())
        .collect();
    let count = letters.len();
    assert!(count >= 4, "{name}");
    letters.sort();
    letters.dedup();
    assert_eq!(letters.len(), count, "{name}: one is told twice");
    assert_eq!(report.ends.dead_lettered, count as u64, "{name}");
}

async fn check_stop(name: &str, build: Build, in_flight: usize, pool: &ComputePool) {
    let end = build(OnError::Stop, Store::new()).in_flight(in_flight).on(pool).run().await;
    let Err(RunError::Failed { failed, report }) = end else { panic!("{name}: {end:?}") };
    assert_eq!(
        (failed.stage.as_str(), report.ended, report.ends.failed),
        ("fails", Ended::Failed, 1),
        "{name}"
    );
    assert_eq!(report.births, report.ends.total(), "{name}");
}

#[test]
fn failures_in_every_operator_under_every_policy() {
    for (name, build) in PIPELINES {
        everywhere(async |pool| {
            for in_flight in [1, 5, 100] {
                check_skip(name, build, in_flight, &pool).await;
                check_letters(name, build, in_flight, &pool).await;
                check_stop(name, build, in_flight, &pool).await;
            }
        });
    }
}

#[test]
fn a_part_that_fails_fails_its_item_once() {
    everywhere(async |pool| {
        let letters = Store::<Failed>::new();
        let keep = letters.clone();
        let policy = OnError::dead_letter(move |failed| {
            keep.0.lock().unwrap().push(failed);
            async { Ok::<(), String>(()) }
        });
        let store = Store::new();
        let flow =
            source().scatter(|n| (n, [n, n, n + 100]), |parts| parts.io(tried_later).limit(4), |n, _| n);
        let report =
            flow.sink(store.put()).ordered().on_any_error(policy).in_flight(9).on(&pool).run().await.unwrap();
        assert_eq!(store.take(), (0..COUNT).filter(|n| !is_bad(*n)).collect::<Vec<_>>());
        let letters = letters.take();
        assert_eq!(
            (letters.len(), report.ends.dead_lettered),
            (8, 8),
            "the item is told of, not each of its parts"
        );
        assert!(letters.iter().all(|failed| failed.error.to_string().starts_with("bad ")));
        assert_eq!(report.births, report.ends.total());
    });
}

#[test]
fn a_failed_batch_is_acknowledged_after_all_its_letters() {
    everywhere(async |pool| {
        let (told, acknowledged) = (Store::new(), Store::new());
        let (tell, seen, ack) = (told.clone(), told.clone(), acknowledged.clone());
        let policy = OnError::dead_letter(move |failed| {
            let tell = tell.clone();
            async move {
                tokio::task::yield_now().await;
                tell.0.lock().unwrap().push(failed.position.path()[0]);
                Ok::<(), String>(())
            }
        });
        let check = move |n: u64| {
            assert!(
                seen.0.lock().unwrap().contains(&n),
                "{n} is acknowledged before its letter is delivered"
            );
            ack.0.lock().unwrap().push(n);
        };
        let flow = source().on_ack(|n| *n, check).batch(Batch::items(3)).batch(Batch::items(2));
        let report =
            flow.sink(async |_| Err::<(), _>("refused")).on_any_error(policy).on(&pool).run().await.unwrap();
        assert_eq!((report.ends.dead_lettered, report.ends.total()), (COUNT, COUNT));
        assert_eq!((told.sorted(), acknowledged.sorted()), ((0..COUNT).collect(), (0..COUNT).collect()));
    });
}
